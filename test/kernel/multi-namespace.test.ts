/** MultiNamespaceXfrmMonitor and MultiNamespaceTunnelMonitor: several network namespaces, one stream. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import {
  MultiNamespaceTunnelMonitor,
  MultiNamespaceXfrmMonitor,
  type TunnelNamespaceChange,
  XfrmClient,
  type XfrmNamespaceChange,
} from '../../lib/index.ts';
import { NetworkNamespace } from '../../lib/testing/index.ts';
import './support.ts';

const policy = (priority: number) =>
  ({
    dir: 'out',
    selector: { saddr: '10.0.0.0', prefixlenS: 24, daddr: '10.1.0.0', prefixlenD: 24 },
    priority,
  }) as const;

const brief = (change: XfrmNamespaceChange | undefined) => [change?.label, change?.kind];

test('changes of two namespaces are labelled, and one of them is removed', async () => {
  await using other = await NetworkNamespace.make();
  await using here = new XfrmClient();
  await using there = new XfrmClient({ netns: other.path });
  await there.addPolicy(policy(1));
  const namespaces = { here: undefined, there: other.path };
  await using monitors = await MultiNamespaceXfrmMonitor.open({ namespaces });
  const heard: XfrmNamespaceChange[] = [];
  monitors.on('change', (change) => heard.push(change));
  assert.deepEqual(monitors.labels.sort(), ['here', 'there']);
  assert.deepEqual(
    monitors
      .snapshot()
      .map(({ label, policies }) => [label, policies.length])
      .sort(),
    [
      ['here', 0],
      ['there', 1],
    ],
  );
  const loop = monitors[Symbol.asyncIterator]();
  const next = async () => (await loop.next()).value ?? undefined;
  const first = [await next(), await next()];
  assert.deepEqual(first.map(brief).sort(), [
    ['here', 'synced'],
    ['there', 'synced'],
  ]);
  await here.addPolicy(policy(2));
  assert.deepEqual(brief(await next()), ['here', 'added']);
  await there.replacePolicy(policy(3));
  assert.deepEqual(brief(await next()), ['there', 'updated']);
  assert.equal(monitors.get('there')?.policies.size, 1);
  await monitors.remove('there');
  assert.deepEqual(brief(await next()), ['there', 'closed']);
  assert.deepEqual(monitors.labels, ['here']);
  await there.deletePolicy(policy(3));
  await here.deletePolicy(policy(2));
  assert.deepEqual(brief(await next()), ['here', 'removed']);
  const again = await monitors.add('there', other.path);
  assert.equal(again.policies.size, 0);
  assert.deepEqual(brief(await next()), ['there', 'synced']);
  const ending = next();
  await monitors.close();
  const last = [await ending, await next(), await next()];
  assert.deepEqual(last.slice(0, 2).map(brief).sort(), [
    ['here', 'closed'],
    ['there', 'closed'],
  ]);
  assert.equal(last[2], undefined);
  assert.deepEqual(heard.slice(0, 2).map(brief).sort(), [
    ['here', 'synced'],
    ['there', 'synced'],
  ]);
  assert.deepEqual(heard.slice(2, 7).map(brief), [
    ['here', 'added'],
    ['there', 'updated'],
    ['there', 'closed'],
    ['here', 'removed'],
    ['there', 'synced'],
  ]);
  assert.equal(heard.length, 9);
});

test('a slow loop over several namespaces never loses changes silently', async () => {
  await using other = await NetworkNamespace.make();
  await using here = new XfrmClient();
  await using there = new XfrmClient({ netns: other.path });
  const namespaces = { here: undefined, there: other.path };
  const limits = { receiveBufferSize: 4096, highWaterMark: 4 };
  await using monitors = await MultiNamespaceXfrmMonitor.open({ namespaces, ...limits });
  const loop = monitors[Symbol.asyncIterator]();
  await loop.next();
  await loop.next();
  for (let priority = 0; priority < 500; priority++) await there.replacePolicy(policy(priority));
  await here.addPolicy(policy(1));
  const seen = new Set<string>();
  let last: XfrmNamespaceChange | undefined;
  while (!(seen.has('there resynced') && seen.has('here added'))) {
    last = (await loop.next()).value ?? assert.fail('it ended');
    seen.add(`${last.label} ${last.kind}`);
    if (last.kind !== 'overrun') continue;
    const { time: _, count, ...told } = last;
    const about = { kind: 'overrun', label: 'there', protocol: 'xfrm', code: 'ENOBUFS' };
    assert.deepEqual(told, { ...about, slowConsumer: true });
    assert(count >= 1);
  }
  assert(seen.has('there overrun') && !seen.has('here overrun'));
  const [entry] = monitors.get('there')?.policies ?? [];
  assert.equal(entry?.value.priority, 499);
  await here.flushPolicies();
});

test('a slow loop keeps nothing of namespaces that came and went meanwhile', async () => {
  await using monitors = await MultiNamespaceXfrmMonitor.open({ namespaces: { here: undefined } });
  const loop = monitors[Symbol.asyncIterator]();
  await loop.next();
  for (let i = 0; i < 3; i++) {
    await using other = await NetworkNamespace.make();
    await monitors.add(`there ${i}`, other.path);
    await monitors.remove(`there ${i}`);
  }
  await using client = new XfrmClient();
  await client.addPolicy(policy(1));
  const { value } = await loop.next();
  assert.deepEqual([value?.label, value?.kind], ['here', 'added']);
  await client.flushPolicies();
});

/** Makes a tunnel without SAs between two ends. */
const trap = (remote: string) =>
  ({
    dir: 'out',
    selector: { saddr: '10.0.0.0', prefixlenS: 24, daddr: '10.1.0.0', prefixlenD: 24 },
    templates: [{ saddr: '192.0.2.1', daddr: remote, proto: 'esp', mode: 'tunnel', reqid: 1 }],
  }) as const;

