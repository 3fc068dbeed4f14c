/** rtnetlink messages from bytes to events and back: recorded, generated and broken ones. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import fc from 'fast-check';
import pc from 'picocolors';
import { formatJson } from '../../lib/cli/json.ts';
import { formatEvent } from '../../lib/cli/text/event.ts';
import * as R from '../../lib/constants.ts';
import {
  type DecodeInput,
  type DecodeMessage,
  decodeDatagram,
  type Malformed,
} from '../../lib/netlink/event.ts';
import { decodeRoute } from '../../lib/route/decode.ts';
import { decodeRouteMessage } from '../../lib/route/decode-message.ts';
import { encodeRoute, type RouteInput } from '../../lib/route/encode.ts';
import type { RouteEvent } from '../../lib/route/events.ts';
import type { RouteMessage } from '../../lib/route/requests.ts';
import { readRawAttributes } from '../../lib/wire/attribute.ts';
import { EncodeError } from '../../lib/wire/error.ts';
import { MessageWriter } from '../../lib/wire/message-writer.ts';
import { captures } from './captures.ts';
import { attribute, type Kind, kinds, message, routeBytes } from './generate-route.ts';
import { generated, Random, runSeed } from './random.ts';
import { refusedNulls } from './wrong-values.ts';

const time = { wall: 0, monotonic: 0 };
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

/** The messages of a datagram that does not begin where its memory does. */
function decode(
  bytes: Uint8Array,
  decoder: DecodeMessage<RouteMessage> = decodeRouteMessage,
): (RouteMessage | Malformed)[] {
  const memory = new Uint8Array(bytes.length + 24).fill(0xee);
  memory.set(bytes, 8);
  const input: DecodeInput = {
    view: new DataView(memory.buffer),
    bytes: memory,
    time,
    keys: false,
  };
  const messages: (RouteMessage | Malformed)[] = [];
  decodeDatagram(input, 8, bytes.length, false, decoder, (one) => messages.push(one));
  return messages;
}

function only(bytes: Uint8Array): RouteMessage | Malformed {
  const [message, ...more] = decode(bytes);
  assert(message !== undefined && more.length === 0, inspect(message));
  return message;
}

function whole(bytes: Uint8Array): RouteMessage {
  const message = only(bytes);
  assert(message.kind !== 'malformed', inspect(message));
  return message;
}

function encode(message: RouteInput): Uint8Array {
  const writer = new MessageWriter(16);
  encodeRoute(writer, message);
  return writer.written().slice();
}

const text = (value: string) => new Uint8Array(Buffer.from(`${value}\0`));
const ROUTE = [2, 0, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0];
const LINK = [0, 0, 1, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];

test('every recorded rtnetlink message decodes, and encodes to the bytes it came from', () => {
  const kinds = new Map<string, number>();
  for (const { name, bytes } of captures('route')) {
    for (const message of decode(bytes, decodeRoute)) {
      assert(message.kind !== 'malformed' && message.kind !== 'request', inspect(message));
      const [, type = ''] = /rtnl_RTM_([A-Z]+)_/.exec(name) ?? [];
      const object: Record<number, string> = { 7: 'PORT', 10: 'IFINFO' };
      const expected = type.replace('LINK', object[bytes[16] as number] ?? 'LINK');
      assert.equal(message.kind, expected, name);
      const encoded = encode(message);
      if (/ADDR_IPV6_IFADDR/.test(name)) {
        // IPv6 has another order than IPv4, whose table it shares.
        const sorted = (of: Uint8Array) =>
          readRawAttributes(new DataView(of.buffer, of.byteOffset), of, 24, of.length)
            .map(({ type, bytes }) => `${type} ${hex(bytes)}`)
            .sort();
        assert.deepEqual(sorted(encoded), sorted(bytes), name);
        assert.equal(hex(encoded.slice(0, 24)), hex(bytes.slice(0, 24)), name);
      } else assert.equal(hex(encoded), hex(bytes), name);
      kinds.set(message.kind, (kinds.get(message.kind) ?? 0) + 1);
    }
  }
  assert(kinds.size >= 18, [...kinds].join(' '));
});

