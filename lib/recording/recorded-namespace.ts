/**
 * A network namespace as a recording says it was: its SAs, policies and tunnels at the time that
 * the recording has been read to.
 * @module
 */
import {
  type AddressKinds,
  addressModel,
  hostAddress,
  hostLink,
  isAccepted,
  routedAddress,
} from '../monitor/address-table.ts';
import { counterReading, type TableChange } from '../monitor/changes.ts';
import type { XfrmObjectTypes } from '../monitor/xfrm-objects.ts';
import { xfrmModel } from '../monitor/xfrm-table.ts';
import { PoliciesView, StatesView } from '../monitor/xfrm-views.ts';
import { NETLINK_ROUTE, NETLINK_XFRM } from '../netlink/constants.ts';
import { decodeDatagram, type EventTime, type Malformed } from '../netlink/event.ts';
import { decodeRoute } from '../route/decode.ts';
import type { RouteEvent } from '../route/events.ts';
import { LocalAddresses } from '../tunnel/addresses.ts';
import type { NamedExpectedTunnel } from '../tunnel/expected.ts';
import type { TunnelThresholds } from '../tunnel/thresholds.ts';
import type { ClaimedRequester, TunnelChange, TunnelSnapshot } from '../tunnel/tunnel-changes.ts';
import { worstTunnelFirst } from '../tunnel/tunnel-monitor.ts';
import { Tunnels } from '../tunnel/tunnels.ts';
import { decodeXfrm } from '../xfrm/decode.ts';
import type { XfrmEvent } from '../xfrm/events.ts';
import type { PolicyDefaults } from '../xfrm/types.ts';
import { RecordedTables } from './recorded-tables.ts';
import type { Note, RecordedDatagram } from './records.ts';

/** How tunnels are judged: as by TunnelMonitor. */
export interface RecordedTunnelOptions {
  readonly expected: readonly NamedExpectedTunnel[];
  readonly thresholds: TunnelThresholds;
  readonly apart: boolean;
  /** Whether recorded ACQUIREs and MAPPINGs count. */
  readonly acquires: boolean;
}

/** Milliseconds for which a `down` waits for the note of its requester, as for the lookup. */
const PATIENCE = 5000;
/** Deadlines in one step, in case one is always due. */
const STEPS = 100_000;

export class RecordedNamespace {
  readonly label: string | null;
  readonly states: StatesView;
  readonly policies: PoliciesView;
  readonly #options: RecordedTunnelOptions | undefined;
  readonly #report: (change: TunnelChange) => void;
  readonly #xfrm: RecordedTables<XfrmObjectTypes, XfrmEvent>;
  readonly #addresses: RecordedTables<AddressKinds, RouteEvent>;
  readonly #owners = new Map<number, ClaimedRequester>();
  /** Port IDs whose owner is awaited, and until when. */
  readonly #awaited = new Map<number, number>();
  #defaults: PolicyDefaults | undefined;
  #local: LocalAddresses | undefined;
  #tunnels: Tunnels | undefined;
  #now: EventTime = { wall: 0, monotonic: 0 };
  #countersReadAt: EventTime = { wall: 0, monotonic: 0 };
  #heardUntil = Number.NEGATIVE_INFINITY;
  #touched = false;
  #overruns = 0;
  /** Whether it was recorded until now: not after it was removed. */
  isRecorded = true;
  /** The error counters, as last recorded. */
  xfrmStat: Readonly<Record<string, string>> | undefined;

