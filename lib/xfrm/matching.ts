/**
 * How selectors, marks and addresses match: the comparisons by which the kernel finds policies and
 * SAs (net/xfrm/xfrm_policy.c, xfrm_selector_match; xfrm_state.c).
 * @module
 */
import { addressFamily, writeAddress } from '../wire/address.ts';
import type { XfrmMark, XfrmSelector } from './types.ts';

/** Whether an address is a wildcard. */
export const isWild = (address: string): boolean =>
  address === '0.0.0.0' || address === '::' || address === 'any';

/** Whether an SA's mark matches the one a policy looks for; an SA without a mark always does. */
export function holdsMark(mine: XfrmMark | undefined, sought: XfrmMark | undefined): boolean {
  const value = sought ? sought.value & sought.mask : 0;
  return mine === undefined || ((value ^ mine.value) & mine.mask) === 0;
}

/**
 * Whether a source matches a template's, which may be a wildcard. It is compared as an address of
 * the packets' family: an IPv6 source for IPv4 packets by its first 32 bits only
 * (include/net/xfrm.h, xfrm_state_addr_cmp; seen on 7.2).
 */
export const isSource = (wanted: string, saddr: string, packets: XfrmSelector['family']): boolean =>
  isWild(wanted) ||
  wanted === saddr ||
  (packets === 'inet' && wanted.includes(':') && startAlike(wanted, saddr, 32));

/**
 * Protocols whose ports are none, but types and codes, or the key of GRE (include/net/xfrm.h,
 * xfrm_flowi_sport): ICMP, GRE, ICMPv6 and Mobility Headers. What answers may have others.
 */
const WITHOUT_PORTS = [1, 47, 58, 135];

/** The selector of the opposite direction. */
export function mirrored(of: XfrmSelector): XfrmSelector {
  const back = WITHOUT_PORTS.includes(of.proto)
    ? { ...of, sportMask: 0, dportMask: 0 }
    : withPortsExchanged(of);
  back.saddr = of.daddr;
  back.daddr = of.saddr;
  back.prefixlenS = of.prefixlenD;
  back.prefixlenD = of.prefixlenS;
  return back;
}

/** The selector of the same direction in the other role: from the port that these packets go to. */
export const withPortsExchanged = (of: XfrmSelector): XfrmSelector => ({
  ...of,
  sport: of.dport,
  dport: of.sport,
  sportMask: of.dportMask,
  dportMask: of.sportMask,
});

/** Whether some packets match both. */
export function meet(a: XfrmSelector, b: XfrmSelector): boolean {
  return (
    sameFamily(a, b) &&
    (a.proto === 0 || b.proto === 0 || a.proto === b.proto) &&
    portsMeet(a.sport, a.sportMask, b.sport, b.sportMask) &&
    portsMeet(a.dport, a.dportMask, b.dport, b.dportMask) &&
    startAlike(a.saddr, b.saddr, Math.min(a.prefixlenS, b.prefixlenS)) &&
    startAlike(a.daddr, b.daddr, Math.min(a.prefixlenD, b.prefixlenD))
  );
}

/** Whether all packets that match `b` also match `a`. */
export function contains(a: XfrmSelector, b: XfrmSelector): boolean {
  return (
    a.prefixlenS <= b.prefixlenS &&
    a.prefixlenD <= b.prefixlenD &&
    (a.proto === 0 || a.proto === b.proto) &&
    a.ifindex === 0 &&
    (a.sportMask & ~b.sportMask) === 0 &&
    (a.dportMask & ~b.dportMask) === 0 &&
    meet(a, b)
  );
}

/** Whether both match the same packets. */
export const isSame = (a: XfrmSelector, b: XfrmSelector): boolean =>
  contains(a, b) && contains(b, a);

const sameFamily = (a: XfrmSelector, b: XfrmSelector): boolean =>
  a.family === b.family || a.family === 'unspec' || b.family === 'unspec';

const portsMeet = (a: number, maskA: number, b: number, maskB: number): boolean =>
  ((a ^ b) & maskA & maskB) === 0;

/** Whether addresses have a common prefix of this many bits. */
export function startAlike(a: string, b: string, bits: number): boolean {
  if (bits === 0 || a === b) return true;
  const [one, other] = [bytesOf(a), bytesOf(b)];
  const whole = bits >> 3;
  for (let i = 0; i < whole; i++) if (one[i] !== other[i]) return false;
  return (bits & 7) === 0 || ((one[whole] ?? 0) ^ (other[whole] ?? 0)) >> (8 - (bits & 7)) === 0;
}

function bytesOf(address: string): Uint8Array {
  const bytes = new Uint8Array(16);
  const family = addressFamily(address);
  if (family !== undefined) writeAddress(bytes, 0, address, family, '');
  return bytes;
}
