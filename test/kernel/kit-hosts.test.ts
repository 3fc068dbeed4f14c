/** The testing kit: namespaces, hosts, tunnels with keys made for them, traffic. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readlinkSync } from 'node:fs';
import { test } from 'node:test';
import {
  gateways,
  keyedTunnel,
  NetworkNamespace,
  ping,
  roadWarriors,
  TestingError,
  tcp,
  twoHosts,
} from '../../lib/testing/index.ts';
import { withoutEsp } from './support.ts';

const states = async (host: NetworkNamespace) => {
  const found = [];
  for await (const state of host.xfrm.listStates()) found.push(state);
  return found;
};

test('a namespace runs programs with files of their own, and ends with all in it', async () => {
  const host = await NetworkNamespace.make('alone');
  const { stdout } = await host.run('readlink', ['/proc/self/ns/net']);
  assert.notEqual(stdout.trim(), readlinkSync('/proc/self/ns/net'));
  const listed = await host.run('ls', ['-A', '/run'], { mounts: { '/run': 'tmpfs' } });
  assert.equal(listed.stdout, '');
  await host.sysctl('net/ipv4/ip_forward', 1);
  assert.equal((await host.run('cat', ['/proc/sys/net/ipv4/ip_forward'])).stdout, '1\n');
  await assert.rejects(host.run('sh', ['-c', 'echo no >&2; exit 3']), (error: TestingError) => {
    assert(error instanceof TestingError);
    assert.match(error.message, /^alone: sh -c .*: status 3: no$/);
    return true;
  });
  await assert.rejects(host.run('no-such-program'), { code: 'ERR_PROGRAM_MISSING' });
  const child = host.spawn('sleep', ['1000']);
  await host.close();
  await host.close();
  assert.equal(child.signalCode, 'SIGKILL');
  assert.throws(() => readlinkSync(host.path));
});

test('two hosts reach each other, by UDP and TCP, IPv4 and IPv6', async () => {
  await using hosts = await twoHosts();
  const { left, right } = hosts;
  assert.deepEqual(await ping(left, right), { sent: 3, received: 3 });
  const ends = { from: right.address6, to: left.address6 };
  assert.deepEqual(await ping(right, left, ends), { sent: 3, received: 3 });
  assert.equal(await tcp(left, right), 65_536);
  assert.equal(await tcp(right, left, { ...ends, size: 10 }), 10);
});

test('clients of a server pass a NAT, which can forget them', async () => {
  await using direct = await roadWarriors(2);
  for (const client of direct.clients)
    assert.equal((await ping(client, direct.server)).received, 3);
  await using world = await roadWarriors(2, { nat: true });
  const { server, clients, nat } = world;
  const heard = await server.udp(server.address, 500);
  const seen = async (client = clients[0]) => {
    const socket = await client?.udp(client.address, 500);
    const message = once(heard, 'message');
    socket?.send('hello', 500, server.address);
    const [, from] = await message;
    const answer = once(socket as NonNullable<typeof socket>, 'message');
    heard.send('back', from.port, from.address);
    const [text, back] = await answer;
    assert.deepEqual([`${text}`, back.address, back.port], ['back', server.address, 500]);
    socket?.close();
    assert.equal(from.address, nat?.address);
    return from.port;
  };
  const first = await seen();
  assert.equal(await seen(), first);
  assert.notEqual(await seen(clients[1]), first);
  nat?.rebind();
  assert.notEqual(await seen(), first);
});

for (const [what, options] of [
  ['ESP', {}],
  ['AH', { proto: 'ah' }],
  ['transport mode', { mode: 'transport' }],
  ['IPv6', { family: 'inet6' }],
  ['IPv6 in transport mode', { family: 'inet6', mode: 'transport' }],
  ['AES-CBC with HMAC', { algorithm: 'aes-cbc-sha256' }],
  ['ChaCha20-Poly1305', { algorithm: 'chacha20-poly1305' }],
] as const) {
  test(`a tunnel carries packets, is rekeyed, expires and is removed: ${what}`, {
    skip: withoutEsp,
  }, async () => {
    await using hosts = await twoHosts();
    const { left, right } = hosts;
    await using tunnel = await keyedTunnel(left, right, options);
    const place = 'mode' in options ? 'address' : 'inner';
    const name = 'family' in options ? (`${place}6` as const) : place;
    const ends = { from: left[name], to: right[name] };
    assert.equal((await ping(left, right, ends)).received, 3);
    assert.deepEqual(
      (await states(right)).map(({ current }) => current.packets),
      [3n, 3n],
    );
    const { spi } = tunnel.pair.toRight;
    await tunnel.rekey();
    assert.notEqual(tunnel.pair.toRight.spi, spi);
    assert.equal((await states(left)).length, 2);
    assert.equal(await tcp(left, right, ends), 65_536);
    await tunnel.replace();
    assert.equal((await ping(left, right, ends)).received, 3);
    await tunnel.expire({ on: left, direction: 'out' });
    assert.deepEqual(
      (await states(left)).map(({ spi }) => spi),
      [tunnel.pair.toLeft.spi],
    );
    assert.equal((await ping(left, right, { ...ends, timeout: 50 })).received, 0);
    await tunnel.remove();
    for (const host of [left, right]) {
      assert.deepEqual(await states(host), []);
      for await (const policy of host.xfrm.listPolicies()) assert.fail(`left: ${policy.dir}`);
    }
  });
}

test('gateways carry what hosts behind them say', { skip: withoutEsp }, async () => {
  await using world = await gateways();
  const { left, right, behindLeft, behindRight } = world;
  await using _tunnel = await keyedTunnel(left, right, {
    protects: ['10.0.1.0/24', '10.0.2.0/24'],
  });
  assert.equal((await ping(behindLeft, behindRight)).received, 3);
  assert.equal(await tcp(behindRight, behindLeft), 65_536);
  for (const { current } of await states(left)) assert(current.packets > 3n);
});
