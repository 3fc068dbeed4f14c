/** The metrics of monitors as plain data, for registries and exporters of others. @module */
import { checkedOptions, optionalInteger, wrongType } from '../base/argument.ts';
import { MultiNamespaceTunnelMonitor } from '../tunnel/multi-namespace-tunnel-monitor.ts';
import { TunnelMonitor } from '../tunnel/tunnel-monitor.ts';
import type { Labels, Metric, Sample } from './metric.ts';
import { MetricsSource } from './source.ts';
import { NAMESPACE_METRICS, TUNNEL_METRICS } from './table.ts';

/** A metric and its values now. */
export interface MetricFamily extends Metric {
  readonly samples: readonly Sample[];
}

/** Options of {@link collectTunnelMetrics}. */
export interface CollectOptions {
  /**
   * The most tunnels with series of their own, default 10,000. The counters of the others are
   * summed under the tunnel `(other)`.
   */
  tunnelSeries?: number | undefined;
}

/** The monitors that metrics can be made from. */
export type MetricsMonitor = TunnelMonitor | MultiNamespaceTunnelMonitor;

const OPTIONS = {
  tunnelSeries: (name: string, value: unknown) =>
    optionalInteger(name, value, 10_000, 1, 1_000_000),
};

/** What follows each monitor, from when its metrics were first asked for. */
const followed = new WeakMap<MetricsMonitor, () => readonly MetricsSource[]>();

function follow(monitor: MetricsMonitor, limit: number): () => readonly MetricsSource[] {
  if (monitor instanceof TunnelMonitor) {
    const source = new MetricsSource(monitor.snapshot().label ?? '', limit);
    source.attach(monitor);
    monitor.once('close', () => source.detach('the monitor is closed'));
    return () => [source];
  }
  const sources = new Map<string, MetricsSource>();
  const look = () => {
    for (const label of monitor.labels) {
      const one = monitor.get(label);
      const known = sources.get(label);
      if (one === undefined || known?.monitor === one) continue;
      const source = known ?? new MetricsSource(label, limit);
      sources.set(label, source);
      // Another monitor of the label may have replaced one that is still closing.
      const end = (ended: TunnelMonitor) => {
        if (source.monitor === ended) source.detach('no longer watched');
      };
      if (source.monitor) end(source.monitor);
      source.attach(one);
      one.once('close', () => end(one));
    }
    return [...sources.values()];
  };
  monitor.on('synced', look);
  look();
  return look;
}

/**
 * The metrics of a monitor's tunnels and namespaces, as `netlink-xfrm serve` has them (docs/serve.md).
 * Counters count from the first call for a monitor on, and never go back: a namespace that is no
 * longer watched keeps its series for as long as the monitor exists. Values are as old as the
 * monitor's last reading of the counters; call `refresh()` first for newer ones.
 *
 * @throws TypeError or RangeError for an invalid argument
 * @example
 * for (const { name, samples } of collectTunnelMetrics(monitor)) console.log(name, samples.length);
 */
export function collectTunnelMetrics(
  monitor: MetricsMonitor,
  options: CollectOptions = {},
): MetricFamily[] {
  const { tunnelSeries } = checkedOptions('options', options, OPTIONS);
  if (!(monitor instanceof TunnelMonitor || monitor instanceof MultiNamespaceTunnelMonitor)) {
    throw wrongType('monitor', 'a TunnelMonitor or a MultiNamespaceTunnelMonitor', monitor);
  }
  let sources = followed.get(monitor);
  if (sources === undefined) {
    sources = follow(monitor, tunnelSeries);
    followed.set(monitor, sources);
  }
  const all = sources();
  for (const source of all) source.update();
  return [
    ...TUNNEL_METRICS.map(({ points, value, more, ...metric }) => {
      const samples: Sample[] = [];
      for (const source of all) {
        const { netns } = source;
        for (const series of source.seriesFor(metric)) {
          const own: Labels = { netns, tunnel: series.label, ...more?.(series.tunnel) };
          points.forEach((labels, point) => {
            const found = value(series, point);
            if (found !== undefined) samples.push({ labels: { ...own, ...labels }, value: found });
          });
        }
      }
      return { ...metric, samples };
    }),
    ...NAMESPACE_METRICS.map(({ samples: of, ...metric }) => ({
      ...metric,
      samples: all.flatMap((source) =>
        Array.from(of(source), ({ labels, value }) => ({
          labels: { netns: source.netns, ...labels },
          value,
        })),
      ),
    })),
  ];
}
