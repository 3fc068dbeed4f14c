/** The testing kit: namespaces, hosts, tunnels with keys made for them, traffic. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readlinkSync } from 'node:fs';
import { test } from 'node:test';
import {
  cutLink,
  gateways,
  type Host,
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

test('a host is a gateway for networks of both families', async () => {
  await using hosts = await twoHosts({ right: { inner: '' } });
  const { left, right } = hosts;
  for (const address of ['10.9.0.1', 'fd00:9::1']) await right.addAddress(address);
  await left.reach('10.9.0.0/16', right, left.inner);
  await left.reach('fd00:9::/64', right, left.inner6);
  assert.equal((await ping(left, right, { from: left.address, to: '10.9.0.1' })).received, 3);
  assert.equal((await ping(left, right, { from: left.address6, to: 'fd00:9::1' })).received, 3);
  await using warriors = await roadWarriors(1);
  const [client = left] = warriors.clients;
  await assert.rejects(
    client.reach('fd00:9::/64', warriors.server),
    /^TypeError.*has no IPv6 addr/,
  );
});

test('processes use the kit side by side', async () => {
  // As runners do with test files. The addresses are the same in each.
  const script = `
    const kit = await import(${JSON.stringify(new URL('../../lib/testing/index.js', import.meta.url))});
    for (let i = 0; i < 3; i++) {
      const { left, right, ...hosts } = await kit.twoHosts();
      if (${withoutEsp === false}) {
        const tunnel = await kit.keyedTunnel(left, right);
        await kit.expectEncrypted(left, right);
        await kit.expectMirrored(left, right);
        await tunnel.remove();
      }
      console.log((await kit.ping(left, right)).received, (await left.run('echo', ['well'])).stdout.trim());
      await hosts[Symbol.asyncDispose]();
    }`;
  const one = async () => {
    const args = ['--input-type=module', '-e', script];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (data) => {
      text += data;
    });
    await once(child, 'close');
    return text;
  };
  const well = '3 well\n'.repeat(3);
  assert.deepEqual(await Promise.all([one(), one(), one()]), [well, well, well]);
});

test('errors say where and why', async () => {
  await using hosts = await twoHosts();
  const { left, right } = hosts;
  await left.udp(left.address, 77);
  for (const [use, code, message] of [
    [() => left.udp('192.0.2.77'), 'EADDRNOTAVAIL', /left has no address 192\.0\.2\.77/],
    [
      () => left.udp(left.address, 77),
      'EADDRINUSE',
      /another socket of left has 192\.0\.2\.1 port 77/,
    ],
    [
      () => left.sysctl('net/ipv4/nothing', 1),
      'ERR_PROGRAM_FAILED',
      /^left: sysctl .* this kernel has no/,
    ],
    [() => left.run('sh', ['-c', 'kill -9 $$']), 'ERR_PROGRAM_FAILED', /was killed by SIGKILL$/],
    [
      () => left.run('true', [], { env: { PATH: '/none' } }),
      'ERR_PROGRAM_MISSING',
      /^setpriv is not found in PATH: it comes with the package util-linux/,
    ],
  ] as const) {
    await assert.rejects(use, { code, message });
  }
  const aborted = left.run('sleep', ['1000'], { signal: AbortSignal.timeout(50) });
  await assert.rejects(aborted, { name: 'AbortError' });
  await cutLink(left, right);
  await assert.rejects(tcp(left, right, { timeout: 50 }), {
    code: 'ERR_WAIT_TIMEOUT',
    message: 'TCP from 10.0.1.1 to 10.0.2.1: no connection within 50 ms',
  });
});

test('a test that fails while there is traffic leaves nothing', async () => {
  let left: Host | undefined;
  const traffic: Promise<unknown>[] = [];
  /** Its outcome, looked at later. */
  const start = (one: Promise<unknown>) => traffic.push(one.catch((error: unknown) => error));
  const failing = async () => {
    await using hosts = await twoHosts();
    ({ left } = hosts);
    for (let i = 0; i < 5; i++) start(tcp(hosts.left, hosts.right, { size: 10_000_000 }));
    start(ping(hosts.left, hosts.right, { count: 1000 }));
    start(hosts.left.run('sleep', ['1000']));
    await hosts.left.udp(hosts.left.address);
    throw new Error('the test fails');
  };
  await assert.rejects(failing(), /^Error: the test fails$/);
  const ended = await Promise.all(traffic);
  assert.match(`${ended.at(-1)}`, /left: sleep 1000: was killed by SIGKILL/);
  assert(
    ended.slice(0, 5).every((one) => one instanceof Error),
    `${ended}`,
  );
  assert.throws(() => left?.netns, /left is closed/);
});

test('the kit works inside a namespace of the kit, and in a user namespace there', async () => {
  await using outer = await NetworkNamespace.make('outer');
  const kit = new URL('../../lib/testing/index.js', import.meta.url).href;
  const script = `const { ping, twoHosts } = await import('${kit}');
    const { left, right } = await twoHosts();
    console.log((await ping(left, right)).received, (await left.run('ls', ['/sys/class/net'])).stderr);
    process.exit();`;
  const node = [process.execPath, '--input-type=module', '-e', script];
  const [first = '', ...args] = node;
  assert.equal((await outer.run(first, args)).stdout, '3 \n');
  const unshare = ['--user', '--map-root-user', '--net', '--mount', ...node];
  assert.equal((await outer.run('unshare', unshare)).stdout, '3 \n');
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
