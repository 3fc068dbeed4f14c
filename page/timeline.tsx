/**
 * The picture of a tunnel's history: a strip of its states, and below it the traffic, out upwards and in downwards,
 * with rekeys and downs on the same time axis. A plot is drawn on a canvas, so its content is also said in words.
 * @module
 */
import { Component, createRef } from 'preact';
import uPlot from 'uplot';
import type { TunnelState } from '../lib/tunnel/tunnel.ts';
import { downsOf, isBroken, ratesOf, spansOf, type TunnelHistory } from './history.ts';
import { clock, historyText, rate } from './words.ts';

interface Props {
  readonly history: TunnelHistory;
  /** The window, in milliseconds since 1970. */
  readonly from: number;
  readonly to: number;
  /** With axes, a legend and a cursor; without, it is a small picture in a row. */
  readonly full?: boolean;
  readonly title: string;
}

/** CSS pixels. */
const STRIP = 14;
const ROW_HEIGHT = 56;
const FULL_HEIGHT = 260;
/** The height of a direction that carries little, as a share of the other; and the height of all, of the largest rate. */
const LEAST = 0.25;
const ROOM = 1.05;

const dark = matchMedia('(prefers-color-scheme: dark)');
let colors = new Map<string, string>();
/** A colour of the style sheet. */
function color(name: string): string {
  let found = colors.get(name);
  if (found === undefined) {
    found = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
    colors.set(name, found);
  }
  return found;
}

/** Red is also the tallest, so that the strip can be read without colours. */
const HEIGHT: Readonly<Record<string, number>> = { up: 0.4, idle: 0.25, rekeying: 0.55 };
const heightOf = (state: TunnelState): number => HEIGHT[state] ?? (isBroken(state) ? 1 : 0.75);

