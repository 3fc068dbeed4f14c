/**
 * Records the events of one protocol in one network namespace, and snapshots of its objects
 * between them.
 * @module
 */
import { setImmediate } from 'node:timers/promises';
import { openEventSocket, ReadThrottle } from '../monitor/event-socket.ts';
import { LossDetector } from '../monitor/losses.ts';
import { NETLINK_ROUTE, NETLINK_XFRM } from '../netlink/constants.ts';
import { now } from '../netlink/event.ts';
import { MAX_BATCH } from '../socket/batch.ts';
import type {
  BpfInstruction,
  DatagramBatch,
  NetlinkSocket,
  NetnsReference,
} from '../socket/index.ts';
import { LE } from '../wire/endian.ts';
import { NLMSG_HDRLEN } from '../wire/message.ts';
import type { BlockWriter } from './block-writer.ts';
import { DUMPS, type Dumps } from './dumps.ts';
import { align8 } from './format.ts';
import { removeKeys } from './keys.ts';
import type { RecordedProtocol, SnapshotNote } from './records.ts';

/** What to record, and where. */
export interface EventRecording {
  readonly protocol: RecordedProtocol;
  readonly groups: readonly number[];
  /** Which of its events the kernel queues. */
  readonly filter?: readonly BpfInstruction[];
  readonly netns: NetnsReference | undefined;
  /** The index of the namespace in the recording. */
  readonly index: number;
  readonly receiveBufferSize: number;
  readonly keys: boolean;
  /** Milliseconds between two snapshots. */
  readonly interval: number;
  /**
   * Sees each event, at an offset in the memory of the block writer.
   * @returns whether it leaves in doubt what the tables hold
   */
  inspect?(view: DataView, at: number, length: number): boolean;
  /** Called after each snapshot. */
  settled(): void;
  /** It can no longer be recorded. */
  failed(error: unknown): void;
}

const NUMBERS = { xfrm: NETLINK_XFRM, route: NETLINK_ROUTE } as const;
/** Milliseconds for which events are coalesced: fewer wake-ups, and times that are late by as much. */
const COALESCE = 5;
/**
 * Milliseconds until it looks again whether events are waiting. It also looks after each batch that
 * emptied the queue; this is for datagrams that make no batch, of other senders than the kernel.
 */
const AGAIN = 20;
/** Milliseconds from an event that leaves a doubt to a snapshot, which then resolves several. */
const DOUBT = 200;
/** The least between two snapshots after losses, in milliseconds. */
const LEAST = 20;
/** Bytes of snapshots per millisecond, before compression, unless events were lost. */
const BUDGET = 200;

/** Turns of the event loop in which waiting events are still read at the end. */
const LAST_TURNS = 1000;

/** Whether each datagram of a batch is one whole message, and each follows the one before. */
function isPlain(batch: DatagramBatch): boolean {
  const { count, view } = batch;
  if (count === 0) return false;
  let next = batch.offset(0);
  for (let i = 0; i < count; i++) {
    const at = batch.offset(i);
    const length = batch.length(i);
    if (at !== next || length < NLMSG_HDRLEN || view.getUint32(at, LE) !== length) return false;
    next = at + align8(length);
  }
  return true;
}

type Phase = 'idle' | 'emptying' | 'dumping' | 'settling';

export class EventRecorder {
  readonly #writer: BlockWriter;
  readonly #what: EventRecording;
  readonly #number: number;
  readonly #socket: NetlinkSocket;
  readonly #throttle: ReadThrottle;
  readonly #losses: LossDetector;
  readonly #dumps: Dumps;
  #phase: Phase = 'idle';
  #lost = false;
  #wanted = false;
  #timer: NodeJS.Timeout | undefined;
  /** When the timer fires. */
  #due = Number.POSITIVE_INFINITY;
  #looking: NodeJS.Timeout | undefined;
  #began = 0;
  #bytes = 0;
  #soonest = Number.NEGATIVE_INFINITY;
  /** Until when snapshots rest after the last one, unless events were lost. */
  #rested = Number.NEGATIVE_INFINITY;
  #closed = false;
  received = 0;

