/**
 * What the daemon costs with many tunnels: a scrape, how long anything else has to wait meanwhile,
 * idleness, browsers on the page, a flood of events. The kernel that has the tunnels is simulated,
 * within the daemon's process (serve-daemon.ts): no kernel that runs natively everywhere has ESP. The
 * flood is real: the daemon watches this namespace too, where policies are added and deleted.
 * @module
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { RouteClient } from '../lib/index.ts';
import { answer, request } from './http.ts';
import { startLoad } from './listening.ts';
import { cpuTime } from './proc.ts';
import { compareScrapers, type Scraper, unitEnvironment, xfrmCollector } from './scrapers.ts';
import { median } from './stats.ts';

/** Milliseconds, unless they say otherwise. */
export interface Served {
  readonly tunnels: number;
  readonly streams: number;
  /** From the request to the last byte, and processor time of all threads. */
  readonly scrape: number;
  readonly scrapeCpu: number;
  readonly scrapeBytes: number;
  readonly zipped: number;
  /** The longest turn of the event loop during scrapes. */
  readonly longest: number;
  /** Percent of a processor without requests. */
  readonly idle: number;
  /** Time between two readings of the counters, during idleness and the flood. */
  readonly refresh: number;
  readonly browsers: Browsers;
  readonly flood: Flood;
  /** Bytes resident at the end, with the simulated kernel. */
  readonly resident: number;
  /** node_exporter's collector, in the same namespace, if it is there. */
  readonly beside: readonly Scraper[];
}

/** Browsers that open the page at the same time, and stay. */
export interface Browsers {
  /** Until the first and the last has all tunnels. */
  readonly first: number;
  readonly last: number;
  /** Processor time for each, all threads of the daemon. */
  readonly cpu: number;
  /** Requests that were asked to come again. */
  readonly again: number;
  /** Percent of a processor with all of them there. */
  readonly idle: number;
}

/** Scrapes, with all streams open, while events come. */
export interface Flood {
  readonly scrape: number;
  readonly most: number;
  readonly scrapes: number;
  readonly longest: number;
  /** Events, and how many of them were sent in a second. */
  readonly events: number;
  readonly rate: number;
  /** Events that the kernel dropped, since the daemon did not read them in time. */
  readonly dropped: number;
  /** Microseconds of a processor for each event that was read, scrapes included. */
  readonly cpu: number;
}

/** Milliseconds between two readings of the counters … */
const REFRESH = 10_000;
/** … of idleness, which has six of them … */
const IDLE = 6 * REFRESH;
/** … and before it: the compiler's turn, and the collector's after opening. */
const SETTLING = 3 * REFRESH;
/** Events a second of the flood. */
const RATE = 100_000;

async function told<Told>(child: ChildProcess): Promise<Told> {
  const [message] = await once(child, 'message');
  return message as Told;
}

/** The most that a turn of the event loop takes from now on. @returns what ends that, with its result */
function watch(child: ChildProcess): () => Promise<Reported> {
  child.send('watch');
  return () => {
    const answered = told<Reported>(child);
    child.send('report');
    return answered;
  };
}

/** What the daemon's process says of itself. */
interface Reported {
  readonly longest: number;
  readonly resident: number;
  readonly dropped: number;
}

/** A daemon whose counters are read every so many milliseconds. */
async function daemon(tunnels: number, refresh: number) {
  const child = fork(join(import.meta.dirname, 'serve-daemon.js'), [`${tunnels}`, `${refresh}`], {
    env: unitEnvironment(),
  });
  const { port, tunnels: found } = await told<{ port: number; tunnels: number }>(child);
  if (found !== tunnels) throw new Error(`${found} tunnels instead of ${tunnels}`);
  const end = () => void child.kill();
  return { child, port, pid: child.pid as number, [Symbol.dispose]: end };
}

/** Percent of a processor that a process takes. */
async function share(pid: number, milliseconds: number): Promise<number> {
  const before = cpuTime(pid);
  await pause(milliseconds);
  return (cpuTime(pid) - before) / 1e6 / (milliseconds / 100);
}

/** Scrapes one that does nothing else: a reading of simulated counters takes longer than a real one. */
async function scraped(tunnels: number, scrapes: number) {
  using one = await daemon(tunnels, 3_600_000);
  const { child, port, pid } = one;
  // The compiler's turn.
  for (let i = 0; i < 5; i++) await answer(port, '/metrics');
  const report = watch(child);
  const times: number[] = [];
  const cpus: number[] = [];
  let scrapeBytes = 0;
  for (let i = 0; i < scrapes; i++) {
    const before = cpuTime(pid);
    const { ms, bytes } = await answer(port, '/metrics');
    cpus.push((cpuTime(pid) - before) / 1e6);
    times.push(ms);
    scrapeBytes = bytes;
    await pause(200);
  }
  const { longest } = await report();
  const { ms: zipped } = await answer(port, '/metrics', { 'accept-encoding': 'gzip' });
  return { scrape: median(times), scrapeCpu: median(cpus), scrapeBytes, longest, zipped };
}

