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
  /** A scrape while 100,000 events a second come. */
  readonly flooded: number;
  /** Percent of a processor without requests, with the counters read every 10 s. */
  readonly idle: number;
  /** Bytes resident at the end, with the simulated kernel. */
  readonly resident: number;
}

/** Milliseconds: three readings of the counters. */
const IDLE = 30_000;

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

/** Measures one daemon. */
export async function serve(
  { tunnels, streams, scrapes }: { tunnels: number; streams: number; scrapes: number },
  progress: (text: string) => void,
): Promise<Served> {
  progress(`serve: ${tunnels} tunnels`);
  const child = fork(join(import.meta.dirname, 'serve-daemon.js'), [`${tunnels}`]);
  try {
    const { port, tunnels: found } = await told<{ port: number; tunnels: number }>(child);
    if (found !== tunnels) throw new Error(`${found} tunnels instead of ${tunnels}`);
    const pid = child.pid as number;
    // The compiler's turn.
    for (let i = 0; i < 3; i++) await answer(port, '/metrics');
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
      await pause(500);
    }
    child.send('report');
    const { longest } = await told<{ longest: number }>(child);
    const { ms: zipped } = await answer(port, '/metrics', { 'accept-encoding': 'gzip' });
    progress('serve: idle');
    const before = cpuTime(pid);
    await pause(IDLE);
    const idle = (cpuTime(pid) - before) / 1e6 / (IDLE / 100);
    progress(`serve: ${streams} streams, and a flood`);
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
    const { resident } = await told<{ resident: number }>(child);
    const scrape = { scrape: median(times), scrapeCpu: median(cpus), scrapeBytes };
    return { tunnels, streams, ...scrape, zipped, longest, flooded, idle, resident };
  } finally {
    child.kill();
  }
}
