/** What the benchmark makes of its measurements. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Comparison, Outcome } from '../../bench/compare.ts';
import { plot } from '../../bench/plot.ts';
import { processorKind } from '../../bench/processor.ts';
import { hasQuick, merged, type Recorded, regressions } from '../../bench/recorded.ts';
import {
  byPlace,
  comparisonTable,
  report,
  sideBySideTable,
  summary,
  versionsTable,
} from '../../bench/report.ts';
import { requirements } from '../../bench/requirements.ts';
import { BENCH_SCHEMA, MOST_EVENTS, type Part, type Results, SPREAD } from '../../bench/results.ts';
import { quantile, ratios, spread, unsteadiness } from '../../bench/stats.ts';

const outcome = (name: string, base: string, cpu: number[], lost = [0], rate = [700_000]) =>
  ({ name, title: name, base, cpu, lost, rate }) satisfies Outcome;

/** As it comes back from JSON, where NaN is null. */
const comparison: Comparison = JSON.parse(
  JSON.stringify({
    name: 'policies',
    title: 'a & b',
    events: 10,
    rounds: 3,
    buffer: 2 ** 26,
    outcomes: [
      outcome('floor', 'floor', [1, 2, 4], [0, 0, 0]),
      outcome('recvmsg', 'floor', [1.5, 3, 6], [0, 0, 0]),
      outcome('raw', 'floor', [1.2, 2.6, 4.4], [0, 0, 0]),
      outcome('decoded', 'floor', [1.7, 3.7, 6.8], [0, 0, 0]),
      outcome('npm-netlink', 'floor', [Number.NaN, 8, 16], [Number.NaN, 3, 5]),
      outcome('ip', 'ip', [2, 4, 8], [1, 2, 3]),
      outcome('text', 'ip', [1.2, 2.4, 4], [0, 0, 0]),
    ],
  }),
);

function results(host: Partial<Part>, quick = false): Results {
  return {
    schema: BENCH_SCHEMA,
    begun: '2026-01-01T00:00:00.000Z',
    seconds: 60,
    quick,
    machine: { kind: 'p, family 1', processors: 2, node: 'v20', load: [0, 0, 0] },
    host: { kernel: '6', comparisons: [], ...host },
    leftOut: [],
  };
}

test('quantiles lie between the values, and ratios are computed per round', () => {
  assert.equal(quantile([4, 1, 3, 2], 0.5), 2.5);
  assert.equal(quantile([1, 2, 3, 4, 5], 0.99), 4.96);
  assert.deepEqual(ratios([2, 9], [1, 3]), [2, 3]);
  assert.deepEqual(spread([Number.NaN, 3, 1, 2]), { median: 2, least: 1, most: 3 });
});

test('a table has ratios with their spread, and reports losses', () => {
  const rows = comparisonTable(comparison)
    .split('\n')
    .map((line) => line.split('|').map((cell) => cell.trim()));
  const row = (name: string) => rows.find(([, title]) => title === name)?.slice(2, 6);
  assert.deepEqual(row('decoded'), ['3.70 (1.70–6.80)', '1.70 (1.70–1.85)', '', '0']);
  assert.deepEqual(row('text'), ['2.40 (1.20–4.00)', '1.20 (1.00–1.20)', '0.60 (0.50–0.60)', '0']);
  assert.deepEqual(row('npm-netlink'), [
    '12.00 (8.00–16.00)',
    '4.00 (4.00–4.00)',
    '',
    '4; ended by a loss in 1 of 3',
  ]);
});