test('in rtnetlink too, null and values of a wrong type are rejected by name', () => {
  const [failed, tried] = [new Set<string>(), new Set<string>()];
  for (const { bytes } of captures('route')) {
    for (const message of decode(bytes, decodeRoute)) {
      assert(message.kind !== 'malformed' && message.kind !== 'request', inspect(message));
      for (const path of refusedNulls(message, message.kind, tried, () => encode(message)))
        failed.add(path);
    }
  }
  assert(failed.has('link.info') && failed.has('route.cache'), [...failed].join(' '));
});

test('a generated rtnetlink message decodes, and encodes to the same bytes', () => {
  const seed = runSeed();
  console.log(`seed ${seed}`);
  const index = fc.nat(kinds.length - 1);
  fc.assert(
    fc.property(index, fc.noBias(fc.integer()), (kind, one) => {
      const bytes = routeBytes(kinds[kind] as Kind, new Random(one));
      const decoded = whole(bytes);
      assert.equal(decoded.kind === 'rtnetlink', (kinds[kind] as Kind).body === undefined);
      assert.equal(hex(encode(decoded)), hex(bytes));
    }),
    { numRuns: generated(6000), seed, includeErrorInReport: true },
  );
});

test('whatever the bytes of rtnetlink, there are events and records, and nothing else', () => {
  const seed = runSeed();
  console.log(`seed ${seed}`);
  const mutation = fc.tuple(fc.nat(), fc.nat(255));
  let malformed = 0;
  let equal = 0;
  fc.assert(
    fc.property(
      fc.nat(kinds.length - 1),
      fc.noBias(fc.integer()),
      fc.array(mutation, { maxLength: 5 }),
      (kind, one, mutations) => {
        const bytes = routeBytes(kinds[kind] as Kind, new Random(one));
        for (const [at, value] of mutations) bytes[at % bytes.length] = value;
        for (const event of decode(bytes)) {
          if (event.kind === 'malformed') {
            malformed++;
            assert(event.offset >= 0 && event.offset <= bytes.length, inspect(event));
            continue;
          }
          // Numbers longer than their type lose bytes; the values stay.
          const again = whole(encode(event));
          assert.deepEqual(again, event);
          equal++;
          if (event.kind === 'request') continue;
          const line = formatEvent(event, pc.createColors(false));
          // biome-ignore lint/suspicious/noControlCharactersInRegex: they must not be there
          assert(!/[\x00-\x1f\x7f-\x9f]/.test(line), line);
          JSON.parse(formatJson(event, false));
        }
      },
    ),
    { numRuns: generated(4000), seed, includeErrorInReport: true },
  );
  assert(
    malformed > generated(500) && equal > generated(2000),
    `${malformed} malformed, ${equal} equal`,
  );
});

test('messages about bridge ports and IPv6 are not links', () => {
  const kindOf = (type: number, family: number) =>
    whole(message(type, [family, ...LINK.slice(1)], attribute(R.IFLA_IFNAME, text('eth0')))).kind;
  assert.equal(kindOf(R.RTM_NEWLINK, 0), 'NEWLINK');
  assert.equal(kindOf(R.RTM_DELLINK, 0), 'DELLINK');
  assert.equal(kindOf(R.RTM_NEWLINK, 7), 'NEWPORT');
  assert.equal(kindOf(R.RTM_DELLINK, 7), 'DELPORT');
  assert.equal(kindOf(R.RTM_NEWLINK, 10), 'NEWIFINFO');
  assert.equal(kindOf(R.RTM_DELLINK, 10), 'DELIFINFO');
  assert.equal(kindOf(R.RTM_DELLINK, 45), 'rtnetlink');
});

