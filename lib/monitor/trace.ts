/**
 * Registers this library's protocols with the diagnostics channels, and honours NETLINK_XFRM_DEBUG.
 * Loading it is enough: it costs nothing while there are no subscribers.
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
