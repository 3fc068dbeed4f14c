// Closing, exits, workers, garbage collection: nothing crashes, hangs or leaks.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { NetlinkSocket } from '../../lib/socket/index.ts';
import {
  addressRequest,
  IPV4_ADDRESSES,
  NETLINK_ROUTE,
  NETLINK_XFRM,
  openSockets,
  runScript,
  turns,
} from './socket-support.ts';

function listening(): NetlinkSocket {
  const socket = new NetlinkSocket({ protocol: NETLINK_ROUTE });
  socket.bind({ groups: IPV4_ADDRESSES });
  return socket;
}

test('close() is one promise, fulfilled when the descriptor is gone', async () => {
  const before = openSockets();
  const socket = listening();
  assert.equal(socket.closed, false);
  assert.equal(openSockets(), before + 1);
  const closing = socket.close();
  assert.equal(socket.closed, true);
  assert.equal(socket.close(), closing);
  assert.equal(socket[Symbol.asyncDispose](), closing);
  await closing;
  assert.equal(openSockets(), before);
  assert.equal(socket.close(), closing);
});

test('close in the listener, with datagrams still queued, ends the calls', async () => {
  const socket = listening();
  await using requests = new NetlinkSocket({ protocol: NETLINK_ROUTE });
  for (let i = 0; i < 100; i++) requests.send(addressRequest(i));
  const counts: number[] = [];
  await new Promise<void>((resolve) => {
    socket.receive((batch) => {
      counts.push(batch.count);
      resolve(socket.close());
      socket.pause().resume().ref().unref();
    });
  });
  await turns();
  assert.deepEqual(counts, [64]);
  assert.equal(socket.overruns, 0);
});

test('close before the first read drops what is queued', async () => {
  const socket = listening();
  socket.send(addressRequest(1));
  socket.receive(() => assert.fail('called after close'));
  await socket.close();
  await turns();
  assert.equal(socket.rejected, 0);
});

test('closing another socket in the listener is safe, also one that is ready too', async () => {
  const sockets = Array.from({ length: 10 }, listening);
  let calls = 0;
  const closings: Promise<void>[] = [];
  await new Promise<void>((resolve) => {
    for (const socket of sockets) {
      socket.receive(() => {
        calls++;
        for (const other of sockets) closings.push(other.close());
        resolve();
      });
    }
    sockets[0]?.send(addressRequest(1));
  });
  await Promise.all(closings);
  assert.equal(calls, 1);
});

test('every method that needs the socket reports that it is closed', async () => {
  const socket = listening();
  await socket.close();
  const uses: Record<string, () => unknown> = {
    bind: () => socket.bind(),
    address: () => socket.address,
    portId: () => socket.portId,
    joinGroup: () => socket.joinGroup(1),
    leaveGroup: () => socket.leaveGroup(1),
    setReceiveBufferSize: () => socket.setReceiveBufferSize(4096),
    receiveBufferSize: () => socket.receiveBufferSize,
    setOption: () => socket.setOption('extAck', true),
    send: () => socket.send(new Uint8Array(16)),
    receive: () => socket.receive(() => {}),
    connect: () => socket.connect(),
    disconnect: () => socket.disconnect(),
    peer: () => socket.peer,
    memberships: () => socket.memberships,
    getOption: () => socket.getOption('extAck'),
    setSendBufferSize: () => socket.setSendBufferSize(4096),
    sendBufferSize: () => socket.sendBufferSize,
    attachFilter: () => socket.attachFilter([{ code: 6, k: 0 }]),
    detachFilter: () => socket.detachFilter(),
  };
  for (const [name, use] of Object.entries(uses)) {
    assert.throws(use, { name: 'StateError', code: 'ERR_SOCKET_CLOSED' }, name);
  }
});

test('a signal closes the socket, at once if it was aborted before', async () => {
  const before = openSockets();
  const reason = new Error('enough');
  assert.throws(
    () => new NetlinkSocket({ protocol: NETLINK_ROUTE, signal: AbortSignal.abort(reason) }),
    reason,
  );
  assert.equal(openSockets(), before, 'nothing was opened');
  const controller = new AbortController();
  const { signal } = controller;
  const socket = new NetlinkSocket({ protocol: NETLINK_ROUTE, signal });
  socket.bind({ groups: IPV4_ADDRESSES });
  socket.receive(() => assert.fail('called after the abort'));
  socket.send(addressRequest(1));
  controller.abort();
  assert.equal(socket.closed, true);
  await socket.close();
  assert.equal(openSockets(), before);
});

