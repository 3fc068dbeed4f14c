/** rtnetlink events caused by `ip`, each compared with the output of `ip -json` for the same object. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { IFLA_TAILROOM, NLM_F_REPLACE } from '../../lib/constants.ts';
import type { MulticastGroupName, SubscriptionEvent } from '../../lib/index.ts';
import { RouteClient, subscribe } from '../../lib/index.ts';
import { NetworkNamespace } from '../../lib/testing/index.ts';
import {
  addressAsShown,
  during,
  indexOf,
  interfaces,
  ipAll,
  ipJson,
  ipOne,
  last,
  linkAsShown,
  neighbourAsShown,
  nexthopAsShown,
  only,
  RARE,
  routeAsShown,
  ruleAsShown,
  type Shown,
  same,
  sameAddress,
  shownAddresses,
  shownLink,
  untilUp,
  withoutKind,
} from './route-support.ts';
import { ip, ipBatch, words } from './support.ts';

const LINK: readonly MulticastGroupName[] = ['link'];

/** A veth pair t0 and t1, removed in the end. */
async function withPair(work: () => Promise<void>): Promise<void> {
  ipAll('link add t0 type veth peer name t1', 'link set t0 up', 'link set t1 up');
  try {
    await work();
  } finally {
    ip('link', 'del', 't0');
  }
}

test('a veth pair is made, changed, renamed and deleted', async () => {
  const made = await during(LINK, () =>
    untilUp(['t0', 't1'], () =>
      ipAll(
        'link add t0 mtu 1400 txqueuelen 77 address 02:00:00:00:00:01 type veth peer name t1',
        'link set t0 alias over',
        'link property add dev t0 altname a-rather-long-name-of-t0',
        'link set t1 up',
        'link set t0 up',
      ),
    ),
  );
  for (const name of ['t0', 't1']) {
    const { link } = last(made, 'NEWLINK', ({ link }) => link.name === name);
    const names = interfaces();
    same(linkAsShown(link, names), shownLink(name), name);
    assert.equal(link.info?.kind, 'veth');
    assert.equal(names.get(link.linkIndex ?? 0), name === 't0' ? 't1' : 't0');
    assert.equal(link.stats?.rxPackets !== undefined, true);
    const spec = link.families;
    assert((spec?.inet?.conf?.length ?? 0) > 30 && (spec?.inet6?.conf?.length ?? 0) > 40);
  }
  const index = indexOf('t0');
  const changed = await during(LINK, () =>
    untilUp(['t2'], () =>
      ipAll('link set t0 down', 'link set t0 name t2', 'link set t2 mtu 1300', 'link set t2 up'),
    ),
  );
  const renamed = last(changed, 'NEWLINK', ({ link }) => link.index === index).link;
  same(linkAsShown(renamed, interfaces()), shownLink('t2'), 't2');
  assert(
    only(changed, 'NEWLINK').some(
      ({ link }) => link.index === index && link.change.names.includes('up'),
    ),
  );
  const deleted = await during(LINK, () => ipAll('link del t2'));
  const gone = only(deleted, 'DELLINK').map(({ link }) => link.name);
  assert.deepEqual(gone.sort(), ['t1', 't2']);
});

/** Kinds of links: how `ip` makes one, and what of info_data we say differently. */
const ENDS = 'local 192.0.2.1 remote 192.0.2.2';
const ENDS6 = 'local 2001:db8::1 remote 2001:db8::2';
const dotted = (key: number | undefined) =>
  key === undefined
    ? undefined
    : [key >>> 24, (key >>> 16) & 255, (key >>> 8) & 255, key & 255].join('.');
/** A time as ip shows it, in 1/100 s. */
const ticks = (ms: number | undefined) => ms !== undefined && ms / 10;
const xfrmId = (id: number | undefined) => (id === undefined ? undefined : `0x${id.toString(16)}`);

