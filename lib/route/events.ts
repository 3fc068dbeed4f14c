/**
 * rtnetlink messages, typed by number, their attributes as they came.
 * @module
 */
import type { DecodeInput, EventTime } from '../netlink/event.ts';
import { align4, type RawAttribute, readRawAttributes } from '../wire/attribute.ts';
import { DecodeError, tooShort } from '../wire/error.ts';
import { type MessageHeader, messageType, NLMSG_HDRLEN, readHeader } from '../wire/message.ts';
import * as R from './constants.ts';

/** A message of NETLINK_ROUTE: a link, an address, a route or another object changed. */
export interface RouteEvent {
  readonly kind: 'rtnetlink';
  readonly protocol: 'route';
  readonly header: MessageHeader;
  readonly time: EventTime;
  /** The kernel's name of header.type, as `RTM_NEWLINK`; undefined for one this library has not. */
  readonly name: string | undefined;
  /** The family's struct before the attributes (struct ifinfomsg …), as it came. */
  readonly fixed: Uint8Array;
  readonly attributes: readonly RawAttribute[];
}

/**
 * Bytes of the struct before the attributes, by the message type's base: types go by four, NEW,
 * DEL, GET, SET (linux/rtnetlink.h, linux/if_link.h and their neighbours).
 */
const FIXED = new Map<number, number>([
  [R.RTM_NEWLINK, 16], // ifinfomsg
  [R.RTM_NEWADDR, 8], // ifaddrmsg
  [R.RTM_NEWROUTE, 12], // rtmsg
  [R.RTM_NEWNEIGH, 12], // ndmsg
  [R.RTM_NEWRULE, 12], // fib_rule_hdr
  [R.RTM_NEWQDISC, 20], // tcmsg
  [R.RTM_NEWTCLASS, 20],
  [R.RTM_NEWTFILTER, 20],
  [R.RTM_NEWPREFIX, 12], // prefixmsg
  [R.RTM_NEWMULTICAST, 8], // ifaddrmsg
  [R.RTM_NEWANYCAST, 8],
  [R.RTM_NEWNDUSEROPT, 16], // nduseroptmsg
  [R.RTM_NEWNETCONF, 1], // netconfmsg
  [R.RTM_NEWNSID, 1], // rtgenmsg
  [R.RTM_NEWSTATS, 12], // if_stats_msg
  [R.RTM_NEWCHAIN, 20], // tcmsg
  [R.RTM_NEWNEXTHOP, 8], // nhmsg
  [R.RTM_NEWLINKPROP, 16], // ifinfomsg
]);

const names = new Map<number, string>();
for (const [name, number] of Object.entries(R)) {
  if (name.startsWith('RTM_') && name !== 'RTM_BASE') names.set(number, name);
}

/** The kernel's name of a message type. */
export const messageName = (type: number): string | undefined => names.get(type);

/** Bytes before the attributes of a message; undefined where that is not known. */
export const fixedSize = (type: number): number | undefined => FIXED.get(type & ~3);

/**
 * Decodes the message at `at`, whose nlmsg_len is `length` (see messageLength). Where the struct
 * before the attributes is not known, all is in `fixed`.
 *
 * @throws DecodeError when a part of it does not fit; the path starts with the message's name
 */
export function decodeRoute(input: DecodeInput, at: number, length: number): RouteEvent {
  const { view, bytes, time } = input;
  const type = messageType(view, at);
  const name = messageName(type);
  const body = at + NLMSG_HDRLEN;
  const end = at + length;
  try {
    const size = fixedSize(type);
    if (size !== undefined && end - body < size) tooShort('', body, size, end - body);
    return {
      kind: 'rtnetlink',
      protocol: 'route',
      header: readHeader(view, at),
      time,
      name,
      fixed: bytes.slice(body, size === undefined ? end : body + size),
      attributes:
        size === undefined ? [] : readRawAttributes(view, bytes, body + align4(size), end),
    };
  } catch (error) {
    throw error instanceof DecodeError ? error.within(name ?? `message ${type}`) : error;
  }
}
