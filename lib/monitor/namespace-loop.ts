/** A loop over the changes in several network namespaces. @module */
import type { Loop } from './event-hub.ts';
import { EventQueue } from './queue.ts';
import type { XfrmChange, XfrmMonitor, XfrmSynced } from './xfrm-monitor.ts';

/** A namespace is not watched any more: it was removed, or could not be watched (`error`). */
export interface NamespaceClosed {
  readonly kind: 'closed';
  readonly error: unknown;
}

/** What happened in the namespace of that label. Of `synced`, the tables of that namespace alone. */
export type NamespaceChange = (XfrmChange | XfrmSynced | NamespaceClosed) & {
  readonly label: string;
};

interface Source {
  readonly changes: AsyncIterator<XfrmChange | XfrmSynced, undefined>;
  /** Its `synced`. */
  first: NamespaceChange | undefined;
}

/** Takes one change at a time from each monitor: what else comes waits there, within its highWaterMark. */
export class NamespaceLoop implements Loop<NamespaceChange> {
  readonly queue: EventQueue<NamespaceChange>;
  readonly #sources = new Map<XfrmMonitor, Source>();
  /** How to go on once a change was taken. */
  readonly #more = new Map<NamespaceChange, () => void>();
  #ending: { readonly error: unknown } | undefined;

  constructor(left: () => void) {
    this.queue = new EventQueue<NamespaceChange>(Number.POSITIVE_INFINITY, {
      changed() {},
      left: () => {
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

  /** Adds a namespace: `synced`, then its changes. */
  add(label: string, monitor: XfrmMonitor): void {
    const source: Source = { changes: monitor[Symbol.asyncIterator](), first: undefined };
    this.#sources.set(monitor, source);
    const closed = (error?: unknown) => {
      if (!this.#sources.delete(monitor)) return;
      this.push({ kind: 'closed', error, label });
      this.#endAfterAll();
    };
    const more = () => {
      source.changes.next().then(({ value, done }) => {
        if (done) return closed();
        const change = { ...value, label };
        source.first ??= change;
        this.#more.set(change, more);
        this.push(change);
      }, closed);
    };
    more();
  }

  /** The monitor has closed. A slow loop is not told of what it never heard of: that would pile up. */
  gone(monitor: XfrmMonitor): void {
    const source = this.#sources.get(monitor);
    if (!source?.first || !this.queue.withdraw(source.first)) return;
    this.#more.delete(source.first);
    this.#sources.delete(monitor);
    source.changes.return?.();
  }

  push(change: NamespaceChange): void {
    this.queue.push(change);
  }

  end(error: unknown): void {
    this.#ending = { error };
    this.#endAfterAll();
  }

  #endAfterAll(): void {
    if (this.#ending && this.#sources.size === 0) this.queue.end(this.#ending.error);
  }
}
