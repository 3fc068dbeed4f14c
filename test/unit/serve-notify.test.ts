/** Messages to the service manager, read from a notification socket by another program. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { ServiceNotifier } from '../../lib/serve/notify.ts';
import { sendUnixDatagram } from '../../lib/socket/datagram.ts';

/** Binds a datagram socket, then prints each datagram it gets as JSON once a line says so. */
const MANAGER = `
import json, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
name = sys.argv[1]
s.bind('\\0' + name[1:] if name[0] == '@' else name)
print(json.dumps('bound'), flush=True)
for line in sys.stdin:
    print(json.dumps(s.recv(65536).decode()), flush=True)
`;

interface Manager {
  readonly socket: string;
  /** The next datagram. */
  next(): Promise<string>;
}

async function manager(t: TestContext, name?: string): Promise<Manager> {
  const folder = mkdtempSync(join(tmpdir(), 'netlink-xfrm-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const socket = name ?? join(folder, 'notify');
  const child = spawn('python3', ['-c', MANAGER, socket], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => child.kill());
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const read = async () => JSON.parse((await lines.next()).value ?? '"it has ended"');
  assert.equal(await read(), 'bound');
  return {
    socket,
    next() {
      child.stdin.write('\n');
      return read();
    },
  };
}

function notifier(t: TestContext, env: Record<string, string>): [ServiceNotifier, string[]] {
  const errors: string[] = [];
  const made = new ServiceNotifier({ env, onError: ({ message }) => errors.push(message) });
  t.after(() => made.close());
  return [made, errors];
}

test('ready, reloading, ready again, stopping; a status is one line', async (t) => {
  const { socket, next } = await manager(t);
  const [service, errors] = notifier(t, { NOTIFY_SOCKET: socket });
  service.ready('12 tunnels up,\n1 down');
  assert.equal(await next(), 'READY=1\nSTATUS=12 tunnels up, 1 down');
  const before = process.hrtime.bigint() / 1000n;
  service.reloading();
  const [reloading, clock] = (await next()).split('\n');
  assert.equal(reloading, 'RELOADING=1');
  const told = BigInt(/^MONOTONIC_USEC=(\d+)$/.exec(clock ?? '')?.[1] ?? 0);
  assert(told >= before && told <= process.hrtime.bigint() / 1000n);
  service.ready();
  assert.equal(await next(), 'READY=1');
  service.stopping('closing');
  assert.equal(await next(), 'STOPPING=1\nSTATUS=closing');
  assert.deepEqual(errors, []);
});

test('an abstract name of the socket', async (t) => {
  const { socket, next } = await manager(t, `@netlink-xfrm test ${process.pid}`);
  const [service] = notifier(t, { NOTIFY_SOCKET: socket });
  service.ready();
  assert.equal(await next(), 'READY=1');
});

test('only the latest of several statuses is sent, and none twice', async (t) => {
  const { socket, next } = await manager(t);
  const [service] = notifier(t, { NOTIFY_SOCKET: socket });
  t.mock.timers.enable({ apis: ['setTimeout'] });
  for (let i = 0; i < 1000; i++) service.status(`${i} tunnels`);
  t.mock.timers.tick(1000);
  assert.equal(await next(), 'STATUS=999 tunnels');
  service.status('999 tunnels');
  t.mock.timers.tick(1000);
  service.ready('999 tunnels');
  assert.equal(await next(), 'READY=1');
});

test('the watchdog is answered at half its period while the service is healthy', async (t) => {
  const { socket, next } = await manager(t);
  const env = { NOTIFY_SOCKET: socket, WATCHDOG_USEC: '20000000', WATCHDOG_PID: `${process.pid}` };
  const [service] = notifier(t, env);
  t.mock.timers.enable({ apis: ['setInterval', 'setTimeout'] });
  let healthy = true;
  service.watch(() => healthy);
  assert.equal(await next(), 'WATCHDOG=1');
  t.mock.timers.tick(9_999);
  service.ready();
  assert.equal(await next(), 'READY=1');
  t.mock.timers.tick(1);
  assert.equal(await next(), 'WATCHDOG=1');
  healthy = false;
  t.mock.timers.tick(60_000);
  healthy = true;
  t.mock.timers.tick(10_000);
  service.stopping();
  assert.equal(await next(), 'WATCHDOG=1');
  assert.equal(await next(), 'STOPPING=1');
});

test('a watchdog of another process, or an invalid one, is ignored', async (t) => {
  const { socket, next } = await manager(t);
  for (const [period, pid] of [
    ['20000000', '1'],
    ['0', `${process.pid}`],
    ['soon', `${process.pid}`],
    ['99999999999999', `${process.pid}`],
  ] as const) {
    const env = { NOTIFY_SOCKET: socket, WATCHDOG_USEC: period, WATCHDOG_PID: pid };
    const [service] = notifier(t, env);
    service.watch(() => true);
    service.ready(period);
    assert.equal(await next(), `READY=1\nSTATUS=${period}`);
  }
});

test('messages that did not fit into a full queue are sent later', async (t) => {
  const { socket, next } = await manager(t);
  const [service, errors] = notifier(t, { NOTIFY_SOCKET: socket });
  t.mock.timers.enable({ apis: ['setTimeout'] });
  // The kernel queues at least ten (net.unix.max_dgram_qlen).
  let queued = 0;
  const isFull = (error: { code: string }) => error.code === 'EAGAIN';
  assert.throws(() => {
    for (; queued < 100_000; queued++) sendUnixDatagram(socket, `${queued}`);
  }, isFull);
  service.reloading();
  service.ready('loaded');
  for (let i = 0; i < queued; i++) assert.equal(await next(), `${i}`);
  t.mock.timers.tick(100);
  // Of the two states the last counts.
  assert.equal(await next(), 'READY=1\nSTATUS=loaded');
  assert.deepEqual(errors, []);
});

test('a missing manager is reported once, and harmless', (t) => {
  for (const [socket, reason] of [
    ['/nonexistent/notify', /sendto ENOENT/],
    ['@netlink-xfrm nobody', /sendto ECONNREFUSED/],
    ['vsock:2:1234', /must begin with \/ or @; received 'vsock:2:1234'/],
    [`/${'x'.repeat(107)}`, /at most 107 bytes/],
    ['/a\0b', /must not contain a NUL/],
  ] as const) {
    const [service, errors] = notifier(t, { NOTIFY_SOCKET: socket, WATCHDOG_USEC: '1000000' });
    for (let i = 0; i < 3; i++) service.ready(`${i}`);
    service.watch(() => true);
    assert.equal(errors.length, 1);
    assert.match(errors[0] ?? '', reason);
  }
});

test('without a manager nothing is sent', (t) => {
  for (const env of [{}, { NOTIFY_SOCKET: '' }]) {
    const [service, errors] = notifier(t, { ...env, WATCHDOG_USEC: '1000000' });
    assert.equal(service.enabled, false);
    service.ready('x');
    service.status('x');
    service.reloading();
    service.watch(() => true);
    service.stopping();
    assert.deepEqual(errors, []);
  }
});
