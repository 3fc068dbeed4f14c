/**
 * TunnelMonitor in a process that does not run for a while, in the middle of what happens to a tunnel: busy, or
 * stopped. Timers that are late are served before what waits in the socket is read.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { setTimeout as pause, setImmediate as turn } from 'node:timers/promises';
import { type TunnelChange, TunnelMonitor, type TunnelMonitorOptions } from '../../lib/index.ts';
import { env, program, start } from './command.ts';
import { GCM, ip, ipBatch, withoutEsp, words } from './support.ts';
import { addHere, addPolicies, deleteHere, FAR, flush, HERE } from './tunnel-peers.ts';

interface Spis {
  readonly out: number;
  readonly in: number;
}
type Step = (old: Spis, young: Spis) => string;

const ends = { out: `src ${HERE} dst ${FAR}`, in: `src ${FAR} dst ${HERE}` };
const add = (direction: 'in' | 'out', spi: number) =>
  `xfrm state add ${ends[direction]} proto esp spi ${spi} reqid 7 mode tunnel ${GCM.join(' ')}`;
const remove = (direction: 'in' | 'out', spi: number) =>
  `xfrm state delete ${ends[direction]} proto esp spi ${spi}`;
const come: Step[] = [(_, { in: spi }) => add('in', spi), (_, { out }) => add('out', out)];
const go: Step[] = [({ out }) => remove('out', out), ({ in: spi }) => remove('in', spi)];
const REKEYS = { 'make before break': [...come, ...go], 'break before make': [...go, ...come] };

const numbered = (n: number): Spis => ({ out: 0x1000 + n, in: 0x2000 + n });
const sleeper = new Int32Array(new SharedArrayBuffer(4));
/** The event loop stands still. */
const block = (milliseconds: number) => Atomics.wait(sleeper, 0, 0, milliseconds);
/** Milliseconds: longer than a monitor waits for anything by itself that can happen in a rekey (5 s, docs/tunnels.md). */
const LONG = 6000;
/** What came is read, as far as a turn of the event loop reads it. */
const read = async () => {
  for (let i = 0; i < 3; i++) await turn();
};

/** The changes that an operator sees. */
function lineOf(change: TunnelChange): string | undefined {
  switch (change.kind) {
    case 'refreshed':
    case 'resynced':
    case 'overrun':
    case 'replaced':
      return undefined;
    case 'state':
      return change.rekey ? undefined : `state ${change.tunnel.state}`;
    case 'rekeyed':
      return `rekeyed ${JSON.stringify([change.out, change.in].map((all) => all.map(({ from, to }) => [from, to])))}`;
    default:
      return `${change.kind} ${'tunnel' in change ? change.tunnel?.state : ''}`;
  }
}
const rekeyed = (old: Spis, young: Spis) =>
  `rekeyed ${JSON.stringify([[[old.out, young.out]], [[old.in, young.in]]])}`;

async function opened(options: TunnelMonitorOptions = {}) {
  addPolicies(7);
  ipBatch([add('in', numbered(0).in), add('out', numbered(0).out)]);
  const monitor = await TunnelMonitor.open({ refreshInterval: 0, ...options });
  const told: string[] = [];
  let heard = () => {};
  monitor.on('change', (change) => {
    const line = lineOf(change);
    if (line === undefined) return;
    told.push(line);
    heard();
  });
  return {
    monitor,
    told,
    until: async (wanted: () => boolean) => {
      while (!wanted()) await new Promise<void>((resolve) => (heard = resolve));
    },
    [Symbol.asyncDispose]: () => monitor.close(),
  };
}

const kernel = (name: string, work: () => Promise<void>) =>
  test(name, { skip: withoutEsp, timeout: 600_000 }, work);
before(() => addHere());
after(() => {
  flush();
  deleteHere();
});

for (const [name, steps] of Object.entries(REKEYS)) {
  for (const receiveBufferSize of [undefined, 2048]) {
    const buffer = receiveBufferSize === undefined ? '' : ', with a receive buffer of 2 KiB';
    kernel(`a process that is busy at any step of a rekey, ${name}${buffer}`, async () => {
      await using all = await opened({ receiveBufferSize });
      const { monitor, told, until } = all;
      let n = 0;
      for (const away of [50, 150, 400, LONG]) {
        for (const at of steps.keys()) {
          if (away === LONG && at !== 2) continue;
          const [old, young] = [numbered(n), numbered(++n)];
          const [before, meanwhile] = [steps.slice(0, at), steps.slice(at)];
          if (at > 0) ipBatch(before.map((step) => step(old, young)));
          await read();
          ipBatch(meanwhile.map((step) => step(old, young)));
          block(away);
          const all = () => told.includes(rekeyed(old, young));
          await until(all);
          await monitor.refresh();
          assert.deepEqual(told.splice(0), [rekeyed(old, young)], `busy at ${at} for ${away} ms`);
        }
      }
      const [tunnel] = monitor.tunnels;
      assert.deepEqual([tunnel?.state, tunnel?.rekeys], ['up', n]);
    });
  }
}

kernel(
  'policies that come while the process is busy: no orphan on the way; an end is told',
  async () => {
    await using monitor = await TunnelMonitor.open({ refreshInterval: 0 });
    const told: string[] = [];
    monitor.on('change', (change) => told.push(lineOf(change) ?? ''));
    const first = numbered(0);
    ipBatch([add('in', first.in), add('out', first.out)]);
    await read();
    addPolicies(7);
    block(300);
    while (monitor.tunnels.size === 0) await turn();
    assert.deepEqual(told, ['added up', 'up up']);
    ipBatch(go.map((step) => step(first, first)));
    block(300);
    while (![...monitor.tunnels].some(({ state }) => state === 'blocked')) await pause(5);
    assert.deepEqual(told, ['added up', 'up up', 'down blocked']);
  },
);

