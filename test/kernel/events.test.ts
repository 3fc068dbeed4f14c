/** Events of the kernel, caused by an independent program (`ip`), as subscribers see them. */

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { NETLINK_XFRM, XFRMGRP_SA, XFRMNLGRP_SA } from '../../lib/constants.ts';
import { type SubscriptionEvent, subscribe } from '../../lib/index.ts';
import { NetlinkSocket } from '../../lib/socket.ts';
import { NO_LIMIT } from '../../lib/wire/time.ts';
import {
  addState,
  deleteLarval,
  ip,
  ipBatch,
  KEY_HEX,
  next,
  ofKind,
  until,
  withoutEsp,
  words,
} from './support.ts';

const SA = ['XFRMNLGRP_SA', 'XFRMNLGRP_EXPIRE'] as const;
const ID = 'dst 192.0.2.2 proto esp spi';

test('NEWSA, UPDSA, DELSA by ip xfrm arrive with every field', { skip: withoutEsp }, async () => {
  await using subscription = subscribe({ groups: SA });
  const before = Math.floor(Date.now() / 1000) * 1000;
  addState(
    0x1001,
    ...words('replay-window 32 flag esn seq 0x9 mark 0x10 mask 0xff output-mark 0x20 mask 0xf0'),
    ...words('if_id 0x4d encap espinudp 4500 4501 0.0.0.0 extra-flag dont-encap-dscp'),
    ...words('limit time-soft 3600 limit time-hard 4000 limit byte-soft 1000 limit packet-hard 99'),
    ...words('sel src 10.0.0.0/24 dst 10.1.0.0/16 proto tcp sport 80 dport 443'),
  );
  ip(
    'xfrm',
    'state',
    'update',
    'src',
    '192.0.2.1',
    ...words(`${ID} 0x1001 mark 0x10 mask 0xff`),
    ...words('reqid 7 mode tunnel replay-window 32 flag esn if_id 0x4d'),
    ...words('encap espinudp 4500 4501 0.0.0.0'),
    'aead',
    'rfc4106(gcm(aes))',
    `0x${KEY_HEX}`,
    '128',
    ...words('limit time-soft 5000 limit time-hard 6000'),
  );
  ip('xfrm', 'state', 'delete', ...words(`${ID} 0x1001 mark 0x10 mask 0xff`));
  const events = await until(subscription, (event) => event.kind === 'DELSA');
  assert.deepEqual(
    events.map(({ kind }) => kind),
    ['NEWSA', 'UPDSA', 'DELSA'],
  );
  const [added, updated, deleted] = events;
  assert(added?.kind === 'NEWSA' && updated?.kind === 'UPDSA' && deleted?.kind === 'DELSA');

  const { current, ...state } = added.state;
  assert(current.addedAt >= before && current.addedAt <= before + 60_000);
  assert.deepEqual(
    { ...current, addedAt: 0 },
    { bytes: 0n, packets: 0n, addedAt: 0, firstUsedAt: undefined },
  );
  assert.deepEqual(state, {
    selector: {
      daddr: '10.1.0.0',
      saddr: '10.0.0.0',
      dport: 443,
      dportMask: 0xffff,
      sport: 80,
      sportMask: 0xffff,
      family: 'inet',
      prefixlenD: 16,
      prefixlenS: 24,
      proto: 6,
      ifindex: 0,
      user: 0,
    },
    daddr: '192.0.2.2',
    spi: 0x1001,
    proto: 'esp',
    saddr: '192.0.2.1',
    lifetime: {
      softBytes: 1000n,
      hardBytes: NO_LIMIT,
      softPackets: NO_LIMIT,
      hardPackets: 99n,
      softAddSeconds: 3600,
      hardAddSeconds: 4000,
      softUseSeconds: NO_LIMIT,
      hardUseSeconds: NO_LIMIT,
    },
    stats: { replayWindow: 0, replay: 0, integrityFailed: 0 },
    // iproute2 stores the seq it is given in network order (seen in 6.1.0).
    seq: 0x09000000,
    reqid: 7,
    family: 'inet',
    mode: 'tunnel',
    replayWindow: 0,
    flags: { mask: 0x80, names: ['esn'] },
    extraFlags: { mask: 1, names: ['dont-encap-dscp'] },
    aead: { name: 'rfc4106(gcm(aes))', keyBits: 160, icvBits: 128 },
    encap: { type: 'espinudp', sport: 4500, dport: 4501, oa: '0.0.0.0' },
    mark: { value: 0x10, mask: 0xff },
    setMark: 0x20,
    setMarkMask: 0xf0,
    replayEsn: {
      oseq: 0,
      seq: 0,
      oseqHi: 0,
      seqHi: 0,
      replayWindow: 32,
      bitmap: [0],
    },
    ifId: 0x4d,
  });
  assert.equal(updated.state.lifetime.softAddSeconds, 5000);
  assert.equal(updated.state.lifetime.hardAddSeconds, 6000);
  assert.deepEqual(deleted.id, { daddr: '192.0.2.2', spi: 0x1001, family: 'inet', proto: 'esp' });
  assert.deepEqual(deleted.state.selector, state.selector);
  assert.deepEqual(deleted.state.lifetime, updated.state.lifetime);
  assert.deepEqual(deleted.state.aead, state.aead);
});

