/** Tables that follow the kernel: events and dumps feed the {@link Reconciler}. @module */
import {
  type DecodeInput,
  type DecodeMessage,
  decodeDatagram,
  type Malformed,
  now,
} from '../netlink/event.ts';
import { type DatagramBatch, type NetlinkSocket, SystemError } from '../socket/index.ts';
import { digestOf } from '../wire/digest.ts';
import type { ObjectName, ObjectTypes, TableChange } from './changes.ts';
import { LossDetector } from './losses.ts';
import type { ObjectModel, Tables } from './object-model.ts';
import { Reconciler, type ReconcilerEvent } from './reconciler.ts';

export interface Source<K extends ObjectTypes, Event> {
  readonly model: ObjectModel<K, Event>;
  readonly decode: DecodeMessage<Event>;
  /**
   * Dumps all objects, passing each to `add`, or each message to `take`. Its requests end when the
   * tables are closed.
   *
   * @returns a promise that is fulfilled when the events of all changes visible in the dumps have
   *   been queued; with false if something may be missing, and the dump must be repeated
   */
  dump(add: AddDumped<K>, take: TakeDumped<K>): Promise<boolean>;
}

export type AddDumped<K extends ObjectTypes> = <N extends ObjectName<K>>(
  kind: N,
  value: K[N],
) => void;

/**
 * Decodes a dumped message, unless it is the same as in the last dump, and adds the object.
 *
 * @returns the object
 */
export type TakeDumped<K extends ObjectTypes> = <N extends ObjectName<K>>(
  kind: N,
  input: DecodeInput,
  at: number,
  length: number,
  decode: DecodeMessage<K[N] | undefined>,
) => K[N] | undefined;

export interface Owner<K extends ObjectTypes, Event> {
  /** The first comparison, before the tables are open, and everything reported after it. */
  changed(change: TableChange<K> | Malformed): void;
  /** An event was read; its effect on the tables comes after this. @returns whether it has none */
  heard?(event: Event): boolean;
  /** Whether reading should pause. Call {@link LiveTables.flow} when that may have changed. */
  full?(): boolean;
  /** The tables can no longer be kept right: close them. */
  failed(error: unknown): void;
}

/** Milliseconds between resyncs, growing while events are lost faster than they are recovered. */
const BACKOFF = { least: 20, most: 5000 };
/** Milliseconds for which a comparison may block other work. */
const SLICE = 4;
/** Events buffered during a dump before reading stops. */
const KEPT = 65_536;

/** Tables, the socket whose events update them, and the dumps they are compared with. */
export class LiveTables<K extends ObjectTypes, Event extends ReconcilerEvent> {
  readonly #socket: NetlinkSocket;
  readonly #source: Source<K, Event>;
  readonly #owner: Owner<K, Event>;
  readonly #refreshInterval: number;
  readonly #table: Reconciler<K, Event>;
  readonly #losses: LossDetector;
  /** Of the message that is being taken. */
  readonly #digest = new Int32Array(2);
  #isOpen = false;
  /** Whether events were lost or malformed, and no comparison has completed since. */
  #lacking = false;
  #heardUntil = now().monotonic;
  #reading = true;
  #working = false;
  /** Whether {@link LiveTables.#lookAgain} is pending. */
  #looking = false;
  /** When the present part of a comparison ends, and whether the next one is pending. */
  #sliceEnds = 0;
  #asked = 0;
  #proceeding = false;
  #wake: NodeJS.Timeout | undefined;
  #refresh: NodeJS.Timeout | undefined;
  #closed = false;