type Info = NonNullable<Extract<SubscriptionEvent, { kind: 'NEWLINK' }>['link']['info']>;
const KINDS: [kind: string, options: string, data: (info: Info) => Shown][] = [
  [
    'vlan',
    'id 5 ingress-qos-map 1:2',
    ({ vlan }) => ({
      id: vlan?.id,
      protocol: vlan?.protocol === 0x8100 ? '802.1Q' : vlan?.protocol,
      ingress_qos: vlan?.ingressQos?.mappings?.map(({ from, to }) => ({ from, to })),
    }),
  ],
  [
    'bridge',
    'forward_delay 400 stp_state 1 priority 99',
    ({ bridge }) => ({
      forward_delay: ticks(bridge?.forwardDelayMs),
      hello_time: ticks(bridge?.helloTimeMs),
      max_age: ticks(bridge?.maxAgeMs),
      ageing_time: ticks(bridge?.ageingTimeMs),
      stp_state: bridge?.stpState,
      priority: bridge?.priority,
      vlan_filtering: bridge?.vlanFiltering,
      vlan_protocol: bridge?.vlanProtocol === undefined ? undefined : '802.1Q',
      vlan_default_pvid: bridge?.vlanDefaultPvid,
      group_addr: bridge?.groupAddr,
      mcast_snooping: bridge?.mcastSnooping,
      mcast_hash_max: bridge?.mcastHashMax,
      mcast_querier_intvl: ticks(bridge?.mcastQuerierIntvlMs),
      nf_call_iptables: bridge?.nfCallIptables,
    }),
  ],
  ['xfrm', 'dev t1 if_id 0x4d', ({ xfrm }) => ({ if_id: xfrmId(xfrm?.ifId) })],
  [
    'vti',
    `${ENDS} ikey 9 okey 10`,
    ({ vti }) => ({
      local: vti?.local,
      remote: vti?.remote,
      ikey: dotted(vti?.ikey),
      okey: dotted(vti?.okey),
    }),
  ],
  [
    'vti6',
    `${ENDS6} key 9`,
    ({ vti }) => ({ local: vti?.local, remote: vti?.remote, ikey: dotted(vti?.ikey) }),
  ],
  [
    'ipip',
    `${ENDS} ttl 64`,
    ({ tunnel }) => ({ local: tunnel?.local, remote: tunnel?.remote, ttl: tunnel?.ttl }),
  ],
  [
    'sit',
    `${ENDS} ttl 64`,
    ({ tunnel }) => ({ local: tunnel?.local, remote: tunnel?.remote, ttl: tunnel?.ttl }),
  ],
  ['ip6tnl', ENDS6, ({ tunnel }) => ({ local: tunnel?.local, remote: tunnel?.remote })],
  [
    'gre',
    `${ENDS} ikey 9 okey 10 ttl 64`,
    ({ gre }) => ({
      local: gre?.local,
      remote: gre?.remote,
      ikey: dotted(gre?.ikey),
      okey: dotted(gre?.okey),
      ttl: gre?.ttl,
    }),
  ],
  ['ip6gre', ENDS6, ({ gre }) => ({ local: gre?.local, remote: gre?.remote })],
  ['wireguard', '', () => ({})],
  // Kinds that stay as bytes.
  ['vxlan', 'id 5 dstport 4789', () => ({ id: 5 })],
  ['macvlan', 'mode bridge', () => ({ mode: 'bridge' })],
];
const OVER = new Set(['vlan', 'macvlan']);
const RAW = new Set(['vxlan', 'macvlan']);