test('SAs of every protocol and address family arrive with their own fields', {
  skip: withoutEsp,
}, async () => {
  await using subscription = subscribe({ groups: SA });
  const key = `0x${'ab'.repeat(32)}`;
  ip(
    'xfrm',
    'state',
    'add',
    ...words('src 2001:db8::1 dst 2001:db8::2 proto esp spi 0x2001'),
    ...words('mode transport enc cbc(aes) 0x00112233445566778899aabbccddeeff'),
    'auth-trunc',
    'hmac(sha256)',
    key,
    '128',
  );
  ip(
    'xfrm',
    'state',
    'add',
    ...words('src 192.0.2.1 dst 192.0.2.2 proto ah spi 0x2002 mode transport'),
    'auth-trunc',
    'hmac(sha256)',
    key,
    '128',
  );
  ip(
    'xfrm',
    'state',
    'add',
    ...words('src 192.0.2.1 dst 192.0.2.2 proto comp spi 0x2003'),
    ...words('mode tunnel comp deflate'),
  );
  ip('xfrm', 'state', 'flush');
  const states = (await until(subscription, (event) => event.kind === 'FLUSHSA')).flatMap(
    (event) => (event.kind === 'NEWSA' ? [event.state] : []),
  );
  const [esp, ah, comp] = states;
  assert.equal(states.length, 3);
  assert.equal(`${esp?.saddr} ${esp?.daddr} ${esp?.family}`, '2001:db8::1 2001:db8::2 inet6');
  assert.equal(esp?.mode, 'transport');
  assert.deepEqual(esp?.crypt, { name: 'cbc(aes)', keyBits: 128 });
  const sha256 = { name: 'hmac(sha256)', keyBits: 256, truncBits: 128 };
  assert.deepEqual(esp?.authTrunc, sha256);
  assert.deepEqual(esp?.auth, { name: 'hmac(sha256)', keyBits: 256 });
  assert.equal(ah?.proto, 'ah');
  assert.deepEqual(ah?.authTrunc, sha256);
  assert.equal(comp?.proto, 'comp');
  assert.deepEqual(comp?.comp, { name: 'deflate', keyBits: 0 });
});

