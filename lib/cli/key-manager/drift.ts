/** Where a key manager and the kernel differ. @module */
import { setTimeout as sleep } from 'node:timers/promises';
import { isLarval } from '../../monitor/xfrm-objects.ts';
import { printable } from '../../wire/text.ts';
import type { XfrmState } from '../../xfrm/objects.ts';
import { formatSpi } from '../../xfrm/text.ts';
import type { KeyManager, KeyManagerSa } from './key-manager-sa.ts';

/** The words for it, as those of tunnels' states. */
export const DRIFTS = ['not-in-kernel', 'not-in-daemon', 'unmatched'] as const;
export type DriftKind = (typeof DRIFTS)[number];

export interface Drift {
  readonly what: DriftKind;
  readonly text: string;
}

/** The kernel's key of an SA, besides its mark; addresses as both write them. */
const keyOf = ({ proto, spi, daddr }: Pick<KeyManagerSa, 'spi' | 'daddr'> & { proto: unknown }) =>
  `${proto} ${formatSpi(spi)} to ${daddr}`;

/** Compares what a key manager says with the kernel's SAs. */
export function driftBetween(
  name: string,
  theirs: readonly KeyManagerSa[],
  states: readonly XfrmState[],
): Drift[] {
  const known = new Set(theirs.map(keyOf));
  const real = states.filter(
    (one) => !isLarval(one) && (one.proto === 'esp' || one.proto === 'ah'),
  );
  const there = new Set(real.map(keyOf));
  return [
    ...theirs
      .filter((one) => one.installed && !there.has(keyOf(one)))
      .map(
        (one): Drift => ({
          what: 'not-in-kernel',
          text: `${name} has ${keyOf(one)} of ${printable(one.name)}, and the kernel has not: packets of this SA are dropped`,
        }),
      ),
    ...real
      .filter((one) => !known.has(keyOf(one)))
      .map(
        (one): Drift => ({
          what: 'not-in-daemon',
          text: `the kernel has ${keyOf(one)} from ${one.saddr}, and ${name} has not: nobody rekeys it`,
        }),
      ),
  ];
}

/** Readings, and milliseconds between them. A rekey changes both sides, one after the other. */
const READINGS = 3;
const PAUSE = 300;

/** What differs in each of several readings. */
export async function lastingDrift(read: () => Promise<readonly Drift[]>): Promise<Drift[]> {
  let lasting: readonly Drift[] | undefined;
  for (let reading = 0; reading < READINGS && lasting?.length !== 0; reading++) {
    if (reading > 0) await sleep(PAUSE);
    const found = await read();
    const before = lasting;
    lasting = before ? found.filter(({ text }) => before.some((one) => one.text === text)) : found;
  }
  return [...(lasting ?? [])];
}

/** @param states lists the kernel's SAs */
export async function driftOf(
  manager: KeyManager,
  states: () => Promise<readonly XfrmState[]>,
): Promise<Drift[]> {
  const theirs = await manager.listSas();
  return driftBetween(manager.name, theirs, await states());
}
