/**
 * A host with tunnels, without a kernel: changes to its SAs and policies are passed, as kernel
 * events, through the live table to the join, and reported tunnel changes are recorded.
 * @module
 */

import type {
  ExpectedTunnel,
  SaSuccession,
  Tunnel,
  TunnelEvent,
  TunnelThresholds,
  XfrmEvent,
  XfrmPolicy,
  XfrmState,
} from '../../lib/index.ts';
import { type CounterReading, counterReading } from '../../lib/monitor/changes.ts';
import { Reconciler } from '../../lib/monitor/reconciler.ts';
import type { XfrmObjectTypes } from '../../lib/monitor/xfrm-objects.ts';
import { xfrmModel } from '../../lib/monitor/xfrm-table.ts';
import type { LostAddress } from '../../lib/tunnel/addresses.ts';
import { checkedExpected } from '../../lib/tunnel/expected.ts';
import { checkedThresholds } from '../../lib/tunnel/thresholds.ts';
import { Tunnels, type TunnelsHost } from '../../lib/tunnel/tunnels.ts';
import { NO_LIMIT } from '../../lib/wire/time.ts';
import { StateFlags } from '../../lib/xfrm/names.ts';
import type { XfrmMark } from '../../lib/xfrm.ts';

/** This host, and the other end of most tunnels. */
export const HERE = '192.0.2.1';
export const THERE = '192.0.2.2';
const NONE = {
  softBytes: NO_LIMIT,
  hardBytes: NO_LIMIT,
  softPackets: NO_LIMIT,
  hardPackets: NO_LIMIT,
  softAddSeconds: NO_LIMIT,
  hardAddSeconds: NO_LIMIT,
  softUseSeconds: NO_LIMIT,
  hardUseSeconds: NO_LIMIT,
};
const ANY = {
  daddr: '0.0.0.0',
  saddr: '0.0.0.0',
  dport: 0,
  dportMask: 0,
  sport: 0,
  sportMask: 0,
  family: 'inet',
  prefixlenD: 0,
  prefixlenS: 0,
  proto: 0,
  ifindex: 0,
  user: 0,
} as const;

/** Properties of an SA that a scenario sets; the rest are defaults. */
export interface SaWish {
  readonly saddr?: string;
  readonly daddr?: string;
  readonly reqid?: number;
  readonly proto?: 'esp' | 'ah' | 'comp';
  readonly mark?: XfrmMark;
  readonly ifId?: number;
  readonly pcpu?: number;
  readonly dir?: 'in' | 'out';
  readonly mode?: 'tunnel' | 'transport';
  readonly larval?: boolean;
  /** Seconds. */
  readonly soft?: number;
  readonly hard?: number;
  readonly more?: object;
}

export interface PolicyWish {
  readonly local?: string;
  readonly remote?: string;
  readonly reqid?: number;
  readonly mark?: XfrmMark;
  readonly ifId?: number;
  /** Of the selector, to distinguish policies. */
  readonly port?: number;
  readonly mode?: 'tunnel' | 'transport';
  readonly protos?: readonly ('esp' | 'ah' | 'comp')[];
  readonly optional?: boolean;
  readonly more?: object;
}

interface WorldOptions {
  readonly expected?: readonly ExpectedTunnel[];
  readonly thresholds?: Partial<TunnelThresholds>;
  readonly locals?: readonly string[];
  /** Whether tunnels show their parts. */
  readonly apart?: boolean;
  /** Whether each counter reading re-evaluates all tunnels, as if all counters had changed. */
  readonly restless?: boolean;
  /** Finds the owner of a port id; by default, immediately, the process with that id. */
  readonly claimant?: TunnelsHost['claimant'];
}

