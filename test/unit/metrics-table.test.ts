/** The list of metrics follows the conventions of Prometheus and OpenMetrics. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type NamespaceMetric, TUNNEL_LABELS } from '../../lib/metrics/metric.ts';
import type { MetricsSource } from '../../lib/metrics/source.ts';
import { METRICS } from '../../lib/metrics/table.ts';

test('names are in base units, unique, and say what they count', () => {
  const names = METRICS.map(({ name }) => name);
  assert.equal(new Set(names).size, names.length);
  for (const { name, type, unit, help, labels } of METRICS) {
    assert.match(name, /^(xfrm|process)(_[a-z]+)+$/);
    assert.doesNotMatch(name, /_(total|info|count|sum|bucket|created)$/, name);
    if (unit !== undefined) assert(name.endsWith(`_${unit}`), name);
    if (/_(bytes|seconds|ratio)$/.test(name)) assert.equal(unit, name.split('_').at(-1), name);
    if (name.includes('_timestamp_')) assert.equal(type, 'gauge', name);
    assert.match(help, /^[A-Z].*\.$/s, name);
    // None that changes with each rekey.
    for (const label of [...TUNNEL_LABELS, ...labels]) {
      assert.match(label, /^[a-z]+(_[a-z]+)*$/);
      assert.doesNotMatch(label, /spi|key|uid|instance|job/, name);
    }
  }
});

test('flushes are counted from 0, so that the first is an increase', () => {
  const all = METRICS.find(({ name }) => name === 'xfrm_events') as NamespaceMetric;
  const flushed = { kind: 'FLUSHSA', reason: undefined, count: 2 };
  const samples = all.samples({ events: [flushed] } as unknown as MetricsSource);
  assert.deepEqual(
    Array.from(samples, ({ labels, value }) => [labels.kind, value]),
    [
      ['FLUSHSA', 2],
      ['FLUSHPOLICY', 0],
    ],
  );
});
