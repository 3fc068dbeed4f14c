/** What requests to rtnetlink refuse before anything is sent, because the kernel would not. */
import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { test } from 'node:test';
import { inspect } from 'node:util';
import type { Request } from '../../lib/netlink/request.ts';
import { addAddress } from '../../lib/route/address-requests.ts';
import { addLink, altNames, updateLink } from '../../lib/route/link-requests.ts';
import { requestOf } from '../../lib/route/question.ts';
import { addRoute, addRule } from '../../lib/route/route-requests.ts';
import { EncodeError } from '../../lib/wire/error.ts';
import { MessageWriter } from '../../lib/wire/message-writer.ts';
import { NO_LIMIT } from '../../lib/wire/time.ts';

const link = (value: object) => requestOf(addLink({ name: 'k0', ...value }));
const change = (value: object) => requestOf(updateLink(value)(5));
const route = (value: object) =>
  requestOf(addRoute({ dst: '10.9.0.0', dstLength: 16, oif: 5, ...value }));

const rule = (value: object) => requestOf(addRule({ family: 'inet', ...value }));

const u32 = (value: number) => new Uint8Array(Uint32Array.of(value).buffer);

/** Makes the bytes of a request. */
function send({ write }: Request): void {
  write(new MessageWriter(), { flags: 0, seq: 1 });
}

function refuses(request: () => unknown, path: readonly string[], reason: RegExp): void {
  assert.throws(request, (error: unknown) => {
    assert(error instanceof EncodeError, inspect(error));
    assert.deepEqual(error.path, path);
    assert.match(error.reason, reason);
    return true;
  });
}

test('data of another kind, or without one, is rejected', () => {
  const info = ['NEWLINK', 'info'];
  refuses(
    () => link({ info: { kind: 'veth', bridge: { stpState: 1 } } }),
    [...info, 'bridge'],
    /^needs kind to be bridge; received "veth"$/,
  );
  refuses(
    () => link({ info: { kind: 'dummy', veth: { peer: { name: 'k1' } } } }),
    [...info, 'veth'],
    /^needs kind to be veth; received "dummy"$/,
  );
  refuses(
    () => link({ info: { kind: 'veth', gre: {}, veth: {} } }),
    [...info, 'gre'],
    /^needs kind to be gre, gretap, ip6gre/,
  );
  refuses(
    () => link({ info: { kind: 'vlan', vlan: { id: 5 }, data: new Uint8Array(4) } }),
    [...info, 'vlan'],
    /^and data set the same attribute/,
  );
  refuses(
    () => change({ info: { bridge: { stpState: 1 } } }),
    [...info, 'bridge'],
    /^needs kind to be bridge$/,
  );
  refuses(
    () => change({ info: { slaveKind: 'bond', port: { cost: 5 } } }),
    [...info, 'port'],
    /^needs slaveKind to be bridge; received "bond"$/,
  );
  refuses(
    () => route({ encapType: 'ip', encapMpls: { ttl: 5 } }),
    ['NEWROUTE', 'encapMpls'],
    /^needs encapType to be mpls; received "ip"$/,
  );
  refuses(
    () => route({ nexthops: [{ index: 5, encapType: 2, encapIp6: { id: 1n } }] }),
    ['NEWROUTE', 'nexthops[0]', 'encapIp6'],
    /^needs encapType to be ip6; received "ip"$/,
  );
  // What belongs together, and bytes for any kind.
  link({ info: { kind: 'vti6', vti: { ikey: 5 } } });
  link({ info: { kind: 'veth', data: new Uint8Array(4) } });
  change({ info: { slaveKind: 'bridge', port: { cost: 5 } } });
  route({ encapType: 2, encapIp: { id: 1n } });
});

test('options that would have no effect, or a different one, are rejected', () => {
  refuses(
    () => link({ info: { kind: 'bridge' }, properties: { altNames: ['x'] } }),
    ['NEWLINK', 'properties'],
    /addLinkAltNames/,
  );
  refuses(() => change({ properties: { altNames: ['x'] } }), ['NEWLINK', 'properties'], /./);
  refuses(() => change({ alias: 'x\0y' }), ['NEWLINK', 'alias'], /^contains a NUL character$/);
  refuses(
    () => change({ index: 1, mtu: 1400 }),
    ['NEWLINK', 'index'],
    /^is 1, but the link’s index is 5/,
  );
  change({ index: 5, mtu: 1400 });
});

test('how long an IPv6 route lasts is 32 bits of seconds, whether said or listed', () => {
  const bytesOf = (value: object) => {
    const writer = new MessageWriter();
    const base = { dst: '2001:db8::', dstLength: 32, oif: 5 };
    requestOf(addRoute({ ...base, ...value })).write(writer, { flags: 0, seq: 1 });
    return Buffer.from(writer.written()).toString('hex');
  };
  const said = bytesOf({ unknown: [{ type: 23, flags: 0, bytes: u32(60) }] });
  assert.equal(bytesOf({ expiresSeconds: 60 }), said);
  assert.equal(bytesOf({ cache: { expiresMs: 59_970 } }), said);
  const over = bytesOf({ cache: { expiresMs: -30 } });
  assert.equal(over, bytesOf({ expiresSeconds: 1 }));
  for (const none of [{ cache: { expiresMs: NO_LIMIT } }, { expiresSeconds: NO_LIMIT }]) {
    assert.equal(bytesOf(none), bytesOf({}));
  }
  for (const expiresSeconds of [2 ** 32, 60n, -1, 1.5, Symbol('1')] as never[]) {
    const path = ['NEWROUTE', 'RTA_EXPIRES', 'expiresSeconds'];
    refuses(() => bytesOf({ expiresSeconds }), path, /expected an integer/);
  }
});

