/**
 * Stands in for the kernel in tests: simulated sockets that receive what another program
 * determines. They need no addon.
 * @module
 */
import { endianness } from 'node:os';
import type { Addon, NativeCallback, NativeSocket } from './addon.ts';
import { ArenaBatch, MAX_BATCH, STRIDE } from './batch.ts';

/** Passed in place of a network namespace, it opens the sockets. {@link FakeKernel} is one. */
export abstract class KernelStandIn {
  /** @internal */
  abstract openSocket(protocol: number): NativeSocket;
}

/** Option numbers of a socket that never reaches the kernel: they only have to be distinct. */
const CONSTANTS: Addon['constants'] = {
  SOL_SOCKET: 1,
  SO_RCVBUF: 8,
  SO_RCVBUFFORCE: 33,
  SO_SNDBUF: 7,
  SO_SNDBUFFORCE: 32,
  SO_DETACH_FILTER: 27,
  SO_MEMINFO: 55,
  SOL_NETLINK: 270,
  NETLINK_ADD_MEMBERSHIP: 1,
  NETLINK_DROP_MEMBERSHIP: 2,
  NETLINK_PKTINFO: 3,
  NETLINK_BROADCAST_ERROR: 4,
  NETLINK_NO_ENOBUFS: 5,
  NETLINK_LISTEN_ALL_NSID: 8,
  NETLINK_LIST_MEMBERSHIPS: 9,
  NETLINK_CAP_ACK: 10,
  NETLINK_EXT_ACK: 11,
  NETLINK_GET_STRICT_CHK: 12,
};

/** Offset of SO_RCVBUFFORCE and SO_SNDBUFFORCE from their normal counterparts. */
const FORCED = 25;
const FORCE = new Set([CONSTANTS.SO_RCVBUFFORCE, CONSTANTS.SO_SNDBUFFORCE]);
/** net.core.rmem_default. */
const BUFFER = 212_992;
const ARENA = 2 ** 20;
/** Milliseconds: the maximum for a timer. */
const LONG = 2 ** 31 - 1;
const NO_NSID = 0xffff_ffff;

/** A datagram that is made when it is read, as the kernel makes dumps. */
export interface LateDatagram {
  readonly length: number;
  /** Writes it to memory of its length. */
  write(into: Uint8Array): void;
}

interface Datagram {
  readonly bytes: Uint8Array | LateDatagram;
  readonly portId: number;
  readonly group: number;
}

const LE = endianness() === 'LE';

/** Like getsockopt: copies what fits, and returns the full length. */
const put = (words: Uint32Array | Int32Array, into: Uint8Array) => {
  into.set(new Uint8Array(words.buffer, 0, Math.min(into.length, words.byteLength)));
  return words.byteLength;
};

/** Bytes of a datagram that occupy the queue: those of a dump are made while it is read. */
const made = (bytes: Datagram['bytes']): number => (bytes instanceof Uint8Array ? bytes.length : 0);

/** Callbacks to the stand-in that opened a socket. */
interface Owner {
  /** A datagram was sent to the kernel. If this throws, so does `send`. */
  sent(socket: StandInSocket, bytes: Uint8Array): void;
  closed(socket: StandInSocket): void;
}

let ports = 0x8000_0000;

/** One of its sockets: a queue. Receive buffers never overflow, and filters drop nothing. */
export class StandInSocket implements NativeSocket {
  readonly standIn: { readonly constants: Addon['constants']; readonly batch: ArenaBatch };
  readonly groups = new Set<number>();
  readonly #owner: Owner;
  #portId = 0;
  #peer = { portId: 0, groups: 0 };
  readonly #options = new Map<string, number>();
  #queue: Datagram[] = [];
  /** How many datagrams at the start of the queue were read: to remove each would move the others. */
  #read = 0;
  /** Bytes of the others. */
  #waiting = 0;
  /** The errno of a loss not yet reported, or 0. */
  #lost = 0;
  #drops = 0;
  #overruns = 0;
  #rejected = 0;
  #reader: { callback: NativeCallback; kernelOnly: boolean; most: number } | undefined;
  #due: NodeJS.Immediate | undefined;
  /** Keeps the process alive, as polling a descriptor would. */
  #alive: NodeJS.Timeout | undefined;
  #referenced = true;
  readonly #bytes: Uint8Array;
  readonly #entries: Uint32Array;

  constructor(owner: Owner) {
    this.#owner = owner;
    const buffer = new ArrayBuffer(ARENA + MAX_BATCH * STRIDE * 4);
    this.#bytes = new Uint8Array(buffer, 0, ARENA);
    this.#entries = new Uint32Array(buffer, ARENA);
    const batch = new ArenaBatch(() => ({
      arena: () => buffer,
      arenaBytes: ARENA,
      batch: MAX_BATCH,
    }));
    this.standIn = { constants: CONSTANTS, batch };
  }

  /** Its port id; 0 if unbound. */
  get bound(): number {
    return this.#portId;
  }

  /** Queues a datagram. */
  push(bytes: Datagram['bytes'], group = 0, portId = 0): void {
    this.#queue.push({ bytes, group, portId });
    this.#waiting += made(bytes);
    this.#wake();
  }

  /** Simulates a loss of datagrams at this point. */
  lose(errno: number): void {
    this.#lost = errno;
    this.#drops++;
    this.#overruns++;
    this.#wake();
  }