test('malformed messages are one record with position and reason', () => {
  const nexthop = (length: number, ...attributes: number[][]) => [
    ...[length, 0, 0, 0, 5, 0, 0, 0],
    ...attributes.flat(),
  ];
  const linkOf = (kind: string, ...data: number[][]) =>
    message(
      R.RTM_NEWLINK,
      LINK,
      attribute(
        R.IFLA_LINKINFO,
        ...attribute(R.IFLA_INFO_KIND, text(kind)),
        ...attribute(R.IFLA_INFO_DATA, ...data.flat()),
      ),
    );
  const multipath = (...bytes: number[]) =>
    message(R.RTM_NEWROUTE, ROUTE, attribute(R.RTA_MULTIPATH, ...bytes));
  const cases: [name: string, bytes: Uint8Array, path: string[], reason: RegExp][] = [
    [
      'a nested attribute longer than its parent',
      message(R.RTM_NEWLINK, LINK, attribute(R.IFLA_LINKINFO, 40, 0, 1, 0, 0x78, 0, 0, 0)),
      ['NEWLINK', 'IFLA_LINKINFO'],
      /attribute 1 has length 40, but 8 bytes are left/,
    ],
    [
      'the same two nests deep',
      message(
        R.RTM_NEWLINK,
        LINK,
        attribute(
          R.IFLA_LINKINFO,
          ...attribute(R.IFLA_INFO_KIND, text('xfrm')),
          ...attribute(R.IFLA_INFO_DATA, 9, 0, 2, 0, 1, 0, 0, 0),
        ),
      ),
      ['NEWLINK', 'IFLA_LINKINFO', 'IFLA_INFO_DATA'],
      /attribute 2 has length 9, but 8 bytes are left/,
    ],
    [
      'an entry of length 0',
      multipath(...nexthop(0)),
      ['NEWROUTE', 'RTA_MULTIPATH'],
      /a record has length 0, but 8 bytes are left/,
    ],
    [
      'an entry longer than the attribute',
      multipath(...nexthop(20)),
      ['NEWROUTE', 'RTA_MULTIPATH'],
      /a record has length 20, but 8 bytes are left/,
    ],
    [
      'half an entry',
      multipath(...nexthop(8), 8, 0, 0, 0),
      ['NEWROUTE', 'RTA_MULTIPATH'],
      /needs 8 bytes, has 4/,
    ],
    [
      'a wrong address in the second entry',
      multipath(...nexthop(8), ...nexthop(17, attribute(R.RTA_GATEWAY, 1, 2, 3, 4, 5))),
      ['NEWROUTE', 'RTA_MULTIPATH', '[1]', 'RTA_GATEWAY'],
      /an address of family 2 has 4 bytes, not 5/,
    ],
    [
      'an IPv4 route with an IPv6 destination',
      message(R.RTM_NEWROUTE, ROUTE, attribute(R.RTA_DST, new Uint8Array(16))),
      ['NEWROUTE', 'RTA_DST'],
      /an address of family 2 has 4 bytes, not 16/,
    ],
    [
      'an IPv6 address of 4 bytes',
      message(R.RTM_NEWADDR, [10, 64, 0, 0, 1, 0, 0, 0], attribute(R.IFA_ADDRESS, 1, 2, 3, 4)),
      ['NEWADDR', 'IFA_ADDRESS'],
      /an address of family 10 has 16 bytes, not 4/,
    ],
    [
      'an end of a vti of IPv4 with 16 bytes',
      linkOf('vti', attribute(R.IFLA_VTI_LOCAL, new Uint8Array(16))),
      ['NEWLINK', 'IFLA_LINKINFO', 'IFLA_INFO_DATA', 'IFLA_VTI_LOCAL'],
      /an address of family 2 has 4 bytes, not 16/,
    ],
    [
      'an end of an ip6gretap with 4 bytes',
      linkOf('ip6gretap', attribute(R.IFLA_GRE_REMOTE, 1, 2, 3, 4)),
      ['NEWLINK', 'IFLA_LINKINFO', 'IFLA_INFO_DATA', 'IFLA_GRE_REMOTE'],
      /an address of family 10 has 16 bytes, not 4/,
    ],
    [
      'a wrapping in IPv6 whose end has 4 bytes',
      message(
        R.RTM_NEWROUTE,
        ROUTE,
        attribute(R.RTA_ENCAP, ...attribute(R.LWTUNNEL_IP6_DST, 1, 1, 1, 1)),
        attribute(R.RTA_ENCAP_TYPE, R.LWTUNNEL_ENCAP_IP6, 0),
      ),
      ['NEWROUTE', 'RTA_ENCAP', 'LWTUNNEL_IP6_DST'],
      /an address of family 10 has 16 bytes, not 4/,
    ],
    [
      'a VIA of IPv4 with three bytes',
      message(R.RTM_NEWROUTE, ROUTE, attribute(R.RTA_VIA, 2, 0, 1, 2, 3)),
      ['NEWROUTE', 'RTA_VIA'],
      /an address of family 2 has 4 bytes, not 3/,
    ],
    [
      'a VIA without a family',
      message(R.RTM_NEWROUTE, ROUTE, attribute(R.RTA_VIA, 2)),
      ['NEWROUTE', 'RTA_VIA'],
      /needs 2 bytes, has 1/,
    ],
    [
      'a number that is too short',
      message(R.RTM_NEWLINK, LINK, attribute(R.IFLA_MTU, 5, 6)),
      ['NEWLINK', 'IFLA_MTU'],
      /needs 4 bytes, has 2/,
    ],
    [
      'counters that are too short',
      message(R.RTM_NEWLINK, LINK, attribute(R.IFLA_STATS64, new Uint8Array(100))),
      ['NEWLINK', 'IFLA_STATS64'],
      /needs 184 bytes, has 100/,
    ],
    [
      'a struct that is cut short',
      message(R.RTM_NEWROUTE, ROUTE.slice(0, 8)),
      ['NEWROUTE', 'struct rtmsg'],
      /needs 12 bytes, has 8/,
    ],
    ['a link of nothing', message(R.RTM_NEWLINK, []), ['NEWLINK', 'struct ifinfomsg'], /has 0/],
  ];
  for (const [name, bytes, path, reason] of cases) {
    const record = only(bytes);
    assert(record.kind === 'malformed', name);
    assert.deepEqual(record.path, path, name);
    assert.match(record.reason, reason, name);
  }
});

