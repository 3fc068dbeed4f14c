/**
 * What Debian's ordinary kernel has and its user-mode kernel lacks, seen through the library: links of
 * xfrm interfaces, WireGuard, VTI with traffic, and the kinds of SA that few kernels are built with.
 */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import {
  KernelError,
  RouteClient,
  XfrmClient,
  XfrmMonitor,
  type XfrmState,
} from '../../lib/index.ts';
import type { Input } from '../../lib/wire/input.ts';
import { caused } from '../kernel/caused.ts';
import { during, indexOf, ipAll, last, only, withoutKind } from '../kernel/route-support.ts';
import { ip, KEY_HEX, ofKind } from '../kernel/support.ts';

const key = Uint8Array.from(Buffer.from(KEY_HEX, 'hex'));
const aead = { name: 'rfc4106(gcm(aes))', icvBits: 128, key };
const [NEAR, FAR] = ['192.0.2.1', '192.0.2.2'];
const OUT = { saddr: NEAR, daddr: FAR, proto: 'esp', mode: 'tunnel', reqid: 7, aead } as const;
const IN = { ...OUT, saddr: FAR, daddr: NEAR } as const;
const patience = { timeout: 300_000 };

const far = '/run/netns/far';
const client = new XfrmClient();
const route = new RouteClient();
let other: XfrmClient;

before(() => {
  ipAll(
    'netns add far',
    'link add near type veth peer name far netns far',
    `address add ${NEAR}/24 dev near`,
    'link set near up',
    `-n far address add ${FAR}/24 dev far`,
    '-n far link set far up',
    '-n far link set lo up',
  );
  other = new XfrmClient({ netns: far });
});
after(async () => {
  await Promise.all([client.close(), route.close(), other?.close()]);
  ipAll('link del near', 'netns del far');
});

test('this kernel has two processors or more', patience, () => {
  const online = readFileSync('/sys/devices/system/cpu/online', 'utf8').trim();
  assert.match(online, /^0-[1-9]/);
});

test('xfrm interfaces: with an if_id, and with collect_md', patience, async () => {
  const made = await during(['link'], async () => {
    await route.addLink({
      name: 'ipsec0',
      info: { kind: 'xfrm', xfrm: { ifId: 7, link: indexOf('near') } },
    });
    await route.addLink({
      name: 'ipsec1',
      info: { kind: 'xfrm', xfrm: { collectMetadata: true } },
    });
  });
  const seen = (name: string) => last(made, 'NEWLINK', ({ link }) => link.name === name).link;
  assert.deepEqual(seen('ipsec0').info?.xfrm, { link: indexOf('near'), ifId: 7 });
  assert.equal(seen('ipsec1').info?.xfrm?.collectMetadata, true);
  for (const name of ['ipsec0', 'ipsec1']) {
    const listed = await route.getLink({ name });
    assert.deepEqual(listed.info, seen(name).info);
  }
  assert.match(ip('-d', 'link', 'show', 'ipsec0'), /xfrm if_id 0x7 /);
  const gone = await during(['link'], () => ipAll('link del ipsec0', 'link del ipsec1'));
  const names = only(gone, 'DELLINK').map(({ link }) => [link.name, link.info?.kind]);
  assert.deepEqual(names.sort(), [
    ['ipsec0', 'xfrm'],
    ['ipsec1', 'xfrm'],
  ]);
  await assert.rejects(
    route.addLink({
      name: 'two',
      info: { kind: 'xfrm', xfrm: { ifId: 1, collectMetadata: true } },
    }),
    (error) => error instanceof KernelError && error.code === 'EINVAL',
  );
});

test('a WireGuard link comes and goes', patience, async () => {
  const made = await during(['link'], () =>
    route.addLink({ name: 'wg0', info: { kind: 'wireguard' } }),
  );
  const { link } = last(made, 'NEWLINK', ({ link }) => link.name === 'wg0');
  assert.equal(link.info?.kind, 'wireguard');
  const gone = await during(['link'], () => ip('link', 'del', 'wg0'));
  assert.deepEqual(
    only(gone, 'DELLINK').map(({ link }) => link.info?.kind),
    ['wireguard'],
  );
});

/** Sends packets to the far end's inner address, until the SA has counted one. */
async function send(from: string, to: string, counted: () => Promise<bigint>): Promise<void> {
  const socket = createSocket('udp4');
  await new Promise<void>((bound) => socket.bind(0, from, bound));
  try {
    while ((await counted()) === 0n) {
      await new Promise((sent) => socket.send('x', 9, to, sent));
    }
  } finally {
    socket.close();
  }
}

const packets = async (where: XfrmClient, daddr: string, spi: number) =>
  (await where.getState({ daddr, spi })).current.packets;

