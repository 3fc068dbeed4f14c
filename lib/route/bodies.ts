/**
 * The bodies of rtnetlink's messages, from bytes to objects and back; shared by events, answers and
 * requests.
 * @module
 */
import type { DecodeInput } from '../netlink/event.ts';
import { AF_INET, AF_INET6, AF_UNSPEC, ANY_FAMILY } from '../wire/address.ts';
import { align4 } from '../wire/attribute.ts';
import type { AttributeTable } from '../wire/attribute-table.ts';
import type { Encodable } from '../wire/encodable.ts';
import { tooShort } from '../wire/error.ts';
import type { MessageWriter } from '../wire/message-writer.ts';
import type { Struct } from '../wire/struct.ts';
import * as attributes from './attributes.ts';
import * as codec from './codec.ts';
import * as links from './link-attributes.ts';
import { AddressFamily } from './names.ts';
import type {
  AnnouncedPrefix,
  BridgePort,
  Inet6Interface,
  IpAddress,
  Link,
  NamespaceId,
  Neighbour,
  Netconf,
  Nexthop,
  Route,
  RoutingRule,
} from './objects.ts';
import * as S from './structs.ts';
import type * as types from './types.ts';

/** How one kind of object is read and written. */
export interface Body<T> {
  /** The struct before the attributes. */
  readonly header: Struct;
  /** The names of its attributes. */
  readonly table: AttributeTable;
  /**
   * Reads the bytes between two offsets, after the message's header.
   * @throws DecodeError
   */
  read(input: DecodeInput, from: number, end: number): T;
  /**
   * Writes the body.
   * @throws EncodeError
   */
  write(writer: MessageWriter, value: Encodable<T>): void;
}

/** Each object begins with its family, in one byte. */
type FamilyHeader = { readonly family?: AddressFamily | undefined };

type ReadHeader<Header> = (v: DataView, b: Uint8Array, at: number) => Header;
type WriteHeader<Header> = (v: DataView, b: Uint8Array, at: number, x: Encodable<Header>) => void;
type ReadAttributes<Attributes> = (
  v: DataView,
  b: Uint8Array,
  at: number,
  end: number,
  family: number,
  into: Attributes,
) => void;
type WriteAttributes<Attributes> = (
  w: MessageWriter,
  x: Encodable<Attributes>,
  family: number,
) => void;

function body<Header extends FamilyHeader, Attributes extends object>(
  header: Struct,
  table: AttributeTable,
  [readHeader, writeHeader]: [ReadHeader<Header>, WriteHeader<Header>],
  [readAttributes, writeAttributes]: [ReadAttributes<Attributes>, WriteAttributes<Attributes>],
): Body<Header & Attributes> {
  return {
    header,
    table,
    read({ view, bytes }, from, end) {
      if (end - from < header.size) {
        tooShort(`struct ${header.kernel}`, from, header.size, end - from);
      }
      // All attributes are optional, so the header alone is already a complete value.
      const value = readHeader(view, bytes, from) as Header & Attributes;
      const family = familyOfAddresses(bytes[from] as number);
      readAttributes(view, bytes, from + align4(header.size), end, family, value);
      return value;
    },
    write(writer, value) {
      const at = writer.reserve(header.size);
      writeHeader(writer.view, writer.bytes, at, value as Encodable<Header>);
      const family = familyOfAddresses(writer.bytes[at] as number);
      writeAttributes(writer, value as Encodable<Attributes>, family);
    },
  };
}

/** Attributes without addresses need no family. */
function plain<Attributes>(
  read: (v: DataView, b: Uint8Array, at: number, end: number, into: Attributes) => void,
  write: (w: MessageWriter, x: Encodable<Attributes>) => void,
): [ReadAttributes<Attributes>, WriteAttributes<Attributes>] {
  return [(v, b, at, end, _, into) => read(v, b, at, end, into), (w, x) => write(w, x)];
}

/**
 * The family of the addresses in an object, from the object's own family: multicast routing has its
 * own family numbers, and a forwarding table may hold either.
 */
function familyOfAddresses(family: number): number {
  switch (family) {
    case AddressFamily.numbers.ipmr:
      return AF_INET;
    case AddressFamily.numbers.ip6mr:
      return AF_INET6;
    case AF_UNSPEC:
    case AddressFamily.numbers.bridge:
      return ANY_FAMILY;
    default:
      return family;
  }
}

const linkHeader: [ReadHeader<types.LinkHeader>, WriteHeader<types.LinkHeader>] = [
  codec.readLinkHeader,
  codec.writeLinkHeader,
];

export const link: Body<Link> = body(
  S.ifinfomsg,
  links.linkAttributes,
  linkHeader,
  plain(codec.readLinkAttributes, codec.writeLinkAttributes),
);

export const port: Body<BridgePort> = body(
  S.ifinfomsg,
  links.portAttributes,
  linkHeader,
  plain(codec.readPortAttributes, codec.writePortAttributes),
);

export const inet6: Body<Inet6Interface> = body(
  S.ifinfomsg,
  links.inet6Attributes,
  linkHeader,
  plain(codec.readInet6Attributes, codec.writeInet6Attributes),
);

export const address: Body<IpAddress> = body(
  S.ifaddrmsg,
  attributes.addressAttributes,
  [codec.readAddressHeader, codec.writeAddressHeader],
  [codec.readAddressAttributes, codec.writeAddressAttributes],
);

export const route: Body<Route> = body(
  S.rtmsg,
  attributes.routeAttributes,
  [codec.readRouteHeader, codec.writeRouteHeader],
  [codec.readRouteAttributes, codec.writeRouteAttributes],
);

export const neighbour: Body<Neighbour> = body(
  S.ndmsg,
  attributes.neighbourAttributes,
  [codec.readNeighbourHeader, codec.writeNeighbourHeader],
  [codec.readNeighbourAttributes, codec.writeNeighbourAttributes],
);

export const rule: Body<RoutingRule> = body(
  S.fib_rule_hdr,
  attributes.ruleAttributes,
  [codec.readRuleHeader, codec.writeRuleHeader],
  [codec.readRuleAttributes, codec.writeRuleAttributes],
);

export const nexthop: Body<Nexthop> = body(
  S.nhmsg,
  attributes.nexthopAttributes,
  [codec.readNexthopHeader, codec.writeNexthopHeader],
  [codec.readNexthopAttributes, codec.writeNexthopAttributes],
);

export const nsid: Body<NamespaceId> = body(
  S.rtgenmsg,
  attributes.nsidAttributes,
  [codec.readRtGenMsg, codec.writeRtGenMsg],
  plain(codec.readNsidAttributes, codec.writeNsidAttributes),
);

export const netconf: Body<Netconf> = body(
  S.netconfmsg,
  attributes.netconfAttributes,
  [codec.readNetconfHeader, codec.writeNetconfHeader],
  plain(codec.readNetconfAttributes, codec.writeNetconfAttributes),
);

export const prefix: Body<AnnouncedPrefix> = body(
  S.prefixmsg,
  attributes.prefixAttributes,
  [codec.readPrefixHeader, codec.writePrefixHeader],
  plain(codec.readPrefixAttributes, codec.writePrefixAttributes),
);
