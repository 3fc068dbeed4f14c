/** The packets that a question is about, as words and as the kernel compares them. @module */
import { AF_INET6, addressFamily, canonicalAddress } from '../wire/address.ts';
import { printable } from '../wire/text.ts';
import type { XfrmSelector } from '../xfrm/types.ts';

/** Packets from one address to another. */
export interface Flow {
  readonly saddr: string;
  readonly daddr: string;
  readonly family: 'inet' | 'inet6';
  /** IP protocol number; 0 if none was named. */
  readonly proto: number;
  /** undefined: unknown; for ICMP the type. */
  readonly sport: number | undefined;
  /** undefined: unknown; for ICMP the code. */
  readonly dport: number | undefined;
}

/** A packet as policies and SAs see it. */
export interface Packet {
  readonly flow: Flow;
  readonly mark: number;
  /** Of the xfrm interface that it passes through; 0 for none. */
  readonly ifId: number;
  /** Index of the interface that a selector with an interface is compared with. */
  readonly ifindex: number;
}

/** The words of a flow make no sense. */
export class FlowError extends Error {}

const PROTOCOLS: Readonly<Record<string, number>> = {
  icmp: 1,
  tcp: 6,
  udp: 17,
  gre: 47,
  icmp6: 58,
  icmpv6: 58,
  ospf: 89,
  sctp: 132,
};
const ICMP = new Set([1, 58]);
/** Those whose selectors have ports (include/net/xfrm.h, xfrm_flowi_sport). */
const WITH_PORTS = new Set([6, 17, 33, 132, 136]);
/** Echo request (RFC 792, RFC 4443). */
const ECHO: Readonly<Record<number, number>> = { 1: 8, 58: 128 };
const EXAMPLE = "such as '10.1.0.5 > 10.2.0.7 tcp 443'";

/**
 * Parses words such as `10.1.0.5 > 10.2.0.7 tcp 443`. Between the addresses, which may have ports
 * (`10.1.0.5:5000`, `[2001:db8::1]:5000`), are `>`, `->`, `to` or nothing.
 *
 * @throws FlowError
 */
export function parseFlow(words: readonly string[]): Flow {
  const all = words.join(' ').replace(/->|>/g, ' ').split(/\s+/).filter(Boolean);
  const [first, second, ...rest] = all.filter((word) => word !== 'to');
  if (first === undefined) throw new FlowError(`a flow is missing, ${EXAMPLE}`);
  const source = endOf(first);
  if (second === undefined || !/[.:]/.test(second)) {
    throw new FlowError(
      `a second address is missing, ${EXAMPLE}: without quotes the shell takes '>' for a redirection`,
    );
  }
  const target = endOf(second);
  if (source.family !== target.family) {
    throw new FlowError(`${source.address} and ${target.address} are not of one family`);
  }
  const { proto, ports } = transportOf(rest, source.family);
  const [sport, dport] = ICMP.has(proto)
    ? [ports[0] ?? ECHO[proto], ports[1] ?? 0]
    : [source.port, target.port ?? ports[0]];
  if (target.port !== undefined && ports[0] !== undefined) {
    throw new FlowError(`the destination port is given twice: ${target.port} and ${ports[0]}`);
  }
  if ((source.port ?? target.port) !== undefined && !WITH_PORTS.has(proto)) {
    throw new FlowError('a port needs a protocol that has ports: tcp, udp, sctp');
  }
  return {
    saddr: source.address,
    daddr: target.address,
    family: source.family,
    proto,
    sport,
    dport,
  };
}

interface End {
  readonly address: string;
  readonly family: 'inet' | 'inet6';
  readonly port: number | undefined;
}

