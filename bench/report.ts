/**
 * Results as Markdown tables for docs/performance.md.
 * @module
 */
import { type Comparison, numbers, type Outcome, ratiosOf } from './compare.ts';
import { otherName } from './contestants.ts';
import { type Recorded, sideBySide } from './recorded.ts';
import { requirements } from './requirements.ts';
import type { Part, Results } from './results.ts';
import { median, ratios, spread } from './stats.ts';
import type { FirstTest } from './suite.ts';
import type { Dump, Task } from './tables.ts';

type Row = readonly string[];

/** The version of a kernel, without its build suffix. */
const version = ({ kernel }: Part): string => /^[\d.]*\d/.exec(kernel)?.[0] ?? kernel;

/** A table with columns as wide as needed. */
function table(head: Row, rows: readonly Row[]): string {
  const widths = head.map((_, i) =>
    Math.max(...[head, ...rows].map((row) => (row[i] ?? '').length)),
  );
  const line = (row: Row) => `| ${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(' | ')} |`;
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`;
  return [line(head), rule, ...rows.map(line)].join('\n');
}

const mib = (bytes: number) => (bytes / 2 ** 20).toFixed(0);
const count = (value: number) => Math.round(value).toLocaleString('en-US');
const range = (values: readonly number[], digits: number) => {
  const { median: middle, least, most } = spread(values);
  if (Number.isNaN(middle)) return '-';
  const text = middle.toFixed(digits);
  return values.length === 1 ? text : `${text} (${least.toFixed(digits)}–${most.toFixed(digits)})`;
};

function lost({ lost: all }: Outcome): string {
  const known = numbers(all);
  const ended = known.filter(Number.isNaN).length;
  const rest = spread(known);
  const told = Number.isNaN(rest.median) ? '' : count(rest.median);
  const text = ended === 0 ? '' : `ended by a loss in ${ended} of ${known.length}`;
  return [told, text].filter((one) => one !== '').join('; ');
}

function dumpTitles({ of, entries }: Dump): Readonly<Record<Task, string>> {
  const [kind, list] = of === 'SAs' ? ['state', 'listStates()'] : ['policy', 'listPolicies()'];
  return {
    ip: `ip xfrm ${kind} list > /dev/null`,
    list,
    open: 'XfrmMonitor.open()',
    refresh: 'XfrmMonitor.refresh()',
    resync: `resync after ${count(entries / 50)} unread changes`,
  };
}

/** Two versions in alternating runs: their times, and the ratios of this one's to the other's. */
export function versionsTable(comparison: Comparison, commit: string): string {
  const { outcomes } = comparison;
  const rows = outcomes.flatMap((one) => {
    const other = outcomes.find(({ name }) => name === otherName(one.name));
    if (other === undefined) return [];
    const [now, before] = [one, other].map(({ cpu }) => range(numbers(cpu), 2)) as [string, string];
    return [[one.title, now, before, range(ratiosOf(comparison, one.name, other.name), 3)]];
  });
  return table(['', 'µs an event', `at ${commit}`, 'ratio'], rows);
}

/** Requirements and what was found, with a column for each kind of processor. */
export function sideBySideTable(recorded: Recorded): string {
  const { head, rows } = sideBySide(recorded);
  return table(head, rows);
}

export function comparisonTable(comparison: Comparison): string {
  const { outcomes } = comparison;
  const has = (name: string) => outcomes.some((one) => one.name === name);
  return table(
    ['', 'µs an event', '× the floor', '× ip', 'lost', 'events/s'],
    outcomes.map((one) => [
      one.title,
      range(numbers(one.cpu), 2),
      has('floor') ? range(ratiosOf(comparison, one.name, 'floor'), 2) : '',
      one.base === 'ip' && has('ip') ? range(ratiosOf(comparison, one.name, 'ip'), 2) : '',
      lost(one),
      one.rate.length === 0 ? '' : count(median(one.rate)),
    ]),
  );
}

function partText(part: Part, against?: string): string[] {
  const texts: string[] = [];
  for (const comparison of part.comparisons) {
    const { title, events, rounds, buffer, outcomes } = comparison;
    const repeated = outcomes.some(({ cpu }) => cpu.length > rounds);
    const shown =
      against === undefined ? comparisonTable(comparison) : versionsTable(comparison, against);
    texts.push(
      `### ${title}\n\n${count(events)} events, ${repeated ? 'at least ' : ''}${rounds} round${rounds === 1 ? '' : 's'}, a receive buffer of ` +
        `${buffer / 2 ** 20} MiB asked for, Linux ${version(part)}.\n\n${shown}`,
    );
  }
  const { latencies, dump, requests, storms, startup, memory, codec } = part;
  const { tunnels, verdicts, scale, served, scrapers } = part;
  if (latencies) {
    const rows = latencies.map(({ title, load, samples, median: middle, p99, most }) => [
      title,
      load,
      count(samples),
      ...[middle, p99, most].map((one) => count(one)),
    ]);
    const head = ['', 'alongside', 'changes', 'median µs', 'p99 µs', 'most µs'];
    texts.push(`### From the system call to the listener\n\n${table(head, rows)}`);
  }
  if (dump) {
    const titles = dumpTitles(dump);
    const rows = Object.entries(dump.times).map(([task, times]) => [
      titles[task as Task],
      range(times, 0),
      range(ratios(times, dump.times.ip ?? []), 2),
    ]);
    texts.push(
      `### ${count(dump.entries)} ${dump.of}\n\n${table(['', 'milliseconds', '× ip'], rows)}\n\n` +
        `Linux ${version(part)}. An entry takes ${count(dump.bytesEach)} bytes of a monitor's memory.`,
    );
  }
  if (requests) {
    const { of, entries, times } = requests;
    const rows = (['add', 'delete'] as const).flatMap((what) => {
      const [ours = [], ip = []] = [times[what], times[`${what} with ip`]];
      return [
        [`ip -batch, ${what}`, range(ip, 0), '1.00'],
        [`XfrmClient, ${what}`, range(ours, 0), range(ratios(ours, ip), 2)],
      ];
    });
    texts.push(
      `### ${count(entries)} ${of} added and deleted\n\n${table(['', 'milliseconds', '× ip'], rows)}\n\n` +
        `Linux ${version(part)}.`,
    );
  }
  if (storms) {
    const rows = storms.map((one) => [
      `${one.buffer >= 2 ** 20 ? `${one.buffer / 2 ** 20} MiB` : `${one.buffer / 1024} KiB`}`,
      count(one.events),
      count(one.dropped),
      count(one.resyncs),
      count(one.milliseconds),
    ]);
    const head = ['buffer', 'changes', 'dropped by the kernel', 'resyncs', 'ms until right'];
    texts.push(`### Live tables in a storm\n\n${table(head, rows)}`);
  }
  if (startup) {
    const rows = startup.map(({ title, times, cpu, more, ratio, resident }) => [
      title,
      range(times, 0),
      range(cpu, 0),
      count(more),
      ratio.toFixed(2),
      resident === undefined ? '' : count(resident / 1024),
    ]);
    const head = [
      ...['', 'ms', 'ms of a processor', 'more than Node', '× Node'],
      'KiB resident more than Node',
    ];
    texts.push(`### Start\n\n${table(head, rows)}`);
  }
  if (memory) {
    const kib = (bytes: number) => count(bytes / 1024);
    const rows = memory.map(({ title, events, early, late, earlyRss, rss }) => [
      title,
      count(events),
      kib(early),
      kib(late),
      kib(earlyRss),
      kib(rss),
    ]);
    const head = [
      ...['', 'events', 'KiB after a tenth', 'KiB at the end'],
      ...['KiB resident after a tenth', 'at the end'],
    ];
    texts.push(
      `### Memory\n\nJavaScript heap and buffers, after garbage collection.\n\n${table(head, rows)}`,
    );
  }
  if (codec) {
    const rows = codec.map(({ title, codec: ours, naive }) => [
      title,
      count(ours),
      count(naive),
      (naive / ours).toFixed(1),
    ]);
    texts.push(`### Codec\n\n${table(['', 'ns', 'plain version, ns', 'times as fast'], rows)}`);
  }
  if (tunnels) {
    const rows = tunnels.map(({ outcome, beside, samples, median: middle, p99, most }) => [
      outcome,
      count(beside),
      count(samples),
      ...[middle, p99, most].map((one) => one.toFixed(1)),
    ]);
    const head = ['', 'other tunnels', 'times', 'median ms', 'p99 ms', 'most ms'];
    texts.push(
      `### From the request to the tunnel event\n\nLinux ${version(part)}.\n\n${table(head, rows)}`,
    );
  }
  if (served) {
    const { browsers, flood } = served;
    const rows = [
      [`a scrape, ${mib(served.scrapeBytes)} MiB`, `${served.scrape.toFixed(0)} ms`],
      ['its processor time, all threads', `${served.scrapeCpu.toFixed(0)} ms`],
      ['the longest turn of the event loop meanwhile', `${served.longest.toFixed(1)} ms`],
      ['a scrape with gzip', `${served.zipped.toFixed(0)} ms`],
      [
        `idle, the counters read every ${served.refresh / 1000} s`,
        `${served.idle.toFixed(2)} % of a processor`,
      ],
      [
        `${served.streams} browsers that open the page at once: the first and the last has all tunnels`,
        `after ${count(browsers.first)} and ${count(browsers.last)} ms`,
      ],
      ['processor time for each, all threads', `${count(browsers.cpu)} ms`],
      ['of them told to come again', `${browsers.again} times`],
      ['idle, with these browsers', `${browsers.idle.toFixed(2)} % of a processor`],
      [
        `a scrape with these browsers and ${count(flood.rate)} events a second`,
        `${count(flood.scrape)} ms (at most ${count(flood.most)} ms of ${flood.scrapes})`,
      ],
      ['the longest turn of the event loop meanwhile', `${count(flood.longest)} ms`],
      [`events dropped, of ${count(flood.events)}`, count(flood.dropped)],
      ['processor time for each event that was read', `${flood.cpu.toFixed(1)} µs`],
      ['resident at the end, with the simulated kernel', `${mib(served.resident)} MiB`],
      ...served.beside.flatMap(({ title, ms, cpu, resident, knows }) => [
        [`beside it: ${title}, a scrape (${knows})`, `${ms.toFixed(1)} ms`],
        ['its processor time', `${cpu.toFixed(1)} ms`],
        ['its resident memory', `${mib(resident)} MiB`],
      ]),
    ];
    texts.push(
      `### The daemon with ${count(served.tunnels)} tunnels\n\nOf a kernel that is simulated in its process, which takes time and memory too; the events are real.\n\n${table(['', ''], rows)}`,
    );
  }
  if (scrapers) {
    const rows = scrapers.all.map(({ title, ms, cpu, resident, bytes, knows }) => [
      title,
      count(ms),
      count(cpu),
      mib(resident),
      count(bytes / 1024),
      knows,
    ]);
    const head = ['', 'ms a scrape', 'ms of a processor', 'MiB resident', 'KiB', 'numbers of'];
    texts.push(
      `### Numbers of ${count(scrapers.tunnels)} tunnels for Prometheus\n\nLinux ${version(part)}.\n\n${table(head, rows)}`,
    );
  }
  if (verdicts) {
    const { tunnels: many, open, refresh, change } = verdicts;
    const rows = (
      [
        ['opening', open, 'XfrmMonitor.open()'],
        ['a reading of the counters', refresh, 'XfrmMonitor.refresh()'],
        ['a tunnel down and up again', change, 'one tunnel only'],
      ] as const
    ).map(([what, { ours, beside }, than]) => {
      return [what, range(ours, 1), than, range(ratios(ours, beside), 2)];
    });
    const head = ['', 'ms', 'than', 'times as long'];
    texts.push(
      `### Verdicts on ${count(many)} tunnels\n\nLinux ${version(part)}.\n\n${table(head, rows)}`,
    );
  }
  if (scale) {
    const { open, down, storm, idle, refresh, many } = scale;
    const rows = [
      ['opening, of a processor', `${range(open.ours, 0)} ms`],
      ['the same with XfrmMonitor', `${range(open.beside, 0)} ms`],
      [`one goes down, ${count(down.samples)} times: median`, `${down.median.toFixed(1)} ms`],
      ['99th percentile', `${down.p99.toFixed(1)} ms`],
      ['most', `${down.most.toFixed(1)} ms`],
      [
        `all are rekeyed at once: ${count(storm.events)} events, until the last report`,
        `${count(storm.ms)} ms`,
      ],
      ['rekeys reported', count(storm.rekeyed)],
      ['reports of anything else', count(storm.wrong)],
      [`idle, the counters read every ${refresh / 1000} s`, `${idle.toFixed(2)} % of a processor`],
      [`opening ${count(many.tunnels)}, of a processor`, `${count(many.cpu)} ms`],
      ['the longest turn of the event loop meanwhile', `${count(many.longest)} ms`],
      ['the same with XfrmMonitor', `${count(many.longestBeside)} ms`],
      ['memory for each, with its SAs and policies', `${count(many.bytesEach)} bytes`],
    ];
    texts.push(
      `### TunnelMonitor with ${count(scale.tunnels)} tunnels\n\nOf a kernel that is simulated in its process, which takes time too: two SAs and three policies each.\n\n${table(['', ''], rows)}`,
    );
  }
  return texts;
}

