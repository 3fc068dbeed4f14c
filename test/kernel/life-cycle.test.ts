/** Closing, aborting and failing at every step: nothing stays open, and nothing false is reported. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { subscribe as hear, unsubscribe as unhear } from 'node:diagnostics_channel';
import { type EventEmitter, getEventListeners, once } from 'node:events';
import { closeSync, openSync, readdirSync, readlinkSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import {
  MultiNamespaceXfrmMonitor,
  RouteClient,
  subscribe,
  TunnelMonitor,
  XfrmClient,
  XfrmMonitor,
} from '../../lib/index.ts';
import { NetlinkSocket, type SocketMessageRecord } from '../../lib/socket.ts';
import { NetworkNamespace } from '../../lib/testing/index.ts';
import { encodeXfrm, MessageWriter } from '../../lib/xfrm.ts';
import { env, program } from './command.ts';
import { ip, withoutEsp, words } from './support.ts';

const INDEX = new URL('../../lib/index.js', import.meta.url).href;
const selector = (n: number) => ({ daddr: `10.0.${n >> 8}.${n & 255}`, prefixlenD: 32 }) as const;
const MANY = 600;

let other: NetworkNamespace;
before(async () => {
  other = await NetworkNamespace.make();
});
after(() => other[Symbol.asyncDispose]());

/** What this process has open, but for what Node opens for itself. */
function open(): string[] {
  const names = readdirSync('/proc/self/fd').map((number) => {
    try {
      return readlinkSync(`/proc/self/fd/${number}`);
    } catch {
      return ''; // the directory's own, closed by now
    }
  });
  return names.filter((name) => /^(socket|net):|xfrm_stat|^\/proc/.test(name)).sort();
}

/** Calls back at each datagram that the sockets of this thread send or get, until it is disposed of. */
function atMessages(step: (record: SocketMessageRecord) => void): Disposable {
  const listener = (record: unknown) => step(record as SocketMessageRecord);
  hear('netlink-xfrm:message', listener);
  return { [Symbol.dispose]: () => void unhear('netlink-xfrm:message', listener) };
}

/** Runs a program with all of the library; the lines it prints. */
function run(source: string): string[] {
  const script = `
    import * as lib from '${INDEX}';
    process.on('uncaughtException', ({ message }, origin) => console.log(origin, message));
    process.on('warning', ({ name }) => console.log(name));
    const policy = { dir: 'in', selector: { family: 'inet' } };
    ${source}`;
  const args = ['--input-type=module', '-e', script];
  const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  assert.equal(stderr, '');
  return stdout.trim().split('\n');
}

/** Everything that has a life cycle. */
const OPENERS = {
  subscription: async (signal?: AbortSignal) => {
    const subscription = subscribe({ groups: ['policy', 'link'], netns: other.path, signal });
    return subscription.on('event', () => {});
  },
  monitor: (signal?: AbortSignal) => XfrmMonitor.open({ netns: other.path, signal }),
  monitors: (signal?: AbortSignal) =>
    MultiNamespaceXfrmMonitor.open({ namespaces: { here: undefined, there: other.path }, signal }),
  tunnels: (signal?: AbortSignal) => TunnelMonitor.open({ netns: other.path, signal }),
};

