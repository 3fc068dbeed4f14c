/** RouteClient against real kernels: what it makes is what `ip -json` shows, and what it lists too. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { openSync } from 'node:fs';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { KernelError, RouteClient } from '../../lib/index.ts';
import type { AddressFamily } from '../../lib/route/names.ts';
import type { Route } from '../../lib/route.ts';
import { EncodeError } from '../../lib/wire/error.ts';
import { processApart } from './here.ts';
import {
  addressAsShown,
  indexOf,
  interfaces,
  ipAll,
  ipJson,
  ipOne,
  linkAsShown,
  neighbourAsShown,
  nexthopAsShown,
  RARE,
  routeAsShown,
  ruleAsShown,
  type Shown,
  same,
  sameAddress,
  shownAddresses,
  shownLink,
  withoutKind,
} from './route-support.ts';
import { ipBatch } from './support.ts';

/** A client, and a veth pair c0 and c1 that it made. */
async function withPair(work: (client: RouteClient) => Promise<void>): Promise<void> {
  await using client = new RouteClient();
  await client.addLink({ name: 'c0', info: { kind: 'veth', veth: { peer: { name: 'c1' } } } });
  try {
    await client.setLinkUp({ name: 'c0' });
    await client.setLinkUp({ name: 'c1' });
    await work(client);
  } finally {
    await client.deleteLink({ name: 'c0' });
  }
}

/** Whether an error is a KernelError that says this. */
const refused =
  (code: string, more: { attribute?: string; hint?: RegExp } = {}) =>
  (error: unknown) => {
    assert(error instanceof KernelError, inspect(error));
    assert.equal(error.code, code, error.message);
    if (more.attribute) assert.equal(error.attribute, more.attribute);
    if (more.hint) assert.match(error.hint ?? '', more.hint);
    return true;
  };

test('a veth pair is made, changed, switched, moved and deleted', async () => {
  await using client = new RouteClient();
  await using other = await processApart();
  const { pid, path: netns } = other;
  /** What `ip` shows of a link there, which it must. */
  const shownThere = async (name: string): Promise<Shown[]> =>
    JSON.parse((await other.host.ip(`-json link show dev ${name}`)).stdout);
  const address = '02:00:00:00:00:05';
  const peer = { name: 'c1', mtu: 1300 };
  await client.addLink({
    name: 'c0',
    mtu: 1400,
    address,
    txQueueLength: 55,
    flags: ['up'],
    info: { kind: 'veth', veth: { peer } },
  });
  const shown = shownLink('c0');
  same({ mtu: 1400, address, txqlen: 55, link: 'c1' }, shown, 'c0');
  assert((shown.flags as string[]).includes('UP'));
  assert.equal(ipOne('link show dev c1').mtu, 1300);
  assert.equal((shown.linkinfo as Shown).info_kind, 'veth');
  // A link that is up can be renamed since kernel 6.2.
  await client.setLinkDown({ name: 'c0' });
  await client.updateLink({ name: 'c0' }, { name: 'c2', alias: 'a link', mtu: 1350 });
  assert(!(ipOne('link show dev c2').flags as string[]).includes('UP'));
  same({ ifname: 'c2', ifalias: 'a link', mtu: 1350 }, ipOne('link show dev c2'), 'c2');
  await client.setLinkUp({ name: 'c1' });
  ipAll('link property add dev c2 altname an-alternative-name');
  const link = await client.getLink({ name: 'an-alternative-name' });
  same(linkAsShown(link, interfaces()), shownLink('c2'), 'c2');
  assert.deepEqual(await client.getLink({ index: link.index }), link);
  await client.moveLink({ name: 'c1' }, { pid, name: 'there' });
  assert.deepEqual(
    (await shownThere('there')).map(({ ifname }) => ifname),
    ['there'],
  );
  const fd = openSync(netns, 'r');
  const { nsid } = await client.getNamespaceId({ fd });
  assert.deepEqual(await client.getNamespaceId({ pid }), { family: 'unspec', nsid });
  assert.deepEqual(
    (await client.listNamespaceIds()).items.map((one) => one.nsid),
    ipJson('netns list-id').map((one) => one.nsid),
  );
  await client.moveLink({ name: 'c2' }, { fd });
  {
    await using there = new RouteClient({ netns });
    await there.moveLink({ name: 'c2' }, { netns: '/proc/self/ns/net', name: 'c3' });
  }
  await assert.rejects(client.moveLink({ name: 'c3' }, { netns: '/nowhere' }), {
    code: 'ENOENT',
    hint: /\/nowhere does not exist/,
  });
  await client.moveLink({ name: 'c3' }, { netns, name: 'c2' });
  assert.deepEqual(
    (await shownThere('c2')).map(({ ifname }) => ifname),
    ['c2'],
  );
  assert.deepEqual(
    ipJson('link show').filter(({ ifname }) => ifname === 'c2'),
    [],
  );
  await assert.rejects(client.deleteLink({ name: 'c2' }), refused('ENODEV', { hint: /no link/ }));
});

