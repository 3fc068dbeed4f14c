/** The metrics by OpenTelemetry's API. @module */
import { type CollectOptions, collectTunnelMetrics, type MetricsMonitor } from './collect.ts';
import type { Metric } from './metric.ts';
import { NAMESPACE_METRICS, TUNNEL_METRICS } from './table.ts';

/** The parts of `Meter` of @opentelemetry/api that are used; tested with version 1. */
export interface OpenTelemetryMeter<Instrument = unknown> {
  createObservableGauge(name: string, options: InstrumentOptions): Instrument;
  createObservableCounter(name: string, options: InstrumentOptions): Instrument;
  addBatchObservableCallback(callback: BatchCallback, instruments: Instrument[]): void;
  removeBatchObservableCallback(callback: BatchCallback, instruments: Instrument[]): void;
}

/** Instruments are only passed back to the meter that made them. */
type BatchCallback = (result: {
  // biome-ignore lint/suspicious/noExplicitAny: the meter's own type, which must not be imported.
  observe(instrument: any, value: number, attributes: Record<string, string>): void;
}) => void;

interface InstrumentOptions {
  readonly description: string;
  readonly unit: string;
}

/** UCUM, as OpenTelemetry writes units: the unit is not part of the name. */
const UNITS = { bytes: 'By', seconds: 's', ratio: '1' } as const;

/** `xfrm_tunnel_last_used_timestamp_seconds` is `xfrm.tunnel.last_used_timestamp`. */
export function instrumentName({ name, type, unit }: Metric): string {
  const words = name.split('_');
  if (unit === 'seconds' || unit === 'ratio') words.pop();
  const [first = '', second, ...rest] = words;
  const short = [first, second, rest.join('_')].filter(Boolean).join('.');
  return type === 'info' ? `${short}.info` : short;
}

/**
 * Observes the metrics of a monitor with a meter of OpenTelemetry, at each collection of its reader.
 *
 * @returns stops observing
 * @throws TypeError or RangeError for an invalid argument
 * @example
 * import { metrics } from '@opentelemetry/api';
 * observeMetrics(metrics.getMeter('tunnels'), await TunnelMonitor.open());
 */
export function observeMetrics<Instrument>(
  meter: OpenTelemetryMeter<Instrument>,
  monitor: MetricsMonitor,
  options: CollectOptions = {},
): Disposable {
  // Counting begins now.
  collectTunnelMetrics(monitor, options);
  const instruments = new Map<string, Instrument>();
  for (const metric of [...TUNNEL_METRICS, ...NAMESPACE_METRICS]) {
    const unit = metric.unit ? UNITS[metric.unit] : '';
    const about = { description: metric.help, unit };
    const name = instrumentName(metric);
    instruments.set(
      metric.name,
      metric.type === 'counter'
        ? meter.createObservableCounter(name, about)
        : meter.createObservableGauge(name, about),
    );
  }
  const all = [...instruments.values()];
  const callback: BatchCallback = (result) => {
    for (const { name, samples } of collectTunnelMetrics(monitor, options)) {
      const instrument = instruments.get(name) as Instrument;
      for (const { labels, value } of samples) {
        const given = Object.entries(labels).filter(([, text]) => text !== '');
        result.observe(instrument, value, Object.fromEntries(given));
      }
    }
  };
  meter.addBatchObservableCallback(callback, all);
  return { [Symbol.dispose]: () => meter.removeBatchObservableCallback(callback, all) };
}
