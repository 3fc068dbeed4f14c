/** A live view of the IPsec state: all SAs and policies, following the kernel. @module */
import { type CheckedOptions, checkedOptions } from '../base/argument.ts';
import { later } from '../base/later.ts';
import { type DumpReading, FOR_TABLE, tableLists, toFillTable } from '../netlink/dump.ts';
import { type EventTime, type Malformed, now } from '../netlink/event.ts';
import { SystemError } from '../socket/error.ts';
import { HeldNamespace } from '../socket/namespace.ts';
import { messageType } from '../wire/message.ts';
import { sharingParts } from '../wire/recurring.ts';
import { XfrmClient } from '../xfrm/client.ts';
import * as X from '../xfrm/constants.ts';
import { decodeListedPolicy, decodeListedState, decodeXfrm } from '../xfrm/decode.ts';
import type { AcquireEvent, MappingEvent, ReportEvent, XfrmEvent } from '../xfrm/events.ts';
import type { XfrmPolicy, XfrmState } from '../xfrm/objects.ts';
import type { PolicyDefaults } from '../xfrm/types.ts';
import type { NamespaceGone, ObjectChange, SyncReport, TableChange } from './changes.ts';
import { type EventCount, EventCounts } from './event-counts.ts';
import { type ListenersByKind, LiveEmitter } from './event-hub.ts';
import { EventQueue } from './event-queue.ts';
import { openEventSocket } from './event-socket.ts';
import type { LiveTables, TakeDumped } from './live-tables.ts';
import { watchPath } from './namespace-watch.ts';
import type { OverrunEvent } from './overrun.ts';
import type { MalformedEvent } from './subscribe.ts';
import type { AnyEntry } from './table.ts';
import { type WaitOptions, waitFor } from './wait-for.ts';
import {
  MONITOR_OPTIONS,
  type RefreshOptions,
  refreshSignal,
  type XfrmMonitorOptions,
} from './xfrm-monitor-options.ts';
import type { XfrmObjectTypes } from './xfrm-objects.ts';
import { type XfrmStat, XfrmStatFile } from './xfrm-stat.ts';
import { PoliciesView, StatesView, type XfrmSnapshot } from './xfrm-views.ts';

/**
 * All that is known when a loop, or for listeners the monitor, starts; later changes apply to it.
 */
export interface XfrmSynced {
  readonly kind: 'synced';
  readonly snapshot: XfrmSnapshot;
}

/**
 * A kernel request to key managers: to negotiate an SA for a packet (ACQUIRE), or to handle a peer
 * whose address or port changed (MAPPING) or a rejected Mobile IPv6 packet (REPORT). It does not
 * change the tables; a key manager's answer may, and is then a change.
 */
export interface KeyManagerRequest {
  readonly kind: 'key-manager-request';
  readonly event: AcquireEvent | MappingEvent | ReportEvent;
  readonly time: EventTime;
}

/** The changes that a monitor reports. */
export type XfrmChange =
  | ObjectChange<XfrmObjectTypes>
  | SyncReport
  | OverrunEvent
  | KeyManagerRequest
  | NamespaceGone
  | MalformedEvent;

/**
 * - `change`, or its kind: a change of the tables, as in loops
 * - `event`: every kernel event, before the changes it causes, including events that change no
 *   table. Its values are shared with the tables: do not modify them. To loop over them, use
 *   `on(monitor, 'event', { signal })` from node:events. Keys are left out, and losses are reported
 *   as `overrun` of `change`.
 * - `synced`: once, for listeners added right after awaiting {@link XfrmMonitor.open}
 */
export type XfrmMonitorListeners = ListenersByKind<XfrmChange | XfrmSynced> & {
  change: [change: XfrmChange];
  event: [event: XfrmEvent];
  error: [error: Error];
  close: [];
};

const GROUPS = [X.XFRMNLGRP_SA, X.XFRMNLGRP_POLICY, X.XFRMNLGRP_EXPIRE, X.XFRMNLGRP_MIGRATE];
/** The groups with the events of {@link KeyManagerRequest}. */
const ASKING = [X.XFRMNLGRP_ACQUIRE, X.XFRMNLGRP_MAPPING, X.XFRMNLGRP_REPORT];

/** For what a monitor can be opened without. */
const SOON = { timeout: 1000 };

/** The messages of dumps. */
const LISTED = {
  state: { type: X.XFRM_MSG_NEWSA, decode: sharingParts(decodeListedState) },
  policy: { type: X.XFRM_MSG_NEWPOLICY, decode: sharingParts(decodeListedPolicy) },
} as const;

/**
 * Called when the defaults for packets without a policy were set. A listener for `event` would have
 * every event emitted.
 */
export const onDefaults = new WeakMap<XfrmMonitor, Set<() => void>>();

/** What {@link XfrmMonitor.snapshot} says of the tables, with late entries (table.ts). */
export let lateSnapshot: (monitor: XfrmMonitor) => {
  readonly states: AnyEntry<XfrmState>[];
  readonly policies: AnyEntry<XfrmPolicy>[];
  readonly countersReadAt: EventTime;
};

