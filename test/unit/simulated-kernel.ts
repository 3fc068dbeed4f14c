/**
 * A miniature kernel: what net/xfrm and net/netlink of 7.3 do to SAs, policies and a listener's
 * queue, as far as a table can observe it. Everything is synchronous; randomness is passed in.
 * @module
 */

import type { XfrmEvent, XfrmPolicy, XfrmState } from '../../lib/index.ts';
import { isLarval } from '../../lib/monitor/xfrm-objects.ts';
import { NO_LIMIT } from '../../lib/wire/time.ts';
import { StateFlags } from '../../lib/xfrm/names.ts';
import type { Random } from './random.ts';
import { SimulatedQueue } from './simulated-queue.ts';

const HEADER = { length: 0, type: 0, flags: 0, seq: 0, portId: 0 };
const NO_FLAGS = StateFlags.of(0);
const LIFETIME = {
  softBytes: NO_LIMIT,
  hardBytes: NO_LIMIT,
  softPackets: NO_LIMIT,
  hardPackets: NO_LIMIT,
  softAddSeconds: NO_LIMIT,
  hardAddSeconds: NO_LIMIT,
  softUseSeconds: NO_LIMIT,
  hardUseSeconds: NO_LIMIT,
} as unknown as XfrmState['lifetime'];
const GCM = { name: 'rfc4106(gcm(aes))', keyBits: 160, icvBits: 128 };

type Wide<T> = T extends readonly (infer U)[] ? U : never;
const ADDRESSES = ['192.0.2.1', '192.0.2.2'] as const;
type Address = Wide<typeof ADDRESSES>;
const MARKS = [undefined, undefined, { value: 1, mask: 1 }, { value: 0, mask: 3 }] as const;

const PROTOS = ['esp', 'esp', 'esp', 'ah', 'comp', 'routing'] as const;
const MODES = ['transport', 'tunnel'] as const;

type Act = () => void;
interface World {
  readonly addresses: readonly Address[];
  readonly spis: number;
  readonly protos: readonly Wide<typeof PROTOS>[];
  readonly modes: readonly Wide<typeof MODES>[];
  readonly marks: readonly Wide<typeof MARKS>[];
  /** In how many of eight requests a device is named. */
  readonly devices: number;
  /** Changes per second. */
  readonly pace: number;
  readonly often: readonly Act[];
  readonly seldom: readonly Act[];
  readonly silently: readonly Act[];
}

const usesSpi = ({ proto }: XfrmState) => proto === 'esp' || proto === 'ah' || proto === 'comp';

type Listed = ['state', XfrmState] | ['policy', XfrmPolicy];

export class SimulatedKernel {
  /** Newest first, as in net->xfrm.state_all. */
  states: XfrmState[] = [];
  policies: XfrmPolicy[] = [];
  /** The number of changes so far, and the last one without an event. */
  steps = 0;
  silentAt = 0;
  readonly #random: Random;
  /** Events that the listener has not read. */
  readonly queue: SimulatedQueue<XfrmEvent>;
  #seconds = 1000;
  #indexes = 1;
  /** Objects and kinds of changes: random for each kernel, so that rare cases meet. */
  readonly #world: World;
  /** Timer events, which are sent after the change and not under the lock of requests. */
  readonly #late: XfrmEvent[] = [];