function endOf(word: string): End {
  const [, in6, port6] = /^\[([^\]]+)\](?::(.*))?$/.exec(word) ?? [];
  const [, in4, port4] = /^(\d+(?:\.\d+){3}):(.*)$/.exec(word) ?? [];
  const text = in6 ?? in4 ?? word;
  const family = addressFamily(text);
  if (family === undefined) {
    throw new FlowError(`'${printable(word)}' is not an IP address; a flow is ${EXAMPLE}`);
  }
  const port = port6 ?? port4;
  return {
    address: canonicalAddress(text),
    family: family === AF_INET6 ? 'inet6' : 'inet',
    port: port === undefined ? undefined : number(port, 0xffff, 'a port'),
  };
}

function transportOf(words: readonly string[], family: Flow['family']) {
  const [name, ...rest] = words;
  if (name === undefined) return { proto: 0, ports: [] };
  const named = Object.hasOwn(PROTOCOLS, name) ? PROTOCOLS[name] : undefined;
  const known = named === 1 && family === 'inet6' ? 58 : named;
  if (known === undefined && !/^\d+$/.test(name)) {
    throw new FlowError(
      `'${printable(name)}' is not a protocol: ${Object.keys(PROTOCOLS).join(', ')} or a number`,
    );
  }
  const proto = known ?? number(name, 255, 'a protocol');
  if (proto === (family === 'inet6' ? 1 : 58)) {
    throw new FlowError(`${name} is not for ${family === 'inet6' ? 'IPv6' : 'IPv4'}`);
  }
  const most = ICMP.has(proto) ? 2 : WITH_PORTS.has(proto) ? 1 : 0;
  const numbers = rest.flatMap((word) => word.split('/'));
  if (numbers.length > most) {
    const what = most === 0 ? `${name} has no ports` : `one port, after ${name}`;
    throw new FlowError(`unexpected '${printable(rest.join(' '))}': ${what}`);
  }
  const limit = most === 2 ? 255 : 0xffff;
  const what = most === 2 ? 'a type or code of ICMP' : 'a port';
  return { proto, ports: numbers.map((one) => number(one, limit, what)) };
}

function number(text: string, most: number, what: string): number {
  if (/^\d+$/.test(text) && Number(text) <= most) return Number(text);
  throw new FlowError(`'${printable(text)}' is not ${what}: a number from 0 to ${most}`);
}

const NAMES: Readonly<Record<number, string>> = Object.fromEntries(
  Object.entries(PROTOCOLS).map(([name, proto]) => [proto, name]),
);

/** A flow as text. */
export function describeFlow({ saddr, daddr, proto, sport, dport }: Flow): string {
  const ended = (address: string, port: number | undefined) =>
    port === undefined || ICMP.has(proto)
      ? address
      : `${address.includes(':') ? `[${address}]` : address}:${port}`;
  const name = NAMES[proto] ?? `protocol ${proto}`;
  const what = ICMP.has(proto) ? `${name} ${sport}/${dport}` : name;
  return `${ended(saddr, sport)} > ${ended(daddr, dport)}${proto === 0 ? '' : ` ${what}`}`;
}

/** Protocols of which selectors see something else as ports: GRE's key, the type of Mobile IPv6. */
const WITH_OTHERS = new Set([47, 135]);
/** Those of other protocols are 0 (include/net/xfrm.h, xfrm_flowi_sport; seen on 7.2). */
const hasNone = (proto: number): boolean =>
  proto !== 0 && !ICMP.has(proto) && !WITH_PORTS.has(proto) && !WITH_OTHERS.has(proto);

/** A flow as a selector that only its packets match; unknown ports match no selector with one. */
export function selectorOf(flow: Flow): XfrmSelector {
  const { saddr, daddr, family, proto } = flow;
  const { sport, dport } = hasNone(proto) ? { sport: 0, dport: 0 } : flow;
  const bits = family === 'inet6' ? 128 : 32;
  return {
    saddr,
    daddr,
    family,
    prefixlenS: bits,
    prefixlenD: bits,
    proto,
    sport: sport ?? 0,
    dport: dport ?? 0,
    sportMask: sport === undefined ? 0 : 0xffff,
    dportMask: dport === undefined ? 0 : 0xffff,
    ifindex: 0,
    user: 0,
  };
}
