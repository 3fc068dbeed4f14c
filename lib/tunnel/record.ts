/** What is remembered of a tunnel, and how it is shown. @module */
import type { EventTime } from '../netlink/event.ts';
import type { IpsecProto } from '../xfrm/names.ts';
import type { XfrmPolicy, XfrmState } from '../xfrm/objects.ts';
import type { TunnelDownReason } from './changes.ts';
import { type Orientation, servesBoth } from './endpoints.ts';
import type { NamedExpectedTunnel } from './expected.ts';
import { expiryOf, NO_TRAFFIC, nearHardAt, withTraffic } from './figures.ts';
import type { Group, Labels } from './group.ts';
import { partsOf } from './parts.ts';
import {
  both,
  entriesOf,
  type Gone,
  NOTHING,
  type Present,
  protocolOf,
  type Sa,
  serving,
} from './present.ts';
import type { Replacement } from './rekeys.ts';
import { CLEAR } from './serve.ts';
import type { Sighted, Sighting, Verdict } from './state.ts';
import type { TunnelThresholds } from './thresholds.ts';
import type {
  PerDirection,
  TrafficDirection,
  Tunnel,
  TunnelState,
  TunnelTraffic,
} from './tunnel.ts';
import type { Warned } from './warnings.ts';

/** Moments kept for warnings; more say no more. */
const MOMENTS = 1024;

type Refused = Tunnel['refused'];

/** One tunnel, as long as it is in the lists. */
export class TunnelRecord {
  id: string;
  /** Its entry among those that ought to be there. */
  expected: NamedExpectedTunnel | undefined;
  /** Whether it shows its {@link Tunnel.parts}. */
  readonly #apart: boolean;
  verdict: Verdict | undefined;
  warned: Warned | undefined;
  /** As it was last shown; undefined before it is. */
  tunnel: Tunnel | undefined;
  /** To which it belongs; undefined: an expected one of which nothing was ever there. */
  group: Group | undefined;
  present: Present = NOTHING;
  /** ESP before AH before IPCOMP: of packets that two protocols protect, one counts. */
  protocol: IpsecProto | undefined;
  /** Of all its SAs, those that are gone included. */
  traffic: PerDirection<TunnelTraffic> = { out: NO_TRAFFIC, in: NO_TRAFFIC };
  orientation: Orientation | undefined;
  /** What marks and interface ids its members have, or last had. */
  labels: Labels = { marks: [], ifIds: [] };
  members: ReadonlySet<string> = new Set();
  hadSas = false;
  /** Why it was last told to be down. */
  downReason: TunnelDownReason | undefined;
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
  readonly #carried = { out: NO_TRAFFIC, in: NO_TRAFFIC };
  #refused: Refused = { integrity: 0n, replay: 0n, replayWindow: 0n };

  constructor(id: string, apart: boolean, expected?: NamedExpectedTunnel) {
    this.id = id;
    this.#apart = apart;
    this.expected = expected;
  }

  get state(): TunnelState | undefined {
    return this.verdict?.state;
  }

  get isEmpty(): boolean {
    return this.members.size === 0;
  }

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
  retire(last: XfrmState, direction: TrafficDirection): void {
    const before = this.#carried[direction];
    const all = withTraffic(before, last);
    const counts = last.proto === this.protocol;
    this.#carried[direction] = counts ? all : { ...before, lastUsedAt: all.lastUsedAt };
    this.#refused = withRefused(this.#refused, last);
  }

