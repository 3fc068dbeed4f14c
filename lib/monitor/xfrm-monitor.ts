/** A live picture of the IPsec state: all SAs and policies, following the kernel. @module */
import type { EventTime, Malformed } from '../netlink/event.ts';
import { checkedOptions } from '../socket/argument.ts';
import { HeldNamespace } from '../socket/namespace.ts';
import { XfrmClient } from '../xfrm/client.ts';
import * as X from '../xfrm/constants.ts';
import { decodeXfrm } from '../xfrm/decode.ts';
import type { AcquireEvent, MappingEvent, ReportEvent, XfrmEvent } from '../xfrm/events.ts';
import type { NamespaceGone, ObjectChange, SyncReport, TableChange } from './changes.ts';
import { type EventCount, EventCounts } from './event-counts.ts';
import { type ListenersByKind, LiveEmitter } from './event-hub.ts';
import { EventQueue } from './event-queue.ts';
import { openEventSocket } from './event-socket.ts';
import { type AddDumped, LiveTables, now } from './live-tables.ts';
import { watchPath } from './namespace-watch.ts';
import type { OverrunEvent } from './overrun.ts';
import type { MalformedEvent } from './subscribe.ts';
import { type WaitOptions, waitFor } from './wait-for.ts';
import {
  MONITOR_OPTIONS,
  type RefreshOptions,
  refreshSignal,
  type XfrmMonitorOptions,
} from './xfrm-monitor-options.ts';
import type { XfrmObjectTypes } from './xfrm-objects.ts';
import { type XfrmStat, XfrmStatFile } from './xfrm-stat.ts';
import { xfrmModel } from './xfrm-table.ts';
import { PoliciesView, StatesView, type XfrmSnapshot } from './xfrm-views.ts';

/** All that is known at the start: of a loop, or for listeners, of the monitor. The changes that follow start from it. */
export interface XfrmSynced {
  readonly kind: 'synced';
  readonly snapshot: XfrmSnapshot;
}

/**
 * What the kernel asks of key managers: an SA for a packet (ACQUIRE), attention to a peer whose address
 * or port changed (MAPPING) or to a Mobile IPv6 packet that was refused (REPORT). The tables are the
 * same before and after: a key manager may answer, and that is then a change.
 */
export interface KeyManagerRequest {
  readonly kind: 'key-manager-request';
  readonly event: AcquireEvent | MappingEvent | ReportEvent;
  readonly time: EventTime;
}

/** What a monitor tells. */
export type XfrmChange =
  | ObjectChange<XfrmObjectTypes>
  | SyncReport
  | OverrunEvent
  | KeyManagerRequest
  | NamespaceGone
  | MalformedEvent;

/**
 * - `change`, or its kind: what became of the tables, as in loops
 * - `event`: what the kernel announced, as it came and before its changes, those events included that change no table.
 *   The values in it are those of the tables: do not change them. A loop over them is `on(monitor, 'event', { signal })`
 *   of node:events. There are none of keys, and losses are told as `overrun` of `change`.
 * - `synced`: once, to listeners that are there when the promise of {@link XfrmMonitor.open} has been
 *   awaited
 */
export type XfrmMonitorListeners = ListenersByKind<XfrmChange | XfrmSynced> & {
  change: [change: XfrmChange];
  event: [event: XfrmEvent];
  error: [error: Error];
  close: [];
};

const GROUPS = [X.XFRMNLGRP_SA, X.XFRMNLGRP_POLICY, X.XFRMNLGRP_EXPIRE, X.XFRMNLGRP_MIGRATE];
/** Only these have the events of {@link KeyManagerRequest}. */
const ASKING = [X.XFRMNLGRP_ACQUIRE, X.XFRMNLGRP_MAPPING, X.XFRMNLGRP_REPORT];

/**
 * All SAs and policies, live.
 *
 * After any loss of events it compares its tables with fresh lists, and tells what it finds as
 * changes with `origin: 'resync'`; docs/consistency.md says what is promised and why it holds.
 * Leaving a loop does not close it. It keeps the process alive until it is closed. If lists are
 * refused later (`EPERM`: the privilege was given up), it closes, and says so as `error`.
 *
 * @example
 * await using monitor = await XfrmMonitor.open();
 * console.log(monitor.states.size);
 * monitor.on('removed', ({ object, id, reason }) => console.log(object, id, reason));
 */