for (const [name, opener] of Object.entries(OPENERS)) {
  test(`${name}: a signal at each step of opening, and after`, async () => {
    await (await opener()).close();
    const before = open();
    let steps = 0;
    for (let at = 0; at <= steps; at++) {
      const controller = new AbortController();
      const { signal } = controller;
      const reason = new Error(`at ${at}`);
      let count = 0;
      using _ = atMessages(() => {
        if (++count === at) controller.abort(reason);
      });
      const opened = opener(signal);
      if (at === 0) controller.abort(reason);
      const one = await opened.catch((error: unknown) => assert.equal(error, reason));
      if (one) {
        // The last round: it needs no more than that.
        assert(at > count || signal.aborted || name === 'subscription', `at ${at} of ${count}`);
        controller.abort(reason);
        assert(one.closed);
        const loop = one[Symbol.asyncIterator]();
        await assert.rejects(async () => {
          while (!(await loop.next()).done);
        }, reason);
        await one.close();
      } else steps = Math.max(steps, at + 1);
      assert.deepEqual(open(), before, `at ${at}`);
      assert.equal(getEventListeners(signal, 'abort').length, 0);
    }
    assert(name === 'subscription' || steps > 4, `${steps} steps`);
  });

  test(`${name}: closed twice, in a listener, and in the middle of a comparison`, async () => {
    const before = open();
    const one = await opener();
    if ('refresh' in one) {
      let count = 0;
      using _ = atMessages(() => {
        // In the middle of the list, on the stack of a socket.
        if (++count === 3) void one.close();
      });
      await assert.rejects(one.refresh(), /the monitor is closed/);
    }
    const closing = one.close();
    assert.equal(one.close(), closing);
    await closing;
    assert.deepEqual(open(), before);
    await using client = new XfrmClient({ netns: other.path });
    const again = await opener();
    const closed = once(again, 'close');
    let calls = 0;
    const close = ({ kind }: { kind: string }) => {
      // What several namespaces begin with.
      if (kind === 'synced') return;
      calls++;
      void again.close();
    };
    (again as EventEmitter).on('change', close).on('NEWPOLICY', close);
    const templates = [{ proto: 'esp', mode: 'tunnel', saddr: '::1', daddr: '::2' }] as const;
    await client.addPolicy({ dir: 'out', selector: { daddr: '::3' }, templates });
    await closed;
    // Each of several namespaces is reported as closed.
    assert.equal(calls, name === 'monitors' ? 3 : 1);
    await again.close();
    await client.flushPolicies();
    await client.close();
    assert.deepEqual(open(), before);
  });
}

test('a `close` listener that throws is an uncaught exception, and rejects nothing', () => {
  const lines = run(`
    const all = {
      subscription: lib.subscribe({ groups: ['link'] }),
      monitor: await lib.XfrmMonitor.open(),
      monitors: await lib.MultiNamespaceXfrmMonitor.open(),
      tunnels: await lib.TunnelMonitor.open(),
    };
    for (const [name, one] of Object.entries(all)) {
      one.on('close', () => { throw new Error(name); });
      await one.close();
      console.log('closed');
    }`);
  assert.deepEqual(lines.sort(), [
    'closed',
    'closed',
    'closed',
    'closed',
    'uncaughtException monitor',
    'uncaughtException monitors',
    'uncaughtException subscription',
    'uncaughtException tunnels',
  ]);
});

test('a throwing listener of one kind of tunnel change does not affect others', () => {
  const lines = run(`
    const client = new lib.XfrmClient();
    const monitor = await lib.TunnelMonitor.open();
    monitor.on('added', () => { throw new Error('mine'); });
    monitor.on('change', ({ kind }) => {
      console.log(kind);
      if (kind === 'added') void monitor.close();
    });
    const ends = { saddr: '192.0.2.1', daddr: '192.0.2.2' };
    const template = { ...ends, proto: 'esp', mode: 'tunnel', reqid: 7 };
    await client.addPolicy({ dir: 'out', selector: { family: 'inet' }, templates: [template] });
    await client.close();`);
  assert.deepEqual(lines.sort(), ['added', 'uncaughtException mine']);
});

test('a later failure is emitted once as an error, and ends the tunnel monitor', (t) => {
  // Without the privilege lists are refused, and that does not come back.
  const lines = run(`
    const monitor = await lib.XfrmMonitor.open();
    const tunnels = await lib.TunnelMonitor.open({ monitor });
    const loop = tunnels[Symbol.asyncIterator]();
    await loop.next();
    const next = loop.next().catch(({ code }) => console.log('loop', code));
    for (const [name, one] of Object.entries({ monitor, tunnels })) {
      one.on('error', ({ code }) => { throw new Error(name + ' ' + code); });
      one.on('close', () => console.log(name, 'closed'));
    }
    try {
      process.setuid(65534);
      await tunnels.refresh().catch(({ code }) => console.log('refresh', code));
      await next;
    } catch {
      console.log('one user only');
      process.exit();
    }`);
  if (lines[0] === 'one user only') return t.skip('this user namespace has one user only');
  assert.deepEqual(lines.sort(), [
    'loop EPERM',
    'monitor closed',
    'refresh EPERM',
    'tunnels closed',
    'uncaughtException monitor EPERM',
    'uncaughtException tunnels EPERM',
  ]);
});

