/**
 * Which process a port id belongs to: the kernel's table of netlink sockets maps it to an inode
 * number, and the descriptors of processes show who holds that inode.
 * @module
 */
import { readFile as readFileCallback, readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { integer, options as optionsOf, U32_MAX, wrongType } from '../base/argument.ts';
import { addon } from './addon.ts';
import { findHolder, type Holder, holds } from './holders.ts';
import { type NetnsReference, openFile, optionalNamespace } from './namespace.ts';

/** A process that holds a netlink socket. */
export interface SocketOwner {
  readonly pid: number;
  /**
   * The name the process gives itself (/proc/PID/comm, read as UTF-8): it may contain anything, so
   * escape it before printing.
   */
  readonly name: string;
  /** When it was started, in clock ticks since boot (/proc/PID/stat). */
  readonly startTime: number;
  /** The inode number of the socket (sockfs). */
  readonly inode: number;
}

const readFile = promisify(readFileCallback);

/**
 * By how many ticks a process may seem to start later than its event, because two clocks are
 * compared.
 */
const CLOCK_GRAIN = 2;
/**
 * Milliseconds for which a failed search is not repeated. A socket can be without a visible holder
 * for a moment, while it is passed between processes (SCM_RIGHTS, unix(7)) or after a fork.
 */
const NOBODY = 1000;
/** Maximum number of sockets whose holders are cached. */
const MEMORY = 1024;

/** The inode number of a socket in /proc/net/netlink. */
export function findInode(table: string, protocol: number, portId: number): number | undefined {
  // Columns: sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode (netlink_native_seq_show).
  const row = new RegExp(`^ *\\S+ +${protocol} +${portId} .*$`, 'm').exec(table)?.[0];
  return row === undefined ? undefined : Number(row.trim().split(/\s+/)[9]);
}

/**
 * Converts `at`, a time of performance.now(), to the ticks of {@link startTime}. A process that is
 * held up between reading the two clocks gets a later moment, never an earlier one, which would
 * exclude the owner.
 */
function ticksAt(at: number): number {
  const elapsed = (performance.now() - at) / 1000;
  const uptime = Number(readFileSync('/proc/uptime', 'latin1').split(' ')[0]);
  return (uptime - elapsed) * addon().clockTicks;
}

/** Finds the owners of netlink sockets of one network namespace. */
export class SocketOwners {
  readonly #netns: NetnsReference | undefined;
  /** By inode; if no holder was found, the time of the search, as performance.now(). */
  readonly #known = new Map<number, Holder | number>();
  /** By protocol and port id: sockets that had a holder. */
  readonly #inodes = new Map<string, number>();
  #reading: Promise<string> | undefined;

  /**
   * @param options `netns`: the namespace of the sockets, by default that of the process. A path is
   *   resolved on each call: to stay with one namespace, pass a descriptor
   */
  constructor(options: { readonly netns?: NetnsReference | undefined } = {}) {
    optionsOf('options', options, new Set(['netns']));
    this.#netns = optionalNamespace('options.netns', options.netns);
  }

  /**
   * The process that holds the socket with this port id now. If several do: the one whose process
   * id equals the port id, otherwise the one with the lowest id. Undefined if there is no such
   * socket, or if the descriptors of its process may not be inspected: those of other users require
   * CAP_SYS_PTRACE.
   *
   * The table of sockets starts to be read before this returns; the holder is then searched for in
   * slices of a few milliseconds, which do not block the event loop.
   *
   * @param protocol NETLINK_XFRM …: each has port ids of its own
   * @param at the moment in question, from performance.now(): processes started later are excluded.
   *   A socket opened later by an older process cannot be distinguished from the original one.
   * @returns a promise that rejects with TypeError or RangeError for an invalid argument, and with
   *   SystemError if the table of sockets cannot be read
   */
  async find(protocol: number, portId: number, at?: number): Promise<SocketOwner | undefined> {
    integer('protocol', protocol, 0, 31);
    integer('portId', portId, 0, U32_MAX);
    if (at !== undefined && !Number.isFinite(at)) throw wrongType('at', 'a finite number', at);
    if (portId === 0) return undefined;
    const holder = this.#knownHolder(protocol, portId) ?? (await this.#search(protocol, portId));
    if (holder === undefined) return undefined;
    if (at !== undefined && holder.startTime > ticksAt(at) + CLOCK_GRAIN) return undefined;
    const { descriptor: _, ...owner } = holder;
    return owner;
  }

  /**
   * The cached holder, if it still holds that socket: the port id cannot be reused while the socket
   * is open.
   */
  #knownHolder(protocol: number, portId: number): Holder | undefined {
    const inode = this.#inodes.get(`${protocol} ${portId}`);
    return inode === undefined ? undefined : this.#still(inode);
  }

  #still(inode: number): Holder | undefined {
    const before = this.#known.get(inode);
    if (before === undefined || typeof before === 'number') return undefined;
    const now = holds(before.pid, before.descriptor, inode);
    return now?.startTime === before.startTime ? now : undefined;
  }

  async #search(protocol: number, portId: number): Promise<Holder | undefined> {
    const inode = findInode(await this.#table(), protocol, portId);
    if (inode === undefined) return undefined;
    const before = this.#known.get(inode);
    if (typeof before === 'number' && performance.now() < before + NOBODY) return undefined;
    const holder = this.#still(inode) ?? (await findHolder(inode, portId));
    for (const memory of [this.#known, this.#inodes]) if (memory.size >= MEMORY) memory.clear();
    this.#known.set(inode, holder ?? performance.now());
    if (holder) this.#inodes.set(`${protocol} ${portId}`, inode);
    return holder;
  }

  /** The current table. Calls in the same turn share one read. */
  #table(): Promise<string> {
    if (this.#reading === undefined) {
      this.#reading = this.#readTable();
      queueMicrotask(() => {
        this.#reading = undefined;
      });
    }
    return this.#reading;
  }

  async #readTable(): Promise<string> {
    // Of the thread: /proc/self is the process, whose main thread may be in another namespace.
    const file = openFile(this.#netns, '/proc/thread-self/net/netlink');
    try {
      return await readFile(file.descriptor, 'latin1');
    } finally {
      file.close();
    }
  }
}