for (const [kind, add, info, data] of [
  ['dummy', 'link add k0 type dummy', { kind: 'dummy' }, {}],
  [
    'bridge',
    'link add k0 type bridge',
    { kind: 'bridge', bridge: { forwardDelayMs: 4000, stpState: 1 } },
    { forward_delay: 400, stp_state: 1 },
  ],
  ['xfrm', 'link add k0 type xfrm if_id 9', { kind: 'xfrm', xfrm: { ifId: 9 } }, { if_id: '0x9' }],
] as const) {
  const skip = withoutKind(add, 'link del k0');
  if (skip && RARE.has(kind)) continue;
  test(`a link of kind ${kind} is made and listed`, { skip }, async () => {
    await using client = new RouteClient();
    await client.addLink({ name: 'k0', info });
    try {
      const { info_kind, info_data = {} } = shownLink('k0').linkinfo as Record<string, Shown>;
      assert.equal(info_kind, kind);
      same(data, info_data as Shown, kind);
      // A module may make one of its kind when it is loaded.
      const { items: all } = await client.listLinks({ kind });
      assert(all.every((link) => link.info?.kind === kind));
      const items = all.filter(({ name }) => name === 'k0');
      assert.deepEqual(
        items.map((link) => [link.name, link.info?.kind]),
        [['k0', kind]],
      );
      await assert.rejects(client.addLink({ name: 'k0', info }), refused('EEXIST'));
    } finally {
      await client.deleteLink({ name: 'k0' });
    }
    assert.deepEqual(
      ipJson('link show').filter(({ ifname }) => ifname === 'k0'),
      [],
    );
  });
}

ipAll('link add c0 type veth peer name c1');
const noVlan = withoutKind('link add link c0 name k0 type vlan id 5', 'link del k0');
ipAll('link del c0');

test('a VLAN that was listed can be added again, and changed', { skip: noVlan }, async () => {
  await withPair(async (client) => {
    const vlanOf = () => {
      const { linkinfo, link } = shownLink('k0') as { linkinfo: Shown; link: string };
      return { link, ...linkinfo };
    };
    ipAll('link add link c0 name k0 type vlan id 5 reorder_hdr off loose_binding on');
    const shown = vlanOf();
    const { linkIndex, info } = await client.getLink({ name: 'k0' });
    assert(linkIndex !== undefined && info !== undefined);
    assert.equal(info.vlan?.flags?.mask, 0xffff_ffff);
    ipAll('link del k0');
    await client.addLink({ name: 'k0', linkIndex, info });
    assert.deepEqual(vlanOf(), shown);
    ipAll('link set k0 type vlan reorder_hdr on gvrp on');
    assert.notDeepEqual(vlanOf(), shown);
    await client.updateLink({ name: 'k0' }, { info });
    assert.deepEqual(vlanOf(), shown);
  });
});

test('alternative names are added and taken away, as ip shows', async () => {
  await withPair(async (client) => {
    const shown = () => (ipOne('link show dev c0').altnames as string[] | undefined) ?? [];
    const long = 'a-name-of-more-than-fifteen-bytes';
    await client.addLinkAltNames({ name: 'c0' }, ['short', long]);
    assert.deepEqual(shown(), ['short', long]);
    const { index } = await client.getLink({ name: long });
    await assert.rejects(client.addLinkAltNames({ index }, ['new', 'c1']), refused('EEXIST'));
    await client.deleteLinkAltNames({ name: long }, [long, 'new']);
    assert.deepEqual(shown(), ['short']);
    await assert.rejects(client.deleteLinkAltNames({ index }, ['none']), refused('ENOENT'));
    await assert.rejects(client.deleteLinkAltNames({ index }, ['c0']), refused('EINVAL'));
  });
});

test('a link is listed with attributes that the kernel omits from dumps by default', async () => {
  await withPair(async (client) => {
    // 33 KB of names.
    const names = Array.from({ length: 250 }, (_, i) => `name-${i}`.padEnd(126, '.'));
    for (let i = 0; i < names.length; i += 25) {
      await client.addLinkAltNames({ name: 'c0' }, names.slice(i, i + 25));
    }
    const { items } = await client.listLinks();
    const listed = items.find(({ name }) => name === 'c0');
    assert.deepEqual(listed?.properties?.altNames, names);
    assert.deepEqual(
      items.map(({ index }) => index).sort((a, b) => a - b),
      [...interfaces().keys()].sort((a, b) => a - b),
    );
  });
});

