/**
 * What becomes of a packet that arrives: the policy that catches it, and whether its templates
 * accept the SAs that it came through (net/xfrm/xfrm_policy.c, __xfrm_policy_check).
 * @module
 */
import { isLarval } from '../monitor/xfrm-objects.ts';
import type { XfrmPolicy, XfrmState } from '../xfrm/objects.ts';
import { formatSpi } from '../xfrm/text.ts';
import type { PolicyTemplate } from '../xfrm/types.ts';
import type { Packet } from './flow.ts';
import { lookUpPolicy, type PolicyLookup, selects } from './policy-lookup.ts';
import { demandsFor, differencesIn, isNear, isPast, type NearSa } from './sa-lookup.ts';
import { doubtOf } from './send.ts';
import type { Tables } from './tables.ts';
import type { Acceptance, Arrival, Counter, Receiving } from './verdict.ts';

/** The policy that catches a packet with a mark. */
type ByMark = (mark: number) => PolicyLookup;

/** Looks each mark up once: a host may have thousands of SAs and policies. */
function byMark(tables: Tables, dir: 'in' | 'fwd', packet: Packet): ByMark {
  const found = new Map<number, PolicyLookup>();
  return (mark) => {
    const known = found.get(mark) ?? lookUpPolicy(tables, dir, { ...packet, mark });
    found.set(mark, known);
    return known;
  };
}

/** A packet that came through SAs, the outermost first, or in clear. */
export function arrive(
  tables: Tables,
  dir: 'in' | 'fwd',
  packet: Packet,
  through: readonly XfrmState[],
  look: ByMark = byMark(tables, dir, packet),
): Arrival {
  let { mark } = packet;
  const ended = (
    outcome: Arrival['outcome'],
    because: string,
    ...counters: Counter[]
  ): Arrival => ({
    outcome,
    because,
    counters,
    doubts,
    through,
    policy,
    mark,
  });
  let policy: XfrmPolicy | undefined;
  const doubts: string[] = [];
  for (const sa of through) {
    const spi = formatSpi(sa.spi);
    if (sa.dir === 'out') {
      return ended('dropped', `the SA ${spi} is for outbound packets only`, 'XfrmInStateDirError');
    }
    if (isLarval(sa)) {
      return ended('dropped', `the SA ${spi} has no keys yet`, 'XfrmAcquireError');
    }
    if (isPast(sa, 'hard', tables.now)) {
      return ended('dropped', `the SA ${spi} has reached its limit`, 'XfrmInStateExpired');
    }
    mark = markAfter(sa, mark);
  }
  const inner: Packet = { ...packet, mark };
  const wrong = through.find((sa) => !selects(sa.selector, inner));
  if (wrong) {
    const because = `the selector of the SA ${formatSpi(wrong.spi)} does not include it`;
    return ended('dropped', because, 'XfrmInStateMismatch');
  }
  const lookup = look(mark);
  policy = lookup.policy;
  if (lookup.rival) doubts.push(doubtOf(lookup.rival));
  const tunnels = through.some(({ mode }) => mode !== 'transport');
  if (policy === undefined) {
    if (tables.defaults[dir] === 'block') {
      const because = `no policy catches it, and the default for ${dir} is to block`;
      return ended('dropped', because, 'XfrmInNoPols');
    }
    if (tunnels) {
      return ended('dropped', 'it comes out of a tunnel, and no policy catches it', 'XfrmInNoPols');
    }
    return ended(through.length > 0 ? 'protected' : 'clear', 'no policy catches it');
  }
  if (policy.action === 'block') {
    return ended('dropped', 'the policy blocks', 'XfrmInPolBlock');
  }
  if (!accepts(policy, inner, through)) {
    const because =
      through.length === 0
        ? 'the policy requires IPsec, and it comes in clear'
        : 'the templates of the policy do not accept the SAs that it came through';
    return ended('dropped', because, 'XfrmInTmplMismatch');
  }
  return ended(through.length > 0 ? 'protected' : 'clear', 'the policy accepts it');
}

const markAfter = ({ setMark, setMarkMask = 0xffff_ffff }: XfrmState, mark: number): number =>
  setMark === undefined ? mark : ((mark & ~setMarkMask) | (setMark & setMarkMask)) >>> 0;

/**
 * Whether a policy's templates accept SAs. The last template is that of the outermost header. A
 * template takes the first SA that fits; SAs of transport mode before it may be more than were asked
 * for, those of tunnels may not (xfrm_policy_ok, secpath_has_nontransport).
 */
function accepts(policy: XfrmPolicy, packet: Packet, through: readonly XfrmState[]): boolean {
  let next = 0;
  for (const template of (policy.templates ?? []).toReversed()) {
    if (template.optional && template.mode === 'transport') continue;
    const at = fitting(template, policy, packet, through, next);
    if (at !== undefined) next = at + 1;
    else if (!template.optional) return false;
  }
  return through.slice(next).every(({ mode }) => mode === 'transport');
}

