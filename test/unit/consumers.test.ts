/** What consumers of a simulated kernel's events get as they come and go. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import {
  NETLINK_XFRM,
  XFRM_MSG_GETDEFAULT,
  XFRM_MSG_GETSADINFO,
  XFRMNLGRP_SA,
} from '../../lib/constants.ts';
import { MultiNamespaceXfrmMonitor, subscribe, XfrmMonitor } from '../../lib/index.ts';
import { FakeKernel } from '../../lib/socket.ts';
import { encodeXfrm, MessageWriter } from '../../lib/xfrm.ts';

function bytesOf(message: object): Uint8Array {
  const writer = new MessageWriter();
  encodeXfrm(writer, message as never);
  return writer.written().slice();
}

const sa = (kind: 'NEWSA' | 'DELSA', spi: number): Uint8Array =>
  bytesOf({ kind, state: { saddr: '192.0.2.1', daddr: '192.0.2.2', proto: 'esp', spi } });

/** A kernel without objects, which then announces SAs. */
function quiet() {
  const kernel = new FakeKernel().answer(NETLINK_XFRM, ({ type }) => {
    if (type === XFRM_MSG_GETDEFAULT) return { refusal: { code: 'EINVAL' } };
    if (type !== XFRM_MSG_GETSADINFO) return {};
    return { messages: [bytesOf({ kind: 'NEWSADINFO', info: { count: 0 } })] };
  });
  const announce = (...spis: number[]) => {
    for (const spi of spis) kernel.multicast(NETLINK_XFRM, XFRMNLGRP_SA, sa('NEWSA', spi));
  };
  return { kernel, announce };
}

/** A subscription to a simulated kernel, the SPIs of whose events matter. */
function subscribed() {
  const { kernel, announce } = quiet();
  const subscription = subscribe({ groups: ['sa'], netns: kernel as never });
  const first = async () => {
    for await (const event of subscription) {
      assert(event.kind === 'NEWSA');
      return event.state.spi;
    }
    return assert.fail();
  };
  const heard = async () => {
    const [{ state }] = await once(subscription, 'NEWSA');
    return state.spi as number;
  };
  return { subscription, announce, first, heard };
}

test('what a loop leaves unread is for the next consumer, in order', async () => {
  const { subscription, announce, first, heard } = subscribed();
  announce(1, 2, 3, 4);
  assert.equal(await first(), 1);
  assert.equal(await first(), 2);
  // Later ones follow.
  announce(5);
  assert.equal(await heard(), 3);
  assert.equal(await first(), 4);
  assert.equal(await heard(), 5);
  await subscription.close();
});

test('so is the rest of a batch in which the only listener left', async () => {
  const { subscription, announce, first, heard } = subscribed();
  announce(1, 2, 3);
  assert.equal(await heard(), 1);
  await turn();
  assert.equal(await heard(), 2);
  assert.equal(await first(), 3);
  const waiting = heard();
  announce(4);
  assert.equal(await waiting, 4);
  await subscription.close();
});

test('all who come in one turn get what was left', async () => {
  const { subscription, announce, first, heard } = subscribed();
  announce(1, 2);
  assert.equal(await heard(), 1);
  assert.deepEqual(await Promise.all([heard(), first(), first()]), [2, 2, 2]);
  await subscription.close();
});

test('while it is paused, nothing that was left is told', async () => {
  const { subscription, announce, heard } = subscribed();
  announce(1, 2);
  assert.equal(await heard(), 1);
  const told: number[] = [];
  const listen = () => subscription.on('NEWSA', ({ state }) => told.push(state.spi));
  subscription.pause();
  listen();
  await turn();
  subscription.resume();
  subscription.pause();
  await turn();
  assert.deepEqual(told, []);
  subscription.resume();
  await turn();
  assert.deepEqual(told, [2]);
  await subscription.close();
});

test('what others got, too, is not told again', async () => {
  const { subscription, announce, first } = subscribed();
  const all: number[] = [];
  subscription.on('NEWSA', ({ state }) => all.push(state.spi));
  const one = first();
  announce(1, 2, 3);
  assert.equal(await one, 1);
  const next = first();
  announce(4);
  assert.equal(await next, 4);
  assert.deepEqual(all, [1, 2, 3, 4]);
  await subscription.close();
});

test('a listener for other events gets nothing that was left', async () => {
  const { subscription, announce, heard, first } = subscribed();
  announce(1, 2);
  assert.equal(await heard(), 1);
  subscription.once('DELSA', () => assert.fail());
  await turn();
  subscription.removeAllListeners('DELSA');
  const next = first();
  announce(3);
  assert.equal(await next, 3);
  await subscription.close();
});

test('a monitor that a listener closes in a batch hears no more of it', async () => {
  const { kernel, announce } = quiet();
  const monitor = await XfrmMonitor.open({ netns: kernel as never, refreshInterval: 0 });
  const heard: string[] = [];
  monitor.on('event', (event) => {
    heard.push(event.kind);
    void monitor.close();
  });
  announce(1, 2, 3);
  await once(monitor, 'close');
  assert.deepEqual(heard, ['NEWSA']);
  assert.equal(monitor.states.size, 0);
});

/** Label, kind, and the SPI or how many SAs there are. */
type Change = { readonly label: string; readonly kind: string };

test('a label is reused after the last change of the namespace before', async () => {
  const [before, after] = [quiet(), quiet()];
  const monitors = await MultiNamespaceXfrmMonitor.open({
    namespaces: { blue: before.kernel as never },
    refreshInterval: 0,
  });
  const changes = monitors[Symbol.asyncIterator]();
  const next = async () => {
    const { value } = await changes.next();
    const { label, kind } = value as Change;
    return `${label} ${kind}${value && 'id' in value ? ` ${value.id.split(' ').at(-1)}` : ''}`;
  };
  assert.equal(await next(), 'blue synced');
  before.announce(1, 2);
  await monitors.get('blue')?.waitFor(({ states }) => states.size === 2);
  await monitors.remove('blue');
  // Never reached by the loop.
  await monitors.add('blue', quiet().kernel as never);
  await monitors.remove('blue');
  await monitors.add('blue', after.kernel as never);
  after.announce(3);
  await monitors.get('blue')?.waitFor(({ states }) => states.size === 1);
  after.announce(4);
  const told: string[] = [];
  while (told.at(-1) !== 'blue added 0x4') told.push(await next());
  assert.deepEqual(told, [
    ...['blue added 0x1', 'blue added 0x2', 'blue closed'],
    ...['blue synced', 'blue added 0x4'],
  ]);
  await monitors.close();
  assert.equal(await next(), 'blue closed');
  assert.equal((await changes.next()).done, true);
});
