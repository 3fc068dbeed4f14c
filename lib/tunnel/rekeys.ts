/**
 * Detects rekeys. An SA replaces its predecessor when it is added: the kernel sends through the
 * newest (net/xfrm/xfrm_state.c, xfrm_state_look_at). Removing the old one, then or an hour later,
 * is not a rekey. @module
 */
import type { XfrmState } from '../xfrm/objects.ts';
import { NONE, sizeOf } from './few.ts';
import { byAge, directionOf, type GroupPart, type SaGroup } from './sa-group.ts';
import { bySlot } from './sa-limits.ts';
import type { TunnelThresholds } from './thresholds.ts';
import type { PerDirection, TrafficDirection } from './tunnel.ts';
import type { SaSuccession } from './tunnel-changes.ts';
import { both, DIRECTIONS, NO_CONTENTS, type RemovedSa, type Sa } from './tunnel-contents.ts';
import type { TunnelRecord } from './tunnel-record.ts';

export interface SaReplacement extends SaSuccession {
  readonly direction: TrafficDirection;
  readonly slot: string;
  /** When it was added, monotonic. */
  readonly at: number;
}

/** An SA in a chain of successors. */
interface SaLink {
  readonly sa: Sa;
  readonly slot: string;
  readonly gone: RemovedSa | undefined;
}

/** Processes the SAs that were added and removed. @returns which replaced which, oldest first */
export function detectRekeys(
  record: TunnelRecord,
  group: SaGroup,
  part: GroupPart | undefined,
): readonly SaReplacement[] {
  if (part && areSettled(record, group, part)) return NONE;
  const sas = part?.contents.sas ?? NO_CONTENTS.sas;
  const local = record.orientation?.local ?? '';
  const went = new Set<RemovedSa>(record.missed?.values());
  for (const gone of group.gone) {
    const { sa, last } = gone;
    // An SA added and removed since the group's last evaluation is its tunnel's, if it has only
    // one.
    const its = sa.record === record || (sa.record === undefined && sizeOf(group.records) === 1);
    if (sa.isLarval || !its) continue;
    record.retire(last, directionOf(last, local));
    record.lastGone = gone;
    went.add(gone);
  }
  const replacements: SaReplacement[] = [];
  for (const direction of DIRECTIONS) {
    const links: SaLink[] = sas[direction].map((sa) => ({ sa, slot: sa.slot, gone: undefined }));
    for (const gone of went) {
      if (directionOf(gone.last, local) !== direction) continue;
      links.push({ sa: gone.sa, slot: gone.sa.slot, gone });
    }
    links.sort((a, b) => byAge(a.sa, b.sa));
    for (const [slot, all] of bySlot(links)) {
      const made = all.map((link, i) => replacement(record, direction, all[i - 1], link));
      replacements.push(...made.filter((one) => one !== undefined));
      const { gone } = all.at(-1) as SaLink;
      const key = `${direction} ${slot}`;
      if (gone === undefined) record.missed?.delete(key);
      else {
        record.missed ??= new Map();
        record.missed.set(key, gone);
      }
    }
    for (const sa of sas[direction]) {
      if (sa.record === undefined) record.lastGone = undefined;
      sa.record = record;
    }
  }
  for (const { sa } of went) sa.record = record;
  for (const sa of part?.contents.larval ?? []) sa.record = record;
  for (const acquired of part?.acquired ?? []) {
    if (acquired.record === undefined) record.acquireHeard(acquired.at);
    acquired.record = record;
  }
  if (sas.out.length > 0 && sas.in.length > 0) {
    group.forget((one) => one.record !== record);
  }
  record.hadSas ||= sas.out.length + sas.in.length > 0;
  return replacements;
}

/** Whether nothing was added, removed or requested since it was last looked at. */
function areSettled(record: TunnelRecord, group: SaGroup, part: GroupPart): boolean {
  const { sas, larval } = part.contents;
  if (group.gone.length + group.acquired.length + (record.missed?.size ?? 0) > 0) return false;
  const isKnown = (sa: Sa) => sa.record === record;
  return sas.out.every(isKnown) && sas.in.every(isKnown) && larval.every(isKnown);
}

/** Enters a tunnel that was found when the monitor opened: nothing of it replaced anything. */
export function enterFound(record: TunnelRecord, { contents: { sas, larval } }: GroupPart): void {
  for (const sa of sas.out) sa.record = record;
  for (const sa of sas.in) sa.record = record;
  for (const sa of larval) sa.record = record;
  record.hadSas = sas.out.length + sas.in.length > 0;
}

const stateOf = ({ sa, gone }: SaLink): XfrmState => gone?.last ?? sa.entry.value;

/**
 * The replacement, if an SA is new. An SA from another tunnel may have existed alongside, unless
 * its predecessor is gone.
 */
function replacement(
  record: TunnelRecord,
  direction: TrafficDirection,
  before: SaLink | undefined,
  link: SaLink,
): SaReplacement | undefined {
  const { sa, slot } = link;
  const gone = before?.gone;
  const isNew = sa.record === undefined || (sa.record !== record && gone !== undefined);
  if (!before || !isNew) return undefined;
  const [{ spi: from }, { spi: to, proto: protocol }] = [stateOf(before), stateOf(link)];
  // With the same SPI it was moved, not rekeyed.
  if (gone && from === to) return undefined;
  const at = sa.came;
  const heard = sa.heard && (gone?.heard ?? true);
  const gap = gone ? Math.max(0, at - gone.time.monotonic) : 0;
  return { direction, slot, protocol, from, to, gapMs: heard ? gap : undefined, at };
}

export const successionOf = ({ protocol, from, to, gapMs }: SaReplacement): SaSuccession => ({
  protocol,
  from,
  to,
  gapMs,
});

const slotsOf = (some: readonly SaReplacement[], direction: TrafficDirection): number =>
  new Set(some.filter((one) => one.direction === direction).map(({ slot }) => slot)).size;

/**
 * When to stop waiting for the rest of a rekey, monotonic; Infinity if there is none. One direction
 * may have more replacements than the other, for example if both ends rekey at once: then nothing
 * more needs to follow.
 */
export function restUntil(
  { rekeying }: TunnelRecord,
  { settle, acquiring }: Pick<TunnelThresholds, 'settle' | 'acquiring'>,
): number {
  if (rekeying.length === 0) return Number.POSITIVE_INFINITY;
  const came = rekeying.map(({ at }) => at);
  if (slotsOf(rekeying, 'out') !== slotsOf(rekeying, 'in')) return Math.min(...came) + acquiring;
  return Math.max(...came) + settle;
}

/**
 * Takes the rekey of a tunnel, if there was one, once both directions have it.
 *
 * @param isOver whether to stop waiting for the rest of it
 */
export function rekeyed(
  record: TunnelRecord,
  isOver: boolean,
): PerDirection<readonly SaSuccession[]> | undefined {
  return record.rekeying.length === 0 ? undefined : completed(record, isOver);
}

/** Apart from the above, which most tunnels do not get past: it takes no closures. */
function completed(record: TunnelRecord, isOver: boolean) {
  const { rekeying, servesBoth } = record;
  const told = both((one) =>
    rekeying.filter(({ direction }) => direction === one).map(successionOf),
  );
  if (told.out.length !== told.in.length && !servesBoth && !isOver) return undefined;
  record.rekeying = NONE;
  return told;
}
