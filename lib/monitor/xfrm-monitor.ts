/**
 * A live picture of the IPsec state: tables of all SAs and policies that follow the kernel.
 * @module
 */
import { EventEmitter } from 'node:events';
import { decodeDatagram, type EventTime } from '../netlink/event.ts';
import { type Batch, type NetlinkSocket, SystemError } from '../socket/index.ts';
import { HeldNamespace } from '../socket/namespace.ts';
import { XfrmClient } from '../xfrm/client.ts';
import * as X from '../xfrm/constants.ts';
import { decodeXfrm } from '../xfrm/decode.ts';
import type { AcquireEvent, Mapping, Report, XfrmEvent } from '../xfrm/events.ts';
import type { TableChange } from './changes.ts';
import { EventHub } from './event-hub.ts';
import { openEventSocket } from './event-socket.ts';
import { EventQueue } from './queue.ts';
import { Reconciler } from './reconciler.ts';
import type { MalformedEvent } from './subscribe.ts';
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

const now = (): EventTime => ({ wall: Date.now(), monotonic: performance.now() });

/** Milliseconds between two repairs, growing while events are lost faster than they can be. */
const PACE = { least: 20, most: 5000 };
/** Events kept while a list is made, before reading stops. */
const KEPT = 65_536;

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
  readonly #refreshInterval: number;
  readonly #socket: NetlinkSocket;
  readonly #client: XfrmClient;
  readonly #statFile: XfrmStatFile;
  readonly #table: Reconciler<XfrmKinds, XfrmEvent>;
  readonly #hub = new EventHub<XfrmChange | Synced>(this, () => this.#release());
  #opened = () => {};
  readonly #refreshes: (() => void)[] = [];
  #isOpen = false;
  #counted: EventTime;
  #xfrmStat: XfrmStat | undefined;
  #drops = 0;
  #slow = false;
  #reading = true;
  #working = false;
  /** Whether {@link XfrmMonitor.#lookAgain} is under way. */
  #looking = false;
  #wake: NodeJS.Timeout | undefined;
  #refresh: NodeJS.Timeout | undefined;

  /**
   * Opens a monitor. What happens in the kernel after the promise is fulfilled is a change.
   *
   * @returns a promise that is fulfilled when the tables are complete
   * @throws TypeError or RangeError for a wrong option; SystemError `EPERM` without CAP_NET_ADMIN,
   *   `EPROTONOSUPPORT` where the kernel has no XFRM; `netns` as with {@link NetlinkSocket}
   */
  static async open(options: XfrmMonitorOptions = {}): Promise<XfrmMonitor> {
    const monitor = new XfrmMonitor(options);
    try {
      await monitor.#hub.wait(undefined, (done) => {
        monitor.#opened = done;
        monitor.#begin();
      });
    } catch (error) {
      await monitor.close();
      throw error;
    }
    return monitor;
  }

  private constructor(options: XfrmMonitorOptions) {
    super();
    const { signal, label, netns, acquires, receiveBufferSize, ...pace } = checked(options);
    this.#label = label;
    this.#highWaterMark = pace.highWaterMark;
    this.#refreshInterval = pace.refreshInterval;
    this.#counted = now();
    signal?.throwIfAborted();
    // Events and lists must be of one namespace, also if its name goes to another in between.
    const held = new HeldNamespace(netns);
    let client: XfrmClient | undefined;
    let statFile: XfrmStatFile | undefined;
    try {
      const groups = acquires ? [...GROUPS, ...ASKING] : GROUPS;
      client = new XfrmClient({ netns: held.netns });
      this.#client = client;
      statFile = new XfrmStatFile(held);
      this.#statFile = statFile;
      this.#socket = openEventSocket('xfrm', groups, receiveBufferSize, held.netns).socket;
    } catch (error) {
      client?.close();
      statFile?.close();
      throw error;
    } finally {
      held.close();
    }
    this.#table = new Reconciler<XfrmKinds, XfrmEvent>(
      xfrmFamily,
      {
        now,
        wakeAfter: (wait) => {
          clearTimeout(this.#wake);
          const wake = () => this.#work(() => this.#table.wake());
          // The socket keeps the process alive; timers need not.
          this.#wake = setTimeout(wake, Math.ceil(wait)).unref();
        },
        list: () => {
          this.#list();
        },
        emit: (change) => this.#tell(change),
      },
      PACE,
    );
    this.states = new StatesView(this.#table.tables.state);
    this.policies = new PoliciesView(this.#table.tables.policy);
    this.#hub.endOn(signal);
  }

  /** Begins to read, and to list. */
  #begin(): void {
    this.#work(() => {
      this.#socket.receive(
        (batch) => this.#work(() => this.#onBatch(batch)),
        (error) => this.#fail(error),
      );
      this.#table.wake();
    });
  }

  get closed(): boolean {
    return this.#hub.closed;
  }

  /**
   * Whether the tables are right, as far as the kernel tells; else a repair is under way, events
   * wait because a slow loop has stopped the reading, or the monitor is closed.
   */
  get synced(): boolean {
    if (this.closed) return false;
    return this.#table.synced && (this.#reading || this.#socket.queue.bytes === 0);
  }

  /** How many events the kernel said it dropped. The tables were repaired after each. */
  get dropped(): number {
    return this.#drops;
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
    const signal = refreshSignal(options);
    // One under way may have begun too early: it ends, and another one begins.
    for (let rounds = this.#table.busy ? 2 : 1; rounds > 0; rounds--) {
      await this.#hub.wait(signal, (done) => {
        this.#refreshes.push(done);
        this.#work(() => this.#table.refresh());
      });
    }
  }

  /** `synced` with all that is known, then all changes. Several loops each get all. */
  [Symbol.asyncIterator](): AsyncIterableIterator<XfrmChange | Synced, undefined> {
    const queue: EventQueue<XfrmChange | Synced> = new EventQueue(this.#highWaterMark, {
      changed: () => this.#flow(),
      left: () => {
        this.#hub.leave(queue);
        this.#flow();
      },
    });
    if (!this.closed) queue.push({ kind: 'synced', snapshot: this.snapshot() });
    return this.#hub.join(queue);
  }

  /** Lets the process end although the monitor is open. */
  unref(): this {
    this.#socket.unref();
    return this;
  }

  /** Lets the monitor keep the process alive, as it does by default. */
  ref(): this {
    this.#socket.ref();
    return this;
  }

  /**
   * Closes the sockets and ends all loops, after the changes they have waiting.
   *
   * @returns a promise that is fulfilled when the sockets are closed; the same one every time
   */
  close(): Promise<void> {
    return this.#hub.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #release(): Promise<unknown> {
    clearTimeout(this.#wake);
    clearTimeout(this.#refresh);
    this.#statFile.close();
    // Which ends the list that is being made.
    return Promise.all([this.#socket.close(), this.#client.close()]);
  }

  /** It can go on no more. Until it is open, open() tells that. */
  #fail(error: unknown): void {
    this.#hub.fail(error, !this.#isOpen);
  }

  #onBatch(batch: Batch): void {
    if (batch.lost !== undefined) this.#lost(batch.lost);
    const time = { wall: batch.timestamp, monotonic: batch.monotonic };
    const input = { view: batch.view, bytes: batch.bytes, time, keys: false };
    for (let i = 0; i < batch.count; i++) {
      const [offset, length] = [batch.offset(i), batch.length(i)];
      decodeDatagram<XfrmEvent>(input, offset, length, batch.truncated(i), decodeXfrm, (event) => {
        if (event.kind === 'ACQUIRE' || event.kind === 'MAPPING' || event.kind === 'REPORT') {
          this.#tell({ kind: 'asked', event, time });
        } else if (event.kind !== 'malformed') this.#table.event(event);
        else {
          // Nobody knows what it changed.
          this.#tell({ ...event, protocol: 'xfrm' });
          this.#table.lost('EBADMSG');
        }
      });
    }
  }

  /** The kernel dropped events: that is, if its count moved since it was last heeded. */
  #lost(code: string): void {
    this.#socket.clearCongestion();
    const { drops } = this.#socket.queue;
    if (drops === this.#drops) return;
    this.#drops = drops;
    this.#table.lost(code);
  }

  /**
   * Feeds the table, then does what it asks for: later, if a listener calls this meanwhile. A socket
   * that cannot even be asked what waits in it ends the monitor: the tables could not be told right.
   */
  #work(feed: () => void): void {
    if (this.closed) return;
    if (this.#working) {
      feed();
      return;
    }
    this.#working = true;
    try {
      feed();
      while (!this.closed && this.#table.waitsForEmpty) {
        const { bytes, drops } = this.#socket.queue;
        if (drops !== this.#drops) this.#lost('ENOBUFS');
        if (bytes > 0) {
          this.#lookAgain();
          break;
        }
        this.#table.empty();
      }
      this.#flow();
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      this.#fail(error);
    } finally {
      this.#working = false;
    }
  }

  /**
   * Looks again whether events wait, after those that do have been read: what is read may be nothing
   * but forged datagrams, of which nobody is told.
   */
  #lookAgain(): void {
    if (!this.#reading || this.#looking) return;
    this.#looking = true;
    setImmediate(() => {
      this.#looking = false;
      this.#work(() => {});
    });
  }

  async #list(): Promise<void> {
    try {
      for await (const states of this.#client.listStatePieces()) {
        for (const state of states) this.#table.listed('state', state);
      }
      for await (const policy of this.#client.listPolicies()) {
        this.#table.listed('policy', policy);
      }
      // A request waits for those before it (net/xfrm/xfrm_user.c, xfrm_cfg_mutex): when this one
      // is answered, the events of all changes that the lists can show have been queued.
      await this.#client.getSadInfo();
    } catch (error) {
      if (this.closed) return;
      // A privilege that was given up does not come back; anything else may pass.
      const forGood = !this.#isOpen || (error as NodeJS.ErrnoException).code === 'EPERM';
      if (forGood) this.#fail(error);
      else this.#work(() => this.#table.listFailed());
      return;
    }
    this.#work(() => this.#table.listEnded());
  }

  #tell(change: TableChange<XfrmKinds> | Asked | MalformedEvent): void {
    if (this.closed) return;
    const told: XfrmChange =
      change.kind === 'overrun' ? { ...change, slowConsumer: this.#slow } : change;
    if (change.kind === 'repaired' || change.kind === 'refreshed') this.#compared(change.time);
    if (!this.#isOpen) {
      if (this.#table.synced) {
        this.#isOpen = true;
        this.#opened();
      }
      return;
    }
    this.#hub.deliver(told, told.kind, 'change');
  }

  #compared(time: EventTime): void {
    this.#counted = time;
    this.#xfrmStat = this.#statFile.read();
    this.#slow = false;
    clearTimeout(this.#refresh);
    if (this.#refreshInterval > 0) {
      this.#refresh = setTimeout(
        () => this.#work(() => this.#table.refresh()),
        this.#refreshInterval,
      ).unref();
    }
    for (const done of this.#refreshes.splice(0)) done();
  }

  /** Reads unless a loop has too much waiting, or too many events wait for a list. */
  #flow(): void {
    if (this.closed) return;
    const full = [...this.#hub.loops].some((queue) => queue.full);
    if (full) this.#slow = true;
    const reading = !full && this.#table.kept < KEPT;
    if (reading === this.#reading) return;
    this.#reading = reading;
    if (!reading) this.#socket.pause();
    else {
      this.#socket.resume();
      if (this.#table.waitsForEmpty) this.#lookAgain();
    }
  }
}