test('unknown values are kept as received', () => {
  const route = whole(
    message(R.RTM_NEWROUTE, ROUTE, attribute(R.RTA_VIA, 99, 0, 1, 2, 3, 4), attribute(300, 1, 2)),
  );
  assert(route.kind === 'NEWROUTE');
  assert.deepEqual(route.route.via, { family: 99, address: '01020304' });
  assert.deepEqual(route.route.unknown, [{ type: 300, flags: 0, bytes: Uint8Array.of(1, 2) }]);
  // An MPLS label is not an IPv4 address, though it has four bytes.
  const mpls = whole(
    message(R.RTM_NEWROUTE, [28, ...ROUTE.slice(1)], attribute(R.RTA_DST, 0, 6, 65, 0)),
  );
  assert(mpls.kind === 'NEWROUTE' && mpls.route.dst === '00064100');
  const data = attribute(R.IFLA_INFO_DATA, 200, 1, 2);
  const link = whole(
    message(
      R.RTM_NEWLINK,
      LINK,
      attribute(R.IFLA_LINKINFO, ...attribute(R.IFLA_INFO_KIND, text('new')), ...data),
    ),
  );
  assert(link.kind === 'NEWLINK');
  assert.deepEqual(link.link.info, { kind: 'new', data: Uint8Array.of(200, 1, 2) });
});

test("counter structs may be shorter or longer than today's", () => {
  const stats = (length: number) => {
    const bytes = Uint8Array.from({ length }, (_, i) => (i % 8 === 0 ? 1 + i / 8 : 0));
    const event = whole(message(R.RTM_NEWLINK, LINK, attribute(R.IFLA_STATS64, bytes)));
    assert(event.kind === 'NEWLINK' && event.link.stats);
    return event.link.stats;
  };
  assert.deepEqual(
    [184, 192, 200, 208].map((length) => {
      const { txCompressed, rxNohandler, rxOtherhostDropped, more } = stats(length);
      return [txCompressed, rxNohandler, rxOtherhostDropped, more?.length];
    }),
    [
      [23n, undefined, undefined, undefined],
      [23n, 24n, undefined, undefined],
      [23n, 24n, 25n, undefined],
      [23n, 24n, 25n, 8],
    ],
  );
});

test('names are UTF-8, and invalid bytes survive a round trip', () => {
  const cases: [bytes: string, name: string, printed: RegExp][] = [
    ['74c3bc6e30', 'tün0', /NEWLINK {3}tün0 index 3/],
    ['e282ac20f09f98803030', '€ 😀00', /NEWLINK {3}€ 😀00 index 3/],
    ['74fc6e30', 't\udcfcn0', /NEWLINK {3}t\\xfcn0 index 3/],
    ['c3bcc3', 'ü\udcc3', /NEWLINK {3}ü\\xc3 index 3/],
  ];
  for (const [bytes, name, printed] of cases) {
    const payload = new Uint8Array(Buffer.from(`${bytes}00`, 'hex'));
    const told = message(R.RTM_NEWLINK, LINK, attribute(R.IFLA_IFNAME, payload));
    const event = whole(told) as RouteEvent;
    assert(event.kind === 'NEWLINK');
    assert.equal(event.link.name, name);
    assert.match(formatEvent(event, pc.createColors(false)), printed);
    assert.equal(JSON.parse(formatJson(event, false)).link.name, name);
    assert.equal(hex(encode(event)), hex(told));
  }
});

