/** The conversation with the kernel, for protocols without a client of their own, on a fake kernel. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  NETLINK_GENERIC,
  NETLINK_XFRM,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_REQUEST,
  XFRM_MSG_GETDEFAULT,
  XFRM_MSG_GETPOLICY,
  XFRM_MSG_GETSA,
  XFRM_MSG_GETSADINFO,
  XFRM_MSG_NEWSADINFO,
  XFRMNLGRP_SA,
} from '../../lib/constants.ts';
import { XfrmClient, XfrmMonitor, type XfrmState } from '../../lib/index.ts';
import { Connection } from '../../lib/netlink/connection.ts';
import {
  type AttributeWriter,
  type FakeAnswer,
  FakeKernel,
  MessageWriter,
  NetlinkConnection,
  type NetlinkMessage,
  NetlinkSocket,
  readMessages,
} from '../../lib/socket.ts';
import { attributes } from '../../lib/xfrm/attributes.ts';
import { encodeXfrm } from '../../lib/xfrm.ts';

const NAMES = {
  1: 'FAMILY_ID',
  2: 'FAMILY_NAME',
  6: { name: 'OPS', inside: { 1: { name: '#1', inside: { 1: 'OP_ID' } } } },
};
const REQUEST = {
  type: 16,
  name: 'CTRL_CMD_GETFAMILY',
  header: Uint8Array.of(3, 1, 0, 0),
  attributeNames: NAMES,
} as const;

/** A connection whose kernel gives this answer to everything. */
function connected(answer: FakeAnswer) {
  const kernel = new FakeKernel().answer(NETLINK_GENERIC, () => answer);
  return { kernel, connection: new NetlinkConnection(NETLINK_GENERIC, { netns: kernel }) };
}

const reply = (id: number) => ({
  type: 16,
  header: Uint8Array.of(1, 2, 0, 0),
  attributes: (write: AttributeWriter) => write.u16(1, id),
});

async function all(dump: AsyncGenerator<NetlinkMessage, { interrupted: boolean }>) {
  const ids: (number | undefined)[] = [];
  let next = await dump.next();
  for (; !next.done; next = await dump.next()) ids.push(next.value.attributes(4).get(1)?.u16());
  return { ids, ...next.value };
}

test('a request is sent as specified, and answered with messages and the warning of its ack', async () => {
  const { kernel, connection } = connected({ messages: [reply(28)], warning: 'as you wish' });
  await using _ = connection;
  const { replies, warning } = await connection.request({
    ...REQUEST,
    attributes: (write) => write.string(2, 'nl80211'),
  });
  assert.equal(warning, 'as you wish');
  assert.deepEqual(
    replies.map((one) => [one.type, one.payload[0], one.attributes(4).get(1)?.u16()]),
    [[16, 1, 28]],
  );
  const [request] = kernel.requests;
  assert.equal(request?.flags, NLM_F_REQUEST | NLM_F_ACK);
  assert.equal(request?.attributes(4).get(2)?.string(), 'nl80211');
  assert.deepEqual(request?.payload.subarray(0, 4), REQUEST.header);
});

test('a dump reports whether it was interrupted', async () => {
  for (const interrupted of [false, true]) {
    const messages = Array.from({ length: 200 }, (_, id) => reply(id));
    const { kernel, connection } = connected({ messages, interrupted });
    await using _ = connection;
    const { ids, ...end } = await all(connection.dump(REQUEST));
    assert.deepEqual(ids, [...ids.keys()]);
    assert.equal(ids.length, 200);
    assert.deepEqual(end, { interrupted });
    assert.equal(kernel.requests[0]?.flags, NLM_F_REQUEST | NLM_F_ACK | NLM_F_DUMP);
  }
});

test('leaving the loop of a dump closes its socket', async () => {
  const { kernel, connection } = connected({ messages: [reply(1), reply(2)] });
  for await (const message of connection.dump(REQUEST)) {
    assert.equal(message.attributes(4).get(1)?.u16(), 1);
    assert.equal(kernel.openSockets, 1);
    break;
  }
  assert.equal(kernel.openSockets, 0);
  await connection.close();
});