test('closing a client ends its dumps, also abandoned ones', async () => {
  await using setting = new XfrmClient();
  for (let n = 0; n < MANY; n++) await setting.addPolicy({ dir: 'in', selector: selector(n) });
  const before = open();
  const client = new XfrmClient();
  for await (const _ of client.listPolicies()) break;
  for await (const _ of client.listStates().batches()) break;
  assert.deepEqual(open(), before, 'a loop that is left closes its socket');
  const reading = client.listPolicies();
  const abandoned = client.listPolicies();
  const waiting = client.listPolicies();
  await reading.next();
  await abandoned.next();
  const first = waiting.next();
  assert.equal(open().length, before.length + 3);
  const closing = client.close();
  await assert.rejects(first, { code: 'ERR_SOCKET_CLOSED' });
  await closing;
  assert.deepEqual(open(), before);
  await assert.rejects(
    async () => {
      for await (const _ of reading);
    },
    { code: 'ERR_SOCKET_CLOSED' },
  );
  await client.close();
  await assert.rejects(client.listPolicies().next(), { code: 'ERR_SOCKET_CLOSED' });
  await setting.flushPolicies();
});

test('an abandoned dump is garbage-collected although client and signal live on', async () => {
  const { gc } = globalThis;
  assert(gc, 'run it with --expose-gc');
  await using client = new XfrmClient();
  await client.addPolicy({ dir: 'in', selector: selector(1) });
  const { signal } = new AbortController();
  const before = open();
  await (async () => void (await client.listPolicies({}, { signal }).next()))();
  assert.equal(open().length, before.length + 1);
  while (open().length > before.length) {
    gc();
    await turn();
  }
  await client.flushPolicies();
});

test('a queued request honours its signal and timeout', async () => {
  await using client = new XfrmClient();
  const order: string[] = [];
  const ask = (name: string, options: object) =>
    client.getSadInfo(options).then(
      () => order.push(name),
      (error) => order.push(`${name}: ${error.code ?? error.message}`),
    );
  const controller = new AbortController();
  const all = Array.from({ length: 32 }, () => ask('answered', {}));
  const late = [
    ask('given up', { signal: controller.signal }),
    ask('out of time', { timeout: 1 }),
    ask('last', {}),
  ];
  // Answers are there at once, and nothing is read meanwhile.
  const until = performance.now() + 5;
  while (performance.now() < until);
  controller.abort(new Error('enough'));
  await Promise.all(late.slice(0, 2));
  assert.deepEqual(order.splice(0, 2), ['given up: enough', 'out of time: ETIMEDOUT']);
  await Promise.all([...all, ...late]);
  assert.deepEqual(new Set(order), new Set(['answered', 'last']));
  assert.equal(order.length, 33);
  const closing = Promise.allSettled(Array.from({ length: 100 }, () => client.getSadInfo()));
  await client.close();
  for (const { status } of await closing) assert.equal(status, 'rejected');
});

test('an answer that arrived in time counts even if read late', async () => {
  await using client = new XfrmClient();
  await client.getSadInfo();
  const asked = client.getSadInfo({ timeout: 1 });
  const listed = client.listPolicies({}, { timeout: 1 }).next();
  const end = performance.now() + 100;
  while (performance.now() < end);
  assert.equal((await asked).count, 0);
  assert.equal((await listed).done, true);
});

test('one signal for many requests, dumps and monitors does not leak listeners', () => {
  const lines = run(`
    const { signal } = new AbortController();
    const client = new lib.XfrmClient();
    const lists = Array.from({ length: 20 }, async () => {
      for await (const _ of client.listPolicies({}, { signal }));
    });
    const asked = Array.from({ length: 20 }, () => client.getSadInfo({ signal }));
    await Promise.all([...lists, ...asked]);
    const monitors = Array.from({ length: 12 }, () => lib.XfrmMonitor.open({ signal }));
    for (const monitor of await Promise.all(monitors)) await monitor.close();
    const several = await lib.MultiNamespaceXfrmMonitor.open({ namespaces: { here: undefined } });
    for (let i = 0; i < 12; i++) await several[Symbol.asyncIterator]().next();
    await Promise.all([several.close(), client.close()]);
    console.log('done');`);
  assert.deepEqual(lines, ['done']);
});

