/**
 * A program that keeps tables of what a simulated kernel has, each at its own pace.
 * @module
 */
import assert from 'node:assert/strict';
import type { ObjectName, ObjectTypes, TableChange } from '../../lib/monitor/changes.ts';
import { LossDetector } from '../../lib/monitor/losses.ts';
import type { ObjectModel } from '../../lib/monitor/object-model.ts';
import { Reconciler, type ReconcilerEvent } from '../../lib/monitor/reconciler.ts';
import { digestOf } from '../../lib/wire/digest.ts';
import { NLMSG_HDRLEN } from '../../lib/wire/message.ts';
import type { Random } from './random.ts';
import type { SimulatedQueue } from './simulated-queue.ts';

/** What a program asks a kernel. */
interface Kernel<K extends ObjectTypes, Event> {
  readonly queue: SimulatedQueue<Event>;
  /** How many things happened. */
  readonly steps: number;
  /** Whether something has happened whose event is still on its way. */
  readonly late: boolean;
  dump(piece: number): Iterator<[ObjectName<K>, K[ObjectName<K>]][]>;
}

export class Program<K extends ObjectTypes, Event extends ReconcilerEvent> {
  readonly table: Reconciler<K, Event>;
  now = 0;
  /** When the last list began: when the kernel was asked, in its steps. */
  listedAt = 0;
  readonly #random: Random;
  readonly #kernel: Kernel<K, Event>;
  readonly #losses: LossDetector;
  #wakeAt = 0;
  #dump: ReturnType<Kernel<K, Event>['dump']> | undefined;
  #asked = false;
  readonly #digest = new Int32Array(2);

  constructor(
    random: Random,
    kernel: Kernel<K, Event>,
    model: ObjectModel<K, Event>,
    emit: (change: TableChange<K>) => void,
  ) {
    this.#random = random;
    this.#kernel = kernel;
    this.table = new Reconciler<K, Event>(
      model,
      {
        now: () => ({ wall: this.now, monotonic: this.now }),
        wakeAfter: (wait) => {
          this.#wakeAt = this.now + wait;
        },
        dump: () => {
          this.#dump = kernel.dump(1 + random.below(4));
        },
        mayProceed: () => random.chance(1, 2),
        emit,
      },
      { least: 1, most: 8 },
    );
    this.#losses = new LossDetector(kernel.queue, (code, time) => this.table.lost(code, time));
    this.table.wake();
  }

  /** Whether the table has received everything and is synced. */
  get quiet(): boolean {
    const told = !this.#kernel.queue.waiting && !this.#kernel.late;
    return told && !this.#dump && this.table.synced && !this.table.busy;
  }

  /** A batch: the error, if any, and the events queued when it is reported. */
  read(): void {
    const { queue } = this.#kernel;
    let read = queue.read(1 + this.#random.below(8));
    if (read === 'ENOBUFS') {
      const batch = this.#random.chance(1, 2) ? queue.read(1 + this.#random.below(8)) : [];
      this.#losses.failed(read);
      read = batch === 'ENOBUFS' ? [] : batch;
    }
    for (const event of read) this.table.event(event);
    this.#check();
  }

  list(): void {
    if (!this.#dump) return;
    if (!this.#asked) this.listedAt = this.#kernel.steps;
    this.#asked = true;
    const { value, done } = this.#dump.next();
    if (done) {
      this.#dump = undefined;
      this.#asked = false;
      this.table.dumpEnded();
    } else for (const [kind, object] of value) this.#take(kind, object);
    this.#check();
  }

  /** Takes a dumped object as a monitor does: by its message, if that is known. */
  #take<N extends ObjectName<K>>(kind: N, object: K[N]): void {
    const message = Buffer.alloc(NLMSG_HDRLEN + 2048);
    const text = JSON.stringify(object, (_, value) =>
      typeof value === 'bigint' ? `${value}` : value,
    );
    const length = NLMSG_HDRLEN + message.write(text, NLMSG_HDRLEN);
    digestOf(new DataView(message.buffer, message.byteOffset, length), 0, length, this.#digest);
    const known = this.table.recognized(kind, this.#digest);
    if (known === undefined) this.table.dumped(kind, object, this.#digest);
    else assert.deepEqual(known, object);
  }

  tick(): void {
    this.now++;
    if (this.now >= this.#wakeAt) this.table.wake();
    if (this.#random.chance(1, 2)) this.table.proceed();
    this.#check();
  }

  /** Until nothing more happens; the kernel changes nothing meanwhile. */
  settle(): void {
    for (let i = 0; i < 2000; i++) {
      this.read();
      this.list();
      this.tick();
      if (this.quiet) return;
    }
    assert.fail('it does not settle');
  }

  #check(): void {
    while (this.table.waitsForEmpty && this.#losses.caughtUp()) this.table.empty();
  }
}
