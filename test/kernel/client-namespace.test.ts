/** Clients and monitors in other network namespaces. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import {
  type NetnsReference,
  RouteClient,
  subscribe,
  XfrmClient,
  XfrmMonitor,
} from '../../lib/index.ts';
import { NetworkNamespace } from '../../lib/testing/index.ts';
import { runScript } from './socket-support.ts';
import './support.ts';

const index = new URL('../../lib/index.js', import.meta.url).href;
const selector = { saddr: '10.0.0.0', prefixlenS: 24, daddr: '10.1.0.0', prefixlenD: 24 };
const policy = (priority: number) => ({ dir: 'out', selector, priority }) as const;

const priorities = async (client: XfrmClient) => {
  const found: number[] = [];
  for await (const { priority } of client.listPolicies()) found.push(priority);
  return found;
};

/** How many descriptors of network namespaces this process has open. */
const held = () =>
  readdirSync('/proc/self/fd').filter((descriptor) => {
    try {
      return readlinkSync(`/proc/self/fd/${descriptor}`).startsWith('net:[');
    } catch {
      return false; // the descriptor of the folder itself, closed by now
    }
  }).length;

/** Does `act` with the namespace by path, then by descriptor. */
async function bothWays(
  path: string,
  act: (netns: NetnsReference, done: () => void) => Promise<void>,
) {
  await act(path, () => {});
  const descriptor = openSync(path, 'r');
  let open = true;
  const done = () => {
    if (open) closeSync(descriptor);
    open = false;
  };
  try {
    await act(descriptor, done);
  } finally {
    done();
  }
}

test('XfrmClient asks and changes the namespace it is given, not its own', async () => {
  await using other = await NetworkNamespace.make();
  await using here = new XfrmClient();
  await here.addPolicy(policy(1));
  const before = held();
  await bothWays(other.path, async (netns, done) => {
    await using there = new XfrmClient({ netns });
    done(); // a descriptor is the caller's: the client has its own
    await there.addPolicy(policy(2));
    assert.deepEqual(await priorities(there), [2]);
    assert.equal((await there.getSpdInfo()).counts?.out, 1);
    assert.deepEqual(await priorities(here), [1]);
    await there.flushPolicies();
    assert.deepEqual(await priorities(there), []);
    assert.deepEqual(await priorities(here), [1]);
  });
  assert.equal(held(), before, 'closed clients hold no namespace');
});

test('RouteClient asks and changes the namespace it is given, not its own', async () => {
  await using other = await NetworkNamespace.make();
  await using here = new RouteClient();
  await bothWays(other.path, async (netns, done) => {
    await using there = new RouteClient({ netns });
    done();
    await there.addLink({ name: 'elsewhere', info: { kind: 'bridge' } });
    assert.equal((await there.getLink({ name: 'elsewhere' })).info?.kind, 'bridge');
    const names = (await there.listLinks()).items.map(({ name }) => name);
    assert(names.includes('elsewhere'));
    await assert.rejects(here.getLink({ name: 'elsewhere' }), { code: 'ENODEV' });
    await there.deleteLink({ name: 'elsewhere' });
  });
});

test('XfrmMonitor lists and follows the namespace it is given, not its own', async () => {
  await using other = await NetworkNamespace.make();
  await using here = new XfrmClient();
  await using there = new XfrmClient({ netns: other.path });
  await here.addPolicy(policy(1));
  await bothWays(other.path, async (netns, done) => {
    await there.flushPolicies();
    await there.addPolicy(policy(2));
    await using monitor = await XfrmMonitor.open({ netns });
    done();
    assert.deepEqual(
      monitor.snapshot().policies.map(({ value }) => value.priority),
      [2],
    );
    const changes = monitor[Symbol.asyncIterator]();
    await changes.next(); // synced
    await here.replacePolicy(policy(3));
    await there.replacePolicy(policy(4));
    const { value } = await changes.next();
    assert(value?.kind === 'updated' && value.object === 'policy');
    assert.equal(value.value.priority, 4);
    await monitor.refresh(); // lists are made there, too
    assert.deepEqual(
      monitor.snapshot().policies.map(({ value }) => value.priority),
      [4],
    );
  });
});

test('a path is followed once: what it names later is another namespace', async () => {
  await using one = await NetworkNamespace.make();
  await using two = await NetworkNamespace.make();
  const folder = mkdtempSync(join(tmpdir(), 'netns-'));
  const path = join(folder, 'netns');
  symlinkSync(one.path, path);
  await using client = new XfrmClient({ netns: path });
  rmSync(path);
  symlinkSync(two.path, path);
  await client.addPolicy(policy(5)); // the first socket that this client opens
  await using first = new XfrmClient({ netns: one.path });
  await using second = new XfrmClient({ netns: path });
  assert.deepEqual([await priorities(first), await priorities(second)], [[5], []]);
  rmSync(folder, { recursive: true });
  assert.deepEqual(await priorities(client), [5]);
});

