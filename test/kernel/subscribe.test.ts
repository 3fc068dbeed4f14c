/** The manners of a subscription: loops, listeners, signals, slow readers, the end. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { getEventListeners, once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { type SubscriptionEvent, type SystemError, subscribe } from '../../lib/index.ts';
import type { EventQueue } from '../../lib/monitor/event-queue.ts';
import { explain } from '../../lib/monitor/event-socket.ts';
import { NetlinkSocket } from '../../lib/socket.ts';
import { deleteLarval, ip, ipBatch, next, ofKind, words } from './support.ts';

const SA = ['XFRMNLGRP_SA'] as const;
const POLICY = ['XFRMNLGRP_POLICY'] as const;
const turn = () => new Promise((resolve) => setImmediate(resolve));
const module = JSON.stringify(new URL('../../lib/index.js', import.meta.url).href);

/** Runs a program in a process of its own and gives what it printed and its status. */
function run(program: string): { printed: string; status: number | null } {
  const code = `import { subscribe } from ${module};\n${program}`;
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    ['--input-type=module', '-e', code],
    { encoding: 'utf8', timeout: 600_000 },
  );
  return { printed: stdout + stderr, status };
}

/** Adds policies with the priorities 1 to `count`, in one process. */
function addPolicies(count: number): void {
  ipBatch(
    Array.from(
      { length: count },
      (_, i) =>
        `xfrm policy add src 10.${i >> 8}.${i & 255}.0/24 dst 10.255.0.0/16 dir out priority ${i + 1}`,
    ),
  );
}

const flushPolicies = () => ip(...words('xfrm policy flush'));

test('what happens between subscribing and reading is delivered', async () => {
  await using subscription = subscribe({ groups: SA });
  const spis = [deleteLarval(), deleteLarval(), deleteLarval()];
  const seen: number[] = [];
  for await (const event of subscription) {
    if (event.kind === 'DELSA') seen.push(event.id.spi);
    if (seen.length === spis.length) break;
  }
  assert.deepEqual(seen, spis);
});

test('leaving a loop does not close the subscription: events are queued for the next loop', async () => {
  await using subscription = subscribe({ groups: SA });
  deleteLarval();
  for await (const event of subscription) {
    assert.equal(event.kind, 'DELSA');
    break;
  }
  assert(!subscription.closed);
  const spi = deleteLarval();
  for await (const event of subscription) {
    assert(event.kind === 'DELSA' && event.id.spi === spi);
    break;
  }
  await subscription.close();
  assert.deepEqual(subscription.sockets, []);
});

test('an unreferenced subscription is closed when garbage-collected, whatever signal it has', async () => {
  assert(gc);
  const sockets = () => readFileSync('/proc/net/netlink', 'utf8').split('\n').length;
  const before = sockets();
  const { signal } = new AbortController();
  const readOne = async (more: object) => {
    const subscription = subscribe({ groups: SA, ...more });
    deleteLarval();
    for await (const _ of subscription) break;
  };
  for (let i = 0; i < 20; i++) await readOne(i % 2 ? { signal } : {});
  assert(sockets() > before);
  while (sockets() > before) {
    gc();
    await turn();
  }
});

test('a loop can have its own signal, which ends only that loop', async () => {
  await using subscription = subscribe({ groups: SA });
  const control = new AbortController();
  const loop = subscription.iterator({ signal: control.signal });
  const other = subscription.iterator();
  const waiting = loop.next();
  control.abort(new Error('enough'));
  await assert.rejects(waiting, /enough/);
  assert.deepEqual(await loop.next(), { value: undefined, done: true });
  assert.equal(getEventListeners(control.signal, 'abort').length, 0);
  assert.throws(() => subscription.iterator({ signal: control.signal }), /enough/);
  assert.throws(() => subscription.iterator({ signal: 1 as never }), /options\.signal/);
  deleteLarval();
  await next(other, ofKind('DELSA'));
  const left = new AbortController();
  deleteLarval();
  for await (const _ of subscription.iterator({ signal: left.signal })) break;
  assert.equal(getEventListeners(left.signal, 'abort').length, 0);
});

test('leaving one loop keeps another and the listeners', async () => {
  await using subscription = subscribe({ groups: SA });
  let heard = 0;
  subscription.on('DELSA', () => heard++);
  const stays = subscription[Symbol.asyncIterator]();
  deleteLarval();
  for await (const _ of subscription) break;
  assert(!subscription.closed);
  const spi = deleteLarval();
  await next(stays, ofKind('DELSA'));
  const event = await next(stays, ofKind('DELSA'));
  assert.equal(event.id.spi, spi);
  assert.equal(heard, 2);
});