/** What the page's browser asks for at first, after the stream of events (page/session.ts). */
const PAGE = ['/', '/page.css', '/page.js'];
const STREAM = '/api/events?change=added,up,down,rekeyed,stalled,state,warning,removed&last=200';
const DATA = ['/api/host', '/api/tunnels'];
/** Milliseconds until it tries again (page/connection.ts): twice as long each time. */
const RETRY = [500, 10_000] as const;

/** Opens the page. @returns its stream, and how often it was told to come again */
async function browse(port: number) {
  const gzip = { 'accept-encoding': 'gzip' };
  for (const path of PAGE) await answer(port, path, gzip);
  const begun = performance.now();
  const [first, last] = RETRY;
  for (let again = 0, wait: number = first; ; again++, wait = Math.min(2 * wait, last)) {
    const stream = get({ host: '127.0.0.1', port, path: STREAM, agent: false });
    stream.on('error', () => {});
    const [response] = (await once(stream, 'response')) as [IncomingMessage];
    response.on('error', () => {}).resume();
    const statuses = [response.statusCode ?? 0];
    for (const path of DATA) statuses.push((await request(port, path, gzip)).status);
    if (statuses.every((one) => one === 200)) {
      return { stream, again, ms: performance.now() - begun };
    }
    const wrong = statuses.find((one) => one !== 200 && one !== 503);
    if (wrong !== undefined) throw new Error(`the page was answered ${wrong}`);
    stream.destroy();
    await pause(wait);
  }
}

/** Scrapes while events come. */
async function flooded(port: number, child: ChildProcess, events: number): Promise<Flood> {
  const pid = child.pid as number;
  const before = cpuTime(pid);
  const report = watch(child);
  const load = startLoad(['policy', `${events}`, `${RATE}`]);
  let took: number | undefined;
  const done = load.done.then((nanoseconds) => {
    took = nanoseconds;
  });
  const times: number[] = [];
  do {
    await pause(200);
    times.push((await answer(port, '/metrics')).ms);
  } while (took === undefined);
  await done;
  const { longest, dropped } = await report();
  return {
    scrape: median(times),
    most: Math.max(...times),
    scrapes: times.length,
    longest,
    events,
    rate: events / (took / 1e9),
    dropped,
    cpu: (cpuTime(pid) - before) / 1000 / (events - dropped),
  };
}

/** Leaves one alone, then gives it browsers and a flood of events. */
async function burdened(tunnels: number, streams: number, events: number) {
  using one = await daemon(tunnels, REFRESH);
  const { child, port, pid } = one;
  await pause(SETTLING);
  const idle = await share(pid, IDLE);
  const before = cpuTime(pid);
  const open = await Promise.all(Array.from({ length: streams }, () => browse(port)));
  const cpu = (cpuTime(pid) - before) / 1e6 / streams;
  const times = open.map(({ ms }) => ms);
  const browsers: Browsers = {
    first: Math.min(...times),
    last: Math.max(...times),
    cpu,
    again: open.reduce((sum, { again }) => sum + again, 0),
    idle: await share(pid, IDLE / 2),
  };
  const flood = await flooded(port, child, events);
  const { resident } = await watch(child)();
  for (const { stream } of open) stream.destroy();
  return { idle, refresh: REFRESH, browsers, flood, resident };
}

/** Other programs, for as long as the daemon was scraped. */
async function others(scrapes: number): Promise<Scraper[]> {
  const ended = new AbortController();
  try {
    const collector = await xfrmCollector(ended.signal);
    return collector === undefined ? [] : await compareScrapers([collector], scrapes);
  } finally {
    ended.abort();
  }
}

export async function serve(
  {
    tunnels,
    streams,
    scrapes,
    flood,
  }: { tunnels: number; streams: number; scrapes: number; flood: number },
  progress: (text: string) => void,
): Promise<Served> {
  // The network namespace of the benchmark is a new one.
  await using route = new RouteClient();
  await route.setLinkUp({ name: 'lo' });
  progress(`serve: scrapes of ${tunnels} tunnels`);
  const scrape = await scraped(tunnels, scrapes);
  const beside = await others(scrapes);
  progress(`serve: idle, ${streams} browsers, and a flood`);
  return { tunnels, streams, ...scrape, beside, ...(await burdened(tunnels, streams, flood)) };
}
