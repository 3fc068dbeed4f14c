/** Counters of xfrm_stat as text and as JSON. @module */
import type { SubscriptionEvent } from '../../monitor/subscribe.ts';
import { type CounterMove, xfrmStatCounter } from '../../monitor/xfrm-stat-counters.ts';
import { formatOwner } from '../events/claimed-processes.ts';
import type { Colors } from '../terminal/colors.ts';
import { describeEvent, formatTime } from '../text/event.ts';
import { hanging } from '../text/hanging.ts';
import type { NearbyEvent } from './nearby-events.ts';

/** A counter in a list. */
export interface CounterRecord {
  readonly kind: 'counter';
  readonly protocol: 'xfrm';
  readonly counter: `Xfrm${string}`;
  readonly value: bigint;
  /** Packets per second between two readings; absent if there was one. */
  readonly rate?: number;
  /** Absent, as what follows, if this version does not know the counter. */
  readonly meaning?: string;
  readonly cause?: string;
  readonly look?: string;
  readonly source?: string;
}

/** An event next to a move. */
export interface NearbyRecord {
  readonly event: string;
  readonly count: number;
  readonly withinMs: number;
  readonly monotonic: number;
  readonly text: string;
  readonly portId?: number;
  readonly claimedBy?: { readonly pid: number; readonly name: string } | null;
}

/** A counter that grew. */
export interface CounterMoveRecord extends CounterMove {
  readonly kind: 'counter-move';
  readonly protocol: 'xfrm';
  /** Between the two readings. */
  readonly seconds: number;
  readonly meaning?: string;
  readonly events: readonly NearbyRecord[];
}

const UNKNOWN =
  'this version does not know this counter: see Documentation/networking/xfrm/ of the kernel';

export function counterRecord(
  counter: `Xfrm${string}`,
  value: bigint,
  rate: number | undefined,
): CounterRecord {
  const speed = rate === undefined ? {} : { rate };
  const base = { kind: 'counter', protocol: 'xfrm', counter, value, ...speed } as const;
  const known = xfrmStatCounter(counter);
  if (known === undefined) return base;
  const { meaning, cause, look, source } = known;
  return { ...base, meaning, cause, look, source };
}

/** Of 10 and more without a fraction. */
export const formatPacketRate = (rate: number): string =>
  `${rate === 0 || rate >= 10 ? Math.round(rate) : Number(rate.toPrecision(2))}/s`;

/** Lines: the counter with its meaning, then what causes it and where to look. */
export function formatCounter(
  { counter, value, rate, meaning, cause, look }: CounterRecord,
  colors: Colors,
  columns: number,
): string[] {
  const speed = rate === undefined ? '' : `  ${formatPacketRate(rate)}`;
  const paint = rate ? colors.red : value > 0n ? colors.yellow : colors.dim;
  const first = `${paint(counter)}  ${value}${speed}`;
  const detail = (name: string, text: string | undefined) =>
    text === undefined ? [] : hanging(`  ${colors.dim(name)} `, text, columns);
  return [
    first,
    ...hanging('  ', meaning ?? UNKNOWN, columns),
    ...detail('usually', cause),
    ...detail('look at', look),
  ];
}

const portIdOf = (event: SubscriptionEvent): number =>
  'header' in event ? (event.header?.portId ?? 0) : 0;

function textOf({ event }: NearbyEvent, plain: Colors): string {
  return event.kind === 'overrun' ? 'events were lost' : describeEvent(event, plain);
}

export function nearbyRecord(near: NearbyEvent, plain: Colors): NearbyRecord {
  const { event, count, within, claimed } = near;
  const portId = portIdOf(event);
  return {
    event: event.kind,
    count,
    withinMs: Math.ceil(within),
    monotonic: event.time.monotonic,
    text: textOf(near, plain),
    ...(portId === 0 ? {} : { portId }),
    ...(portId === 0 || claimed === undefined
      ? {}
      : { claimedBy: claimed && { pid: claimed.pid, name: claimed.name } }),
  };
}

/** `within 1 s of DELSA … claimed by charon[812]`. */
function formatNearby(near: NearbyEvent, plain: Colors): string {
  const { event, count, within, claimed } = near;
  const text = textOf(near, plain);
  const by =
    portIdOf(event) === 0 || claimed === undefined ? '' : ` claimed by ${formatOwner(claimed)}`;
  const others = count > 1 ? `, the last of ${count}` : '';
  return `within ${Math.ceil(within / 1000)} s of ${event.kind} ${text}${by}${others}`;
}

/** One line for a counter that grew. */
export function formatMove(
  wall: number,
  { counter, delta, value }: CounterMove,
  seconds: number,
  events: readonly NearbyEvent[],
  colors: Colors,
  plain: Colors,
): string {
  const meaning = xfrmStatCounter(counter)?.meaning ?? UNKNOWN;
  const near = events.map((one) => `; ${formatNearby(one, plain)}`).join('');
  const rate = formatPacketRate(Number(delta) / seconds);
  return (
    `${colors.dim(formatTime(wall))} ${colors.red(counter)} +${delta} (${rate}, ${value} in all): ` +
    `${meaning}${near}`
  );
}
