/** The rarer events, each really caused: by traffic, by time, by request. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import {
  isLarval,
  KernelError,
  type SubscriptionEvent,
  type XfrmChange,
  XfrmClient,
  XfrmMonitor,
} from '../../lib/index.ts';
import { caused } from './caused.ts';
import { type Host, hostsHere, type TwoHosts } from './here.ts';
import { KEY_HEX, ofKind, withoutEsp } from './support.ts';

const key = Uint8Array.from(Buffer.from(KEY_HEX, 'hex'));
const aead = { name: 'rfc4106(gcm(aes))', icvBits: 128, key };
const LEFT = '192.0.2.1';
const RIGHT = '192.0.2.2';
const OUT = { saddr: LEFT, daddr: RIGHT, proto: 'esp', mode: 'transport', reqid: 70 } as const;
const IN = { saddr: RIGHT, daddr: LEFT, proto: 'esp', mode: 'transport', reqid: 70 } as const;
const GCM = `aead rfc4106(gcm(aes)) 0x${KEY_HEX} 128`;
const patience = { timeout: 600_000 };

let hosts: TwoHosts | undefined;
let right: Host;
let client: XfrmClient;

before(async () => {
  client = new XfrmClient();
  hosts = await hostsHere();
  right = hosts.right;
});
after(async () => {
  await client.close();
  await hosts?.[Symbol.asyncDispose]();
});

/** Sends datagrams to the right host, from a port of ours. */
async function send(count: number, port = 4242): Promise<void> {
  const socket = createSocket('udp4');
  for (let i = 0; i < count; i++) {
    await new Promise<void>((resolve) => socket.send('x', port, RIGHT, () => resolve()));
  }
  socket.close();
}

async function clean(): Promise<void> {
  await client.flushStates();
  await client.flushPolicies();
  await right.ip('xfrm state flush');
  await right.ip('xfrm policy flush');
}

/** A policy for all traffic to the right host: ESP in transport mode. */
const policy = (more: object = {}) => ({
  dir: 'out' as const,
  selector: { saddr: LEFT, prefixlenS: 32, daddr: RIGHT, prefixlenD: 32 },
  templates: [
    { proto: 'esp' as const, reqid: 70, aalgos: ~0 >>> 0, ealgos: ~0 >>> 0, calgos: ~0 >>> 0 },
  ],
  ...more,
});

test('a packet that needs an SA makes an ACQUIRE', patience, async () => {
  const event = await caused(async () => {
    await client.addPolicy(policy());
    await send(1);
  }, ofKind('ACQUIRE'));
  const { acquire, header } = event;
  assert.deepEqual([acquire.saddr, acquire.daddr, acquire.proto], [LEFT, RIGHT, 'esp']);
  assert.deepEqual([acquire.selector.proto, acquire.selector.dport], [17, 4242]);
  assert.equal(acquire.policy.dir, 'out');
  assert.equal(acquire.templates?.[0]?.reqid, 70);
  assert(acquire.seq > 0);
  assert.deepEqual([header.seq, header.portId], [0, 0]);
  await clean();
});

test('an ACQUIRE of an IPv6 SA for an IPv4 packet has its IPv6 addresses', patience, async () => {
  const ends = { saddr: '2001:db8::1', daddr: '2001:db8::2' };
  const template = { ...ends, family: 'inet6', proto: 'esp', mode: 'tunnel', reqid: 70 } as const;
  const { acquire } = await caused(async () => {
    await client.addPolicy({ ...policy(), templates: [template] });
    await send(1);
  }, ofKind('ACQUIRE'));
  assert.deepEqual([acquire.saddr, acquire.daddr], [ends.saddr, ends.daddr]);
  assert.equal(acquire.selector.daddr, RIGHT);
  await clean();
});