  open(): number {
    return 0;
  }

  bind(portId: number, groups: number): number {
    this.#portId ||= portId || ++ports;
    for (let group = 1; group <= 32; group++) {
      if ((groups >>> (group - 1)) & 1) this.groups.add(group);
      else this.groups.delete(group);
    }
    return 0;
  }

  connect(portId: number, groups: number): number {
    this.#portId ||= ++ports;
    this.#peer = { portId, groups };
    return 0;
  }

  disconnect(): number {
    this.#peer = { portId: 0, groups: 0 };
    return 0;
  }

  address(into: Uint8Array, peer: boolean): number {
    const groups = [...this.groups].reduce((mask, group) => mask | (1 << (group - 1)), 0);
    const { portId, groups: mask } = peer ? this.#peer : { portId: this.#portId, groups };
    return put(Uint32Array.of(portId, mask), into);
  }

  setOption(level: number, name: number, value: Uint8Array): number {
    const number = new DataView(value.buffer, value.byteOffset).getInt32(0, LE);
    if (level === CONSTANTS.SOL_NETLINK) {
      if (name === CONSTANTS.NETLINK_ADD_MEMBERSHIP) this.groups.add(number);
      else if (name === CONSTANTS.NETLINK_DROP_MEMBERSHIP) this.groups.delete(number);
    } else if (FORCE.has(name)) return this.setOption(level, name - FORCED, value);
    // The kernel doubles the size of a buffer.
    this.#options.set(`${level} ${name}`, level === CONSTANTS.SOL_SOCKET ? 2 * number : number);
    return 0;
  }

  getOption(level: number, name: number, into: Uint8Array): number {
    if (level === CONSTANTS.SOL_NETLINK && name === CONSTANTS.NETLINK_LIST_MEMBERSHIPS) {
      const words = new Uint32Array(Math.ceil(Math.max(0, ...this.groups) / 32));
      for (const group of this.groups) {
        const at = Math.floor((group - 1) / 32);
        words[at] = (words[at] as number) | (1 << ((group - 1) % 32));
      }
      return put(words, into);
    }
    if (level === CONSTANTS.SOL_SOCKET && name === CONSTANTS.SO_MEMINFO) {
      return put(Uint32Array.of(this.#waiting, 0, 0, 0, 0, 0, 0, 0, this.#drops), into);
    }
    const unset = level === CONSTANTS.SOL_SOCKET ? BUFFER : 0;
    return put(Int32Array.of(this.#options.get(`${level} ${name}`) ?? unset), into);
  }

  attachFilter(): number {
    return 0;
  }

  control(): void {}

  rest(): void {}

  send(bytes: Uint8Array): number {
    this.#portId ||= ++ports;
    this.#owner.sent(this, bytes.slice());
    return bytes.length;
  }

  start(callback: NativeCallback, kernelOnly: boolean, most: number): number {
    this.#reader = { callback, kernelOnly, most };
    this.#alive ??= setInterval(() => {}, LONG);
    if (!this.#referenced) this.#alive.unref();
    this.#wake();
    return 0;
  }

  stop(): void {
    this.#reader = undefined;
    clearInterval(this.#alive);
    this.#alive = undefined;
  }

  ref(): void {
    this.#referenced = true;
    this.#alive?.ref();
  }

  unref(): void {
    this.#referenced = false;
    this.#alive?.unref();
  }

  close(callback: () => void): number {
    this.stop();
    this.#owner.closed(this);
    setImmediate(callback);
    return 0;
  }

  rejected(): number {
    return this.#rejected;
  }

  overruns(): number {
    return this.#overruns;
  }

  waiting(): number {
    return 0;
  }

  /** Delivers in a separate turn, as the event loop does. */
  #wake(): void {
    const isEmpty = this.#read === this.#queue.length && this.#lost === 0;
    if (this.#reader === undefined || isEmpty) return;
    this.#due ??= setImmediate(() => {
      this.#due = undefined;
      this.#deliver();
    });
  }

  #shift(): void {
    this.#read++;
    if (2 * this.#read < this.#queue.length) return;
    this.#queue = this.#queue.slice(this.#read);
    this.#read = 0;
  }

  #deliver(): void {
    if (this.#reader === undefined) return;
    const { callback, kernelOnly, most } = this.#reader;
    let [count, at] = [0, 0];
    for (;;) {
      const next = this.#queue[this.#read];
      if (next === undefined || count === most || at + next.bytes.length > ARENA) break;
      const { bytes, portId, group } = next;
      this.#waiting -= made(bytes);
      this.#shift();
      if (kernelOnly && portId !== 0) {
        this.#rejected++;
        continue;
      }
      if (bytes instanceof Uint8Array) this.#bytes.set(bytes, at);
      else bytes.write(this.#bytes.subarray(at, at + bytes.length));
      this.#entries.set([at, bytes.length, portId, 0, group, NO_NSID], count * STRIDE);
      // Each datagram starts at a multiple of 8, as in the addon's memory.
      at += (bytes.length + 7) & ~7;
      count++;
    }
    const lost = this.#lost;
    this.#lost = 0;
    try {
      if (count > 0 || lost !== 0) callback(count, lost, 0);
    } finally {
      // As in the addon, to expose code that keeps a view instead of a copy.
      this.#bytes.fill(0, 0, at);
      this.#wake();
    }
  }
}