test('a loop over several namespaces can be left while it waits', async () => {
  await using monitors = await MultiNamespaceXfrmMonitor.open({ namespaces: { here: undefined } });
  const loop = monitors[Symbol.asyncIterator]();
  assert.equal((await loop.next()).value?.kind, 'synced');
  const next = loop.next();
  assert.deepEqual(await loop.return?.(), { value: undefined, done: true });
  assert.deepEqual(await next, { value: undefined, done: true });
  await using client = new XfrmClient();
  await client.addPolicy({ dir: 'in', selector: selector(1) });
  await monitors.get('here')?.refresh();
  assert.deepEqual(await loop.next(), { value: undefined, done: true });
  await client.flushPolicies();
});

test('a namespace removed right after opening frees its label', async () => {
  const before = open();
  const monitors = await MultiNamespaceXfrmMonitor.open();
  const { open: original } = XfrmMonitor;
  let again: Promise<XfrmMonitor> | undefined;
  XfrmMonitor.open = async (options) => {
    XfrmMonitor.open = original;
    const monitor = await XfrmMonitor.open(options);
    // As NamespaceWatch tells of a name that was given to another namespace.
    void monitors.remove('a');
    again = monitors.add('a', other.path);
    return monitor;
  };
  await assert.rejects(monitors.add('a'), /was removed/);
  const second = await again;
  assert.equal(monitors.get('a'), second);
  assert.deepEqual(monitors.labels, ['a']);
  const late = monitors.add('b', other.path);
  await Promise.all([monitors.close(), assert.rejects(late, /closed/)]);
  assert.deepEqual(open(), before);
});

test('a closed or closing monitor cannot be used for a TunnelMonitor', async () => {
  const below = await XfrmMonitor.open();
  const opening = TunnelMonitor.open({ monitor: below });
  void below.close();
  await assert.rejects(opening, /options\.monitor is closed/);
  const before = open();
  await assert.rejects(TunnelMonitor.open({ monitor: below }), /options\.monitor is closed/);
  assert.deepEqual(open(), before);
});

test('tunnels are refreshed until a signal, or the end', async () => {
  await using monitor = await TunnelMonitor.open();
  const reason = new Error('enough');
  await assert.rejects(monitor.refresh({ signal: AbortSignal.abort(reason) }), reason);
  const controller = new AbortController();
  const waiting = monitor.refresh({ signal: controller.signal });
  controller.abort(reason);
  await assert.rejects(waiting, reason);
  await monitor.refresh({ signal: new AbortController().signal });
  await assert.rejects(monitor.refresh({ sgnal: 1 } as never), /unknown option options\.sgnal/);
  await using below = await XfrmMonitor.open();
  const above = await TunnelMonitor.open({ monitor: below });
  const last = above.refresh();
  void above.close();
  await assert.rejects(last, /the monitor is closed/);
});

test('an object deleted before it is read back counts as set', async () => {
  await using client = new XfrmClient();
  let requests = 0;
  using _ = atMessages(({ direction }) => {
    // When the policy has been added, and before it is read back.
    if (direction === 'received' && ++requests === 1) ip(...words('xfrm policy flush'));
  });
  const unknown = [{ type: 200, flags: 0, bytes: new Uint8Array(4) }];
  const policy = { dir: 'in', selector: selector(1), unknown } as const;
  const taken = await client.addPolicy(policy);
  assert.deepEqual(taken, { ignoredAttributes: undefined, warning: undefined });
  assert.deepEqual((await client.addPolicy(policy)).ignoredAttributes, ['attribute 200']);
  await client.flushPolicies();
});

