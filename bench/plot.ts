/**
 * A comparison as a bar chart: a bar per contestant, with the minimum and maximum of its rounds.
 * @module
 */
import { type Comparison, numbers } from './compare.ts';
import { spread } from './stats.ts';

const LEFT = 210;
const WIDTH = 760;
const BAR = 18;
const GAP = 6;
const HEAD = 40;

const escaped = (text: string) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;');
const ours = /NetlinkSocket|subscribe|XfrmMonitor|netlink-xfrm/;

/** Tick step of the axis: 1, 2 or 5 times a power of ten, giving about six ticks. */
function stepFor(most: number): number {
  const power = 10 ** Math.floor(Math.log10(most / 6));
  return power * ([1, 2, 5, 10].find((factor) => factor * power * 6 >= most) ?? 10);
}

/** Comparisons stacked vertically, as SVG. */
export function plot(comparisons: readonly Comparison[]): string {
  const parts: string[] = [];
  let top = 0;
  for (const { title, outcomes } of comparisons) {
    const bars = outcomes.flatMap(({ title: name, cpu }) => {
      const values = spread(numbers(cpu));
      return Number.isNaN(values.median) ? [] : [{ name, ...values }];
    });
    const most = Math.max(...bars.map((bar) => bar.most)) * 1.05;
    const scale = (WIDTH - LEFT - 60) / most;
    const bottom = top + HEAD + bars.length * (BAR + GAP);
    const heading = `${escaped(title)}: processor time for an event, µs`;
    parts.push(`<text x="8" y="${top + 24}" font-weight="bold">${heading}</text>`);
    const step = stepFor(most);
    for (let value = 0; value <= most; value += step) {
      const x = (LEFT + value * scale).toFixed(1);
      parts.push(
        `<line x1="${x}" y1="${top + HEAD - 4}" x2="${x}" y2="${bottom}" stroke="#ddd"/>`,
        `<text x="${x}" y="${bottom + 14}" text-anchor="middle" fill="#666">${+value.toFixed(2)}</text>`,
      );
    }
    bars.forEach((bar, i) => {
      const y = top + HEAD + i * (BAR + GAP);
      const middle = y + BAR / 2;
      const [low, high] = [bar.least, bar.most].map((one) => (LEFT + one * scale).toFixed(1));
      const end = LEFT + Math.max(bar.most, bar.median) * scale + 6;
      parts.push(
        `<text x="${LEFT - 8}" y="${middle + 4}" text-anchor="end">${escaped(bar.name)}</text>`,
        `<rect x="${LEFT}" y="${y}" width="${(bar.median * scale).toFixed(1)}" height="${BAR}" fill="${ours.test(bar.name) ? '#3a7ca5' : '#b0b0b0'}"/>`,
        `<line x1="${low}" y1="${middle}" x2="${high}" y2="${middle}" stroke="#222"/>`,
        `<text x="${end.toFixed(1)}" y="${middle + 4}">${bar.median.toFixed(2)}</text>`,
      );
    });
    top = bottom + 30;
  }
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${top}" font-family="sans-serif" font-size="12">`,
    '<title>Processor time for an event, by contestant</title>',
    '<rect width="100%" height="100%" fill="#fff"/>',
    ...parts,
    '</svg>',
    '',
  ].join('\n');
}