test('tunnels of two namespaces are labelled, each with its expected tunnels', async () => {
  await using other = await NetworkNamespace.make();
  await using here = new XfrmClient();
  await using there = new XfrmClient({ netns: other.path });
  await there.addPolicy(trap('192.0.2.2'));
  await using monitors = await MultiNamespaceTunnelMonitor.open({
    namespaces: { here: undefined, there: other.path },
    expected: (label) => (label === 'here' ? [{ name: 'paris', remote: '192.0.2.9' }] : undefined),
  });
  const heard: TunnelNamespaceChange[] = [];
  monitors.on('added', (change) => heard.push(change));
  const tunnels = (label: string) => [...(monitors.get(label)?.tunnels ?? [])];
  assert.deepEqual(
    [tunnels('here').map(({ id }) => id), tunnels('there').map(({ remote }) => remote)],
    [['paris'], ['192.0.2.2']],
  );
  const loop = monitors[Symbol.asyncIterator]();
  const first = [await loop.next(), await loop.next()].map(({ value }) => value?.label);
  assert.deepEqual(first.sort(), ['here', 'there']);
  await here.addPolicy(trap('192.0.2.3'));
  const { value } = await loop.next();
  assert(value?.kind === 'added' && value.label === 'here');
  assert.equal(value.tunnel.remote, '192.0.2.3');
  assert.deepEqual(
    heard.map(({ label, kind }) => [label, kind]),
    [['here', 'added']],
  );
  await monitors.remove('there');
  assert.deepEqual((await loop.next()).value?.kind, 'closed');
  assert.deepEqual(
    monitors.snapshot().map(({ label, tunnels: all }) => [label, all.length]),
    [['here', 2]],
  );
  await here.flushPolicies();
  await assert.rejects(
    MultiNamespaceTunnelMonitor.open({ expected: [] as never }),
    /options\.expected must be a function/,
  );
});

test('a loop over several namespaces can have its own signal', async () => {
  await using monitors = await MultiNamespaceXfrmMonitor.open({ namespaces: { here: undefined } });
  const control = new AbortController();
  const kinds: string[] = [];
  const reading = (async () => {
    for await (const { kind } of monitors.iterator({ signal: control.signal })) {
      kinds.push(kind);
      setImmediate(() => control.abort(new Error('enough')));
    }
  })();
  await assert.rejects(reading, /enough/);
  assert.deepEqual(kinds, ['synced']);
  assert(!monitors.closed && monitors.get('here')?.synced);
});

test('adding a namespace can be aborted by a signal', async () => {
  await using monitors = await MultiNamespaceXfrmMonitor.open();
  const control = new AbortController();
  const adding = monitors.add('a', undefined, { signal: control.signal });
  control.abort(new Error('enough'));
  await assert.rejects(adding, /enough/);
  assert.deepEqual(monitors.labels, []);
  await monitors.add('a', undefined, { signal: new AbortController().signal });
  assert.deepEqual(monitors.labels, ['a']);
  await assert.rejects(monitors.add('b', undefined, { signal: control.signal }), /enough/);
  assert.equal(getEventListeners(control.signal, 'abort').length, 0);
});

