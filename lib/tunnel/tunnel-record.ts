/** What is remembered about a tunnel, and how it is shown. @module */
import type { StateEntry } from '../monitor/xfrm-views.ts';
import type { EventTime } from '../netlink/event.ts';
import type { IpsecProto } from '../xfrm/names.ts';
import type { XfrmPolicy, XfrmState } from '../xfrm/objects.ts';
import type { Due } from './deadlines.ts';
import { type Orientation, servesBoth } from './endpoints.ts';
import type { NamedExpectedTunnel } from './expected.ts';
import { NONE } from './few.ts';
import { partsOf } from './parts.ts';
import { CLEAR } from './policy-match.ts';
import type { SaReplacement } from './rekeys.ts';
import { type Labels, NO_LABELS, type SaGroup } from './sa-group.ts';
import {
  expiryOf,
  isExhausted,
  NO_TRAFFIC,
  nearHardAt,
  softLimitAt,
  withTraffic,
} from './sa-limits.ts';
import { type Observation, type ObservedSa, recounted, type StateEvaluation } from './state.ts';
import type { TunnelThresholds } from './thresholds.ts';
import type {
  PerDirection,
  TrafficDirection,
  Tunnel,
  TunnelState,
  TunnelTraffic,
} from './tunnel.ts';
import type { TunnelDownReason } from './tunnel-changes.ts';
import {
  both,
  entriesOf,
  NO_CONTENTS,
  protocolOf,
  type RemovedSa,
  type Sa,
  serving,
  type TunnelContents,
} from './tunnel-contents.ts';
import type { WarningState } from './warnings.ts';

/** Times kept for warnings; more would not matter. */
const MOMENTS = 1024;

type Refused = Tunnel['refused'];

/** What the tunnels of a monitor have in common. */
export interface Showing {
  /** When the last reading of counters began by which all tunnels have been evaluated. */
  readAt: EventTime;
  /** How often one was shown. */
  count: number;
}

/** One tunnel, while it is listed. */
export class TunnelRecord implements Due {
  id: string;
  /** Its entry in the list of expected tunnels. */
  expected: NamedExpectedTunnel | undefined;
  /** Whether it shows its {@link Tunnel.parts}. */
  readonly #apart: boolean;
  evaluation: StateEvaluation | undefined;
  warningState: WarningState | undefined;
  readonly #showing: Showing;
  /** When it was last shown: the number of that. */
  shown = 0;
  /** When the reading of counters began by which it was last evaluated. */
  #readAt: EventTime;
  /** As last shown, if someone has asked; else {@link #view} is what it is to be made from. */
  #tunnel: Tunnel | undefined;
  /** The reading that it shows. */
  #tunnelAt: EventTime | undefined;
  #view: View | undefined;
  /** Its group; undefined: an expected tunnel that never existed. */
  group: SaGroup | undefined;
  contents: TunnelContents = NO_CONTENTS;
  /** ESP before AH before IPCOMP: packets protected by two protocols count once. */
  protocol: IpsecProto | undefined;
  /** Traffic of all its SAs, including removed ones. */
  traffic: PerDirection<TunnelTraffic> = NO_TRAFFICS;
  orientation: Orientation | undefined;
  /** The marks and interface IDs that its members have, or last had. */
  labels: Labels = NO_LABELS;
  members: readonly number[] = NONE;
  hadSas = false;
  /** The reason of its last `down`. */
  downReason: TunnelDownReason | undefined;
  /** The last removed SA, unless others were added since. */
  lastGone: RemovedSa | undefined;
  /** The newest removed SAs without a successor so far, by direction and slot. */
  missed: Map<string, RemovedSa> | undefined;
  /** Replacements that are not yet reported. */
  untold: readonly SaReplacement[] = NONE;
  /** The replacements of the current rekey, oldest first. */
  rekeying: readonly SaReplacement[] = NONE;
  /** The state before it was last `rekeying`. */
  steady: TunnelState | undefined;
  rekeys = 0;
  unreplaced = 0;
  acquires = 0;
  natMappings = 0;
  /** Times, monotonic. */
  acquiredAt: readonly number[] = NONE;
  mappedAt: readonly number[] = NONE;
  dueAt = Number.POSITIVE_INFINITY;
  duePlace = 0;
  /** Traffic of removed SAs. */
  #carried: PerDirection<TunnelTraffic> = NO_TRAFFICS;
  #refused: Refused = NOTHING_REFUSED;

  constructor(id: string, apart: boolean, showing: Showing, expected?: NamedExpectedTunnel) {
    this.id = id;
    this.#apart = apart;
    this.#showing = showing;
    this.#readAt = showing.readAt;
    this.expected = expected;
  }