for (const [kind, options, data] of KINDS) {
  const over = (device: string) => (OVER.has(kind) ? `link ${device} ` : '');
  const add = `link add ${over('t1')}name k0 type ${kind} ${options}`;
  ipAll('link add t0 type veth peer name t1');
  const skip = withoutKind(add, 'link del k0');
  ipAll('link del t0');
  if (skip && RARE.has(kind)) continue;
  test(`a link of kind ${kind} has what ip says of it`, { skip }, async () => {
    await withPair(async () => {
      const events = await during(LINK, () => ipAll(add, 'link set k0 up'));
      const { link } = last(events, 'NEWLINK', ({ link }) => link.name === 'k0');
      const shown = shownLink('k0');
      const { index, mtu, txQueueLength } = link;
      same({ ifindex: index, mtu, txqlen: txQueueLength }, shown, kind);
      const { info_kind, info_data = {} } = shown.linkinfo as {
        info_kind: string;
        info_data?: Shown;
      };
      assert.equal(link.info?.kind, info_kind);
      assert(link.info);
      same(data(link.info), info_data, kind);
      assert.equal(link.info.data !== undefined, RAW.has(kind));
      assert.equal(link.info.unknown, undefined);
      // Of numbers that a kernel newer than this library may add, nothing is said.
      const unread = link.unknown?.filter(({ type }) => type <= IFLA_TAILROOM) ?? [];
      assert.deepEqual(unread, []);
      if (OVER.has(kind)) assert.equal(link.linkIndex, indexOf('t1'));
      const deleted = await during(LINK, () => ipAll('link del k0'));
      assert.equal(last(deleted, 'DELLINK').link.index, index);
    });
  });
}

test('a port that leaves its bridge is not a deleted link', async () => {
  await withPair(async () => {
    ipAll('link add b0 type bridge');
    try {
      const bridge = indexOf('b0');
      const joined = await during(LINK, () => ipAll('link set t0 master b0'));
      const { port } = last(joined, 'NEWPORT');
      assert.deepEqual([port.name, port.master, port.family], ['t0', bridge, 'bridge']);
      const shown = ipOne('-d link show dev t0');
      const { info_slave_data } = shown.linkinfo as { info_slave_data: Shown };
      const { link } = last(joined, 'NEWLINK', ({ link }) => link.info?.port !== undefined);
      const { port: slave, slaveKind } = link.info ?? {};
      assert.equal(slaveKind, 'bridge');
      same(
        {
          priority: slave?.priority,
          cost: slave?.cost,
          no: xfrmId(slave?.no),
          id: xfrmId(slave?.id),
          learning: slave?.learning === 1,
          flood: slave?.unicastFlood === 1,
        },
        info_slave_data,
        'slave',
      );
      const left = await during(LINK, () => ipAll('link set t0 nomaster'));
      assert.deepEqual(only(left, 'DELLINK'), []);
      assert.deepEqual(
        only(left, 'DELPORT').map(({ port }) => [port.name, port.master]),
        [['t0', bridge]],
      );
      assert.equal(last(left, 'NEWLINK', ({ link }) => link.name === 't0').link.master, undefined);
    } finally {
      ip('link', 'del', 'b0');
    }
  });
});

test('IPv6 settings of a link have their own event kind', async () => {
  await withPair(async () => {
    const events = await during(['ipv6-ifinfo', 'link'], () =>
      writeFileSync('/proc/sys/net/ipv6/conf/t0/addr_gen_mode', '1'),
    );
    const changed = await during(
      ['ipv6-ifinfo'],
      () => ipAll('link set t1 down', 'link set t1 up'),
      (so) => only(so, 'NEWIFINFO').length > 0,
    );
    const { ifinfo } = last([...events, ...changed], 'NEWIFINFO');
    assert.equal(ifinfo.family, 'inet6');
    assert((ifinfo.inet6?.conf?.length ?? 0) > 40 && (ifinfo.inet6?.stats?.length ?? 0) > 20);
    assert.deepEqual(only(changed, 'NEWLINK'), []);
  });
});

test('a link moved to another namespace has its destination', async () => {
  await using other = await NetworkNamespace.make();
  const ids = () => ipJson('netns list-id').map(({ nsid }) => nsid);
  const before = ids();
  ipAll('link add t0 type veth peer name t1');
  const events = await during(['link', 'nsid'], () =>
    ip(...words(`link set t1 netns ${other.path}`)),
  );
  try {
    const { link } = last(events, 'DELLINK');
    const [there]: Shown[] = JSON.parse((await other.ip('-json link show dev t1')).stdout);
    // The other tests have left ids of namespaces that are gone, or are about to go.
    const [netnsId] = ids().filter((id) => !before.includes(id));
    assert.equal(link.name, 't1');
    assert.equal(link.newNetnsId, netnsId);
    assert.equal(link.newIndex ?? link.index, there?.ifindex);
    assert.equal(last(events, 'NEWNSID').nsid.nsid, netnsId);
    await using client = new RouteClient();
    const { linkNetnsId } = await client.getLink({ name: 't0' });
    assert.equal(linkNetnsId, netnsId);
  } finally {
    ipAll('link del t0');
  }
});

