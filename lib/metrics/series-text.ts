/** The lines of a metric for some tunnels, kept while its values stay the same. @module */
import { type Labels, sampleName, type TunnelMetric } from './metric.ts';
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

/** Series whose lines are made at once. */
export const BLOCK = 128;

interface Block {
  readonly series: readonly TunnelSeries[];
  readonly values: Float64Array;
  readonly bytes: Uint8Array;
}

/**
 * The lines of one metric. Most values of most tunnels are the same at the next scrape, and making
 * lines takes several times as long as reading values: so the lines of a block are kept with their
 * values, except for metrics that move all the time.
 */
export class SeriesText {
  readonly #metric: TunnelMetric;
  readonly #start: string;
  readonly #ends: readonly string[];
  #blocks: (Block | undefined)[] = [];

  constructor(metric: TunnelMetric) {
    this.#metric = metric;
    this.#start = `${sampleName(metric)}{`;
    this.#ends = metric.points.map((labels) => {
      const text = labelText(labels);
      return text === '' ? '} ' : `,${text}} `;
    });
  }

  /** The lines of a namespace's series, block by block. */
  *of(series: readonly TunnelSeries[], netns: string): Generator<Uint8Array, undefined> {
    const blocks: (Block | undefined)[] = [];
    for (let at = 0; at < series.length; at += BLOCK) {
      const some = series.slice(at, at + BLOCK);
      const kept = this.#blocks[blocks.length];
      const values = this.#values(some);
      const same =
        kept !== undefined && areSame(kept.series, some) && areEqual(kept.values, values);
      const bytes = same ? kept.bytes : this.#lines(some, values, netns);
      blocks.push(same ? kept : this.#metric.moves ? undefined : { series: some, values, bytes });
      yield bytes;
    }
    this.#blocks = blocks;
  }

  /** NaN for no value. */
  #values(series: readonly TunnelSeries[]): Float64Array {
    const metric = this.#metric;
    const points = metric.points.length;
    const values = new Float64Array(series.length * points);
    let at = 0;
    for (const one of series) {
      for (let point = 0; point < points; point++) {
        values[at++] = metric.value(one, point) ?? Number.NaN;
      }
    }
    return values;
  }

  #lines(series: readonly TunnelSeries[], values: Float64Array, netns: string): Uint8Array {
    const { more } = this.#metric;
    const parts: (string | number)[] = [];
    let at = 0;
    for (const one of series) {
      one.text ??= labelText({ netns, tunnel: one.label });
      const extra = more ? labelText(more(one)) : '';
      const labels = extra === '' ? one.text : `${one.text},${extra}`;
      for (const end of this.#ends) {
        const value = values[at++] as number;
        if (!Number.isNaN(value)) parts.push(this.#start, labels, end, value, '\n');
      }
    }
    // Joined at once: adding to a string builds a tree, which takes longer to write out. As bytes it
    // is neither moved by the collector nor encoded again.
    return Buffer.from(parts.join(''));
  }
}

const areSame = (a: readonly TunnelSeries[], b: readonly TunnelSeries[]) =>
  a.length === b.length && a.every((one, i) => one === b[i]);

function areEqual(a: Float64Array, b: Float64Array): boolean {
  for (let i = 0; i < a.length; i++) {
    if (a[i] !== b[i] && !(Number.isNaN(a[i]) && Number.isNaN(b[i]))) return false;
  }
  return true;
}