test('links and ports of bridges are listed as ip shows them', async () => {
  await withPair(async (client) => {
    await client.addLink({ name: 'b0', info: { kind: 'bridge' } });
    try {
      const master = indexOf('b0');
      await client.updateLink({ name: 'c0' }, { master });
      assert.equal(ipOne('link show dev c0').master, 'b0');
      const { items, interrupted } = await client.listLinks();
      assert.equal(interrupted, false);
      const names = interfaces();
      assert.deepEqual(items.map(({ name }) => name).sort(), [...names.values()].sort());
      for (const link of items) {
        // ip has names of its own for links of IP tunnels, which modules bring along.
        if (link.type !== 'ether' && link.type !== 'loopback') continue;
        same(linkAsShown(link, names), shownLink(link.name ?? ''), link.name ?? '');
      }
      const ports = (await client.listBridgePorts()).items;
      assert.deepEqual(
        ports.filter((one) => one.master === master).map(({ name }) => name),
        ['c0', 'b0'].filter((name) =>
          ports.some((one) => one.name === name && one.master === master),
        ),
      );
      assert(ports.some(({ name }) => name === 'c0'));
      const { items: below } = await client.listLinks({ master });
      assert.deepEqual(
        below.map(({ name }) => name),
        ['c0'],
      );
      await client.updateLink({ name: 'c0' }, { master: 0 });
      assert.equal(ipOne('link show dev c0').master, undefined);
    } finally {
      await client.deleteLink({ name: 'b0' });
    }
  });
});

test('names and aliases are UTF-8, as ip has them', async () => {
  await using client = new RouteClient();
  const [name, alias] = ['tün-€', 'ä€ 😀'];
  await client.addLink({ name, info: { kind: 'veth', veth: { peer: { name: 'p\udcff' } } } });
  try {
    await client.updateLink({ name }, { alias });
    same({ ifname: name, ifalias: alias }, ipOne(`link show dev ${name}`), name);
    const link = await client.getLink({ name });
    assert.deepEqual([link.name, link.alias], [name, alias]);
    // A byte that is no UTF-8 is the same byte again in a request.
    assert.equal((await client.getLink({ name: 'p\udcff' })).linkIndex, link.index);
    assert(execFileSync('ip', ['-o', 'link']).includes(Buffer.from('p\xff@', 'latin1')));
  } finally {
    await client.deleteLink({ name });
  }
});

test('addresses are added, changed, listed and removed', async () => {
  await withPair(async (client) => {
    const index = indexOf('c0');
    const times = { validSeconds: 1000, preferredSeconds: 500 };
    await client.addAddress({ index, local: '10.1.0.1', prefixLength: 24, label: 'c0:x' });
    await client.addAddress({ index, local: '10.2.0.1', address: '10.2.0.2', times });
    await client.addAddress({ index, address: '2001:db8::1', prefixLength: 64, flags: ['nodad'] });
    const shown = shownAddresses('c0');
    const { items } = await client.listAddresses({ index });
    const ours = items.map(addressAsShown);
    assert.equal(ours.length, shown.length);
    for (const one of ours) {
      const theirs = shown.find(({ local }) => local === one.local);
      sameAddress(one, theirs ?? {});
    }
    same(
      { prefixlen: 24, label: 'c0:x' },
      shown.find(({ local }) => local === '10.1.0.1') ?? {},
      'added',
    );
    const six = (await client.listAddresses({ family: 'inet6', index })).items;
    assert(six.length > 0 && six.every(({ family }) => family === 'inet6'));
    const again = { index, local: '10.1.0.1', prefixLength: 24 };
    await assert.rejects(client.addAddress(again), refused('EEXIST'));
    await client.replaceAddress({
      ...again,
      times: { validSeconds: 2000, preferredSeconds: 1500 },
    });
    assert.equal((await client.getAddress(index, '10.1.0.1')).times?.validSeconds, 2000);
    const short = { ...again, prefixLength: 23 };
    const hint = /with this prefix length/;
    await assert.rejects(client.deleteAddress(short), refused('EADDRNOTAVAIL', { hint }));
    await client.deleteAddress(again);
    const there = (text: string) => client.getAddress(index, text);
    await assert.rejects(there('10.1.0.1'), {
      code: 'EADDRNOTAVAIL',
      message: /RTM_GETADDR .*address 10\.1\.0\.1/,
    });
    for (const spelled of ['2001:db8::1', '2001:DB8::1', '2001:db8:0:0::0.0.0.1']) {
      assert.equal((await client.getAddress(index, spelled))?.address, '2001:db8::1', spelled);
    }
    await assert.rejects(there('2001:db8::2'), refused('EADDRNOTAVAIL'));
    await assert.rejects(client.deleteAddress(again), refused('EADDRNOTAVAIL'));
  });
});

