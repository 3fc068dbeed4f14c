/**
 * Runs in the lab: the testing kit with real key managers. Its exit status is that of its tests.
 *
 *   node kit-guest.js strongswan|libreswan TOOLS
 * @module
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  Charon,
  expectEncrypted,
  expectMirrored,
  expectNoXfrmErrors,
  libreswan,
  listen,
  Pluto,
  roadWarriors,
  strongswan,
  TestingError,
  twoHosts,
  waitForEvent,
  waitForTunnel,
} from '../../lib/testing/index.ts';
import { installCharon, installPluto } from './graft.ts';

const [which, tools = ''] = process.argv.slice(2);
const alive = (pid = 0) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};
/** How many programs of a name run. */
const running = (name: string) =>
  readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      return readFileSync(`/proc/${pid}/comm`, 'utf8') === `${name}\n`;
    } catch {
      return false;
    }
  }).length;
/** A daemon that refuses its configuration is named, and none is left running. */
async function refusesConfiguration(name: string, start: () => Promise<unknown>): Promise<void> {
  await assert.rejects(start(), (error: Error) => {
    assert(error instanceof TestingError);
    assert.equal(error.code, 'ERR_PROGRAM_FAILED');
    assert.match(error.message, new RegExp(`^${name} of right: `));
    return true;
  });
  assert.equal(running(name), 0);
}
/** Daemons, and their folders, are gone after the process that started them was killed. */
async function endsWithItsProcess(name: string, kind: 'strongswan' | 'libreswan'): Promise<void> {
  const kit = new URL('../../lib/testing/index.js', import.meta.url).href;
  const script = `
    const { ${kind}, twoHosts } = await import('${kit}');
    const { left, right } = await twoHosts();
    const daemons = await ${kind}(left, right);
    console.log(JSON.stringify([daemons.left.folder, daemons.right.folder]));
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = await once(createInterface({ input: child.stdout }), 'line');
  const folders = JSON.parse(line) as string[];
  assert(folders.every((folder) => existsSync(folder)));
  assert.equal(running(name), 2);
  child.kill('SIGKILL');
  while (running(name) > 0 || folders.some((folder) => existsSync(folder))) await sleep(10);
}
const timeout = 60_000;

if (which === 'strongswan') {
  installCharon(tools);
  {
    await using hosts = await twoHosts();
    const { PATH } = process.env;
    process.env.PATH = '/nowhere';
    await assert.rejects(strongswan(hosts.left, hosts.right), {
      code: 'ERR_PROGRAM_MISSING',
      message: /^strongSwan’s swanctl is not installed: .* strongswan-swanctl /,
    });
    process.env.PATH = PATH;
  }
  {
    await using hosts = await twoHosts();
    const { left, right } = hosts;
    const connection = { proposals: 'nonsense' };
    await refusesConfiguration('charon', () => strongswan(left, right, { connection }));
  }
  await endsWithItsProcess('charon', which);
  {
    await using hosts = await twoHosts();
    const { left, right } = hosts;
    await using daemons = await strongswan(left, right, { connection: { dpd_delay: '1s' } });
    await daemons.left.initiate();
    await waitForTunnel(left, 'up', { peer: right.address, timeout });
    await expectEncrypted(left, right);
    await expectMirrored(left, right);
    const events = listen(left);
    await expectNoXfrmErrors([left, right], async () => {
      await daemons.left.rekey();
      await waitForEvent(events, 'DELSA', { timeout });
    });
    await expectMirrored(left, right, { timeout });
    await assert.rejects(daemons.left.swanctl('--initiate', '--child', 'none'), (error: Error) => {
      assert(error instanceof TestingError);
      assert.match(error.message, /^charon of left: swanctl .*; the end of its log:\n {2}\d\d\[/s);
      return true;
    });
    const { pid } = daemons.right;
    assert(alive(pid));
    await daemons.right.kill();
    assert(!alive(pid));
  }
  {
    // Files of one's own: those of the kit, copied.
    await using hosts = await twoHosts();
    const { left, right } = hosts;
    const files = { left: '/tmp/files/left', right: '/tmp/files/right' };
    for (const side of ['left', 'right'] as const) {
      await using one = await Charon.start(hosts[side], side === 'left' ? right : left, side);
      mkdirSync(files[side], { recursive: true });
      const text = readFileSync(join(one.folder, 'swanctl.conf'), 'utf8');
      writeFileSync(join(files[side], 'swanctl.conf'), text.replaceAll('inner {', 'own {'));
    }
    await using daemons = await strongswan(left, right, { files });
    await daemons.left.initiate('own');
    await expectEncrypted(left, right);
  }
  {
    await using world = await roadWarriors(1, { nat: true });
    const { server, clients, nat } = world;
    const [client] = clients;
    assert(client && nat);
    // The server sees the address of the NAT.
    const anywhere = { connection: { remote_addrs: '%any' } };
    await using far = await Charon.start(server, client, 'right', anywhere);
    await using near = await Charon.start(client, server, 'left', {});
    await near.initiate();
    await expectEncrypted(client, server);
    await expectMirrored(client, server, { nat: true });
    assert(nat.packets > 0);
    for await (const { encap } of server.xfrm.listStates()) assert.equal(encap?.type, 'espinudp');
    assert.match(far.log, /^\d\d\[/m);
  }
} else {
  installPluto(tools);
  await using hosts = await twoHosts();
  const { left, right } = hosts;
  const connection = { esp: 'nonsense' };
  await refusesConfiguration('pluto', () => libreswan(left, right, { connection }));
  await endsWithItsProcess('pluto', 'libreswan');
  await using daemons = await libreswan(left, right);
  assert(daemons.left instanceof Pluto);
  await daemons.left.initiate();
  await waitForTunnel(left, 'up', { peer: right.address, timeout });
  await expectEncrypted(left, right);
  await expectMirrored(left, right);
  await daemons.left.rekey();
  await expectEncrypted(left, right);
  const { pid } = daemons.left;
  await daemons.left.kill();
  assert(!alive(pid));
}
console.log('all well');
