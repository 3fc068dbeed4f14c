/**
 * Finds the process that holds a socket. There may be very many descriptors, so they are scanned in
 * slices of a few milliseconds, with one scan for all concurrent searches.
 * @module
 */
import { opendirSync, readFileSync, readlinkSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';

/** A process, and its descriptor of a socket. */
export interface Holder {
  readonly pid: number;
  readonly name: string;
  readonly startTime: number;
  readonly inode: number;
  readonly descriptor: string;
}

/** Milliseconds for which a scan may block the event loop. */
const SLICE = 2;

/** Runs `read`; undefined if the process is gone or may not be inspected. */
function attempt<Result>(read: () => Result): Result | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** Field 22 of /proc/PID/stat; field 2, the name, may itself contain spaces and parentheses. */
export const parseStartTime = (stat: string): number =>
  Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]);

function startTime(pid: number): number | undefined {
  const stat = attempt(() => readFileSync(`/proc/${pid}/stat`, 'latin1'));
  return stat === undefined ? undefined : parseStartTime(stat);
}

/**
 * The process, if that descriptor is the socket and the process was the same throughout the check.
 */
export function holds(pid: number, descriptor: string, inode: number): Holder | undefined {
  const started = startTime(pid);
  const link = attempt(() => readlinkSync(`/proc/${pid}/fd/${descriptor}`));
  if (started === undefined || link !== `socket:[${inode}]`) return undefined;
  const comm = attempt(() => readFileSync(`/proc/${pid}/comm`, 'utf8'));
  if (comm === undefined || startTime(pid) !== started) return undefined;
  return { pid, name: comm.replace(/\n$/, ''), startTime: started, inode, descriptor };
}

interface Search {
  /** The process to check first. */
  readonly first: number;
  readonly found: Promise<Holder | undefined>;
  readonly resolve: (holder: Holder | undefined) => void;
}

/** What the next scan of all processes looks for, by inode. */
const waiting = new Map<number, Search>();
let passing = false;

/**
 * The process that holds the socket: the one with the id `first`, since most port ids are process
 * ids, otherwise the one with the lowest id; undefined if none does, or none that may be inspected.
 */
export function findHolder(inode: number, first: number): Promise<Holder | undefined> {
  const before = waiting.get(inode);
  if (before) return before.found;
  let resolve: Search['resolve'] = () => {};
  const found = new Promise<Holder | undefined>((settle) => {
    resolve = settle;
  });
  waiting.set(inode, { first, found, resolve });
  if (!passing) {
    passing = true;
    // Searches started in the same turn share one scan.
    queueMicrotask(pass);
  }
  return found;
}

/** Scans for all pending searches. Searches that start meanwhile wait for the next scan. */
async function pass(): Promise<void> {
  while (waiting.size > 0) {
    const wanted = new Map(waiting);
    waiting.clear();
    const breath = new Breath();
    try {
      for (const { first } of [...wanted.values()]) await look(first, wanted, breath);
      for (const name of entries('/proc')) {
        if (wanted.size === 0) break;
        const pid = Number(name);
        if (Number.isInteger(pid)) await look(pid, wanted, breath);
      }
    } finally {
      for (const { resolve } of wanted.values()) resolve(undefined);
    }
  }
  passing = false;
}

/** Yields to the event loop after {@link SLICE} milliseconds. */
class Breath {
  #end = performance.now() + SLICE;

  get isOver(): boolean {
    return performance.now() > this.#end;
  }

  async take(): Promise<void> {
    await setImmediate();
    this.#end = performance.now() + SLICE;
  }
}

/** Scans the descriptors of a process. Sockets that are found are removed from `wanted`. */
async function look(pid: number, wanted: Map<number, Search>, breath: Breath): Promise<void> {
  if (breath.isOver) await breath.take();
  for (const descriptor of entries(`/proc/${pid}/fd`)) {
    if (breath.isOver) await breath.take();
    const link = attempt(() => readlinkSync(`/proc/${pid}/fd/${descriptor}`));
    const inode = Number(link !== undefined && /^socket:\[(\d+)\]$/.exec(link)?.[1]);
    const search = wanted.get(inode);
    const holder = search && holds(pid, descriptor, inode);
    if (!holder) continue;
    wanted.delete(inode);
    search.resolve(holder);
    if (wanted.size === 0) return;
  }
}

/** The names in a directory, read lazily; none if it cannot be read. */
function* entries(path: string): Generator<string> {
  const folder = attempt(() => opendirSync(path, { bufferSize: 256 }));
  if (folder === undefined) return;
  try {
    for (;;) {
      const entry = attempt(() => folder.readSync());
      if (!entry) return;
      yield entry.name;
    }
  } finally {
    folder.closeSync();
  }
}
