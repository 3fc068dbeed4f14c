/** The datagrams of one wake-up, read in place. @module */
import { type Addon, addon } from './addon.ts';
import { errnoName } from './error.ts';

/**
 * The datagrams of one wake-up, in order of arrival.
 *
 * Valid only during the call of the listener: the memory is reused for every batch of this thread,
 * and is overwritten with zeros as soon as the listener returns or throws, because datagrams can
 * hold IPsec keys in the clear. Copy whatever you need to keep.
 */
export interface DatagramBatch {
  /**
   * The memory that holds the datagrams, at {@link DatagramBatch.offset}; far larger than the part
   * in use.
   */
  readonly bytes: Uint8Array;
  /** The same memory. */
  readonly view: DataView;
  /** The number of datagrams: 0 to 64; 0 only if `lost` is set. */
  readonly count: number;
  /**
   * An error code if the kernel dropped events for this socket before the datagrams of this batch
   * were read: `ENOBUFS` for a full receive buffer; `ENOMEM` or `EMSGSIZE` if rtnetlink could not
   * build the message (net/core/rtnetlink.c, rtnl_set_sk_err). The datagrams that follow may be
   * older than the loss. Keep reading; resync to recover what was missed.
   */
  readonly lost: string | undefined;
  /** When the batch was read, in milliseconds like Date.now(). */
  readonly timestamp: number;
  /** The same moment in milliseconds like performance.now(), which is monotonic. */
  readonly monotonic: number;

  /** Where datagram `index` (0 to count − 1) starts in `bytes`: a multiple of 8. */
  offset(index: number): number;
  /** The received length of datagram `index` in bytes. */
  length(index: number): number;
  /** The port id of its sender: 0 is the kernel, and nobody else can send with 0. */
  portId(index: number): number;
  /** Whether it was longer than 64 KiB and the rest was lost (MSG_TRUNC). */
  truncated(index: number): boolean;
  /**
   * The multicast group that datagram `index` was sent to; 0 if it was unicast. Undefined unless
   * the option `packetInfo` is on.
   */
  group(index: number): number | undefined;
  /**
   * The id, in the socket's network namespace, of the namespace datagram `index` comes from;
   * undefined for the socket's own, and always unless the option `listenAllNsid` is on.
   */
  nsid(index: number): number | undefined;
  /** A copy of its bytes, to keep. */
  copy(index: number): Uint8Array;
}

/**
 * 32-bit words of an entry: offset, length, port id, truncated, group, namespace id
 * (native/receive_buffers.h).
 */
export const STRIDE = 6;
/** Maximum number of datagrams in a batch (native/receive_buffers.h). */
export const MAX_BATCH = 64;
/** Stands for values that the kernel did not provide. */
const UNKNOWN = 0xffff_ffff;

/**
 * Memory laid out as in the addon: `arenaBytes` for datagrams, then an entry for each of `batch`.
 */
type Memory = Pick<Addon, 'arena' | 'arenaBytes' | 'batch'>;

/** The only batch of this thread, refilled at each wake-up. */
export class ArenaBatch implements DatagramBatch {
  bytes = new Uint8Array(0);
  view = new DataView(this.bytes.buffer);
  count = 0;
  lost: string | undefined = undefined;
  timestamp = 0;
  monotonic = 0;
  #entries = new Uint32Array(0);
  readonly #memory: () => Memory;

  constructor(memory: () => Memory = addon) {
    this.#memory = memory;
  }

  /** Called after the addon has packed `count` datagrams. */
  fill(count: number, lost: number): this {
    // A detached buffer has length 0; the addon has then allocated a new one.
    if (this.bytes.byteLength === 0) this.#attach();
    this.count = count;
    this.lost = lost === 0 ? undefined : errnoName(lost);
    this.timestamp = Date.now();
    this.monotonic = performance.now();
    return this;
  }

  /** Called after the listener has returned. */
  clear(): void {
    this.count = 0;
    this.lost = undefined;
  }

  #attach(): void {
    const { arena, arenaBytes, batch } = this.#memory();
    const buffer = arena();
    this.bytes = new Uint8Array(buffer, 0, arenaBytes);
    this.view = new DataView(buffer, 0, arenaBytes);
    this.#entries = new Uint32Array(buffer, arenaBytes, batch * STRIDE);
  }

  offset(index: number): number {
    return this.#entries[index * STRIDE] as number;
  }

  length(index: number): number {
    return this.#entries[index * STRIDE + 1] as number;
  }

  portId(index: number): number {
    return this.#entries[index * STRIDE + 2] as number;
  }

  truncated(index: number): boolean {
    return this.#entries[index * STRIDE + 3] !== 0;
  }

  group(index: number): number | undefined {
    const group = this.#entries[index * STRIDE + 4] as number;
    return group === UNKNOWN ? undefined : group;
  }

  nsid(index: number): number | undefined {
    const nsid = this.#entries[index * STRIDE + 5] as number;
    return nsid === UNKNOWN ? undefined : nsid;
  }

  copy(index: number): Uint8Array {
    const start = this.offset(index);
    return this.bytes.slice(start, start + this.length(index));
  }
}
