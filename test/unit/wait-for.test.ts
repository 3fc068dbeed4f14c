/** Waiting for something of a monitor, with a clock of what it has heard that the test sets. */
import assert from 'node:assert/strict';
import { EventEmitter, getEventListeners } from 'node:events';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { EventHub } from '../../lib/monitor/event-hub.ts';
import { type WaitOptions, waitFor } from '../../lib/monitor/wait-for.ts';

/** A monitor of one value. Unless `heard` is set, it has heard all until now. */
class Monitored extends EventEmitter {
  readonly hub = new EventHub<never>(this, () => Promise.resolve());
  /** How many wait for the next change. */
  watching = 0;
  value: string | undefined;
  heard: number | undefined;

  get heardUntil(): number {
    return this.heard ?? performance.now();
  }

  set(value: string | undefined): void {
    this.value = value;
    this.hub.deliver(undefined as never, 'change');
  }

  waitFor(options?: WaitOptions): Promise<string> {
    return waitFor(this as Monitored, this.counting, ({ value }) => value, options);
  }

  /** The hub, with a count. */
  readonly counting = {
    wait: this.hub.wait.bind(this.hub),
    watch: (look: () => void): Disposable => {
      this.watching++;
      const watch = this.hub.watch(look);
      return {
        [Symbol.dispose]: () => {
          this.watching--;
          watch[Symbol.dispose]();
        },
      };
    },
  };
}

/** Whether a promise is pending after all timers that are due have run. */
async function pending(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const done = () => {
    settled = true;
  };
  promise.then(done, done);
  await pause(50);
  return !settled;
}

test('a condition that already holds resolves immediately, otherwise on a change', async () => {
  const monitor = new Monitored();
  const waiting = monitor.waitFor();
  monitor.set(undefined);
  assert(await pending(waiting));
  monitor.set('up');
  assert.equal(await waiting, 'up');
  assert.equal(await monitor.waitFor({ timeout: 0 }), 'up');
  assert.equal(monitor.watching, 0);
});

test('a timeout waits until everything that arrived in time has been read', async () => {
  const monitor = new Monitored();
  monitor.heard = performance.now();
  const served = monitor.waitFor({ timeout: 1 });
  assert(await pending(served));
  monitor.set('up');
  assert.equal(await served, 'up');
  monitor.set(undefined);
  const late = monitor.waitFor({ timeout: 1 });
  assert(await pending(late));
  monitor.heard = undefined;
  await assert.rejects(late, {
    name: 'StateError',
    code: 'ERR_WAIT_TIMEOUT',
    message: 'timed out after 1 ms',
  });
  assert.equal(monitor.watching, 0);
});

test('heldFor requires an uninterrupted period, as far as events have been read', async () => {
  const monitor = new Monitored();
  monitor.set('up');
  monitor.heard = performance.now();
  const waiting = monitor.waitFor({ heldFor: 10 });
  assert(await pending(waiting));
  // A break of which the news comes late.
  monitor.set(undefined);
  monitor.heard = performance.now();
  assert(await pending(waiting));
  monitor.set('back');
  assert(await pending(waiting));
  monitor.heard = undefined;
  assert.equal(await waiting, 'back');
  await assert.rejects(monitor.waitFor({ heldFor: 60_000, timeout: 20 }), {
    code: 'ERR_WAIT_TIMEOUT',
  });
});

test('a predicate that throws, a signal and the end of the monitor end it', async () => {
  const monitor = new Monitored();
  const failing = waitFor(monitor, monitor.hub, () => assert.fail('on purpose'));
  await assert.rejects(failing, /on purpose/);
  const given = new AbortController();
  const one = monitor.waitFor({ signal: given.signal, timeout: 60_000 });
  const other = monitor.waitFor({ timeout: 60_000 });
  given.abort(new Error('given up'));
  await assert.rejects(one, /given up/);
  await monitor.hub.close();
  await assert.rejects(other, { code: 'ERR_MONITOR_CLOSED' });
  await assert.rejects(monitor.waitFor(), { code: 'ERR_MONITOR_CLOSED' });
  assert.equal(monitor.watching, 0);
});

test('thousands of waits share one signal, and leave no listeners behind', async () => {
  const warnings: Error[] = [];
  const warned = (warning: Error) => warnings.push(warning);
  process.on('warning', warned);
  const monitor = new Monitored();
  const control = new AbortController();
  const many = (options: WaitOptions) =>
    Array.from({ length: 5000 }, () => monitor.waitFor({ signal: control.signal, ...options }));
  const listeners = () => getEventListeners(control.signal, 'abort').length;
  const served = many({});
  assert.equal(listeners(), 1);
  monitor.set('up');
  assert((await Promise.all(served)).every((value) => value === 'up'));
  assert.equal(listeners(), 0);
  monitor.set(undefined);
  const late = await Promise.allSettled(many({ timeout: 1 }));
  assert(late.every(({ status }) => status === 'rejected'));
  assert.equal(listeners(), 0);
  const aborted = many({});
  control.abort(new Error('enough'));
  for (const one of await Promise.allSettled(aborted)) {
    assert.equal(one.status === 'rejected' && one.reason.message, 'enough');
  }
  assert.equal(listeners(), 0);
  assert.equal(monitor.watching, 0);
  assert.equal(monitor.eventNames().length, 0);
  await pause(0);
  process.off('warning', warned);
  assert.deepEqual(warnings, []);
});

test('invalid options are named', async () => {
  const monitor = new Monitored();
  const wrong: [options: object, error: RegExp][] = [
    [{ timeout: -1 }, /options\.timeout must be an integer from 0/],
    [{ heldFor: '1 s' }, /options\.heldFor must be a number/],
    [{ signal: 1 }, /options\.signal/],
    [{ for: 1 }, /unknown option options\.for/],
  ];
  for (const [options, error] of wrong) await assert.rejects(monitor.waitFor(options), error);
});

test("a timeout has the caller's stack; a predicate must be a synchronous function", async () => {
  const monitor = new Monitored();
  const stackOf = async function waitsInVain() {
    return await monitor.waitFor({ timeout: 0 }).catch((error: Error) => error.stack);
  };
  assert.match((await stackOf()) ?? '', /at async waitsInVain/);
  const wait = (predicate: unknown) =>
    waitFor(monitor as Monitored, monitor.counting, predicate as () => string);
  await assert.rejects(wait(5), { code: 'ERR_INVALID_ARG_TYPE', message: /^predicate must be/ });
  await assert.rejects(
    wait(async () => undefined),
    { code: 'ERR_INVALID_ARG_TYPE', message: /^predicate must be synchronous/ },
  );
  assert.equal(monitor.watching, 0);
});

test('a change right after the one that ended it does not replace what it found', async () => {
  for (const heldFor of [0, 1]) {
    const monitor = new Monitored();
    const waiting = monitor.waitFor({ heldFor });
    monitor.set('there');
    if (heldFor > 0) {
      // Held, and nobody has looked yet.
      const until = performance.now() + 2;
      while (performance.now() < until);
      monitor.set('there');
    }
    monitor.set(undefined);
    assert.equal(await waiting, 'there');
    assert.equal(monitor.watching, 0);
  }
});