  get state(): TunnelState | undefined {
    return this.evaluation?.state;
  }

  get isEmpty(): boolean {
    return this.members.length === 0;
  }

  acquireHeard(at: number): void {
    this.acquires++;
    this.acquiredAt = withMoment(this.acquiredAt, at);
  }

  /** The peer has a new address or port. */
  mappingHeard(at: number): void {
    this.natMappings++;
    this.mappedAt = withMoment(this.mappedAt, at);
  }

  /** An SA was removed: its counters are kept. */
  retire(last: XfrmState, direction: TrafficDirection): void {
    const before = this.#carried[direction];
    const all = withTraffic(before, last);
    const counts = last.proto === this.protocol;
    const carried = counts ? all : { ...before, lastUsedAt: all.lastUsedAt };
    this.#carried = { ...this.#carried, [direction]: carried };
    this.#refused = withRefused(this.#refused, last);
  }

  /** Sets the contents, and reads their counters. */
  read(contents: TunnelContents): void {
    // Without SAs it shows what it was, which nobody may have looked at.
    if (contents.sas.out.length + contents.sas.in.length === 0) this.hold();
    this.contents = contents;
    this.protocol = protocolOf(contents) ?? this.protocol;
    this.traffic = { out: this.#trafficOf('out'), in: this.#trafficOf('in') };
  }

  #trafficOf(direction: TrafficDirection): TunnelTraffic {
    let sum = this.#carried[direction];
    for (const { entry } of serving(this.contents, direction)) {
      if (entry.value.proto === this.protocol) sum = withTraffic(sum, entry.value);
    }
    return sum;
  }

  /** By a reading of the counters, none of its own had moved. It is noted when that matters. */
  unmoved({ monotonic }: EventTime): void {
    const { evaluation } = this;
    if (evaluation && evaluation.counters.at < monotonic) {
      evaluation.counters = recounted(evaluation.counters, monotonic);
    }
  }

  get refused(): Refused {
    const { sas } = this.contents;
    let sum = this.#refused;
    for (const { entry } of sas.out) sum = withRefused(sum, entry.value);
    for (const { entry } of sas.in) sum = withRefused(sum, entry.value);
    return sum;
  }

  /** Whether no SAs serve it, not even larval ones. */
  get isWithoutSas(): boolean {
    const { contents } = this;
    const serve = (direction: TrafficDirection) => serving(contents, direction).length > 0;
    return contents.larval.length === 0 && !serve('out') && !serve('in');
  }

  /** The observation that its state depends on. */
  observe(
    limits: TunnelThresholds,
    countedAt: EventTime,
    unreachable: string | undefined,
    isFound: boolean,
  ): Observation {
    const { larval, policies, acquiredAt, sends } = this.contents;
    const { traffic, orientation: ends } = this;
    let sas = { out: serving(this.contents, 'out'), in: serving(this.contents, 'in') };
    let packets = { out: traffic.out.packets, in: traffic.in.packets };
    let { obstacles } = this.contents;
    if (this.servesBoth) {
      const [all, sum] = [[...sas.out, ...sas.in], packets.out + packets.in];
      sas = { out: all, in: all };
      packets = { out: sum, in: sum };
      obstacles = { out: CLEAR, in: CLEAR };
    }
    return {
      sas: { out: allSighted(sas.out, limits), in: allSighted(sas.in, limits) },
      obstacles,
      goneAt: this.missed && { out: this.#goneAt('out'), in: this.#goneAt('in') },
      larvalAt: larval.length > 0 ? Math.min(...larval.map(({ came }) => came)) : undefined,
      policies: policies.length,
      sends,
      acquiredAt,
      unreachable,
      expired: this.lastGone?.reason === 'hard-expired',
      packets,
      lastUsed: { out: traffic.out.lastUsedAt, in: traffic.in.lastUsedAt },
      countedAt,
      words:
        ends?.directed === false
          ? { out: `${ends.local} > ${ends.remote}`, in: `${ends.remote} > ${ends.local}` }
          : WORDS,
      isFound,
    };
  }

  get servesBoth(): boolean {
    const { orientation: ends } = this;
    return ends !== undefined && servesBoth([ends.local, ends.remote]);
  }

  #goneAt(direction: TrafficDirection): number | undefined {
    if (this.missed === undefined) return undefined;
    const times = [...this.missed]
      .filter(([key]) => key.startsWith(`${direction} `))
      .map(([, { time }]) => time.monotonic);
    return times.length === 0 ? undefined : Math.max(...times);
  }

