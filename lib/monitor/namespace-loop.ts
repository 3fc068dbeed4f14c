/** A loop over changes in several network namespaces. @module */
import type { Loop } from './event-hub.ts';
import { EventQueue } from './event-queue.ts';

/** A namespace is no longer watched: it was removed, or could not be watched (`error`). */
export interface NamespaceClosed {
  readonly kind: 'closed';
  readonly error: unknown;
}

/** A change in the namespace with that label. */
export type InNamespace<Change> = (Change | NamespaceClosed) & { readonly label: string };

/** The parts of a namespace's monitor that a loop needs. */
type Iterated<Change> = AsyncIterable<Change, undefined>;

interface Source<Change> {
  readonly label: string;
  readonly changes: AsyncIterator<Change, undefined>;
  /** Its `synced`. */
  first: InNamespace<Change> | undefined;
}

/** Takes one change at a time from each monitor: the rest wait there, within its highWaterMark. */
export class NamespaceLoop<Change> implements Loop<InNamespace<Change>> {
  readonly queue: EventQueue<InNamespace<Change>>;
  readonly #sources = new Map<Iterated<Change>, Source<Change>>();
  /** By label, the monitor that is read once the one before it has been. */
  readonly #next = new Map<string, Iterated<Change>>();
  /** How to continue once a change was taken. */
  readonly #more = new Map<InNamespace<Change>, () => void>();
  #ending: { readonly error: unknown } | undefined;

  constructor(left: () => void) {
    this.queue = new EventQueue<InNamespace<Change>>(Number.POSITIVE_INFINITY, {
      changed() {},
      left: () => {
        this.#next.clear();
        for (const { changes } of this.#sources.values()) changes.return?.();
        left();
      },
      taken: (change) => {
        const more = this.#more.get(change);
        this.#more.delete(change);
        more?.();
      },
    });
  }

  /** Adds a namespace: `synced`, then its changes, once all of its label so far have been read. */
  add(label: string, monitor: Iterated<Change>): void {
    for (const source of this.#sources.values()) {
      if (source.label !== label) continue;
      this.#next.set(label, monitor);
      return;
    }
    this.#read(label, monitor);
  }

  #read(label: string, monitor: Iterated<Change>): void {
    const changes = monitor[Symbol.asyncIterator]();
    const source: Source<Change> = { label, changes, first: undefined };
    this.#sources.set(monitor, source);
    const closed = (error?: unknown) => {
      if (!this.#sources.delete(monitor)) return;
      this.push({ kind: 'closed', error, label });
      this.#readNext(label);
      this.#endAfterAll();
    };
    const more = () => {
      source.changes.next().then((result) => {
        if (result.done) return closed();
        const change: InNamespace<Change> = { ...result.value, label };
        source.first ??= change;
        this.#more.set(change, more);
        this.push(change);
      }, closed);
    };
    more();
  }

  #readNext(label: string): void {
    const next = this.#next.get(label);
    this.#next.delete(label);
    if (next) this.#read(label, next);
  }

  /**
   * The monitor closed. A slow loop skips namespaces it never reached: their changes would pile up.
   */
  gone(monitor: Iterated<Change>): void {
    for (const [label, next] of this.#next) if (next === monitor) this.#next.delete(label);
    const source = this.#sources.get(monitor);
    if (!source?.first || !this.queue.withdraw(source.first)) return;
    this.#more.delete(source.first);
    this.#sources.delete(monitor);
    source.changes.return?.();
    this.#readNext(source.label);
  }

  push(change: InNamespace<Change>): void {
    this.queue.push(change);
  }

  end(error: unknown): void {
    this.#ending = { error };
    this.#next.clear();
    this.#endAfterAll();
  }

  #endAfterAll(): void {
    if (this.#ending && this.#sources.size === 0) this.queue.end(this.#ending.error);
  }
}
