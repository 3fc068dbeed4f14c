/**
 * The SAs of a tunnel that come and go: which took the place of which, and which are missed.
 * @module
 */
import type { XfrmState } from '../xfrm/objects.ts';
import { directionOf, type Group, type Joined } from './group.ts';
import { DIRECTIONS, type Gone, NOTHING, type Sa, type TunnelRecord } from './record.ts';
import type { Direction } from './tunnel.ts';

/** An SA that took the place of another. */
export interface Rekey {
  readonly direction: Direction;
  readonly from: XfrmState;
  readonly to: XfrmState;
  readonly overlap: number | undefined;
}

/** For how long both were there is known only if both the coming and the going was told. */
const rekeyOf = (direction: Direction, gone: Gone, to: Sa): Rekey => ({
  direction,
  from: gone.last,
  to: to.entry.value,
  overlap: gone.heard && to.heard ? gone.time.monotonic - to.came.monotonic : undefined,
});

/** The SAs that came and went: what they carried, and which took the place of which. */
export function follow(record: TunnelRecord, group: Group, part: Joined | undefined): Rekey[] {
  const rekeys: Rekey[] = [];
  const local = record.orientation?.local ?? '';
  const sas = part?.present.sas ?? NOTHING.sas;
  for (const gone of group.gone) {
    const { sa, last } = gone;
    if (sa.record !== record || sa.isLarval) continue;
    const direction = directionOf(last, local);
    record.retire(last, direction);
    record.lastGone = gone;
    const successor = sas[direction].find(
      (one) => one.slot === sa.slot && one.order > sa.order && one.record !== undefined,
    );
    if (successor) rekeys.push(rekeyOf(direction, gone, successor));
    else record.missed.set(`${direction} ${sa.slot}`, gone);
  }
  for (const direction of DIRECTIONS) {
    for (const sa of sas[direction]) {
      if (sa.record === record) continue;
      const key = `${direction} ${sa.slot}`;
      const missed = record.missed.get(key);
      record.missed.delete(key);
      if (sa.record === undefined) record.lastGone = undefined;
      sa.record = record;
      // Under the same SPI it was moved, and not rekeyed.
      if (!missed || missed.last.spi === sa.entry.value.spi) continue;
      rekeys.push(rekeyOf(direction, missed, sa));
    }
  }
  for (const sa of part?.present.larval ?? []) sa.record = record;
  for (const acquired of part?.acquired ?? []) {
    if (acquired.record === undefined) record.asked(acquired.at);
    acquired.record = record;
  }
  if (sas.out.length > 0 && sas.in.length > 0) {
    group.acquired = group.acquired.filter((one) => one.record !== record);
  }
  record.hadSas ||= sas.out.length + sas.in.length > 0;
  record.rekeys += rekeys.length;
  return rekeys;
}