test('an error has the kernel’s message and attribute names', async () => {
  const message = 'no such family';
  const { connection } = connected({
    // After 16 bytes of netlink’s header, 4 of generic netlink’s, and the attribute 2 (8 bytes).
    refusal: { code: 'ENOENT', message, offset: 28, missingType: 1 },
  });
  await using _ = connection;
  const asked = connection.request({
    ...REQUEST,
    attributes: (write) =>
      write.string(2, 'abc').nest(6, (ops) => ops.nest(1, (op) => op.u32(1, 7))),
  });
  await assert.rejects(asked, {
    name: 'KernelError',
    code: 'ENOENT',
    request: 'CTRL_CMD_GETFAMILY',
    kernelMessage: message,
    attribute: 'OPS',
    missing: 'FAMILY_ID',
  });
});

test('the rejected attribute is named with its parents', async () => {
  const { connection } = connected({ refusal: { code: 'EINVAL', offset: 36 } });
  await using _ = connection;
  const asked = connection.request({
    ...REQUEST,
    attributes: (write) =>
      write.string(2, 'abc').nest(6, (ops) => ops.nest(1, (op) => op.u32(1, 7))),
  });
  await assert.rejects(asked, { path: ['OPS', '#1', 'OP_ID'] });
});

test('a lost answer, a timeout, a signal and closing end requests and dumps', async () => {
  for (const start of ['request', 'dump'] as const) {
    const ask = (connection: NetlinkConnection, options = {}) =>
      start === 'request'
        ? connection.request(REQUEST, options)
        : all(connection.dump(REQUEST, options));
    const lost = connected({ messages: [], end: 'lost' });
    await assert.rejects(ask(lost.connection), { name: 'KernelError', code: 'ENOBUFS' });
    const silent = connected({ end: 'silent' });
    await assert.rejects(ask(silent.connection, { timeout: 1 }), { code: 'ETIMEDOUT' });
    const controller = new AbortController();
    const asked = ask(silent.connection, { signal: controller.signal });
    const reason = new Error('enough');
    controller.abort(reason);
    await assert.rejects(asked, reason);
    const last = assert.rejects(ask(silent.connection), { code: 'ERR_SOCKET_CLOSED' });
    await silent.connection.close();
    await last;
    await assert.rejects(ask(silent.connection), { code: 'ERR_SOCKET_CLOSED' });
    await lost.connection.close();
    assert.equal(silent.kernel.openSockets + lost.kernel.openSockets, 0);
  }
});

test('a dump of which nothing is wanted takes as long as it takes', async () => {
  const messages = new Array(2000).fill(reply(1));
  const kernel = new FakeKernel().answer(NETLINK_GENERIC, () => ({ messages }));
  const connection = new Connection(NETLINK_GENERIC, { netns: kernel });
  const request: Parameters<Connection['dump']>[0] = {
    name: REQUEST.name,
    fixed: 0,
    attributes,
    write(writer, { flags, seq }) {
      writer.endMessage(writer.beginMessage({ type: REQUEST.type, flags, seq, portId: 0 }));
    },
  };
  const rest = new Int32Array(new SharedArrayBuffer(4));
  let seen = 0;
  const unwanted = () => {
    Atomics.wait(rest, 0, 0, 0.1);
    seen++;
    return undefined;
  };
  for await (const _ of connection.dump(request, unwanted, { timeout: 20 }))
    assert.fail('nothing is wanted');
  assert.equal(seen, messages.length);
  await connection.close();
});

test('events that are lost in the middle of a dump end it: what was listed is not all', async () => {
  const { connection } = connected({ messages: [reply(1), reply(2)], end: 'lost' });
  await using _ = connection;
  await assert.rejects(all(connection.dump(REQUEST)), { code: 'ENOBUFS' });
});

test('an error number of either sign is the same error', async () => {
  const header = new Uint8Array(20);
  new DataView(header.buffer).setInt32(0, 2, true);
  const { connection } = connected({ messages: [{ type: 2, header }], end: 'silent' });
  await using _ = connection;
  await assert.rejects(connection.request(REQUEST), { code: 'ENOENT', errno: -2 });
});

test('a malformed answer is a DecodeError', async () => {
  const attributes = Uint8Array.of(1, 2, 0, 0, 200, 0, 1, 0);
  const { connection } = connected({ messages: [{ type: 16, header: attributes }] });
  await using _ = connection;
  const { replies } = await connection.request(REQUEST);
  assert.throws(() => replies[0]?.attributes(4), {
    name: 'DecodeError',
    reason: 'attribute 1 has length 200, but 4 bytes are left',
    offset: 20,
  });
  assert.throws(() => replies[0]?.attributes(12), /needs 12 bytes, has 8/);
});

