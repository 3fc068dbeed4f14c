/**
 * Records what the kernel announces about IPsec in network namespaces: XFRM events, the addresses
 * of the host, snapshots, error counters, losses, clocks, and who asked for removals.
 * @module
 */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { hostname, version as kernelVersion, machine, release } from 'node:os';
import { XfrmStatFile } from '../monitor/xfrm-stat.ts';
import { NETLINK_XFRM } from '../netlink/constants.ts';
import { now } from '../netlink/event.ts';
import { type NetnsReference, SocketOwners } from '../socket/index.ts';
import { HeldNamespace } from '../socket/namespace.ts';
import { ADDRESS_GROUPS, LOCAL_ROUTES } from '../tunnel/addresses.ts';
import { messagePortId, messageType, NLMSG_HDRLEN } from '../wire/message.ts';
import { offsetOf } from '../wire/struct.ts';
import * as X from '../xfrm/constants.ts';
import { messageOf } from '../xfrm/messages.ts';
import { xfrm_usersa_id, xfrm_usersa_info } from '../xfrm/structs.ts';
import { type BlockStore, BlockWriter } from './block-writer.ts';
import { EventRecorder } from './event-recorder.ts';
import { CLOCK_SET, type HostInfo, type Note } from './records.ts';

export interface RecorderOptions {
  /** Version of this program. */
  readonly version: string;
  /** Whether keys are recorded. */
  readonly keys: boolean;
  /** Whether to listen to ACQUIRE, which changes what the kernel does. */
  readonly acquires: boolean;
  readonly receiveBufferSize: number;
  /** Milliseconds between snapshots. */
  readonly interval: number;
  /** Called when a namespace can no longer be recorded. */
  failed(error: unknown, netns: string | null): void;
  /** Called when blocks can no longer be stored, and when they can again. */
  unwritten(error: Error | undefined): void;
}

/** All groups but ACQUIRE: a listener there changes what the kernel does. */
const GROUPS = [
  X.XFRMNLGRP_SA,
  X.XFRMNLGRP_EXPIRE,
  X.XFRMNLGRP_POLICY,
  X.XFRMNLGRP_AEVENTS,
  X.XFRMNLGRP_REPORT,
  X.XFRMNLGRP_MIGRATE,
  X.XFRMNLGRP_MAPPING,
];
/** Messages whose requester may be the reason why a tunnel is down. */
const REMOVALS = new Set<number>([
  X.XFRM_MSG_DELSA,
  X.XFRM_MSG_DELPOLICY,
  X.XFRM_MSG_FLUSHSA,
  X.XFRM_MSG_FLUSHPOLICY,
]);
/** Messages that may leave in doubt what the tables hold (lib/monitor/xfrm-table.ts). */
const DOUBTFUL = new Set<number>([
  X.XFRM_MSG_UPDSA,
  X.XFRM_MSG_EXPIRE,
  X.XFRM_MSG_POLEXPIRE,
  X.XFRM_MSG_FLUSHSA,
  X.XFRM_MSG_MIGRATE,
  X.XFRM_MSG_MIGRATE_STATE,
]);
const IPPROTO_COMP = 108;
/** Where the protocol of an SA is. */
const PROTO: ReadonlyMap<number, number> = new Map([
  [X.XFRM_MSG_NEWSA, NLMSG_HDRLEN + offsetOf(xfrm_usersa_info, 'id.proto')],
  [X.XFRM_MSG_DELSA, NLMSG_HDRLEN + offsetOf(xfrm_usersa_id, 'proto')],
]);
/** What to look at in an event, by its type: a table, because it is asked of every event. */
const HARMLESS = 0;
const LOOK = 1;
const LOOK_AT = Uint8Array.from({ length: 256 }, (_, type) => {
  const known = messageOf(type)?.event !== undefined && !DOUBTFUL.has(type);
  return known && !REMOVALS.has(type) && !PROTO.has(type) ? HARMLESS : LOOK;
});

/** Milliseconds between two looks at the clock and the error counters. */
const TICK = 1000;
const STAT = 10_000;
/** Milliseconds after which the owner of a port ID is looked up again when an event names it. */
const OWNER = 1000;
/** Owners remembered. */
const OWNERS = 1024;

/** A namespace that is recorded. */
interface Recorded {
  readonly index: number;
  readonly label: string | null;
  readonly held: HeldNamespace;
  readonly events: readonly EventRecorder[];
  readonly stat: XfrmStatFile;
  readonly owners: Map<number, { at: number; note: Note | undefined }>;
}

