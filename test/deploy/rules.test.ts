/** contrib/prometheus-rules.yml: the alerts that incidents raise, by promtool. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { stringify } from 'yaml';
import { HEALTHY, INCIDENTS, type Incident } from './incidents.ts';
import { promtool, RULES, readRules } from './prometheus.ts';
import { temporary } from './support.ts';

const rules = readRules().groups.flatMap((group) => group.rules);
const alerts = rules.flatMap(({ alert }) => (alert === undefined ? [] : [alert]));

test('Prometheus takes the rules', async () => {
  assert.match(await promtool(['check', 'rules', RULES]), /SUCCESS: \d+ rules found/);
});

/** An incident as promtool takes it. All series have the labels that a scrape adds. */
const asTest = ({ what, series, firing }: Incident) => ({
  name: what,
  interval: '1m',
  input_series: Object.entries({ ...HEALTHY, ...series }).map(([name, values]) => ({
    series: name.replace('{', '{instance="gw",').replace(',}', '}'),
    values,
  })),
  promql_expr_test: Object.entries(firing).map(([minute, names]) => ({
    expr: 'count by (alertname) (ALERTS{alertstate="firing"})',
    eval_time: `${minute}m`,
    exp_samples: names.map((name) => ({ labels: `{alertname="${name}"}`, value: 1 })),
  })),
});

test('each incident raises its alerts, in time, and no others', async () => {
  const file = join(temporary(), 'incidents.yml');
  const tests = INCIDENTS.map(asTest);
  writeFileSync(file, stringify({ rule_files: [RULES], evaluation_interval: '1m', tests }));
  assert.match(await promtool(['test', 'rules', file]), /SUCCESS/);
});

test('an incident that raises none, or another alert, fails', async () => {
  const file = join(temporary(), 'incidents.yml');
  const [healthy] = INCIDENTS;
  const wrong = { ...(healthy as Incident), firing: { 5: ['IpsecTunnelDown'] } };
  writeFileSync(
    file,
    stringify({ rule_files: [RULES], evaluation_interval: '1m', tests: [asTest(wrong)] }),
  );
  await assert.rejects(promtool(['test', 'rules', file]), /IpsecTunnelDown/);
});

test('each alert has an incident, a severity and texts', () => {
  const raised = new Set(INCIDENTS.flatMap(({ firing }) => Object.values(firing).flat()));
  assert.deepEqual([...raised].sort(), [...alerts].sort());
  for (const { alert, labels, annotations } of rules) {
    if (alert === undefined) continue;
    assert.match(labels?.severity ?? '', /^(critical|warning|info)$/, alert);
    assert.match(annotations?.summary ?? '', /\$labels\.instance/, alert);
    assert.match(annotations?.description ?? '', /\.$/, alert);
  }
});
