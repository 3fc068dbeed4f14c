/**
 * What Debian's ordinary kernel has and its user-mode kernel lacks, seen through the library: links of
 * xfrm interfaces, WireGuard, VTI with traffic, and the kinds of SA that few kernels are built with.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import {
  KernelError,
  RouteClient,
  subscribe,
  XfrmClient,
  XfrmMonitor,
  type XfrmState,
} from '../../lib/index.ts';
import type { Encodable } from '../../lib/wire/encodable.ts';
import { during, indexOf, last, only } from '../kernel/route-support.ts';
import { ip, ipBatch, KEY_HEX, next, ofKind, words } from '../kernel/support.ts';

const key = Uint8Array.from(Buffer.from(KEY_HEX, 'hex'));
const aead = { name: 'rfc4106(gcm(aes))', icvBits: 128, key };
const [NEAR, FAR] = ['192.0.2.1', '192.0.2.2'];
const OUT = { saddr: NEAR, daddr: FAR, proto: 'esp', mode: 'tunnel', reqid: 7, aead } as const;
const IN = { ...OUT, saddr: FAR, daddr: NEAR } as const;
const patience = { timeout: 180_000 };

const far = '/run/netns/far';
const client = new XfrmClient();
const route = new RouteClient();
let other: XfrmClient;

/** Lines of `ip` at the far end. */
function farBatch(lines: readonly string[]): void {
  execFileSync('ip', ['-n', 'far', '-batch', '-'], { input: lines.join('\n'), stdio: 'pipe' });
}

before(() => {
  ipBatch([
    'netns add far',
    'link add near type veth peer name far netns far',
    `address add ${NEAR}/24 dev near`,
    'link set near up',
  ]);
  farBatch([`address add ${FAR}/24 dev far`, 'link set far up', 'link set lo up']);
  other = new XfrmClient({ netns: far });
});
after(async () => {
  await Promise.all([client.close(), route.close(), other?.close()]);
  ipBatch(['link del near', 'netns del far']);
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
  const gone = await during(['link'], () => ipBatch(['link del ipsec0', 'link del ipsec1']));
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

/** Sends packets to the far end's inner address, until the SA there has counted one. */
async function send(counted: () => Promise<bigint>, signal: AbortSignal): Promise<void> {
  const socket = createSocket('udp4');
  await new Promise<void>((bound) => socket.bind(0, '10.1.0.1', bound));
  try {
    while ((await counted()) === 0n) {
      signal.throwIfAborted();
      await new Promise((sent) => socket.send('x', 9, '10.1.0.2', sent));
    }
  } finally {
    socket.close();
  }
}

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
  test(
    `traffic through ${kind} is counted, and its SAs say whose they are`,
    patience,
    async (t) => {
      await using monitor = await XfrmMonitor.open();
      ipBatch([`link add tun0 ${near}`, 'address add 10.1.0.1/24 dev tun0', 'link set tun0 up']);
      farBatch([`link add tun0 ${there}`, 'address add 10.1.0.2/24 dev tun0', 'link set tun0 up']);
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
        const packets = async (where: XfrmClient) => {
          const mark = 'mark' in ids ? ids.mark : undefined;
          return (await where.getState({ daddr: FAR, spi: 0x51, mark })).current.packets;
        };
        await send(() => packets(other), t.signal);
        assert((await packets(client)) > 0n);
        await monitor.refresh();
        const ours = Array.from(monitor.states, ({ value }) => value);
        assert.deepEqual(ours.map(({ spi, ifId, mark }) => [spi, ifId ?? mark]).sort(), [
          [0x51, 'ifId' in ids ? ids.ifId : ids.mark],
          [0x52, 'ifId' in ids ? ids.ifId : ids.mark],
        ]);
        for (const { value } of monitor.policies) {
          assert.deepEqual(value.ifId ?? value.mark, 'ifId' in ids ? ids.ifId : ids.mark);
        }
      } finally {
        for (const where of [client, other]) {
          await where.flushPolicies();
          await where.flushStates();
        }
        ipBatch(['link del tun0']);
        farBatch(['link del tun0']);
      }
    },
  );
}

/** Adds an SA and hears of it; undefined where the kernel refuses its kind. */
async function added(state: Encodable<XfrmState>): Promise<XfrmState | undefined> {
  await using subscription = subscribe({ groups: ['XFRMNLGRP_SA'] });
  const events = subscription[Symbol.asyncIterator]();
  try {
    await client.addState(state);
    return (await next(events, ofKind('NEWSA'))).state;
  } catch (error) {
    // No such mode or encapsulation: EINVAL, EPROTONOSUPPORT or ENOPROTOOPT, as kernels differ.
    if (error instanceof KernelError) return undefined;
    throw error;
  }
}

test('an SA of IP-TFS (RFC 9347) carries its parameters', patience, async (t) => {
  const parameters = {
    iptfsDropUs: 1_000_000,
    iptfsReorderWindow: 3,
    iptfsInitDelayUs: 500,
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

const SIMULATED = '/sys/bus/netdevsim';

test('an SA offloaded to a device says to which', patience, async (t) => {
  // This kind of link cannot be made so, but to ask for it loads the module.
  spawnSync('ip', words('link add sim0 type netdevsim'));
  if (!existsSync(SIMULATED)) return t.skip('this kernel has no netdevsim (CONFIG_NETDEVSIM)');
  // Device 7 with one port (the kernel's Documentation/networking/devlink/netdevsim.rst).
  writeFileSync(join(SIMULATED, 'new_device'), '7 1');
  try {
    const [name = ''] = readdirSync(join(SIMULATED, 'devices/netdevsim7/net'));
    ipBatch([`address add 198.51.100.1/24 dev ${name}`, `link set ${name} up`]);
    const offload = { ifindex: indexOf(name), flags: [] };
    const ends = { saddr: '198.51.100.1', daddr: '198.51.100.2', mode: 'transport' } as const;
    const state = await added({ ...OUT, ...ends, spi: 0x65, offload });
    assert.deepEqual(state?.offload, offload);
    assert.deepEqual((await client.getState({ daddr: ends.daddr, spi: 0x65 })).offload, offload);
    await client.deleteState({ daddr: ends.daddr, spi: 0x65 });
  } finally {
    writeFileSync(join(SIMULATED, 'del_device'), '7');
  }
});

test('an offload that the device cannot do is reported as not taken', patience, async () => {
  const offload = { ifindex: indexOf('near'), flags: [] };
  const { ignoredAttributes } = await client.addState({ ...OUT, spi: 0x63, offload });
  assert.deepEqual(ignoredAttributes, ['XFRMA_OFFLOAD_DEV']);
  assert.equal((await client.getState({ daddr: FAR, spi: 0x63 })).offload, undefined);
  await assert.rejects(
    client.addState({ ...OUT, spi: 0x64, offload: { ...offload, flags: ['packet'] } }),
    (error) => error instanceof KernelError,
  );
});