test('listeners get each event once, by kind and as an event', async () => {
  await using subscription = subscribe({ groups: [...SA, ...POLICY] });
  const heard: string[] = [];
  subscription.on('event', (event) => heard.push(`event ${event.kind}`));
  subscription.on('NEWPOLICY', (event) => heard.push(`priority ${event.policy.priority}`));
  subscription.on('FLUSHSA', () => heard.push('never'));
  addPolicies(2);
  while (heard.length < 4) await turn();
  flushPolicies();
  await once(subscription, 'FLUSHPOLICY');
  assert.deepEqual(heard, [
    'priority 1',
    'event NEWPOLICY',
    'priority 2',
    'event NEWPOLICY',
    'event FLUSHPOLICY',
  ]);
});

test('listeners that come after all were removed get what the kernel kept', async () => {
  await using subscription = subscribe({ groups: [...SA, ...POLICY] });
  const heard: string[] = [];
  subscription.on('event', () => heard.push('removed'));
  subscription.on('NEWPOLICY', () => heard.push('removed'));
  for (let times = 0; times < 2; times++) subscription.removeAllListeners();
  addPolicies(1);
  await turn();
  subscription.on('event', ({ kind }) => heard.push(kind));
  subscription.on('NEWPOLICY', ({ policy }) => heard.push(`priority ${policy.priority}`));
  while (heard.length < 2) await turn();
  subscription.removeAllListeners('event');
  flushPolicies();
  await once(subscription, 'FLUSHPOLICY');
  assert.deepEqual(heard, ['priority 1', 'NEWPOLICY']);
});

test('a listener that pauses gets the rest after it resumes, also of what a loop had left', async () => {
  await using subscription = subscribe({ groups: POLICY });
  const loop = subscription.iterator();
  addPolicies(5);
  await loop.next();
  await loop.return?.();
  const priorities: number[] = [];
  subscription.on('NEWPOLICY', ({ policy }) => {
    priorities.push(policy.priority);
    if (priorities.length === 2) subscription.pause();
  });
  for (let i = 0; i < 5; i++) await turn();
  assert.deepEqual(priorities, [2, 3]);
  subscription.resume();
  const flushed = once(subscription, 'FLUSHPOLICY');
  flushPolicies();
  await flushed;
  assert.deepEqual(priorities, [2, 3, 4, 5]);
});

test('a loop can leave any number of events behind', async () => {
  await using subscription = subscribe({ groups: POLICY, highWaterMark: 1e9 });
  const count = 200_000;
  const loop = subscription.iterator() as EventQueue<SubscriptionEvent>;
  const event = { kind: 'malformed' } as SubscriptionEvent;
  for (let i = 0; i < count; i++) loop.push(event);
  await loop.return();
  let heard = 0;
  subscription.on('malformed', () => heard++);
  await turn();
  assert.equal(heard, count);
});

test('closing in a listener ends the events, and a throwing listener does not affect others', () => {
  const { printed, status } = run(`
    import { execFileSync } from 'node:child_process';
    const subscription = subscribe({ groups: ['XFRMNLGRP_POLICY'] });
    process.on('uncaughtException', ({ message }) => console.log('uncaught', message));
    subscription.on('NEWPOLICY', ({ policy }) => { throw new Error('at ' + policy.priority); });
    subscription.on('event', ({ policy }) => {
      console.log('event', policy.priority);
      if (policy.priority === 2) subscription.close();
    });
    const lines = [1, 2, 3].map((n) =>
      'xfrm policy add src 10.0.' + n + '.0/24 dst 10.1.0.0/24 dir out priority ' + n);
    execFileSync('ip', ['-batch', '-'], { input: lines.join('\\n') });
  `);
  flushPolicies();
  assert.equal(printed, 'event 1\nevent 2\nuncaught at 1\nuncaught at 2\n');
  assert.equal(status, 0);
});

test('a signal ends loops with its reason, and closes', async () => {
  const controller = new AbortController();
  const subscription = subscribe({ groups: SA, signal: controller.signal });
  const reason = new Error('enough');
  const waiting = subscription[Symbol.asyncIterator]().next();
  controller.abort(reason);
  await assert.rejects(waiting, reason);
  assert(subscription.closed);
  await assert.rejects(subscription[Symbol.asyncIterator]().next(), reason);
  assert.throws(() => subscribe({ groups: SA, signal: controller.signal }), reason);
});

test('close ends a waiting loop, after what it has waiting, and can be called twice', async () => {
  const subscription = subscribe({ groups: POLICY });
  const iterator = subscription[Symbol.asyncIterator]();
  const ended = once(subscription, 'close');
  addPolicies(3);
  await iterator.next();
  const first = subscription.close();
  assert.equal(subscription.close(), first);
  await first;
  await ended;
  const rest = [];
  for (let result = await iterator.next(); !result.done; result = await iterator.next()) {
    rest.push(result.value.kind);
  }
  assert.deepEqual(rest, ['NEWPOLICY', 'NEWPOLICY']);
  flushPolicies();
});

