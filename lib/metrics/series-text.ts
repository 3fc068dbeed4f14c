/** The lines of the metrics of tunnels, written as bytes. @module */
import type { Tunnel } from '../tunnel/tunnel.ts';
import { type Ascii, AsciiWriter, ascii } from '../wire/ascii.ts';
import { type Labels, sampleName, type TunnelMetric } from './metric.ts';
import { TUNNEL_METRICS } from './table.ts';
import type { TunnelSeries } from './tunnel-series.ts';

const ESCAPED: Readonly<Record<string, string>> = { '\\': '\\\\', '"': '\\"', '\n': '\\n' };
export const escaped = (text: string, special = /[\\"\n]/g): string =>
  text.replace(special, (one) => ESCAPED[one] ?? one);

/** Labels as in braces. An empty label is the same as none (Prometheus' data model). */
export function labelText(labels: Labels): string {
  let text = '';
  for (const name in labels) {
    const value = labels[name];
    if (value) text += `${text === '' ? '' : ','}${name}="${escaped(value)}"`;
  }
  return text;
}

/** Series whose values are read at once, and whose lines are made at once. */
const BLOCK = 128;
/** Bytes of a value (`-1.2345678901234567e-300`) and the end of the line. */
const WIDEST = 25;
/** Bytes of the labels that depend on the tunnel: addresses, numbers and names of the kernel's. */
const MOST_MORE = 512;
/** Bytes that may be written after a text ({@link AsciiWriter}). */
const SPARE = 8;
const LINE_FEED = 0x0a;

/** What of a metric's lines is the same for all series. */
interface Frame {
  readonly metric: TunnelMetric;
  /** The place of its first value among those of a series. */
  readonly first: number;
  readonly start: Ascii;
  /** What follows the series' own labels, for each point. */
  readonly ends: readonly Ascii[];
}

let width = 0;
const FRAMES: readonly Frame[] = TUNNEL_METRICS.map((metric) => {
  const ends = metric.points.map((labels) => {
    const text = labelText(labels);
    return ascii(text === '' ? '} ' : `,${text}} `);
  });
  const frame = { metric, first: width, start: ascii(`${sampleName(metric)}{`), ends };
  width += ends.length;
  return frame;
});
/** Values of a series. */
const WIDTH = width;

/** Some series, and their own labels as words, which take less memory than their texts. */
interface Block {
  readonly series: readonly TunnelSeries[];
  readonly words: Float64Array;
  /** For each, where its words begin, and its length in bytes. */
  readonly places: Uint32Array;
}

/** The labels of a namespace's series, made once. */
export class SeriesLabels {
  readonly #netns: string;
  #all: readonly TunnelSeries[] = [];
  #blocks: readonly Block[] = [];

  constructor(netns: string) {
    this.#netns = netns;
  }

  /** @param series the same array, unless they have changed */
  blocksOf(series: readonly TunnelSeries[]): readonly Block[] {
    if (series === this.#all) return this.#blocks;
    const before = this.#blocks;
    this.#all = series;
    this.#blocks = Array.from({ length: Math.ceil(series.length / BLOCK) }, (_, i) => {
      const some = series.slice(i * BLOCK, (i + 1) * BLOCK);
      const known = before[i];
      return known && areSame(known.series, some) ? known : this.#block(some);
    });
    return this.#blocks;
  }

  #block(series: readonly TunnelSeries[]): Block {
    const texts = series.map(({ label }) =>
      Buffer.from(labelText({ netns: this.#netns, tunnel: label })),
    );
    const places = new Uint32Array(2 * series.length);
    let next = 0;
    texts.forEach(({ length }, i) => {
      places.set([next, length], 2 * i);
      next += Math.ceil(length / 8);
    });
    const words = new Float64Array(next);
    const bytes = new Uint8Array(words.buffer);
    texts.forEach((text, i) => {
      bytes.set(text, 8 * (places[2 * i] as number));
    });
    return { series, words, places };
  }
}

const areSame = (a: readonly TunnelSeries[], b: readonly TunnelSeries[]) =>
  a.length === b.length && a.every((one, i) => one === b[i]);

/**
 * Memory of readings that are over. What is outside of the heap is freed late, as it seems small to
 * the collector.
 */
const spare: Float64Array[] = [];

interface Reading {
  readonly block: Block;
  /** NaN for no value; of a whole block. */
  readonly values: Float64Array;
  /** For the labels that depend on the tunnel. */
  readonly tunnels: readonly (Tunnel | undefined)[];
}

/**
 * The values of a namespace's series, to be written metric by metric: all values of a series are of
 * the same moment, as they are read together, before anything is written.
 */
export class SeriesReading {
  readonly #blocks: Reading[] = [];
  /** Where lines are written. */
  #room = Buffer.alloc(0);

  /** Reads the series block by block: others may run in between. */
  *read(blocks: readonly Block[]): Generator<undefined, undefined> {
    for (const block of blocks) {
      this.#blocks.push(reading(block));
      yield;
    }
  }

  /** Ends readings: their memory can be used by the next ones. */
  static release(readings: readonly SeriesReading[]): void {
    // What many at the same time needed is not kept.
    spare.length = 0;
    for (const reading of readings) {
      for (const { values } of reading.#blocks.splice(0)) spare.push(values);
    }
  }

  /**
   * The lines of a metric, block by block; the next block takes the place of the one before.
   *
   * @param others the sum over tunnels without a label, which has counters only
   */
  *lines(metric: TunnelMetric, others: TunnelSeries): Generator<Uint8Array, undefined> {
    const frame = FRAMES.find((one) => one.metric === metric) as Frame;
    for (const one of this.#blocks) {
      const { series } = one.block;
      const count = series.length - (metric.type !== 'counter' && series.at(-1) === others ? 1 : 0);
      const most = lengthOf(frame, one);
      if (this.#room.length < most) this.#room = Buffer.allocUnsafeSlow(most);
      const room = this.#room;
      const to = new AsciiWriter(new DataView(room.buffer, room.byteOffset, room.length));
      writeLines(frame, one, count, to);
      if (to.at > 0) yield room.subarray(0, to.at);
    }
  }
}

function reading(block: Block): Reading {
  const { series } = block;
  const values = spare.pop() ?? new Float64Array(BLOCK * WIDTH);
  let at = 0;
  for (const one of series) {
    for (const { metric, ends } of FRAMES) {
      for (let point = 0; point < ends.length; point++) {
        values[at++] = metric.value(one, point) ?? Number.NaN;
      }
    }
  }
  return { block, values, tunnels: series.map(({ tunnel }) => tunnel) };
}

/** The most that the lines of a block can take. */
function lengthOf({ metric, start, ends }: Frame, { block }: Reading): number {
  let most = 8 * block.words.length * ends.length + SPARE;
  for (const end of ends) most += block.series.length * (start.length + end.length + WIDEST);
  if (metric.more) most += block.series.length * MOST_MORE;
  return most;
}

/**
 * Writes the lines of some series. As words, because most of a line is the same at each scrape.
 */
function writeLines(
  { metric, first, start, ends }: Frame,
  { block: { words, places }, values, tunnels }: Reading,
  count: number,
  to: AsciiWriter,
): void {
  for (let i = 0; i < count; i++) {
    const [index, length] = [places[2 * i] as number, places[2 * i + 1] as number];
    const extra = metric.more ? labelText(metric.more(tunnels[i])) : '';
    for (let point = 0; point < ends.length; point++) {
      const value = values[i * WIDTH + first + point] as number;
      if (Number.isNaN(value)) continue;
      to.text(start);
      to.textAt(words, index, length);
      if (extra !== '') to.characters(`,${extra}`);
      to.text(ends[point] as Ascii);
      if (Number.isSafeInteger(value) && value >= 0) to.decimal(value);
      else to.characters(`${value}`);
      to.character(LINE_FEED);
    }
  }
}
