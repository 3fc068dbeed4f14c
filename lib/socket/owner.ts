/**
 * Which process a port id belongs to: the kernel's table of netlink sockets gives the socket's inode
 * number, the descriptors of the processes tell who holds that.
 * @module
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { addon } from './addon.ts';
import { integer, options as optionsOf, U32_MAX, wrongType } from './argument.ts';
import { type Namespace, openFile, optionalNamespace } from './namespace.ts';

/** A process that holds a netlink socket. */
export interface SocketOwner {
  readonly pid: number;
  /**
   * The name the process gives itself (/proc/PID/comm, read as UTF-8): it may be anything, so escape it
   * before it is printed.
   */
  readonly name: string;
  /** When it was started, in clock ticks since the machine was (/proc/PID/stat). */
  readonly startTime: number;
  /** The socket's number in the file system of sockets. */
  readonly inode: number;
}

/** A process and the descriptor it has of the socket. */
interface Holder extends SocketOwner {
  readonly descriptor: string;
}

/** How much later than an event a process may seem to have been started: two clocks, in ticks. */
const CLOCK_GRAIN = 2;
/**
 * Milliseconds in which a socket that nobody seems to hold is not looked for again: one on its way from
 * process to process (SCM_RIGHTS, unix(7)) will be held, and so will that of a process that forked.
 */
const NOBODY = 1000;
/** Sockets remembered, so that their holders need not be looked for again. */
const MEMORY = 1024;

/** Runs `read`; undefined if the process has gone or may not be looked at. */
function attempt<Result>(read: () => Result): Result | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** Field 22 of /proc/PID/stat; field 2, the name, may itself hold spaces and parentheses. */
export const parseStartTime = (stat: string): number =>
  Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]);

function startTime(pid: number): number | undefined {
  const stat = attempt(() => readFileSync(`/proc/${pid}/stat`, 'latin1'));
  return stat === undefined ? undefined : parseStartTime(stat);
}

/** The inode number of a socket in /proc/net/netlink. */
export function findInode(table: string, protocol: number, portId: number): number | undefined {
  // Columns: sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode (netlink_native_seq_show).
  for (const line of table.split('\n')) {
    const columns = line.trim().split(/\s+/);
    if (columns[2] === `${portId}` && columns[1] === `${protocol}`) return Number(columns[9]);
  }
  return undefined;
}

/** The moment `at` of performance.now() in the ticks of {@link startTime}. */
function ticksAt(at: number): number {
  const uptime = Number(readFileSync('/proc/uptime', 'latin1').split(' ')[0]);
  return (uptime - (performance.now() - at) / 1000) * addon().clockTicks;
}

/** Finds the owners of netlink sockets of one network namespace. */
export class SocketOwners {
  readonly #netns: Namespace | undefined;
  /** By inode; where nobody could be found, when that was, as performance.now(). */
  readonly #known = new Map<number, Holder | number>();

  /**
   * @param options `netns`: where the sockets are; default the namespace of the process. A path is
   *   followed each time: to stay with one namespace, give a descriptor
   */
  constructor(options: { readonly netns?: Namespace | undefined } = {}) {
    optionsOf('options', options, new Set(['netns']));
    this.#netns = optionalNamespace('options.netns', options.netns);
  }

  /**
   * The process that holds the socket with this port id now; if several do, the one whose process id
   * it is, else the one with the lowest. Undefined if there is no such socket, or if the descriptors
   * of its process may not be looked at: those of other users take CAP_SYS_PTRACE.
   *
   * @param protocol NETLINK_XFRM …: each has port ids of its own
   * @param at the moment that is meant, as performance.now() told it: a process started later is not
   *   the one. A socket opened later by an older process cannot be told from the one that was there.
   * @throws SystemError if the table of sockets cannot be read
   */
  find(protocol: number, portId: number, at?: number): SocketOwner | undefined {
    integer('protocol', protocol, 0, 31);
    integer('portId', portId, 0, U32_MAX);
    if (at !== undefined && !Number.isFinite(at)) throw wrongType('at', 'a finite number', at);
    if (portId === 0) return undefined;
    // A socket's port id never changes, and its inode number is its own as long as it is open.
    const inode = findInode(this.#table(), protocol, portId);
    if (inode === undefined) return undefined;
    const holder = this.#holder(inode, portId);
    if (holder === undefined) return undefined;
    if (at !== undefined && holder.startTime > ticksAt(at) + CLOCK_GRAIN) return undefined;
    const { descriptor: _, ...owner } = holder;
    return owner;
  }

  #table(): string {
    // That of the thread: /proc/self is the process, whose main thread stays where it is.
    const path = '/proc/thread-self/net/netlink';
    const file = openFile(this.#netns, path);
    try {
      return readFileSync(file.descriptor, 'latin1');
    } finally {
      file.close();
    }
  }

  #holder(inode: number, portId: number): Holder | undefined {
    const before = this.#known.get(inode);
    if (typeof before === 'number') {
      if (performance.now() < before + NOBODY) return undefined;
    } else if (before) {
      const now = holds(before.pid, before.descriptor, inode);
      if (now?.startTime === before.startTime) return now;
    }
    const holder = search(inode, portId);
    if (this.#known.size >= MEMORY) this.#known.clear();
    this.#known.set(inode, holder ?? performance.now());
    return holder;
  }
}

/** The process, if that descriptor is the socket, and it was one and the same while we looked. */
function holds(pid: number, descriptor: string, inode: number): Holder | undefined {
  const started = startTime(pid);
  const link = attempt(() => readlinkSync(`/proc/${pid}/fd/${descriptor}`));
  if (started === undefined || link !== `socket:[${inode}]`) return undefined;
  const comm = attempt(() => readFileSync(`/proc/${pid}/comm`, 'utf8'));
  if (comm === undefined || startTime(pid) !== started) return undefined;
  return { pid, name: comm.replace(/\n$/, ''), startTime: started, inode, descriptor };
}

/** The process with the id `first` is looked at first: most port ids are process ids. */
function search(inode: number, first: number): Holder | undefined {
  const pids = readdirSync('/proc').map(Number).filter(Number.isInteger);
  pids.sort((a, b) => Number(b === first) - Number(a === first) || a - b);
  for (const pid of pids) {
    for (const descriptor of attempt(() => readdirSync(`/proc/${pid}/fd`)) ?? []) {
      const link = attempt(() => readlinkSync(`/proc/${pid}/fd/${descriptor}`));
      const holder = link === `socket:[${inode}]` ? holds(pid, descriptor, inode) : undefined;
      if (holder) return holder;
    }
  }
  return undefined;
}