  constructor(random: Random, capacity: number) {
    this.#random = random;
    this.queue = new SimulatedQueue(random, capacity);
    // In a narrow one all changes concern the same few objects.
    const narrow = random.chance(1, 2);
    const some = <T>(all: readonly T[], most: number): T[] =>
      Array.from({ length: narrow ? 1 : 1 + random.below(most) }, () => random.pick(all));
    const all = random.chance(1, 4);
    const chosen = (acts: readonly Act[]) => acts.filter(() => all || random.chance(1, 2));
    this.#world = {
      addresses: some(ADDRESSES, 3),
      spis: 1 + random.below(3),
      protos: some(PROTOS, 3),
      modes: some(MODES, 2),
      marks: some(MARKS, 4),
      devices: random.pick([0, 1, 4]),
      pace: random.pick([2, 12, 1000]),
      often: [() => this.#add(), () => this.#setPolicy(), ...chosen(this.#often)],
      seldom: [() => this.#flush(), ...chosen(this.#seldom)],
      silently: [() => this.#allocate(), ...chosen(this.#silently)],
    };
  }

  readonly #often: readonly Act[] = [
    () => this.#add(),
    () => this.#update(),
    () => this.#update(),
    () => this.#delete(),
    () => this.#expire(),
    () => this.#setPolicy(),
    () => this.#deletePolicy(),
    () => this.#carry(),
  ];
  readonly #seldom: readonly Act[] = [
    () => this.#flushPolicies(),
    () => this.#expirePolicy(),
    () => this.#migrate(),
    () => this.#timeOut(),
  ];
  readonly #silently: readonly Act[] = [
    () => this.#acquire(),
    () => this.#deviceGoes(),
    () => this.#socketPolicy(),
  ];

  /** Makes one change. @param silent whether it may be one without an event */
  step(silent: boolean): void {
    this.steps++;
    const random = this.#random;
    const { often, seldom, silently, pace } = this.#world;
    if (random.chance(1, pace)) this.#seconds++;
    if (random.chance(1, 3)) this.queue.timer();
    if (this.#late.length > 0 && random.chance(1, 3)) {
      this.queue.pushByTimer(this.#late.shift() as XfrmEvent);
    }
    // A request is carried out after the event of the previous one has been sent (xfrm_cfg_mutex).
    if (this.queue.finishSome()) return;
    if (silent && random.chance(1, 6)) random.pick(silently)();
    else random.pick(random.chance(1, 4) ? seldom : often)();
  }

  /** Whether an event or a drop is still in flight. */
  get late(): boolean {
    return this.#late.length > 0 || this.queue.late;
  }

  /** Delivers everything in flight. */
  quiet(): void {
    this.queue.settle();
    for (const event of this.#late.splice(0)) this.queue.pushByTimer(event);
    this.queue.settle();
  }

  /**
   * A dump in pieces: what is added goes to the head, where the walk has been. A piece is made when the one before
   * is read (netlink_recvmsg), so it is older than its reading. It ends as GETSADINFO is answered.
   */
  *dump(piece: number): Generator<Listed[]> {
    this.queue.finish();
    let ahead: Listed[] | undefined;
    for (const part of this.#walk(piece)) {
      if (ahead) yield ahead;
      ahead = part;
    }
    if (ahead) yield ahead;
    this.queue.finish();
  }

  *#walk(piece: number): Generator<Listed[]> {
    for (const walk of [[...this.states], undefined]) {
      const all = walk ?? [...this.policies];
      const seen: (XfrmState | XfrmPolicy)[] = [...all];
      const places = walk ? this.#placesOf(walk) : [];
      for (let at = 0; at < seen.length; at += piece) {
        const part: Listed[] = [];
        for (let i = at; i < Math.min(at + piece, seen.length); i++) {
          if (walk) {
            const now = this.#now(places[i] as number);
            if (now) part.push(['state', now]);
          } else {
            const policy = this.policies.find((one) => one === seen[i]);
            if (policy) part.push(['policy', policy]);
          }
        }
        yield part;
      }
    }
  }

  // Objects are replaced when they change; their numbers stay.
  readonly #numbers = new Map<XfrmState, number>();
  #number = 0;

  #placesOf(states: XfrmState[]): number[] {
    return states.map((state) => this.#numbers.get(state) as number);
  }

  #now(number: number): XfrmState | undefined {
    return this.states.find((state) => this.#numbers.get(state) === number);
  }

  #insert(state: XfrmState): void {
    this.#numbers.set(state, this.#number++);
    this.states.unshift(state);
  }

  #change(state: XfrmState, change: Partial<XfrmState>): XfrmState {
    const after = { ...state, ...change };
    this.#numbers.set(after, this.#numbers.get(state) as number);
    this.#numbers.delete(state);
    this.states[this.states.indexOf(state)] = after;
    return after;
  }

  #remove(state: XfrmState): void {
    this.#numbers.delete(state);
    this.states.splice(this.states.indexOf(state), 1);
    if (state.proto === 'comp' && state.mode === 'tunnel' && !isLarval(state)) {
      // The last IPCOMP SA takes its IP-in-IP state along (xfrm_state_delete_tunnel).
      const used = this.states.some(
        (one) =>
          one.proto === 'comp' &&
          one.mode === 'tunnel' &&
          one.daddr === state.daddr &&
          !isLarval(one),
      );
      const helper = this.states.find((one) => one.proto === 4 && one.daddr === state.daddr);
      if (!used && helper) this.#remove(helper);
    }
  }

  #tell(event: object): void {
    const time = { wall: this.#seconds * 1000, monotonic: this.#seconds * 1000 };
    this.queue.push({ protocol: 'xfrm', header: HEADER, time, ...event } as unknown as XfrmEvent);
  }

  #tellLate(event: object): void {
    const time = { wall: this.#seconds * 1000, monotonic: this.#seconds * 1000 };
    this.#late.push({ protocol: 'xfrm', header: HEADER, time, ...event } as unknown as XfrmEvent);
  }

  #current() {
    return { bytes: 0n, packets: 0n, addedAt: this.#seconds * 1000, firstUsedAt: undefined };
  }

  /** A random request. */
  #request(): XfrmState {
    const random = this.#random;
    const { addresses, spis, protos, modes, marks, devices } = this.#world;
    const proto = random.pick(protos);
    const mode = random.pick(modes);
    const mark = random.pick(marks);
    const daddr = random.pick(addresses);
    const saddr = random.pick(addresses);
    const selector = {
      daddr: '0.0.0.0',
      saddr: '0.0.0.0',
      dport: random.below(2),
      dportMask: 0,
      sport: 0,
      sportMask: 0,
      family: 'unspec',
      prefixlenD: 0,
      prefixlenS: 0,
      proto: 0,
      ifindex: 0,
      user: 0,
    } as const;
    return {
      selector,
      daddr,
      saddr,
      spi: proto === 'routing' ? 0 : 1 + random.below(spis),
      proto,
      lifetime: { ...LIFETIME, hardAddSeconds: random.below(4) || NO_LIMIT },
      current: this.#current(),
      stats: { replayWindow: 0, replay: 0, integrityFailed: 0 },
      seq: random.chance(1, 2) ? 0 : 1 + random.below(2),
      reqid: random.below(2),
      family: 'inet',
      mode,
      replayWindow: random.pick([0, 32]),
      flags: NO_FLAGS,
      ...(mark && { mark }),
      ...(proto === 'esp' && { aead: { ...GCM, keyBits: random.pick([160, 288]) } }),
      ...(proto === 'ah' && { auth: { name: 'hmac(sha1)', keyBits: 160 } }),
      ...(proto === 'comp' && { comp: { name: 'deflate', keyBits: 0 } }),
      ...(proto === 'esp' &&
        random.chance(1, 3) && {
          encap: { type: 'espinudp', sport: 4500, dport: random.below(3), oa: '0.0.0.0' } as const,
        }),
      ...(random.chance(1, 3) && { ifId: 1 + random.below(2) }),
      ...(random.chance(1, 3) && { setMark: 1 + random.below(2), setMarkMask: 0xff }),
      ...(random.chance(devices, 8) && { offload: { ifindex: 2, flags: 0 } as never }),
    } as XfrmState;
  }

  /** __xfrm_state_locate. */
  #locate(state: XfrmState): XfrmState | undefined {
    return this.states.find(
      (one) =>
        one.proto === state.proto &&
        one.daddr === state.daddr &&
        (usesSpi(state) ? one.spi === state.spi && one.spi !== 0 : one.saddr === state.saddr) &&
        this.#marked(state, one),
    );
  }

  #marked({ mark }: XfrmState, { mark: its }: XfrmState): boolean {
    const sought = mark ? mark.value & mark.mask : 0;
    return (sought & (its?.mask ?? 0)) === (its?.value ?? 0);
  }

  #acq(state: XfrmState): XfrmState | undefined {
    return this.states.find(
      (one) =>
        isLarval(one) &&
        one.spi === 0 &&
        one.reqid === state.reqid &&
        one.mode === state.mode &&
        one.proto === state.proto &&
        one.daddr === state.daddr &&
        one.saddr === state.saddr &&
        this.#marked(state, one),
    );
  }

  #add(): void {
    const state = this.#request();
    if (this.#locate(state)) return;
    let larval: XfrmState | undefined;
    if (usesSpi(state)) {
      const bySeq = this.states.find(
        (one) =>
          state.seq !== 0 && isLarval(one) && one.seq === state.seq && this.#marked(state, one),
      );
      if (bySeq && bySeq.proto === state.proto && bySeq.daddr === state.daddr) larval = bySeq;
      larval ??= this.#acq(state);
    }
    this.#insert(state);
    if (larval) this.#remove(larval);
    if (state.proto === 'comp' && state.mode === 'tunnel') this.#helper(state);
    this.#tell({ kind: 'NEWSA', state });
  }

  #helper(state: XfrmState): void {
    if (this.states.some((one) => one.proto === 4 && one.daddr === state.daddr)) return;
    const { comp: _, offload: _o, ...rest } = state;
    this.#insert({ ...rest, proto: 4, spi: 7, seq: 0 } as XfrmState);
  }

  #update(): void {
    let request = this.#request();
    if (this.states.length > 0 && this.#random.chance(2, 3)) {
      const { daddr, saddr, proto, spi } = this.#random.pick(this.states);
      const { aead, auth, comp } = {
        esp: { aead: GCM, auth: undefined, comp: undefined },
        ah: { aead: undefined, auth: { name: 'hmac(sha1)', keyBits: 160 }, comp: undefined },
        comp: { aead: undefined, auth: undefined, comp: { name: 'deflate', keyBits: 0 } },
      }[String(proto)] ?? { aead: undefined, auth: undefined, comp: undefined };
      const { aead: _a, auth: _b, comp: _c, encap, offload: _o, ...rest } = request;
      if (proto === 4) return;
      request = {
        ...rest,
        daddr,
        saddr,
        proto,
        spi,
        ...(aead && { aead }),
        ...(auth && { auth }),
        ...(comp && { comp }),
        ...(proto === 'esp' && encap && { encap }),
      };
    }
    const found = this.#locate(request);
    // Not those of a device: docs/consistency.md, "What is not promised".
    if (!found || found.offload) return;
    if (isLarval(found)) {
      this.#insert(request);
      this.#remove(found);
      if (request.proto === 'comp' && request.mode === 'tunnel') this.#helper(request);
    } else {
      if ((request.encap === undefined) !== (found.encap === undefined)) return;
      this.#change(found, {
        lifetime: request.lifetime,
        ...(request.encap && { encap: request.encap }),
        ...(!usesSpi(found) && { selector: request.selector }),
        ...(request.setMark && { setMark: request.setMark, setMarkMask: 0xff }),
        ...(request.ifId && { ifId: request.ifId }),
      });
    }
    this.#tell({ kind: 'UPDSA', state: request });
  }

  #some(): XfrmState | undefined {
    const all = this.states.filter(({ proto }) => proto !== 4);
    return all.length > 0 ? this.#random.pick(all) : undefined;
  }

  #delete(): void {
    const sought = this.#some();
    const state = sought && this.#locate(sought);
    if (!state) return;
    this.#remove(state);
    this.#tell({ kind: 'DELSA', id: {}, state });
  }

  #allocate(): void {
    this.silentAt = this.steps;
    const { aead: _a, auth: _b, comp: _c, encap: _d, offload: _e, ...request } = this.#request();
    if (!usesSpi(request)) return;
    const { spi } = request;
    const larval = this.#acq(request);
    // With an SA of another mark at the same SPI, an UPDSA would be ambiguous.
    const taken = this.states.some(
      (one) => one.daddr === request.daddr && one.proto === request.proto && one.spi === spi,
    );
    const state: XfrmState = { ...request, spi: taken ? 0 : spi };
    if (!larval) this.#insert(state);
    else if (!taken) this.#change(larval, { spi });
  }

  #acquire(): void {
    this.silentAt = this.steps;
    const { aead: _a, auth: _b, comp: _c, encap: _d, offload: _e, ...request } = this.#request();
    if (usesSpi(request)) this.#insert({ ...request, spi: 0, seq: 1 + this.#random.below(2) });
  }

  #expire(): void {
    const state = this.#some();
    if (!state || isLarval(state)) return;
    const hard = this.#random.chance(1, 2);
    if (hard) this.#remove(state);
    // Attributes other than mark, if_id, cpu and direction are not included.
    const { aead: _a, auth: _b, comp: _c, encap: _d, offload: _e, ...told } = state;
    const event = { kind: 'EXPIRE', hard, state: told };
    if (this.#random.chance(1, 2)) this.#tellLate(event);
    else this.#tell(event);
  }

  #timeOut(): void {
    const state = this.states.find(isLarval);
    if (!state) return;
    this.#remove(state);
    this.#tellLate({ kind: 'EXPIRE', hard: true, state });
  }

  #flush(): void {
    const proto = this.#random.pick(['any', 255, 'esp', 'comp'] as const);
    const gone = this.states.filter(
      (one) =>
        one.proto !== 4 &&
        (proto === 'any' || proto === one.proto || (proto === 255 && usesSpi(one))),
    );
    for (const state of gone) this.#remove(state);
    if (gone.length > 0) this.#tell({ kind: 'FLUSHSA', proto });
  }

  #carry(): void {
    const state = this.#some();
    if (!state || isLarval(state)) return;
    const { current } = state;
    const packets = current.packets + 1n;
    this.#change(state, { current: { ...current, packets, bytes: current.bytes + 100n } });
  }

  #migrate(): void {
    const state = this.#some();
    if (!state || isLarval(state)) return;
    const { daddr: oldDaddr, saddr: oldSaddr, proto, mode, reqid } = state;
    const newDaddr: Address = this.#random.pick(ADDRESSES);
    // An entry of the request moves the first that it finds, the newest (xfrm_migrate_state_find).
    const one = this.states.find(
      (each) =>
        each.daddr === oldDaddr &&
        each.saddr === oldSaddr &&
        each.proto === proto &&
        each.mode === mode &&
        each.reqid === reqid &&
        !isLarval(each),
    );
    const after = { ...(one ?? state), daddr: newDaddr };
    if (one && (newDaddr === oldDaddr || !this.#locate(after))) {
      this.#remove(one);
      this.#insert(after);
      if (after.proto === 'comp' && after.mode === 'tunnel') this.#helper(after);
    }
    const migration = { oldDaddr, oldSaddr, newDaddr, newSaddr: oldSaddr, proto, mode, reqid };
    this.#tell({ kind: 'MIGRATE', id: {}, migrations: [migration], attributes: {} });
  }

  #deviceGoes(): void {
    for (const state of this.states.filter(({ offload }) => offload)) {
      this.silentAt = this.steps;
      this.#remove(state);
    }
    const kept = this.policies.filter(({ offload }) => !offload);
    if (kept.length < this.policies.length) this.silentAt = this.steps;
    this.policies = kept;
  }

  #setPolicy(): void {
    const random = this.#random;
    const upd = random.chance(1, 2);
    const selector = { ...this.#request().selector, dport: random.below(4) };
    const dir = random.pick(['in', 'out'] as const);
    const old = this.policies.find(
      (one) => one.dir === dir && one.selector.dport === selector.dport && (one.index & 7) < 3,
    );
    if (old && !upd) return;
    const bits = dir === 'in' ? 0 : 1;
    // The maker may choose a number, if it is free: the same one again, for instance.
    const chosen = 8 + bits;
    const taken = !random.chance(1, 4) || this.policies.some(({ index }) => index === chosen);
    const policy = {
      selector,
      lifetime: LIFETIME,
      current: this.#current(),
      priority: random.below(3),
      index: old?.index ?? (taken ? ++this.#indexes * 8 + bits : chosen),
      dir,
      action: 'allow',
      flags: NO_FLAGS,
      share: 'any',
      ...(random.chance(this.#world.devices, 8) && { offload: { ifindex: 2, flags: 0 } }),
    } as unknown as XfrmPolicy;
    if (old) this.policies.splice(this.policies.indexOf(old), 1);
    this.policies.unshift(policy);
    this.#tell({ kind: upd ? 'UPDPOLICY' : 'NEWPOLICY', policy });
  }

  #deletePolicy(): void {
    const all = this.policies.filter(({ index }) => (index & 7) < 3);
    if (all.length === 0) return;
    const policy = this.#random.pick(all);
    this.policies.splice(this.policies.indexOf(policy), 1);
    this.#tell({ kind: 'DELPOLICY', id: {}, policy });
  }

  #expirePolicy(): void {
    const policy = this.policies.find(({ index }) => (index & 7) < 3);
    if (!policy) return;
    const hard = this.#random.chance(1, 2);
    if (hard) this.policies.splice(this.policies.indexOf(policy), 1);
    this.#tellLate({ kind: 'POLEXPIRE', hard, policy });
  }

  #flushPolicies(): void {
    const kept = this.policies.filter(({ index }) => (index & 7) >= 3);
    if (kept.length === this.policies.length) return;
    this.policies = kept;
    this.#tell({ kind: 'FLUSHPOLICY' });
  }

  /** A program sets or removes the policy of one of its sockets, which is never announced. */
  #socketPolicy(): void {
    this.silentAt = this.steps;
    const old = this.policies.find(({ index }) => (index & 7) >= 3);
    if (old) this.policies.splice(this.policies.indexOf(old), 1);
    else {
      const index = ++this.#indexes * 8 + 3;
      const { selector } = this.#request();
      const policy = { selector, lifetime: LIFETIME, current: this.#current(), priority: 0, index };
      const rest = { dir: 3, action: 'allow', flags: NO_FLAGS, share: 'any' };
      this.policies.unshift({ ...policy, ...rest } as unknown as XfrmPolicy);
    }
  }
}
