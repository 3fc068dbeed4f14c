/** Multicast groups of all protocols, by name. @module */
import * as R from '../route/message-constants.ts';
import * as X from '../xfrm/constants.ts';

type Constant = keyof typeof X | keyof typeof R;
type Named = Extract<Constant, `${'XFRMNLGRP' | 'XFRMGRP' | 'RTNLGRP' | 'RTMGRP'}_${string}`>;

/** The kernel's name of a group in our spelling: without prefix, in lower case, with dashes. */
type Short<Name extends string> = Name extends `${infer First}_${infer Rest}`
  ? `${Lowercase<First>}-${Short<Rest>}`
  : Lowercase<Name>;
type WithoutPrefix<Name extends string> = Name extends `${'XFRMNLGRP' | 'RTNLGRP'}_${infer Rest}`
  ? Exclude<Short<Rest>, 'none'>
  : never;

/**
 * A multicast group: a short name (`sa`, `expire`, `link`, `ipv4-route`: the kernel's without
 * prefix, in lower case, with dashes), or a kernel name, either of a group number (`RTNLGRP_LINK`)
 * or of a bind mask (`RTMGRP_LINK`).
 */
export type MulticastGroupName = WithoutPrefix<Named> | Exclude<Named, `${string}_NONE`>;

/** The netlink protocols that events come from. */
export type EventProtocol = 'xfrm' | 'route';

/** A multicast group: its protocol, and its number, counted from 1. */
export interface MulticastGroup {
  readonly protocol: EventProtocol;
  readonly number: number;
}

const groups = new Map<string, MulticastGroup>();
function add(
  protocol: EventProtocol,
  constants: Readonly<Record<string, number | bigint>>,
  numbers: string,
  masks: string,
) {
  // Not Object.entries(), whose hundreds of arrays start a garbage collection in every import.
  for (const name of Object.keys(constants)) {
    const value = Number(constants[name]);
    if (value === 0) continue;
    if (name.startsWith(numbers)) {
      const group = { protocol, number: value };
      groups.set(name, group);
      groups.set(name.slice(numbers.length).toLowerCase().replaceAll('_', '-'), group);
    }
    // A mask has the bit 1 << (group - 1) (net/netlink/af_netlink.c, netlink_bind).
    if (name.startsWith(masks)) groups.set(name, { protocol, number: Math.log2(value) + 1 });
  }
}
add('xfrm', X, 'XFRMNLGRP_', 'XFRMGRP_');
add('route', R, 'RTNLGRP_', 'RTMGRP_');

/** All names of multicast groups that `subscribe()` takes. */
export const multicastGroupNames: readonly string[] = [...groups.keys()];

/** The group with a name, or undefined. */
export const findGroup = (name: string): MulticastGroup | undefined => groups.get(name);
