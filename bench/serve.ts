/**
 * What the daemon costs with many tunnels: a scrape, how long anything else has to wait meanwhile,
 * idleness, streams of events, a flood of them. The kernel is simulated, within the daemon's process
 * (serve-daemon.ts): no kernel that runs natively everywhere has ESP.
 * @module
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { RouteClient } from '../lib/index.ts';
import { cpuTime } from './proc.ts';
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
  /** A scrape during a flood of events. */
  readonly flooded: number;
  /** Events a second of the flood, as they were sent. */
  readonly floodRate: number;
  /** Percent of a processor without requests. */
  readonly idle: number;
  /** Time between two readings of the counters, during idleness and the flood. */
  readonly refresh: number;
  /** Bytes resident at the end, with the simulated kernel. */
  readonly resident: number;
}

/** Milliseconds between two readings of the counters … */
const REFRESH = 10_000;
/** … and of idleness, which has three of them. */
const IDLE = 3 * REFRESH;

async function answer(
  port: number,
  path: string,
  headers = {},
): Promise<{ ms: number; bytes: number }> {
  const begun = performance.now();
  const asked = get({ host: '127.0.0.1', port, path, headers, agent: false });
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  let bytes = 0;
  for await (const part of response) bytes += part.length;
  if (response.statusCode !== 200) throw new Error(`${path} answered ${response.statusCode}`);
  return { ms: performance.now() - begun, bytes };
}

async function told<Told>(child: ChildProcess): Promise<Told> {
  const [message] = await once(child, 'message');
  return message as Told;
}

/** A daemon whose counters are read every so many milliseconds. */
async function daemon(tunnels: number, refresh: number) {
  const child = fork(join(import.meta.dirname, 'serve-daemon.js'), [`${tunnels}`, `${refresh}`]);
  const { port, tunnels: found } = await told<{ port: number; tunnels: number }>(child);
  if (found !== tunnels) throw new Error(`${found} tunnels instead of ${tunnels}`);
  const end = () => void child.kill();
  return { child, port, pid: child.pid as number, [Symbol.dispose]: end };
}

/** Scrapes one that does nothing else: a reading of simulated counters takes longer than a real one. */
async function scraped(tunnels: number, scrapes: number) {
  using one = await daemon(tunnels, 3_600_000);
  const { child, port, pid } = one;
  // The compiler's turn.
  for (let i = 0; i < 5; i++) await answer(port, '/metrics');
  child.send('watch');
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
  child.send('report');
  const { longest } = await told<{ longest: number }>(child);
  const { ms: zipped } = await answer(port, '/metrics', { 'accept-encoding': 'gzip' });
  return { scrape: median(times), scrapeCpu: median(cpus), scrapeBytes, longest, zipped };
}

/** Leaves one alone, then gives it streams and a flood of events. */
async function burdened(tunnels: number, streams: number) {
  using one = await daemon(tunnels, REFRESH);
  const { child, port, pid } = one;
  const before = cpuTime(pid);
  await pause(IDLE);
  const idle = (cpuTime(pid) - before) / 1e6 / (IDLE / 100);
  const open = Array.from({ length: streams }, () =>
    get({ host: '127.0.0.1', port, path: '/api/events', agent: false }, (one) => one.resume()),
  );
  await Promise.all(open.map((one) => once(one, 'response')));
  child.send('flood');
  await pause(1000);
  const { ms: flooded } = await answer(port, '/metrics');
  child.send('calm');
  for (const one of open) one.destroy();
  child.send('report');
  const { resident, floodRate } = await told<{ resident: number; floodRate: number }>(child);
  return { idle, refresh: REFRESH, flooded, floodRate, resident };
}

export async function serve(
  { tunnels, streams, scrapes }: { tunnels: number; streams: number; scrapes: number },
  progress: (text: string) => void,
): Promise<Served> {
  // The network namespace of the benchmark is a new one.
  await using route = new RouteClient();
  await route.setLinkUp({ name: 'lo' });
  progress(`serve: scrapes of ${tunnels} tunnels`);
  const scrape = await scraped(tunnels, scrapes);
  progress(`serve: idle, ${streams} streams, and a flood`);
  return { tunnels, streams, ...scrape, ...(await burdened(tunnels, streams)) };
}
