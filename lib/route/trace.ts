/**
 * What may be told of rtnetlink messages while debugging. They hold no keys: those of MACsec and
 * WireGuard go over NETLINK_GENERIC.
 * @module
 */
import type { Family } from '../netlink/trace.ts';
import { fixedSize, messageName } from './events.ts';

export const routeFamily: Family = {
  messageName,
  fixedSize,
  attributeName: () => undefined,
  showable: () => true,
};