test('invalid arguments are rejected by name, before anything is sent', async () => {
  const { kernel, connection } = connected({});
  await using _ = connection;
  for (const [request, message] of [
    [undefined, /^request must be an object/],
    [{}, /^request\.type must be a number/],
    [{ type: 70_000 }, /^request\.type must be an integer from 0 to 65535/],
    [{ type: 16, flags: -1 }, /^request\.flags/],
    [{ type: 16, header: [1] }, /^request\.header must be a Uint8Array/],
    [{ type: 16, attributes: [] }, /^request\.attributes must be a function/],
    [{ type: 16, headers: 1 }, /^unknown option request\.headers/],
    [{ type: 16, attributeNames: 1 }, /^request\.attributeNames/],
  ] as [never, RegExp][]) {
    await assert.rejects(connection.request(request), { message });
    assert.throws(() => connection.dump(request), { message });
  }
  const attributes = (write: AttributeWriter) => write.u16(1, 70_000);
  await assert.rejects(connection.request({ ...REQUEST, attributes }), {
    name: 'EncodeError',
    path: ['FAMILY_ID'],
  });
  assert.throws(() => new NetlinkConnection(99), /^RangeError: protocol must be/);
  assert.deepEqual(kernel.requests, []);
});

test("an error thrown by a fake kernel's handler rejects the request", async () => {
  const failure = new assert.AssertionError({ message: 'not this' });
  const kernel = new FakeKernel().answer(NETLINK_GENERIC, () => {
    throw failure;
  });
  await using connection = new NetlinkConnection(NETLINK_GENERIC, { netns: kernel });
  await assert.rejects(connection.request(REQUEST), failure);
  await using other = new NetlinkConnection(NETLINK_XFRM, { netns: kernel });
  await assert.rejects(other.request(REQUEST), { code: 'ENOTSUP' });
});

test('a socket on a fake kernel has groups, a port id and a buffer', async () => {
  const kernel = new FakeKernel();
  await using socket = new NetlinkSocket({ protocol: NETLINK_GENERIC, netns: kernel });
  assert.equal(socket.portId, 0);
  socket.bind({ groups: 0b101 });
  socket.joinGroup(40);
  socket.leaveGroup(1);
  assert.deepEqual(socket.memberships, [3, 40]);
  assert(socket.portId > 0);
  assert.equal(socket.setReceiveBufferSize(1000), 2000);
  socket.setOption('extAck', true);
  assert(socket.getOption('extAck'));
  assert.deepEqual(socket.queue, { bytes: 0, drops: 0 });

  const heard: (number | string | undefined)[] = [];
  const read = new Promise<void>((resolve) => {
    socket.receive((batch) => {
      if (batch.lost) heard.push(batch.lost);
      for (let i = 0; i < batch.count; i++) {
        for (const message of readMessages(batch.copy(i))) heard.push(message.type);
        if (batch.length(i) === 16) resolve();
      }
    });
  });
  assert.equal(kernel.multicast(NETLINK_GENERIC, 1, { type: 20 }), 0);
  assert.equal(kernel.multicast(NETLINK_GENERIC, 40, { type: 21 }, { type: 22 }), 1);
  kernel.overrun(NETLINK_GENERIC);
  assert.equal(kernel.multicast(NETLINK_GENERIC, 3, { type: 23 }), 1);
  assert.deepEqual(socket.queue, { bytes: 48, drops: 1 });
  await read;
  assert.deepEqual(heard, ['ENOBUFS', 21, 22, 23]);
});

/** An SA as the kernel sends it. */
function newSa(spi: number): Uint8Array {
  const writer = new MessageWriter();
  const state = { saddr: '192.0.2.1', daddr: '192.0.2.2', proto: 'esp', spi } as const;
  encodeXfrm(writer, { kind: 'NEWSA', state: state as unknown as XfrmState });
  return writer.written().slice();
}

test('XfrmClient on a fake kernel', async () => {
  const kernel = new FakeKernel().answer(NETLINK_XFRM, ({ type }) =>
    type === XFRM_MSG_GETSA ? { messages: [newSa(1), newSa(2)] } : { refusal: { code: 'EPERM' } },
  );
  await using client = new XfrmClient({ netns: kernel });
  const spis: number[] = [];
  for await (const { spi } of client.listStates()) spis.push(spi);
  assert.deepEqual(spis, [1, 2]);
  await assert.rejects(client.flushStates('esp'), { code: 'EPERM' });
});