test('routes are added, replaced, looked up, listed and removed', async () => {
  await withPair(async (client) => {
    const index = indexOf('c0');
    await client.addAddress({ index, local: '10.1.0.1', prefixLength: 24 });
    await client.addAddress({ index, address: '2001:db8::1', prefixLength: 64, flags: ['nodad'] });
    const routes = [
      { dst: '10.20.0.0', dstLength: 16, gateway: '10.1.0.9', metrics: { mtu: 1400 } },
      { dst: '10.21.0.0', dstLength: 16, oif: index, priority: 7, table: 1000 },
      {
        dst: '10.22.0.0',
        dstLength: 16,
        nexthops: [{ gateway: '10.1.0.8', hops: 1 }, { gateway: '10.1.0.9' }],
      },
      { dst: '10.23.0.0', dstLength: 16, oif: index, via: { family: 'inet6', address: 'fe80::9' } },
      { dst: '10.24.0.0', dstLength: 16, type: 'blackhole' },
      { dst: '2001:db8:20::', dstLength: 48, gateway: '2001:db8::9', protocol: 'bird' },
      { dst: '10.25.0.5', oif: index },
    ] as const;
    const names = interfaces();
    for (const route of routes) {
      await client.addRoute(route);
      const { items } = await client.listRoutes();
      const made = items.find(({ dst }) => dst === route.dst);
      assert(made, route.dst);
      const ours = routeAsShown(made, names);
      const version = made.family === 'inet6' ? '-6' : '-4';
      same(ours, ipOne(`${version} -d route show table all ${ours.dst}`), route.dst);
      await assert.rejects(client.addRoute(route), refused('EEXIST', { hint: /replace/ }));
    }
    const { items } = await client.listRoutes({ family: 'inet', table: 1000 });
    assert.deepEqual(
      items.map(({ dst }) => dst),
      ['10.21.0.0'],
    );
    const blackholes = await client.listRoutes({ family: 'inet', type: 'blackhole' });
    assert.deepEqual(
      blackholes.items.map(({ dst }) => dst),
      ['10.24.0.0'],
    );
    await client.replaceRoute({ ...routes[0], gateway: '10.1.0.7' });
    assert.equal(ipOne('route show 10.20.0.0/16').gateway, '10.1.0.7');
    const found = await client.getRoute({ dst: '10.20.1.1' });
    same(
      { gateway: found.gateway, prefsrc: found.prefSrc, dev: names.get(found.oif ?? 0) },
      ipOne('route get 10.20.1.1'),
      'lookup',
    );
    const match = await client.getRoute({ dst: '10.20.1.1', match: true });
    assert.deepEqual([match.dst, match.dstLength], ['10.20.0.0', 16]);
    await assert.rejects(client.getRoute({ dst: '203.0.113.1' }), refused('ENETUNREACH'));
    const dst = '2001:db8:20::7';
    const found6 = await client.getRoute({ dst, src: '2001:db8::1', oif: index, mark: 5 });
    same(
      { dst: found6.dst, dev: names.get(found6.oif ?? 0), gateway: found6.gateway },
      ipOne(`-6 route get ${dst} from 2001:db8::1 oif c0 mark 5`),
      'lookup of IPv6',
    );
    const match6 = await client.getRoute({ dst, match: true });
    assert.deepEqual([match6.dst, match6.dstLength], ['2001:db8:20::', 48]);
    assert.equal((await client.getRoute({ dst: '2001:db8::1' })).type, 'local');
    await assert.rejects(client.getRoute({ dst: '3fff::1' }), refused('ENETUNREACH'));
    await client.deleteRoute({ ...routes[0], gateway: '10.1.0.7' });
    for (const route of routes.slice(1)) await client.deleteRoute(route);
    const left = (await client.listRoutes()).items.map(({ dst }) => dst);
    for (const { dst } of routes) assert(!left.includes(dst), dst);
    await assert.rejects(client.deleteRoute(routes[0]), refused('ESRCH'));
  });
});