export class XfrmMonitor
  extends LiveEmitter<XfrmMonitorListeners, XfrmChange | XfrmSynced>
  implements AsyncIterable<XfrmChange | XfrmSynced>
{
  /** The SAs, at every moment. */
  readonly states: StatesView;
  /** The policies, at every moment. */
  readonly policies: PoliciesView;
  readonly #label: string | undefined;
  readonly #highWaterMark: number;
  readonly #client: XfrmClient;
  readonly #statFile: XfrmStatFile;
  readonly #tables: LiveTables<XfrmObjectTypes, XfrmEvent>;
  #opened = () => {};
  readonly #refreshes: (() => void)[] = [];
  readonly #eventCounts = new EventCounts();
  /** By which the namespace was given, and what identifies that. */
  readonly #path: string | undefined;
  readonly #namespaceId: string | undefined;
  #pathWatch: Disposable | undefined;
  #countersReadAt: EventTime;
  #xfrmStat: XfrmStat | undefined;
  #slow = false;
  #overruns = 0;

  /**
   * Opens a monitor. What happens in the kernel after the promise is fulfilled is a change.
   *
   * @returns a promise that is fulfilled when the tables are complete
   * @throws TypeError or RangeError for a wrong option; SystemError `EPERM` without CAP_NET_ADMIN,
   *   `EPROTONOSUPPORT` where the kernel has no XFRM; `netns` as with `NetlinkSocket`
   */
  static async open(options: XfrmMonitorOptions = {}): Promise<XfrmMonitor> {
    const monitor = new XfrmMonitor(options);
    try {
      await monitor.hub.wait(undefined, (done) => {
        monitor.#opened = done;
        monitor.#tables.start();
      });
    } catch (error) {
      await monitor.close();
      throw error;
    }
    monitor.hub.emitNext('synced', () => monitor.#syncedNow());
    monitor.#watchPath();
    return monitor;
  }

  private constructor(options: XfrmMonitorOptions) {
    super(() => this.#release());
    const checked = checkedOptions('options', options, MONITOR_OPTIONS);
    const { signal, label, netns, acquires, receiveBufferSize, ...rest } = checked;
    this.#label = label;
    this.#highWaterMark = rest.highWaterMark;
    this.#countersReadAt = now();
    signal?.throwIfAborted();
    // Events and lists must be of one namespace, also if its name goes to another in between.
    const held = new HeldNamespace(netns);
    this.#path = typeof netns === 'string' ? netns : undefined;
    this.#namespaceId = held.id;
    try {
      const groups = acquires ? [...GROUPS, ...ASKING] : GROUPS;
      this.#client = new XfrmClient({ netns: held.netns });
      this.#statFile = new XfrmStatFile(held);
      const { socket } = openEventSocket('xfrm', groups, receiveBufferSize, held.netns);
      this.#tables = new LiveTables<XfrmObjectTypes, XfrmEvent>(
        socket,
        { model: xfrmModel, decode: decodeXfrm, dump: (add) => this.#dump(add) },
        {
          changed: (change) => this.#changed(change),
          heard: (event) => this.#heard(event),
          full: () => this.#full(),
          // Until it is open, open() tells that.
          failed: (error) => this.hub.fail(error, !this.#tables.isOpen),
        },
        rest.refreshInterval,
      );
    } catch (error) {
      this.close();
      throw error;
    } finally {
      held.close();
    }
    this.states = new StatesView(this.#tables.tables.state);
    this.policies = new PoliciesView(this.#tables.tables.policy);
    this.hub.endOn(signal);
  }

  /**
   * Whether the tables are right, as far as the kernel tells; else a resync is under way, events
   * wait because a slow loop has stopped the reading, or the monitor is closed.
   */
  get synced(): boolean {
    return this.#tables.synced;
  }

  /**
   * Until when the tables hold all that the kernel announced, on the monotonic clock: now, unless events wait to be read,
   * or were lost and not made up for. Node serves timers before it reads sockets: what is judged by time in a process that may
   * have been busy is to be judged as of then.
   */
  get heardUntil(): number {
    return this.#tables.heardUntil;
  }

  /** How many events the kernel said it dropped. The tables were resynced after each. */
  get dropped(): number {
    return this.#tables.dropped;
  }

  /**
   * How many events the kernel announced since the monitor's socket was opened, by kind, and of expiries by the limit
   * that was reached. Those that were lost are not among them: see {@link dropped}.
   *
   * @example
   * for (const { kind, reason, count } of monitor.eventCounts) console.log(kind, reason ?? '', count);
   */
  get eventCounts(): EventCount[] {
    return this.#eventCounts.all;
  }

  /** All that is known now. Changes that come after this call start from it. */
  snapshot(): XfrmSnapshot {
    return {
      label: this.#label,
      states: [...this.states],
      policies: [...this.policies],
      synced: this.synced,
      countersReadAt: this.#countersReadAt,
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
    const signal = refreshSignal(options);
    // One under way may have begun too early: it ends, and another one begins.
    for (let rounds = this.#tables.busy ? 2 : 1; rounds > 0; rounds--) {
      await this.hub.wait(signal, (done) => {
        this.#refreshes.push(done);
        this.#tables.refresh();
      });
    }
  }

  /**
   * Waits until `predicate` gives something that is true. It is asked now, and after each change.
   *
   * @returns a promise of what `predicate` gave
   * @throws (the promise is rejected) what `predicate` threw; StateError `ERR_WAIT_TIMEOUT`, when all is read that the kernel
   *   announced in time; the signal's reason; what ended the monitor
   * @example
   * const [sa] = await monitor.waitFor(({ states }) => {
   *   const found = states.byPeers('192.0.2.1', '192.0.2.2');
   *   return found.length > 0 && found;
   * }, { timeout: 10_000 });
   */
  waitFor<Value>(
    predicate: (monitor: this) => Value | undefined | null | false,
    options?: WaitOptions,
  ): Promise<Value> {
    return waitFor(this, this.hub, predicate, options);
  }

  /** `synced` with all that is known, then all changes. Several loops each get all. */
  [Symbol.asyncIterator](): AsyncIterableIterator<XfrmChange | XfrmSynced, undefined> {
    const queue: EventQueue<XfrmChange | XfrmSynced> = new EventQueue(this.#highWaterMark, {
      changed: () => this.#tables.flow(),
      left: () => {
        this.hub.leave(queue);
        this.#tables.flow();
      },
    });
    if (!this.closed) queue.push(this.#syncedNow());
    return this.hub.join(queue);
  }

  #watchPath(): void {
    const path = this.#path;
    if (path === undefined || this.closed) return;
    this.#pathWatch = watchPath(path, this.#namespaceId, () =>
      this.#tell({ kind: 'namespace-gone', path, time: now() }),
    );
  }

  #syncedNow(): XfrmSynced {
    return { kind: 'synced', snapshot: this.snapshot() };
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

  /** Closes what there is: not all, if it could not be opened. */
  #release(): Promise<unknown> {
    this.#pathWatch?.[Symbol.dispose]();
    this.#statFile?.close();
    // The client's end ends the list that is being made.
    return Promise.all([this.#tables?.close(), this.#client?.close()]);
  }

  async #dump(add: AddDumped<XfrmObjectTypes>): Promise<boolean> {
    for await (const states of this.#client.listStates().batches()) {
      for (const state of states) add('state', state);
    }
    for await (const policies of this.#client.listPolicies().batches()) {
      for (const policy of policies) add('policy', policy);
    }
    // A request waits for those before it (net/xfrm/xfrm_user.c, xfrm_cfg_mutex): when this one
    // is answered, the events of all changes that the lists can show have been queued.
    await this.#client.getSadInfo();
    return true;
  }

  /** Counts and passes on what the kernel announced. @returns whether it changes no table */
  #heard(event: XfrmEvent): boolean {
    this.#eventCounts.add(event);
    // To emit what nobody listens to would cost more than to ask.
    if (this.listenerCount('event') > 0) this.hub.emit('event', event);
    if (event.kind !== 'ACQUIRE' && event.kind !== 'MAPPING' && event.kind !== 'REPORT') {
      return false;
    }
    if (this.#tables.isOpen) this.#tell({ kind: 'key-manager-request', event, time: event.time });
    return true;
  }

  #changed(change: TableChange<XfrmObjectTypes> | Malformed): void {
    if (change.kind === 'overrun') {
      const more = { protocol: 'xfrm', count: ++this.#overruns, slowConsumer: this.#slow } as const;
      this.#tell({ ...change, ...more });
    } else if (change.kind === 'malformed') {
      this.#eventCounts.add(change);
      this.#tell({ ...change, protocol: 'xfrm' });
    } else if (change.kind !== 'resynced' && change.kind !== 'refreshed') this.#tell(change);
    else {
      this.#countersReadAt = change.time;
      this.#xfrmStat = this.#statFile.read();
      this.#slow = false;
      for (const done of this.#refreshes.splice(0)) done();
      if (this.#tables.isOpen) this.#tell(change);
      else this.#opened();
    }
  }

  #tell(change: XfrmChange): void {
    this.hub.deliver(change, change.kind, 'change');
  }

  /** Whether a loop has too much waiting. */
  #full(): boolean {
    const full = [...this.hub.loops].some((queue) => queue.full);
    if (full) this.#slow = true;
    return full;
  }
}
