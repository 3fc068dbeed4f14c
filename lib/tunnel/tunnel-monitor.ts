/** A live view of the tunnels of a host. @module */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type CheckedOptions,
  checkedOptions,
  object,
  wrongType,
  wrongValue,
} from '../base/argument.ts';
import { later } from '../base/later.ts';
import { counterReading } from '../monitor/changes.ts';
import { type ListenersByKind, LiveEmitter } from '../monitor/event-hub.ts';
import { watchPath } from '../monitor/namespace-watch.ts';
import { type WaitOptions, waitFor } from '../monitor/wait-for.ts';
import { lateSnapshot, onDefaults, type XfrmChange, XfrmMonitor } from '../monitor/xfrm-monitor.ts';
import { type RefreshOptions, refreshSignal } from '../monitor/xfrm-monitor-options.ts';
import type { XfrmObjectTypes } from '../monitor/xfrm-objects.ts';
import { NETLINK_XFRM } from '../netlink/constants.ts';
import { type EventTime, now } from '../netlink/event.ts';
import { type SocketOwner, SocketOwners, StateError } from '../socket/index.ts';
import { HeldNamespace } from '../socket/namespace.ts';
import type { Addresses } from './addresses.ts';
import {
  checkedExpected,
  checkedOne,
  type ExpectedTunnel,
  type NamedExpectedTunnel,
} from './expected.ts';
import { TUNNEL_STATES, type Tunnel, type TunnelWarning } from './tunnel.ts';
import type {
  ClaimedRequester,
  TunnelChange,
  TunnelEvent,
  TunnelSnapshot,
  TunnelsSynced,
} from './tunnel-changes.ts';
import { TunnelLoop } from './tunnel-loop.ts';
import { TUNNEL_MONITOR_OPTIONS, type TunnelMonitorOptions } from './tunnel-monitor-options.ts';
import type { Tunnels } from './tunnels.ts';

export type { TunnelMonitorOptions };

/** `synced`: once, for listeners added right after awaiting {@link TunnelMonitor.open}. */
export type TunnelMonitorListeners = ListenersByKind<TunnelChange | TunnelsSynced> & {
  change: [change: TunnelChange];
  error: [error: Error];
  close: [];
};

/** The tunnels of a monitor: live, read-only. Tunnels are replaced, never modified. */
export interface TunnelsView extends Iterable<Tunnel> {
  readonly size: number;
  /** The tunnel with an id, which for an expected tunnel is its name. */
  get(id: string): Tunnel | undefined;
  /** Tunnels with this remote address, in any spelling. */
  byRemote(address: string): Tunnel[];
  /** Tunnels with this local address, in any spelling. */
  byLocal(address: string): Tunnel[];
  /** Tunnels with a reqid. */
  byReqid(reqid: number): Tunnel[];
  /**
   * Tunnels for which `by` returns a truthy value, in order. Examines every tunnel.
   *
   * @example
   * monitor.tunnels.filter(({ state, ifId }) => state === 'down' && ifId.out === 5);
   */
  filter(by: (tunnel: Tunnel) => unknown): Tunnel[];
}

/** Worst first; within a state, by id. */
export function worstTunnelFirst(a: Tunnel, b: Tunnel): number {
  object('a', a);
  object('b', b);
  return TUNNEL_STATES.indexOf(a.state) - TUNNEL_STATES.indexOf(b.state) || (a.id < b.id ? -1 : 1);
}

/** Code that only an open monitor needs, most of this folder; loaded when the first is opened. */
const join = later(() => Promise.all([import('./addresses.ts'), import('./tunnels.ts')]));

const closedBelow = () => new StateError('ERR_MONITOR_CLOSED', 'options.monitor is closed');
/** Milliseconds for which evaluating a counter reading may block other work. */
const SLICE = 5;
/** Milliseconds for which a `down` waits for the lookup of its requester. */
const PATIENCE = 5000;
/** Requesters remembered. */
const CLAIMANTS = 1024;
/** Milliseconds until it checks again whether everything up to a deadline was read. */
const AGAIN = 10;
/** The longest timeout of setTimeout. */
const LONGEST = 0x7fff_ffff;

/**
 * All tunnels, live: the SAs and policies between two endpoints, with a state and its reason.
 *
 * Built on an XfrmMonitor, and behaves like it: lost events are reported and resynced; leaving a
 * loop does not close it; it keeps the process alive until it is closed, unless `unref()`.
 * docs/tunnels.md says what a tunnel is, and what the states and warnings mean.
 *
 * @example
 * await using monitor = await TunnelMonitor.open();
 * for (const { id, state, reason } of monitor.tunnels) console.log(id, state, reason);
 * monitor.on('down', ({ tunnel, reason }) => console.log(tunnel.id, 'is down:', reason));
 */