/** Code that only an open monitor needs; loaded when the first is opened. */
const parts = later(() => Promise.all([import('./live-tables.ts'), import('./xfrm-table.ts')]));

/**
 * All SAs and policies, live.
 *
 * After any loss of events it compares its tables with fresh dumps, and reports differences as
 * changes with `origin: 'resync'`; docs/consistency.md says what is guaranteed and why it holds.
 * Leaving a loop does not close it. It keeps the process alive until it is closed. If a later dump
 * is refused (`EPERM`: the privilege was dropped), it closes and emits `error`.
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
  /** The SAs, always current. */
  readonly states: StatesView;
  /** The policies, always current. */
  readonly policies: PoliciesView;
  readonly #label: string | undefined;
  readonly #highWaterMark: number;
  readonly #client: XfrmClient;
  readonly #statFile: XfrmStatFile;
  readonly #tables: LiveTables<XfrmObjectTypes, XfrmEvent>;
  #opened = () => {};
  readonly #refreshes: (() => void)[] = [];
  readonly #eventCounts = new EventCounts();
  /** The path given for the namespace, and the namespace's id. */
  readonly #path: string | undefined;
  readonly #namespaceId: string | undefined;
  readonly #isStandIn: boolean;
  #pathWatch: Disposable | undefined;
  #countersReadAt: EventTime;
  #policyDefaults: PolicyDefaults | undefined;
  #defaultsHeard = 0;
  #xfrmStat: XfrmStat | undefined;
  #slow = false;
  #overruns = 0;

  static {
    lateSnapshot = (monitor) => ({
      states: monitor.#tables.tables.state.late(),
      policies: monitor.#tables.tables.policy.late(),
      countersReadAt: monitor.#countersReadAt,
    });
  }

  /**
   * Opens a monitor. Whatever happens after the promise is fulfilled is reported as a change.
   *
   * @returns a promise that is fulfilled when the tables are complete
   * @throws TypeError or RangeError for an invalid option; SystemError `EPERM` without
   *   CAP_NET_ADMIN, `EPROTONOSUPPORT` if the kernel has no XFRM; for `netns` as `NetlinkSocket`
   */
  static async open(options: XfrmMonitorOptions = {}): Promise<XfrmMonitor> {
    const checked = checkedOptions('options', options, MONITOR_OPTIONS);
    checked.signal?.throwIfAborted();
    // Events and dumps must be of one namespace, even if its name is reused meanwhile.
    const held = new HeldNamespace(checked.netns);
    let monitor: XfrmMonitor;
    try {
      const loaded = await parts();
      checked.signal?.throwIfAborted();
      monitor = new XfrmMonitor(checked, held, ...loaded);
    } finally {
      held.close();
    }
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

  private constructor(
    options: CheckedOptions<typeof MONITOR_OPTIONS>,
    held: HeldNamespace,
    { LiveTables }: typeof import('./live-tables.ts'),
    { xfrmModel }: typeof import('./xfrm-table.ts'),
  ) {
    super(() => this.#release());
    const { signal, label, netns, acquires, ...rest } = options;
    this.#label = label;
    this.#highWaterMark = rest.highWaterMark;
    this.#countersReadAt = now();
    this.#path = typeof netns === 'string' ? netns : undefined;
    this.#namespaceId = held.id;
    this.#isStandIn = held.isStandIn;
    try {
      const groups = acquires ? [...GROUPS, ...ASKING] : GROUPS;
      this.#client = new XfrmClient({ netns: held.netns });
      this.#statFile = new XfrmStatFile(held);
      const { socket } = openEventSocket('xfrm', groups, rest, held.netns);
      this.#tables = new LiveTables<XfrmObjectTypes, XfrmEvent>(
        socket,
        { model: xfrmModel, decode: sharingParts(decodeXfrm), dump: (_, take) => this.#dump(take) },
        {
          changed: (change) => this.#changed(change),
          heard: (event) => this.#heard(event),
          full: () => this.#full(),
          // Until it is open, open() reports that.
          failed: (error) => this.hub.fail(error, !this.#tables.isOpen),
        },
        rest.refreshInterval,
      );
    } catch (error) {
      this.close();
      throw error;
    }
    this.states = new StatesView(this.#tables.tables.state);
    this.policies = new PoliciesView(this.#tables.tables.policy);
    this.hub.endOn(signal);
  }

  /**
   * Whether the tables are right, as far as the kernel reports. If not, a resync is in progress, a
   * slow loop has stopped reading, or the monitor is closed.
   */
  get synced(): boolean {
    return this.#tables.synced;
  }

  /**
   * Up to when the tables hold everything the kernel announced, on the monotonic clock: now, unless
   * events are still to be read, or were lost and not yet recovered. Node runs timers before it
   * reads sockets: in a process that may have been busy, judge timeouts against this time.
   */
  get heardUntil(): number {
    return this.#tables.heardUntil;
  }

  /** How many events the kernel reported as dropped. The tables were resynced after each. */
  get dropped(): number {
    return this.#tables.dropped;
  }

  /**
   * How many events the monitor has received since it was opened, by kind, and for expiries by the
   * limit reached. Lost events are not included: see {@link dropped}.
   *
   * @example
   * for (const { kind, reason, count } of monitor.eventCounts) console.log(kind, reason ?? '', count);
   */
  get eventCounts(): EventCount[] {
    return this.#eventCounts.all;
  }

  /**
   * What becomes of packets that match no policy (`ip xfrm policy setdefault`); undefined before
   * Linux 5.15, which lets them pass.
   */
  get policyDefaults(): PolicyDefaults | undefined {
    return this.#policyDefaults;
  }

  /** The kernel's IPsec error counters, as last read with the others; undefined if it has none. */
  get xfrmStat(): XfrmStat | undefined {
    return this.#xfrmStat;
  }

  /** Everything known now. Later changes apply to this snapshot. */
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
   * Compares the tables with fresh dumps now, which also refreshes the counters.
   *
   * @param options `signal`: cancels waiting, for example for a slow loop; the comparison continues
   * @returns a promise that is fulfilled when a comparison begun after this call has ended, and
   *   rejected if the monitor is closed first
   */
  async refresh(options: RefreshOptions = {}): Promise<void> {
    const signal = refreshSignal(options);
    // One in progress may have begun too early: it ends, and another one begins.
    for (let rounds = this.#tables.busy ? 2 : 1; rounds > 0; rounds--) {
      await this.hub.wait(signal, (done) => {
        this.#refreshes.push(done);
        this.#tables.refresh();
      });
    }
  }

  /**
   * Waits until `predicate` returns a truthy value. It is called now, and after each change.
   *
   * @returns a promise of what `predicate` returned
   * @throws (the promise is rejected) what `predicate` threw; StateError `ERR_WAIT_TIMEOUT`, once
   *   everything the kernel announced in time has been read; the signal's reason; what ended the
   *   monitor
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

  /** `synced` with everything known, then all changes. Every loop gets all changes. */
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

  /** Lets the process end while the monitor is open. */
  unref(): this {
    this.#tables.unref();
    return this;
  }

  /** Keeps the process alive while the monitor is open, as by default. */
  ref(): this {
    this.#tables.ref();
    return this;
  }

  /** Closes whatever exists: not everything, if opening failed. */
  #release(): Promise<unknown> {
    this.#pathWatch?.[Symbol.dispose]();
    this.#statFile?.close();
    // Closing the client ends a dump in progress.
    return Promise.all([this.#tables?.close(), this.#client?.close()]);
  }

  async #dump(take: TakeDumped<XfrmObjectTypes>): Promise<boolean> {
    // Each is taken when it is decoded.
    for (const kind of ['state', 'policy'] as const) {
      const batches = this.#list(kind, await this.#reading(kind), take).batches();
      while (!(await batches.next()).done);
    }
    const heard = this.#defaultsHeard;
    const defaults = await this.#readDefaults();
    // What was set meanwhile is newer.
    if (heard === this.#defaultsHeard) this.#policyDefaults = defaults;
    // Requests are serialised (net/xfrm/xfrm_user.c, xfrm_cfg_mutex): when this one is answered,
    // the events of all changes visible in the dumps have been queued.
    await this.#client.getSadInfo();
    return true;
  }

  async #reading(kind: 'state' | 'policy'): Promise<DumpReading> {
    if (this.#tables.isOpen || this.#isStandIn) return FOR_TABLE;
    try {
      return toFillTable(await this.#count(kind));
    } catch {
      // If the kernel does not say, the dump will say why.
      return FOR_TABLE;
    }
  }

  async #count(kind: 'state' | 'policy'): Promise<number> {
    if (kind === 'state') return (await this.#client.getSadInfo(SOON)).count ?? 0;
    const { counts } = await this.#client.getSpdInfo(SOON);
    return counts ? counts.in + counts.out + counts.fwd : 0;
  }

  #list(kind: 'state' | 'policy', reading: DumpReading, take: TakeDumped<XfrmObjectTypes>) {
    const { type, decode } = LISTED[kind];
    tableLists.set(this.#client, {
      reading,
      decode: (input, at, length) =>
        messageType(input.view, at) === type ? take(kind, input, at, length, decode) : undefined,
    });
    return kind === 'state' ? this.#client.listStates() : this.#client.listPolicies();
  }

  async #readDefaults(): Promise<PolicyDefaults | undefined> {
    try {
      return await this.#client.getDefaults();
    } catch (error) {
      if (error instanceof SystemError && error.code === 'EINVAL') return undefined;
      throw error;
    }
  }

  /** Counts and emits a kernel event. @returns whether it changes no table */
  #heard(event: XfrmEvent): boolean {
    this.#eventCounts.add(event);
    if (event.kind === 'GETDEFAULT') {
      this.#policyDefaults = event.defaults;
      this.#defaultsHeard++;
      for (const call of onDefaults.get(this) ?? []) call();
    }
    // Checking for listeners is cheaper than emitting to none.
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

  /** Whether a loop has too much queued. */
  #full(): boolean {
    const full = [...this.hub.loops].some((queue) => queue.full);
    if (full) this.#slow = true;
    return full;
  }
}
