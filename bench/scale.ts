/**
 * TunnelMonitor with as many tunnels as a large gateway has: opening it, one that goes down among
 * many, all of them rekeyed at once, idleness. The kernel that has the tunnels is simulated, in the
 * same process (simulated-kernel.ts): what it takes is part of what is measured.
 * @module
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { NETLINK_XFRM, XFRMNLGRP_SA } from '../lib/constants.ts';
import { TunnelMonitor, XfrmMonitor } from '../lib/index.ts';
import type { FakeKernel } from '../lib/socket.ts';
import { bytesOf, dumpsOf, kernelWith, saOf } from './simulated-kernel.ts';
import { median, quantile } from './stats.ts';

/** Milliseconds, unless they say otherwise; of a processor, all threads, where they say CPU. */
export interface Scale {
  readonly tunnels: number;
  readonly open: Opening;
  readonly down: Downs;
  readonly storm: RekeyStorm;
  /** Percent of a processor, with the counters read every so many milliseconds. */
  readonly idle: number;
  readonly refresh: number;
  /** Opened once. */
  readonly many: Many;
}

/** CPU of opening, by turns. */
interface Opening {
  readonly ours: readonly number[];
  /** XfrmMonitor. */
  readonly beside: readonly number[];
}

/** From the announcement of the deletion to the report, `settle` included. */
interface Downs {
  readonly samples: number;
  readonly median: number;
  readonly p99: number;
  readonly most: number;
}

/** All tunnels get new SAs at once, and lose the old ones. */
interface RekeyStorm {
  readonly events: number;
  /** From the first event to the last report of a rekey. */
  readonly ms: number;
  readonly rekeyed: number;
  /** Reports that something is wrong with a tunnel, or was. */
  readonly wrong: number;
}

interface Many {
  readonly tunnels: number;
  readonly cpu: number;
  readonly ms: number;
  /** The longest turn of the event loop while it opens. */
  readonly longest: number;
  /** The same with XfrmMonitor alone. */
  readonly longestBeside: number;
  /** Bytes of a tunnel, with its SAs and policies. */
  readonly bytesEach: number;
}

/** Milliseconds between two readings of the counters. */
const REFRESH = 10_000;
/** Milliseconds after the last event. */
const SETTLED = 1000;

const cpu = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

/** Follows the turns of the event loop. @returns what ends that, with the longest in ms */
function turns(): () => number {
  let [longest, last] = [0, performance.now()];
  let next: NodeJS.Immediate;
  const look = () => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
    next = setImmediate(look);
  };
  look();
  return () => {
    clearImmediate(next);
    return longest;
  };
}

/** Tunnels of the monitors that stay open meanwhile. */
const FEW = 3;

/**
 * While small monitors stay open: with the last of them V8 throws away the code that it has
 * optimized, and compiling it anew would be most of what is measured.
 */
async function opening(kernel: FakeKernel, tunnels: number, rounds: number): Promise<Opening> {
  const found = { ours: [] as number[], beside: [] as number[] };
  const options = { netns: kernelWith(dumpsOf(FEW)) as never, refreshInterval: 0 };
  await using _tables = await XfrmMonitor.open(options);
  await using _tunnels = await TunnelMonitor.open(options);
  for (let round = 0; round < rounds; round++) {
    for (const [Monitor, name] of [
      [XfrmMonitor, 'beside'],
      [TunnelMonitor, 'ours'],
    ] as const) {
      globalThis.gc?.();
      const before = cpu();
      await using monitor = await Monitor.open({ netns: kernel as never, refreshInterval: 0 });
      found[name].push(cpu() - before);
      if (monitor instanceof TunnelMonitor && monitor.tunnels.size !== tunnels) {
        throw new Error(`${monitor.tunnels.size} tunnels instead of ${tunnels}`);
      }
    }
  }
  return found;
}

const tell = (kernel: FakeKernel, kind: 'NEWSA' | 'DELSA', i: number, generation: number) => {
  for (const dir of ['in', 'out'] as const) {
    const state = saOf(i, dir, generation);
    kernel.multicast(NETLINK_XFRM, XFRMNLGRP_SA, bytesOf({ kind, state } as never));
  }
};

async function downs(kernel: FakeKernel, tunnels: number, samples: number): Promise<Downs> {
  await using monitor = await TunnelMonitor.open({ netns: kernel as never, refreshInterval: 0 });
  const times: number[] = [];
  for (let n = 0; n < samples; n++) {
    const i = 1 + ((n * 7919) % tunnels);
    // At a random moment relative to timers.
    await pause(Math.random() * 20);
    const told = once(monitor, 'down');
    const begun = performance.now();
    tell(kernel, 'DELSA', i, 0);
    await told;
    times.push(performance.now() - begun);
    const up = once(monitor, 'up');
    tell(kernel, 'NEWSA', i, 0);
    await up;
  }
  const [middle, p99, most] = [median(times), quantile(times, 0.99), Math.max(...times)];
  return { samples, median: middle, p99, most };
}

