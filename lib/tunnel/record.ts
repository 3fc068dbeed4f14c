/**
 * What is remembered of a tunnel, and how it is shown.
 * @module
 */
import type { EventTime } from '../netlink/event.ts';
import type { Mark } from '../xfrm/codec.ts';
import type { IpsecProto } from '../xfrm/names.ts';
import type { XfrmPolicy, XfrmState } from '../xfrm/objects.ts';
import type { DownCause } from './changes.ts';
import { type Claim, type Orientation, servesBoth } from './endpoints.ts';
import type { ExpectedTunnel } from './expected.ts';
import { expiryOf, nearHardAt, sequenceUsed, share } from './figures.ts';
import {
  both,
  DIRECTIONS,
  entriesOf,
  type Gone,
  NOTHING,
  type Present,
  protocolOf,
  type Sa,
} from './present.ts';
import type { Replacement } from './rekeys.ts';
import { heardAgain, type Sighted, type Sighting, type Verdict } from './state.ts';
import type { TunnelThresholds } from './thresholds.ts';
import type { Direction, PerDirection, Traffic, Tunnel, TunnelState } from './tunnel.ts';
import type { Spent, Warned, Worries } from './warnings.ts';

/** Moments kept for warnings; more say no more. */
const MOMENTS = 1024;

interface Counts {
  bytes: bigint;
  packets: bigint;
}