test('the requester of a down is looked up in the watched namespace', {
  skip: withoutEsp,
}, async () => {
  await using there = await NetworkNamespace.make();
  await using client = new XfrmClient({ netns: there.path });
  const descriptor = openSync(there.path, 'r');
  await using monitor = await TunnelMonitor.open({ netns: descriptor });
  // Which may be done, and the number is another file's then.
  closeSync(descriptor);
  const file = openSync('/proc/self/status', 'r');
  assert.equal(file, descriptor);
  const out = {
    saddr: '192.0.2.1',
    daddr: '192.0.2.2',
    proto: 'esp',
    reqid: 7,
    mode: 'tunnel',
  } as const;
  const back = { ...out, saddr: out.daddr, daddr: out.saddr };
  const aead = { name: 'rfc4106(gcm(aes))', icvBits: 128, key: new Uint8Array(20) };
  const selector = { saddr: '10.1.0.0', prefixlenS: 16, daddr: '10.2.0.0', prefixlenD: 16 };
  await using links = new RouteClient({ netns: there.path });
  await links.setLinkUp({ index: 1 });
  await links.addAddress({ local: out.saddr, prefixLength: 32, index: 1 });
  const up = once(monitor, 'up');
  await client.addPolicy({ dir: 'out', selector, templates: [out] });
  for (const [i, ends] of [out, back].entries()) {
    await client.addState({ ...ends, spi: 0x100 + i, aead });
  }
  await up;
  const down = once(monitor, 'down');
  // As key managers do it, with the port id in the header; clients leave it out.
  await using socket = new NetlinkSocket({ protocol: 6, netns: there.path });
  socket.bind();
  const { portId } = socket;
  const writer = new MessageWriter();
  encodeXfrm(writer, {
    kind: 'request',
    message: 'FLUSHSA',
    header: { portId, flags: 1 },
    proto: 'any',
  });
  socket.send(writer.written());
  const [{ reason }] = await down;
  closeSync(file);
  assert.equal(reason.kind, 'flushed');
  assert.equal(reason.by.pid, process.pid);
});

test('workers that are terminated leave nothing open', async () => {
  const before = open();
  const source = `
    const { parentPort } = require('node:worker_threads');
    process.on('warning', ({ message }) => parentPort.postMessage(message));
    const netns = ${JSON.stringify(other.path)};
    import('${INDEX}').then(async (lib) => {
      globalThis.all = [
        await lib.XfrmMonitor.open({ netns }),
        await lib.MultiNamespaceXfrmMonitor.open({ namespaces: { here: undefined, there: netns } }),
        await lib.TunnelMonitor.open({ netns }),
        new lib.XfrmClient({ netns }),
      ];
      await globalThis.all[3].listPolicies().next();
      const passing = await lib.TunnelMonitor.open({ netns });
      await passing.close();
      setImmediate(() => parentPort.postMessage('open'));
      for (;;) await (await lib.TunnelMonitor.open({ netns })).close();
    });`;
  for (let round = 0; round < 5; round++) {
    const worker = new Worker(source, { eval: true });
    assert.deepEqual(await once(worker, 'message'), ['open']);
    await worker.terminate();
    assert.deepEqual(open(), before);
  }
});

test('commands end at the first signal, also while tunnels are being opened', () => {
  // Ctrl-C when the first answer is there.
  const preload = `
    import { subscribe } from 'node:diagnostics_channel';
    let answers = 0;
    subscribe('netlink-xfrm:message', ({ direction }) => {
      if (direction === 'received' && ++answers === 1) process.kill(process.pid, 'SIGINT');
    });`;
  const url = `data:text/javascript,${encodeURIComponent(preload)}`;
  const command = (...args: string[]) => {
    const node = ['--import', url, program, ...args];
    return spawnSync(process.execPath, node, { encoding: 'utf8', env, timeout: 600_000 });
  };
  const watch = command('tunnels', '--watch');
  assert.deepEqual([watch.status, watch.stdout], [0, ''], watch.stderr);
  assert(!watch.stderr.includes('listening'), watch.stderr);
  const follow = command('monitor', '--tunnels');
  assert.deepEqual([follow.status, follow.stdout], [0, ''], follow.stderr);
  assert(!follow.stderr.includes('listening'), follow.stderr);
  const wait = command('wait', '--for', 'up', '192.0.2.9', '--timeout', '0');
  assert.equal(wait.status, 1);
  assert.match(wait.stderr, /interrupted while waiting/);
});
