/** What refers to the list of metrics: documentation, dashboard and rules. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { sampleName, TUNNEL_LABELS } from '../../lib/metrics/metric.ts';
import { METRICS } from '../../lib/metrics/table.ts';
import { dashboard, QUERIES } from '../../tools/dashboard.ts';
import { generatedFiles } from '../../tools/generate-metrics.ts';
import { readRules } from '../deploy/prometheus.ts';

const root = join(import.meta.dirname, '../../..');
const rules = readRules().groups.flatMap((group) => group.rules);

/** Names of series, and those that rules record. */
const known = new Set([
  ...METRICS.map(sampleName),
  ...rules.flatMap(({ record }) => (record === undefined ? [] : [record])),
]);

/** The selectors of an expression: the name of a series, and its labels. */
const selectors = (expression: string) =>
  Array.from(
    expression.matchAll(/([a-z]+:)?\b(xfrm|process)_\w+(:\w+)?(?:\{([^}]*)\})?/g),
    ([all = '', , , , labels = '']) => ({
      name: all.replace(/\{.*/, ''),
      labels: Array.from(labels.matchAll(/(\w+)(?:=~|=|!=|!~)"/g), ([, label = '']) => label),
    }),
  );

/** What is wrong with the series that an expression names. */
function* problems(expression: string): Generator<string> {
  for (const { name, labels } of selectors(expression)) {
    if (!known.has(name)) yield `${name} is not a metric: ${expression}`;
    const metric = METRICS.find((one) => sampleName(one) === name);
    for (const label of labels) {
      const all = [...(metric?.labels ?? []), ...TUNNEL_LABELS, 'instance', 'job'];
      if (!all.includes(label)) yield `${name} has no label ${label}: ${expression}`;
    }
  }
}

test('generated files are up to date (npm run generate)', () => {
  for (const [path, text] of Object.entries(generatedFiles())) {
    assert.equal(readFileSync(join(root, path), 'utf8'), text, path);
  }
});

test('rules and dashboard use only metrics and labels that exist', () => {
  const expressions = [...rules.map(({ expr }) => expr), ...QUERIES];
  assert.deepEqual(
    expressions.flatMap((one) => [...problems(one)]),
    [],
  );
  assert.deepEqual(
    [...problems('rate(xfrm_tunnel_bytes[5m]) + xfrm_tunnel_up{spi="1"}')].length,
    2,
  );
});

/** The kernel's file of error counters, which is not a metric. */
const FILE = 'xfrm_stat';

test('documentation names only metrics that exist', () => {
  const documents = ['README.md', 'docs/serve.md', 'docs/deploying.md'];
  const texts = documents.map((path) => readFileSync(join(root, path), 'utf8'));
  assert.deepEqual(
    texts.flatMap(selectors).filter(({ name }) => !known.has(name) && name !== FILE),
    [],
  );
});

/** Not plotted: the version, and what only alerts need. */
const NOT_PLOTTED = [
  'xfrm_serve_info',
  'xfrm_tunnel_counting_since_timestamp_seconds',
  'xfrm_serve_config_last_reload_success_timestamp_seconds',
  'xfrm_serve_state_writes_total',
  'process_start_time_seconds',
];

test('every metric is on the dashboard or in a rule', () => {
  const used = new Set(
    [...rules.map(({ expr }) => expr), ...QUERIES].flatMap(selectors).map(({ name }) => name),
  );
  const unused = METRICS.map(sampleName).filter((name) => !used.has(name));
  assert.deepEqual(unused.sort(), [...NOT_PLOTTED].sort());
});

test('the table of tunnels shows milliseconds as a time', () => {
  const { panels } = dashboard() as {
    panels: {
      type: string;
      targets: { expr: string }[];
      fieldConfig: { defaults: { unit?: string } };
    }[];
  };
  const tables = panels.filter(({ type }) => type === 'table');
  assert.deepEqual(
    tables.map(({ fieldConfig }) => fieldConfig.defaults.unit),
    ['dateTimeAsIso'],
  );
  assert(tables.every(({ targets }) => targets.some(({ expr }) => expr.startsWith('1000 * '))));
});

test('panels do not overlap, and each has a description', () => {
  const taken = new Set<string>();
  const { panels } = dashboard() as {
    panels: {
      id: number;
      type: string;
      title: string;
      description?: string;
      gridPos: { x: number; y: number; w: number; h: number };
    }[];
  };
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
  for (const { type, title, description, gridPos } of panels) {
    const { x, y, w, h } = gridPos;
    assert(x + w <= 24, title);
    if (type !== 'row') assert.match(description ?? '', /\.$/, title);
    for (let i = x; i < x + w; i++) {
      for (let j = y; j < y + h; j++) {
        assert(!taken.has(`${i} ${j}`), title);
        taken.add(`${i} ${j}`);
      }
    }
  }
});