test('a namespace that ends loses its id', async () => {
  await using subscription = subscribe({ groups: ['nsid', 'link'] });
  {
    await using other = await NetworkNamespace.make();
    ipAll('link add t0 type veth peer name t1');
    ip(...words(`link set t1 netns ${other.path}`));
  }
  let id: number | undefined;
  const missing = new Set(['NEWNSID', 'DELNSID', 'DELLINK']);
  // The namespace is taken apart by a worker of the kernel, some time later: its id first, then what leads there.
  // So may be the namespace of the test before.
  for await (const event of subscription) {
    if (event.kind === 'NEWNSID') id = event.nsid.nsid;
    const ours =
      event.kind === 'NEWNSID' ||
      (event.kind === 'DELNSID' && event.nsid.nsid === id) ||
      (event.kind === 'DELLINK' && event.link.name === 't0');
    if (ours) missing.delete(event.kind);
    if (missing.size === 0) break;
  }
});

/** Sends a router advertisement (RFC 4861, 4.2 and 4.6.2) with one prefix, of 64 bits, out of a link. */
const ADVERTISE = `
import socket, struct, sys
link, prefix, valid, preferred = sys.argv[1:]
out = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
out.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
out.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
out.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, socket.if_nametoindex(link))
head = struct.pack('!BBHBBHII', 134, 0, 0, 64, 0, 0, 0, 0)
option = struct.pack('!BBBBIII', 3, 4, 64, 0xc0, int(valid), int(preferred), 0)
out.sendto(head + option + socket.inet_pton(socket.AF_INET6, prefix), ('ff02::1', 0))
`;

test('a prefix that a router announces is what addresses are made of', async () => {
  await withPair(async () => {
    ipAll('address add fe80::99/64 dev t1 nodad');
    const index = indexOf('t0');
    const events = await during(
      ['ipv6-prefix', 'ipv6-ifaddr'],
      () => execFileSync('python3', ['-c', ADVERTISE, 't1', '2001:db8:77::', '3600', '1800']),
      (so) => {
        const made = only(so, 'NEWADDR').some(({ address }) => address.index === index);
        return made && only(so, 'NEWPREFIX').length > 0;
      },
    );
    const { prefix } = last(events, 'NEWPREFIX');
    assert.deepEqual(prefix, {
      family: 'inet6',
      index,
      type: 3,
      length: 64,
      flags: 0xc0,
      address: '2001:db8:77::',
      times: { preferredSeconds: 1800, validSeconds: 3600 },
    });
    const made = shownAddresses('t0').find(({ local }) => /^2001:db8:77:/.test(String(local)));
    assert(made, 'an address');
    const { prefixlen, valid_life_time, preferred_life_time } = made;
    assert.equal(prefixlen, prefix.length);
    assert(Number(valid_life_time) <= 3600 && Number(valid_life_time) > 3500);
    assert(Number(preferred_life_time) <= 1800 && Number(preferred_life_time) > 1700);
    const { dev, protocol } = ipOne('-6 route show 2001:db8:77::/64');
    assert.deepEqual({ dev, protocol }, { dev: 't0', protocol: 'kernel' });
  });
});