test('requirements are checked against medians', () => {
  const met = (one: Partial<Part>) => requirements(results(one)).map((each) => each.met);
  // raw, decoded twice, text, losses
  assert.deepEqual(met({ comparisons: [comparison] }), [true, true, true, true, true]);
  const [floor, recvmsg, raw, decoded, , ip, text] = comparison.outcomes as Outcome[];
  const slower = {
    ...comparison,
    outcomes: [
      floor,
      recvmsg,
      { ...raw, cpu: [1.31, 2.62, 5.24] },
      { ...decoded, cpu: [2.56, 5.12, 10.24], lost: [0, 1, 0] },
      ip,
      { ...text, cpu: [1.31, 2.62, 5.24] },
    ] as Outcome[],
  };
  assert.deepEqual(met({ comparisons: [slower] }), [false, false, false, false, false]);
  // Where the floor loses too, nobody is to blame.
  const outcomes = slower.outcomes.map((one) => ({ ...one, lost: [1, 0, 0] }));
  assert.equal(met({ comparisons: [{ ...slower, outcomes }] })[4], true);
  const filled = (rate: number[]) => ({
    ...comparison,
    name: 'newsa-filled',
    outcomes: [outcome('decoded', 'floor', [1], [0], rate)],
  });
  assert.deepEqual(met({ comparisons: [filled([500_000, 600_000, 700_000])] }), [true]);
  assert.deepEqual(met({ comparisons: [filled([500_000, 599_999, 700_000])] }), [false]);
  const latency = { title: '', load: 'idle', samples: 1, median: 1 };
  const base = { ...latency, name: 'floor', p99: 100, most: 1 };
  const judged = (p99: number, most: number) =>
    met({ latencies: [base, { ...latency, name: 'decoded', p99, most }] });
  assert.deepEqual(judged(300, 3000), [true, true]);
  assert.deepEqual(judged(301, 3001), [false, false]);
  const busy = { ...latency, name: 'decoded', load: MOST_EVENTS, p99: 50_001, most: 1 };
  assert.deepEqual(met({ latencies: [busy] }), [false]);
  const codec = { title: SPREAD, codec: 1500, naive: 1 };
  assert.deepEqual(met({ codec: [codec] }), [true]);
  const times = { add: [10, 30], 'add with ip': [20, 30], delete: [21], 'delete with ip': [20] };
  const requests = { of: 'SAs', entries: 10_000, times } as const;
  assert.deepEqual(met({ requests }), [true, false]);
  const memory = { title: '', events: 1, early: 5, earlyRss: 7 };
  const grown = { late: 5 + 2 ** 20, rss: 7 + 2 ** 24 };
  assert.deepEqual(met({ memory: [{ ...memory, ...grown }] }), [false, false]);
  const less = { late: grown.late - 1, rss: grown.rss - 1 };
  assert.deepEqual(met({ memory: [{ ...memory, ...less }] }), [true, true]);
  const dump = (open: number[], bytesEach: number, more = 0, of: 'SAs' | 'policies' = 'SAs') => {
    const [refreshed, longestTurns] = [
      [0.6, 0.7 + more, 0.9],
      [4, 10 + more],
    ];
    const times = { ip: [10, 20, 30], open };
    return met({ dump: { of, entries: 100_000, times, bytesEach, refreshed, longestTurns } });
  };
  assert.deepEqual(dump([4, 10, 16], 900), [true, true, true, true]);
  assert.deepEqual(dump([4, 11, 16], 901, 0.1), [false, false, false, false]);
  assert.deepEqual(dump([12, 23, 36], 1000, 0, 'policies'), [true, true, true, true]);
  assert.deepEqual(dump([12, 25, 37], 1001, 0.1, 'policies'), [false, false, false, false]);
  assert.deepEqual(requirements(results({ comparisons: [slower] }, true)), []);
});

test('results are kept by kind of processor, side by side', () => {
  const first = merged({}, results({ comparisons: [comparison] }));
  const { machine, ...rest } = results({ comparisons: [comparison] });
  const both = merged(first, { ...rest, machine: { ...machine, kind: 'q, family 2' } });
  const rows = sideBySideTable(both).split('\n');
  assert.match(rows[0] ?? '', /p, family 1 +\| q, family 2/);
  assert.match(
    rows.find((row) => row.includes(': text')) ?? '',
    /≤ 0.65 +\| ≤ 0.5 +\| 0.60 +\| 0.60 /,
  );
  // Parts measured later take the place of earlier ones, and leave the others.
  const again = merged(both, results({ latencies: [] }));
  assert.deepEqual(again, both);
});

test('a quick run fails on losses, and on ratios a third worse than on the same kind of processor', () => {
  const recorded: Recorded = merged({}, results({ comparisons: [comparison] }, true));
  const change = (name: string, to: Partial<Outcome>) => {
    const outcomes = comparison.outcomes.map((one) =>
      one.name === name ? { ...one, ...to } : one,
    );
    return results({ comparisons: [{ ...comparison, outcomes }] }, true);
  };
  const regressed = (run: Results) => regressions(recorded, run);
  assert.deepEqual(regressed(change('raw', { cpu: [1.5, 3, 6] })), []);
  assert.match(regressed(change('raw', { cpu: [1.61, 3.3, 6.5] }))[0] ?? '', /policies raw: 1.6/);
  assert.match(regressed(change('text', { lost: [0, 7, 0] }))[0] ?? '', /text lost 7 events/);
  // Another kind of processor has no record; a loss is one everywhere.
  const { machine, ...rest } = change('raw', { cpu: [9, 9, 9], lost: [1, 0, 0] });
  const other = { ...rest, machine: { ...machine, kind: 'q' } };
  assert.equal(regressed(other).length, 1);
  assert.deepEqual(
    [hasQuick(recorded, change('raw', {})), hasQuick(recorded, other)],
    [true, false],
  );
  // What a whole run found is no record for a quick one.
  const whole = merged({}, results({ comparisons: [comparison] }));
  assert.equal(hasQuick(whole, change('raw', {})), false);
});

test('two versions are compared in alternating runs', () => {
  const two = {
    ...comparison,
    outcomes: [outcome('raw', 'raw@', [1, 2, 3]), outcome('raw@', 'raw@', [2, 4, 8])],
  };
  assert.match(
    versionsTable(two, 'abc'),
    /\| raw +\| 2.00 \(1.00–3.00\) +\| 4.00 .* \| 0.500 \(0.375–0.500\) \|$/,
  );
  assert.equal(unsteadiness([1, 2, 3, 4, 5]), 2 / 3);
  assert.equal(unsteadiness([]), 0);
});

