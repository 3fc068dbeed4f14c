/**
 * netlink-xfrm/metrics: the metrics of tunnels, as plain data, in a registry of prom-client, and by
 * OpenTelemetry. `netlink-xfrm serve` has the same ones.
 * @module
 */
import './monitor/trace.ts';

export {
  type CollectOptions,
  collectTunnelMetrics,
  type MetricFamily,
  type MetricsMonitor,
} from './metrics/collect.ts';
export type { Labels, Metric, Sample } from './metrics/metric.ts';
export { type OpenTelemetryMeter, observeMetrics } from './metrics/opentelemetry.ts';
export { type PromClientRegistry, registerMetrics } from './metrics/prom-client.ts';