test('an SA that reaches its soft and hard limits is announced', { skip: withoutEsp }, async () => {
  await using subscription = subscribe({ groups: SA });
  // A kernel that comes to the timer only after both limits tells of the hard one alone.
  for (let hard = 2, kinds: string[] = []; kinds.length !== 3; hard *= 4) {
    addState(0x1002, ...words(`limit time-soft 1 limit time-hard ${hard}`));
    const events = await until(subscription, (one) => one.kind === 'EXPIRE' && one.hard === true);
    kinds = events.map((one) => (one.kind === 'EXPIRE' ? (one.hard ? 'hard' : 'soft') : one.kind));
    assert.deepEqual(
      kinds.filter((kind) => kind !== 'soft'),
      ['NEWSA', 'hard'],
    );
    for (const event of events.slice(1)) {
      assert(event.kind === 'EXPIRE');
      assert.equal(event.state.spi, 0x1002);
      assert.equal(event.state.lifetime.hardAddSeconds, hard);
      assert.equal(event.state.aead, undefined, 'EXPIRE holds no algorithms');
    }
  }
});

test('a hard EXPIRE is followed by no DELSA', { skip: withoutEsp }, async () => {
  await using subscription = subscribe({ groups: SA });
  addState(0x1003, ...words('limit time-hard 1'));
  await next(subscription[Symbol.asyncIterator](), ofKind('EXPIRE'));
  assert.equal(ip('xfrm', 'state'), '', 'the SA is gone');
  const spi = deleteLarval();
  const after = await next(subscription[Symbol.asyncIterator](), ofKind('DELSA'));
  assert.equal(after.id.spi, spi, 'the first DELSA is that of another SA');
});

test('flushing yields one FLUSHSA and no DELSA', async () => {
  await using subscription = subscribe({ groups: SA });
  const id = words('src 192.0.2.1 dst 192.0.2.2 proto esp');
  for (let i = 0; i < 3; i++) {
    ip('xfrm', 'state', 'allocspi', ...id, ...words('min 0x1000 max 0xffffff'));
  }
  ip('xfrm', 'state', 'flush', 'proto', 'esp');
  const spi = deleteLarval();
  const events = await until(subscription, (event) => event.kind === 'DELSA');
  assert.deepEqual(
    events.map(({ kind }) => kind),
    ['FLUSHSA', 'DELSA'],
  );
  assert(events[0]?.kind === 'FLUSHSA' && events[1]?.kind === 'DELSA');
  assert.equal(events[0].proto, 'esp');
  assert.equal(events[1].id.spi, spi);
});

test('two listeners get the same event', async () => {
  await using one = subscribe({ groups: SA });
  await using two = subscribe({ groups: ['XFRMGRP_SA'] });
  const spi = deleteLarval();
  const first = await next(one[Symbol.asyncIterator](), ofKind('DELSA'));
  const second = await next(two[Symbol.asyncIterator](), ofKind('DELSA'));
  assert.equal(first.id.spi, spi);
  assert.deepEqual({ ...second, time: 0 }, { ...first, time: 0 });
});

/** Two raw sockets, the first as `prepare` leaves it, the second a listener to SAs. */
async function silent(prepare: (socket: NetlinkSocket) => void): Promise<void> {
  await using socket = new NetlinkSocket({ protocol: NETLINK_XFRM });
  prepare(socket);
  let received = 0;
  socket.receive((batch) => {
    received += batch.count;
  });
  await using listener = subscribe({ groups: SA });
  deleteLarval();
  // Multicasts are queued on every socket before the request is acknowledged: once a listener
  // has the event, the silent socket would have had it.
  await next(listener[Symbol.asyncIterator](), ofKind('DELSA'));
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(received, 0);
  // The silence was not that of a broken socket: bound and joined, it hears the next event.
  if (socket.portId === 0) socket.bind();
  socket.joinGroup(XFRMNLGRP_SA);
  deleteLarval();
  while (received === 0) await new Promise((resolve) => setImmediate(resolve));
}

test('an unbound socket gets nothing', () => silent((socket) => socket.joinGroup(XFRMNLGRP_SA)));

test('a socket that joined another group gets nothing', () =>
  silent((socket) => socket.bind({ groups: 0xff & ~XFRMGRP_SA })));