test('closing leaves no descriptor open', async () => {
  const open = () => readdirSync('/proc/self/fd').length;
  await subscribe({ groups: [...SA, 'RTMGRP_LINK'] }).close();
  const before = open();
  for (let i = 0; i < 200; i++) await subscribe({ groups: [...SA, 'RTMGRP_LINK'] }).close();
  assert.equal(open(), before);
});

test('a slow loop has bounded memory, and learns what it missed', async () => {
  await using subscription = subscribe({ groups: POLICY, receiveBufferSize: 1, highWaterMark: 10 });
  const iterator = subscription[Symbol.asyncIterator]();
  addPolicies(1);
  await iterator.next();
  // The reader sleeps: its queue fills (a batch holds 64 at most), then the kernel's buffer.
  for (let round = 0; round < 10; round++) {
    flushPolicies();
    addPolicies(60);
    for (let i = 0; i < 5; i++) await turn();
  }
  const events: SubscriptionEvent[] = [];
  let flushed = false;
  const reading = (async () => {
    while (!flushed) {
      const { value } = await iterator.next();
      if (value === undefined) break;
      events.push(value);
      if (value.kind === 'GETDEFAULT') flushed = true;
    }
  })();
  while (!flushed) {
    ip(...words('xfrm policy setdefault in accept'));
    await turn();
  }
  await reading;
  // The buffer is so small that something may be lost before the loop is slow.
  const overruns = events.filter((event) => event.kind === 'overrun');
  assert(
    overruns.some(({ slowConsumer }) => slowConsumer),
    'the loss is told',
  );
  for (const { time: _, count, slowConsumer: __, ...told } of overruns) {
    assert.deepEqual(told, { kind: 'overrun', protocol: 'xfrm', code: 'ENOBUFS' });
    assert(count >= 1);
  }
  assert(events.length < 10 + 64 + 30, `${events.length} events had been kept`);
  flushPolicies();
});

test('pause and resume hold events back in the kernel', async () => {
  await using subscription = subscribe({ groups: SA });
  let heard = 0;
  subscription.on('DELSA', () => heard++);
  subscription.pause();
  deleteLarval();
  for (let i = 0; i < 5; i++) await turn();
  assert.equal(heard, 0);
  subscription.resume();
  while (heard === 0) await turn();
  assert.equal(heard, 1);
});

/** Where the buffer asked for is not granted, as in a user namespace, nothing is gathered. */
const gathers = async () => {
  await using subscription = subscribe({ groups: SA });
  return (subscription.sockets[0]?.receiveBufferSize ?? 0) >= 2 * 4 * 2 ** 20;
};

for (const readAhead of [0, 2 ** 20]) {
  test(`with coalesce all events come, in their order, readAhead: ${readAhead}`, async () => {
    await using subscription = subscribe({ groups: POLICY, coalesce: 3, readAhead });
    const priorities: number[] = [];
    subscription.on('NEWPOLICY', ({ policy }) => priorities.push(policy.priority));
    const flushed = once(subscription, 'FLUSHPOLICY');
    addPolicies(100);
    for (let i = 101; i <= 110; i++) {
      await turn();
      ip(...words(`xfrm policy add src 10.9.${i}.0/24 dst 10.0.0.0/8 dir in priority ${i}`));
    }
    flushPolicies();
    await flushed;
    assert.deepEqual(
      priorities,
      Array.from({ length: 110 }, (_, i) => i + 1),
    );
  });
}

test('coalesced events are read immediately by resume, and not while paused', async (t) => {
  if (!(await gathers())) return t.skip('the receive buffer is too small');
  // So long that only resume can end it.
  await using subscription = subscribe({ groups: SA, coalesce: 1000 });
  const heard: string[] = [];
  subscription.on('event', ({ kind }) => heard.push(kind));
  deleteLarval();
  while (heard.length === 0) await turn();
  const asleep = performance.now();
  deleteLarval();
  for (let i = 0; i < 5; i++) await turn();
  // On a machine that stood still meanwhile there is nothing to see.
  if (performance.now() - asleep < 900) assert.equal(heard.length, 1, 'it is gathered');
  subscription.pause();
  const before = heard.length;
  for (let i = 0; i < 5; i++) await turn();
  assert.equal(heard.length, before);
  subscription.resume();
  for (let i = 0; i < 5; i++) await turn();
  assert.equal(heard.length, 2);
  // Coalescing again; a loop in addition to the listener makes no difference.
  const iterator = subscription[Symbol.asyncIterator]();
  deleteLarval();
  subscription.resume();
  assert.equal((await iterator.next()).value?.kind, 'DELSA');
  assert.equal(heard.length, 3);
});