for (const [kind, near, there, ids] of [
  [
    'an xfrm interface',
    'type xfrm dev near if_id 0x2a',
    'type xfrm dev far if_id 0x2a',
    { ifId: 0x2a },
  ],
  [
    'a VTI',
    `type vti local ${NEAR} remote ${FAR} key 42`,
    `type vti local ${FAR} remote ${NEAR} key 42`,
    { mark: { value: 42, mask: 0xffffffff } },
  ],
] as const) {
  test(`traffic through ${kind} is counted, and its SAs say whose they are`, patience, async () => {
    await using monitor = await XfrmMonitor.open();
    ipAll(
      `link add tun0 ${near}`,
      'address add 10.1.0.1/24 dev tun0',
      'link set tun0 up',
      `-n far link add tun0 ${there}`,
      '-n far address add 10.1.0.2/24 dev tun0',
      '-n far link set tun0 up',
    );
    try {
      const selector = { family: 'inet' } as const;
      const ends = [
        [client, OUT, 0x51, IN, 0x52],
        [other, IN, 0x52, OUT, 0x51],
      ] as const;
      for (const [where, out, outSpi, inn, inSpi] of ends) {
        await where.addState({ ...out, spi: outSpi, ...ids });
        await where.addState({ ...inn, spi: inSpi, ...ids });
        for (const [dir, { saddr, daddr, proto, mode }] of [
          ['out', out],
          ['in', inn],
        ] as const) {
          const templates = [{ saddr, daddr, proto, mode, reqid: 7 }];
          await where.addPolicy({ dir, selector, templates, ...ids });
        }
      }
      await send('10.1.0.1', '10.1.0.2', () => packets(other, FAR, 0x51));
      assert((await packets(client, FAR, 0x51)) > 0n);
      await monitor.refresh();
      const ours = Array.from(monitor.states, ({ value }) => value);
      assert.deepEqual(ours.map(({ spi, ifId, mark }) => [spi, ifId ?? mark]).sort(), [
        [0x51, 'ifId' in ids ? ids.ifId : ids.mark],
        [0x52, 'ifId' in ids ? ids.ifId : ids.mark],
      ]);
      for (const { value } of monitor.policies) {
        assert.deepEqual(value.ifId ?? value.mark, 'ifId' in ids ? ids.ifId : ids.mark);
      }
      const policy = await caused(() => client.flushPolicies(), ofKind('FLUSHPOLICY'));
      assert.equal(policy.kind, 'FLUSHPOLICY');
    } finally {
      for (const where of [client, other]) {
        await where.flushPolicies();
        await where.flushStates();
      }
      ipAll('link del tun0', '-n far link del tun0');
    }
  });
}

/** Adds an SA and hears of it; undefined where the kernel refuses its kind. */
async function added(state: Input<XfrmState>): Promise<XfrmState | undefined> {
  try {
    return (await caused(() => client.addState(state), ofKind('NEWSA'))).state;
  } catch (error) {
    // No such mode or encapsulation: EINVAL, EPROTONOSUPPORT or ENOPROTOOPT, as kernels differ.
    if (error instanceof KernelError) return undefined;
    throw error;
  }
}

test('an SA of IP-TFS (RFC 9347) carries its parameters', patience, async (t) => {
  const parameters = {
    iptfsDropTime: 1_000_000,
    iptfsReorderWindow: 3,
    iptfsInitDelay: 500,
    iptfsMaxQsize: 65_536,
    iptfsPktSize: 1400,
  };
  const state = await added({ ...OUT, mode: 'iptfs', spi: 0x61, dir: 'out', ...parameters });
  if (state === undefined) return t.skip('this kernel has no IP-TFS (CONFIG_XFRM_IPTFS)');
  assert.equal(state.mode, 'iptfs');
  assert.equal(state.iptfsMaxQsize, 65_536);
});

test('an SA of ESP in TCP (RFC 8229) says so', patience, async (t) => {
  const encap = { type: 'espintcp', sport: 4500, dport: 4500, oa: '0.0.0.0' } as const;
  const state = await added({ ...OUT, spi: 0x62, encap });
  if (state === undefined) return t.skip('this kernel has no ESP in TCP (CONFIG_INET_ESPINTCP)');
  assert.deepEqual(state.encap, encap);
});

test('an SA offloaded to a device says to which', patience, async (t) => {
  const missing = withoutKind('link add sim0 type netdevsim', 'link del sim0');
  if (missing) return t.skip(`this kernel has no netdevsim (CONFIG_NETDEVSIM): ${missing}`);
  return assert.fail('netdevsim is there: write what it should show');
});

test('an offload that the device cannot do is reported as not taken', patience, async () => {
  const offload = { ifindex: indexOf('near'), flags: [] };
  const { notTaken } = await client.addState({ ...OUT, spi: 0x63, offload });
  assert.deepEqual(notTaken, ['XFRMA_OFFLOAD_DEV']);
  assert.equal((await client.getState({ daddr: FAR, spi: 0x63 })).offload, undefined);
  await assert.rejects(
    client.addState({ ...OUT, spi: 0x64, offload: { ...offload, flags: ['packet'] } }),
    (error) => error instanceof KernelError,
  );
});
