/**
 * Metrics as text: OpenMetrics 1.0, and Prometheus' text format 0.0.4
 * (https://prometheus.io/docs/specs/om/open_metrics_spec/,
 * https://prometheus.io/docs/instrumenting/exposition_formats/).
 * @module
 */
import { type Labels, type Metric, type Sample, sampleName, type TunnelMetric } from './metric.ts';
import type { MetricsSource } from './source.ts';
import { NAMESPACE_METRICS, TUNNEL_METRICS } from './table.ts';
import type { TunnelSeries } from './tunnel-series.ts';

export type TextFormat = 'openmetrics' | 'classic';

/** What each format is called in HTTP. */
export const CONTENT_TYPES: Readonly<Record<TextFormat, string>> = {
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
  classic: 'text/plain; version=0.0.4; charset=utf-8',
};

/** The format that a request's `Accept` prefers: the one with the higher weight (RFC 9110, 12.4.2). */
export function formatFor(accept: string | undefined): TextFormat {
  const weight = (wanted: RegExp) => {
    let best = 0;
    for (const range of (accept ?? '').split(',', 64)) {
      if (!wanted.test(range)) continue;
      const q = /;\s*q=([\d.]+)/i.exec(range)?.[1];
      best = Math.max(best, q === undefined ? 1 : Number(q) || 0);
    }
    return best;
  };
  const open = weight(/^\s*application\/openmetrics-text(?!.*version=(?!1\.0\.0|0\.0\.1))/i);
  const classic = weight(/^\s*(text\/plain|text\/\*|\*\/\*)/i);
  return open > 0 && open >= classic ? 'openmetrics' : 'classic';
}

const ESCAPED: Readonly<Record<string, string>> = { '\\': '\\\\', '"': '\\"', '\n': '\\n' };
const escaped = (text: string) => text.replace(/[\\"\n]/g, (one) => ESCAPED[one] ?? one);

/** Labels as in braces. An empty label is the same as none (Prometheus' data model). */
function labelText(labels: Labels): string {
  let text = '';
  for (const name in labels) {
    const value = labels[name];
    if (value) text += `${text === '' ? '' : ','}${name}="${escaped(value)}"`;
  }
  return text;
}

const joined = (...texts: readonly string[]) => {
  const text = texts.filter((one) => one !== '').join(',');
  return text === '' ? '' : `{${text}}`;
};

const number = (value: number): string =>
  Number.isFinite(value) ? String(value) : value > 0 ? '+Inf' : value < 0 ? '-Inf' : 'NaN';

/** The lines before a metric's values. */
function head(metric: Metric, format: TextFormat): string {
  const { name, type, unit, help } = metric;
  if (format === 'openmetrics') {
    const text = `# TYPE ${name} ${type}\n# HELP ${name} ${escaped(help)}\n`;
    return unit === undefined
      ? text
      : `# TYPE ${name} ${type}\n# UNIT ${name} ${unit}\n# HELP ${name} ${escaped(help)}\n`;
  }
  const sample = sampleName(metric);
  const plain = help.replace(/[\\\n]/g, (one) => ESCAPED[one] ?? one);
  return `# HELP ${sample} ${plain}\n# TYPE ${sample} ${type === 'info' ? 'gauge' : type}\n`;
}

/** A metric with given samples. */
export function* familyText(
  metric: Metric,
  samples: Iterable<Sample>,
  format: TextFormat,
): Generator<string, undefined> {
  let text = '';
  const name = sampleName(metric);
  for (const { labels, value } of samples) {
    text += `${name}${joined(labelText(labels))} ${number(value)}\n`;
  }
  if (text !== '') yield head(metric, format) + text;
}

/** Series rendered before others get a turn. */
const SOME = 128;

/** A metric of all tunnels. The text of labels is built once for each series. */
function* tunnelText(
  metric: TunnelMetric,
  sources: readonly { readonly source: MetricsSource; readonly series: readonly TunnelSeries[] }[],
  format: TextFormat,
): Generator<string, undefined> {
  const name = `${sampleName(metric)}{`;
  const { points, more } = metric;
  const ends = points.map((labels) => {
    const text = labelText(labels);
    return text === '' ? '} ' : `,${text}} `;
  });
  let text = '';
  let some = 0;
  let begun = false;
  for (const { source, series } of sources) {
    for (const one of series) {
      one.text ??= labelText({ netns: source.netns, tunnel: one.label });
      const start = name + one.text;
      const extra = more ? labelText(more(one)) : '';
      const labels = extra === '' ? '' : `,${extra}`;
      for (let point = 0; point < points.length; point++) {
        const value = metric.value(one, point);
        if (value === undefined) continue;
        text += `${start}${labels}${ends[point]}${number(value)}\n`;
      }
      if (++some % SOME === 0) {
        yield begun ? text : head(metric, format) + text;
        begun = true;
        text = '';
      }
    }
  }
  if (text !== '') yield begun ? text : head(metric, format) + text;
}

/**
 * Everything that is known about tunnels and their namespaces, piece by piece: others may run in
 * between. A piece is small; join them before writing.
 */
export function* metricsText(
  sources: readonly MetricsSource[],
  format: TextFormat,
): Generator<string, undefined> {
  const all = sources.map((source) => {
    source.update();
    return { source, series: [...source.tunnels] };
  });
  const withOthers = all.map(({ source, series }) =>
    source.tunnels.unlabelled > 0
      ? { source, series: [...series, source.tunnels.others] }
      : { source, series },
  );
  for (const metric of TUNNEL_METRICS) {
    yield* tunnelText(metric, metric.type === 'counter' ? withOthers : all, format);
  }
  for (const metric of NAMESPACE_METRICS) {
    const samples = function* () {
      for (const source of sources) {
        for (const { labels, value } of metric.samples(source)) {
          yield { labels: { netns: source.netns, ...labels }, value };
        }
      }
    };
    yield* familyText(metric, samples(), format);
  }
}