test('unwatchable namespaces are reported, and invalid options named', async () => {
  const missing = { namespaces: { a: undefined, b: '/run/no-such-namespace' } };
  await assert.rejects(MultiNamespaceXfrmMonitor.open(missing), /no-such-namespace|ENOENT/);
  await assert.rejects(
    MultiNamespaceXfrmMonitor.open({ label: 'x' } as never),
    /unknown option options.label/,
  );
  await assert.rejects(MultiNamespaceXfrmMonitor.open({ highWaterMark: 0 }), /highWaterMark/);
  await assert.rejects(
    MultiNamespaceXfrmMonitor.open({ namespaces: 7 as never }),
    /options.namespaces/,
  );
  const control = new AbortController();
  await using monitors = await MultiNamespaceXfrmMonitor.open({ signal: control.signal });
  const adding = monitors.add('a');
  await assert.rejects(monitors.add('a'), /already/);
  await adding;
  const loop = monitors[Symbol.asyncIterator]();
  await loop.next();
  const reason = new Error('enough');
  control.abort(reason);
  assert.deepEqual(brief((await loop.next()).value ?? undefined), ['a', 'closed']);
  await assert.rejects(loop.next(), reason);
  await assert.rejects(monitors.add('b'), /closed/);
});

test('a namespace removed while opening is abandoned', async () => {
  await using monitors = await MultiNamespaceXfrmMonitor.open();
  const adding = monitors.add('a');
  await monitors.remove('a');
  await assert.rejects(adding, /was removed/);
  assert.equal((await monitors.add('a')).states.size, 0);
});

/** In a /run of its own, with a namespace "red" in it. */
const NAMED = `
import { execFileSync } from 'node:child_process';
import { MultiNamespaceXfrmMonitor } from '${new URL('../../lib/index.js', import.meta.url).href}';
const ip = (...args) => execFileSync('ip', args);
const monitors = await MultiNamespaceXfrmMonitor.open({ named: true });
const loop = monitors[Symbol.asyncIterator]();
const next = async () => {
  const { value } = await loop.next();
  console.log(value.label, value.kind, value.error ?? '');
};
await next();
ip('netns', 'add', 'blue');
await next();
ip('-n', 'blue', 'xfrm', 'policy', 'add', 'dir', 'in');
await next();
ip('netns', 'del', 'red');
await next();
await monitors.close();
await next();
console.log((await loop.next()).done);
`;

/** With a name of something that is not a network namespace. */
const STRANGE = `
import { MultiNamespaceXfrmMonitor } from '${new URL('../../lib/index.js', import.meta.url).href}';
const monitors = await MultiNamespaceXfrmMonitor.open({ named: true });
monitors.on('synced', ({ label }) => console.log(label, 'synced'));
monitors.on('closed', ({ label, error }) => {
  console.log(label, error.code);
  monitors.close();
});
`;

test('namespaces that could not be watched at the start are reported once it is open', () => {
  const names = 'ip netns add red && touch /run/netns/uts';
  const mount = 'mount --bind /proc/self/ns/uts /run/netns/uts';
  const script = `mount -t tmpfs tmpfs /run && ${names} && ${mount} && exec "$@"`;
  const node = [process.execPath, '--input-type=module', '-e', STRANGE];
  const args = ['--mount', '--net', 'sh', '-c', script, 'sh', ...node];
  const { stdout, stderr } = spawnSync('unshare', args, { encoding: 'utf8', timeout: 600_000 });
  assert.equal(stdout, 'red synced\nuts EINVAL\n', stderr);
});

test('named namespaces are watched as they are added and removed', () => {
  const script = 'mount -t tmpfs tmpfs /run && ip netns add red && exec "$@"';
  const node = [process.execPath, '--input-type=module', '-e', NAMED];
  const args = ['--mount', '--net', 'sh', '-c', script, 'sh', ...node];
  const { stdout, stderr } = spawnSync('unshare', args, { encoding: 'utf8', timeout: 600_000 });
  assert.deepEqual(
    stdout
      .trim()
      .split('\n')
      .map((line) => line.trim()),
    ['red synced', 'blue synced', 'blue added', 'red closed', 'blue closed', 'true'],
    stderr,
  );
});