export class Recorder {
  readonly #options: RecorderOptions;
  readonly #writer: BlockWriter;
  readonly #host: HostInfo;
  readonly #labels: (string | null)[] = [];
  /** Places of namespaces that are gone. */
  readonly #free = new Set<number>();
  readonly #open = new Map<string | null, Recorded>();
  readonly #ticks: readonly NodeJS.Timeout[];
  #offset = clockOffset();
  /** Protocols and namespaces without a snapshot yet. */
  readonly #unsettled = new Set<object>();
  #allSettled = () => {};
  #past = { received: 0, overruns: 0 };

  constructor(store: BlockStore, options: RecorderOptions) {
    this.#options = options;
    this.#host = hostInfo(options, this.#labels);
    this.#writer = new BlockWriter(store, () => ({
      ...this.#host,
      utcOffset: -new Date().getTimezoneOffset(),
    }));
    this.#writer.failed = (error) => options.unwritten(error);
    this.#writer.recovered = () => {
      options.unwritten(undefined);
      for (const one of this.#recorders) one.snapshot();
    };
    this.#writer.drained = () => {
      for (const one of this.#recorders) one.resume();
    };
    this.#ticks = [
      setInterval(() => this.#tick(), TICK).unref(),
      setInterval(() => this.#readStats(), STAT).unref(),
    ];
  }

  get #recorders(): EventRecorder[] {
    return [...this.#open.values()].flatMap(({ events }) => events);
  }

  /** How many events were received, and how many times the kernel dropped some. */
  get totals(): { received: number; overruns: number } {
    const totals = { ...this.#past };
    for (const { received, overruns } of this.#recorders) {
      totals.received += received;
      totals.overruns += overruns;
    }
    return totals;
  }

  /**
   * Starts to record a namespace.
   *
   * @param label its name; null for the process's own
   * @throws SystemError as subscribe()
   */
  add(label: string | null, netns: NetnsReference | undefined): void {
    const held = new HeldNamespace(netns);
    const events: EventRecorder[] = [];
    let stat: XfrmStatFile | undefined;
    try {
      stat = new XfrmStatFile(held);
      const known = this.#labels.indexOf(label);
      const index = known < 0 ? (this.#free.values().next().value ?? this.#labels.length) : known;
      const owners: Recorded['owners'] = new Map();
      const who = new SocketOwners({ netns: held.netns });
      const { receiveBufferSize, keys, interval, acquires } = this.#options;
      const failed = (error: unknown) => this.#fail(label, error);
      const common = () => {
        const one = {};
        this.#unsettled.add(one);
        const settled = () => this.#settled(one);
        return { netns: held.netns, index, receiveBufferSize, keys, interval, failed, settled };
      };
      const inspect = (view: DataView, at: number, length: number) => {
        if (length < NLMSG_HDRLEN) return true;
        const type = messageType(view, at);
        if (LOOK_AT[type] === HARMLESS) return false;
        const portId = messagePortId(view, at);
        if (portId !== 0 && REMOVALS.has(type)) this.#findOwner(index, who, owners, portId);
        if (DOUBTFUL.has(type) || messageOf(type)?.event === undefined) return true;
        const proto = PROTO.get(type);
        return proto !== undefined && length > proto && view.getUint8(at + proto) === IPPROTO_COMP;
      };
      const groups = acquires ? [...GROUPS, X.XFRMNLGRP_ACQUIRE] : GROUPS;
      events.push(
        new EventRecorder(this.#writer, { protocol: 'xfrm', groups, ...common(), inspect }),
      );
      const addresses = { groups: ADDRESS_GROUPS, filter: LOCAL_ROUTES };
      events.push(
        new EventRecorder(this.#writer, { protocol: 'route', ...addresses, ...common() }),
      );
      // A block states its namespaces at its beginning.
      this.#writer.flush();
      this.#labels[index] = label;
      this.#free.delete(index);
      this.#open.set(label, { index, label, held, events, stat, owners });
      this.#note(index, { kind: 'namespace', state: 'added' });
    } catch (error) {
      for (const one of events) void one.close();
      this.#unsettled.clear();
      stat?.close();
      held.close();
      throw error;
    }
    for (const one of events) one.start();
    this.#readStats();
  }

  /** Resolves when a snapshot of each namespace has been recorded, or it can no longer be. */
  ready(): Promise<void> {
    return new Promise((resolve) => {
      this.#allSettled = resolve;
      this.#settled({});
    });
  }

  #settled(one: object): void {
    this.#unsettled.delete(one);
    if (this.#unsettled.size === 0) this.#allSettled();
  }

  /** Ends recording a namespace. */
  async remove(label: string | null, state: 'removed' | 'failed' = 'removed'): Promise<void> {
    const one = this.#take(label);
    if (one === undefined) return;
    const { index } = one;
    this.#note(index, { kind: 'namespace', state });
    await this.#close(one);
    // Another may have its place, unless it is there again.
    if (![...this.#open.values()].some((other) => other.index === index)) this.#free.add(index);
  }

  /** No longer counts a namespace as recorded. */
  #take(label: string | null): Recorded | undefined {
    const one = this.#open.get(label);
    this.#open.delete(label);
    for (const { received, overruns } of one?.events ?? []) {
      this.#past.received += received;
      this.#past.overruns += overruns;
    }
    return one;
  }

  async #close({ stat, events, held }: Recorded): Promise<void> {
    stat.close();
    await Promise.all(events.map((each) => each.close()));
    held.close();
  }

  /** Repeats, for a new file of a ring, what only older ones say. */
  repeat(): void {
    for (const { index, owners } of this.#open.values()) {
      for (const { note } of owners.values()) if (note) this.#note(index, note);
    }
  }

  /** Ends recording. @returns a promise that is fulfilled when everything is stored */
  async close(): Promise<void> {
    for (const one of this.#ticks) clearInterval(one);
    await Promise.all(this.#recorders.map((one) => one.drain()));
    this.#readStats();
    const last = [...this.#open.keys()].map((label) => this.#take(label) as Recorded);
    await Promise.all(last.map((one) => this.#close(one)));
    this.#note(0, { kind: 'end' });
    await this.#writer.end();
  }

  #note(index: number, note: Note): void {
    const { wall, monotonic } = now();
    this.#writer.at(wall, monotonic);
    this.#writer.note(index, note);
  }

  #fail(label: string | null, error: unknown): void {
    void this.remove(label, 'failed');
    this.#unsettled.clear();
    this.#settled({});
    this.#options.failed(error, label);
  }

  /** Records that the wall clock was set. */
  #tick(): void {
    const offset = clockOffset();
    const by = offset - this.#offset;
    this.#offset = offset;
    if (Math.abs(by) > CLOCK_SET) this.#note(0, { kind: 'clock-set', by: Math.round(by) });
  }

  #readStats(): void {
    for (const { index, stat, label } of this.#open.values()) {
      try {
        const counters = stat.read();
        if (counters === undefined) continue;
        const texts = Object.entries(counters).map(([name, count]) => [name, `${count}`]);
        this.#note(index, { kind: 'xfrm-stat', counters: Object.fromEntries(texts) });
      } catch (error) {
        this.#fail(label, error);
      }
    }
  }

  /** Records who has the socket with a port ID, as {@link SocketOwners} finds it. */
  #findOwner(index: number, who: SocketOwners, known: Recorded['owners'], portId: number): void {
    const { monotonic } = now();
    const before = known.get(portId);
    if (before && before.at > monotonic - OWNER) return;
    if (known.size >= OWNERS) known.clear();
    known.set(portId, { at: monotonic, note: before?.note });
    const say = (pid?: number, name?: string) => {
      // Another namespace may be in its place.
      if (![...this.#open.values()].some(({ owners }) => owners === known)) return;
      const note = { kind: 'owner', portId, pid, name } as const;
      const earlier = before?.note;
      if (earlier?.kind === 'owner' && earlier.pid === pid && earlier.name === name) return;
      known.set(portId, { at: monotonic, note });
      this.#note(index, note);
    };
    who.find(NETLINK_XFRM, portId, monotonic).then(
      (owner) => say(owner?.pid, owner?.name),
      // There is no /proc.
      () => say(),
    );
  }
}

const clockOffset = (): number => {
  const { wall, monotonic } = now();
  return wall - monotonic;
};

function hostInfo({ version, keys }: RecorderOptions, namespaces: (string | null)[]): HostInfo {
  let bootId: string | undefined;
  try {
    bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
  } catch {
    // There is no /proc.
  }
  return {
    session: randomUUID(),
    hostname: hostname(),
    kernel: { release: release(), version: kernelVersion(), machine: machine() },
    version,
    bootId,
    utcOffset: 0,
    keys,
    namespaces,
  };
}