test('with a small receive buffer nothing is gathered', async () => {
  await using subscription = subscribe({ groups: SA, coalesce: 1000, receiveBufferSize: 65_536 });
  let heard = 0;
  subscription.on('event', () => heard++);
  for (let i = 1; i <= 3; i++) {
    deleteLarval();
    for (let turns = 0; turns < 5; turns++) await turn();
    assert.equal(heard, i);
  }
});

test('what ends the reading ends the rest too, which then keeps no process alive', async (t) => {
  if (!(await gathers())) return t.skip('the receive buffer is too small');
  for (const end of [
    'subscription.close();',
    'subscription.unref();',
    "subscription.off('event', listener);",
    'subscription.pause();',
  ]) {
    const { printed, status } = run(`
      import { execFileSync } from 'node:child_process';
      const subscription = subscribe({ groups: ['XFRMNLGRP_POLICY'], coalesce: 1000 });
      const rests = () => process.getActiveResourcesInfo().includes('Timeout');
      let events = 0;
      const listener = () => {
        if (events++ > 0) return;
        setImmediate(() => {
          console.log(rests());
          ${end}
          console.log(rests());
        });
      };
      subscription.on('event', listener);
      execFileSync('ip', 'xfrm policy setdefault in accept'.split(' '));`);
    assert.equal(printed, 'true\nfalse\n', end);
    assert.equal(status, 0, end);
  }
});

test('a listener that throws is an uncaught exception, and the rest is delivered', () => {
  const { printed, status } = run(`
    import { execFileSync } from 'node:child_process';
    const subscription = subscribe({ groups: ['XFRMNLGRP_POLICY'] });
    process.on('uncaughtException', ({ message }) => console.log('uncaught', message));
    let count = 0;
    subscription.on('NEWPOLICY', ({ policy }) => {
      console.log('policy', policy.priority);
      if (++count === 3) subscription.close();
      if (policy.priority === 2) throw new Error('two');
    });
    const lines = [1, 2, 3].map((n) =>
      'xfrm policy add src 10.0.' + n + '.0/24 dst 10.1.0.0/24 dir out priority ' + n);
    execFileSync('ip', ['-batch', '-'], { input: lines.join('\\n') });
  `);
  flushPolicies();
  assert.equal(printed, 'policy 1\npolicy 2\npolicy 3\nuncaught two\n');
  assert.equal(status, 0);
});

test('an uncaught exception in a listener ends the process with its text', () => {
  const { printed, status } = run(`
    import { execFileSync } from 'node:child_process';
    const subscription = subscribe({ groups: ['XFRMNLGRP_POLICY'] });
    subscription.on('event', () => { throw new Error('on purpose'); });
    execFileSync('ip', 'xfrm policy add src 10.0.0.0/24 dst 10.1.0.0/24 dir out'.split(' '));
  `);
  flushPolicies();
  assert.equal(status, 1);
  assert.match(printed, /Error: on purpose/);
});

test('a process ends though a subscription is open, unless it is read', () => {
  assert.equal(run(`subscribe({ groups: ['XFRMNLGRP_SA'] });`).status, 0);
  assert.equal(
    run(`subscribe({ groups: ['XFRMNLGRP_SA'] }).on('event', () => {}).unref();`).status,
    0,
  );
  const { printed } = run(`
    subscribe({ groups: ['XFRMNLGRP_SA'] }).on('event', () => {});
    setTimeout(() => { console.log('still here'); process.exit(5); }, 100).unref();
    // Only the subscription keeps the process alive until then.
  `);
  assert.equal(printed, 'still here\n');
});

test('removing the last listener lets the process end', () => {
  const { status } = run(`
    const subscription = subscribe({ groups: ['XFRMNLGRP_SA'] });
    const listener = () => {};
    subscription.on('event', listener);
    subscription.off('event', listener);
  `);
  assert.equal(status, 0);
});

test('an unsupported protocol is reported with a remedy', () => {
  // No kernel has protocol 31; the error it gives is the one of a kernel without XFRM.
  assert.throws(
    () => new NetlinkSocket({ protocol: 31 }),
    (error) => {
      const explained = explain(error, 'xfrm') as SystemError;
      assert.equal(explained.code, 'EPROTONOSUPPORT');
      assert.equal(explained.syscall, 'socket');
      assert.match(explained.hint ?? '', /modprobe xfrm_user/);
      return true;
    },
  );
});
