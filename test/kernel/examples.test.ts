/** The programs of examples/ do what they say. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { XfrmClient } from '../../lib/index.ts';
import { root } from '../documents.ts';
import { output, RunningProgram } from './documented.ts';
import { addState, ip, KEY_HEX, withoutEsp, words } from './support.ts';
import { addHere, addPolicies, deleteHere, FAR, HERE } from './tunnel-peers.ts';

const folder = join(root, 'examples');
const path = (name: string) => join(folder, name);
const programs = readdirSync(folder).filter((name) => name.endsWith('.mjs'));

test('each is described in examples/README.md', () => {
  const readme = readFileSync(path('README.md'), 'utf8');
  const listed = Array.from(readme.matchAll(/^\| \[(.+?)\]\(\1\)/gm), ([, name]) => name);
  assert.deepEqual(listed.sort(), programs.sort());
});

test('generic-netlink lists families, and resolves a name', async () => {
  const list = await output(path('generic-netlink.mjs'));
  assert.match(list, /^16 nlctrl notify=16$/m);
  assert.equal(await output(path('generic-netlink.mjs'), 'nlctrl'), '16 nlctrl notify=16\n');
  await assert.rejects(output(path('generic-netlink.mjs'), 'none'), /CTRL_CMD_GETFAMILY ENOENT/);
});

test('sock-diag lists the sockets of a server', async () => {
  const listening = (at: string | { port: number; host: string }) =>
    new Promise<ReturnType<typeof createServer>>((resolve) => {
      const server = createServer().listen(at, () => resolve(server));
    });
  const tcp = await listening({ port: 0, host: '0.0.0.0' });
  const local = await listening('\0netlink-xfrm-example');
  try {
    const { port } = tcp.address() as { port: number };
    const list = await output(path('sock-diag.mjs'));
    assert.match(list, new RegExp(`^tcp listen 0\\.0\\.0\\.0:${port} 0\\.0\\.0\\.0:0$`, 'm'));
    assert.match(list, /^unix @netlink-xfrm-example/m);
  } finally {
    tcp.close();
    local.close();
  }
});

test('rtnetlink-watcher reports a link, an address and a route', async () => {
  await using watcher = new RunningProgram(path('rtnetlink-watcher.mjs'));
  await watcher.prints(/^following links, /);
  ip(...words('link add e0 type veth peer name e1'));
  ip(...words('link set e0 up'));
  ip(...words('address add 10.77.0.1/24 dev e0'));
  ip(...words('route add 10.78.0.0/16 dev e0'));
  try {
    await watcher.prints(/^NEWLINK e0 /m);
    await watcher.prints(/^NEWADDR 10\.77\.0\.1\/24 on link \d+$/m);
    await watcher.prints(/^NEWROUTE 10\.78\.0\.0\/16 link \d+$/m);
  } finally {
    ip(...words('link delete e0'));
  }
  await watcher.prints(/^DELLINK e0 /m);
  assert.equal(await watcher.end('SIGTERM'), 0);
});

test('inventory lists policies', async () => {
  addPolicies(7);
  const list = await output(path('inventory.mjs'));
  assert.match(
    list,
    /^policy out 10\.0\.0\.0\/16 > 10\.7\.0\.0\/16 priority 0: esp 192\.0\.2\.1 > 198\.51\.100\.7$/m,
  );
});

test('inventory lists SAs, without their keys', { skip: withoutEsp }, async () => {
  addState(0x1001);
  const list = await output(path('inventory.mjs'));
  assert.match(
    list,
    /^esp 192\.0\.2\.1 > 192\.0\.2\.2 0x00001001 tunnel rfc4106\(gcm\(aes\)\)\/160 0 packets, 0 bytes, /m,
  );
  assert(!list.includes(KEY_HEX.slice(0, 16)));
});

test('daemon logs additions and removals, and ends by a signal', async () => {
  await using daemon = new RunningProgram(path('daemon.mjs'));
  await daemon.prints(/"following","states":0,"policies":0/);
  addPolicies(7);
  await daemon.prints(/"policy added","dir":"in"/);
  await using client = new XfrmClient();
  await client.flushPolicies();
  await daemon.prints(/"policy removed".*"reason":"flushed"/);
  assert.equal(await daemon.end('SIGTERM'), 0);
  assert.match(daemon.printed, /"message":"done"\}\n$/);
  for (const line of daemon.printed.trimEnd().split('\n')) JSON.parse(line);
});

/** A pair of SAs of the tunnel to {@link FAR}. */
function addPair(out: number, into: number): void {
  for (const [src, dst, spi] of [
    [HERE, FAR, out],
    [FAR, HERE, into],
  ] as const) {
    const id = words(`xfrm state add src ${src} dst ${dst} proto esp spi ${spi}`);
    const key = `0x${'01'.repeat(20)}`;
    ip(...id, ...words('reqid 7 mode tunnel aead rfc4106(gcm(aes))'), key, '128');
  }
}

const deletePair = (out: number, into: number) => {
  ip(...words(`xfrm state delete src ${HERE} dst ${FAR} proto esp spi ${out}`));
  ip(...words(`xfrm state delete src ${FAR} dst ${HERE} proto esp spi ${into}`));
};

test('rekey-logger logs a rekey', { skip: withoutEsp }, async () => {
  addHere();
  try {
    addPolicies(7);
    addPair(0x1001, 0x2001);
    await using logger = new RunningProgram(path('rekey-logger.mjs'));
    await logger.prints(/^following 1 tunnels$/m);
    addPair(0x1002, 0x2002);
    deletePair(0x1001, 0x2001);
    await logger.prints(/ out 0x00001001 > 0x00001002 in 0x00002001 > 0x00002002$/m);
    assert.equal(await logger.end('SIGTERM'), 0);
  } finally {
    deleteHere();
  }
});

test('watchdog ends when the tunnel stays down', { skip: withoutEsp }, async () => {
  addHere();
  try {
    addPolicies(7);
    await using watchdog = new RunningProgram(path('watchdog.mjs'), FAR, '0');
    addPair(0x1001, 0x2001);
    await watchdog.prints(/^up$/m);
    deletePair(0x1001, 0x2001);
    assert.equal(await watchdog.end(), 1);
    assert.match(watchdog.printed, /^blocked: policies, but no SAs$/m);
  } finally {
    deleteHere();
  }
});
