/**
 * Data from /proc about a process under measurement: its CPU time and its netlink sockets.
 * @module
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

/**
 * Nanoseconds of CPU time, user and system, of all live threads
 * (Documentation/scheduler/sched-stats.rst, /proc/PID/schedstat).
 */
export function cpuTime(pid: number): number {
  const tasks = `/proc/${pid}/task`;
  return readdirSync(tasks)
    .map((task) => Number(readFileSync(`${tasks}/${task}/schedstat`, 'utf8').split(' ')[0]))
    .reduce((sum, one) => sum + one, 0);
}

/** The same of the main thread; the time of day where the kernel does not count that. */
export function mainThreadTime(): number {
  try {
    const { pid } = process;
    return Number(readFileSync(`/proc/${pid}/task/${pid}/schedstat`, 'utf8').split(' ')[0]);
  } catch {
    return performance.now() * 1e6;
  }
}

/** Whether a thread runs or waits for a processor (state R in /proc/PID/task/TID/stat, proc(5)). */
function isRunnable(pid: number): boolean {
  const tasks = `/proc/${pid}/task`;
  return readdirSync(tasks).some((task) => {
    const stat = readFileSync(`${tasks}/${task}/stat`, 'utf8');
    // The name in parentheses may contain anything.
    return stat.slice(stat.lastIndexOf(')') + 2).startsWith('R');
  });
}

/** A listening netlink socket as in /proc/net/netlink (af_netlink.c, netlink_native_seq_show). */
export interface Queue {
  /** Queued bytes, as the kernel accounts for them. */
  readonly bytes: number;
  /** Datagrams dropped for lack of space. */
  readonly drops: number;
}

const NETLINK_XFRM = '6';

/** The process's NETLINK_XFRM socket that has joined groups; undefined if there is none. */
export function listeningSocket(pid: number): Queue | undefined {
  const own = new Set(
    readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? [];
      } catch {
        return []; // closed meanwhile
      }
    }),
  );
  for (const line of readFileSync(`/proc/${pid}/net/netlink`, 'utf8').split('\n').slice(1)) {
    const [, protocol, , groups, bytes, , , , drops, inode] = line.trim().split(/\s+/);
    if (
      protocol !== NETLINK_XFRM ||
      !own.has(inode ?? '') ||
      Number.parseInt(groups ?? '0', 16) === 0
    ) {
      continue;
    }
    return { bytes: Number(bytes), drops: Number(drops) };
  }
  return undefined;
}

const TICK = 10;
/** Number of consecutive checks without CPU use that count as idle. */
const STILL = 4;
/** The same if queued data is not being read. */
const STUCK = 100;

/**
 * Waits until a process is idle: its queue is empty, and it uses no CPU time.
 *
 * @returns the state of its socket; with queued bytes if it has stopped reading
 */
export async function atRest(pid: number): Promise<Queue> {
  let before = -1;
  let still = 0;
  for (;;) {
    const now = cpuTime(pid);
    const queue = listeningSocket(pid);
    // On a busy machine one that has work may get no time for a while.
    if (now === before && !isRunnable(pid)) still++;
    else still = 0;
    if (queue && still >= (queue.bytes === 0 ? STILL : STUCK)) return queue;
    before = now;
    await pause(TICK);
  }
}