export class World {
  /** Of the kernel, the newest first. */
  states: XfrmState[] = [];
  policies: XfrmPolicy[] = [];
  readonly events: TunnelEvent[] = [];
  readonly tunnels: Tunnels;
  readonly locals: Set<string>;
  readonly lost = new Map<string, LostAddress>();
  /** Milliseconds since the world began, at 1,000,000 s of the wall clock. */
  time = 0;
  /** By how much the wall clock has been changed since. */
  clockSet = 0;
  readonly #restless: boolean;
  #indexes = 0;
  readonly #tunnels = new Map<string, number>();
  #deaf = false;
  /** Events sent while the program was not running; undefined while it runs. */
  #queue: (() => void)[] | undefined;
  /** Whether events were lost and not yet resynced. */
  #losing = false;
  /** Of the last comparison. */
  #reading: CounterReading<XfrmObjectTypes> | undefined;
  /** When all events had last been read without a loss. */
  #heardUntil = 0;
  #opened = false;
  readonly #table: Reconciler<XfrmObjectTypes, XfrmEvent>;

  constructor(options: WorldOptions = {}) {
    const { expected, thresholds, locals = [HERE], restless = false } = options;
    const known: TunnelsHost['claimant'] = (portId) => ({
      portId,
      pid: portId || undefined,
      process: undefined,
    });
    this.locals = new Set(locals);
    this.#restless = restless;
    this.#table = new Reconciler<XfrmObjectTypes, XfrmEvent>(
      xfrmModel,
      {
        now: () => this.now,
        wakeAfter: () => {},
        mayProceed: () => true,
        dump: () => {
          for (const state of this.states) this.#table.dumped('state', state);
          for (const policy of this.policies) this.#table.dumped('policy', policy);
        },
        emit: (change) => {
          if ('object' in change) this.tunnels.change(change);
          else {
            this.#losing = change.kind === 'overrun';
            if (change.kind !== 'overrun') this.#reading = counterReading(change);
          }
        },
      },
      { least: 0, most: 0 },
    );
    this.tunnels = new Tunnels(
      {
        // It stays while its link is down.
        has: (address) =>
          this.locals.has(address) && (this.lost.get(address) ?? { link: '' }).link !== undefined,
        isLocal: (address) => this.locals.has(address) || this.lost.has(address),
        lost: (address) => this.lost.get(address),
        emit: (event) => this.events.push(event),
        claimant: options.claimant ?? known,
      },
      checkedExpected(expected),
      checkedThresholds(thresholds),
      this.now,
      options.apart,
    );
  }

  get now() {
    return { wall: 1_000_000_000 + this.time + this.clockSet, monotonic: this.time };
  }

  /** The program starts watching. */
  open(): this {
    this.#round();
    this.tunnels.open(this.#table.tables.state, this.#table.tables.policy, this.now);
    this.#opened = true;
    return this;
  }

  /** Advances time by milliseconds. */
  pass(milliseconds: number): this {
    const end = this.time + milliseconds;
    if (this.#queue !== undefined || this.#losing) {
      this.time = end;
      if (this.#queue === undefined) this.look();
      return this;
    }
    for (let next = this.tunnels.next; next <= end; next = this.tunnels.next) {
      this.time = Math.max(this.time, next);
      this.tunnels.flush(this.now);
    }
    this.time = end;
    return this;
  }

  /** The program does not run until {@link resume}: it is busy, or it was stopped. */
  stop(): this {
    this.#heardUntil = this.time;
    this.#queue = [];
    return this;
  }

  /** It runs again: as in Node, timers fire first, then pending events are read in one batch of limited size. */
  resume(batch: number): this {
    const queue = this.#queue ?? [];
    this.look();
    while (queue.length > 0) {
      for (const read of queue.splice(0, batch)) read();
      if (queue.length > 0) this.look();
    }
    this.#queue = undefined;
    return this.look();
  }

  /** Events sent meanwhile are lost, and the loss is reported. The next comparison resyncs. */
  lose(meanwhile: () => void): this {
    this.#deaf = true;
    meanwhile();
    this.#deaf = false;
    this.#read(() => this.#table.lost('ENOBUFS'));
    return this;
  }

  /** The time up to which all events have been read. */
  get heardUntil(): number {
    if (this.#queue === undefined && !this.#losing) this.#heardUntil = this.time;
    return this.#heardUntil;
  }

  #read(event: () => void): void {
    if (this.#queue) this.#queue.push(event);
    else event();
  }

  /** The counters are read, and the tables compared. */
  refresh(): this {
    this.read();
    while (!this.tunnels.evaluateSomeCounters(this.now, this.heardUntil));
    return this;
  }

  /** The same, without evaluating tunnels yet. */
  read(): this {
    this.#table.refresh();
    this.#round();
    this.#count();
    return this;
  }

  /** A number of counter readings, ten seconds apart, with a change before each. */
  watch(times: number, before: () => void = () => {}): this {
    for (let i = 0; i < times; i++) {
      this.pass(10_000);
      before();
      this.refresh();
    }
    return this;
  }

  /** Events sent meanwhile are lost, and then resynced. */
  deaf(meanwhile: () => void): this {
    this.#deaf = true;
    meanwhile();
    this.#deaf = false;
    this.#table.lost('ENOBUFS');
    return this.refresh();
  }

  #count(): void {
    const { moved, began } = this.#reading as CounterReading<XfrmObjectTypes>;
    const { state } = this.#table.tables;
    const all = Array.from(state, (entry) => ({ ...entry, value: { ...entry.value } }));
    this.tunnels.readCounters(this.#restless ? all : moved.state, this.now, began);
  }

  #round(): void {
    this.#table.wake();
    for (let i = 0; this.#table.waitsForEmpty; i++) {
      this.#table.empty();
      if (!this.#table.waitsForEmpty) this.#table.dumpEnded();
      this.#table.empty();
      if (i > 10) throw new Error('the table does not settle');
    }
  }

  #tell(event: object, portId = 0): void {
    if (this.#deaf || !this.#opened) return;
    const header = { length: 0, type: 0, flags: 0, seq: 0, portId };
    // An event has the time at which it was read.
    this.#read(() => {
      const whole = { protocol: 'xfrm', header, time: this.now, ...event };
      this.#table.event(whole as unknown as XfrmEvent);
    });
  }

  /** Changes the expected tunnels. */
  expect(expected: readonly ExpectedTunnel[]): this {
    this.look();
    this.tunnels.expect(checkedExpected(expected), this.now);
    return this.look();
  }

  /** Processes the reported changes: the end of a batch. */
  look(): this {
    if (this.#opened) this.tunnels.flush(this.now, this.heardUntil);
    return this;
  }

  addSa(spi: number, wish: SaWish = {}): XfrmState {
    const { proto = 'esp', soft = 0, hard = 0, larval = false, more } = wish;
    const state = {
      selector: ANY,
      daddr: wish.daddr ?? THERE,
      saddr: wish.saddr ?? HERE,
      spi,
      proto,
      lifetime: { ...NONE, softAddSeconds: soft || NO_LIMIT, hardAddSeconds: hard || NO_LIMIT },
      current: { bytes: 0n, packets: 0n, addedAt: this.#seconds, firstUsedAt: undefined },
      stats: { replayWindow: 0, replay: 0, integrityFailed: 0 },
      seq: 0,
      reqid: wish.reqid ?? 1,
      family: 'inet',
      mode: wish.mode ?? 'tunnel',
      replayWindow: 32,
      flags: StateFlags.of(0),
      replay: { oseq: 0, seq: 0, bitmap: 0 },
      ...(wish.mark && { mark: wish.mark }),
      ...(wish.ifId && { ifId: wish.ifId }),
      ...(wish.pcpu !== undefined && { pcpu: wish.pcpu }),
      ...(wish.dir && { dir: wish.dir }),
      ...(!larval && proto === 'esp' && { aead: { name: 'gcm', keyBits: 160, icvBits: 128 } }),
      ...(!larval && proto === 'ah' && { auth: { name: 'sha1', keyBits: 160 } }),
      ...(!larval && proto === 'comp' && { comp: { name: 'deflate', keyBits: 0 } }),
      ...more,
    } as unknown as XfrmState;
    this.states.unshift(state);
    if (!larval) this.#tell({ kind: 'NEWSA', state });
    return state;
  }

  /** An SA each way: `spi` from here, `spi` + 0x8000 to here. */
  addPair(spi: number, wish: SaWish = {}): void {
    this.addSa(spi + 0x8000, { ...wish, saddr: wish.daddr ?? THERE, daddr: wish.saddr ?? HERE });
    this.addSa(spi, wish);
  }

  removeSa(spi: number, portId = 0): void {
    const state = this.#take(spi);
    this.#tell({ kind: 'DELSA', id: {}, state }, portId);
  }

  removePair(spi: number, portId = 0): void {
    this.removeSa(spi, portId);
    this.removeSa(spi + 0x8000, portId);
  }

  expire(spi: number, hard: boolean): void {
    const state = hard ? this.#take(spi) : this.sa(spi);
    const { aead: _, encap: _e, ...told } = state;
    this.#tell({ kind: 'EXPIRE', hard, state: told });
  }

  flush(portId = 0): void {
    this.states = [];
    this.#tell({ kind: 'FLUSHSA', proto: 'any' }, portId);
  }

  /** The policies that go with a pair: out, in and fwd. */
  addPolicies(wish: PolicyWish = {}): void {
    for (const dir of ['out', 'in', 'fwd'] as const) this.addPolicy(dir, wish);
  }

  addPolicy(dir: 'in' | 'out' | 'fwd', wish: PolicyWish = {}): XfrmPolicy {
    const { local = HERE, remote = THERE, port = 0, mode = 'tunnel', protos = ['esp'] } = wish;
    const [saddr, daddr] = dir === 'out' ? [local, remote] : [remote, local];
    const host = { saddr, daddr, prefixlenS: 32, prefixlenD: 32 };
    const wild = { saddr: '0.0.0.0', daddr: '0.0.0.0' };
    const selector = mode === 'transport' ? host : this.#nets(dir, wish);
    const policy = {
      selector: { ...ANY, ...selector, dport: port },
      lifetime: NONE,
      current: { bytes: 0n, packets: 0n, addedAt: this.#seconds, firstUsedAt: undefined },
      priority: 0,
      index: ++this.#indexes * 8 + { in: 0, out: 1, fwd: 2 }[dir],
      dir,
      action: 'allow',
      flags: { mask: 0, names: [] },
      share: 'any',
      // The first SA of a bundle determines the tunnel.
      templates: protos.map((proto, i) => ({
        ...(mode === 'transport' || i > 0 ? wild : { saddr, daddr }),
        spi: 0,
        proto,
        family: 'inet',
        reqid: wish.reqid ?? 1,
        mode: i > 0 ? 'transport' : mode,
        share: 'any',
        optional: wish.optional ?? false,
        aalgos: 0,
        ealgos: 0,
        calgos: 0,
      })),
      ...(wish.mark && { mark: wish.mark }),
      ...(wish.ifId && { ifId: wish.ifId }),
      ...wish.more,
    } as unknown as XfrmPolicy;
    this.policies.push(policy);
    this.#tell({ kind: 'NEWPOLICY', policy });
    return policy;
  }

  /** The networks of a tunnel, distinct because the kernel allows one policy per selector. */
  #nets(dir: 'in' | 'out' | 'fwd', { local = HERE, remote = THERE, reqid = 1 }: PolicyWish) {
    const tunnel = `${local} ${remote} ${reqid}`;
    const n = this.#tunnels.get(tunnel) ?? this.#tunnels.size;
    this.#tunnels.set(tunnel, n);
    if (remote === '0.0.0.0') return {};
    const own = { saddr: '10.1.0.0', daddr: `10.2.${n >> 8}.${n & 0xff}` };
    const out = { ...own, prefixlenS: 16, prefixlenD: 32 };
    if (dir === 'out') return out;
    return { saddr: out.daddr, daddr: out.saddr, prefixlenS: 32, prefixlenD: 16 };
  }

  removePolicies(wanted: (policy: XfrmPolicy) => boolean = () => true, portId = 0): void {
    for (const policy of this.policies.filter(wanted)) {
      this.policies.splice(this.policies.indexOf(policy), 1);
      this.#tell({ kind: 'DELPOLICY', id: {}, policy }, portId);
    }
  }

  acquire(saddr = HERE, daddr = THERE, reqid = 1): void {
    const selector = { ...ANY, saddr, daddr, prefixlenS: 32, prefixlenD: 32 };
    const acquire = { saddr, daddr, proto: 'esp', selector, templates: [{ proto: 'esp', reqid }] };
    this.tunnels.keyRequested({ kind: 'ACQUIRE', acquire } as never, this.now);
  }

  /** The peer of an inbound SA has another address or port. */
  mapping(spi: number): void {
    const { daddr, proto } = this.sa(spi);
    this.tunnels.keyRequested(
      { kind: 'MAPPING', mapping: { daddr, proto, spi } } as never,
      this.now,
    );
  }

  /** An SA carries packets. */
  carry(spi: number, packets: number, change: object = {}): void {
    const state = this.sa(spi);
    const { current } = state;
    const counts = {
      bytes: current.bytes + BigInt(100 * packets),
      packets: current.packets + BigInt(packets),
      firstUsedAt: current.firstUsedAt ?? this.#seconds,
    };
    this.change(spi, { current: { ...current, ...counts }, ...change });
  }

  /** Changes an SA without an event. */
  change(spi: number, change: object): void {
    const state = this.sa(spi);
    this.states[this.states.indexOf(state)] = { ...state, ...change } as XfrmState;
  }

  /** The same, with the event of the request. */
  update(spi: number, change: object): void {
    this.change(spi, change);
    this.#tell({ kind: 'UPDSA', state: this.sa(spi) });
  }

  sa(spi: number): XfrmState {
    const state = this.states.find((one) => one.spi === spi);
    if (!state) throw new Error(`there is no SA 0x${spi.toString(16)}`);
    return state;
  }

  /** An address of this host becomes unusable, or usable again. */
  address(address: string, lost: LostAddress | undefined): void {
    if (lost) this.lost.set(address, lost);
    else this.lost.delete(address);
    this.tunnels.addressesChanged([address]);
  }

  /** The only tunnel. */
  get only(): Tunnel {
    const [tunnel, ...more] = this.tunnels;
    if (!tunnel || more.length > 0) throw new Error(`there are ${this.tunnels.size} tunnels`);
    return tunnel;
  }

  /** Changes reported since the last call, one line each, without the parts of a `rekeyed`. */
  told(): string[] {
    const whole = this.events.splice(0).filter(({ kind }) => kind !== 'replaced');
    return whole.map(normalised);
  }

  /** The current time in the kernel's format. */
  get #seconds(): number {
    return Math.floor(this.now.wall / 1000) * 1000;
  }

  #take(spi: number): XfrmState {
    const state = this.sa(spi);
    this.states.splice(this.states.indexOf(state), 1);
    return state;
  }
}

/** A change as a line, without values that differ between runs. */
export function normalised(event: TunnelEvent): string {
  const words: unknown[] = [event.kind];
  if (event.kind === 'warning') {
    const { raised, warning } = event;
    words.push(raised ? 'raised' : 'cleared', warning.kind, warning.what);
  } else words.push(event.tunnel.state);
  if ('before' in event) words.push(event.before && `was ${event.before}`);
  if (event.kind === 'down') {
    const { reason: cause } = event;
    words.push(`by ${cause.kind}`);
    if ('by' in cause) words.push(cause.by?.portId);
    if ('to' in cause) words.push(cause.to);
  }
  const succession = ({ from, to, gapMs: gap }: SaSuccession) => {
    const spis = `${from.toString(16)} > ${to.toString(16)}`;
    return gap === undefined ? `${spis} not heard` : gap > 0 ? `${spis} after ${gap} ms` : spis;
  };
  if (event.kind === 'replaced') words.push(event.direction, succession(event));
  if (event.kind === 'rekeyed') {
    for (const direction of ['out', 'in'] as const) {
      words.push(...event[direction].map((one) => `${direction} ${succession(one)}`));
    }
  }
  return words.filter((word) => word !== undefined && word !== '').join(' ');
}
