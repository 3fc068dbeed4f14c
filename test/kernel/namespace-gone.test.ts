/** Monitors report when the path of their namespace no longer leads to it. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, statSync } from 'node:fs';
import { test } from 'node:test';
import {
  MultiNamespaceXfrmMonitor,
  type NamespaceGone,
  TunnelMonitor,
  XfrmMonitor,
} from '../../lib/index.ts';
import { watchPath } from '../../lib/monitor/namespace-watch.ts';
import { processApart } from './here.ts';
import { ip, words } from './support.ts';

/** A namespace with a name. */
function named(suffix: string) {
  const name = `gone${suffix}${process.pid}`;
  ip('netns', 'add', name);
  let there = true;
  return {
    name,
    path: `/run/netns/${name}`,
    remove() {
      if (there) ip('netns', 'del', name);
      there = false;
    },
    [Symbol.dispose]() {
      this.remove();
    },
  };
}

const addPolicy = (name: string) =>
  ip(...words(`-n ${name} xfrm policy add src 10.0.0.0/16 dst 10.7.0.0/16 dir out`));

test('a name that is removed, and one that is given to another namespace', async () => {
  for (const again of [false, true]) {
    using space = named(`${again}`);
    await using monitor = await XfrmMonitor.open({ netns: space.path });
    await using tunnels = await TunnelMonitor.open({ netns: space.path });
    const loop = monitor[Symbol.asyncIterator]();
    await loop.next();
    addPolicy(space.name);
    assert.equal((await loop.next()).value?.kind, 'added');
    const told = Promise.all([once(monitor, 'namespace-gone'), once(tunnels, 'namespace-gone')]);
    space.remove();
    using successor = again ? reused(space.name) : undefined;
    for (const [change] of await told) {
      assert.equal(change.path, space.path);
    }
    assert.equal((await loop.next()).value?.kind, 'namespace-gone');
    // It goes on, and it is not the successor that it watches.
    if (successor) addPolicy(space.name);
    await monitor.refresh();
    assert.equal((await loop.next()).value?.kind, 'refreshed');
    assert.equal(monitor.policies.size, 1);
    assert(monitor.synced && !monitor.closed);
  }
});

/** Another namespace of the same name. */
function reused(name: string): Disposable {
  ip('netns', 'add', name);
  return { [Symbol.dispose]: () => void ip('netns', 'del', name) };
}

test('a name that is given to another namespace while a monitor opens: it is the first that it watches', async () => {
  for (const Monitor of [XfrmMonitor, TunnelMonitor]) {
    using space = named(Monitor.name);
    addPolicy(space.name);
    const opening = Monitor.open({ netns: space.path });
    space.remove();
    using _ = reused(space.name);
    await using monitor = await opening;
    const { policies } = monitor instanceof TunnelMonitor ? monitor.xfrm : monitor;
    assert.equal(policies.size, 1);
    const [change] = (await once(monitor, 'namespace-gone')) as [NamespaceGone];
    assert.equal(change.path, space.path);
  }
});

test('the process ends whose namespace it is', async () => {
  await using other = await processApart();
  await using monitor = await XfrmMonitor.open({ netns: other.path });
  const gone = once(monitor, 'namespace-gone');
  await other[Symbol.asyncDispose]();
  const [change] = (await gone) as [NamespaceGone];
  assert.equal(change.path, other.path);
});

test('namespaces that cannot be looked for now are not gone', () => {
  using space = named('full');
  const watch = JSON.stringify(import.meta.resolve('../../lib/monitor/namespace-watch.js'));
  const program = `
    import { openSync } from 'node:fs';
    import { NamespaceWatch } from ${watch};
    const told = [];
    const listener = {
      added: ({ name }) => told.push('added ' + name),
      removed: ({ name }) => told.push('removed ' + name),
    };
    const watch = new NamespaceWatch(listener);
    watch.begin();
    try {
      for (;;) openSync('/dev/null');
    } catch {}
    // It looks once a second.
    setTimeout(() => {
      console.log(told.filter((one) => one.endsWith(' ${space.name}')).join());
      process.exit();
    }, 1500);
  `;
  const node = [process.execPath, '--input-type=module', '-e', program];
  const limited = ['-c', 'ulimit -n 64; exec "$@"', '-', ...node];
  const { stdout, stderr } = spawnSync('sh', limited, { encoding: 'utf8' });
  assert.equal(stdout, `added ${space.name}\n`, stderr);
});

test('nothing is reported for a descriptor, the own namespace, or a name being removed', async () => {
  using space = named('fd');
  const descriptor = openSync(space.path, 'r');
  await using monitors = await MultiNamespaceXfrmMonitor.open({ named: true });
  await using byPath = await XfrmMonitor.open({ netns: space.path });
  await using byDescriptor = await XfrmMonitor.open({ netns: descriptor });
  closeSync(descriptor);
  await using own = await XfrmMonitor.open();
  const told: string[] = [];
  byDescriptor.on('change', ({ kind }) => told.push(kind));
  own.on('change', ({ kind }) => told.push(kind));
  monitors.on('change', ({ kind, label }) => label === space.name && told.push(kind));
  const gone = once(byPath, 'namespace-gone');
  const closed = once(monitors, 'closed');
  space.remove();
  await Promise.all([gone, closed]);
  assert.deepEqual(told, ['closed']);
});

test('a namespace gone before it was watched is reported once, unless no longer watched', async () => {
  using space = named('late');
  const { dev, ino } = statSync(space.path, { bigint: true });
  let told = 0;
  const gone = () => void told++;
  using _right = watchPath(space.path, `${dev}:${ino}`, gone);
  using _unknown = watchPath('/run/no-such-namespace', undefined, gone);
  using _other = watchPath(space.path, `${dev}:1`, gone);
  using _none = watchPath(`${space.path}/x`, `${dev}:${ino}`, gone);
  await new Promise(process.nextTick);
  assert.equal(told, 2);
  watchPath(space.path, `${dev}:${ino}`, gone)[Symbol.dispose]();
});
