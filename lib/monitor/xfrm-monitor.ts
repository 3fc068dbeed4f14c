/**
 * A live picture of the IPsec state: tables of all SAs and policies that follow the kernel.
 * @module
 */
import { EventEmitter } from 'node:events';
import type { EventTime, Malformed } from '../netlink/event.ts';
import type { NetlinkSocket } from '../socket/index.ts';
import { HeldNamespace } from '../socket/namespace.ts';
import { XfrmClient } from '../xfrm/client.ts';
import * as X from '../xfrm/constants.ts';
import { decodeXfrm } from '../xfrm/decode.ts';
import type { AcquireEvent, Mapping, Report, XfrmEvent } from '../xfrm/events.ts';
import type { TableChange } from './changes.ts';
import { openEventSocket } from './event-socket.ts';
import { type Listed, LiveTables, now } from './live-tables.ts';
import { EventQueue } from './queue.ts';
import type { MalformedEvent } from './subscribe.ts';
import { tell } from './tell.ts';
import {
  checked,
  type RefreshOptions,
  refreshSignal,
  type XfrmMonitorOptions,
} from './xfrm-monitor-options.ts';
import type { XfrmKinds } from './xfrm-objects.ts';
import { type XfrmStat, XfrmStatFile } from './xfrm-stat.ts';
import { xfrmFamily } from './xfrm-table.ts';
import { PoliciesView, type Snapshot, StatesView } from './xfrm-views.ts';

/** Where a loop starts: all that is known then. The changes that follow start from it. */
export interface Synced {
  readonly kind: 'synced';
  readonly snapshot: Snapshot;
}

/**
 * What the kernel asks of key managers: an SA for a packet (ACQUIRE), attention to a peer whose address
 * or port changed (MAPPING) or to a Mobile IPv6 packet that was refused (REPORT). The tables are the
 * same before and after: a key manager may answer, and that is then a change.
 */
export interface Asked {
  readonly kind: 'asked';
  readonly event: AcquireEvent | Mapping | Report;
  readonly time: EventTime;
}

/** What a monitor tells. `slowConsumer`: reading had stopped because a loop was slow. */
export type XfrmChange =
  | Exclude<TableChange<XfrmKinds>, { kind: 'overrun' }>
  | (Extract<TableChange<XfrmKinds>, { kind: 'overrun' }> & { readonly slowConsumer: boolean })
  | Asked
  | MalformedEvent;

export type XfrmMonitorListeners = {
  [Kind in XfrmChange['kind']]: [change: Extract<XfrmChange, { kind: Kind }>];
} & { change: [change: XfrmChange]; error: [error: Error]; close: [] };

const closed = () => new Error('the monitor is closed');

const GROUPS = [
  X.XFRMNLGRP_SA,
  X.XFRMNLGRP_POLICY,
  X.XFRMNLGRP_EXPIRE,
  X.XFRMNLGRP_MIGRATE,
] as const;
/** Only these have the events of {@link Asked}. */
const ASKING = [X.XFRMNLGRP_ACQUIRE, X.XFRMNLGRP_MAPPING, X.XFRMNLGRP_REPORT] as const;

/**
 * All SAs and policies, live.
 *
 * After any loss of events it compares its tables with fresh lists, and tells what it finds as
 * changes with `cause: 'repair'`; docs/consistency.md says what is promised and why it holds.
 * Leaving a loop does not close it. It keeps the process alive until it is closed. If lists are
 * refused later (`EPERM`: the privilege was given up), it closes, and says so as `error`.
 *
 * @example
 * await using monitor = await XfrmMonitor.open();
 * console.log(monitor.states.size);
 * monitor.on('removed', ({ object, id, why }) => console.log(object, id, why));
 */