test('the report says if rows were repeated, and counts all runs', () => {
  const [floor, ...rest] = comparison.outcomes as [Outcome, ...Outcome[]];
  const repeated = [{ ...floor, cpu: [...floor.cpu, 1] }, ...rest];
  const all = (one: Comparison) => results({ comparisons: [one] });
  assert.match(report(all(comparison)), /10 events, 3 rounds,/);
  assert.match(summary(all(comparison)), /^bench: 21 runs /);
  const longer = all({ ...comparison, outcomes: repeated });
  assert.match(report(longer), /10 events, at least 3 rounds,/);
  assert.match(summary(longer), /^bench: 22 runs /);
});

test('the report has the rate of the flood as it was measured, and what was compared beside it', () => {
  const served = {
    ...{ tunnels: 100, streams: 5, scrape: 1, scrapeCpu: 1, scrapeBytes: 1, zipped: 1, longest: 1 },
    ...{ idle: 1, refresh: 5000, resident: 1 },
    browsers: { first: 10, last: 1234, cpu: 7, again: 3, idle: 2 },
    flood: {
      ...{ scrape: 7, most: 9, scrapes: 4, longest: 3 },
      ...{ events: 1_000_000, rate: 61_234.4, dropped: 12, cpu: 3.21 },
    },
    beside: [{ title: 'other', knows: 'no tunnel', ms: 2, cpu: 1, resident: 2 ** 24, bytes: 2048 }],
  };
  const scrapers = { tunnels: 100, all: served.beside };
  const lab = { kernel: '7', comparisons: [], scrapers };
  const whole = { ...results({ served, comparisons: [comparison] }), lab };
  const { daemon, others } = byPlace(whole);
  assert(daemon && others);
  assert.doesNotMatch(report(others), /daemon|Prometheus/);
  assert.equal(byPlace(results({ served })).others, undefined);
  const text = report(daemon);
  assert.doesNotMatch(text, /a & b/);
  assert.match(
    text,
    /a scrape with these browsers and 61,234 events a second +\| 7 ms \(at most 9/,
  );
  assert.match(text, /5 browsers that open the page at once.*after 10 and 1,234 ms/);
  assert.match(text, /events dropped, of 1,000,000 +\| 12 /);
  assert.match(text, /processor time for each event that was read +\| 3.2 µs/);
  assert.match(text, /beside it: other, a scrape \(no tunnel\) +\| 2.0 ms/);
  assert.match(text, /\| other +\| 2 +\| 1 +\| 16 +\| 2 +\| no tunnel/);
  assert.match(text, /idle, the counters read every 5 s/);
});

test('results that an option cannot use are refused', () => {
  const folder = mkdtempSync(join(tmpdir(), 'netlink-xfrm-'));
  const file = join(folder, 'results.json');
  const main = join(import.meta.dirname, '../../bench/main.js');
  const refused = (written: object, ...args: string[]) => {
    writeFileSync(file, JSON.stringify(written));
    const { status, stderr } = spawnSync(process.execPath, [main, '--from', file, ...args], {
      encoding: 'utf8',
    });
    assert.equal(status, 2, stderr);
    return stderr;
  };
  try {
    const one = results({ comparisons: [comparison] });
    const old = { ...one, schema: 'netlink-xfrm/bench/1' };
    assert.match(refused(old), /has no results of the format netlink-xfrm\/bench\/3/);
    assert.match(refused({ ...one, quick: true }, '--docs'), /--docs needs a whole run/);
    const two = { ...one, against: 'abc' };
    assert.match(refused(two, '--docs'), /--docs needs results of one version.*--against abc/);
    assert.match(refused(two, '--record'), /--record needs results of one version/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a processor type is identified by its name, generation and page tables', () => {
  const info =
    'processor : 0\ncpu family\t: 25\nmodel\t\t: 1\nmodel name\t: AMD EPYC\nstepping\t: 1\n';
  assert.equal(processorKind(info, 'Not affected\n'), 'AMD EPYC, family 25, model 1');
  assert.equal(
    processorKind('', 'Mitigation: PTI\n'),
    '?, family ?, model ?, page-table isolation',
  );
});

test('the first test of a suite in the lab has five seconds', () => {
  const judge = (begun: number[]) => {
    const firstTest = { kernel: '7', begun, ended: begun, whole: begun };
    const all = { ...results({}), firstTest };
    assert.match(report(all), /from the start of the kernel to the first test +\| 4\.0 /);
    return requirements(all).map(({ met }) => met);
  };
  assert.deepEqual(judge([3, 4, 9]), [true]);
  assert.deepEqual(judge([4, 4, 4]), [true]);
  assert.deepEqual(
    requirements({
      ...results({}),
      firstTest: { kernel: '7', begun: [5.1], ended: [], whole: [] },
    }).map(({ met }) => met),
    [false],
  );
});

test('the plot has a bar for each contestant', () => {
  const svg = plot([comparison]);
  assert.equal(svg.match(/<rect /g)?.length, 1 + comparison.outcomes.length);
  assert.match(svg, /a &amp; b/);
  assert.doesNotMatch(svg, /NaN|Infinity/);
});