test('a socket that left the group gets nothing', () =>
  silent((socket) => {
    socket.bind({ groups: XFRMGRP_SA });
    socket.leaveGroup(XFRMNLGRP_SA);
  }));

test('a socket in another network namespace gets nothing', async () => {
  await using subscription = subscribe({ groups: ['XFRMNLGRP_POLICY'] });
  const add = words('xfrm policy add src 10.0.0.0/24 dst 10.1.0.0/24 dir out priority');
  execFileSync('unshare', ['--net', 'ip', ...add, '1']);
  ip(...add, '2');
  ip(...words('xfrm policy flush'));
  const event = await next(subscription[Symbol.asyncIterator](), ofKind('NEWPOLICY'));
  assert.equal(event.policy.priority, 2);
});

test('an unprivileged socket gets EPERM for an XFRM group', () => {
  const program = `
    import { subscribe } from ${JSON.stringify(new URL('../../lib/index.js', import.meta.url).href)};
    try { subscribe({ groups: ['XFRMNLGRP_SA'] }); }
    catch ({ code, syscall, hint }) { console.log(code, syscall, /CAP_NET_ADMIN/.test(hint)); }`;
  const { stdout, stderr } = spawnSync(
    'setpriv',
    [
      '--bounding-set=-net_admin',
      '--inh-caps=-net_admin',
      process.execPath,
      '--input-type=module',
      '-e',
      program,
    ],
    { encoding: 'utf8' },
  );
  assert.equal(stdout, 'EPERM setsockopt true\n', stderr);
});

test('an IPv4 address added to an interface arrives through an RTMGRP group', async () => {
  await using subscription = subscribe({ groups: ['RTMGRP_IPV4_IFADDR'] });
  ip(...words('address add 192.0.2.77/32 dev lo'));
  const event = await next(subscription[Symbol.asyncIterator](), ofKind('NEWADDR'));
  ip(...words('address del 192.0.2.77/32 dev lo'));
  assert.equal(event.address.local, '192.0.2.77');
});

test('the event arrives before the acknowledgement', async () => {
  // One socket that listens and asks: both go through its queue, in the order of the kernel.
  await using socket = new NetlinkSocket({ protocol: NETLINK_XFRM });
  socket.bind({ groups: 1 << 3 }); // XFRMNLGRP_POLICY
  const types: number[] = [];
  const done = new Promise<void>((resolve) => {
    socket.receive((batch) => {
      for (let i = 0; i < batch.count; i++)
        types.push(batch.view.getUint16(batch.offset(i) + 4, true));
      if (types.length >= 2) resolve();
    });
  });
  ip(...words('xfrm policy add src 10.0.0.0/24 dst 10.1.0.0/24 dir out'));
  await new Promise((resolve) => setImmediate(resolve));
  const flush = new Uint8Array(16);
  const view = new DataView(flush.buffer);
  view.setUint32(0, 16, true);
  view.setUint16(4, 0x1d, true); // XFRM_MSG_FLUSHPOLICY
  view.setUint16(6, 5, true); // NLM_F_REQUEST | NLM_F_ACK
  while (types.length === 0) await new Promise((resolve) => setImmediate(resolve));
  types.length = 0;
  socket.send(flush);
  await done;
  while (types.length < 2) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(types, [0x1d, 2]); // FLUSHPOLICY, NLMSG_ERROR
});

test('a forged multicast is not passed on', async () => {
  await using subscription = subscribe({ groups: SA });
  await using forger = new NetlinkSocket({ protocol: NETLINK_XFRM });
  forger.bind();
  const flush = new Uint8Array(20);
  const view = new DataView(flush.buffer);
  view.setUint32(0, 17, true);
  view.setUint16(4, 0x1c, true); // XFRM_MSG_FLUSHSA
  forger.send(flush, { groups: XFRMGRP_SA });
  deleteLarval();
  const { value } = await subscription[Symbol.asyncIterator]().next();
  assert.equal(value?.kind, 'DELSA');
  assert.equal(subscription.sockets[0]?.rejected, 1);
});

