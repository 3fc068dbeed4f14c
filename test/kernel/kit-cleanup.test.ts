/** The testing kit: what it made is gone afterwards, also if the process was killed. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import {
  expectEncrypted,
  keyedTunnel,
  listen,
  NetworkNamespace,
  ping,
  twoHosts,
  waitForEvent,
} from '../../lib/testing/index.ts';
import { withoutEsp } from './support.ts';

/** What a killed process leaves, if anything: waits until none of it is there. */
async function untilGone(left: () => readonly unknown[]): Promise<void> {
  while (left().length > 0) execFileSync('sleep', ['0.01']);
}

/** The processes of a network namespace, by its link in /proc. */
const inNamespace = (link: string) =>
  readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readlinkSync(`/proc/${pid}/ns/net`) === link;
    } catch {
      return false; // gone meanwhile
    }
  });

/** Two programs in a host: one that has another in the background, and one that a daemon becomes. */
const WORLD = `
  const { twoHosts } = await import(${JSON.stringify(new URL('../../lib/testing/index.js', import.meta.url))});
  const { left } = await twoHosts();
  const folder = left.folder();
  const { stdout } = await left.run('readlink', ['/proc/self/ns/net']);
  await left.run('sh', ['-c', 'setsid sleep 1000 >/dev/null 2>&1 & touch "$0"', \`\${folder}/file\`]);
  const child = left.spawn('sh', ['-c', 'sleep 1000 & echo; exec sleep 1000']);
  child.stdout.once('data', () => console.log(JSON.stringify([folder, stdout.trim()])));
  setInterval(() => {}, 1000);`;

for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
  test(`nothing outlives a process that ends by ${signal}: programs, their children, folders, namespaces`, async () => {
    const args = ['--input-type=module', '-e', WORLD];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = await once(createInterface({ input: child.stdout }), 'line');
    const [folder, link] = JSON.parse(line) as [string, string];
    assert.equal(inNamespace(link).length, 3);
    assert.deepEqual(readdirSync(folder), ['file']);
    child.kill(signal);
    await once(child, 'exit');
    await untilGone(() => inNamespace(link));
    await untilGone(() => (existsSync(folder) ? [folder] : []));
  });
}

test('where a PID namespace ends, so does all that runs in its hosts', async (t) => {
  // As with a killed container. What removes folders is killed too, maybe before it has done so.
  const own = ['--pid', '--fork', '--kill-child', '--mount-proc'];
  const args = [...own, process.execPath, '--input-type=module', '-e', WORLD];
  const child = spawn('unshare', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await once(createInterface({ input: child.stdout }), 'line');
  const [folder, link] = JSON.parse(line) as [string, string];
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  assert.equal(inNamespace(link).length, 3);
  child.kill('SIGKILL');
  await once(child, 'exit');
  await untilGone(() => inNamespace(link));
});

test('a closed host leaves no program, however started, and no directory', async () => {
  const host = await NetworkNamespace.make('alone');
  const { stdout } = await host.run('readlink', ['/proc/self/ns/net']);
  const folder = host.folder();
  await host.run('sh', ['-c', 'setsid sleep 1000 >/dev/null 2>&1 &']);
  assert.equal(inNamespace(stdout.trim()).length, 1);
  await host.close();
  assert.deepEqual(inNamespace(stdout.trim()), []);
  assert.equal(existsSync(folder), false);
  assert.throws(() => host.netns, /^TypeError.*: alone is closed$/);
  assert.throws(() => host.spawn('true'), /alone is closed/);
});

/** What a hundred tests must not add to, in this process and in those it started. */
async function footprint() {
  for (let i = 0; i < 3; i++) {
    globalThis.gc?.();
    await new Promise(setImmediate);
  }
  const { heapUsed, external } = process.memoryUsage();
  const descriptors = links('self');
  const children = readFileSync(`/proc/self/task/${process.pid}/children`, 'latin1').trim();
  const held = [...descriptors, ...children.split(' ').filter(Boolean).flatMap(links)];
  return {
    things: {
      descriptors: descriptors.length,
      namespaces: new Set(held.filter((link) => link.startsWith('net:'))).size,
      children,
      netlinkSockets: readFileSync('/proc/net/netlink', 'latin1').split('\n').length,
    },
    memory: heapUsed + external,
  };
}

/** What the descriptors of a process refer to. */
const links = (pid: string) =>
  readdirSync(`/proc/${pid}/fd`).flatMap((name) => {
    try {
      return [readlinkSync(`/proc/${pid}/fd/${name}`)];
    } catch {
      return []; // that of the folder
    }
  });

test('a hundred tests in one kernel leave memory, namespaces and processes as before', async (t) => {
  let count = 0;
  const one = async () => {
    await using hosts = await twoHosts();
    const { left, right } = hosts;
    const events = listen(left);
    if (withoutEsp) assert.equal((await ping(left, right)).received, 3);
    else {
      await keyedTunnel(left, right);
      await expectEncrypted(left, right);
    }
    await left.xfrm.addPolicy({ dir: 'out', selector: { daddr: '10.9.0.0/16' } });
    await waitForEvent(events, 'NEWPOLICY');
    if (count++ % 10 === 0) left.spawn('sleep', ['1000']);
  };
  const repeat = async (times: number) => {
    for (let i = 0; i < times; i++) await one();
    return footprint();
  };
  const before = await repeat(30);
  const after = await repeat(100);
  assert.deepEqual(after.things, before.things);
  t.diagnostic(`${after.memory - before.memory} bytes more after a hundred tests`);
  assert(after.memory - before.memory < 2 ** 21, `${after.memory - before.memory} bytes more`);
});