test('XfrmMonitor on a fake kernel receives an event, and resyncs after a loss', async () => {
  let states = [newSa(1)];
  const kernel = new FakeKernel().answer(NETLINK_XFRM, ({ type }) => {
    if (type === XFRM_MSG_GETSA) return { messages: states };
    if (type === XFRM_MSG_GETPOLICY) return {};
    // As before Linux 5.15.
    if (type === XFRM_MSG_GETDEFAULT) return { refusal: { code: 'EINVAL' } };
    assert.equal(type, XFRM_MSG_GETSADINFO);
    return { messages: [{ type: XFRM_MSG_NEWSADINFO, header: new Uint8Array(4) }] };
  });
  await using monitor = await XfrmMonitor.open({ netns: kernel });
  const spis = () => Array.from(monitor.states, ({ value }) => value.spi).sort();
  assert.deepEqual(spis(), [1]);
  kernel.multicast(NETLINK_XFRM, XFRMNLGRP_SA, newSa(2));
  await monitor.waitFor(() => monitor.states.size === 2);
  assert.deepEqual(spis(), [1, 2]);
  states = [newSa(3)];
  kernel.overrun(NETLINK_XFRM);
  await monitor.waitFor(() => monitor.states.size === 1);
  assert.deepEqual(spis(), [3]);
});

test('an interrupted dump is repeated, at most five times', async () => {
  for (const times of [0, 2, 9]) {
    let asked = 0;
    const kernel = new FakeKernel().answer(NETLINK_GENERIC, () => ({
      messages: [reply(1), reply(2)],
      interrupted: asked++ < times,
    }));
    await using connection = new NetlinkConnection(NETLINK_GENERIC, { netns: kernel });
    const { items, interrupted } = await connection.dump(REQUEST);
    assert.equal(items.length, 2);
    assert.equal(asked, Math.min(times + 1, 5));
    assert.equal(interrupted, times === 9);
  }
});

test('attributes written too late do not end up in another request', async () => {
  const kernel = new FakeKernel();
  kernel.answer(NETLINK_GENERIC, () => ({}));
  await using connection = new NetlinkConnection(NETLINK_GENERIC, { netns: kernel });
  let kept: AttributeWriter | undefined;
  const keep = (write: AttributeWriter) => {
    kept = write;
  };
  await connection.request({ type: 16, attributes: keep });
  assert.throws(() => kept?.u8(1, 1), { name: 'EncodeError', message: /after its function/ });
  await assert.rejects(connection.request({ type: 16, attributes: async () => {} }), {
    name: 'EncodeError',
    message: /synchronous function/,
  });
  await connection.request({ type: 16 });
  assert.equal(kernel.requests.at(-1)?.payload.length, 0);
});

test("a mistake in a fake kernel's answer is named", async () => {
  const cases: [unknown, RegExp][] = [
    ['done', /^answer must be an object/],
    [{ mesages: [] }, /^unknown option answer\.mesages; valid options: messages/],
    [Promise.resolve({}), /^answer must be an object, given at once/],
    [{ messages: 5 }, /^answer\.messages must be an array/],
    [{ messages: [null] }, /^message must be an object/],
    [{ messages: [{ type: 'x' }] }, /^message\.type must be a number/],
    [{ messages: [{ type: 16, header: 'x' }] }, /^message\.header must be a Uint8Array/],
    [{ refusal: 'ESRCH' }, /^answer\.refusal must be an object/],
    [{ refusal: { code: 'ENOPE' } }, /^ENOPE is not an error code/],
    [{ end: 'x' }, /^answer\.end must be "lost" or "silent"/],
  ];
  for (const [answer, message] of cases) {
    const kernel = new FakeKernel().answer(NETLINK_GENERIC, () => answer as FakeAnswer);
    await using connection = new NetlinkConnection(NETLINK_GENERIC, { netns: kernel });
    await assert.rejects(connection.request({ type: 16 }), { name: 'TypeError', message });
  }
});

test("a request that cannot be sent has the caller's stack", async () => {
  const tooLong = async function sendsTooMuch() {
    const fill = (write: AttributeWriter) => {
      for (let i = 0; i < 10; i++) write.bytes(1, new Uint8Array(60_000));
    };
    await using connection = new NetlinkConnection(NETLINK_GENERIC);
    const error = await connection.request({ type: 16, attributes: fill }).catch((e: Error) => e);
    return error as NodeJS.ErrnoException;
  };
  const { code, stack = '' } = await tooLong();
  assert.equal(code, 'EMSGSIZE');
  assert.match(stack, /sendsTooMuch/);
});