function suiteText({ kernel, begun, ended, whole }: FirstTest): string {
  const rows = [
    ['from the start of the kernel to the first test', range(begun, 1)],
    ['to the end of it: two hosts, a tunnel, traffic that is watched', range(ended, 1)],
    ['the whole command, with Node and the guest’s start and end', range(whole, 1)],
  ];
  const runs = `${begun.length} run${begun.length === 1 ? '' : 's'}`;
  return `### A suite in the lab\n\nLinux ${kernel}, ${runs}.\n\n${table(['', 'seconds'], rows)}`;
}

/** The whole report. */
export function report(results: Results): string {
  const { begun, seconds, machine, host, lab, firstTest, leftOut } = results;
  const { kind, processors, node, load } = machine;
  const texts = [
    `Measured on ${begun.slice(0, 10)} in ${Math.round(seconds / 60)} minutes: ${processors} × ${kind}, ` +
      `Linux ${version(host)}, Node ${node}, load average ${load.map((one) => one.toFixed(1)).join(', ')} before.`,
  ];
  const judged = requirements(results);
  const rows = judged.map(({ what, required, aim, found, met }) => [
    what,
    required,
    aim ?? '',
    found,
    met ? 'yes' : 'NO',
  ]);
  if (rows.length > 0) {
    const head = ['', 'required', 'aimed at', 'found', 'met'];
    texts.push(`### Requirements\n\n${table(head, rows)}`);
  }
  texts.push(...partText(host, results.against));
  if (lab) texts.push(...partText(lab, results.against));
  if (firstTest) texts.push(suiteText(firstTest));
  if (leftOut.length > 0) texts.push(`Left out: ${leftOut.join('; ')}.`);
  return texts.join('\n\n');
}