test('ten thousand SAs in a burst are all accounted for', { skip: withoutEsp }, async () => {
  const COUNT = 10_000;
  await using subscription = subscribe({ groups: SA });
  const forced = (subscription.sockets[0]?.receiveBufferSize ?? 0) >= 128 * 2 ** 20;
  const key = `0x${KEY_HEX}`;
  ipBatch(
    Array.from(
      { length: COUNT },
      (_, i) =>
        `xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi ${0x10000 + i} mode tunnel aead rfc4106(gcm(aes)) ${key} 128`,
    ),
  );
  ip('xfrm', 'state', 'flush');
  const spis = new Set<number>();
  let overruns = 0;
  // Whether or not the flush's own event found room: an overrun is reported once for any number
  // of lost events, so with one the count can't be exact, and without one it must be.
  const iterator = subscription[Symbol.asyncIterator]();
  const ended = (event: SubscriptionEvent) =>
    event.kind === 'FLUSHSA' || (!forced && spis.size > 0 && overruns > 0);
  for (;;) {
    const { value: event } = await iterator.next();
    if (event === undefined) break;
    if (event.kind === 'NEWSA') spis.add(event.state.spi);
    if (event.kind === 'overrun') overruns++;
    if (ended(event)) break;
  }
  if (forced) {
    assert.equal(overruns, 0);
    assert.equal(spis.size, COUNT);
  } else {
    assert(spis.size === COUNT || overruns > 0, `${spis.size} of ${COUNT}, no overrun reported`);
  }
});

test('a tiny receive buffer yields an overrun, and the socket keeps working', async () => {
  await using subscription = subscribe({ groups: ['XFRMNLGRP_POLICY'], receiveBufferSize: 1 });
  const policies = Array.from(
    { length: 100 },
    (_, i) => `xfrm policy add src 10.0.${i}.0/24 dst 10.1.0.0/24 dir out`,
  );
  ipBatch(policies);
  const iterator = subscription[Symbol.asyncIterator]();
  const first = await iterator.next();
  assert.equal(first.value?.kind, 'overrun', 'told before the events that had found room');
  assert(
    first.value?.kind === 'overrun' && first.value.code === 'ENOBUFS' && first.value.count === 1,
  );
  // What had found room is read turn by turn; the kernel drops all else until none is left. So
  // an event made after every turn arrives at last.
  let kept = 0;
  let arrived = false;
  const read = (async () => {
    for (;;) {
      const { value } = await iterator.next();
      if (value?.kind === 'NEWPOLICY') kept++;
      if (value?.kind === 'FLUSHPOLICY') break;
    }
    arrived = true;
  })();
  while (!arrived) {
    ip(...words('xfrm policy flush'));
    ip(...words('xfrm policy add src 10.9.0.0/24 dst 10.1.0.0/24 dir out'));
    await new Promise((resolve) => setImmediate(resolve));
  }
  await read;
  assert(kept > 0 && kept < 100, `${kept} of 100 found room`);
});

test('no key byte is in an event, unless keys were asked for', { skip: withoutEsp }, async () => {
  await using without = subscribe({ groups: SA });
  await using withKeys = subscribe({ groups: SA, keys: true });
  addState(0x1004);
  ip('xfrm', 'state', 'flush');
  const plain = await next(without[Symbol.asyncIterator](), ofKind('NEWSA'));
  const keyed = await next(withKeys[Symbol.asyncIterator](), ofKind('NEWSA'));
  assert.equal(plain.state.aead?.key, undefined);
  assert.equal(Buffer.from(keyed.state.aead?.key?.bytes() ?? []).toString('hex'), KEY_HEX);
  assert.equal(inspect(keyed.state.aead?.key, { showHidden: true }), '[key of 20 bytes]');
  assert.equal(JSON.stringify(keyed.state.aead?.key), '"[key of 20 bytes]"');
});