test('a signal neither retains unused sockets nor is retained by closed ones', async () => {
  const script = `
    import { getEventListeners } from 'node:events';
    const { signal } = new AbortController();
    const before = support.openSockets();
    (function () {
      for (let i = 0; i < 100; i++) new lib.NetlinkSocket({ protocol: 0, signal });
    })();
    for (let i = 0; i < 20 && support.openSockets() > before; i++) {
      gc();
      await support.turns();
    }
    console.log(support.openSockets() - before);
    const listening = getEventListeners(signal, 'abort').length;
    for (let i = 0; i < 100; i++) await new lib.NetlinkSocket({ protocol: 0, signal }).close();
    console.log(getEventListeners(signal, 'abort').length - listening);`;
  const { stdout, stderr } = await runScript(script, { flags: ['--expose-gc'] });
  assert.equal(stdout, '0\n0\n', stderr);
});

test('a second listener is rejected', async () => {
  await using socket = listening();
  socket.receive(() => {});
  assert.throws(() => socket.receive(() => {}), { code: 'ERR_SOCKET_RECEIVING' });
});

test('2000 sockets opened and closed leave no descriptor behind', async () => {
  const before = openSockets();
  for (let round = 0; round < 4; round++) {
    const sockets = Array.from({ length: 500 }, listening);
    for (const socket of sockets) if (socket.portId % 2 === 0) socket.receive(() => {});
    assert.equal(openSockets(), before + 500);
    await Promise.all(sockets.map((socket) => socket.close()));
  }
  assert.equal(openSockets(), before);
});

test('a failed open leaves no descriptor behind', () => {
  const before = openSockets();
  for (let i = 0; i < 50; i++) {
    assert.throws(() => new NetlinkSocket({ protocol: 1 }), { code: 'EPROTONOSUPPORT' });
  }
  assert.equal(openSockets(), before);
});

test('thousands of sockets cost no receive memory of their own', async () => {
  const before = process.memoryUsage().rss;
  const sockets = Array.from({ length: 500 }, listening);
  for (const socket of sockets) socket.receive(() => {});
  const each = (process.memoryUsage().rss - before) / sockets.length;
  await Promise.all(sockets.map((socket) => socket.close()));
  assert.ok(each < 32_768, `${each} bytes a socket`);
});

test('sockets that are unreachable and idle are closed by the garbage collector', async () => {
  const script = `
    const before = support.openSockets();
    let kept;
    (function () {
      for (let i = 0; i < 200; i++) {
        const socket = new lib.NetlinkSocket({ protocol: 0 });
        if (i % 4 === 1) { socket.receive(() => socket.portId); socket.pause(); }
        if (i % 4 === 2) socket.unref();
      }
      // Receiving: unreachable for JavaScript, but somebody listens.
      const listening = new lib.NetlinkSocket({ protocol: 0 });
      listening.bind({ groups: support.IPV4_ADDRESSES });
      listening.receive(() => { console.log('heard'); listening.close(); });
    })();
    const opened = support.openSockets() - before;
    for (let i = 0; i < 20 && support.openSockets() > before + 1; i++) {
      gc();
      await support.turns();
    }
    console.log(opened, support.openSockets() - before);
    new lib.NetlinkSocket({ protocol: 0 }).send(support.addressRequest(1));`;
  const { stdout, stderr, code } = await runScript(script, { flags: ['--expose-gc'] });
  assert.equal(stdout, '201 1\nheard\n', stderr);
  assert.equal(code, 0);
});

