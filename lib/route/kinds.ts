/**
 * The kinds of rtnetlink's events, by name.
 * @module
 */
import type { RouteEvent } from './events.ts';

const kinds: Readonly<Record<RouteEvent['kind'], true>> = {
  NEWLINK: true,
  DELLINK: true,
  NEWPORT: true,
  DELPORT: true,
  NEWIFINFO: true,
  DELIFINFO: true,
  NEWADDR: true,
  DELADDR: true,
  NEWROUTE: true,
  DELROUTE: true,
  NEWNEIGH: true,
  DELNEIGH: true,
  NEWRULE: true,
  DELRULE: true,
  NEWNEXTHOP: true,
  DELNEXTHOP: true,
  NEWNSID: true,
  DELNSID: true,
  NEWNETCONF: true,
  DELNETCONF: true,
  NEWPREFIX: true,
  NEWMULTICAST: true,
  DELMULTICAST: true,
  NEWANYCAST: true,
  DELANYCAST: true,
  rtnetlink: true,
};

export const ROUTE_KINDS = Object.keys(kinds) as readonly RouteEvent['kind'][];
