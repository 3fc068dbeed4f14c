/**
 * Tells the diagnostics channels what this library knows of its protocols, and heeds
 * NETLINK_XFRM_DEBUG. Loading it is all: neither costs anything while nobody subscribes.
 * @module
 */
import { NETLINK_XFRM } from '../netlink/constants.ts';
import { startDebug } from '../netlink/debug.ts';
import { traceProtocol } from '../netlink/trace.ts';
import { rtnetlink } from '../route/load.ts';
import { tracedXfrm } from '../xfrm/trace.ts';

traceProtocol(NETLINK_XFRM, tracedXfrm);
if (process.env.NETLINK_XFRM_DEBUG) {
  startDebug();
  // Else it is described from its first use on.
  void rtnetlink();
}