test('the route of a packet depends on its ports and its type of service where rules do', async () => {
  await withPair(async (client) => {
    const rules = ['ipproto udp sport 500 dport 4500', 'tos 0x10'];
    ipAll(
      'address add 10.1.0.1/24 dev c0',
      'address add 2001:db8::1/64 dev c0 nodad',
      'route add default via 10.1.0.9',
      'route add default via 10.1.0.8 table 7',
      '-6 route add default via 2001:db8::9',
      '-6 route add default via 2001:db8::8 table 7',
    );
    ipAll(...rules.flatMap((rule) => [`rule add ${rule} table 7`, `-6 rule add ${rule} table 7`]));
    try {
      for (const [dst, network] of [
        ['203.0.113.1', '10.1.0.'],
        ['3fff::1', '2001:db8::'],
      ] as const) {
        const via = async (packet: object) => (await client.getRoute({ dst, ...packet })).gateway;
        const ports = { ipProto: 17, sport: 500, dport: 4500 };
        assert.equal(await via({}), `${network}9`);
        assert.equal(await via({ ...ports, dport: 4501 }), `${network}9`);
        assert.equal(await via(ports), `${network}8`);
        assert.equal(await via({ tos: 0x10 }), `${network}8`);
        const shown = ipOne(`route get ${dst} ipproto udp sport 500 dport 4500`);
        assert.equal(shown.gateway, `${network}8`);
      }
    } finally {
      ipAll(
        ...rules.flatMap((rule) => [`rule del ${rule} table 7`, `-6 rule del ${rule} table 7`]),
      );
    }
  });
});

test('routes can be removed and added as they were listed', async () => {
  await withPair(async (client) => {
    ipAll(
      'address add 10.1.0.1/24 dev c0',
      'address add 2001:db8::1/64 dev c0 nodad',
      'nexthop add id 21 via 10.1.0.8 dev c0',
      'nexthop add id 22 via 10.1.0.9 dev c0',
      'nexthop add id 23 group 21/22',
      'nexthop add id 24 via 2001:db8::9 dev c0',
    );
    const lines = [
      '10.20.0.0/16 nhid 21',
      '10.21.0.0/16 nhid 23',
      '10.22.0.0/16 nexthop via 10.1.0.8 nexthop via inet6 fe80::9 dev c0 weight 7',
      '10.23.0.0/16 via 10.1.0.9 mtu lock 1400 metric 5 table 1000',
      'unreachable 10.24.0.0/16',
      '2001:db8:20::/48 nhid 24',
      '2001:db8:21::/48 from 2001:db8:77::/48 via 2001:db8::9 dev c0 pref low',
      '2001:db8:22::/48 dev c0 expires 1000',
    ];
    const versionOf = (line: string) => (line.includes('2001:') ? '-6' : '-4');
    for (const line of lines) ipAll(`${versionOf(line)} route add ${line}`);
    const { items } = await client.listRoutes();
    const made = items.filter(({ protocol }) => protocol === 'boot');
    assert.equal(made.length, lines.length);
    for (const route of made) {
      const version = route.family === 'inet6' ? '-6' : '-4';
      const shown = () => {
        const found = ipOne(
          `${version} route show table all to exact ${route.dst}/${route.dstLength}`,
        );
        return { ...found, expires: found.expires === undefined ? undefined : 'some time' };
      };
      const before = shown();
      await client.deleteRoute(route);
      assert.throws(shown, /: 1|: 0/);
      await client.addRoute(route);
      assert.deepEqual(shown(), before);
      await client.replaceRoute(route);
      assert.deepEqual(shown(), before);
    }
    const { expires } = ipOne('-6 route show 2001:db8:22::/48');
    assert(Number(expires) > 900 && Number(expires) <= 1000, String(expires));
    // Without a carrier, routes say so (a worker of the kernel finds out); they can be removed all the same.
    ipAll('link set c1 down');
    let down: readonly Route[] = [];
    while (!down.some(({ flags }) => flags.names.includes('linkdown'))) {
      down = (await client.listRoutes()).items.filter(({ protocol }) => protocol === 'boot');
    }
    for (const route of down) await client.deleteRoute(route);
  });
});

test('listing a link kind or family that the kernel lacks is empty', async () => {
  await withPair(async (client) => {
    for (const kind of ['no-such-kind', '']) {
      assert.equal((await client.listLinks({ kind })).items.length, 0, kind);
    }
    const pair = (await client.listLinks({ kind: 'veth' })).items.map(({ name }) => name);
    assert.deepEqual(pair.sort(), ['c0', 'c1']);
    await client.addAddress({ index: indexOf('c0'), local: '10.1.0.1', prefixLength: 24 });
    const lists = {
      addresses: (family: AddressFamily) => client.listAddresses({ family }),
      routes: (family: AddressFamily) => client.listRoutes({ family }),
      netconfs: (family: AddressFamily) => client.listNetconfs({ family }),
    };
    for (const [name, list] of Object.entries(lists)) {
      // Of 12 (AF_NETBEUI) nothing can be there; of MPLS and MCTP something where the kernel has them.
      for (const family of ['mpls', 'mctp', 'bridge', 12] as const) {
        const families = (await list(family)).items.map((one) => one.family);
        assert(
          families.every((one) => one === family),
          `${name} of ${family}: ${families}`,
        );
      }
      assert((await list(2)).items.length > 0, name);
      const all = new Set((await list('unspec')).items.map((one) => one.family));
      assert(all.has('inet') && all.has('inet6'), name);
    }
  });
});