  /** @param options how tunnels are judged; undefined: only SAs and policies are followed */
  constructor(
    label: string | null,
    options: RecordedTunnelOptions | undefined,
    report: (change: TunnelChange) => void,
  ) {
    this.label = label;
    this.#options = options;
    this.#report = report;
    const changed = (change: TableChange<XfrmObjectTypes>) => this.#xfrmChanged(change);
    this.#xfrm = new RecordedTables(xfrmModel, changed, options === undefined);
    this.#addresses = new RecordedTables(addressModel, (change) => this.#addressChanged(change));
    this.states = new StatesView(this.#xfrm.tables.state);
    this.policies = new PoliciesView(this.#xfrm.tables.policy);
  }

  /** Whether a snapshot has been read: before, nothing is known. */
  get isOpen(): boolean {
    return this.#options === undefined ? this.#xfrm.isOpen : this.#tunnels !== undefined;
  }

  /** Whether everything is right, as far as the recording says. */
  get synced(): boolean {
    return this.#xfrm.synced && (this.#options === undefined || this.#addresses.synced);
  }

  /** What becomes of packets that no policy matches, as far as the recording says. */
  get defaults(): PolicyDefaults | undefined {
    return this.#defaults;
  }

  /** When the counters were read last. */
  get countersReadAt(): EventTime {
    return this.#tunnels?.countersReadAt ?? this.#countersReadAt;
  }

  /** All tunnels now, worst first. */
  snapshot(): TunnelSnapshot {
    return {
      label: this.label ?? undefined,
      tunnels: [...(this.#tunnels ?? [])].sort(worstTunnelFirst),
      warnings: this.#tunnels?.warnings ?? [],
      synced: this.synced,
      countersReadAt: this.countersReadAt,
    };
  }

  /** Advances to a time; effects of time itself are reported at their own times. */
  advance(to: EventTime): void {
    if (this.#touched) this.#flush(this.#now);
    // Of the clock until now: it may have been set by the time advanced to.
    const offset = this.#now.wall - this.#now.monotonic;
    for (let steps = 0; this.#tunnels && steps < STEPS; steps++) {
      const [patience = Number.POSITIVE_INFINITY] = this.#awaited.values();
      const next = Math.min(this.#tunnels.next, patience);
      if (next > to.monotonic || this.#lacking) break;
      const monotonic = Math.max(next, this.#now.monotonic);
      for (const [portId, until] of this.#awaited) {
        if (until <= monotonic) this.#own({ portId, pid: undefined, process: undefined });
      }
      this.#flush({ wall: monotonic + offset, monotonic });
    }
    this.#setNow(to);
  }

  /** Takes an event, or a part of a dump, at the time advanced to. */
  datagram({ protocol, dumped, truncated, bytes }: RecordedDatagram): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const input = { view, bytes, time: this.#now, keys: false };
    if (protocol === NETLINK_XFRM) {
      const take = dumped ? this.#xfrmDumped : this.#xfrmEvent;
      decodeDatagram(input, 0, bytes.length, truncated, decodeXfrm, take);
    } else if (protocol === NETLINK_ROUTE && this.#options) {
      const take = dumped ? this.#routeDumped : this.#routeEvent;
      decodeDatagram(input, 0, bytes.length, truncated, decodeRoute, take);
    }
  }

  note(note: Note): void {
    switch (note.kind) {
      case 'snapshot':
        this.#tablesOf(note.protocol)?.snapshot(note.phase);
        break;
      case 'overrun':
        this.#tablesOf(note.protocol)?.lost(note.code);
        break;
      case 'xfrm-stat':
        this.xfrmStat = note.counters;
        break;
      case 'owner':
        this.#own({ portId: note.portId, pid: note.pid, process: note.name });
        break;
      case 'namespace':
        this.isRecorded = note.state === 'added';
        if (note.state === 'removed') this.#empty();
        break;
      default:
    }
  }

  /** Its SAs and policies are gone with it: as after a snapshot with nothing in it. */
  #empty(): void {
    if (!this.#xfrm.isOpen) return;
    for (const phase of ['begin', 'dumped', 'settled'] as const) this.#xfrm.snapshot(phase);
  }

  /** A part of the recording is missing. @param code of the loss, as in an overrun */
  missing(code: string): void {
    this.#xfrm.missing(code);
    if (this.#options) this.#addresses.missing(code);
  }

  #tablesOf(protocol: 'xfrm' | 'route') {
    if (protocol === 'xfrm') return this.#xfrm;
    return this.#options && this.#addresses;
  }

  get #lacking(): boolean {
    return this.#xfrm.lacking || this.#addresses.lacking;
  }

  #setNow(time: EventTime): void {
    this.#now = time;
    this.#xfrm.now = time;
    this.#addresses.now = time;
  }

  /** Evaluates what changed or is due, as TunnelMonitor does after a batch. */
  #flush(time: EventTime): void {
    this.#touched = false;
    if (!this.#lacking) this.#heardUntil = time.monotonic;
    this.#tunnels?.flush(time, this.#heardUntil);
  }

  readonly #xfrmEvent = (event: XfrmEvent | Malformed): void => {
    if (event.kind === 'malformed') {
      const { kind, ...rest } = event as Malformed;
      if (this.#tunnels) this.#report({ ...rest, kind, protocol: 'xfrm' });
      this.#xfrm.malformed();
      return;
    }
    const heard = event as XfrmEvent;
    switch (heard.kind) {
      case 'GETDEFAULT':
        this.#setDefaults(heard.defaults);
        this.#touched = true;
        break;
      case 'ACQUIRE':
      case 'MAPPING':
        if (this.#options?.acquires && this.#tunnels) {
          this.#tunnels.keyRequested(heard, this.#now);
          this.#touched = true;
        }
        return;
      case 'REPORT':
        return;
      default:
    }
    this.#xfrm.event(heard);
  };

  readonly #xfrmDumped = (event: XfrmEvent | Malformed): void => {
    if (event.kind === 'malformed') this.#xfrm.malformed();
    else if (event.kind === 'NEWSA') this.#xfrm.dumped('state', event.state);
    else if (event.kind === 'NEWPOLICY') this.#xfrm.dumped('policy', event.policy);
    else if (event.kind === 'GETDEFAULT') this.#setDefaults(event.defaults);
  };

  readonly #routeEvent = (event: RouteEvent | Malformed): void => {
    if (event.kind === 'malformed') this.#addresses.malformed();
    else this.#addresses.event(event as RouteEvent);
  };

  readonly #routeDumped = (event: RouteEvent | Malformed): void => {
    if (event.kind === 'malformed') this.#addresses.malformed();
    else if (event.kind === 'NEWLINK') this.#addresses.dumped('link', hostLink(event.link));
    else {
      const address =
        event.kind === 'NEWADDR' && isAccepted(event.address)
          ? hostAddress(event.address)
          : event.kind === 'NEWROUTE'
            ? routedAddress(event.route)
            : undefined;
      if (address) this.#addresses.dumped('address', address);
    }
  };

  #setDefaults(defaults: PolicyDefaults): void {
    this.#defaults = defaults;
    this.#tunnels?.setDefaults(defaults);
  }

  #own(requester: ClaimedRequester): void {
    this.#owners.set(requester.portId, requester);
    if (!this.#awaited.delete(requester.portId)) return;
    this.#tunnels?.requesterFound();
    this.#touched = true;
  }

  readonly #claimant = (portId: number, { monotonic }: EventTime): ClaimedRequester | undefined => {
    if (portId === 0) return { portId, pid: undefined, process: undefined };
    const known = this.#owners.get(portId);
    if (known === undefined && !this.#awaited.has(portId)) {
      this.#awaited.set(portId, monotonic + PATIENCE);
    }
    return known;
  };

  #addressChanged(change: TableChange<AddressKinds>): void {
    if (this.#local === undefined) {
      this.#local = new LocalAddresses(this.#addresses.tables);
      this.#openTunnels();
    }
    if (!('object' in change)) return;
    const addresses = this.#local.change(change);
    if (addresses.length === 0 || this.#tunnels === undefined) return;
    this.#tunnels.addressesChanged(addresses);
    this.#touched = true;
  }

  #xfrmChanged(change: TableChange<XfrmObjectTypes>): void {
    const tunnels = this.#tunnels;
    if (change.kind === 'resynced' || change.kind === 'refreshed') {
      this.#countersReadAt = change.time;
      if (tunnels === undefined) {
        this.#openTunnels();
        return;
      }
      this.#heardUntil = this.#now.monotonic;
      const { moved, began } = counterReading<XfrmObjectTypes>(change);
      tunnels.readCounters(moved.state, change.time, began);
      while (!tunnels.evaluateSomeCounters(this.#now, this.#heardUntil));
      this.#report(change);
      return;
    }
    if (tunnels === undefined) return;
    if (change.kind === 'overrun') {
      this.#flush(this.#now);
      const more = { protocol: 'xfrm', count: ++this.#overruns, slowConsumer: false } as const;
      this.#report({ ...change, ...more });
      return;
    }
    if (!('object' in change)) return;
    tunnels.change(change);
    this.#touched = true;
  }

  /** Begins with tunnels once SAs, policies and addresses are known. */
  #openTunnels(): void {
    const options = this.#options;
    if (options === undefined || !this.#xfrm.isOpen || this.#local === undefined) return;
    const { has, isLocal, lost } = this.#local;
    const host = { has, isLocal, lost, emit: this.#report, claimant: this.#claimant };
    const { expected, thresholds, apart } = options;
    const tunnels = new Tunnels(host, expected, thresholds, this.#countersReadAt, apart);
    tunnels.setDefaults(this.#defaults);
    tunnels.open(this.states, this.policies, this.#now);
    this.#tunnels = tunnels;
  }
}