test('the ways that a list has of a next hop object do not go into requests', () => {
  const bytesOf = (value: object) => {
    const writer = new MessageWriter();
    route(value).write(writer, { flags: 0, seq: 1 });
    return Buffer.from(writer.written()).toString('hex');
  };
  const alone = bytesOf({ nexthopId: 3, oif: undefined });
  const ways = { nexthops: [{ index: 5, gateway: '10.1.0.1' }], oif: 5, gateway: '10.1.0.1' };
  const encap = { encapType: 'mpls', encapMpls: { ttl: 5 } };
  assert.equal(bytesOf({ nexthopId: 3, ...ways, ...encap }), alone);
});

test('alternative names are checked as names', () => {
  const names = (...given: unknown[]) =>
    requestOf(altNames('NEWLINKPROP', { index: 1 }, given as string[]));
  refuses(() => names('a', 'b c'), ['NEWLINKPROP', 'names[1]'], /white space/);
  refuses(() => names('x'.repeat(128)), ['NEWLINKPROP', 'names[0]'], /at most 127/);
  refuses(() => names(5), ['NEWLINKPROP', 'names[0]'], /^invalid interface name 5/);
  refuses(
    () => altNames('DELLINKPROP', { name: 'k0' }, 'a' as never),
    ['DELLINKPROP', 'names'],
    /must be an array/,
  );
});

test('errors show the given value, not what was derived from it', () => {
  const bad = '10.0.0.256';
  const no = /^invalid value "10\.0\.0\.256": expected an IP address$/;
  refuses(() => addAddress({ index: 1, local: bad }), ['NEWADDR', 'local'], no);
  refuses(() => addAddress({ index: 1, address: bad }), ['NEWADDR', 'address'], no);
  refuses(() => addRoute({ dst: bad }), ['NEWROUTE', 'dst'], no);
  refuses(
    () => addRoute({ nexthops: [{}, { gateway: bad }] }),
    ['NEWROUTE', 'nexthops[1]', 'gateway'],
    no,
  );
  refuses(() => addRule({ src: bad }), ['NEWRULE', 'src'], no);
  refuses(
    () => addRule({ table: 5 }),
    ['NEWRULE', 'family'],
    /^is missing, and no address implies it$/,
  );
  for (const table of [-1, 1.5, 2 ** 32]) {
    const [inRoute, inRule] = [() => send(route({ table })), () => send(rule({ table }))];
    refuses(
      inRoute,
      ['NEWROUTE', 'RTA_TABLE', 'table'],
      /expected an integer from 0 to 4294967295$/,
    );
    refuses(inRule, ['NEWRULE', 'FRA_TABLE', 'table'], /expected an integer from 0 to 4294967295$/);
  }
  for (const table of [255, 256]) send(route({ table }));
});

test('the hint for a kind of link that the kernel lacks is for nothing else', () => {
  const { EOPNOTSUPP: errno } = constants.errno;
  const { hint } = link({ info: { kind: 'bridge' } });
  assert.match(hint?.({ errno, message: 'Unknown device type' }) ?? '', /lacks this kind of link/);
  assert.doesNotMatch(hint?.({ errno }) ?? '', /lacks|modprobe/);
});

test('CIDR notation in routes, rules and addresses', () => {
  const written = (request: Request) => {
    const writer = new MessageWriter();
    request.write(writer, { flags: 0, seq: 1 });
    return Buffer.from(writer.written()).toString('hex');
  };
  const pairs = [
    [
      requestOf(addRoute({ dst: '10.0.0.0/8', src: '192.0.2.0/24', oif: 5 })),
      requestOf(
        addRoute({ dst: '10.0.0.0', dstLength: 8, src: '192.0.2.0', srcLength: 24, oif: 5 }),
      ),
    ],
    [
      requestOf(addRule({ dst: '2001:db8::/32', priority: 7 })),
      requestOf(addRule({ dst: '2001:db8::', dstLength: 32, priority: 7 })),
    ],
    [
      requestOf(addAddress({ index: 3, local: '10.1.0.1/24' })),
      requestOf(addAddress({ index: 3, local: '10.1.0.1', prefixLength: 24 })),
    ],
  ] as const;
  for (const [one, other] of pairs) assert.equal(written(one), written(other));
  const expected = /^invalid value "10\.0\.0\.0\/33": expected an address or a network/;
  refuses(() => addRoute({ dst: '10.0.0.0/33' }), ['NEWROUTE', 'dst'], expected);
  refuses(() => addRule({ src: '10.0.0.0/33' }), ['NEWRULE', 'src'], expected);
  refuses(() => addAddress({ index: 3, address: '10.0.0.0/33' }), ['NEWADDR', 'address'], expected);
  const twice = { dst: '10.0.0.0/8', dstLength: 16 };
  refuses(() => addRoute(twice), ['NEWROUTE', 'dstLength'], /^is 16, but dst is "10\.0\.0\.0\/8"/);
});
