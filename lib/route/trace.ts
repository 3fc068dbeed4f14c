/**
 * What diagnostics may show of rtnetlink messages. They hold no keys: those of MACsec and WireGuard
 * use NETLINK_GENERIC.
 * @module
 */
import type { TracedProtocol } from '../netlink/trace.ts';
import * as R from './message-constants.ts';
import { messageName, rawFixedSize, STRUCT_SIZES as S } from './messages.ts';

/**
 * Size of the struct before the attributes, by the base of the message type: types come in fours.
 */
const HEADERS = new Map([
  [R.RTM_NEWLINK, S.ifinfomsg],
  [R.RTM_NEWADDR, S.ifaddrmsg],
  [R.RTM_NEWROUTE, S.rtmsg],
  [R.RTM_NEWNEIGH, S.ndmsg],
  [R.RTM_NEWRULE, S.fib_rule_hdr],
  [R.RTM_NEWPREFIX, S.prefixmsg],
  [R.RTM_NEWMULTICAST, S.ifaddrmsg],
  [R.RTM_NEWANYCAST, S.ifaddrmsg],
  [R.RTM_NEWNETCONF, S.netconfmsg],
  [R.RTM_NEWNSID, S.rtgenmsg],
  [R.RTM_NEWNEXTHOP, S.nhmsg],
]);

export const tracedRoute: TracedProtocol = {
  messageName: (type) => {
    const name = messageName(type);
    return name === undefined ? undefined : `RTM_${name}`;
  },
  contentOf: (type) => {
    const size = HEADERS.get(type & ~3) ?? rawFixedSize(type);
    return size === undefined
      ? undefined
      : { size, attributeName: () => undefined, showable: () => true };
  },
};