  /** Whether it is listed. */
  get isShown(): boolean {
    return this.#tunnel !== undefined || this.#view !== undefined;
  }

  /** Its state, as last shown. */
  get shownState(): TunnelState | undefined {
    return this.#view?.evaluation.state ?? this.#tunnel?.state;
  }

  /** As last shown, but for the time at which its counters were read; undefined before that. */
  get tunnel(): Tunnel | undefined {
    const { readAt } = this.#showing;
    const at = this.#readAt.monotonic > readAt.monotonic ? this.#readAt : readAt;
    if (this.#view) {
      const { entries = this.#entries } = this.#view;
      this.#tunnel = tunnelOf(this.#view, asRead(entries, at));
    } else if (this.#tunnel && this.#tunnelAt !== at && !this.isWithoutSas) {
      this.#tunnel = Object.freeze({ ...this.#tunnel, ...asRead(this.#tunnel, at) });
    }
    this.#view = undefined;
    this.#tunnelAt = at;
    return this.#tunnel;
  }

  /** An entry of one of its SAs is about to be replaced: it still shows the one before. */
  hold(): void {
    if (this.#view) this.#view.entries ??= this.#entries;
  }

  /**
   * Shows it as it is now; the state must be known.
   *
   * @param readAt when the reading of counters began by which it was evaluated
   */
  show(readAt: EventTime): void {
    const { contents, evaluation, orientation, expected } = this;
    const { out, in: inbound } = contents.sas;
    // Without SAs some of it is as it was.
    const before = out.length + inbound.length === 0 ? this.tunnel : undefined;
    const had = this.isEmpty ? before : undefined;
    this.shown = ++this.#showing.count;
    this.#readAt = readAt;
    this.#tunnel = undefined;
    this.#view = {
      id: this.id,
      evaluation: evaluation as StateEvaluation,
      warnings: this.warningState?.warnings ?? NONE,
      reqid: this.group?.reqid ?? expected?.reqid,
      protocol: this.protocol,
      traffic: this.traffic,
      refused: this.refused,
      rekeys: this.rekeys,
      unreplaced: this.unreplaced,
      acquires: this.acquires,
      natMappings: this.natMappings,
      entries: this.#apart ? this.#entries : undefined,
      contents,
      orientation,
      expected,
      before,
      had,
    };
  }

  get #entries(): Entries {
    const { contents, group } = this;
    const parts = this.#apart && group ? partsOf(contents, group.linked) : undefined;
    const { sas, larval, policies } = entriesOf(contents);
    return { sas, larval, policies, parts };
  }
}

type Entries = Pick<Tunnel, 'sas' | 'larval' | 'policies' | 'parts'>;

/** Entries as of a reading that found the same counters, or of a later event. */
function asRead({ sas, larval, policies, parts }: Entries, at: EventTime): Entries {
  const all = (entries: readonly StateEntry[]) =>
    entries.map((entry) =>
      entry.countersReadAt.monotonic < at.monotonic ? { ...entry, countersReadAt: at } : entry,
    );
  const each = ({ out, in: inbound }: PerDirection<readonly StateEntry[]>) => ({
    out: all(out),
    in: all(inbound),
  });
  return {
    sas: each(sas),
    larval: larval.length === 0 ? larval : all(larval),
    policies,
    parts: parts?.map((part) => ({ ...part, sas: each(part.sas) })),
  };
}

/**
 * What a tunnel is made from when someone asks for it: nothing here changes, while its record goes
 * on. Most tunnels of a host are evaluated much more often than anyone looks at them.
 */
interface View
  extends Pick<
      Tunnel,
      'id' | 'warnings' | 'reqid' | 'protocol' | 'traffic' | 'refused' | 'rekeys' | 'unreplaced'
    >,
    Pick<Tunnel, 'acquires' | 'natMappings'> {
  readonly contents: TunnelContents;
  readonly evaluation: StateEvaluation;
  readonly orientation: Orientation | undefined;
  readonly expected: NamedExpectedTunnel | undefined;
  /** As it was, if it has no SAs now, and if it has nothing at all. */
  readonly before: Tunnel | undefined;
  readonly had: Tunnel | undefined;
  /** As they were, where they have changed since. */
  entries: Entries | undefined;
}