test(
  'a monitor tells an ACQUIRE in order with the changes, where it is asked to',
  patience,
  async () => {
    await using monitor = await XfrmMonitor.open({ acquires: true });
    await using other = await XfrmMonitor.open();
    const told: XfrmChange[] = [];
    other.on('change', (change) => told.push(change));
    const loop = monitor[Symbol.asyncIterator]();
    await loop.next();
    await client.addPolicy(policy());
    await send(1);
    const { value: first } = await loop.next();
    assert(first?.kind === 'added' && first.object === 'policy');
    const { value: second } = await loop.next();
    assert(second?.kind === 'key-manager-request' && second.event.kind === 'ACQUIRE');
    assert.equal(second.event.acquire.daddr, RIGHT);
    assert.equal(second.time, second.event.time);
    // The larval SA that it tells of is shown after a comparison.
    await Promise.all([monitor.refresh(), other.refresh()]);
    const { value: third } = await loop.next();
    assert(third?.kind === 'added' && third.object === 'state' && isLarval(third.value));
    assert.equal(third.value.seq, second.event.acquire.seq);
    assert(!told.some(({ kind }) => kind === 'key-manager-request'));
    await clean();
  },
);

test('a policy that reaches its limits is announced twice', patience, async () => {
  let seen: boolean[] = [];
  // A kernel that comes to the timer only after both limits tells of the hard one alone.
  for (let hardAddSeconds = 2; seen.length !== 2; hardAddSeconds *= 4) {
    seen = [];
    await caused(
      () => client.addPolicy(policy({ lifetime: { softAddSeconds: 1, hardAddSeconds } })),
      (event): event is SubscriptionEvent => {
        if (event.kind !== 'POLEXPIRE') return false;
        assert.equal(event.policy.selector.daddr, RIGHT);
        seen.push(event.hard === true);
        return event.hard === true;
      },
    );
  }
  assert.deepEqual(seen, [false, true]);
  await clean();
});

test('what happens without a policy is announced when set', patience, async () => {
  const event = await caused(
    () => client.setDefaults({ in: 'accept', fwd: 'block', out: 'accept' }),
    ofKind('GETDEFAULT'),
  );
  assert.deepEqual(event.defaults, { in: 'accept', fwd: 'block', out: 'accept' });
  await client.setDefaults({ in: 'accept', fwd: 'accept', out: 'accept' });
});

test('counters are announced by traffic, by time and by request', {
  ...patience,
  skip: withoutEsp,
}, async () => {
  const esp = {
    ...OUT,
    spi: 0x7001,
    replayWindow: 32,
    aead,
    replayThreshold: 2,
    timerThreshold: 1,
  };
  const byFlag =
    (flag: 'replay-update' | 'timer-expired' | 'policy-updated') => (event: SubscriptionEvent) =>
      event.kind === 'NEWAE' && event.aevent.flags.names.includes(flag);
  const aevent = async (flag: Parameters<typeof byFlag>[0], work: () => Promise<unknown>) => {
    const wanted = byFlag(flag);
    const event = await caused(work, (one): one is SubscriptionEvent => wanted(one));
    assert(event.kind === 'NEWAE');
    assert.deepEqual([event.aevent.daddr, event.aevent.spi], [RIGHT, 0x7001]);
    return event.aevent;
  };
  const byTraffic = await aevent('replay-update', async () => {
    await client.addPolicy(policy());
    await client.addState(esp);
    await send(4);
  });
  assert(byTraffic.replay !== undefined && byTraffic.replay.oseq >= 2);
  // The packet that causes it is not counted yet (measured on 6.1, 6.12 and 7.2).
  assert(byTraffic.lifetimeCurrent !== undefined && byTraffic.lifetimeCurrent.packets >= 1n);
  const byTimer = await aevent('timer-expired', () => send(1));
  assert(byTimer.replay !== undefined && byTimer.replay.oseq > byTraffic.replay.oseq);
  const replay = { seq: 0, oseq: 900, bitmap: 0 };
  const byRequest = await aevent('policy-updated', () =>
    client.setAevent({ saddr: LEFT, daddr: RIGHT, proto: 'esp', spi: 0x7001, replay }),
  );
  assert.deepEqual(byRequest.replay, replay);
  await clean();
});