test('addresses are added, changed and removed', async () => {
  await withPair(async () => {
    const groups = ['ipv4-ifaddr', 'ipv6-ifaddr'] as const;
    ip('address', 'flush', 'dev', 't0');
    const lines = [
      '10.1.0.1/24 brd + dev t0',
      '10.1.0.2/24 dev t0',
      '10.2.0.1 peer 10.2.0.2/32 dev t0 label t0:peer',
      '10.3.0.1/24 dev t0 valid_lft 1000 preferred_lft 500 metric 7',
      '2001:db8::1/64 dev t0 nodad noprefixroute',
      '2001:db8:1::1 peer 2001:db8:1::2/128 dev t0 nodad',
    ];
    const ofLines = (all: readonly SubscriptionEvent[]) =>
      only(all, 'NEWADDR').filter(({ address }) => address.scope === 'universe');
    const events = await during(
      groups,
      () => ipAll(...lines.map((line) => `address add ${line}`)),
      (so) => ofLines(so).length >= lines.length,
    );
    const shown = shownAddresses('t0');
    const added = ofLines(events);
    assert.equal(added.length, lines.length);
    for (const { address } of added) {
      const ours = addressAsShown(address);
      const theirs = shown.find(({ local }) => local === ours.local);
      assert(theirs, `${ours.local} in ${JSON.stringify(shown)}`);
      sameAddress(ours, theirs);
      assert.equal(address.index, indexOf('t0'));
    }
    const changed = await during(groups, () =>
      ipAll('address change 10.3.0.1/24 dev t0 valid_lft 2000 preferred_lft 1500'),
    );
    const { address } = last(changed, 'NEWADDR');
    assert.deepEqual([address.times?.validSeconds, address.times?.preferredSeconds], [2000, 1500]);
    const removed = await during(groups, () =>
      // The first one takes those of its network that came after it along.
      ipAll(
        ...lines
          .toReversed()
          .map((line) => `address del ${line.split(' dev')[0]?.replace(' brd +', '')} dev t0`),
      ),
    );
    const gone = only(removed, 'DELADDR').map(({ address }) => address.local ?? address.address);
    for (const { address } of added) assert(gone.includes(address.local ?? address.address));
  });
});

const ROUTES = [
  'default via 10.1.0.9 dev t0',
  '10.20.0.0/16 via 10.1.0.9 mtu 1400 advmss 1300 initcwnd 20 congctl reno',
  '10.21.0.0/16 dev t0 metric 5 table 1000 proto bird src 10.1.0.1',
  '10.22.0.0/16 nexthop via 10.1.0.8 weight 2 nexthop via 10.1.0.9 weight 3',
  '10.23.0.0/16 via inet6 fe80::9 dev t0',
  '10.24.0.0/16 nhid 5',
  'blackhole 10.25.0.0/16',
  'unreachable 10.26.0.0/16 table 77',
  'local 10.27.0.1 dev t0 table local',
  '10.28.0.1 via 192.168.9.9 dev t0 onlink',
];
const ROUTES6 = [
  'default via fe80::9 dev t0 metric 77',
  '2001:db8:20::/48 via fe80::9 dev t0 mtu 1400 hoplimit 9',
  '2001:db8:22::/48 nexthop via fe80::8 dev t0 weight 2 nexthop via fe80::9 dev t0',
  'blackhole 2001:db8:25::/48',
];

/** Not one that the kernel makes by itself, for an address that is ready at last. */
const byHand = ({ route }: { route: { protocol: unknown } }) => route.protocol !== 'kernel';