/** One tunnel, as long as it is in the lists. */
export class TunnelRecord {
  readonly id: string;
  /** Its entry among those that ought to be there. */
  readonly expected: (ExpectedTunnel & { readonly name: string }) | undefined;
  verdict: Verdict | undefined;
  warned: Warned | undefined;
  /** As it was last shown; undefined before it is. */
  tunnel: Tunnel | undefined;
  present: Present = NOTHING;
  /** ESP before AH before IPCOMP: of packets that two protocols protect, one counts. */
  protocol: IpsecProto | undefined;
  /** Of all its SAs, those that are gone included. */
  traffic: PerDirection<Traffic> = both(() => ({ bytes: 0n, packets: 0n, lastUsed: undefined }));
  orientation: Orientation | undefined;
  reqid: number | undefined;
  members: ReadonlySet<string> = new Set();
  hadSas = false;
  /** Why it was last told to be down. */
  cause: DownCause | undefined;
  /** The last SA that went, unless others came since. */
  lastGone: Gone | undefined;
  /** The newest SAs that went without a successor so far, by direction and slot. */
  readonly missed = new Map<string, Gone>();
  /** SAs that took the place of others, and are not told of yet. */
  untold: Replacement[] = [];
  /** Those of the rekey that is under way, the first one first. */
  rekeying: Replacement[] = [];
  /** The state before it was last `rekeying`. */
  steady: TunnelState | undefined;
  rekeys = 0;
  unreplaced = 0;
  acquires = 0;
  natMappings = 0;
  /** When, monotonic. */
  readonly acquiredAt: number[] = [];
  readonly mappedAt: number[] = [];
  /** Of SAs that are gone. */
  readonly #carried: PerDirection<Counts> = {
    out: { bytes: 0n, packets: 0n },
    in: { bytes: 0n, packets: 0n },
  };
  readonly #refused = { integrity: 0n, replay: 0n, replayWindow: 0n };
  readonly #lastUsed: { [D in Direction]: number | undefined } = { out: undefined, in: undefined };

  constructor(id: string, expected?: ExpectedTunnel & { readonly name: string }) {
    this.id = id;
    this.expected = expected;
  }

  get state(): TunnelState | undefined {
    return this.verdict?.state;
  }

  get isEmpty(): boolean {
    return this.members.size === 0;
  }

  /** An SA was asked for. */
  asked(at: number): void {
    this.acquires++;
    keep(this.acquiredAt, at);
  }

  /** The other end has another address or port. */
  mapped(at: number): void {
    this.natMappings++;
    keep(this.mappedAt, at);
  }

  /** An SA is gone: what it counted stays. */
  retire(last: XfrmState, direction: Direction): void {
    if (last.proto === this.protocol) {
      this.#carried[direction].bytes += last.current.bytes;
      this.#carried[direction].packets += last.current.packets;
    }
    const { stats } = last;
    this.#refused.integrity += BigInt(stats.integrityFailed);
    this.#refused.replay += BigInt(stats.replay);
    this.#refused.replayWindow += BigInt(stats.replayWindow);
    this.#lastUsed[direction] = latest(this.#lastUsed[direction], lastUsed(last));
  }

  /** Takes what there is, and reads its counters. */
  read(present: Present): void {
    this.present = present;
    this.protocol = protocolOf(present) ?? this.protocol;
    this.traffic = both((direction) => this.#trafficOf(direction));
  }

  /** The counters were read, and none of its moved. */
  unmoved({ monotonic }: EventTime): void {
    const { verdict, tunnel, present } = this;
    if (verdict) this.verdict = heardAgain(verdict, monotonic);
    // Its entries tell when they were read.
    if (tunnel && !this.isEmpty) this.tunnel = Object.freeze({ ...tunnel, ...entriesOf(present) });
  }

  #trafficOf(direction: Direction): Traffic {
    let { bytes, packets } = this.#carried[direction];
    let used = this.#lastUsed[direction];
    for (const { entry } of this.present.sas[direction]) {
      if (entry.value.proto !== this.protocol) continue;
      bytes += entry.value.current.bytes;
      packets += entry.value.current.packets;
      used = latest(used, lastUsed(entry.value));
    }
    return { bytes, packets, lastUsed: used };
  }

  get refused(): Tunnel['refused'] {
    let { integrity, replay, replayWindow } = this.#refused;
    for (const direction of DIRECTIONS) {
      for (const { entry } of this.present.sas[direction]) {
        const { stats } = entry.value;
        integrity += BigInt(stats.integrityFailed);
        replay += BigInt(stats.replay);
        replayWindow += BigInt(stats.replayWindow);
      }
    }
    return { integrity, replay, replayWindow };
  }

  /** What its state depends on. */
  sighting(
    limits: TunnelThresholds,
    countedAt: EventTime,
    unreachable: string | undefined,
    isFound: boolean,
  ): Sighting {
    const { larval, policies, acquiredAt } = this.present;
    const { local, remote, directed } = this.orientation ?? {
      local: '',
      remote: '',
      directed: true,
    };
    let { sas } = this.present;
    const { traffic } = this;
    let packets = both((direction) => traffic[direction].packets);
    if (this.servesBoth) {
      const [all, sum] = [[...sas.out, ...sas.in], packets.out + packets.in];
      sas = both(() => all);
      packets = both(() => sum);
    }
    return {
      sas: both((direction) => sas[direction].map((sa) => sighted(sa, limits))),
      missing: both((direction) => this.#missing(direction, sas[direction])),
      goneAt: both((direction) => this.#goneAt(direction)),
      larvalAt: larval.length > 0 ? Math.min(...larval.map(cameAt)) : undefined,
      policies: policies.length,
      sends: policies.some(({ claims }) => claims.some((one) => sends(one, this.reqid))),
      acquiredAt,
      unreachable,
      expired: this.lastGone?.why === 'hard-expired',
      packets,
      lastUsed: both((direction) => traffic[direction].lastUsed),
      countedAt,
      words: directed
        ? { out: 'outbound', in: 'inbound' }
        : { out: `${local} > ${remote}`, in: `${remote} > ${local}` },
      isFound,
    };
  }

  /** Whether SAs of one direction serve both. */
  get servesBoth(): boolean {
    return (
      this.orientation !== undefined &&
      servesBoth([this.orientation.local, this.orientation.remote])
    );
  }

  #goneAt(direction: Direction): number | undefined {
    const times = [...this.missed]
      .filter(([key]) => key.startsWith(`${direction} `))
      .map(([, { time }]) => time.monotonic);
    return times.length === 0 ? undefined : Math.max(...times);
  }

  /** Protocols that required templates of its policies name, and of which there is no SA. */
  #missing(direction: Direction, sas: readonly Sa[]): IpsecProto[] {
    const there = new Set(sas.map(({ entry }) => entry.value.proto));
    const asked = this.present.claims.filter(
      (claim) => claim.direction === direction && !claim.forward && !claim.optional,
    );
    const missing = asked.map(({ proto }) => proto).filter((proto) => !there.has(proto));
    return [...new Set(missing)];
  }

  /** What its warnings depend on. @param destinations of an SPI, how many addresses it has SAs to */
  worries(
    limits: TunnelThresholds,
    countedAt: EventTime,
    destinations: (sa: Sa) => number,
  ): Worries {
    const { sas, policies, larval } = this.present;
    const { integrity, replay, replayWindow } = this.refused;
    const goneAt = this.lastGone?.time.monotonic;
    const without = sas.out.length + sas.in.length + larval.length === 0;
    const stale =
      goneAt !== undefined && without && policies.length > 0
        ? policies.filter(({ changedAt }) => changedAt < goneAt - limits.settle).length
        : 0;
    return {
      sas: both((direction) => sas[direction].map((sa) => spent(sa, direction, destinations(sa)))),
      refused: { integrity, replay, 'replay-window': replayWindow },
      acquires: this.acquiredAt,
      mappings: this.mappedAt,
      countedAt: countedAt.monotonic,
      stale: stale > 0 ? { policies: stale, since: goneAt as number } : undefined,
    };
  }

  /** Makes {@link tunnel} anew; the state must be known. */
  show(): Tunnel {
    const { verdict, warned, expected, orientation, present, refused } = this;
    const { state, reason, since, sinceKnown, upSince } = verdict as Verdict & {
      state: TunnelState;
    };
    const { sas, policies } = present;
    const before = this.tunnel;
    const all = [...sas.out, ...sas.in].map(({ entry }) => entry.value).sort(byAge);
    const newest = all.at(-1);
    const added = newest && Number(newest.current.addTime) * 1000;
    const values = policies.map(({ entry }) => entry.value);
    this.tunnel = Object.freeze({
      id: this.id,
      name: expected?.name,
      expected: expected !== undefined,
      local: orientation?.local ?? expected?.local,
      remote: orientation?.remote ?? expected?.remote,
      directed: orientation?.directed ?? true,
      reqid: this.reqid ?? expected?.reqid,
      ifId: this.isEmpty && before ? before.ifId : both((direction) => this.#ifId(direction)),
      mark: this.isEmpty && before ? before.mark : both((direction) => this.#mark(direction)),
      mode: (all.findLast(isOuter) ?? newest)?.mode ?? modeOf(values) ?? before?.mode,
      protocol: this.protocol,
      encap: newest ? newest.encap : before?.encap,
      state,
      reason,
      since,
      sinceKnown,
      upSince,
      selectors: values.map(({ dir, selector }) => ({ dir, selector })),
      ...entriesOf(present),
      traffic: this.traffic,
      installed: added,
      expiry: both((direction) => expiryOf(sas[direction].at(-1)?.entry.value)),
      rekeys: this.rekeys,
      unreplaced: this.unreplaced,
      refused,
      acquires: this.acquires,
      natMappings: this.natMappings,
      warnings: warned?.warnings ?? [],
    });
    return this.tunnel;
  }

  #mark(direction: Direction): Mark | undefined {
    return this.#members(direction).find(({ mark }) => mark)?.mark;
  }

  #ifId(direction: Direction): number | undefined {
    return this.#members(direction).find(({ ifId }) => ifId)?.ifId;
  }

  #members(direction: Direction): (XfrmState | XfrmPolicy)[] {
    const { sas, policies } = this.present;
    const own = policies.filter(({ claims }) => claims.some((one) => one.direction === direction));
    return [...sas[direction], ...own].map(({ entry }) => entry.value);
  }
}