test('rules are added, listed and removed', async () => {
  await using client = new RouteClient();
  const rules = [
    { src: '10.0.0.0', srcLength: 8, mark: 3, markMask: 7, table: 1000, priority: 77 },
    { family: 'inet', iifName: 'lo', action: 'blackhole', priority: 78, flags: ['invert'] },
    { family: 'inet', ipProto: 6, dportRange: { start: 443, end: 443 }, priority: 79 },
  ] as const;
  for (const rule of rules) {
    await client.addRule(rule);
    const made = await client.getRule('inet', rule.priority);
    assert(made);
    const shown = ipJson('rule show').find(({ priority }) => priority === rule.priority);
    same(ruleAsShown(made), shown ?? {}, String(rule.priority));
    await assert.rejects(client.addRule(rule), refused('EEXIST'));
    await client.deleteRule(rule);
    await assert.rejects(client.getRule('inet', rule.priority), {
      code: 'ENOENT',
      message: /RTM_GETRULE/,
    });
    await assert.rejects(client.deleteRule(rule), refused('ENOENT'));
  }
  const six = (await client.listRules({ family: 'inet6' })).items;
  assert(six.length > 0 && six.every(({ family }) => family === 'inet6'));
});

test('neighbours, next hops and settings are listed and got', async () => {
  await withPair(async (client) => {
    ipAll(
      'address add 10.1.0.1/24 dev c0',
      'neigh add 10.1.0.7 lladdr 02:00:00:00:00:07 dev c0 nud permanent',
      'nexthop add id 21 via 10.1.0.7 dev c0',
      'nexthop add id 22 group 21',
    );
    const index = indexOf('c0');
    const names = interfaces();
    const neighbour = await client.getNeighbour(index, '10.1.0.7');
    same(neighbourAsShown(neighbour, names), ipOne('neigh show 10.1.0.7'), 'neighbour');
    ipAll('neigh add 10.1.0.8 dev c0 managed extern_learn');
    const managed = neighbourAsShown(await client.getNeighbour(index, '10.1.0.8'), names);
    // Its state changes by itself: nobody is there.
    const { state: _, ...flags } = ipOne('neigh show 10.1.0.8');
    same({ ...managed, state: undefined }, flags, 'managed neighbour');
    ipAll('neigh del 10.1.0.8 dev c0');
    const { items: neighbours } = await client.listNeighbours({ family: 'inet', index });
    assert.deepEqual(
      neighbours.map(({ dst }) => dst),
      ['10.1.0.7'],
    );
    const nexthop = await client.getNexthop(21);
    same(nexthopAsShown(nexthop, names), ipOne('nexthop show id 21'), 'next hop');
    assert.deepEqual(
      (await client.listNexthops({ groups: true })).items.map(({ id }) => id),
      [22],
    );
    assert.deepEqual((await client.listNexthops({ oif: index })).items, [nexthop]);
    const netconf = await client.getNetconf('inet', index);
    const { items } = await client.listNetconfs({ family: 'inet' });
    assert.deepEqual(
      items.find((one) => one.index === index),
      netconf,
    );
    assert(items.some((one) => one.index === -1));
    await assert.rejects(client.getNexthop(99), refused('ENOENT'));
  });
});

test('proxies are listed apart from neighbours', async () => {
  await withPair(async (client) => {
    ipAll(
      'address add 10.1.0.1/24 dev c0',
      'neigh add 10.1.0.7 lladdr 02:00:00:00:00:07 dev c0 nud permanent',
      'neigh add proxy 10.1.0.78 dev c0',
      'neigh add proxy 2001:db8::78 dev c0',
      'neigh add proxy 10.1.0.79 dev c1',
    );
    const listed = async (filter: Parameters<typeof client.listNeighbours>[0]) => {
      const { items } = await client.listNeighbours(filter);
      assert(
        items.every(({ flags }) => flags.names.includes('proxy') === (filter?.proxy ?? false)),
      );
      return items.map(({ dst }) => dst).sort();
    };
    const shown = (of: string) => ipJson(`${of} neigh show proxy`).map(({ dst }) => dst);
    const all = [...shown('-4'), ...shown('-6')];
    assert.equal(all.length, 3);
    assert.deepEqual(await listed({ proxy: true }), all.sort());
    const index = indexOf('c0');
    assert.deepEqual(await listed({ proxy: true, index }), ['10.1.0.78', '2001:db8::78']);
    assert.deepEqual(await listed({ proxy: true, family: 'inet6' }), ['2001:db8::78']);
    assert.deepEqual(await listed({ family: 'inet', index }), ['10.1.0.7']);
  });
});

