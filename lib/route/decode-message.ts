/**
 * Decodes any rtnetlink message: events, and also requests, as captured from an nlmon device.
 * @module
 */
import { NLM_F_DUMP, NLM_F_REQUEST } from '../netlink/constants.ts';
import type { DecodeInput } from '../netlink/event.ts';
import { DecodeError } from '../wire/error.ts';
import { messageType, NLMSG_HDRLEN, readHeader } from '../wire/message.ts';
import * as bodies from './bodies.ts';
import * as R from './constants.ts';
import { asItCame, decodeOther, decodeRoute, inMessage } from './decode.ts';
import { messageName } from './messages.ts';
import { AddressFamily } from './names.ts';
import type { RouteMessage, RtnetlinkRequest } from './requests.ts';

/** The last two bits of a type: 0 NEW, 1 DEL, 2 GET, 3 SET. */
const ACTION = 3;
const GET = R.RTM_GETLINK & ACTION;

/**
 * Decodes the message at `at`, whose nlmsg_len is `length`: as a request if it has NLM_F_REQUEST,
 * otherwise as an answer or an event. (Events of next hop objects have that flag too, copied from
 * the request that caused them: net/ipv4/nexthop.c, seen on 6.18. Use decodeRoute for multicast
 * messages.)
 *
 * A request without a decoder becomes one of kind `rtnetlink`, and so does a dump request that does
 * not begin with the struct of its kind. Unless the socket enables strict checking, the kernel
 * reads only the family of such requests, and many programs send struct rtgenmsg (glibc, musl, Go)
 * or struct ifinfomsg (older iproute2) for all kinds.
 *
 * @throws DecodeError if a part of it is malformed; the path starts with the message's name
 */
export function decodeRouteMessage(input: DecodeInput, at: number, length: number): RouteMessage {
  const { view } = input;
  const { flags } = readHeader(view, at);
  if ((flags & NLM_F_REQUEST) === 0) return decodeRoute(input, at, length);
  const type = messageType(view, at);
  const end = at + length;
  try {
    return decodeRequest(input, type, at, end) ?? decodeOther(input, type, at, end);
  } catch (error) {
    const lists = (type & ACTION) === GET && (flags & NLM_F_DUMP) === NLM_F_DUMP;
    if (lists && error instanceof DecodeError) return asItCame(input, type, at, end);
    throw inMessage(error, type);
  }
}

function decodeRequest(
  input: DecodeInput,
  type: number,
  at: number,
  end: number,
): RtnetlinkRequest | undefined {
  const { view, bytes, time } = input;
  const header = readHeader(view, at);
  const name = messageName(type);
  const from = at + NLMSG_HDRLEN;
  const base = { kind: 'request', protocol: 'route', header, time } as const;
  const cut = (of: bodies.Body<unknown>) => (type & ACTION) === GET && end - from < of.header.size;
  switch (name) {
    case 'NEWLINK':
    case 'DELLINK':
    case 'GETLINK':
    case 'SETLINK':
      if (cut(bodies.link)) return undefined;
      switch (bytes[from]) {
        case AddressFamily.numbers.bridge:
          return { message: name, ...base, port: bodies.port.read(input, from, end) };
        case AddressFamily.numbers.inet6:
          return { message: name, ...base, ifinfo: bodies.inet6.read(input, from, end) };
        default:
          return { message: name, ...base, link: bodies.link.read(input, from, end) };
      }
    case 'NEWLINKPROP':
    case 'DELLINKPROP':
    case 'GETLINKPROP':
      return { message: name, ...base, link: bodies.link.read(input, from, end) };
    case 'NEWADDR':
    case 'DELADDR':
    case 'GETADDR':
    case 'GETMULTICAST':
    case 'GETANYCAST':
      if (cut(bodies.address)) return undefined;
      return { message: name, ...base, address: bodies.address.read(input, from, end) };
    case 'NEWROUTE':
    case 'DELROUTE':
    case 'GETROUTE':
      if (cut(bodies.route)) return undefined;
      return { message: name, ...base, route: bodies.route.read(input, from, end) };
    case 'NEWNEIGH':
    case 'DELNEIGH':
    case 'GETNEIGH':
      if (cut(bodies.neighbour)) return undefined;
      return { message: name, ...base, neighbour: bodies.neighbour.read(input, from, end) };
    case 'NEWRULE':
    case 'DELRULE':
    case 'GETRULE':
      if (cut(bodies.rule)) return undefined;
      return { message: name, ...base, rule: bodies.rule.read(input, from, end) };
    case 'NEWNEXTHOP':
    case 'DELNEXTHOP':
    case 'GETNEXTHOP':
      if (cut(bodies.nexthop)) return undefined;
      return { message: name, ...base, nexthop: bodies.nexthop.read(input, from, end) };
    case 'NEWNSID':
    case 'GETNSID':
      return { message: name, ...base, nsid: bodies.nsid.read(input, from, end) };
    case 'GETNETCONF':
      return { message: name, ...base, netconf: bodies.netconf.read(input, from, end) };
    default:
      return undefined;
  }
}