test('a client does not keep the file busy on which its namespace is mounted', () => {
  const script = `
    import { spawnSync } from 'node:child_process';
    import { XfrmClient } from ${JSON.stringify(index)};
    globalThis.client = new XfrmClient({ netns: '/run/netns/red' });
    process.exit(spawnSync('umount', ['/run/netns/red'], { stdio: 'inherit' }).status);`;
  const node = [process.execPath, '--input-type=module', '-e', script];
  const before = 'mount -t tmpfs tmpfs /run && ip netns add red && exec "$@"';
  const args = ['--mount', '--net', 'sh', '-c', before, 'sh', ...node];
  const { status, stderr } = spawnSync('unshare', args, { encoding: 'utf8' });
  assert.deepEqual([status, stderr], [0, '']);
});

const openers: Record<string, (options: object) => unknown> = {
  XfrmClient: (options) => new XfrmClient(options),
  RouteClient: (options) => new RouteClient(options),
  XfrmMonitor: (options) => XfrmMonitor.open(options),
  subscribe: (options) => subscribe({ groups: ['link', 'sa'], ...options }),
};

for (const [name, open] of Object.entries(openers)) {
  const opening = async (options: object) => open(options);

  test(`${name}: a wrong option is named before any system call`, async () => {
    for (const [options, message] of [
      [{ netns: '' }, /^options\.netns must be a path without NUL or a file descriptor/],
      [{ netns: '/run/\0netns' }, /^options\.netns must be a path/],
      [{ netns: {} }, /^options\.netns must be a path/],
      [{ netns: null }, /^options\.netns must be a path/],
      [{ netNs: '/run/netns/a' }, /^unknown option options\.netNs; valid options: .*netns/],
    ] as const) {
      await assert.rejects(opening(options), { name: 'TypeError', message });
    }
    for (const netns of [-1, 0.5, 2 ** 31, Number.NaN]) {
      const message = /^options\.netns must be an integer from 0 to 2147483647/;
      await assert.rejects(opening({ netns }), { name: 'RangeError', message });
    }
  });

  test(`${name}: a namespace that is missing or is none is told apart, and nothing stays open`, async () => {
    const before = readdirSync('/proc/self/fd').length;
    for (const [netns, code, syscall] of [
      ['/none/such', 'ENOENT', 'open'],
      [import.meta.filename, 'EINVAL', 'setns'],
      ['/proc/self/ns/user', 'EINVAL', 'setns'],
      [999_999, 'EBADF', 'fstat'],
    ] as const) {
      await assert.rejects(opening({ netns }), { name: 'SystemError', code, syscall });
    }
    assert.equal(readdirSync('/proc/self/fd').length, before);
  });
}

test('without CAP_SYS_ADMIN: one’s own namespace opens, another is EPERM with its path', async () => {
  await using other = await NetworkNamespace.make();
  const { stdout, stderr } = await runScript(
    `const { RouteClient, XfrmClient, XfrmMonitor } = await import(${JSON.stringify(index)});
     for (const netns of ['/proc/self/ns/net', ${JSON.stringify(other.path)}]) {
       const openers = [
         async () => new RouteClient({ netns }).listLinks(),
         async () => new XfrmClient({ netns }).getSadInfo(),
         async () => (await XfrmMonitor.open({ netns })).close(),
       ];
       for (const open of openers) {
         await open().then(
           () => console.log('opened'),
           ({ code, syscall, hint }) => console.log(code, syscall, hint.includes(netns)),
         );
       }
     }`,
    { command: ['setpriv', '--bounding-set=-sys_admin', '--inh-caps=-sys_admin'] },
  );
  assert.equal(stdout, `${'opened\n'.repeat(3)}${'EPERM setns true\n'.repeat(3)}`, stderr);
});

test('a monitor of tunnels that cannot be opened leaves no descriptor open', async () => {
  await using other = await NetworkNamespace.make();
  const { stdout, stderr } = await runScript(
    `const { closeSync, openSync, readdirSync } = await import('node:fs');
     const { TunnelMonitor } = await import(${JSON.stringify(index)});
     const open = async () => (await TunnelMonitor.open({ netns: ${JSON.stringify(other.path)} })).close();
     const used = () => readdirSync('/proc/self/fd').length;
     await open();
     const before = used();
     const taken = [];
     try { for (;;) taken.push(openSync('/dev/null')); } catch {}
     for (let left = 0; left < 7; left++) {
       const code = await open().then(() => 'opened', (error) => error.code);
       console.log(code);
       if (taken.length > 0) closeSync(taken.pop());
     }
     taken.forEach((one) => closeSync(one));
     await support.turns(5);
     console.log(used() - before);`,
    { command: ['sh', '-c', 'ulimit -n 128; exec "$@"', 'sh'] },
  );
  assert.match(stdout, /^(EMFILE\n){2,}(opened\n)*0\n$/, stderr);
});

test('an unclosed client releases its namespace when garbage-collected', async () => {
  await using other = await NetworkNamespace.make();
  const before = held();
  (() => {
    for (let i = 0; i < 10; i++) new XfrmClient({ netns: other.path });
  })();
  assert.equal(held(), before + 10);
  for (let i = 0; i < 50 && held() > before; i++) {
    globalThis.gc?.();
    await setTimeout(10); // finalizers run in a turn of their own
  }
  assert.equal(held(), before);
});
