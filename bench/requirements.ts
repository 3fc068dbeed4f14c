/**
 * Performance requirements, checked against results.
 * @module
 */
import { type Comparison, numbers, ratiosOf } from './compare.ts';
import { MOST_EVENTS, type Results, SPREAD } from './results.ts';
import type { Scale } from './scale.ts';
import { type Scrapers, SERVE_TITLE } from './scrapers.ts';
import type { Served } from './serve.ts';
import { median, ratios, spread } from './stats.ts';

/** A requirement and its result. */
export interface Requirement {
  readonly what: string;
  readonly required: string;
  readonly aim?: string;
  readonly found: string;
  readonly met: boolean;
}

/** Factors relative to another contestant of a comparison. */
const RATIOS = [
  { in: 'policies', name: 'raw', base: 'floor', most: 1.3, aim: 1.15 },
  { in: 'policies-recorded', name: 'record', base: 'raw', most: 1.3, aim: 1.2 },
  { in: 'policies', name: 'decoded', base: 'floor', most: 2.2, aim: 1.9 },
  { in: 'policies', name: 'decoded', base: 'recvmsg', most: 1.7, aim: 1.5 },
  { in: 'policies', name: 'text', base: 'ip', most: 0.65, aim: 0.5 },
  { in: 'policies', name: 'json', base: 'ip', most: 1.3, aim: 0.9 },
  { in: 'policies-paced', name: 'monitor', base: 'floor', most: 3, aim: 2.4 },
  { in: 'policies-filled', name: 'monitor', base: 'floor', most: 3, aim: 2.4 },
  { in: 'newsa-filled', name: 'monitor', base: 'floor', most: 3.8, aim: 3 },
  { in: 'updsa-filled', name: 'monitor', base: 'floor', most: 3.8, aim: 3 },
] as const;
/** Who may lose nothing where the floor loses nothing. */
const LOSSLESS = [
  ['policies', ['raw', 'decoded', 'text'], 'raw, decoded and text'],
  ['newsa', ['raw', 'decoded'], 'raw and decoded'],
  ['policies-paced', ['monitor', 'json'], 'XfrmMonitor and JSON'],
  ['policies-recorded', ['record'], 'the recorder'],
] as const;
/** NEWSA events per second, decoded, from a filled socket. */
const RATE = 600_000;
/**
 * Microseconds from the system call to the listener: idle, the 99th percentile relative to the
 * floor's, and the most; the 99th percentile under as many events as the kernel makes.
 */
const LATENCY = { times: 2, more: 100, most: 3000, busy: 50_000 };
/** Nanoseconds to encode a request from objects built by spreading others. */
const ENCODING = 1500;
/** Bytes by which memory may differ between a tenth of the events and the end. */
const GROWTH = 2 ** 20;
/** The same for resident memory: less than two bytes for each of ten million events. */
const RESIDENT = 16 * 2 ** 20;
/** Opening a monitor relative to `ip` printing the same, and bytes per entry. */
const OPENING = { SAs: { most: 0.5, bytes: 900 }, policies: { most: 1.2, bytes: 1000 } };
/** Processor time of a refresh relative to opening, and milliseconds for which it may block. */
const REFRESH = { most: 0.7, longest: 10 };
/** Milliseconds from a request to the resulting tunnel change, 99th percentile. */
const OUTCOME = 250;

/** Seconds from the start of the lab's kernel until the first test of a suite begins. */
const FIRST_TEST = 5;

/** Events lost by contestants that may lose none if the floor loses none. */
function losses(
  { outcomes }: Comparison,
  names: readonly string[],
): { floor: number; ours: number } {
  const worst = (name: string) => {
    const { most } = spread(numbers(outcomes.find((one) => one.name === name)?.lost ?? []));
    return Math.max(0, most);
  };
  return { floor: worst('floor'), ours: Math.max(...names.map(worst)) };
}

/** What the daemon may take with 10,000 tunnels: ms, ms, percent of a processor, bytes. */
const DAEMON = { scrape: 150, longest: 20, idle: 2, resident: 200 * 2 ** 20 } as const;

