/**
 * Metrics as text: OpenMetrics 1.0, and Prometheus' text format 0.0.4
 * (https://prometheus.io/docs/specs/om/open_metrics_spec/,
 * https://prometheus.io/docs/instrumenting/exposition_formats/).
 * @module
 */
import { type Metric, type Sample, sampleName } from './metric.ts';
import { escaped, labelText, SeriesReading } from './series-text.ts';
import type { MetricsSource } from './source.ts';
import { NAMESPACE_METRICS, TUNNEL_METRICS } from './table.ts';

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

const joined = (...texts: readonly string[]) => {
  const text = texts.filter((one) => one !== '').join(',');
  return text === '' ? '' : `{${text}}`;
};

/** The lines before a metric's values. */
function head(metric: Metric, format: TextFormat): string {
  const { name, type, unit, help } = metric;
  if (format === 'openmetrics') {
    const unitLine = unit === undefined ? '' : `# UNIT ${name} ${unit}\n`;
    return `# TYPE ${name} ${type}\n${unitLine}# HELP ${name} ${escaped(help)}\n`;
  }
  const sample = sampleName(metric);
  const plain = escaped(help, /[\\\n]/g);
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
    text += `${name}${joined(labelText(labels))} ${value}\n`;
  }
  if (text !== '') yield head(metric, format) + text;
}

/**
 * Everything that is known about tunnels and their namespaces, piece by piece: others may run in
 * between. A piece is small, or empty; copy it before the next, which may take its place.
 *
 * It is one view: all values of a tunnel are of the same moment, since they are read together before
 * the first line is written, in blocks of tunnels. The blocks, and the values of namespaces, follow
 * each other within the milliseconds that reading takes; none is older than the request. The
 * counters of all tunnels are of the same reading, unless the next one ends in that time.
 */
export function* metricsText(
  sources: readonly MetricsSource[],
  format: TextFormat,
): Generator<string | Uint8Array, undefined> {
  const readings: [MetricsSource, SeriesReading][] = [];
  try {
    yield* text(sources, format, readings);
  } finally {
    SeriesReading.release(readings.map(([, reading]) => reading));
  }
}

function* text(
  sources: readonly MetricsSource[],
  format: TextFormat,
  readings: [MetricsSource, SeriesReading][],
): Generator<string | Uint8Array, undefined> {
  for (const source of sources) {
    const updating = source.updating();
    while (!updating.next().done) yield '';
    const reading = source.reading();
    let step = reading.next();
    for (; !step.done; step = reading.next()) yield '';
    readings.push([source, step.value]);
  }
  const ofNamespaces: string[] = [];
  for (const metric of NAMESPACE_METRICS) {
    const samples = function* () {
      for (const source of sources) {
        for (const { labels, value } of metric.samples(source)) {
          yield { labels: { netns: source.netns, ...labels }, value };
        }
      }
    };
    ofNamespaces.push(...familyText(metric, samples(), format));
    yield '';
  }
  for (const metric of TUNNEL_METRICS) {
    let begun = false;
    for (const [{ tunnels }, reading] of readings) {
      for (const bytes of reading.lines(metric, tunnels.others)) {
        if (!begun) yield head(metric, format);
        yield bytes;
        begun = true;
      }
    }
  }
  yield* ofNamespaces;
}