  /** Joins the groups. @throws SystemError as subscribe() */
  constructor(writer: BlockWriter, what: EventRecording) {
    this.#writer = writer;
    this.#what = what;
    this.#number = NUMBERS[what.protocol];
    const { protocol, groups, receiveBufferSize, netns, filter } = what;
    const opened = openEventSocket(protocol, groups, { receiveBufferSize, readAhead: 0 }, netns);
    this.#socket = opened.socket;
    try {
      if (filter) this.#socket.attachFilter(filter);
      this.#dumps = DUMPS[protocol]({ netns });
    } catch (error) {
      void this.#socket.close();
      throw error;
    }
    this.#throttle = new ReadThrottle(opened, COALESCE);
    this.#losses = new LossDetector(this.#socket, (code) => {
      this.#lost = true;
      this.#note({ kind: 'overrun', protocol, code });
      this.#want(0);
    });
  }

  /** How many times the kernel reported that it dropped events. */
  get overruns(): number {
    return this.#socket.overruns;
  }

  /** Starts reading, with a snapshot. */
  start(): void {
    this.#socket.receive(
      (batch) => this.#onBatch(batch),
      (error) => this.#what.failed(error),
    );
    this.#want(0);
  }

  pause(): void {
    this.#throttle.flowing = false;
  }

  resume(): void {
    this.#throttle.flowing = true;
  }

  /** Something was not written: a snapshot is due. */
  snapshot(): void {
    this.#lost = true;
    this.#want(0);
  }

  /** Reads what is waiting, unless there is no end to it. */
  async drain(): Promise<void> {
    try {
      for (let turns = 0; turns < LAST_TURNS && !this.#losses.caughtUp(); turns++) {
        this.#throttle.now();
        // The first ends the current turn, so that the socket is polled between the two.
        await setImmediate();
        await setImmediate();
      }
    } catch {
      // It is closed.
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#looking);
    await Promise.all([this.#throttle.close(), this.#dumps.close()]);
  }

  #onBatch(batch: DatagramBatch): void {
    const { count } = batch;
    const writer = this.#writer;
    writer.at(batch.timestamp, batch.monotonic);
    if (batch.lost !== undefined) this.#losses.failed(batch.lost);
    const doubtful = isPlain(batch) ? this.#addTogether(batch) : this.#addOneByOne(batch);
    this.received += count;
    if (doubtful) this.#want(DOUBT);
    // Until the writer has drained: the kernel queues what comes meanwhile.
    if (writer.full) this.pause();
    else this.#throttle.batchRead(batch);
    if (count < MAX_BATCH && this.#waitsForQuiet) this.#look();
  }

  /**
   * Copies the batch as it is, which costs a third of copying its datagrams.
   *
   * @returns whether an event leaves a doubt
   */
  #addTogether(batch: DatagramBatch): boolean {
    const writer = this.#writer;
    const last = batch.count - 1;
    const first = batch.offset(0);
    const length = batch.offset(last) + batch.length(last) - first;
    const { index } = this.#what;
    const at = writer.datagram('datagrams', this.#number, index, batch.bytes, first, length);
    const moved = at - first;
    let doubtful = false;
    for (let i = 0; i <= last; i++) {
      if (this.#inspect(batch.offset(i) + moved, batch.length(i))) doubtful = true;
    }
    return doubtful;
  }

  #addOneByOne(batch: DatagramBatch): boolean {
    let doubtful = false;
    for (let i = 0; i < batch.count; i++) {
      const length = batch.length(i);
      const truncated = batch.truncated(i);
      const type = truncated ? 'truncated' : 'datagram';
      const { index } = this.#what;
      const from = batch.offset(i);
      const at = this.#writer.datagram(type, this.#number, index, batch.bytes, from, length);
      if (this.#inspect(at, length) || truncated) doubtful = true;
    }
    return doubtful;
  }

  /**
   * Removes the keys from a datagram, in the copy: the socket overwrites the original.
   *
   * @returns whether it leaves a doubt
   */
  #inspect(at: number, length: number): boolean {
    const { view, bytes } = this.#writer;
    const { keys, inspect, protocol } = this.#what;
    if (!keys && protocol === 'xfrm') removeKeys(view, bytes, at, length);
    return inspect?.(view, at, length) ?? false;
  }

  #note(note: SnapshotNote | { kind: 'overrun'; protocol: RecordedProtocol; code: string }): void {
    this.#writer.note(this.#what.index, note);
  }

  /** Requests a snapshot in so many milliseconds. */
  #want(wait: number): void {
    if (this.#closed) return;
    if (this.#phase !== 'idle') {
      this.#wanted = true;
      return;
    }
    const at = performance.now();
    const due = Math.max(at + wait, this.#lost ? this.#soonest : this.#rested);
    if (due >= this.#due) return;
    clearTimeout(this.#timer);
    this.#due = due;
    this.#timer = setTimeout(() => {
      this.#due = Number.POSITIVE_INFINITY;
      this.#phase = 'emptying';
      this.#look();
    }, due - at).unref();
  }

  get #waitsForQuiet(): boolean {
    return this.#phase === 'emptying' || this.#phase === 'settling';
  }

  /** Continues a snapshot once no events are waiting. */
  #look(): void {
    clearTimeout(this.#looking);
    try {
      if (this.#closed) return;
      if (!this.#losses.caughtUp()) {
        this.#looking = setTimeout(() => this.#look(), AGAIN).unref();
      } else if (this.#phase === 'emptying') void this.#dump();
      else if (this.#phase === 'settling') this.#finish('settled');
    } catch (error) {
      this.#what.failed(error);
    }
  }

  async #dump(): Promise<void> {
    const { protocol, index, keys } = this.#what;
    const writer = this.#writer;
    this.#phase = 'dumping';
    this.#wanted = false;
    this.#lost = false;
    this.#began = performance.now();
    this.#bytes = 0;
    this.#say('begin');
    let complete = false;
    try {
      complete = await this.#dumps.dump((bytes, start, length) => {
        const { wall, monotonic } = now();
        writer.at(wall, monotonic);
        const at = writer.datagram('dumped', this.#number, index, bytes, start, length);
        if (protocol === 'xfrm' && !keys) removeKeys(writer.view, writer.bytes, at, length);
        this.#bytes += length;
      });
    } catch (error) {
      if (this.#closed) return;
      // A dropped privilege does not come back; other errors may be temporary.
      if ((error as NodeJS.ErrnoException).code === 'EPERM') {
        this.#what.failed(error);
        return;
      }
    }
    if (this.#closed) return;
    if (!complete) {
      this.#wanted = true;
      this.#lost = true;
      this.#finish('failed');
      return;
    }
    this.#say('dumped');
    this.#phase = 'settling';
    this.#look();
  }

  #finish(phase: 'settled' | 'failed'): void {
    this.#say(phase);
    this.#phase = 'idle';
    const end = performance.now();
    const took = end - this.#began;
    this.#soonest = end + Math.max(LEAST, took);
    this.#rested = Math.max(this.#soonest, end + this.#bytes / BUDGET);
    if (phase === 'settled') this.#what.settled();
    if (this.#wanted) this.#want(this.#lost ? 0 : DOUBT);
    else this.#want(this.#what.interval);
  }

  #say(phase: SnapshotNote['phase']): void {
    const { wall, monotonic } = now();
    this.#writer.at(wall, monotonic);
    this.#note({ kind: 'snapshot', protocol: this.#what.protocol, phase });
  }
}
