/**
 * Decodes one rtnetlink message into an event.
 * @module
 */
import type { DecodeInput } from '../netlink/event.ts';
import { align4, readRawAttributes } from '../wire/attribute.ts';
import { DecodeError, tooShort } from '../wire/error.ts';
import { messageType, NLMSG_HDRLEN, readHeader } from '../wire/message.ts';
import * as bodies from './bodies.ts';
import * as R from './constants.ts';
import type { OtherRouteEvent, RouteEvent } from './events.ts';
import { messageName, rawFixedSize } from './messages.ts';
import { AddressFamily } from './names.ts';

const { unspec, bridge, inet6 } = AddressFamily.numbers;

/**
 * Decodes the message at `at`, whose nlmsg_len is `length` (see messageLength). A type without a
 * decoder becomes an event of kind `rtnetlink`.
 *
 * @throws DecodeError if a part of it is malformed; the path starts with the message's name
 */
export function decodeRoute(input: DecodeInput, at: number, length: number): RouteEvent {
  const type = messageType(input.view, at);
  try {
    return decode(input, type, at, at + length);
  } catch (error) {
    throw inMessage(error, type);
  }
}

/** For the catch of a message decoder: the same error with the message's name in its path. */
export function inMessage(error: unknown, type: number): unknown {
  if (!(error instanceof DecodeError)) return error;
  return error.within(messageName(type) ?? `message ${type}`);
}

function decode(input: DecodeInput, type: number, at: number, end: number): RouteEvent {
  const { view, time } = input;
  const header = readHeader(view, at);
  const protocol = 'route';
  const from = at + NLMSG_HDRLEN;
  switch (type) {
    case R.RTM_NEWLINK:
    case R.RTM_DELLINK:
      return decodeLink(input, type, at, end);
    case R.RTM_NEWADDR:
    case R.RTM_DELADDR: {
      const kind = type === R.RTM_NEWADDR ? 'NEWADDR' : 'DELADDR';
      return { kind, protocol, header, time, address: bodies.address.read(input, from, end) };
    }
    case R.RTM_NEWROUTE:
    case R.RTM_DELROUTE: {
      const kind = type === R.RTM_NEWROUTE ? 'NEWROUTE' : 'DELROUTE';
      return { kind, protocol, header, time, route: bodies.route.read(input, from, end) };
    }
    case R.RTM_NEWNEIGH:
    case R.RTM_DELNEIGH: {
      const kind = type === R.RTM_NEWNEIGH ? 'NEWNEIGH' : 'DELNEIGH';
      return { kind, protocol, header, time, neighbour: bodies.neighbour.read(input, from, end) };
    }
    case R.RTM_NEWRULE:
    case R.RTM_DELRULE: {
      const kind = type === R.RTM_NEWRULE ? 'NEWRULE' : 'DELRULE';
      return { kind, protocol, header, time, rule: bodies.rule.read(input, from, end) };
    }
    case R.RTM_NEWNEXTHOP:
    case R.RTM_DELNEXTHOP: {
      const kind = type === R.RTM_NEWNEXTHOP ? 'NEWNEXTHOP' : 'DELNEXTHOP';
      return { kind, protocol, header, time, nexthop: bodies.nexthop.read(input, from, end) };
    }
    case R.RTM_NEWNSID:
    case R.RTM_DELNSID: {
      const kind = type === R.RTM_NEWNSID ? 'NEWNSID' : 'DELNSID';
      return { kind, protocol, header, time, nsid: bodies.nsid.read(input, from, end) };
    }
    case R.RTM_NEWNETCONF:
    case R.RTM_DELNETCONF: {
      const kind = type === R.RTM_NEWNETCONF ? 'NEWNETCONF' : 'DELNETCONF';
      return { kind, protocol, header, time, netconf: bodies.netconf.read(input, from, end) };
    }
    case R.RTM_NEWPREFIX: {
      const prefix = bodies.prefix.read(input, from, end);
      return { kind: 'NEWPREFIX', protocol, header, time, prefix };
    }
    case R.RTM_NEWMULTICAST:
    case R.RTM_DELMULTICAST: {
      const kind = type === R.RTM_NEWMULTICAST ? 'NEWMULTICAST' : 'DELMULTICAST';
      return { kind, protocol, header, time, address: bodies.address.read(input, from, end) };
    }
    case R.RTM_NEWANYCAST:
    case R.RTM_DELANYCAST: {
      const kind = type === R.RTM_NEWANYCAST ? 'NEWANYCAST' : 'DELANYCAST';
      return { kind, protocol, header, time, address: bodies.address.read(input, from, end) };
    }
    default:
      return decodeOther(input, type, at, end);
  }
}

/** The family of a NEWLINK or DELLINK determines what it is about. */
function decodeLink(input: DecodeInput, type: number, at: number, end: number): RouteEvent {
  const { view, bytes, time } = input;
  const header = readHeader(view, at);
  const protocol = 'route';
  const from = at + NLMSG_HDRLEN;
  const added = type === R.RTM_NEWLINK;
  switch (from < end ? bytes[from] : unspec) {
    case unspec: {
      const kind = added ? 'NEWLINK' : 'DELLINK';
      return { kind, protocol, header, time, link: bodies.link.read(input, from, end) };
    }
    case bridge: {
      const kind = added ? 'NEWPORT' : 'DELPORT';
      return { kind, protocol, header, time, port: bodies.port.read(input, from, end) };
    }
    case inet6: {
      const kind = added ? 'NEWIFINFO' : 'DELIFINFO';
      return { kind, protocol, header, time, ifinfo: bodies.inet6.read(input, from, end) };
    }
    default:
      return decodeOther(input, type, at, end);
  }
}

/**
 * An undecoded message. If the struct before the attributes is unknown, `fixed` holds everything.
 */
export function decodeOther(
  input: DecodeInput,
  type: number,
  at: number,
  end: number,
): OtherRouteEvent {
  return asItCame(input, type, at, end, rawFixedSize(type));
}

/** @param size of the struct before the attributes; undefined if there are no attributes */
export function asItCame(
  { view, bytes, time }: DecodeInput,
  type: number,
  at: number,
  end: number,
  size?: number,
): OtherRouteEvent {
  const from = at + NLMSG_HDRLEN;
  if (size !== undefined && end - from < size) tooShort('', from, size, end - from);
  const name = messageName(type);
  return {
    kind: 'rtnetlink',
    protocol: 'route',
    header: readHeader(view, at),
    time,
    name: name === undefined ? undefined : `RTM_${name}`,
    fixed: bytes.slice(from, size === undefined ? end : from + size),
    attributes: size === undefined ? [] : readRawAttributes(view, bytes, from + align4(size), end),
  };
}