test('a name that holds control characters prints as its escape', () => {
  const name = '\x1b[31m\x7f\x9b';
  const rename = attribute(R.IFLA_IFNAME, text(name));
  const event = whole(message(R.RTM_NEWLINK, LINK, rename)) as RouteEvent;
  assert(event.kind === 'NEWLINK' && event.link.name === name);
  const line = formatEvent(event, pc.createColors(false));
  assert.match(line, /NEWLINK {3}\\x1b\[31m\\x7f\\x9b index 3 ether up/);
});

/** The line of an event, without its time and kind. */
const lineOf = (input: RouteInput) =>
  formatEvent(whole(encode(input)) as RouteEvent, pc.createColors(false))
    .slice(23)
    .trimStart();

test('a line has every condition of a rule, and of a route', () => {
  const base = { family: 'inet', action: 'to-table', table: 300 } as const;
  const all = 0xffff_ffff;
  const rules: [rule: RouteInput<RouteEvent & { kind: 'NEWRULE' }>['rule'], line: string][] = [
    [
      {
        ...base,
        priority: 101,
        flags: ['invert', 'iif-detached'],
        iifName: 'eth0',
        mark: 5,
        markMask: all,
        uidRange: { start: 1000, end: 2000 },
        ipProto: 6,
        sportRange: { start: 1, end: 9 },
        dportRange: { start: 80, end: 80 },
        sportMask: 0xffff,
        dportMask: 0xfff,
        tunnelId: 5n,
        suppressPrefixLength: all,
        suppressGroup: all,
      },
      'priority 101 inet not from all iif eth0 mark 0x5/0xffffffff uidrange 1000-2000 ipproto 6 ' +
        'sport 1-9 dport 80/0xfff tun_id 5 table 300 iif-detached',
    ],
    [
      { ...base, table: 0, tos: 16, l3mdev: 1, flags: ['permanent'] },
      'priority 0 inet from all tos 0x10 table of the VRF',
    ],
    [
      {
        ...base,
        family: 'inet6',
        dscp: 8,
        dscpMask: 0x3f,
        flowLabel: 0x12,
        flowLabelMask: 0xff,
        suppressPrefixLength: 0,
        suppressGroup: 7,
      },
      'priority 0 inet6 from all dscp 0x8 flowlabel 0x12/0xff table 300 suppress_prefixlength 0 ' +
        'suppress_ifgroup 7',
    ],
  ];
  for (const [rule, line] of rules) assert.equal(lineOf({ kind: 'NEWRULE', rule }), line);
  const route = { family: 'inet', type: 'unicast', table: 254, tos: 16, oif: 2, iif: 3 } as const;
  assert.equal(
    lineOf({ kind: 'NEWROUTE', route }),
    'default iif ifindex 3 tos 0x10 ifindex 2 table 254 protocol unspec',
  );
});

test('a line has the whole weight of a next hop, and the marks and ids that lead to SAs', () => {
  const group = [
    { id: 1, weight: 187, weightHigh: 2 },
    { id: 3, weight: 1 },
  ];
  assert.equal(
    lineOf({ kind: 'NEWNEXTHOP', nexthop: { id: 5, groupType: 'resilient', group } }),
    'id 5 [id 1 weight 700] [id 3 weight 2] type resilient',
  );
  const wrapped = { encapType: 'xfrm', encapXfrm: { ifId: 9 } } as const;
  assert.equal(
    lineOf({ kind: 'NEWNEXTHOP', nexthop: { id: 6, oif: 2, ...wrapped } }),
    'id 6 ifindex 2 encap xfrm if_id 0x9',
  );
  const route = { family: 'inet', type: 'unicast', table: 254 } as const;
  assert.equal(
    lineOf({ kind: 'NEWROUTE', route: { ...route, oif: 2, ...wrapped } }),
    'default ifindex 2 table 254 protocol unspec encap xfrm if_id 0x9',
  );
  const nexthops = [{ index: 2, ...wrapped }];
  assert.equal(
    lineOf({ kind: 'NEWROUTE', route: { ...route, nexthops } }),
    'default [ifindex 2 encap xfrm if_id 0x9 weight 1] table 254 protocol unspec',
  );
  const vti = { ikey: 9, okey: 0, local: '192.0.2.1', remote: '192.0.2.2' };
  assert.match(
    lineOf({ kind: 'NEWLINK', link: { name: 'v', index: 5, info: { kind: 'vti', vti } } }),
    /local 192\.0\.2\.1 remote 192\.0\.2\.2 ikey 0x9$/,
  );
});

test('values that do not fit into rtnetlink are rejected by name', () => {
  const request = (route: object) =>
    encode({ kind: 'request', message: 'NEWROUTE', route: { family: 'inet', ...route } });
  const cases: [route: object, path: string[], reason: RegExp][] = [
    [
      { dst: '2001:db8::' },
      ['RTA_DST'],
      /invalid value "2001:db8::": expected an address of family 2/,
    ],
    [
      { gateway: 'router' },
      ['RTA_GATEWAY'],
      /invalid value "router": expected an address of family 2/,
    ],
    [{ dstLength: 256 }, [], /invalid value 256: expected an integer from 0 to 255/],
    [{ scope: 'global' }, [], /invalid value "global": expected one of universe, site/],
    [
      { nexthops: [{ gateway: '::1' }] },
      ['RTA_MULTIPATH', 'RTA_GATEWAY'],
      /expected an address of family 2/,
    ],
    [
      { via: { family: 'inet6', address: '192.0.2.1' } },
      ['RTA_VIA'],
      /expected an address of family 10/,
    ],
    [
      { encapType: 'ip', encapIp: { dst: 'fc00::1' } },
      ['RTA_ENCAP', 'LWTUNNEL_IP_DST'],
      /invalid value "fc00::1": expected an address of family 2/,
    ],
    [
      { nexthops: [{ encapType: 'ip6', encapIp6: { src: '10.0.0.1' } }] },
      ['RTA_MULTIPATH', 'RTA_ENCAP', 'LWTUNNEL_IP6_SRC'],
      /expected an address of family 10/,
    ],
    [
      { metrics: { mtu: -1 } },
      ['RTA_METRICS', 'RTAX_MTU'],
      /invalid value -1: expected an integer/,
    ],
  ];
  for (const [route, path, reason] of cases) {
    assert.throws(
      () => request(route),
      (error: unknown) => {
        assert(error instanceof EncodeError, inspect(error));
        assert.deepEqual(error.path.slice(0, 1 + path.length), ['NEWROUTE', ...path]);
        assert.match(error.reason, reason);
        return true;
      },
    );
  }
});

test('the ends of a tunnel are of the family that its kind has', () => {
  const kinds: Record<string, ['vti' | 'tunnel' | 'gre', family: 4 | 6]> = {
    vti: ['vti', 4],
    vti6: ['vti', 6],
    ipip: ['tunnel', 4],
    sit: ['tunnel', 4],
    ip6tnl: ['tunnel', 6],
    gre: ['gre', 4],
    gretap: ['gre', 4],
    erspan: ['gre', 4],
    ip6gre: ['gre', 6],
    ip6gretap: ['gre', 6],
    ip6erspan: ['gre', 6],
  };
  for (const [kind, [property, family]] of Object.entries(kinds)) {
    for (const [remote, of] of [
      ['192.0.2.1', 4],
      ['fc00::1', 6],
    ] as const) {
      const info = { kind, [property]: { remote } };
      const add = () => encode({ kind: 'request', message: 'NEWLINK', link: { info } });
      if (of === family) {
        const decoded = whole(add());
        assert('link' in decoded);
        assert.deepEqual(decoded.link.info, info);
      } else {
        assert.throws(add, (error: unknown) => {
          assert(error instanceof EncodeError, inspect(error));
          assert.equal(error.path.at(-1), 'remote');
          assert.match(error.reason, /expected an address of family/);
          return true;
        });
      }
    }
  }
});