  /** Takes what there is, and reads its counters. */
  read(present: Present): void {
    this.present = present;
    this.protocol = protocolOf(present) ?? this.protocol;
    const its = ({ proto }: XfrmState) => proto === this.protocol;
    this.traffic = both((direction) =>
      valuesOf(serving(present, direction))
        .filter(its)
        .reduce(withTraffic, this.#carried[direction]),
    );
  }

  /** The counters were read, and none of its moved: the verdict is what judging it would say. */
  unmoved({ monotonic }: EventTime): void {
    const { verdict, tunnel } = this;
    if (verdict) this.verdict = { ...verdict, heard: { ...verdict.heard, at: monotonic } };
    // Its entries tell when they were read.
    if (tunnel && !this.isEmpty) this.tunnel = Object.freeze({ ...tunnel, ...this.#entries });
  }

  get refused(): Refused {
    const { out, in: inbound } = this.present.sas;
    return valuesOf([...out, ...inbound]).reduce(withRefused, this.#refused);
  }

  /** Whether there are none, larval ones included. */
  get isWithoutSas(): boolean {
    const { sas, larval } = this.present;
    return sas.out.length + sas.in.length + larval.length === 0;
  }

  /** What its state depends on. */
  sighting(
    limits: TunnelThresholds,
    countedAt: EventTime,
    unreachable: string | undefined,
    isFound: boolean,
  ): Sighting {
    const { larval, policies, acquiredAt, sends } = this.present;
    let sas = both((direction) => serving(this.present, direction));
    let { obstacles } = this.present;
    const { traffic, orientation: ends } = this;
    let packets = both((direction) => traffic[direction].packets);
    if (this.servesBoth) {
      const [all, sum] = [[...sas.out, ...sas.in], packets.out + packets.in];
      sas = both(() => all);
      packets = both(() => sum);
      obstacles = both(() => CLEAR);
    }
    return {
      sas: both((direction) => sas[direction].map((sa) => sighted(sa, limits))),
      obstacles,
      goneAt: both((direction) => this.#goneAt(direction)),
      larvalAt:
        larval.length > 0 ? Math.min(...larval.map(({ came }) => came.monotonic)) : undefined,
      policies: policies.length,
      sends,
      acquiredAt,
      unreachable,
      expired: this.lastGone?.reason === 'hard-expired',
      packets,
      lastUsed: both((direction) => traffic[direction].lastUsedAt),
      countedAt,
      words:
        ends?.directed === false
          ? { out: `${ends.local} > ${ends.remote}`, in: `${ends.remote} > ${ends.local}` }
          : { out: 'outbound', in: 'inbound' },
      isFound,
    };
  }

  get servesBoth(): boolean {
    const { orientation: ends } = this;
    return ends !== undefined && servesBoth([ends.local, ends.remote]);
  }

  #goneAt(direction: TrafficDirection): number | undefined {
    const times = [...this.missed]
      .filter(([key]) => key.startsWith(`${direction} `))
      .map(([, { time }]) => time.monotonic);
    return times.length === 0 ? undefined : Math.max(...times);
  }

  /** Makes {@link tunnel} anew; the state must be known. */
  show(): Tunnel {
    const { verdict, warned, expected, orientation, present, refused } = this;
    const { reason, since, sinceKnown, upSince } = verdict as Verdict;
    const { sas, policies } = present;
    const before = this.tunnel;
    const had = this.isEmpty ? before : undefined;
    const members = both((direction) => this.#members(direction));
    const all = valuesOf([...sas.out, ...sas.in]).sort(byAge);
    const newest = all.at(-1);
    const values = policies.map(({ entry }) => entry.value);
    this.tunnel = Object.freeze({
      id: this.id,
      name: expected?.name,
      expected: expected !== undefined,
      local: orientation?.local ?? expected?.local,
      remote: orientation?.remote ?? expected?.remote,
      directed: orientation?.directed ?? true,
      reqid: this.group?.reqid ?? expected?.reqid,
      ifId: had?.ifId ?? both((one) => members[one].find(({ ifId }) => ifId)?.ifId),
      mark: had?.mark ?? both((one) => members[one].find(({ mark }) => mark)?.mark),
      mode: (all.findLast(isOuter) ?? newest)?.mode ?? modeOf(values) ?? before?.mode,
      protocol: this.protocol,
      encap: newest ? newest.encap : before?.encap,
      state: this.state as TunnelState,
      reason,
      since,
      sinceKnown,
      upSince,
      selectors: values.map(({ dir, selector }) => ({ dir, selector })),
      ...this.#entries,
      traffic: this.traffic,
      installedAt: newest?.current.addedAt,
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

  get #entries(): Pick<Tunnel, 'sas' | 'larval' | 'policies' | 'parts'> {
    const { present, group } = this;
    const parts = this.#apart && group ? partsOf(present, group.linked) : undefined;
    return { ...entriesOf(present), parts };
  }

  #members(direction: TrafficDirection): (XfrmState | XfrmPolicy)[] {
    const { sas, policies } = this.present;
    const own = policies.filter((of) => of.demands.some((one) => one.direction === direction));
    return [...sas[direction], ...own].map(({ entry }) => entry.value);
  }
}

function keep(moments: number[], moment: number): void {
  moments.push(moment);
  if (moments.length > MOMENTS) moments.shift();
}

/** Of a bundle one transform makes the tunnel, and the others are in transport mode inside it. */
const isOuter = ({ mode }: XfrmState): boolean => mode !== 'transport';

const byAge = (a: XfrmState, b: XfrmState): number => a.current.addedAt - b.current.addedAt;

const modeOf = (policies: readonly XfrmPolicy[]): Tunnel['mode'] =>
  policies.find(({ templates }) => templates?.length)?.templates?.[0]?.mode;

const valuesOf = (sas: readonly Sa[]): XfrmState[] => sas.map(({ entry }) => entry.value);

const withRefused = ({ integrity, replay, replayWindow }: Refused, { stats }: XfrmState) => ({
  integrity: integrity + BigInt(stats.integrityFailed),
  replay: replay + BigInt(stats.replay),
  replayWindow: replayWindow + BigInt(stats.replayWindow),
});

function sighted({ entry, slot, came, softAt }: Sa, { expiring }: TunnelThresholds): Sighted {
  const { value } = entry;
  const { softAt: soft } = expiryOf(value);
  return {
    spi: value.spi,
    slot,
    addedAt: came.monotonic,
    softAt: softAt === undefined || (soft !== undefined && soft < softAt) ? soft : softAt,
    hardAt: nearHardAt(value, expiring),
  };
}
