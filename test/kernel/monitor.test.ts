/** XfrmMonitor against real kernels: each thing that can happen to an SA or a policy. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { getEventListeners, once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { promisify } from 'node:util';
import {
  Filter,
  isIpcompHelper,
  isLarval,
  type ObjectChange,
  readXfrmStat,
  stateRates,
  TunnelMonitor,
  XfrmClient,
  XfrmMonitor,
  type XfrmMonitorOptions,
  type XfrmObjectTypes,
  type XfrmPolicy,
  type XfrmSynced,
} from '../../lib/index.ts';
import { NetlinkSocket, type SocketMessageRecord } from '../../lib/socket.ts';
import { NetworkNamespace } from '../../lib/testing/index.ts';
import { assertEqual } from './storm.ts';
import { addState, ip, withoutEsp, words } from './support.ts';

type Change = ObjectChange<XfrmObjectTypes>;

/** A monitor, its changes of objects as they come, and a client. */
async function opened(options?: XfrmMonitorOptions) {
  const client = new XfrmClient();
  await client.flushStates();
  await client.flushPolicies();
  const monitor = await XfrmMonitor.open(options);
  const changes: Change[] = [];
  const waiting: (() => void)[] = [];
  monitor.on('change', (change) => {
    if (!('object' in change)) return;
    changes.push(change);
    for (const check of waiting) check();
  });
  /** The changes so far and to come, until there are `count`; they are taken away. */
  const next = (count: number) =>
    new Promise<Change[]>((resolve) => {
      const check = () => {
        if (changes.length < count) return;
        waiting.splice(waiting.indexOf(check), 1);
        resolve(changes.splice(0, count));
      };
      waiting.push(check);
      check();
    });
  return {
    client,
    monitor,
    next,
    async [Symbol.asyncDispose]() {
      await monitor.close();
      await client.flushStates();
      await client.flushPolicies();
      await client.close();
    },
  };
}

const brief = ({ kind, object, origin, ...more }: Change) => [
  kind,
  object,
  origin,
  ...('reason' in more ? [more.reason] : []),
  // `current` is among a policy's if a second ended in between: its time of making is another.
  ...('fields' in more ? [more.fields.filter((field) => field !== 'current')] : []),
];

const ENDS = { saddr: '192.0.2.1', daddr: '192.0.2.2' } as const;
const GCM = { name: 'rfc4106(gcm(aes))', icvBits: 128, key: new Uint8Array(20) };
const policy = (priority: number) =>
  ({
    dir: 'out',
    selector: { saddr: '10.0.0.0', prefixlenS: 24, daddr: '10.1.0.0', prefixlenD: 24 },
    priority,
  }) as const;
const TUNNEL = { ...ENDS, proto: 'esp', mode: 'tunnel', aead: GCM } as const;

test('a policy is added, updated, deleted; made again it is another incarnation', async () => {
  await using all = await opened();
  const { client, monitor, next } = all;
  const selector = { saddr: '10.0.0.0', prefixlenS: 24, daddr: '10.1.0.0', prefixlenD: 16 };
  const template = { ...ENDS, proto: 'esp', mode: 'tunnel', reqid: 7 } as const;
  const policy = { dir: 'out', selector, templates: [template], ifId: 5 } as const;
  await client.addPolicy(policy);
  await client.replacePolicy({ ...policy, priority: 9 });
  await client.deletePolicy(policy);
  await client.addPolicy(policy);
  const changes = await next(4);
  assert.deepEqual(changes.map(brief), [
    ['added', 'policy', 'kernel'],
    ['updated', 'policy', 'kernel', ['priority']],
    ['removed', 'policy', 'kernel', 'deleted'],
    ['added', 'policy', 'kernel'],
  ]);
  const [first, second, third, fourth] = changes;
  assert.equal(new Set(changes.map(({ id }) => id)).size, 1);
  assert.equal(second?.uid, first?.uid);
  assert(second?.kind === 'updated' && second.object === 'policy');
  const fields: readonly (keyof XfrmPolicy)[] = second.fields;
  assert(fields.includes('priority'));
  assert.equal(third?.uid, first?.uid);
  assert.notEqual(fourth?.uid, first?.uid);
  const [entry] = monitor.policies;
  assert(entry);
  assert.deepEqual(monitor.policies.byPeers(ENDS.saddr, ENDS.daddr), [entry]);
  assert.deepEqual(monitor.policies.byReqid(7), [entry]);
  assert.equal(monitor.policies.get(entry.id), entry);
  assert.equal(monitor.policies.byUid(entry.uid), entry);
  assert.deepEqual(monitor.policies.filter(new Filter(['dir=out', 'if_id=5'])), [entry]);
  assert.deepEqual(monitor.policies.byIfId(5), [entry]);
  assert.deepEqual(monitor.policies.byMark(undefined), [entry]);
  assert.equal(monitor.policies.byIndex(entry.value.index), entry);
  await client.flushPolicies();
  assert.deepEqual((await next(1)).map(brief), [['removed', 'policy', 'kernel', 'flushed']]);
  assert.deepEqual(monitor.policies.byReqid(7), []);
});

