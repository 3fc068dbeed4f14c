/**
 * Multicast groups by name, of every protocol.
 * @module
 */
import * as R from '../route/constants.ts';
import * as X from '../xfrm/constants.ts';

type Names<Constants, Prefix extends string> = Extract<keyof Constants, `${Prefix}${string}`>;

/** A multicast group under one of the kernel's names for it: a number's, or a bind mask's. */
export type GroupName =
  | Exclude<Names<typeof X, 'XFRMNLGRP_' | 'XFRMGRP_'>, 'XFRMNLGRP_NONE'>
  | Exclude<Names<typeof R, 'RTNLGRP_' | 'RTMGRP_'>, 'RTNLGRP_NONE'>;

/** The netlink protocols that events come from. */
export type Protocol = 'xfrm' | 'route';

/** A group: its protocol, and its number from 1. */
export interface Group {
  readonly protocol: Protocol;
  readonly number: number;
}

const groups = new Map<string, Group>();
function add(protocol: Protocol, constants: object, numbers: string, masks: string) {
  for (const [name, value] of Object.entries(constants) as [string, number][]) {
    if (value === 0) continue;
    if (name.startsWith(numbers)) groups.set(name, { protocol, number: value });
    // A mask has the bit 1 << (group - 1) (net/netlink/af_netlink.c, netlink_bind).
    if (name.startsWith(masks)) groups.set(name, { protocol, number: Math.log2(value) + 1 });
  }
}
add('xfrm', X, 'XFRMNLGRP_', 'XFRMGRP_');
add('route', R, 'RTNLGRP_', 'RTMGRP_');

/** All names {@link findGroup} knows. */
export const groupNames: readonly string[] = [...groups.keys()];

/** The group of a name, or undefined. */
export const findGroup = (name: string): Group | undefined => groups.get(name);
