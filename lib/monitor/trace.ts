/**
 * Tells the diagnostics channels what this library knows of its protocols, and heeds
 * NETLINK_XFRM_DEBUG. Loading it is all: neither costs anything while nobody subscribes.
 * @module
 */
import { NETLINK_ROUTE, NETLINK_XFRM } from '../netlink/constants.ts';
import { startDebug } from '../netlink/debug.ts';
import { traceFamily } from '../netlink/trace.ts';
import { routeFamily } from '../route/trace.ts';
import { xfrmFamily } from '../xfrm/trace.ts';

traceFamily(NETLINK_XFRM, xfrmFamily);
traceFamily(NETLINK_ROUTE, routeFamily);
if (process.env.NETLINK_XFRM_DEBUG) startDebug();
