/**
 * Tells the diagnostics channels what this library knows of its protocols, and heeds
 * NETLINK_XFRM_DEBUG. Loading it is all: neither costs anything while nobody subscribes.
 * @module
 */
import { NETLINK_ROUTE, NETLINK_XFRM } from '../netlink/constants.ts';
import { startDebug } from '../netlink/debug.ts';
import { traceProtocol } from '../netlink/trace.ts';
import { tracedRoute } from '../route/trace.ts';
import { tracedXfrm } from '../xfrm/trace.ts';

traceProtocol(NETLINK_XFRM, tracedXfrm);
traceProtocol(NETLINK_ROUTE, tracedRoute);
if (process.env.NETLINK_XFRM_DEBUG) startDebug();