/** The next SA that a template accepts. */
function fitting(
  template: PolicyTemplate,
  policy: XfrmPolicy,
  packet: Packet,
  through: readonly XfrmState[],
  from: number,
): number | undefined {
  for (let i = from; i < through.length; i++) {
    const sa = through[i] as XfrmState;
    if (differencesIn(sa, template, policy, packet).length === 0) return i;
    if (sa.mode !== 'transport') return undefined;
  }
  return undefined;
}

const MOST = 5;
/** How many ways in which a packet may arrive are told. */
const MOST_WAYS = 20;

/**
 * A packet that arrives, in whichever way this host accepts it: through the SAs that the policy
 * asks for, or in clear.
 */
export function receive(
  tables: Tables,
  dir: 'in' | 'fwd',
  packet: Packet,
  given?: readonly XfrmState[],
): Receiving {
  const stage = dir === 'in' ? 'receive' : 'forward';
  const look = byMark(tables, dir, packet);
  const arrivals = (given ? [given] : waysFor(tables, packet, look)).map((through) =>
    arrive(tables, dir, packet, through, look),
  );
  const passed = arrivals.filter(({ outcome }) => outcome !== 'dropped');
  const dropped = arrivals.filter(({ outcome }) => outcome === 'dropped');
  const protectedOnes = passed.filter(({ through }) => through.length > 0);
  const inClear = passed.find(({ through }) => through.length === 0);
  // What is accepted in clear comes in clear, unless a policy asks for IPsec where it can.
  const asks = (inClear?.policy?.templates ?? []).length > 0;
  const best = (asks ? protectedOnes[0] : undefined) ?? inClear ?? protectedOnes[0];
  const likeliest = best ?? dropped.find(({ through }) => through.length > 0) ?? dropped[0];
  const others = [...passed, ...dropped].filter((one) => one !== likeliest).slice(0, MOST_WAYS);
  const mark = likeliest?.mark ?? packet.mark;
  const lookup = look(mark);
  const { policy } = lookup;
  const templates =
    policy?.action === 'allow' ? acceptances(tables, policy, packet, likeliest?.through ?? []) : [];
  const base = { stage, lookup, templates, arrival: likeliest, others } as const;
  const { outcome, because, counters, doubts } = likeliest as Arrival;
  const requires =
    policy?.action === 'allow' && templates.some(({ demand }) => !demand.template.optional);
  if (given === undefined && best === undefined && requires && likeliest?.through.length === 0) {
    return {
      ...base,
      outcome,
      because: 'the policy requires IPsec, and no SA is there that its templates accept',
      counters: ['XfrmInNoStates'],
      doubts,
    };
  }
  return { ...base, outcome, because, counters, doubts };
}

function acceptances(
  { states, sourceFor, isLocal }: Tables,
  policy: XfrmPolicy,
  packet: Packet,
  through: readonly XfrmState[],
): Acceptance[] {
  return demandsFor(policy, packet, sourceFor).map((demand) => {
    const differ = (sa: XfrmState) => differencesIn(sa, demand.template, policy, packet);
    const sa = through.find((one) => differ(one).length === 0);
    const near: NearSa[] = [];
    for (const one of sa ? [] : states) {
      if (one.dir === 'out' || !isLocal(one.daddr)) continue;
      const but = differ(one);
      if (!selects(one.selector, packet)) but.push('selector');
      if (isLarval(one)) but.push('larval');
      if (isNear(but)) near.push({ sa: one, but });
    }
    near.sort((a, b) => a.but.length - b.but.length);
    return { demand, sa, near: near.slice(0, MOST) };
  });
}

/** The ways in which a packet may arrive: in clear, through one SA, and as a policy asks. */
function waysFor(tables: Tables, packet: Packet, look: ByMark): (readonly XfrmState[])[] {
  const { states, isLocal } = tables;
  const inbound = states.filter(
    (sa) =>
      sa.dir !== 'out' &&
      (sa.proto === 'esp' || sa.proto === 'ah') &&
      !isLarval(sa) &&
      isLocal(sa.daddr) &&
      (sa.mode !== 'transport' || sa.daddr === packet.flow.daddr) &&
      selects(sa.selector, packet),
  );
  const ways: (readonly XfrmState[])[] = [[]];
  for (const sa of inbound) ways.push([sa]);
  const marks = new Set([packet.mark, ...inbound.map((sa) => markAfter(sa, packet.mark))]);
  for (const mark of marks) {
    const { policy } = look(mark);
    const bundle = policy && bundleFor(policy, packet, inbound);
    if (bundle && bundle.length > 1) ways.push(bundle);
  }
  return ways;
}

/** For each template of a policy the newest SA that it accepts, the outermost first. */
function bundleFor(
  policy: XfrmPolicy,
  packet: Packet,
  inbound: readonly XfrmState[],
): readonly XfrmState[] {
  const found: XfrmState[] = [];
  for (const template of (policy.templates ?? []).toReversed()) {
    const sa = inbound.find(
      (one) => !found.includes(one) && differencesIn(one, template, policy, packet).length === 0,
    );
    if (sa) found.push(sa);
  }
  return found;
}