export class XfrmMonitor
  extends EventEmitter<XfrmMonitorListeners>
  implements AsyncIterable<XfrmChange | Synced>, AsyncDisposable
{
  /** The SAs, at every moment. */
  readonly states: StatesView;
  /** The policies, at every moment. */
  readonly policies: PoliciesView;
  readonly #label: string | undefined;
  readonly #highWaterMark: number;
  readonly #signal: AbortSignal | undefined;
  readonly #client: XfrmClient;
  readonly #statFile: XfrmStatFile;
  readonly #tables: LiveTables<XfrmKinds, XfrmEvent>;
  readonly #queues = new Set<EventQueue<XfrmChange | Synced>>();
  #counted: EventTime;
  #xfrmStat: XfrmStat | undefined;
  #slow = false;
  #error: unknown;
  #closing: Promise<void> | undefined;

  /**
   * Opens a monitor. What happens in the kernel after the promise is fulfilled is a change.
   *
   * @returns a promise that is fulfilled when the tables are complete
   * @throws TypeError or RangeError for a wrong option; SystemError `EPERM` without CAP_NET_ADMIN,
   *   `EPROTONOSUPPORT` where the kernel has no XFRM; `netns` as with {@link NetlinkSocket}
   */
  static async open(options: XfrmMonitorOptions = {}): Promise<XfrmMonitor> {
    const monitor = new XfrmMonitor(options);
    await monitor.#tables.opened;
    return monitor;
  }

  private constructor(options: XfrmMonitorOptions) {
    super();
    const { signal, label, netns, acquires, receiveBufferSize, ...pace } = checked(options);
    this.#label = label;
    this.#highWaterMark = pace.highWaterMark;
    this.#counted = now();
    signal?.throwIfAborted();
    // Events and lists must be of one namespace, also if its name goes to another in between.
    const held = new HeldNamespace(netns);
    let client: XfrmClient | undefined;
    let statFile: XfrmStatFile | undefined;
    let socket: NetlinkSocket;
    try {
      const groups = acquires ? [...GROUPS, ...ASKING] : GROUPS;
      client = new XfrmClient({ netns: held.netns });
      this.#client = client;
      statFile = new XfrmStatFile(held);
      this.#statFile = statFile;
      socket = openEventSocket('xfrm', groups, receiveBufferSize, held.netns).socket;
    } catch (error) {
      client?.close();
      statFile?.close();
      throw error;
    } finally {
      held.close();
    }
    this.#tables = new LiveTables<XfrmKinds, XfrmEvent>(
      socket,
      {
        family: xfrmFamily,
        decode: decodeXfrm,
        list: (listed, signal) => this.#list(listed, signal),
      },
      {
        changed: (change) => this.#changed(change),
        passes: (event) => this.#passes(event),
        full: () => this.#full(),
        failed: (error) => this.#end(error),
      },
      pace.refreshInterval,
    );
    this.states = new StatesView(this.#tables.tables.state);
    this.policies = new PoliciesView(this.#tables.tables.policy);
    this.#signal = signal;
    signal?.addEventListener('abort', this.#abort, { once: true });
    this.#tables.start();
  }

  get closed(): boolean {
    return this.#closing !== undefined;
  }

  /**
   * Whether the tables are right, as far as the kernel tells; else a repair is under way, events
   * wait because a slow loop has stopped the reading, or the monitor is closed.
   */
  get synced(): boolean {
    return this.#tables.synced;
  }

  /** How many events the kernel said it dropped. The tables were repaired after each. */
  get dropped(): number {
    return this.#tables.dropped;
  }

  /** All that is known now. Changes that come after this call start from it. */
  snapshot(): Snapshot {
    const [states, policies] = [[...this.states], [...this.policies]];
    return {
      label: this.#label,
      states,
      policies,
      synced: this.synced,
      counted: this.#counted,
      xfrmStat: this.#xfrmStat,
    };
  }

  /**
   * Compares the tables with fresh lists now, which refreshes the counters too.
   *
   * @param options `signal`: gives up waiting, as it may be for a slow loop; the comparison goes on
   * @returns a promise that is fulfilled when a comparison that began after this call has ended, and
   *   rejected if the monitor is closed before
   */
  async refresh(options: RefreshOptions = {}): Promise<void> {
    await this.#tables.refresh(refreshSignal(options));
  }

  /** `synced` with all that is known, then all changes. Several loops each get all. */
  [Symbol.asyncIterator](): AsyncIterableIterator<XfrmChange | Synced, undefined> {
    const queue: EventQueue<XfrmChange | Synced> = new EventQueue(this.#highWaterMark, {
      changed: () => this.#tables.flow(),
      left: () => {
        this.#queues.delete(queue);
        this.#tables.flow();
      },
    });
    if (this.closed) queue.end(this.#error);
    else {
      queue.push({ kind: 'synced', snapshot: this.snapshot() });
      this.#queues.add(queue);
    }
    return queue;
  }

  /** Lets the process end although the monitor is open. */
  unref(): this {
    this.#tables.unref();
    return this;
  }

  /** Lets the monitor keep the process alive, as it does by default. */
  ref(): this {
    this.#tables.ref();
    return this;
  }

  /**
   * Closes the sockets and ends all loops, after the changes they have waiting.
   *
   * @returns a promise that is fulfilled when the sockets are closed; the same one every time
   */
  close(): Promise<void> {
    return this.#end(undefined);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  readonly #abort = () => {
    this.#end(this.#signal?.reason);
  };

  #end(error: unknown): Promise<void> {
    if (this.#closing) return this.#closing;
    this.#error = error;
    this.#signal?.removeEventListener('abort', this.#abort);
    this.#statFile.close();
    // Who opens it gets the error.
    const heard = this.#queues.size > 0 || !this.#tables.isOpen;
    const tables = this.#tables.close(error ?? closed());
    this.#closing = Promise.all([tables, this.#client.close()]).then(() => {
      this.emit('close');
    });
    for (const queue of this.#queues) queue.end(error);
    this.#queues.clear();
    const failed = error !== undefined && error !== this.#signal?.reason;
    if (failed && (!heard || this.listenerCount('error') > 0)) this.emit('error', error as Error);
    return this.#closing;
  }

  async #list(listed: Listed<XfrmKinds>, signal: AbortSignal): Promise<boolean> {
    for await (const states of this.#client.listStatePieces({ signal })) {
      for (const state of states) listed('state', state);
    }
    for await (const policy of this.#client.listPolicies({ signal })) listed('policy', policy);
    // A request waits for those before it (net/xfrm/xfrm_user.c, xfrm_cfg_mutex): when this one
    // is answered, the events of all changes that the lists can show have been queued.
    await this.#client.getSadInfo({ signal });
    return true;
  }

  /** Tells of what changes no table. */
  #passes(event: XfrmEvent): boolean {
    if (event.kind !== 'ACQUIRE' && event.kind !== 'MAPPING' && event.kind !== 'REPORT') {
      return false;
    }
    if (this.#tables.isOpen) this.#tell({ kind: 'asked', event, time: event.time });
    return true;
  }

  #changed(change: TableChange<XfrmKinds> | Malformed): void {
    if (change.kind === 'overrun') this.#tell({ ...change, slowConsumer: this.#slow });
    else if (change.kind === 'malformed') this.#tell({ ...change, protocol: 'xfrm' });
    else {
      if (change.kind === 'repaired' || change.kind === 'refreshed') {
        this.#counted = change.time;
        this.#xfrmStat = this.#statFile.read();
        this.#slow = false;
      }
      // The first comparison is told by the opening.
      if (this.#tables.isOpen) this.#tell(change);
    }
  }

  #tell(change: XfrmChange): void {
    if (this.closed) return;
    for (const queue of this.#queues) queue.push(change);
    tell(this, [change.kind, 'change'], change);
  }

  /** Whether a loop has too much waiting. */
  #full(): boolean {
    const full = [...this.#queues].some((queue) => queue.full);
    if (full) this.#slow = true;
    return full;
  }
}