test('a packet from another port makes a MAPPING', { ...patience, skip: withoutEsp }, async () => {
  // Packets in UDP reach ESP only through a socket that was set up for that, which Node cannot do.
  const listener = spawn(
    'perl',
    [
      '-MSocket',
      '-e',
      `socket(S, PF_INET, SOCK_DGRAM, 0) or die; bind(S, sockaddr_in(4500, inet_aton("${LEFT}"))) or die;` +
        // UDP_ENCAP (100) to UDP_ENCAP_ESPINUDP (2), linux/udp.h
        'setsockopt(S, 17, 100, pack("i", 2)) or die; $| = 1; print "ready\\n"; sleep 60;',
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  try {
    await once(listener.stdout, 'data');
    await using monitor = await XfrmMonitor.open({ acquires: true });
    const told: XfrmChange[] = [];
    monitor.on('change', (change) => told.push(change));
    const event = await caused(async () => {
      await client.addState({
        ...IN,
        spi: 0x7002,
        aead,
        replayWindow: 32,
        encap: { type: 'espinudp', sport: 4500, dport: 4500 },
      });
      const ends = `src ${RIGHT} dst ${LEFT}`;
      await right.ip(
        `xfrm state add ${ends} proto esp spi ${0x7002} reqid 70 mode transport ${GCM} encap espinudp 4501 4500 0.0.0.0`,
      );
      await right.ip(`xfrm policy add ${ends} dir out tmpl proto esp reqid 70 mode transport`);
      const [ping, args] = right.command(
        process.execPath,
        '-e',
        `const s = require('node:dgram').createSocket('udp4'); s.send('x', 9, '${LEFT}', () => s.close());`,
      );
      await once(spawn(ping, args, { stdio: 'inherit' }), 'exit');
    }, ofKind('MAPPING'));
    const { oldSaddr, oldSport, newSaddr, newSport, spi, reqid } = event.mapping;
    assert.deepEqual([oldSaddr, oldSport, newSaddr, newSport], [RIGHT, 4500, RIGHT, 4501]);
    assert.deepEqual([spi, reqid], [0x7002, 70]);
    // The SA stays as it was, until a key manager changes it: the table does too.
    await monitor.refresh();
    const [added, asked, last] = told;
    assert.deepEqual(
      [added?.kind, asked?.kind, last?.kind],
      ['added', 'key-manager-request', 'refreshed'],
    );
    assert(asked?.kind === 'key-manager-request' && asked.event.kind === 'MAPPING');
    assert.deepEqual(asked.event.mapping, event.mapping);
    assert.equal(monitor.states.bySpi(0x7002, { daddr: LEFT })[0]?.value.encap?.sport, 4500);
  } finally {
    listener.kill('SIGKILL');
    await clean();
  }
});

test('SAs and their policy that move make a MIGRATE', {
  ...patience,
  skip: withoutEsp,
}, async (t) => {
  const tunnel = { ...OUT, mode: 'tunnel' as const, reqid: 71 };
  const selector = { saddr: '10.8.0.0', prefixlenS: 16, daddr: '10.9.0.0', prefixlenD: 16 };
  const template = { saddr: LEFT, daddr: RIGHT, proto: 'esp', mode: 'tunnel', reqid: 71 } as const;
  await client.addPolicy({
    dir: 'out',
    selector,
    templates: [{ ...template, aalgos: ~0 >>> 0, ealgos: ~0 >>> 0, calgos: ~0 >>> 0 }],
  });
  await client.addState({ ...tunnel, spi: 0x7003, aead });
  const migration = {
    oldSaddr: LEFT,
    oldDaddr: RIGHT,
    newSaddr: LEFT,
    newDaddr: '192.0.2.3',
    proto: 'esp',
    mode: 'tunnel',
    reqid: 71,
  } as const;
  try {
    const event = await caused(
      () =>
        client.migrate({ dir: 'out', selector }, [migration], {
          kmAddress: { local: LEFT, remote: '192.0.2.3' },
        }),
      ofKind('MIGRATE'),
    );
    assert.deepEqual(event.migrations, [{ ...migration, oldFamily: 'inet', newFamily: 'inet' }]);
    assert.equal(event.id.dir, 'out');
    assert.equal(event.attributes.kmAddress?.remote, '192.0.2.3');
    assert.equal((await client.getState({ daddr: '192.0.2.3', spi: 0x7003 })).spi, 0x7003);
  } catch (error) {
    if (!(error instanceof KernelError && error.code === 'ENOPROTOOPT')) throw error;
    t.skip('this kernel has no MIGRATE');
  } finally {
    await clean();
  }
});
