/**
 * The states of tunnels over time as a picture: a row for each tunnel, coloured by state.
 * @module
 */
import type { TunnelState } from '../../tunnel/tunnel.ts';
import type { StateHistory } from './state-history.ts';

const COLORS: Readonly<Record<TunnelState, string>> = {
  up: '#2e9e5b',
  rekeying: '#58b98a',
  expiring: '#d9a400',
  idle: '#8fb8a0',
  'one-way': '#e07b00',
  acquiring: '#c46bb0',
  orphan: '#a07050',
  blocked: '#c92a2a',
  down: '#e03131',
};

const WIDTH = 1000;
const LEFT = 280;
const RIGHT = 20;
const TOP = 30;
const ROW = 26;
const BAR = 16;
/** Steps of the axis, in seconds. */
const STEPS = [0.1, 0.5, 1, 5, 10, 30, 60, 300, 600, 1800, 3600, 10_800, 21_600, 43_200, 86_400];
/** The most labels of the axis. */
const TICKS = 9;

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
};
const escaped = (text: string) => text.replace(/[&<>"]/g, (one) => ESCAPES[one] ?? one);
const round = (value: number) => Math.round(value * 10) / 10;

/** @param span the time that the picture covers, in ms since 1970 */
export function timelineSvg(
  { tunnels, gaps }: StateHistory,
  { from, to }: { readonly from: number; readonly to: number },
): string {
  const rows = [...tunnels.values()];
  const height = TOP + Math.max(1, rows.length) * ROW + 40;
  const scale = (WIDTH - LEFT - RIGHT) / Math.max(1, to - from);
  const x = (wall: number) => round(LEFT + (Math.min(Math.max(wall, from), to) - from) * scale);
  const stamp = (wall: number) => new Date(wall).toISOString().replace('T', ' ').slice(0, -1);
  const parts: string[] = [];
  for (const at of ticks(from, to)) {
    parts.push(
      `<line x1="${x(at)}" y1="${TOP}" x2="${x(at)}" y2="${height - 36}" stroke="#ccc"/>`,
      `<text x="${x(at)}" y="${height - 22}" text-anchor="middle" fill="#555">${stamp(at).slice(11, to - from < 60_000 ? 21 : 19)}</text>`,
    );
  }
  rows.forEach(({ tunnel, spans, marks }, i) => {
    const y = TOP + i * ROW;
    parts.push(
      `<text x="8" y="${y + 13}">${escaped(tunnel.id.slice(0, 42))}<title>${escaped(tunnel.id)}</title></text>`,
    );
    for (const { from: begin, to: end, state, reason } of spans) {
      const width = round(Math.max(0.5, x(end) - x(begin)));
      const title = `${state}: ${reason}\n${stamp(begin)} to ${stamp(Math.min(end, to))} UTC`;
      parts.push(
        `<rect x="${x(begin)}" y="${y}" width="${width}" height="${BAR}" fill="${COLORS[state]}"><title>${escaped(title)}</title></rect>`,
      );
    }
    for (const { at, kind, text } of marks) {
      const title = `<title>${escaped(`${stamp(at)} UTC ${kind}: ${text}`)}</title>`;
      parts.push(
        kind === 'rekeyed'
          ? `<line x1="${x(at)}" y1="${y - 2}" x2="${x(at)}" y2="${y + BAR + 2}" stroke="#123" stroke-width="1.5">${title}</line>`
          : `<circle cx="${x(at)}" cy="${y + BAR / 2}" r="4" fill="#ffd43b" stroke="#664">${title}</circle>`,
      );
    }
  });
  for (const { from: begin, to: end } of gaps) {
    const width = round(Math.max(2, x(end) - x(begin)));
    parts.push(
      `<rect x="${x(begin)}" y="${TOP - 6}" width="${width}" height="${height - TOP - 30}" fill="#888" fill-opacity="0.35"><title>events are missing</title></rect>`,
    );
  }
  const shown = [...new Set(rows.flatMap(({ spans }) => spans.map(({ state }) => state)))];
  const legend = shown.map(
    (state, i) =>
      `<rect x="${LEFT + i * 90}" y="8" width="10" height="10" fill="${COLORS[state]}"/><text x="${LEFT + i * 90 + 14}" y="17">${state}</text>`,
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" font-family="sans-serif" font-size="11">`,
    `<title>Tunnels from ${stamp(from)} to ${stamp(to)} UTC</title>`,
    `<rect width="100%" height="100%" fill="#fff"/>`,
    `<text x="8" y="17">${stamp(from).slice(0, 10)} (UTC)</text>`,
    ...legend,
    ...parts,
    '</svg>\n',
  ].join('\n');
}

/** Round times at which the axis is labelled. */
function ticks(from: number, to: number): number[] {
  const step = 1000 * (STEPS.find((one) => (to - from) / 1000 / one <= TICKS) ?? 86_400 * 7);
  const all: number[] = [];
  for (let at = Math.ceil(from / step) * step; at <= to && all.length <= 400; at += step)
    all.push(at);
  return all;
}