const mib = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MiB`;

function ofDaemon({ tunnels, scrape, longest, idle }: Served): Requirement[] {
  const what = `the daemon with ${tunnels} tunnels:`;
  return [
    {
      what: `${what} a scrape`,
      required: `≤ ${DAEMON.scrape} ms`,
      found: `${Math.round(scrape)} ms`,
      met: scrape <= DAEMON.scrape,
    },
    {
      what: `${what} the longest turn of the event loop meanwhile`,
      required: `≤ ${DAEMON.longest} ms`,
      found: `${longest.toFixed(1)} ms`,
      met: longest <= DAEMON.longest,
    },
    {
      what: `${what} idle`,
      required: `≤ ${DAEMON.idle} % of a processor`,
      found: `${idle.toFixed(2)} %`,
      met: idle <= DAEMON.idle,
    },
  ];
}

/** Its memory, where the tunnels are not simulated in its process. */
function ofRealDaemon({ tunnels, all }: Scrapers): Requirement[] {
  const resident = all.find(({ title }) => title === SERVE_TITLE)?.resident;
  if (resident === undefined) return [];
  return [
    {
      what: `the daemon with ${tunnels} tunnels: resident`,
      required: `≤ ${mib(DAEMON.resident)}`,
      found: mib(resident),
      met: resident <= DAEMON.resident,
    },
  ];
}

/** What TunnelMonitor may take with 10,000 tunnels: × XfrmMonitor, ms, percent of a processor, ms. */
const SCALE = { open: 1.5, down: 150, idle: 2, turn: 1000 } as const;

function ofScale({ tunnels, open, down, storm, idle, many }: Scale): Requirement[] {
  const what = `TunnelMonitor with ${tunnels.toLocaleString('en-US')} tunnels:`;
  const ratio = median(ratios(open.ours, open.beside));
  return [
    {
      what: `${what} opening, × XfrmMonitor on the same, of a processor`,
      required: `≤ ${SCALE.open}`,
      found: ratio.toFixed(2),
      met: ratio <= SCALE.open,
    },
    {
      what: `${what} one goes down, reported, p99`,
      required: `≤ ${SCALE.down} ms`,
      found: `${down.p99.toFixed(1)} ms`,
      met: down.p99 <= SCALE.down,
    },
    {
      what: `${what} all are rekeyed at once, reports of anything but the rekeys`,
      required: '0, and every rekey',
      found: `${storm.wrong}, ${storm.rekeyed} rekeys`,
      met: storm.wrong === 0 && storm.rekeyed === tunnels,
    },
    {
      what: `${what} idle`,
      required: `≤ ${SCALE.idle} % of a processor`,
      found: `${idle.toFixed(2)} %`,
      met: idle <= SCALE.idle,
    },
    {
      what: `opening ${many.tunnels.toLocaleString('en-US')} tunnels: the longest turn of the event loop`,
      required: `≤ ${SCALE.turn} ms`,
      found: `${Math.round(many.longest)} ms`,
      met: many.longest <= SCALE.turn,
    },
  ];
}

/** The requirements that the results cover; none for a quick run. */
export function requirements({ quick, against, host, lab, firstTest }: Results): Requirement[] {
  // A quick run is too short to judge, and one against another version compares only that.
  if (quick || against !== undefined) return [];
  const found: Requirement[] = [];
  const comparison = (name: string) => host.comparisons.find((one) => one.name === name);
  for (const { in: where, name, base, most, aim } of RATIOS) {
    const one = comparison(where);
    const title = (of: string) => one?.outcomes.find(({ name: each }) => each === of)?.title;
    if (one === undefined || title(name) === undefined || title(base) === undefined) continue;
    const ratio = spread(ratiosOf(one, name, base)).median;
    found.push({
      what: `${one.title}: ${title(name)}, × ${title(base)}`,
      required: `≤ ${most}`,
      aim: `≤ ${aim}`,
      found: ratio.toFixed(2),
      met: ratio <= most,
    });
  }
  for (const [name, of, told] of LOSSLESS) {
    const one = comparison(name);
    if (!one) continue;
    const { floor, ours } = losses(one, of);
    found.push({
      what: `${one.title}: events lost, ${told}`,
      required: floor === 0 ? '0, as the floor' : 'none, where the floor loses none',
      found: floor === 0 ? `${ours}` : `${ours} (the floor itself: ${floor})`,
      met: floor > 0 || ours === 0,
    });
  }
  const filled = comparison('newsa-filled')?.outcomes.find(({ name }) => name === 'decoded');
  if (filled) {
    const rate = median(filled.rate);
    found.push({
      what: 'NEWSA decoded a second, out of a filled socket',
      required: `≥ ${RATE.toLocaleString('en-US')}`,
      found: Math.round(rate).toLocaleString('en-US'),
      met: rate >= RATE,
    });
  }
  const latency = (name: string, load: string) =>
    host.latencies?.find((one) => one.name === name && one.load === load);
  const [idle, base] = [latency('decoded', 'idle'), latency('floor', 'idle')];
  if (idle && base) {
    const p99 = LATENCY.times * base.p99 + LATENCY.more;
    // Where the floor waited as long, the scheduler was late.
    const longer = base.most > LATENCY.most ? ` (the floor itself: ${Math.round(base.most)})` : '';
    for (const [what, limit, value, besides] of [
      ['p99', p99, idle.p99, ''],
      ['most', LATENCY.most, idle.most, longer],
    ] as const) {
      found.push({
        what: `from the system call to the listener, idle, ${what}`,
        required: `≤ ${Math.round(limit)} µs`,
        found: `${Math.round(value)} µs${besides}`,
        met: value <= limit,
      });
    }
  }
  const busy = latency('decoded', MOST_EVENTS);
  if (busy) {
    found.push({
      what: `from the system call to the listener, beside ${MOST_EVENTS}, p99`,
      required: `≤ ${LATENCY.busy / 1000} ms`,
      found: `${(busy.p99 / 1000).toFixed(1)} ms`,
      met: busy.p99 <= LATENCY.busy,
    });
  }
  const encoding = host.codec?.find(({ title }) => title === SPREAD);
  if (encoding) {
    found.push({
      what: SPREAD,
      required: `≤ ${ENCODING} ns`,
      found: `${Math.round(encoding.codec)} ns`,
      met: encoding.codec <= ENCODING,
    });
  }
  for (const requests of [host.requests, lab?.requests]) {
    if (requests === undefined) continue;
    const { of, entries, times } = requests;
    for (const what of ['add', 'delete'] as const) {
      const ratio = median(ratios(times[what] ?? [], times[`${what} with ip`] ?? []));
      found.push({
        what: `${what} ${entries.toLocaleString('en-US')} ${of}, × ip -batch`,
        required: '≤ 1',
        found: ratio.toFixed(2),
        met: ratio <= 1,
      });
    }
  }
  for (const { title, more, ratio, most, resident, mostResident } of host.startup ?? []) {
    if (most !== undefined) {
      found.push({
        what: `${title}: of a processor, more than Node alone`,
        required: `≤ ${most} ms`,
        found: `${Math.round(more)} ms (${ratio.toFixed(2)} ×)`,
        met: more <= most,
      });
    }
    if (resident !== undefined && mostResident !== undefined) {
      found.push({
        what: `${title}: resident, more than Node alone`,
        required: `≤ ${mostResident / 2 ** 20} MiB`,
        found: `${(resident / 2 ** 20).toFixed(1)} MiB`,
        met: resident <= mostResident,
      });
    }
  }
  if (host.scale) found.push(...ofScale(host.scale));
  if (host.served) found.push(...ofDaemon(host.served));
  if (lab?.scrapers) found.push(...ofRealDaemon(lab.scrapers));
  for (const { title, early, late, earlyRss, rss } of host.memory ?? []) {
    found.push({
      what: `${title}: memory from a tenth of the events to the end`,
      required: 'flat (± 1 MiB)',
      found: `${Math.round((late - early) / 1024)} KiB`,
      met: late - early < GROWTH,
    });
    found.push({
      what: `${title}: its process, likewise`,
      required: 'at most 16 MiB more',
      found: `${Math.round((rss - earlyRss) / 1024)} KiB`,
      met: rss - earlyRss < RESIDENT,
    });
  }
  for (const dump of [host.dump, lab?.dump]) {
    if (dump === undefined) continue;
    const { of, entries, times, bytesEach, refreshed, longestTurns } = dump;
    const { most, bytes } = OPENING[of];
    const many = `${entries.toLocaleString('en-US')} ${of}`;
    const list = of === 'SAs' ? 'state' : 'policy';
    const ratio = median(ratios(times.open ?? [], times.ip ?? []));
    found.push({
      what: `opening XfrmMonitor on ${many}, × ip xfrm ${list} list > /dev/null`,
      required: `≤ ${most}`,
      found: ratio.toFixed(2),
      met: ratio <= most,
    });
    found.push({
      what: `memory of XfrmMonitor, for each of ${many}`,
      required: `≤ ${bytes} bytes`,
      found: `${Math.round(bytesEach)} bytes`,
      met: bytesEach <= bytes,
    });
    const share = median(refreshed);
    found.push({
      what: `a refresh of ${many}, of a processor, × opening`,
      required: `≤ ${REFRESH.most}`,
      found: share.toFixed(2),
      met: share <= REFRESH.most,
    });
    const longest = Math.max(...longestTurns);
    found.push({
      what: `a refresh of ${many}: the longest turn of the event loop`,
      required: `≤ ${REFRESH.longest} ms of a processor`,
      found: `${longest.toFixed(1)} ms`,
      met: longest <= REFRESH.longest,
    });
  }
  for (const { outcome, beside, p99 } of lab?.tunnels ?? []) {
    found.push({
      what: `a tunnel is reported ${outcome}, ${beside} others, p99`,
      required: `< ${OUTCOME} ms`,
      found: `${p99.toFixed(1)} ms`,
      met: p99 < OUTCOME,
    });
  }
  if (firstTest) {
    const begun = median(firstTest.begun);
    found.push({
      what: 'from the start of the lab’s kernel to the first test of a suite',
      required: `≤ ${FIRST_TEST} s`,
      found: `${begun.toFixed(1)} s`,
      met: begun <= FIRST_TEST,
    });
  }
  return found;
}