function tunnelOf(view: View, entries: Entries): Tunnel {
  const { expected, orientation, contents, before, had } = view;
  const { state, reason, since, sinceKnown, upSince } = view.evaluation;
  const its = ({ value }: StateEntry) => value;
  const own = {
    // Those from any source come first.
    out: entries.sas.out.slice(contents.shared.out.length).map(its),
    in: entries.sas.in.slice(contents.shared.in.length).map(its),
  };
  const all = [...own.out, ...own.in].sort(byAge);
  const newest = all.at(-1);
  const values = entries.policies.map(({ value }) => value);
  const members = both((direction) => membersOf(contents, own[direction], direction));
  // One by one: an object that is made with `...` keeps its fields in another.
  return Object.freeze({
    id: view.id,
    name: expected?.name,
    expected: expected !== undefined,
    local: orientation?.local ?? expected?.local,
    remote: orientation?.remote ?? expected?.remote,
    directed: orientation?.directed ?? true,
    reqid: view.reqid,
    ifId: had?.ifId ?? ofEach((one) => members[one].find(({ ifId }) => ifId)?.ifId),
    mark: had?.mark ?? ofEach((one) => members[one].find(({ mark }) => mark)?.mark),
    mode: (all.findLast(isOuter) ?? newest)?.mode ?? modeOf(values) ?? before?.mode,
    protocol: view.protocol,
    encap: newest ? newest.encap : before?.encap,
    state: state as TunnelState,
    reason,
    since,
    sinceKnown,
    upSince,
    selectors: values.map(({ dir, selector }) => ({ dir, selector })),
    sas: entries.sas,
    larval: entries.larval,
    policies: entries.policies,
    parts: entries.parts,
    traffic: view.traffic,
    installedAt: newest?.current.addedAt,
    expiry: { out: expiryOf(own.out.at(-1)), in: expiryOf(own.in.at(-1)) },
    rekeys: view.rekeys,
    unreplaced: view.unreplaced,
    refused: view.refused,
    acquires: view.acquires,
    natMappings: view.natMappings,
    warnings: view.warnings,
  });
}

/** The SAs of a direction, and the policies that are for it. */
function membersOf(
  { policies }: TunnelContents,
  sas: readonly XfrmState[],
  direction: TrafficDirection,
): readonly (XfrmState | XfrmPolicy)[] {
  const own = policies.filter((of) => of.demands.some((one) => one.direction === direction));
  return [...sas, ...own.map(({ entry }) => entry.value)];
}

const WORDS: PerDirection<string> = { out: 'outbound', in: 'inbound' };
const NO_TRAFFICS: PerDirection<TunnelTraffic> = { out: NO_TRAFFIC, in: NO_TRAFFIC };
const NOTHING_REFUSED: Refused = { integrity: 0n, replay: 0n, replayWindow: 0n };
/** Of a tunnel without a mark or an interface ID. */
const NEITHER: PerDirection<undefined> = { out: undefined, in: undefined };

const withMoment = (moments: readonly number[], moment: number): number[] =>
  [...moments, moment].slice(-MOMENTS);

/** The same for both directions of most tunnels, which have none. */
function ofEach<Value>(
  of: (direction: TrafficDirection) => Value,
): PerDirection<Value | undefined> {
  const [out, inbound] = [of('out'), of('in')];
  return out === undefined && inbound === undefined ? NEITHER : { out, in: inbound };
}

/** In a bundle, one transform makes the tunnel, and the others are in transport mode inside it. */
const isOuter = ({ mode }: XfrmState): boolean => mode !== 'transport';

const byAge = (a: XfrmState, b: XfrmState): number => a.current.addedAt - b.current.addedAt;

const modeOf = (policies: readonly XfrmPolicy[]): Tunnel['mode'] =>
  policies.find(({ templates }) => templates?.length)?.templates?.[0]?.mode;

function withRefused(before: Refused, { stats }: XfrmState): Refused {
  if (stats.integrityFailed + stats.replay + stats.replayWindow === 0) return before;
  return {
    integrity: before.integrity + BigInt(stats.integrityFailed),
    replay: before.replay + BigInt(stats.replay),
    replayWindow: before.replayWindow + BigInt(stats.replayWindow),
  };
}

/** Most have one. */
const allSighted = (sas: readonly Sa[], limits: TunnelThresholds): readonly ObservedSa[] =>
  sas.length === 1 ? [sighted(sas[0] as Sa, limits)] : sas.map((sa) => sighted(sa, limits));

function sighted({ entry, slot, came, softAt }: Sa, { expiring }: TunnelThresholds): ObservedSa {
  const { value } = entry;
  const soft = softLimitAt(value);
  return {
    spi: value.spi,
    slot,
    addedAt: came,
    softAt: softAt === undefined || (soft !== undefined && soft < softAt) ? soft : softAt,
    hardAt: nearHardAt(value, expiring),
    exhausted: isExhausted(value),
  };
}