  /**
   * @param socket has joined its groups and is not being read; it keeps the process alive, unless
   *   `unref()`
   * @param refreshInterval milliseconds between two comparisons; 0: only when needed or requested
   */
  constructor(
    socket: NetlinkSocket,
    source: Source<K, Event>,
    owner: Owner<K, Event>,
    refreshInterval = 0,
  ) {
    this.#socket = socket;
    this.#source = source;
    this.#owner = owner;
    this.#refreshInterval = refreshInterval;
    const host = {
      now,
      wakeAfter: (wait: number) => {
        clearTimeout(this.#wake);
        const wake = () => this.#work(() => this.#table.wake());
        // The socket keeps the process alive; timers do not need to.
        this.#wake = setTimeout(wake, Math.ceil(wait)).unref();
      },
      dump: () => void this.#dump(),
      // The clock costs more than most of what is done in between.
      mayProceed: () => ++this.#asked % 16 !== 0 || performance.now() < this.#sliceEnds,
      emit: (change: TableChange<K>) => this.#emit(change),
    };
    this.#table = new Reconciler<K, Event>(source.model, host, BACKOFF);
    this.#losses = new LossDetector(socket, (code, time) => {
      this.#lacking = true;
      this.#table.lost(code, time);
    });
  }

  /** Starts reading and dumping. Call it only when the owner is ready for reports. */
  start(): void {
    this.#work(() => {
      this.#socket.receive(
        (batch) => this.#work(() => this.#onBatch(batch)),
        (error) => this.#owner.failed(error),
      );
      this.#table.wake();
    });
  }

  get tables(): Tables<K> {
    return this.#table.tables;
  }

  /** Whether the tables are complete, and that has been reported. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Whether a comparison is in progress or due. */
  get busy(): boolean {
    return this.#table.busy;
  }

  /** Whether the tables are right, as far as the kernel reports. */
  get synced(): boolean {
    if (this.#closed) return false;
    return this.#table.synced && (this.#reading || this.#queue()?.bytes === 0);
  }

  /** Up to when the tables hold all that the kernel announced; see XfrmMonitor.heardUntil. */
  get heardUntil(): number {
    if (this.#closed) return this.#heardUntil;
    const { monotonic } = now();
    // Queried after the clock: nothing older than that moment is left.
    const queue = this.#queue();
    if (queue?.bytes === 0 && queue.drops === this.#losses.drops && !this.#lacking) {
      this.#heardUntil = monotonic;
    }
    return this.#heardUntil;
  }

  /** The receive queue. If it cannot be queried, the tables end: they could not be kept right. */
  #queue(): NetlinkSocket['queue'] | undefined {
    try {
      return this.#socket.queue;
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      this.#owner.failed(error);
      return undefined;
    }
  }

  /** How many events the kernel reported as dropped. */
  get dropped(): number {
    return this.#losses.drops;
  }

  /** Compares the tables with fresh dumps, after any comparison in progress. */
  refresh(): void {
    this.#work(() => this.#table.refresh());
  }

  /** Reads unless the owner is full, or too many events are buffered for a dump. */
  flow(): void {
    if (this.#closed) return;
    const reading = !this.#owner.full?.() && this.#table.kept < KEPT;
    if (reading === this.#reading) return;
    this.#reading = reading;
    if (!reading) this.#socket.pause();
    else {
      this.#socket.resume();
      if (this.#table.waitsForEmpty) this.#lookAgain();
    }
  }

  ref(): void {
    this.#socket.ref();
  }

  unref(): void {
    this.#socket.unref();
  }

  /** @returns a promise that is fulfilled when the socket is closed */
  close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#wake);
    clearTimeout(this.#refresh);
    return this.#socket.close();
  }

  #onBatch(batch: DatagramBatch): void {
    const time = { wall: batch.timestamp, monotonic: batch.monotonic };
    if (batch.lost !== undefined) this.#losses.failed(batch.lost, time);
    const input = { view: batch.view, bytes: batch.bytes, time, keys: false };
    const { decode } = this.#source;
    for (let i = 0; i < batch.count; i++) {
      const [offset, length] = [batch.offset(i), batch.length(i)];
      decodeDatagram(input, offset, length, batch.truncated(i), decode, this.#onEvent);
    }
  }

  readonly #onEvent = (event: Event | Malformed): void => {
    // A listener may close them; the rest of the batch is then discarded.
    if (this.#closed) return;
    if (isMalformed(event)) {
      this.#tell(event);
      this.#lacking = true;
      this.#table.malformed(event.time);
    } else if (!this.#owner.heard?.(event) && !this.#closed) this.#table.event(event);
  };

  /**
   * Feeds the table, then does what it asks for; if a listener calls this meanwhile, the outer call
   * does. If the socket's queue cannot be queried, the tables end: they could not be kept right.
   */
  #work(feed: () => void): void {
    if (this.#closed) return;
    if (this.#working) {
      feed();
      return;
    }
    this.#working = true;
    this.#sliceEnds = performance.now() + SLICE;
    try {
      feed();
      while (!this.#closed && this.#table.waitsForEmpty) {
        if (!this.#losses.caughtUp()) {
          this.#lookAgain();
          break;
        }
        this.#table.empty();
      }
      if (this.#table.waitsForTime) this.#proceedLater();
      this.flow();
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      this.#owner.failed(error);
    } finally {
      this.#working = false;
    }
  }

  /**
   * Checks again whether events are queued, after reading those that are: they may all be forged
   * datagrams, which are not reported. Two turns guarantee a poll of the socket in between, because
   * the first setImmediate may run before the poll.
   */
  #lookAgain(): void {
    if (!this.#reading || this.#looking) return;
    this.#looking = true;
    const look = () => {
      this.#looking = false;
      this.#work(() => {});
    };
    setImmediate(() => setImmediate(look));
  }

  #proceedLater(): void {
    if (this.#proceeding) return;
    this.#proceeding = true;
    setImmediate(() => {
      this.#proceeding = false;
      this.#work(() => this.#table.proceed());
    });
  }

  readonly #take: TakeDumped<K> = (kind, input, at, length, decode) => {
    this.#table.readAt(input.time);
    digestOf(input.view, at, length, this.#digest);
    const known = this.#table.recognized(kind, this.#digest);
    if (known !== undefined) return known;
    const value = decode(input, at, length);
    if (value !== undefined) this.#table.dumped(kind, value, this.#digest);
    return value;
  };

  async #dump(): Promise<void> {
    let complete = false;
    try {
      complete = await this.#source.dump(
        (kind, value) => this.#table.dumped(kind, value),
        this.#take,
      );
    } catch (error) {
      if (this.#closed) return;
      // A dropped privilege does not come back; other errors may be temporary.
      const { code } = error as NodeJS.ErrnoException;
      if (!this.#isOpen || code === 'EPERM') return this.#owner.failed(error);
    }
    this.#work(() => (complete ? this.#table.dumpEnded() : this.#table.dumpFailed()));
  }

  #emit(change: TableChange<K>): void {
    if (change.kind !== 'resynced' && change.kind !== 'refreshed') {
      this.#tell(change);
      return;
    }
    clearTimeout(this.#refresh);
    if (this.#refreshInterval > 0 && !this.#closed) {
      this.#refresh = setTimeout(() => this.refresh(), this.#refreshInterval).unref();
    }
    this.#lacking = false;
    if (!this.#closed) this.#owner.changed(change);
    this.#isOpen = true;
  }

  #tell(change: TableChange<K> | Malformed): void {
    if (this.#isOpen && !this.#closed) this.#owner.changed(change);
  }
}

/** Event kinds are the kernel's message names, in capitals. */
const isMalformed = (event: object): event is Malformed =>
  (event as { kind?: unknown }).kind === 'malformed';