test('routes are added, changed and removed', async () => {
  await withPair(async () => {
    ipAll('address add 10.1.0.1/24 dev t0', 'nexthop add id 5 via 10.1.0.7 dev t0');
    const names = interfaces();
    for (const [version, lines] of [
      ['-4', ROUTES],
      ['-6', ROUTES6],
    ] as const) {
      for (const line of lines) {
        const added = await during(['ipv4-route', 'ipv6-route'], () =>
          ip(version, ...words(`route add ${line}`)),
        );
        const { route } = last(added, 'NEWROUTE', byHand);
        const ours = routeAsShown(route, names);
        const shown = ipJson(`${version} -d route show table all ${String(ours.dst)}`).filter(
          ({ type, table }) => type === ours.type && table === ours.table,
        );
        assert.equal(shown.length, 1, JSON.stringify(shown));
        same(ours, shown[0] as Shown, line);
        const removed = await during(['ipv4-route', 'ipv6-route'], () =>
          ip(version, ...words(`route del ${line}`)),
        );
        // Of several ways, IPv6 takes one after the other away, each with an event.
        const { nexthops, dev, gateway, ...what } = routeAsShown(
          last(removed, 'DELROUTE', byHand).route,
          names,
        );
        same(
          line.includes('nexthop') ? what : { ...what, dev, gateway, nexthops },
          shown[0] as Shown,
          line,
        );
      }
    }
    ipAll('route add 10.30.0.0/16 via 10.1.0.8');
    const replaced = await during(['ipv4-route'], () =>
      ipAll('route replace 10.30.0.0/16 via 10.1.0.9'),
    );
    const { header, route } = last(replaced, 'NEWROUTE');
    assert.equal(route.gateway, '10.1.0.9');
    assert(header.flags & NLM_F_REPLACE);
  });
});

const ENCAPS: [add: string, check: (event: SubscriptionEvent) => void][] = [
  [
    'encap ip id 7 dst 10.9.0.1 src 10.9.0.2 ttl 9 dev t0',
    (event) => {
      assert(event.kind === 'NEWROUTE');
      const { encapType, encapIp } = event.route;
      assert.equal(encapType, 'ip');
      assert.deepEqual(
        [encapIp?.id, encapIp?.dst, encapIp?.src, encapIp?.ttl],
        [7n, '10.9.0.1', '10.9.0.2', 9],
      );
    },
  ],
  [
    'encap ip6 id 8 dst 2001:db8::9 hoplimit 9 dev t0',
    (event) => {
      assert(event.kind === 'NEWROUTE');
      const { encapType, encapIp6 } = event.route;
      assert.equal(encapType, 'ip6');
      assert.deepEqual([encapIp6?.id, encapIp6?.dst, encapIp6?.hopLimit], [8n, '2001:db8::9', 9]);
    },
  ],
  [
    'encap mpls 100/200 via 10.1.0.9',
    (event) => {
      assert(event.kind === 'NEWROUTE');
      const { encapType, encapMpls } = event.route;
      assert.equal(encapType, 'mpls');
      // A label is the upper 20 bits of its word; the lowest one has the bit that ends the stack.
      const view = new DataView(Uint8Array.from(encapMpls?.labels ?? []).buffer);
      assert.deepEqual([view.getUint32(0) >>> 12, view.getUint32(4) >>> 12], [100, 200]);
    },
  ],
];

for (const [options, check] of ENCAPS) {
  ipAll('link add t0 type veth peer name t1', 'link set t0 up', 'link set t1 up');
  ipAll('address add 10.1.0.1/24 dev t0');
  const skip = withoutKind(`route add 10.40.0.0/16 ${options}`, 'route del 10.40.0.0/16');
  ipAll('link del t0');
  test(`a route with ${words(options).slice(0, 2).join(' ')} says how it wraps`, {
    skip,
  }, async () => {
    await withPair(async () => {
      ipAll('address add 10.1.0.1/24 dev t0');
      const add = words(`route add 10.40.0.0/16 ${options}`);
      check(last(await during(['ipv4-route'], () => ip(...add)), 'NEWROUTE'));
    });
  });
}

