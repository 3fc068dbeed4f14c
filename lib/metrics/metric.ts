/** What a metric is: a name, a type, a unit, labels, and where its values come from. @module */
import type { Tunnel } from '../tunnel/tunnel.ts';
import type { MetricsSource } from './source.ts';
import type { TunnelSeries } from './tunnel-series.ts';

/** The description of a metric: documents, dashboards and exporters are made from these. */
export interface Metric {
  /** Without `_total`, which counters have in both text formats. */
  readonly name: string;
  readonly type: 'gauge' | 'counter' | 'info';
  /** OpenMetrics' unit: the name ends with it. */
  readonly unit?: 'bytes' | 'seconds' | 'ratio';
  readonly help: string;
  /** The names of its labels, in addition to `netns` (and `tunnel`, for one of a tunnel). */
  readonly labels: readonly string[];
}

/** The labels of each metric of a tunnel. `netns` is empty for the process's own namespace. */
export const TUNNEL_LABELS = ['netns', 'tunnel'] as const;

/** The values of labels, by name. */
export type Labels = Readonly<Record<string, string>>;

/** A value with its labels. */
export interface Sample {
  readonly labels: Labels;
  readonly value: number;
}

/** A metric that each tunnel has. */
export interface TunnelMetric extends Metric {
  /** The values of its labels, one entry for each line. */
  readonly points: readonly Labels[];
  /** The value of a point; undefined: there is none now. */
  value(series: TunnelSeries, point: number): number | undefined;
  /** Labels that depend on the tunnel. */
  more?(tunnel: Tunnel | undefined): Labels;
}

/** A metric that each watched namespace has. */
export interface NamespaceMetric extends Metric {
  samples(source: MetricsSource): Iterable<Sample>;
}

/** The name of a metric's samples. */
export const sampleName = ({ name, type }: Pick<Metric, 'name' | 'type'>): string =>
  type === 'counter' ? `${name}_total` : type === 'info' ? `${name}_info` : name;

/** Why what an SA counted last is not known, so that a total is a lower bound from then on. */
export const GAPS = ['flushed', 'missed', 'restart'] as const;
