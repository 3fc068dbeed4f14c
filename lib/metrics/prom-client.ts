/** The metrics in a registry of prom-client. @module */
import { type CollectOptions, collectTunnelMetrics, type MetricsMonitor } from './collect.ts';
import { type Metric, sampleName } from './metric.ts';
import { NAMESPACE_METRICS, TUNNEL_METRICS } from './table.ts';

/** The parts of prom-client's `Registry` that are used; tested with version 15. */
export interface PromClientRegistry {
  // biome-ignore lint/suspicious/noExplicitAny: prom-client's own type of a metric has private members.
  registerMetric(metric: any): void;
}

/**
 * Adds the metrics of a monitor to a registry of prom-client, which collects them at each scrape.
 *
 * @throws Error if the registry has a metric of one of these names; TypeError or RangeError for an
 *   invalid argument
 * @example
 * import { register } from 'prom-client';
 * registerMetrics(register, await TunnelMonitor.open());
 */
export function registerMetrics(
  register: PromClientRegistry,
  monitor: MetricsMonitor,
  options: CollectOptions = {},
): void {
  const collect = () => collectTunnelMetrics(monitor, options);
  // Counting begins now.
  collect();
  // The registry asks for one metric after the other in one go: they are collected once.
  let all: ReturnType<typeof collect> | undefined;
  const samplesOf = (name: string) => {
    if (all === undefined) {
      all = collect();
      queueMicrotask(() => {
        all = undefined;
      });
    }
    return all.find((one) => one.name === name)?.samples ?? [];
  };
  const metrics: readonly Metric[] = [
    ...TUNNEL_METRICS.map((one) => ({ ...one, labels: ['tunnel', ...one.labels] })),
    ...NAMESPACE_METRICS,
  ];
  for (const { name, type, help, labels } of metrics) {
    const exposed = sampleName({ name, type });
    register.registerMetric({
      name: exposed,
      help,
      type: type === 'info' ? 'gauge' : type,
      labelNames: ['netns', ...labels],
      aggregator: 'sum',
      reset() {},
      async get() {
        const values = samplesOf(name).map(({ labels, value }) => ({ labels, value }));
        // In OpenMetrics the registry takes `_total` off a counter's name here, and adds it to samples.
        return { ...this, values };
      },
    });
  }
}