test('rules are added and removed', async () => {
  const rules = [
    'from 10.0.0.0/8 to 10.9.9.9 fwmark 0x3/0x7 table 1000 priority 77',
    'not from 10.0.0.0/8 iif lo oif lo blackhole priority 78',
    'ipproto tcp sport 100-200 dport 443 uidrange 0-0 lookup main priority 79',
    'from all goto 32766 priority 80',
    'from all prohibit priority 81',
  ];
  for (const rule of rules) {
    const added = await during(['ipv4-rule'], () => ip('rule', 'add', ...words(rule)));
    const ours = ruleAsShown(last(added, 'NEWRULE').rule);
    const shown = ipJson('rule show').find(({ priority }) => priority === ours.priority);
    same(ours, shown ?? {}, rule);
    const removed = await during(['ipv4-rule'], () => ip('rule', 'del', ...words(rule)));
    const deleted = only(removed, 'DELRULE').map((event) => ruleAsShown(event.rule));
    assert.deepEqual(deleted, [ours]);
  }
  const six = await during(['ipv6-rule'], () =>
    ipAll('-6 rule add from 2001:db8::/32 table 9', '-6 rule del from 2001:db8::/32 table 9'),
  );
  const { rule } = last(six, 'NEWRULE', ({ rule }) => rule.family === 'inet6');
  assert.deepEqual([rule.src, rule.srcLength, rule.table], ['2001:db8::', 32, 9]);
});

test('neighbours are added, changed and removed', async () => {
  await withPair(async () => {
    ipAll('address add 10.1.0.1/24 dev t0');
    const names = interfaces();
    const add = '10.1.0.7 lladdr 02:00:00:00:00:07 dev t0';
    const events = await during(['neigh'], () =>
      ipAll(`neigh add ${add} nud permanent`, `neigh change ${add} nud stale`),
    );
    const [first, ...more] = only(events, 'NEWNEIGH').filter(
      ({ neighbour }) => neighbour.dst === '10.1.0.7',
    );
    assert.deepEqual(first?.neighbour.state.names, ['permanent']);
    const now = more.at(-1);
    assert(now);
    same(neighbourAsShown(now.neighbour, names), ipOne('neigh show 10.1.0.7'), 'neighbour');
    const removed = await during(['neigh'], () => ipAll('neigh del 10.1.0.7 dev t0'));
    assert.equal(last(removed, 'DELNEIGH').neighbour.dst, '10.1.0.7');
  });
});

test('forwarding table entries are distinguished from neighbours', async () => {
  await withPair(async () => {
    ipAll('link add b0 type bridge');
    try {
      const events = await during(['neigh'], () => ipAll('link set t0 master b0'));
      const { neighbour } = last(events, 'NEWNEIGH', (one) => one.neighbour.family === 'bridge');
      assert.equal(neighbour.lladdr, ipOne('link show dev t0').address);
      assert.equal(neighbour.master, indexOf('b0'));
      assert.equal(neighbour.dst, undefined);
    } finally {
      ipAll('link del b0');
    }
  });
});

test('next hop objects are added, changed and removed', async () => {
  await withPair(async () => {
    ipAll('address add 10.1.0.1/24 dev t0');
    const names = interfaces();
    ipAll('link set lo up');
    const lines = [
      'id 11 via 10.1.0.8 dev t0',
      'id 12 dev t0',
      'id 13 blackhole',
      'id 14 group 11,2/12',
    ];
    for (const line of lines) {
      const events = await during(['nexthop'], () => ip('nexthop', 'add', ...words(line)));
      const { nexthop } = last(events, 'NEWNEXTHOP');
      same(nexthopAsShown(nexthop, names), ipOne(`nexthop show id ${nexthop.id}`), line);
    }
    const changed = await during(['nexthop'], () =>
      ipAll('nexthop replace id 11 via 10.1.0.9 dev t0'),
    );
    assert.equal(
      last(changed, 'NEWNEXTHOP', ({ nexthop }) => nexthop.id === 11).nexthop.gateway,
      '10.1.0.9',
    );
    const removed = await during(['nexthop'], () =>
      ipAll('nexthop del id 14', 'nexthop del id 13'),
    );
    assert.deepEqual(
      only(removed, 'DELNEXTHOP').map(({ nexthop }) => nexthop.id),
      [14, 13],
    );
  });
});

