/** The life cycle that subscriptions and monitors share. */
import assert from 'node:assert/strict';
import { EventEmitter, errorMonitor, getEventListeners } from 'node:events';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { EventHub } from '../../lib/monitor/event-hub.ts';
import { EventQueue } from '../../lib/monitor/event-queue.ts';
import { onAbort } from '../../lib/socket/abort.ts';

/** A hub, what its emitter tells, and how to finish the release. */
function opened() {
  const emitter = new EventEmitter();
  const told: string[] = [];
  let finish = () => {};
  const hub: EventHub<string> = new EventHub<string>(emitter, () => {
    told.push(`release ${hub.closed}`);
    return new Promise<void>((resolve) => {
      finish = resolve;
    });
  });
  emitter.on('close', () => told.push('close'));
  const loop = () => {
    const queue: EventQueue<string> = new EventQueue<string>(9, {
      changed() {},
      left: () => hub.leave(queue),
    });
    return hub.join(queue);
  };
  return { hub, emitter, told, loop, finish: () => finish() };
}

test('it is released once, whatever ends it, and then emits close', async () => {
  const { hub, told, finish } = opened();
  const closing = hub.close();
  assert.equal(hub.close(), closing);
  hub.fail(new Error('late'));
  assert.deepEqual(told, ['release true']);
  finish();
  await closing;
  assert.deepEqual(told, ['release true', 'close']);
  assert.equal(hub.close(), closing);
});

test('loops get pending events, then the end or the error; later loops only the latter', async () => {
  const { hub, loop } = opened();
  const [one, left] = [loop(), loop()];
  await left.return();
  assert.equal(hub.loops.size, 1);
  hub.deliver('a');
  hub.fail(new Error('mine'));
  hub.deliver('b');
  assert.deepEqual(await one.next(), { value: 'a', done: false });
  await assert.rejects(one.next(), /mine/);
  await assert.rejects(loop().next(), /mine/);
  assert.equal(hub.loops.size, 0);
});

test('an error is emitted if no loop receives it, or if there is a listener', () => {
  const heard = (prepare: (all: ReturnType<typeof opened>) => void, elsewhere?: boolean) => {
    const all = opened();
    const errors: unknown[] = [];
    prepare(all);
    all.hub.emit = (name, error) => name === 'error' && errors.push(error);
    all.hub.fail('it', elsewhere);
    return errors.length;
  };
  const listen = ({ emitter }: ReturnType<typeof opened>) => emitter.on('error', () => {});
  assert.equal(
    heard(() => {}),
    1,
  );
  assert.equal(
    heard(() => {}, true),
    0,
  );
  assert.equal(
    heard(({ loop }) => loop()),
    0,
  );
  assert.equal(
    heard((all) => {
      all.loop();
      listen(all);
    }),
    1,
  );
  assert.equal(heard(listen, true), 1);
});

test('a wait is abandoned at the end, or by its signal', async () => {
  const { hub, finish } = opened();
  const controller = new AbortController();
  const reason = new Error('enough');
  await hub.wait(undefined, (done) => done());
  await assert.rejects(
    hub.wait(undefined, (_, failed) => failed(reason)),
    reason,
  );
  const waiting = hub.wait(controller.signal, () => {});
  controller.abort(reason);
  await assert.rejects(waiting, reason);
  await assert.rejects(
    hub.wait(controller.signal, () => assert.fail()),
    reason,
  );
  const till = hub.wait(undefined, () => {});
  hub.close();
  await assert.rejects(till, /the monitor is closed/);
  await assert.rejects(
    hub.wait(undefined, () => assert.fail()),
    /the monitor is closed/,
  );
  finish();
});

test('its signal ends it with the reason, and is released', async () => {
  const { hub, told, loop } = opened();
  const controller = new AbortController();
  hub.endOn(controller.signal);
  const one = loop();
  controller.abort(new Error('enough'));
  await assert.rejects(one.next(), /enough/);
  assert.deepEqual(told, ['release true']);
  const other = opened();
  const later = new AbortController();
  other.hub.endOn(later.signal);
  assert.equal(getEventListeners(later.signal, 'abort').length, 1);
  other.hub.close();
  assert.equal(getEventListeners(later.signal, 'abort').length, 0);
});

test('a listener that throws keeps no other from an event', (t) => {
  const { hub, emitter } = opened();
  const thrown: string[] = [];
  t.mock.method(process, 'nextTick', (call: () => void) => {
    try {
      call();
    } catch (error) {
      thrown.push((error as Error).message);
    }
  });
  const heard: string[] = [];
  const wrong = (text: string) => {
    throw new Error(`of ${text}`);
  };
  emitter.on('one', wrong);
  hub.emit('one', 'a');
  emitter.once('one', (text) => heard.push(`once ${text}`));
  emitter.on('one', (text) => heard.push(text));
  hub.emit('one', 'b');
  hub.emit('one', 'c');
  t.mock.restoreAll();
  assert.deepEqual(thrown, ['of a', 'of b', 'of c']);
  assert.deepEqual(heard, ['once b', 'b', 'c']);
});

test('an error is told to those who monitor errors, however many listen', () => {
  for (const listeners of [1, 2]) {
    const { hub, emitter } = opened();
    const told: string[] = [];
    emitter.on(errorMonitor, () => told.push('monitored'));
    for (let i = 0; i < listeners; i++) emitter.on('error', () => told.push('heard'));
    hub.fail(new Error('mine'));
    assert.deepEqual(told, ['monitored', ...new Array(listeners).fill('heard')]);
  }
});

test('a signal has one listener, however many consumers it ends', async () => {
  const controller = new AbortController();
  const { signal } = controller;
  // Others cannot keep it from what it ends.
  signal.addEventListener('abort', (event) => event.stopImmediatePropagation());
  const ended: string[] = [];
  const all = Array.from({ length: 20 }, (_, i) => onAbort(signal, () => ended.push(`${i}`)));
  assert.equal(getEventListeners(signal, 'abort').length, 2);
  for (const one of all.slice(2)) one[Symbol.dispose]();
  controller.abort();
  assert.deepEqual(ended, ['0', '1']);
  onAbort(signal, () => ended.push('late'));
  assert.deepEqual(ended, ['0', '1']);
  await turn();
  assert.deepEqual(ended, ['0', '1', 'late']);
  for (const one of all) one[Symbol.dispose]();
});