async function storm(kernel: FakeKernel, tunnels: number): Promise<RekeyStorm> {
  await using monitor = await TunnelMonitor.open({ netns: kernel as never, refreshInterval: 0 });
  let [rekeyed, wrong, last] = [0, 0, 0];
  monitor.on('change', (change) => {
    switch (change.kind) {
      case 'rekeyed':
        rekeyed++;
        last = performance.now();
        break;
      case 'down':
      case 'up':
      case 'stalled':
      case 'warning':
      case 'added':
      case 'removed':
      case 'overrun':
        wrong++;
        break;
      case 'state':
        if (!change.rekey) wrong++;
        break;
      default:
    }
  });
  const begun = performance.now();
  for (let i = 1; i <= tunnels; i++) tell(kernel, 'NEWSA', i, 1);
  for (let i = 1; i <= tunnels; i++) tell(kernel, 'DELSA', i, 0);
  // The last of the old SAs are gone, and nothing is reported late.
  const isOver = () => monitor.xfrm.states.size === 2 * tunnels && rekeyed >= tunnels;
  const limits = { timeout: 120_000, heldFor: SETTLED };
  // If it is not over in time, the numbers show it.
  await monitor.waitFor(isOver, limits).catch(() => {});
  for (const { state } of monitor.tunnels) if (state !== 'up') wrong++;
  return { events: 4 * tunnels, ms: last - begun, rekeyed, wrong };
}

/** Percent of a processor. */
async function idle(kernel: FakeKernel): Promise<number> {
  await using _ = await TunnelMonitor.open({ netns: kernel as never, refreshInterval: REFRESH });
  const before = cpu();
  await pause(3 * REFRESH);
  return ((cpu() - before) / (3 * REFRESH)) * 100;
}

async function openedOnce(kernel: FakeKernel, tunnels: number): Promise<Many> {
  const options = { netns: kernel as never, refreshInterval: 0 };
  let watched = turns();
  await (await XfrmMonitor.open(options)).close();
  const longestBeside = watched();
  globalThis.gc?.();
  const heap = process.memoryUsage().heapUsed;
  const [before, begun] = [cpu(), performance.now()];
  watched = turns();
  await using monitor = await TunnelMonitor.open(options);
  const longest = watched();
  const found = { tunnels, cpu: cpu() - before, ms: performance.now() - begun, longest };
  globalThis.gc?.();
  const bytesEach = (process.memoryUsage().heapUsed - heap) / tunnels;
  if (monitor.tunnels.size !== tunnels) throw new Error(`${monitor.tunnels.size} tunnels`);
  return { ...found, longestBeside, bytesEach };
}

/** Measures one thing in a process of its own. */
async function apart<Found>(what: string, tunnels: number, count = 0): Promise<Found> {
  const child = fork(new URL(import.meta.url), [what, `${tunnels}`, `${count}`], {
    execArgv: ['--expose-gc'],
  });
  const [found] = (await Promise.race([once(child, 'message'), once(child, 'exit')])) as [Found];
  if (typeof found === 'number') throw new Error(`${what}: ended with status ${found}`);
  return found;
}

export async function scale(
  {
    tunnels,
    rounds,
    downs,
    many,
  }: { tunnels: number; rounds: number; downs: number; many: number },
  progress: (text: string) => void,
): Promise<Scale> {
  progress(`opening ${tunnels} tunnels`);
  const open = await apart<Opening>('open', tunnels, rounds);
  progress(`one of ${tunnels} tunnels goes down`);
  const down = await apart<Downs>('down', tunnels, downs);
  progress(`${tunnels} tunnels are rekeyed at once`);
  const storm = await apart<RekeyStorm>('storm', tunnels);
  progress(`${tunnels} tunnels, idle`);
  const { idle } = await apart<{ idle: number }>('idle', tunnels);
  progress(`opening ${many} tunnels`);
  const found = await apart<Many>('many', many);
  return { tunnels, open, down, storm, idle, refresh: REFRESH, many: found };
}

const MEASURES: Readonly<
  Record<string, (kernel: FakeKernel, tunnels: number, count: number) => Promise<unknown>>
> = {
  open: opening,
  down: downs,
  storm,
  idle: async (kernel) => ({ idle: await idle(kernel) }),
  many: openedOnce,
};

if (process.send && process.argv[1] === import.meta.filename) {
  const [what = '', tunnels, count] = process.argv.slice(2);
  const measure = MEASURES[what];
  process.send(
    await measure?.(kernelWith(dumpsOf(Number(tunnels))), Number(tunnels), Number(count)),
  );
  process.disconnect();
}