export class Timeline extends Component<Props> {
  readonly #place = createRef<HTMLDivElement>();
  #plot: uPlot | undefined;
  readonly #resize = new ResizeObserver(() => this.#fit());
  readonly #scheme = () => {
    colors = new Map();
    this.#plot?.redraw(false, true);
  };

  override componentDidMount(): void {
    const place = this.#place.current as HTMLDivElement;
    this.#plot = new uPlot(this.#options(place.clientWidth), this.#data(), place);
    this.#resize.observe(place);
    dark.addEventListener('change', this.#scheme);
  }

  override componentWillUnmount(): void {
    dark.removeEventListener('change', this.#scheme);
    this.#resize.disconnect();
    this.#plot?.destroy();
  }

  override shouldComponentUpdate({ history, from, to, title }: Props): boolean {
    const old = this.props;
    return history !== old.history || from !== old.from || to !== old.to || title !== old.title;
  }

  override componentDidUpdate(): void {
    this.#plot?.setData(this.#data());
  }

  #fit(): void {
    const width = this.#place.current?.clientWidth ?? 0;
    if (this.#plot && width > 0 && width !== this.#plot.width) {
      this.#plot.setSize({ width, height: this.#plot.height });
    }
  }

  /** In is drawn below zero. */
  #data(): uPlot.AlignedData {
    const rates = ratesOf(this.props.history);
    return [
      rates.at.map((at) => at / 1000),
      [...rates.out],
      rates.in.map((one) => (one === null ? null : -one)),
    ];
  }

  #options(width: number): uPlot.Options {
    const { full = false } = this.props;
    const stepped = uPlot.paths.stepped?.({ align: -1 });
    const series = (label: string, name: string): uPlot.Series => ({
      label,
      stroke: () => color(name),
      fill: () => color(`${name}-fill`),
      width: 1,
      points: { show: false },
      value: (_, value) => (value === null ? '–' : rate(Math.abs(value))),
      ...(stepped && { paths: stepped }),
    });
    const axis: uPlot.Axis = {
      show: full,
      stroke: () => color('dim'),
      font: '12px system-ui, sans-serif',
      grid: { stroke: () => color('line'), width: 1 },
      ticks: { stroke: () => color('line'), width: 1, size: 4 },
    };
    return {
      width: Math.max(1, width),
      height: full ? FULL_HEIGHT : ROW_HEIGHT,
      padding: full ? [STRIP + 10, 24, 0, 0] : [STRIP + 4, 0, 1, 0],
      cursor: { show: full, y: false, drag: { x: false, y: false } },
      legend: { show: full },
      scales: {
        x: { time: true, range: () => [this.props.from / 1000, this.props.to / 1000] },
        y: {
          range: (_, min, max) => {
            // Each direction has some room, even if it carries nothing.
            const [into, out] = [Math.max(0, -(min ?? 0)), Math.max(0, max ?? 0)];
            const least = Math.max(1, into, out) * LEAST;
            return [-Math.max(into, least) * ROOM, Math.max(out, least) * ROOM];
          },
        },
      },
      series: [
        {
          label: 'Time',
          value: (_, seconds) => (seconds === null ? '–' : clock(seconds * 1000, this.props.to)),
        },
        series('Out', 'out'),
        series('In', 'in'),
      ],
      axes: [
        { ...axis, space: 80, values: timeLabels },
        {
          ...axis,
          size: 84,
          values: (_, all) => all.map((value) => rate(Math.abs(value))),
          splits: (_, __, min, max) => [min / ROOM, 0, max / ROOM],
        },
      ],
      hooks: { draw: [(plot) => this.#draw(plot)] },
    };
  }

  /** The strip of states above the plot, and rekeys and downs across both. */
  #draw(plot: uPlot): void {
    const { history, from, to } = this.props;
    const { ctx, bbox } = plot;
    const ratio = uPlot.pxRatio;
    const strip = STRIP * ratio;
    const top = bbox.top - strip - 2 * ratio;
    const x = (at: number) => plot.valToPos(at / 1000, 'x', true);
    ctx.save();
    ctx.fillStyle = color('track');
    ctx.fillRect(bbox.left, top, bbox.width, strip);
    for (const span of spansOf(history, from, to)) {
      const height = Math.round(strip * heightOf(span.state));
      const left = x(span.from);
      ctx.fillStyle = color(span.state);
      // A state that lasted a moment is still seen.
      ctx.fillRect(left, top + strip - height, Math.max(x(span.to) - left, 2 * ratio), height);
    }
    const line = (at: number, name: string, width: number) => {
      ctx.fillStyle = color(name);
      ctx.fillRect(Math.round(x(at) - width / 2), top, width, bbox.top + bbox.height - top);
    };
    for (const at of history.rekeys) {
      if (at < from || at > to) continue;
      line(at, 'rekey-line', ratio);
      const size = 3 * ratio;
      ctx.fillStyle = color('rekeying');
      ctx.beginPath();
      ctx.arc(x(at), top + size, size, 0, 2 * Math.PI);
      ctx.fill();
    }
    for (const at of downsOf(history, from, to)) {
      line(at, 'down', Math.max(1, Math.round(1.5 * ratio)));
      const size = 4.5 * ratio;
      const tip = bbox.top + bbox.height;
      ctx.beginPath();
      ctx.moveTo(x(at), tip - size * 1.6);
      ctx.lineTo(x(at) - size, tip);
      ctx.lineTo(x(at) + size, tip);
      ctx.fill();
    }
    ctx.restore();
  }

  override render({ history, from, to, title, full }: Props) {
    const text = `${title}: ${historyText(history, from, to)}`;
    // The plot inside is not Preact's.
    return (
      <div
        class={full ? 'timeline full' : 'timeline'}
        role="img"
        aria-label={text}
        title={full ? undefined : text}
      >
        <div ref={this.#place} />
      </div>
    );
  }
}

/** `14:05`, with seconds where they matter. */
function timeLabels(_: uPlot, splits: number[]): string[] {
  const step = (splits[1] ?? 0) - (splits[0] ?? 0);
  return splits.map((seconds) => clock(seconds * 1000, seconds * 1000).slice(0, step < 60 ? 8 : 5));
}