test('forwarding tables are listed apart from neighbours', async () => {
  await withPair(async (client) => {
    await client.addLink({ name: 'b0', info: { kind: 'bridge' } });
    try {
      const master = indexOf('b0');
      await client.updateLink({ name: 'c0' }, { master });
      const { items } = await client.listNeighbours({ family: 'bridge', master });
      assert(items.length > 0 && items.every(({ family }) => family === 'bridge'));
      const plain = (await client.listNeighbours()).items;
      assert(plain.every(({ family }) => family !== 'bridge'));
    } finally {
      await client.deleteLink({ name: 'b0' });
    }
  });
});

test('a dump of changing objects is complete, or reported as interrupted', async () => {
  await withPair(async (client) => {
    await client.addAddress({ index: indexOf('c0'), local: '10.1.0.1', prefixLength: 24 });
    const prefix = (i: number) => `10.${100 + (i >> 8)}.${i & 255}.0/24`;
    const stay = Array.from({ length: 2000 }, (_, i) => prefix(i));
    ipBatch(stay.map((one) => `route add ${one} via 10.1.0.9`));
    for (let round = 0; round < 5; round++) {
      const changing = client.addRoute({
        dst: `10.90.${round}.0`,
        dstLength: 24,
        gateway: '10.1.0.9',
      });
      const { items, interrupted } = await client.listRoutes({ family: 'inet', table: 254 });
      await changing;
      const listed = new Set(items.map(({ dst, dstLength }) => `${dst}/${dstLength}`));
      if (!interrupted) for (const one of stay) assert(listed.has(one), one);
    }
  });
});