kernel(
  'of two SAs of a direction that go with the batch of their successor, both are told of',
  async () => {
    await using all = await opened();
    const { told, until } = all;
    const [one, two, three] = [numbered(0), numbered(1), numbered(2)] as const;
    ipBatch(come.map((step) => step(one, two)));
    await until(() => told.length === 1);
    ipBatch([...come, ...go].map((step) => step(one, three)));
    ipBatch(go.map((step) => step(two, three)));
    await until(() => told.length === 2);
    assert.deepEqual(told, [rekeyed(one, two), rekeyed(two, three)]);
  },
);

kernel('what a listener throws keeps no rekey from the others', async () => {
  await using all = await opened();
  const { monitor, told, until } = all;
  const thrown: string[] = [];
  const others = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', ({ message }) => thrown.push(message));
  try {
    monitor.on('rekeyed', () => {
      throw new Error('of a listener');
    });
    const [old, young] = [numbered(0), numbered(1)];
    ipBatch(go.map((step) => step(old, young)));
    await read();
    ipBatch(come.map((step) => step(old, young)));
    block(150);
    await until(() => told.length > 0);
    await monitor.refresh();
    assert.deepEqual(told, [rekeyed(old, young)]);
    assert.deepEqual(thrown, ['of a listener']);
  } finally {
    process.removeAllListeners('uncaughtException');
    for (const one of others) process.on('uncaughtException', one);
  }
});

/** Milliseconds, of the process that is stopped. */
const SETTLE = 2000;

for (const [name, steps] of Object.entries(REKEYS)) {
  kernel(`a process that is stopped at any step of a rekey, ${name}`, async () => {
    addPolicies(7);
    ipBatch([add('in', numbered(0).in), add('out', numbered(0).out)]);
    const watched = await start(
      'tunnels',
      '--watch',
      '--json',
      '--threshold',
      `settle=${SETTLE}ms`,
    );
    await watched.printed('synced');
    const expected: string[] = [];
    let n = 0;
    for (const at of steps.keys()) {
      const [old, young] = [numbered(n), numbered(++n)];
      const begun = performance.now();
      for (const step of steps.slice(0, at)) ip(...words(step(old, young)));
      await pause(50);
      watched.child.kill('SIGSTOP');
      // Where this took longer than the tunnel may lack SAs, it did lack them.
      const fair = performance.now() - begun < SETTLE / 2;
      for (const step of steps.slice(at)) ip(...words(step(old, young)));
      await pause(SETTLE + 500);
      watched.child.kill('SIGCONT');
      await watched.printed(`"to":${young.in}`);
      if (fair) expected.push(`${young.in}`);
    }
    assert(expected.length > 0, 'this machine is too slow to say anything');
    const { out } = await watched.end();
    const changes = out.split('\n').flatMap((line) => {
      const { kind, change, in: into } = line === '' ? {} : JSON.parse(line);
      if (kind !== 'tunnel-change' || change === 'resynced') return [];
      return [change === 'rekeyed' ? `${into[0]?.to}` : change];
    });
    if (expected.length === steps.length) assert.deepEqual(changes, expected);
    else for (const one of expected) assert(changes.includes(one), `${changes}`);
  });
}

test('an address removed briefly while the process is busy takes no tunnel down', async () => {
  addHere();
  addPolicies(7);
  await using monitor = await TunnelMonitor.open({ refreshInterval: 0 });
  const told: string[] = [];
  monitor.on('change', (change) => told.push(lineOf(change) ?? ''));
  ip(...words(`address del ${HERE}/32 dev lo`));
  await read();
  ip(...words(`address add ${HERE}/32 dev lo`));
  block(300);
  await monitor.refresh();
  assert.deepEqual(told.splice(0), ['']);
  ip(...words(`address del ${HERE}/32 dev lo`));
  block(300);
  while (![...monitor.tunnels].some(({ state }) => state === 'down')) await pause(5);
  assert.deepEqual(told, ['state down']);
  addHere();
});

/** Whether somebody here listens to events of XFRM (protocol 6). */
const isHeard = () =>
  readFileSync('/proc/net/netlink', 'utf8')
    .split('\n')
    .some((line) => / 6 +\d+ +0*[1-9a-f]/.test(line));

/** Has the command stand still for two seconds when it gets SIGUSR2. */
const STANDSTILL = `--import=data:text/javascript,${encodeURIComponent(`process.on('SIGUSR2', () => {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2000);
})`)}`;

test('a wait that is busy past its timeout finds what arrived in time', async () => {
  const child = spawn(
    process.execPath,
    [program, 'wait', '--for', 'blocked', FAR, '--timeout', '2s'],
    { env: { ...env, NODE_OPTIONS: STANDSTILL }, stdio: ['ignore', 'pipe', 'inherit'] },
  );
  let out = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    out += text;
  });
  while (!isHeard() && child.exitCode === null) await pause(10);
  await pause(300);
  child.kill('SIGUSR2');
  await pause(200);
  addPolicies(7);
  const [status] = await once(child, 'close');
  assert.deepEqual([status, out.split(' ')[0]], [0, 'blocked']);
});