const exits: Record<string, { script: string; code: number; stdout: string }> = {
  'an open socket that does not receive does not keep the process': {
    script: `globalThis.socket = new lib.NetlinkSocket({ protocol: 0 }); socket.bind();`,
    code: 0,
    stdout: '',
  },
  'nor does one that receives after unref()': {
    script: `const socket = new lib.NetlinkSocket({ protocol: 0 });
      socket.receive(() => {}); socket.unref();`,
    code: 0,
    stdout: '',
  },
  'nor one that is paused': {
    script: `const socket = new lib.NetlinkSocket({ protocol: 0 }).unref().ref();
      socket.receive(() => {}); socket.pause();`,
    code: 0,
    stdout: '',
  },
  'process.exit() in the listener': {
    script: `const socket = new lib.NetlinkSocket({ protocol: 0 });
      socket.bind({ groups: support.IPV4_ADDRESSES });
      socket.receive(() => { console.log('heard'); process.exit(7); });
      socket.send(support.addressRequest(1));`,
    code: 7,
    stdout: 'heard\n',
  },
  'process.exit() while closing': {
    script: `const socket = new lib.NetlinkSocket({ protocol: 0 });
      socket.receive(() => {}); socket.close(); process.exit(8);`,
    code: 8,
    stdout: '',
  },
  'close() and nothing else to do': {
    script: `const socket = new lib.NetlinkSocket({ protocol: 0 });
      socket.receive(() => {}); socket.close().then(() => console.log('closed'));`,
    code: 0,
    stdout: 'closed\n',
  },
};

for (const [name, { script, code, stdout }] of Object.entries(exits)) {
  test(`exit: ${name}`, async () => {
    const ended = await runScript(script);
    assert.deepEqual([ended.stdout, ended.code, ended.signal], [stdout, code, null], ended.stderr);
  });
}

test('a socket that receives keeps the process alive until it is closed', async () => {
  await using requests = new NetlinkSocket({ protocol: NETLINK_ROUTE });
  const ended = await runScript(
    `const socket = new lib.NetlinkSocket({ protocol: 0 });
     socket.bind({ groups: support.IPV4_ADDRESSES });
     socket.receive(() => { console.log('heard'); socket.close(); });
     console.log('ready');`,
    { onLine: (line) => line === 'ready' && requests.send(addressRequest(77)) },
  );
  assert.deepEqual([ended.stdout, ended.code], ['ready\nheard\n', 0], ended.stderr);
});

test('workers are terminated with sockets in every state and events flowing', async () => {
  const before = openSockets();
  const file = new URL('./socket-worker.js', import.meta.url);
  let flowed = 0;
  for (let round = 0; round < 13; round++) {
    const workers = Array.from(
      { length: 4 },
      (_, i) => new Worker(file, { workerData: 2000 + round * 4 + i }),
    );
    await Promise.all(
      workers.map(async (worker, i) => {
        worker.on('error', (error) => assert.fail(error));
        const exited = once(worker, 'exit');
        // At different moments: while starting, while opening, while receiving.
        if (i === 0) await once(worker, 'online');
        else if (i === 1) await turns(round * 40);
        else {
          await Promise.race([once(worker, 'message').then(() => flowed++), exited]);
          await turns(round);
        }
        await worker.terminate();
        await exited;
      }),
    );
  }
  assert.ok(flowed >= 13, `${flowed} workers were receiving when they ended`);
  assert.equal(openSockets(), before);
});

test('a worker is terminated in the middle of a call, and the process continues', async () => {
  const file = new URL('./socket-busy-worker.js', import.meta.url).href;
  const { code, signal, stderr } = await runScript(
    `const { Worker } = await import('node:worker_threads');
     for (let i = 0; i < 30; i++) {
       const worker = new Worker(new URL(${JSON.stringify(file)}), { execArgv: [] });
       await new Promise((resolve) => worker.once('message', resolve));
       await support.turns(i);
       await worker.terminate();
     }`,
    { command: ['sh', '-c', 'ulimit -c 0; exec "$@"', 'sh'] },
  );
  assert.deepEqual([code, signal], [0, null], stderr);
});

test('the main thread keeps receiving while workers start and end', async () => {
  await using events = new NetlinkSocket({ protocol: NETLINK_XFRM });
  events.bind({ groups: 8 });
  events.unref();
  events.receive(() => {});
  const worker = new Worker(new URL('./socket-worker.js', import.meta.url), { workerData: 3000 });
  await once(worker, 'message');
  await worker.terminate();
  await using mine = listening();
  const heard = new Promise<number>((resolve) => mine.receive((batch) => resolve(batch.count)));
  mine.send(addressRequest(3001));
  assert.ok((await heard) >= 1);
});
