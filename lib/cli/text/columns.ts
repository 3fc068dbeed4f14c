/**
 * SAs and policies as table rows, for people at a terminal: times as durations, common properties in
 * columns, the rest in words.
 * @module
 */
import { NO_LIMIT } from '../../wire/time.ts';
import type { XfrmPolicy, XfrmState } from '../../xfrm/objects.ts';
import { formatSpi } from '../../xfrm/text.ts';
import type { LifetimeLimits, LifetimeUsage } from '../../xfrm/types.ts';
import type { Colors } from '../terminal/colors.ts';
import { type Column, NONE } from '../terminal/text-table.ts';
import {
  describeAlgorithms,
  describeSelector,
  describeTemplate,
  policyExtras,
  refusedPackets,
  stateExtras,
} from './event.ts';
import { formatBytes, formatDuration } from './units.ts';

export const STATE_COLUMNS: readonly Column[] = [
  ['SOURCE', ''],
  ['DESTINATION', '> '],
  ['PROTO', ''],
  ['SPI', ''],
  ['MODE', ''],
  ['REQID', 'reqid '],
  ['ALGORITHMS', ''],
  ['AGE', 'age '],
  ['CARRIED', 'carried '],
  ['MORE', ''],
];

/** An SA as a row. @param now seconds since 1970 */
export function stateRow(state: XfrmState, colors: Colors, now: number): string[] {
  return [
    colors.cyan(state.saddr),
    colors.cyan(state.daddr),
    `${state.proto}`,
    colors.bold(formatSpi(state.spi)),
    `${state.mode}`,
    `${state.reqid}`,
    describeAlgorithms(state).join(' ') || NONE,
    age(state.current, now),
    carried(state.current),
    [
      ...stateExtras(state),
      ...deadlines(state.lifetime, state.current, now, colors),
      ...refusedPackets(state.stats).map(colors.red),
    ].join(', '),
  ];
}

export const POLICY_COLUMNS: readonly Column[] = [
  ['DIR', ''],
  ['SELECTOR', ''],
  ['ACTION', ''],
  ['PRIORITY', 'priority '],
  ['INDEX', 'index '],
  ['AGE', 'age '],
  ['MORE', ''],
];

/** A policy as a row. */
export function policyRow(policy: XfrmPolicy, colors: Colors, now: number): string[] {
  return [
    `${policy.dir}`,
    colors.cyan(describeSelector(policy.selector)),
    policy.action === 'block' ? colors.red('block') : `${policy.action}`,
    `${policy.priority}`,
    `${policy.index}`,
    age(policy.current, now),
    [
      ...policyExtras(policy),
      ...(policy.templates ?? []).map(describeTemplate),
      ...deadlines(policy.lifetime, policy.current, now, colors),
    ].join(', '),
  ];
}

const age = ({ addedAt }: LifetimeUsage, now: number) => formatDuration(now - addedAt / 1000);

const carried = ({ bytes, packets }: LifetimeUsage) =>
  packets === 0n ? NONE : `${formatBytes(bytes)} in ${packets}`;

/** When it is due for a rekey, and when it expires. */
function deadlines(
  lifetime: LifetimeLimits,
  { addedAt, firstUsedAt = NO_LIMIT }: LifetimeUsage,
  now: number,
  colors: Colors,
): string[] {
  const ends = (added: number, used: number) =>
    [addedAt / 1000 + added - now, firstUsedAt / 1000 + used - now].filter(Number.isFinite);
  const soonest = (word: string, all: number[]) =>
    all.length === 0 ? [] : [`${word} in ${formatDuration(Math.min(...all))}`];
  const amount = (word: string, bytes: bigint | number, packets: bigint | number) => [
    ...(bytes === NO_LIMIT ? [] : [`${word} at ${formatBytes(BigInt(bytes))}`]),
    ...(packets === NO_LIMIT ? [] : [`${word} at ${packets} packets`]),
  ];
  const { softAddSeconds, softUseSeconds, hardAddSeconds, hardUseSeconds } = lifetime;
  return [
    ...soonest(
      'rekey',
      ends(softAddSeconds, softUseSeconds).filter((left) => left > 0),
    ),
    ...amount('rekey', lifetime.softBytes, lifetime.softPackets),
    ...soonest('expires', ends(hardAddSeconds, hardUseSeconds)).map(colors.yellow),
    ...amount('expires', lifetime.hardBytes, lifetime.hardPackets).map(colors.yellow),
  ];
}