export class TunnelMonitor
  extends LiveEmitter<
    TunnelMonitorListeners,
    TunnelChange,
    TunnelLoop,
    TunnelChange | TunnelsSynced
  >
  implements AsyncIterable<TunnelChange | TunnelsSynced>
{
  readonly #tunnels: Tunnels;
  readonly #options: CheckedOptions<typeof TUNNEL_MONITOR_OPTIONS>;
  #expected: readonly NamedExpectedTunnel[];
  readonly #xfrmMonitor: XfrmMonitor;
  readonly #ownsXfrmMonitor: boolean;
  readonly #addresses: Addresses;
  /** The namespace in which {@link SocketOwners} looks. */
  readonly #held: HeldNamespace;
  readonly #owners: SocketOwners;
  readonly #events: TunnelEvent[] = [];
  /** The counter reading that is being evaluated. */
  #reading: Extract<TunnelChange, { kind: 'resynced' | 'refreshed' }> | undefined;
  /** Until then, whoever opens it is told of errors. */
  #isOpen = false;
  /** Until the tunnels that exist are found. */
  #opening: Generator | undefined;
  /** What happened meanwhile. */
  readonly #waiting: (() => void)[] = [];
  readonly #refreshes: (() => void)[] = [];
  /** Claimed requesters; undefined while the lookup is pending. */
  readonly #claimants = new Map<string, ClaimedRequester | undefined>();
  #flushing = false;
  #telling = false;
  #pathWatch: Disposable | undefined;
  #timer: NodeJS.Timeout | undefined;

  /**
   * Opens a monitor. Whatever happens after the promise is fulfilled is reported as a change.
   *
   * @returns a promise that is fulfilled when all tunnels are known
   * @throws TypeError or RangeError for an invalid option; SystemError as XfrmMonitor.open
   */
  static async open(options: TunnelMonitorOptions = {}): Promise<TunnelMonitor> {
    const given = checkedOptions('options', options, TUNNEL_MONITOR_OPTIONS);
    const { signal, netns, monitor } = given;
    signal?.throwIfAborted();
    if (monitor?.closed) throw closedBelow();
    const held = new HeldNamespace(netns);
    let addresses: Addresses | undefined;
    let below = monitor;
    let opened: TunnelMonitor | undefined;
    try {
      const [{ Addresses }, { Tunnels }] = await join();
      addresses = new Addresses(held.netns, given);
      await addresses.open(signal);
      const { receiveBufferSize, readAhead, refreshInterval, acquires, label } = given;
      const more = { receiveBufferSize, readAhead, refreshInterval, acquires, label };
      below ??= await XfrmMonitor.open({ ...more, signal, netns: held.netns });
      signal?.throwIfAborted();
      if (below.closed) throw closedBelow();
      const found = new TunnelMonitor(given, below, addresses, held, Tunnels);
      opened = found;
      await found.#find();
      found.#watchPath();
      found.hub.emitNext('synced', () => ({ kind: 'synced', snapshot: found.snapshot() }));
      return found;
    } catch (error) {
      if (opened) {
        await opened.close();
        throw monitor?.closed ? closedBelow() : error;
      }
      await addresses?.close();
      if (below !== monitor) await below?.close();
      held.close();
      throw error;
    }
  }

  private constructor(
    options: CheckedOptions<typeof TUNNEL_MONITOR_OPTIONS>,
    below: XfrmMonitor,
    addresses: Addresses,
    held: HeldNamespace,
    Join: typeof Tunnels,
  ) {
    super(() => this.#release());
    const { signal, monitor, expected, thresholds, apart } = options;
    this.#options = options;
    this.#expected = expected;
    this.#xfrmMonitor = below;
    this.#ownsXfrmMonitor = below !== monitor;
    this.#addresses = addresses;
    this.#held = held;
    this.#owners = new SocketOwners({ netns: held.netns });
    const { states, policies, countersReadAt } = lateSnapshot(below);
    const { has, isLocal, lost } = addresses.local;
    const emit = (event: TunnelEvent) => this.#events.push(event);
    const host = { has, isLocal, lost, emit, claimant: this.#claimant };
    this.#tunnels = new Join(host, expected, thresholds, countersReadAt, apart);
    this.#tunnels.setDefaults(below.policyDefaults);
    this.#opening = this.#tunnels.opening(states, policies, now());
    below.on('change', this.#onChange);
    const calls = onDefaults.get(below) ?? new Set();
    onDefaults.set(below, calls.add(this.#onDefaults));
    below.on('close', this.#onClose);
    below.on('error', this.#onError);
    addresses.changed = this.#onAddresses;
    addresses.failed = this.#onError;
    this.hub.endOn(signal);
  }

  /** Finds the tunnels that exist, in slices. What happens meanwhile is looked at afterwards. */
  async #find(): Promise<void> {
    await this.hub.wait(undefined, (done) => this.#findSome(done));
    this.#opening = undefined;
    for (const call of this.#waiting.splice(0)) call();
    this.#flush();
    // That looks at the sockets, which may fail.
    if (this.closed) throw this.hub.reason;
    this.#isOpen = true;
  }

  #findSome(done: () => void): void {
    if (this.closed) return;
    const end = performance.now() + SLICE;
    while (performance.now() < end) {
      if (!this.#opening?.next().done) continue;
      done();
      return;
    }
    setImmediate(() => this.#findSome(done));
  }

  /**
   * The underlying monitor: its tables, error counters, and the kernel's events
   * (`xfrm.on('event', …)`, `xfrm.eventCounts`). Closed with this one, unless it was given in the
   * options.
   */
  get xfrm(): XfrmMonitor {
    return this.#xfrmMonitor;
  }

  /** The tunnels, always current, in order of appearance. */
  get tunnels(): TunnelsView {
    return this.#tunnels;
  }

  /** Warnings about the whole namespace, not one tunnel, such as a `leak`. */
  get warnings(): readonly TunnelWarning[] {
    return this.#tunnels.warnings;
  }

  /**
   * Whether the underlying tables, including addresses, are right, as far as the kernel reports;
   * else a resync is in progress.
   */
  get synced(): boolean {
    return this.#xfrmMonitor.synced && this.#addresses.tables.synced;
  }

  /** When all counters were last read. */
  get countersReadAt(): EventTime {
    return this.#tunnels.countersReadAt;
  }

  /** All tunnels now, worst first. Later changes apply to this snapshot. */
  snapshot(): TunnelSnapshot {
    return {
      label: this.#options.label,
      tunnels: [...this.#tunnels].sort(worstTunnelFirst),
      warnings: this.warnings,
      synced: this.synced,
      countersReadAt: this.countersReadAt,
    };
  }

  /**
   * Reads all counters, and compares the tables with fresh dumps.
   *
   * @param options `signal`: cancels waiting; the comparison continues
   * @returns a promise that is fulfilled when that is done and its changes are reported, and rejected
   *   if the monitor is closed first
   */
  async refresh(options: RefreshOptions = {}): Promise<void> {
    const signal = refreshSignal(options);
    const asked = performance.now();
    await this.hub.wait(signal, (done, failed) => {
      this.#xfrmMonitor.refresh({ signal }).then(done, failed);
    });
    while (this.#reading) await this.hub.wait(signal, (done) => this.#refreshes.push(done));
    // Events about this host's addresses arrive on another socket.
    while (this.heardUntil < asked) {
      await this.hub.wait(signal, (done) => setTimeout(done, AGAIN));
    }
    this.#flush();
  }

  /**
   * Waits until `predicate` returns a truthy value, as {@link XfrmMonitor.waitFor} does.
   *
   * @example
   * await monitor.waitFor(({ tunnels }) => tunnels.get('paris')?.state === 'up', { timeout: 30_000, heldFor: 5000 });
   */
  waitFor<Value>(
    predicate: (monitor: this) => Value | undefined | null | false,
    options?: WaitOptions,
  ): Promise<Value> {
    return waitFor(this, this.hub, predicate, options);
  }

  /**
   * Up to when everything the kernel announced is known, on the monotonic clock
   * ({@link XfrmMonitor.heardUntil}).
   */
  get heardUntil(): number {
    return Math.min(this.#xfrmMonitor.heardUntil, this.#addresses.tables.heardUntil);
  }

  /**
   * Removes a tunnel that has no SAs or policies left.
   *
   * @returns whether it was removed: a tunnel with that id exists, is down, empty and not expected
   */
  forget(id: string): boolean {
    const done = this.#tunnels.forget(id, now());
    this.#flush();
    return done;
  }

  /** The expected tunnels, in the order given, each with its name. */
  get expected(): readonly NamedExpectedTunnel[] {
    return [...this.#expected];
  }

  /**
   * Replaces the list of expected tunnels ({@link TunnelMonitorOptions.expected}). This changes the
   * ids of tunnels, not their state: since-times, rekeys and counters are kept, and no `up` or
   * `down` is reported. A tunnel whose id changes is `removed` under the old id, then `added`.
   *
   * - A new entry takes the tunnel that matches it, an existing one before one that is down. If
   *   there is none, the new one is `added`, down.
   * - An entry that changes under the same name keeps its tunnel, if that still matches.
   * - A tunnel that is no longer expected gets its default id; if nothing of it exists, it is
   *   `removed`.
   *
   * All these changes are reported before this returns; if a listener calls it, after the changes
   * that are being reported.
   *
   * @throws TypeError or RangeError that names what is invalid, and nothing changes; StateError
   *   `ERR_MONITOR_CLOSED`
   * @example
   * process.on('SIGHUP', () => monitor.setExpected(readConfiguration()));
   */
  setExpected(expected: readonly ExpectedTunnel[]): void {
    if (!Array.isArray(expected)) throw wrongType('expected', 'an array', expected);
    this.#expect(checkedExpected(expected, 'expected'));
  }

  /**
   * Adds an expected tunnel, as {@link setExpected} does.
   *
   * @returns the tunnel: the existing one that matches, or a new one, down
   * @throws as {@link setExpected}; TypeError `ERR_INVALID_ARG_VALUE` if the name is already
   *   expected
   */
  addExpected(expected: ExpectedTunnel): Tunnel {
    const one = checkedOne(expected, 'expected');
    if (this.#expected.some(({ name }) => name === one.name)) {
      throw wrongValue(`expected.name: ${JSON.stringify(one.name)} is already expected`);
    }
    this.#expect([...this.#expected, one]);
    return this.#tunnels.get(one.name) as Tunnel;
  }

  /**
   * Removes an expected tunnel, as {@link setExpected} does.
   *
   * @returns whether there was one with that name
   * @throws StateError `ERR_MONITOR_CLOSED`
   */
  removeExpected(name: string): boolean {
    const others = this.#expected.filter((one) => one.name !== name);
    const found = others.length < this.#expected.length;
    this.#expect(others);
    return found;
  }

  #expect(expected: readonly NamedExpectedTunnel[]): void {
    if (this.closed) throw this.hub.reason;
    this.#flush();
    this.#expected = expected;
    this.#tunnels.expect(expected, now());
    this.#flush();
  }

  /** `synced` with all tunnels, then all changes. Every loop gets all changes. */
  [Symbol.asyncIterator](): AsyncIterableIterator<TunnelChange | TunnelsSynced, undefined> {
    const loop = new TunnelLoop(
      this.#options.highWaterMark,
      () => this.snapshot(),
      () => this.hub.leave(loop),
    );
    return this.hub.join(loop).queue;
  }

  /**
   * Lets the process end while the monitor is open. Does not affect a monitor given in the options.
   */
  unref(): this {
    if (this.#ownsXfrmMonitor) this.#xfrmMonitor.unref();
    return this;
  }

  /** Keeps the process alive while the monitor is open, as by default. */
  ref(): this {
    if (this.#ownsXfrmMonitor) this.#xfrmMonitor.ref();
    return this;
  }

  #watchPath(): void {
    const { netns: path } = this.#options;
    if (typeof path !== 'string') return;
    this.#pathWatch = watchPath(path, this.#held.id, () =>
      this.#tell({ kind: 'namespace-gone', path, time: now() }),
    );
  }

  readonly #onClose = () => void this.hub.close();
  // Until it is open, open() reports that.
  readonly #onError = (error: unknown) => this.hub.fail(error, !this.#isOpen);

  async #release(): Promise<void> {
    clearTimeout(this.#timer);
    this.#reading = undefined;
    onDefaults.get(this.#xfrmMonitor)?.delete(this.#onDefaults);
    this.#xfrmMonitor.off('change', this.#onChange).off('close', this.#onClose);
    this.#pathWatch?.[Symbol.dispose]();
    this.#held.close();
    await Promise.all([
      this.#ownsXfrmMonitor && this.#xfrmMonitor.close(),
      this.#addresses.close(),
    ]);
    this.#xfrmMonitor.off('error', this.#onError);
  }

  readonly #onAddresses = (those: string[]) => {
    if (this.#isTooEarly(() => this.#onAddresses(those))) return;
    this.#tunnels.addressesChanged(those);
    this.#soon();
  };

  readonly #onDefaults = () => {
    if (this.#isTooEarly(this.#onDefaults)) return;
    this.#tunnels.setDefaults(this.#xfrmMonitor.policyDefaults);
    this.#soon();
  };

  /** Whether the tunnels are still being found; what is to happen then is called afterwards. */
  #isTooEarly(call: () => void): boolean {
    if (this.#opening) this.#waiting.push(call);
    return this.#opening !== undefined;
  }

  readonly #onChange = (change: XfrmChange) => {
    if (this.#isTooEarly(() => this.#onChange(change))) return;
    switch (change.kind) {
      // This monitor watches its own path, and reports that.
      case 'namespace-gone':
        return;
      case 'key-manager-request':
        if (change.event.kind !== 'REPORT') this.#tunnels.keyRequested(change.event, change.time);
        break;
      case 'overrun':
      case 'malformed':
        this.#flush();
        this.#tell({ ...change, time: now() });
        return;
      case 'resynced':
      case 'refreshed': {
        const { moved, began } = counterReading<XfrmObjectTypes>(change);
        this.#tunnels.setDefaults(this.#xfrmMonitor.policyDefaults);
        // Finishes the previous reading first.
        if (this.#reading) this.#count(Infinity);
        this.#tunnels.readCounters(moved.state, change.time, began);
        this.#reading = change;
        this.#count(SLICE);
        return;
      }
      default:
        this.#tunnels.change(change);
    }
    this.#soon();
  };

  /**
   * Evaluates tunnels whose counters moved, in slices, so that other work comes first. Then reports
   * the reading.
   */
  #count(milliseconds: number): void {
    const reading = this.#reading;
    if (this.closed || reading === undefined) return;
    const end = performance.now() + milliseconds;
    let done = false;
    do {
      const time = now();
      done = this.#tunnels.evaluateSomeCounters(time, Math.min(time.monotonic, this.heardUntil));
    } while (!done && performance.now() < end);
    this.#flush();
    if (!done) {
      setImmediate(() => this.#count(SLICE));
      return;
    }
    this.#reading = undefined;
    // Times in a stream never go back, and later changes may have been reported since the reading.
    this.#tell({ ...reading, time: now() });
    for (const done of this.#refreshes.splice(0)) done();
  }

  /** Flushes after the batch of events being read, so that a batch is evaluated once. */
  #soon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    queueMicrotask(() => {
      this.#flushing = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.closed) return;
    const time = now();
    this.#tunnels.flush(time, Math.min(time.monotonic, this.heardUntil));
    this.#tellAll();
    if (!this.closed) this.#setTimer();
  }

  /** In order, even if a listener causes more changes: those follow the queued ones. */
  #tellAll(): void {
    if (this.#telling) return;
    this.#telling = true;
    for (let event = this.#events.shift(); event; event = this.#events.shift()) this.#tell(event);
    this.#telling = false;
  }

  #setTimer(): void {
    clearTimeout(this.#timer);
    const wait = this.#tunnels.next - performance.now();
    if (wait === Infinity) return;
    // What is already due waits for pending reads, which usually evaluate it. The socket keeps the
    // process alive; timers do not need to.
    const milliseconds = wait > 0 ? Math.min(Math.ceil(wait), LONGEST) : AGAIN;
    this.#timer = setTimeout(() => this.#flush(), milliseconds).unref();
  }

  #tell(change: TunnelChange): void {
    this.hub.deliver(change, change.kind, 'change');
  }

  readonly #claimant = (portId: number, time: EventTime): ClaimedRequester | undefined => {
    if (portId === 0) return { portId, pid: undefined, process: undefined };
    const key = `${portId} ${time.monotonic}`;
    if (this.#claimants.has(key)) return this.#claimants.get(key);
    const [oldest] = this.#claimants.keys();
    if (oldest && this.#claimants.size >= CLAIMANTS) this.#claimants.delete(oldest);
    this.#claimants.set(key, undefined);
    this.#lookUp(portId, time).then((owner) => {
      this.#claimants.set(key, { portId, pid: owner?.pid, process: owner?.name });
      this.#tunnels.requesterFound();
      this.#soon();
    });
    return undefined;
  };

  /** The process; undefined also if the lookup takes too long. */
  async #lookUp(portId: number, { monotonic }: EventTime): Promise<SocketOwner | undefined> {
    const tooLong = new AbortController();
    try {
      return await Promise.race([
        this.#owners.find(NETLINK_XFRM, portId, monotonic),
        sleep(PATIENCE, undefined, { ref: false, signal: tooLong.signal }),
      ]);
    } catch {
      // The namespace is gone, or there is no /proc.
      return undefined;
    } finally {
      tooLong.abort();
    }
  }
}
