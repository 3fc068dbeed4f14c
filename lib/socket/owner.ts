/**
 * Which process a port id belongs to: the kernel's table of netlink sockets gives the socket's inode
 * number, the descriptors of the processes tell who holds that.
 * @module
 */
import { readFile as readFileCallback, readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { addon } from './addon.ts';
import { integer, options as optionsOf, U32_MAX, wrongType } from './argument.ts';
import { findHolder, type Holder, holds } from './holders.ts';
import { type NetnsReference, openFile, optionalNamespace } from './namespace.ts';

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

const readFile = promisify(readFileCallback);

/** How much later than an event a process may seem to have been started: two clocks, in ticks. */
const CLOCK_GRAIN = 2;
/**
 * Milliseconds in which a socket that nobody seems to hold is not looked for again: one on its way from
 * process to process (SCM_RIGHTS, unix(7)) will be held, and so will that of a process that forked.
 */
const NOBODY = 1000;
/** Sockets remembered, so that their holders need not be looked for again. */
const MEMORY = 1024;

/** The inode number of a socket in /proc/net/netlink. */
export function findInode(table: string, protocol: number, portId: number): number | undefined {
  // Columns: sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode (netlink_native_seq_show).
  const row = new RegExp(`^ *\\S+ +${protocol} +${portId} .*$`, 'm').exec(table)?.[0];
  return row === undefined ? undefined : Number(row.trim().split(/\s+/)[9]);
}

/** Milliseconds that may pass between reading two clocks that are compared. */
const BOTH_CLOCKS = 5;
/** How often they are read before a reading that was held up is taken as well. */
const READINGS = 100;

/** The moment `at` of performance.now() in the ticks of {@link startTime}. */
function ticksAt(at: number): number {
  for (let reading = 1; ; reading += 1) {
    const before = performance.now();
    const uptime = Number(readFileSync('/proc/uptime', 'latin1').split(' ')[0]);
    // A process that is held up between the clocks would take the moment for an earlier one.
    const isHeldUp = performance.now() - before > BOTH_CLOCKS;
    if (isHeldUp && reading < READINGS) continue;
    return (uptime - (before - at) / 1000) * addon().clockTicks;
  }
}

/** Finds the owners of netlink sockets of one network namespace. */
export class SocketOwners {
  readonly #netns: NetnsReference | undefined;
  /** By inode; where nobody could be found, when that was, as performance.now(). */
  readonly #known = new Map<number, Holder | number>();
  /** By protocol and port id: sockets that had a holder. */
  readonly #inodes = new Map<string, number>();
  #reading: Promise<string> | undefined;

  /**
   * @param options `netns`: where the sockets are; default the namespace of the process. A path is
   *   followed each time: to stay with one namespace, give a descriptor
   */
  constructor(options: { readonly netns?: NetnsReference | undefined } = {}) {
    optionsOf('options', options, new Set(['netns']));
    this.#netns = optionalNamespace('options.netns', options.netns);
  }

  /**
   * The process that holds the socket with this port id now; if several do, the one whose process id
   * it is, else the one with the lowest. Undefined if there is no such socket, or if the descriptors
   * of its process may not be looked at: those of other users take CAP_SYS_PTRACE.
   *
   * Which socket it is begins to be read before this returns; who holds it is then looked for in pieces of a
   * few milliseconds, between which other things go on.
   *
   * @param protocol NETLINK_XFRM …: each has port ids of its own
   * @param at the moment that is meant, as performance.now() told it: a process started later is not
   *   the one. A socket opened later by an older process cannot be told from the one that was there.
   * @returns a promise, rejected with TypeError or RangeError for a wrong argument, with SystemError if the
   *   table of sockets cannot be read
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

  /** Who was found before, and still holds that socket: as long as it is open, its port id is its own. */
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

  /** The table as it is now. Who asks in the same breath gets the same. */
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
    // That of the thread: /proc/self is the process, whose main thread stays where it is.
    const file = openFile(this.#netns, '/proc/thread-self/net/netlink');
    try {
      return await readFile(file.descriptor, 'latin1');
    } finally {
      file.close();
    }
  }
}