test('invalid arguments of rtnetlink requests are rejected by name, and nothing is sent', async () => {
  await using client = new RouteClient();
  const cases: [call: () => Promise<unknown>, path: string[], reason: RegExp][] = [
    [() => client.addLink({ name: 'x' }), ['NEWLINK', 'info', 'kind'], /is missing/],
    [() => client.addLink({ name: 'x'.repeat(16) }), ['NEWLINK', 'name'], /at most 15/],
    [() => client.addLink({ name: 'ü'.repeat(8) }), ['NEWLINK', 'name'], /16 bytes.*at most 15/],
    [() => client.addLink({ name: 'tà' }), ['NEWLINK', 'name'], /byte 0xa0 as white space/],
    [() => client.addLink({ name: 't\ud800' }), ['NEWLINK', 'name'], /half a surrogate pair/],
    [() => client.addLink({ name: 'a b' }), ['NEWLINK', 'name'], /white space/],
    [() => client.addLink({ name: 'a/b' }), ['NEWLINK', 'name'], /invalid interface name/],
    [
      () => client.addLink({ name: 'x', info: { kind: 'xfrm', xfrm: { ifid: 7 } as object } }),
      ['NEWLINK', 'info', 'xfrm', 'ifid'],
      /unknown property; did you mean ifId\?/,
    ],
    [
      () => client.setLinkUp({ index: 0 }),
      ['NEWLINK', 'index'],
      /invalid value 0: expected an interface index/,
    ],
    [() => client.addAddress({ index: 1 }), ['NEWADDR', 'address'], /is missing/],
    [() => client.addAddress({ local: '10.0.0.1' }), ['NEWADDR', 'index'], /is missing/],
    [
      () => client.addRoute({ dst: '10.0.0.0', dstLength: 8, gateway: '2001:db8::1' }),
      ['NEWROUTE', 'RTA_GATEWAY', 'gateway'],
      /expected an address of family 2/,
    ],
    [() => client.addRoute({ oif: 1 }), ['NEWROUTE', 'family'], /no address implies it/],
    [
      () => client.getRoute({ dst: 'example' }),
      ['GETROUTE', 'dst'],
      /invalid value "example": expected an IP address/,
    ],
    [() => client.addRule({ priority: 5 }), ['NEWRULE', 'family'], /is missing/],
    [() => client.addLink(undefined as never), ['NEWLINK'], /must be an object/],
    [() => client.addAddress(null as never), ['NEWADDR'], /must be an object/],
    [() => client.deleteRule([] as never), ['DELRULE'], /must be an object/],
    [() => client.setLinkUp(undefined as never), ['key'], /must be an object/],
    [() => client.setLinkUp({} as never), ['NEWLINK', 'name'], /invalid interface name/],
    [
      () => client.moveLink({ index: 1 }, {} as never),
      ['to'],
      /needs exactly one of pid, fd and netns/,
    ],
    [
      () => client.listLinks({ kinds: 'veth' } as never),
      ['filter', 'kinds'],
      /did you mean kind\?/,
    ],
    [() => client.listRoutes({ tabel: 7 } as never), ['filter', 'tabel'], /unknown property/],
    [() => client.getRoute({} as never), ['GETROUTE', 'dst'], /is missing/],
    [
      () => client.addRoute({ nexthops: {} } as never),
      ['NEWROUTE', 'nexthops'],
      /must be an array/,
    ],
    [
      () => client.addRoute({ nexthops: [{}, { gatway: '10.0.0.1' }] } as never),
      ['NEWROUTE', 'nexthops[1]', 'gatway'],
      /did you mean gateway\?/,
    ],
    [
      () => client.addLink({ info: { kind: 'veth', veth: { peer: { address: 5 } } } } as never),
      ['NEWLINK', 'info', 'veth', 'peer', 'address'],
      /must be a string/,
    ],
    [
      () => client.addLink({ info: { kind: 'vlan', vlan: { id: 70_000 } } }),
      ['NEWLINK', 'IFLA_LINKINFO', 'IFLA_INFO_DATA', 'IFLA_VLAN_ID', 'id'],
      /70000/,
    ],
    [
      () => client.addLink({ name: 't', info: { kind: 'vti', vti: { local: 'fc00::1' } } }),
      ['NEWLINK', 'IFLA_LINKINFO', 'IFLA_INFO_DATA', 'IFLA_VTI_LOCAL', 'local'],
      /invalid value "fc00::1": expected an address of family 2/,
    ],
    [
      () => client.getNexthop(5n as never),
      ['GETNEXTHOP', 'NHA_ID', 'id'],
      /^invalid value 5n: expected an integer/,
    ],
    [
      () => client.getNexthop(Symbol('5') as never),
      ['GETNEXTHOP', 'NHA_ID', 'id'],
      /^invalid value Symbol\(5\): expected an integer/,
    ],
    [
      () => client.getAddress(1, 5n as never),
      ['GETADDR', 'address'],
      /^invalid value 5n: expected an IP address/,
    ],
    [() => client.getRule('inet', -1), ['priority'], /^invalid value -1: expected an integer/],
    [
      () => client.updateLink({ index: 1 }, { flags: { up: 1 } } as never),
      ['NEWLINK', 'flags'],
      /^invalid value an object: expected an array of names/,
    ],
    [() => client.listNexthops({ oif: -1 }), ['GETNEXTHOP', 'NHA_OIF', 'oif'], /-1/],
  ];
  for (const [call, path, reason] of cases) {
    await assert.rejects(
      async () => call(),
      (error: unknown) => {
        assert(error instanceof EncodeError, inspect(error));
        assert.deepEqual(error.path, path);
        assert.match(error.reason, reason);
        return true;
      },
    );
  }
});

test('an rtnetlink error names the attribute and a remedy', async () => {
  await using client = new RouteClient();
  await assert.rejects(
    client.addLink({ name: 'k0', info: { kind: 'nonsense' } }),
    refused('ENOTSUP', { hint: /lacks this kind of link/ }),
  );
  await assert.rejects(client.listRoutes({ family: 'inet', table: 4242 }), refused('ENOENT'));
  await assert.rejects(
    client.addRoute({ dst: '10.9.0.0', dstLength: 16, gateway: '203.0.113.9' }),
    refused('ENETUNREACH', { hint: /gateway/ }),
  );
  await assert.rejects(
    client.addLink({ name: 'k0', gsoMaxSize: 1, info: { kind: 'bridge' } }),
    refused('ERANGE', { attribute: 'IFLA_GSO_MAX_SIZE' }),
  );
  // A number that has no room for itself, in a nest in a nest: the kernel tells which by an offset.
  const unknown = [{ type: 1, flags: 0, bytes: new Uint8Array(1) }];
  await assert.rejects(
    client.addLink({ name: 'k0', info: { kind: 'bridge', bridge: { unknown } } }),
    (error: unknown) => {
      assert(error instanceof KernelError, inspect(error));
      const path = ['IFLA_LINKINFO', 'IFLA_INFO_DATA', 'IFLA_BR_FORWARD_DELAY'];
      assert.deepEqual([error.code, error.path], ['ERANGE', path]);
      return true;
    },
  );
});