test('IP settings of a link are added, changed and removed', async () => {
  const groups = ['ipv4-netconf', 'ipv6-netconf'] as const;
  let index = 0;
  const events = await during(groups, () => {
    ipAll('link add t0 type veth peer name t1');
    index = indexOf('t0');
    writeFileSync('/proc/sys/net/ipv4/conf/t0/forwarding', '1');
    writeFileSync('/proc/sys/net/ipv4/conf/t0/rp_filter', '2');
  });
  const [made, ...changes] = only(events, 'NEWNETCONF')
    .map(({ netconf }) => netconf)
    .filter((one) => one.index === index && one.family === 'inet');
  assert.deepEqual([made?.forwarding, made?.mcForwarding, made?.proxyNeigh], [0, 0, 0]);
  assert.deepEqual(
    changes.map(({ forwarding, rpFilter }) => ({ forwarding, rpFilter })),
    [
      { forwarding: 1, rpFilter: undefined },
      { forwarding: undefined, rpFilter: 2 },
    ],
  );
  const shown = ipJson('netconf show dev t0').find(({ family }) => family === 'inet');
  assert.deepEqual([shown?.forwarding, shown?.rp_filter], [true, 'loose']);
  const deleted = await during(groups, () => ipAll('link del t0'));
  const gone = only(deleted, 'DELNETCONF').filter(({ netconf }) => netconf.index === index);
  assert.deepEqual(gone.map(({ netconf }) => netconf.family).sort(), ['inet', 'inet6']);
});

const COUNT = 1000;
const prefix = (i: number) => `10.${100 + (i >> 8)}.${i & 255}.0/24`;

test('of a thousand routes at once each arrives', async (t) => {
  await withPair(async () => {
    ipAll('address add 10.1.0.1/24 dev t0');
    await using subscription = subscribe({ groups: ['ipv4-route', 'ipv4-rule'] });
    const lines = Array.from({ length: COUNT }, (_, i) => `route add ${prefix(i)} via 10.1.0.9`);
    ipBatch([...lines, 'rule add priority 31998 table 31998', 'rule del priority 31998']);
    const heard = new Set<string>();
    let overruns = 0;
    for await (const event of subscription) {
      if (event.kind === 'NEWROUTE') heard.add(`${event.route.dst}/${event.route.dstLength}`);
      else if (event.kind === 'overrun') overruns++;
      else if (event.kind === 'DELRULE') break;
    }
    const all = lines.map((_, i) => prefix(i));
    // Where the buffer can't be forced beyond net.core.rmem_max, it may have been too small.
    if (overruns > 0) t.diagnostic(`${heard.size} of ${COUNT}, ${overruns} overruns`);
    else assert.deepEqual([...heard].filter((one) => all.includes(one)).sort(), [...all].sort());
    await using client = new RouteClient();
    const { items, interrupted } = await client.listRoutes({ family: 'inet', table: 254 });
    assert.equal(interrupted, false);
    const listed = new Set(items.map(({ dst, dstLength }) => `${dst}/${dstLength}`));
    for (const one of all) assert(listed.has(one), one);
  });
});

test('in a small buffer, what arrives, an overrun and a list add up', async () => {
  await withPair(async () => {
    ipAll('address add 10.1.0.1/24 dev t0');
    await using subscription = subscribe({
      groups: ['ipv4-route', 'ipv4-rule'],
      receiveBufferSize: 4096,
    });
    const lines = Array.from({ length: COUNT }, (_, i) => `route add ${prefix(i)} via 10.1.0.9`);
    ipBatch(lines);
    const known = new Set<string>();
    await using client = new RouteClient();
    for await (const event of subscription) {
      if (event.kind === 'NEWROUTE') known.add(`${event.route.dst}/${event.route.dstLength}`);
      if (event.kind === 'overrun') {
        // A marker after the queue was emptied: from here on nothing is missing.
        setImmediate(() => ipAll('rule add priority 31997 table 31997'));
      }
      if (event.kind === 'NEWRULE') break;
    }
    assert(known.size < COUNT, `${known.size} arrived in a buffer for a few`);
    const { items } = await client.listRoutes({ family: 'inet' });
    for (const { dst, dstLength } of items) known.add(`${dst}/${dstLength}`);
    for (let i = 0; i < COUNT; i++) assert(known.has(prefix(i)), prefix(i));
    ipAll('rule del priority 31997');
  });
});
