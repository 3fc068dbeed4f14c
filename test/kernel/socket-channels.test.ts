// What the diagnostics channels and NETLINK_XFRM_DEBUG tell, and what they never tell.
import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { test } from 'node:test';
import { XfrmClient } from '../../lib/index.ts';
import { NetlinkSocket, type SocketMessageRecord, type TracedMessage } from '../../lib/socket.ts';
import {
  addressRequest,
  IPV4_ADDRESSES,
  NETLINK_ROUTE,
  NETLINK_XFRM,
  nextBatch,
  runScript,
} from './socket-support.ts';

/** Listens to the channels while `act` runs. */
async function recorded(act: () => Promise<unknown>): Promise<[string, Record<string, unknown>][]> {
  const records: [string, Record<string, unknown>][] = [];
  const kinds = ['open', 'close', 'message', 'overrun'];
  const listeners = kinds.map((kind) => (record: unknown) => {
    records.push([kind, record as Record<string, unknown>]);
  });
  for (const [i, kind] of kinds.entries()) {
    subscribe(`netlink-xfrm:${kind}`, listeners[i] as () => void);
  }
  try {
    await act();
  } finally {
    for (const [i, kind] of kinds.entries()) {
      unsubscribe(`netlink-xfrm:${kind}`, listeners[i] as () => void);
    }
  }
  return records;
}

test('the life of a socket is traced message by message', async () => {
  const records = await recorded(async () => {
    await using socket = new NetlinkSocket({ protocol: NETLINK_ROUTE });
    socket.bind({ groups: IPV4_ADDRESSES });
    const heard = nextBatch(socket, () => true);
    socket.send(addressRequest(1));
    await heard;
  });
  const [opened, sent, received, closed] = records;
  assert.deepEqual(
    records.map(([kind]) => kind),
    ['open', 'message', 'message', 'close'],
  );
  assert.equal(opened?.[1].protocol, NETLINK_ROUTE);
  assert.equal(closed?.[1].socket, opened?.[1].socket);
  const [request, event] = [sent?.[1], received?.[1]] as unknown as SocketMessageRecord[];
  assert.deepEqual([request?.direction, request?.peer, request?.length], ['sent', 0, 32]);
  assert.equal(event?.direction, 'received');
  const [message] = (request?.messages ?? []) as TracedMessage[];
  assert.equal(message?.name, 'RTM_NEWADDR');
  assert.deepEqual(message?.attributes, [{ type: 2, name: undefined, length: 4, hex: '7f010001' }]);
});

test('a subscriber may close the socket: its listener is not called any more', async () => {
  await using socket = new NetlinkSocket({ protocol: NETLINK_ROUTE });
  socket.bind({ groups: IPV4_ADDRESSES });
  let heard = 0;
  socket.receive(() => {
    heard++;
  });
  const closed = new Promise<void>((resolve) => {
    const close = (record: unknown) => {
      if ((record as SocketMessageRecord).direction !== 'received') return;
      unsubscribe('netlink-xfrm:message', close);
      socket.close().then(resolve);
    };
    subscribe('netlink-xfrm:message', close);
  });
  socket.send(addressRequest(2));
  await closed;
  assert.equal(heard, 0);
});

test('an overrun is traced', async () => {
  const records = await recorded(async () => {
    await using socket = new NetlinkSocket({ protocol: NETLINK_ROUTE });
    await using requests = new NetlinkSocket({ protocol: NETLINK_ROUTE });
    socket.bind({ groups: IPV4_ADDRESSES });
    socket.setReceiveBufferSize(4096);
    for (let i = 0; i < 50; i++) requests.send(addressRequest(i));
    await nextBatch(socket, (batch) => batch.lost);
  });
  const [overrun] = records.filter(([kind]) => kind === 'overrun');
  assert.equal(overrun?.[1].code, 'ENOBUFS');
});

test('no trace record contains a key', async () => {
  const key = new Uint8Array(20).fill(0xa7);
  const records = await recorded(async () => {
    await using events = new NetlinkSocket({ protocol: NETLINK_XFRM });
    events.bind({ groups: 4 });
    events.receive(() => {});
    await using client = new XfrmClient();
    const request = client.addState({
      saddr: '192.0.2.1',
      daddr: '192.0.2.2',
      spi: 0x7a,
      proto: 'esp',
      mode: 'tunnel',
      aead: { name: 'rfc4106(gcm(aes))', keyBits: 160, icvBits: 128, key },
    });
    // Where the kernel has no ESP, it refuses.
    await request.catch(() => undefined);
    await client.flushStates().catch(() => undefined);
  });
  const sent = records.filter(([, record]) => record.direction === 'sent');
  const [add] = (sent[0]?.[1].messages ?? []) as TracedMessage[];
  assert.equal(add?.name, 'XFRM_MSG_NEWSA');
  const aead = add?.attributes?.find(({ name }) => name === 'XFRMA_ALG_AEAD');
  assert.deepEqual([aead?.length, aead?.hex], [64 + 4 + 4 + 20, undefined]);
  assert.doesNotMatch(JSON.stringify(records), /a7a7/);
});

test('NETLINK_XFRM_DEBUG writes lines to standard error; without it nothing is written', async () => {
  const index = new URL('../../lib/socket.js', import.meta.url).href;
  const script = `
    const { NetlinkSocket } = await import(${JSON.stringify(index)});
    const socket = new NetlinkSocket({ protocol: 0 });
    socket.bind();
    socket.receive(() => socket.close());
    const request = support.addressRequest(1);
    request[4] = 0xff;
    request[5] = 0x70;
    socket.send(request);`;
  const quiet = await runScript(script);
  assert.equal(quiet.stderr, '');
  const { stderr } = await runScript(script, { command: ['env', 'NETLINK_XFRM_DEBUG=1'] });
  const lines = stderr.trimEnd().split('\n');
  assert.equal(lines.length, 4, stderr);
  assert.match(lines[0] ?? '', /^netlink-xfrm: socket 1 protocol 0 open$/);
  assert.match(lines[1] ?? '', /message sent to kernel 32 bytes: type 28927 len 32 flags 0x501/);
  assert.match(lines[2] ?? '', /received from kernel \d+ bytes: NLMSG_ERROR .* ENOTSUP$/);
  assert.match(lines[3] ?? '', /^netlink-xfrm: socket 1 protocol 0 close$/);
});