function keep(moments: number[], moment: number): void {
  moments.push(moment);
  if (moments.length > MOMENTS) moments.shift();
}

/** An outbound template takes only SAs of its own reqid, 0 included (net/xfrm/xfrm_state.c, xfrm_state_find). */
const sends = ({ direction, reqid }: Claim, own: number | undefined): boolean =>
  direction !== 'in' && reqid === own;

const cameAt = ({ came }: Sa): number => came.monotonic;

/** Of a bundle one transform makes the tunnel, and the others are in transport mode inside it. */
const isOuter = ({ mode }: XfrmState): boolean => mode !== 'transport';

const byAge = (a: XfrmState, b: XfrmState): number => Number(a.current.addTime - b.current.addTime);

const modeOf = (policies: readonly XfrmPolicy[]): Tunnel['mode'] =>
  policies.find(({ templates }) => templates?.length)?.templates?.[0]?.mode;

function latest(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || (b !== undefined && b > a) ? b : a;
}

/** On the wall clock, in ms. Older kernels say only when it was first used (XFRMA_LASTUSED: not in 6.1). */
function lastUsed({ lastUsed: last, current }: XfrmState): number | undefined {
  const seconds = last || current.useTime;
  return seconds === 0n ? undefined : Number(seconds) * 1000;
}

function sighted({ entry, slot, came, softAt }: Sa, { expiring }: TunnelThresholds): Sighted {
  const { value } = entry;
  const { soft } = expiryOf(value);
  return {
    spi: value.spi,
    slot,
    addedAt: came.monotonic,
    softAt: softAt === undefined || (soft !== undefined && soft < softAt) ? soft : softAt,
    hardAt: nearHardAt(value, expiring),
  };
}

function spent({ entry, slot, came }: Sa, direction: Direction, destinations: number): Spent {
  const { spi, current, lifetime } = entry.value;
  return {
    spi,
    slot,
    addedAt: came.monotonic,
    sequence: sequenceUsed(entry.value, direction),
    bytes: share(current.bytes, lifetime.hardBytes),
    packets: share(current.packets, lifetime.hardPackets),
    destinations,
  };
}