test('something is waited for, also by a process that was busy when it came', async () => {
  const { monitor, client, next, ...rest } = await opened();
  await using _ = rest;
  const one = ({ policies }: XfrmMonitor) => [...policies][0];
  const waiting = monitor.waitFor(one, { timeout: 20 });
  ip('xfrm', 'policy', 'add', 'dir', 'in', ...words('src 10.0.0.0/8 dst 10.1.0.0/16'));
  const end = performance.now() + 200;
  while (performance.now() < end);
  const { id, value } = await waiting;
  assert.equal(value.selector.daddr, '10.1.0.0');
  assert.equal(monitor.policies.get(id)?.value, value);
  assert.equal(monitor.policies.get('another'), undefined);
  assert.equal(monitor.states.get(id), undefined);
  const gone = monitor.waitFor(({ policies }) => policies.size === 0, { heldFor: 20 });
  await client.deletePolicy(value);
  assert.equal(await gone, true);
  await assert.rejects(monitor.waitFor(one, { timeout: 20 }), { code: 'ERR_WAIT_TIMEOUT' });
  assert.equal((await next(2)).length, 2);
});

test('forged multicasts that wait hold up no comparison', { timeout: 600_000 }, async () => {
  await using all = await opened();
  await using forger = new NetlinkSocket({ protocol: 6 });
  forger.bind();
  // Of the type NLMSG_NOOP; to the group of SAs, and to itself in place of the kernel.
  const forged = Uint8Array.of(16, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
  // One waits whenever an answer comes, so also when the list is complete.
  const forge = (record: unknown) => {
    if ((record as SocketMessageRecord).direction === 'sent') return;
    forger.send(forged, { portId: forger.portId, groups: 4 });
  };
  subscribe('netlink-xfrm:message', forge);
  await all.monitor.refresh();
  unsubscribe('netlink-xfrm:message', forge);
  assert(all.monitor.synced);
});

test('a larval SA is found by a comparison, and its deletion heard', async () => {
  await using all = await opened();
  const { client, monitor, next } = all;
  const { spi } = await client.allocateSpi({ ...ENDS, proto: 'esp', min: 256, max: 512 });
  await monitor.refresh();
  assert.deepEqual((await next(1)).map(brief), [['added', 'state', 'resync']]);
  const [entry] = monitor.states.bySpi(spi, { daddr: ENDS.daddr, proto: 'esp' });
  assert(entry && isLarval(entry.value));
  await client.deleteState({ daddr: ENDS.daddr, spi });
  assert.deepEqual((await next(1)).map(brief), [['removed', 'state', 'kernel', 'deleted']]);
  await assertEqual(monitor, client);
});

test('a larval SA that was given its SPI untold goes when that is deleted', async () => {
  await using all = await opened();
  const { client, monitor, next } = all;
  const allocation = { ...ENDS, proto: 'esp', seq: 7 } as const;
  const taken = { ...allocation, min: 256, max: 256, reqid: 9, seq: 0 };
  await client.allocateSpi(taken);
  // It finds no SPI, and stays without.
  await assert.rejects(client.allocateSpi({ ...allocation, min: 256, max: 256 }), /ENOENT/);
  await monitor.refresh();
  assert.equal((await next(2)).length, 2);
  const [unnamed] = monitor.states.bySpi(0, { daddr: ENDS.daddr });
  assert(unnamed && isLarval(unnamed.value));
  const { spi } = await client.allocateSpi({ ...allocation, min: 300, max: 300 });
  await client.deleteState({ daddr: ENDS.daddr, spi });
  assert.deepEqual((await next(1)).map(brief), [['removed', 'state', 'resync', 'found-missing']]);
  await assertEqual(monitor, client);
});

test('SAs without SPI, of which the kernel takes any number, all count', {
  skip: withoutEsp,
}, async () => {
  await using all = await opened();
  const { client, monitor, next } = all;
  for (let n = 1; n <= 2; n++) {
    await client.addState({ ...TUNNEL, spi: 0 });
    // Of another second it may take the row of the first, which is then added again.
    while (monitor.states.size < n) await next(1);
    assert.equal(monitor.states.size, n);
  }
  await assertEqual(monitor, client);
});

test('a snapshot is plain data, and a loop starts with one', async () => {
  await using all = await opened({ label: 'here' });
  const { client, monitor } = all;
  await client.addPolicy({ dir: 'in', selector: { family: 'inet' } });
  await monitor.refresh();
  const snapshot = monitor.snapshot();
  assert.equal(snapshot.label, 'here');
  assert(snapshot.synced);
  const text = JSON.stringify(snapshot, (_, one) => (typeof one === 'bigint' ? `${one}` : one));
  assert.equal(JSON.parse(text).policies.length, 1);
  for await (const change of monitor) {
    assert(change.kind === 'synced');
    assert.deepEqual(change.snapshot, snapshot);
    break;
  }
  assert(!monitor.closed, 'leaving a loop does not close it');
  await client.flushPolicies();
  await monitor.refresh();
  assert.equal(snapshot.policies.length, 1);
});

test('thousands of promises share one listener on a signal, and leave none', async () => {
  await using client = new XfrmClient();
  await using monitor = await XfrmMonitor.open();
  await using tunnels = await TunnelMonitor.open({ monitor });
  const warnings: Error[] = [];
  const warned = (warning: Error) => warnings.push(warning);
  process.on('warning', warned);
  const { signal } = new AbortController();
  const many = <T>(count: number, one: () => Promise<T>) => Array.from({ length: count }, one);
  const done = Promise.all([
    ...many(2000, () => client.getSadInfo({ signal })),
    ...many(50, () => monitor.refresh({ signal })),
    ...many(20, () => tunnels.refresh({ signal })),
    ...many(2000, () => monitor.waitFor(({ policies }) => policies.size > 0, { signal })),
    ...many(2000, () => tunnels.waitFor(({ tunnels: { size } }) => size === 0, { signal })),
  ]);
  assert.equal(getEventListeners(signal, 'abort').length, 1);
  await client.addPolicy(policy(1));
  await done;
  assert.equal(getEventListeners(signal, 'abort').length, 0);
  process.off('warning', warned);
  assert.deepEqual(warnings, []);
  await client.flushPolicies();
});

test('a loop that a signal ends holds up the reading no more', async () => {
  await using client = new XfrmClient();
  await using monitor = await XfrmMonitor.open({ highWaterMark: 1 });
  const control = new AbortController();
  const slow = monitor.iterator({ signal: control.signal });
  await client.addPolicy(policy(1));
  const seen = monitor.waitFor(({ policies }) => policies.size === 1);
  control.abort(new Error('enough'));
  await seen;
  await assert.rejects(slow.next(), /enough/);
  await client.flushPolicies();
});

test('it says once that it is synced, to those that listen when it has opened', async () => {
  await using client = new XfrmClient();
  await client.addPolicy(policy(1));
  await using monitor = await XfrmMonitor.open({ label: 'mine' });
  const [{ kind, snapshot }] = (await once(monitor, 'synced')) as [XfrmSynced];
  assert.equal(kind, 'synced');
  assert.deepEqual(snapshot, monitor.snapshot());
  let more = 0;
  monitor.on('synced', () => more++);
  await monitor.refresh();
  assert.equal(more, 0);
  await client.flushPolicies();
});

test('it passes on and counts what the kernel announces, before the changes', async () => {
  await using scene = await opened();
  const { client, monitor, next } = scene;
  const order: string[] = [];
  monitor.on('event', ({ kind }) => order.push(kind));
  monitor.on('change', ({ kind }) => order.push(kind));
  await client.addPolicy(policy(1));
  await client.replacePolicy(policy(2));
  await client.flushPolicies();
  await next(3);
  const expected = ['NEWPOLICY', 'added', 'UPDPOLICY', 'updated', 'FLUSHPOLICY', 'removed'];
  assert.deepEqual(order, expected);
  const counts = ['NEWPOLICY', 'UPDPOLICY', 'FLUSHPOLICY'].map((kind) =>
    monitor.eventCounts.find((one) => one.kind === kind),
  );
  assert.deepEqual(
    counts.map((one) => [one?.count, one?.reason]),
    counts.map(() => [1, undefined]),
  );
});

test('options are checked, and a signal ends opening, loops and the monitor', async () => {
  await assert.rejects(XfrmMonitor.open({ highWaterMark: 0 }), /highWaterMark/);
  await assert.rejects(XfrmMonitor.open({ refreshInterval: -1 }), /refreshInterval/);
  await assert.rejects(XfrmMonitor.open({ signal: {} as AbortSignal }), /AbortSignal/);
  const reason = new Error('enough');
  await assert.rejects(XfrmMonitor.open({ signal: AbortSignal.abort(reason) }), reason);
  const control = new AbortController();
  const opening = XfrmMonitor.open({ signal: control.signal });
  control.abort(reason);
  await assert.rejects(opening, reason);
  const later = new AbortController();
  const monitor = await XfrmMonitor.open({ signal: later.signal });
  const loop = monitor[Symbol.asyncIterator]();
  await loop.next();
  const next = loop.next();
  later.abort(reason);
  await assert.rejects(next, reason);
  assert(monitor.closed);
  assert.equal(await monitor.close(), await monitor.close());
  await assert.rejects(monitor.refresh(), reason);
});

test('a listener may refresh and close in the middle of a change', async () => {
  await using all = await opened();
  const { client, monitor } = all;
  const closed = new Promise<void>((resolve) => monitor.once('close', resolve));
  let waiting: Promise<void> | undefined;
  monitor.once('added', async () => {
    await monitor.refresh();
    waiting = assert.rejects(monitor.refresh(), /closed/);
    await monitor.close();
  });
  await client.addPolicy({ dir: 'in', selector: { family: 'inet' } });
  await closed;
  assert(!monitor.synced && !monitor.snapshot().synced, 'nobody follows the kernel any more');
  await (waiting ?? assert.fail());
});

test('comparisons come by themselves where an interval is given', async () => {
  await using all = await opened({ refreshInterval: 1 });
  await new Promise((resolve) => all.monitor.once('refreshed', resolve));
  assert(all.monitor.synced);
});

test('the counters of errors are read where the kernel counts them', async () => {
  const text = existsSync('/proc/thread-self/net/xfrm_stat')
    ? readFileSync('/proc/thread-self/net/xfrm_stat', 'latin1')
    : undefined;
  const stat = await readXfrmStat();
  assert.deepEqual(stat && Object.keys(stat), text?.match(/^\w+/gm));
  await using other = await NetworkNamespace.make();
  const there = await readXfrmStat({ netns: other.path });
  assert.deepEqual(there && Object.keys(there), stat && Object.keys(stat));
  if (there) assert(Object.values(there).every((count) => count === 0n));
  await using monitor = await XfrmMonitor.open({ netns: other.path });
  assert.deepEqual(monitor.snapshot().xfrmStat, there);
  await assert.rejects(readXfrmStat({ netns: '/run/no-such' }), { code: 'ENOENT' });
  await assert.rejects(readXfrmStat({ ns: 1 } as never), /unknown option options.ns/);
});

const withoutStat =
  !existsSync('/proc/thread-self/net/xfrm_stat') && 'this kernel does not count errors';

test('a comparison reads the counters of errors too', { skip: withoutStat }, async () => {
  await using all = await opened();
  const { client, monitor } = all;
  const blocked = () => monitor.snapshot().xfrmStat?.XfrmOutPolBlock;
  const before = blocked() as bigint;
  // On the loopback policies do not count.
  ip(...words('link add stat0 type veth peer name stat1'));
  ip(...words('address add 198.51.100.1/24 dev stat0'));
  for (const name of ['stat0', 'stat1']) ip(...words(`link set ${name} up`));
  const selector = { daddr: '198.51.100.2', prefixlenD: 32 };
  await client.addPolicy({ dir: 'out', action: 'block', selector });
  const sender = createSocket('udp4');
  await assert.rejects(
    promisify<string, number, string>(sender.send.bind(sender))('x', 9, selector.daddr),
  );
  sender.close();
  ip(...words('link delete stat0'));
  assert.equal(blocked(), before);
  await monitor.refresh();
  assert.equal(blocked(), before + 1n);
});

test('an update is shown as what the kernel took over', { skip: withoutEsp }, async () => {
  await using all = await opened();
  const { client, monitor, next } = all;
  await client.addState({ ...TUNNEL, spi: 0x100, reqid: 1, replayWindow: 32 });
  await client.updateState({
    ...TUNNEL,
    spi: 0x100,
    reqid: 77,
    replayWindow: 16,
    mode: 'transport',
    aead: { ...GCM, key: new Uint8Array(36) },
    lifetime: { hardAddSeconds: 1000 },
    ifId: 4,
  });
  assert.deepEqual((await next(2)).map(brief), [
    ['added', 'state', 'kernel'],
    ['updated', 'state', 'kernel', ['lifetime', 'ifId']],
  ]);
  await assertEqual(monitor, client);
  await monitor.refresh();
  assert.deepEqual(monitor.states.byReqid(77), []);
  assert.equal(monitor.states.byIfId(4)[0]?.value.mode, 'tunnel');
});

test('SAs go by deletion, hard expiry and flush', { skip: withoutEsp }, async () => {
  await using all = await opened();
  const { client, monitor, next } = all;
  for (const spi of [0x100, 0x101, 0x102]) await client.addState({ ...TUNNEL, spi });
  await client.expireState({ daddr: ENDS.daddr, spi: 0x100 }, false);
  await client.expireState({ daddr: ENDS.daddr, spi: 0x100 }, true);
  await client.deleteState({ daddr: ENDS.daddr, spi: 0x101 });
  await client.flushStates('esp');
  assert.deepEqual((await next(7)).slice(3).map(brief), [
    ['expiring', 'state', 'kernel'],
    ['removed', 'state', 'kernel', 'hard-expired'],
    ['removed', 'state', 'kernel', 'deleted'],
    ['removed', 'state', 'kernel', 'flushed'],
  ]);
  assert.equal(monitor.states.size, 0);
  const counts = monitor.eventCounts.map(({ kind, reason, count }) => [kind, reason, count]);
  for (const expected of [
    ['NEWSA', undefined, 3],
    ['EXPIRE', 'soft', 1],
    ['EXPIRE', 'hard', 1],
    ['DELSA', undefined, 1],
  ]) {
    assert.deepEqual(
      counts.find(([kind, reason]) => kind === expected[0] && reason === expected[1]),
      expected,
    );
  }
});

test('a larval SA that gets its keys is replaced', { skip: withoutEsp }, async () => {
  await using all = await opened();
  const { client, monitor, next } = all;
  const { spi } = await client.allocateSpi({ ...ENDS, proto: 'esp', min: 256, max: 512 });
  await monitor.refresh();
  await client.updateState({ ...TUNNEL, spi });
  assert.deepEqual((await next(3)).map(brief), [
    ['added', 'state', 'resync'],
    ['removed', 'state', 'kernel', 'replaced'],
    ['added', 'state', 'kernel'],
  ]);
  await assertEqual(monitor, client);
});

test('a migration is followed', { skip: withoutEsp }, async (t) => {
  await using all = await opened();
  const { client, monitor, next } = all;
  const selector = { saddr: '10.0.0.0', prefixlenS: 24, daddr: '10.1.0.0', prefixlenD: 16 };
  const template = { ...ENDS, proto: 'esp', mode: 'tunnel', reqid: 1 } as const;
  await client.addState({ ...TUNNEL, spi: 0x100, reqid: 1 });
  await client.addPolicy({ dir: 'out', selector, templates: [template] });
  await next(2);
  const [oldSaddr, oldDaddr] = [ENDS.saddr, ENDS.daddr];
  const moved = { oldSaddr, oldDaddr, newSaddr: '192.0.2.11', newDaddr: '192.0.2.12' } as const;
  const families = { oldFamily: 'inet', newFamily: 'inet' } as const;
  const more = { proto: 'esp', mode: 'tunnel', reqid: 1 } as const;
  try {
    await client.migrate({ dir: 'out', selector }, [{ ...moved, ...families, ...more }]);
  } catch (error) {
    t.skip(`this kernel does not migrate: ${error}`);
    return;
  }
  const changes = (await next(3)).map(brief);
  assert.deepEqual(changes[0], ['removed', 'state', 'resync', 'migrated']);
  assert.deepEqual(
    changes.slice(1).map(([kind, object]) => [kind, object]),
    [
      ['added', 'state'],
      ['updated', 'policy'],
    ],
  );
  await assertEqual(monitor, client);
  assert.equal(monitor.states.byPeers('192.0.2.11', '192.0.2.12').length, 1);
});

test('the helper of an IPCOMP tunnel comes and goes with it', { skip: withoutEsp }, async () => {
  await using all = await opened();
  const { client, monitor } = all;
  ip(
    ...words('xfrm state add src 192.0.2.1 dst 192.0.2.2 proto comp spi 0x101 mode tunnel'),
    ...words('comp deflate'),
  );
  await monitor.refresh();
  assert.deepEqual([...monitor.states].map(({ value }) => isIpcompHelper(value)).sort(), [
    false,
    true,
  ]);
  await assertEqual(monitor, client);
  ip(...words('xfrm state delete dst 192.0.2.2 proto comp spi 0x101'));
  await monitor.refresh();
  assert.equal(monitor.states.size, 0);
});

test('rates come from two snapshots', { skip: withoutEsp }, async () => {
  await using all = await opened();
  const { monitor } = all;
  addState(0x200);
  await monitor.refresh();
  const before = monitor.snapshot();
  await monitor.refresh();
  const [rate, ...others] = stateRates(before, monitor.snapshot());
  assert.deepEqual([rate?.bytesPerSecond, others], [0, []]);
});

test('a listener that throws is an uncaught exception, and robs no other', () => {
  const index = new URL('../../lib/index.js', import.meta.url).href;
  const script = `
    import { XfrmClient, XfrmMonitor } from '${index}';
    process.on('uncaughtException', ({ message }) => console.log('uncaught', message));
    const client = new XfrmClient();
    const monitor = await XfrmMonitor.open();
    monitor.on('added', () => { throw new Error('mine'); });
    monitor.on('change', ({ kind }) => console.log(kind));
    await client.addPolicy({ dir: 'in', selector: { family: 'inet' } });
    await client.flushPolicies();
    await monitor.refresh();
    await monitor.close();
    await client.close();
  `;
  const args = ['--input-type=module', '-e', script];
  const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  const lines = stdout.trim().split('\n').sort();
  assert.deepEqual(lines, ['added', 'refreshed', 'removed', 'uncaught mine'], stderr);
});

test('a refresh that waits for a slow loop can be given up', async () => {
  await using all = await opened({ highWaterMark: 1 });
  const { client, monitor } = all;
  const loop = monitor[Symbol.asyncIterator]();
  await client.addPolicy({ dir: 'in', selector: { family: 'inet' } });
  const control = new AbortController();
  const { signal } = control;
  const waiting = monitor.refresh({ signal });
  const reason = new Error('enough');
  control.abort(reason);
  await assert.rejects(waiting, reason);
  await assert.rejects(monitor.refresh({ signal }), reason);
  await assert.rejects(monitor.refresh({ signal: {} as AbortSignal }), /AbortSignal/);
  await loop.return?.();
  await monitor.refresh({ signal: new AbortController().signal });
  await assertEqual(monitor, client);
});

test('while a slow loop has stopped the reading, the tables do not claim to be right', async () => {
  await using client = new XfrmClient();
  await using monitor = await XfrmMonitor.open({ highWaterMark: 1 });
  const loop = monitor[Symbol.asyncIterator]();
  await loop.next();
  const changes = 20;
  for (let i = 0; i < changes; i++) {
    await client.addPolicy({
      dir: 'out',
      selector: { family: 'inet', sport: i + 1, sportMask: 0xffff },
    });
  }
  // What was queued before it stopped has been read when this turn of the event loop is over.
  await new Promise((turn) => setTimeout(turn, 50));
  assert(monitor.policies.size < changes);
  assert.deepEqual([monitor.synced, monitor.snapshot().synced], [false, false]);
  await loop.return?.();
  await monitor.refresh();
  assert.deepEqual([monitor.policies.size, monitor.synced], [changes, true]);
  await client.flushPolicies();
});

test('a policy that is set anew is updated, if only its time of making is another', async () => {
  await using client = new XfrmClient();
  await using monitor = await XfrmMonitor.open();
  const policy = { dir: 'out', selector: { family: 'inet' } } as const;
  const adding = once(monitor, 'added') as Promise<[{ value: XfrmPolicy }]>;
  await client.addPolicy(policy);
  const [added] = await adding;
  // The kernel counts seconds.
  await new Promise((second) => setTimeout(second, 1100));
  const updated = once(monitor, 'updated');
  await client.replacePolicy(policy);
  const [{ fields, before, value }] = await updated;
  assert.deepEqual([fields, before], [['current'], added.value]);
  assert(value.current.addedAt > before.current.addedAt);
  await client.flushPolicies();
});
