/** How the copies of an SA on its two ends differ. @module */
import { timingSafeEqual } from 'node:crypto';
import type { XfrmState } from '../xfrm/objects.ts';

/** What is compared. */
export type ComparedState = Pick<
  XfrmState,
  'saddr' | 'mode' | 'flags' | 'encap' | (typeof ALGORITHMS)[number]
>;

/** The algorithm fields of an SA to compare; keys are never printed. */
const ALGORITHMS = ['aead', 'crypt', 'authTrunc', 'comp'] as const;

/**
 * Describes how the copies of an SA on its two ends differ, without keys. Keys are compared if both
 * have them.
 */
export function stateDifferences(one: ComparedState, other: ComparedState): string[] {
  const found: string[] = [];
  for (const name of ['saddr', 'mode'] as const) {
    if (one[name] !== other[name]) found.push(`${name} ${one[name]} and ${other[name]}`);
  }
  for (const name of ALGORITHMS) {
    const [a, b] = [one[name], other[name]];
    if (a?.name !== b?.name) found.push(`${name} ${a?.name ?? 'none'} and ${b?.name ?? 'none'}`);
    else if (a !== undefined && b !== undefined) {
      if ('icvBits' in a && 'icvBits' in b && a.icvBits !== b.icvBits) {
        found.push(`${name}: ICVs of ${a.icvBits} and ${b.icvBits} bits`);
      }
      if ('truncBits' in a && 'truncBits' in b && a.truncBits !== b.truncBits) {
        found.push(`${name}: ICVs of ${a.truncBits} and ${b.truncBits} bits`);
      }
      if (a.keyBits !== b.keyBits) {
        found.push(`${name}: keys of ${a.keyBits} and ${b.keyBits} bits`);
      } else if (!sameKey(a.key?.bytes(), b.key?.bytes())) found.push(`${name}: the keys differ`);
    }
  }
  const [own, far] = [one, other].map(({ flags }) => flags?.names.includes('esn') ?? false);
  if (own !== far) {
    const numbers = (esn: boolean | undefined) => (esn ? 'extended' : 'plain');
    found.push(`sequence numbers ${numbers(own)} and ${numbers(far)}`);
  }
  if ((one.encap === undefined) !== (other.encap === undefined)) {
    found.push(`encapsulation ${one.encap?.type ?? 'none'} and ${other.encap?.type ?? 'none'}`);
  }
  return found;
}

const sameKey = (a: Uint8Array = new Uint8Array(), b: Uint8Array = new Uint8Array()) =>
  a.length === b.length && timingSafeEqual(a, b);