/** What docs/performance.md has in places of their own: the daemon, and all the others. */
export function byPlace(results: Results): { daemon?: Results; others?: Results } {
  const { host, lab, firstTest, ...run } = results;
  const { served, ...hostRest } = host;
  const { scrapers, ...labRest } = lab ?? { kernel: '', comparisons: [] };
  const bare = ({ kernel }: Part) => ({ kernel, comparisons: [] });
  return {
    ...(served && {
      daemon: {
        ...run,
        host: { ...bare(host), served },
        ...(lab && scrapers && { lab: { ...bare(lab), scrapers } }),
      },
    }),
    ...(host.comparisons.length > 0 && {
      others: {
        ...run,
        host: hostRest,
        ...(lab && { lab: labRest }),
        ...(firstTest && { firstTest }),
      },
    }),
  };
}

/** The closing line. */
export function summary(results: Results): string {
  const { host, lab, seconds, leftOut } = results;
  const compared = [...host.comparisons, ...(lab?.comparisons ?? [])];
  const live = compared.find(({ name }) => name === 'policies');
  const times = (name: string, base: string) =>
    live ? range(ratiosOf(live, name, base), 2) : 'not measured';
  const runs = compared.flatMap(({ outcomes }) => outcomes.flatMap(({ cpu }) => cpu)).length;
  const left = leftOut.length === 0 ? '' : `, left out: ${leftOut.length}`;
  return (
    `bench: ${runs} runs in ${Math.round(seconds)} s, every event accounted for; raw ${times('raw', 'floor')} ` +
    `and decoded ${times('decoded', 'floor')} × the C floor, text ${times('text', 'ip')} × ip xfrm monitor${left}`
  );
}
