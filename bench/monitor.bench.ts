/**
 * What a monitor costs: opening on many SAs, memory, repair, and a storm of policy changes that is
 * faster than it. Run in a network namespace of your own; where the kernel has no ESP the SAs are
 * larval ones. Prints what it measures; fails where tables differ at the end.
 *
 *   npm run bench:monitor
 * @module
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { XfrmClient, XfrmMonitor } from '../lib/index.ts';
import { assertEqual } from '../test/kernel/storm.ts';

const SAS = Number(process.env.SAS ?? 100_000);
const CHANGES = Number(process.env.CHANGES ?? 1_000_000);
const collect = globalThis.gc ?? assert.fail('run with --expose-gc');

const GCM = { name: 'rfc4106(gcm(aes))', icvBits: 128, key: new Uint8Array(20) };
const address = (i: number) => `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`;

/** `count` SAs to as many peers; larval ones where there is no ESP. */
async function makeSas(client: XfrmClient, count: number): Promise<string> {
  const ends = (i: number) => ({ saddr: '192.0.2.1', daddr: address(i), proto: 'esp' }) as const;
  const real = (i: number) =>
    client.addState({ ...ends(i), spi: 0x1000 + i, mode: 'tunnel', reqid: i, aead: GCM });
  const larval = (i: number) =>
    client.allocateSpi({ ...ends(i), mode: 'tunnel', reqid: i, min: 0x1000 + i, max: 0x1000 + i });
  const esp = await real(0).then(
    () => true,
    () => false,
  );
  for (let i = esp ? 1 : 0; i < count; i += 500) {
    const some = Array.from({ length: Math.min(500, count - i) }, (_, n) => i + n);
    await Promise.all(some.map((n) => (esp ? real(n) : larval(n))));
  }
  return esp ? 'SAs' : 'larval SAs';
}

function memory() {
  collect();
  collect();
  const { heapUsed, external, arrayBuffers, rss } = process.memoryUsage();
  return { used: heapUsed + external, arrayBuffers, rss };
}

const median = (all: number[]) => all.sort((a, b) => a - b)[all.length >> 1] ?? Number.NaN;
const since = (begun: number) => Math.round(performance.now() - begun);

async function manySas(): Promise<void> {
  await using client = new XfrmClient();
  const begun = performance.now();
  const kind = await makeSas(client, SAS);
  console.log(`${SAS} ${kind} made in ${since(begun)} ms`);
  const before = memory();
  const times: Record<'ip' | 'open' | 'refresh', number[]> = { ip: [], open: [], refresh: [] };
  let each = 0;
  // By turns, so that what else the machine does slows all alike.
  for (let i = 0; i < 7; i++) {
    const list = performance.now();
    const { status } = spawnSync('sh', ['-c', 'ip xfrm state list > /dev/null']);
    if (status === 0) times.ip.push(since(list));
    collect();
    const start = performance.now();
    await using monitor = await XfrmMonitor.open();
    times.open.push(since(start));
    assert.equal(monitor.states.size, SAS);
    each = Math.round((memory().used - before.used) / SAS);
    const again = performance.now();
    await monitor.refresh();
    times.refresh.push(since(again));
  }
  for (const [what, all] of Object.entries(times)) {
    console.log(`${what}: ${all.join(' ')} ms, median ${median(all)}`);
  }
  console.log(
    `opening takes ${(median(times.open) / median(times.ip)).toFixed(2)} times as long as ip`,
  );
  console.log(`${each} bytes an SA`);
  assert(each <= 1536, 'more than 1.5 KB an SA');
  await client.flushStates();
}

/** Policies set as fast as the kernel takes them, by another thread. */
const STORM = `
const { workerData: { index, changes } } = require('node:worker_threads');
(async () => {
  const { XfrmClient } = await import(index);
  const client = new XfrmClient();
  const policy = (i) => ({
    dir: 'out', priority: i & 0xffff,
    selector: { saddr: '10.0.0.0', prefixlenS: 24, daddr: '10.1.0.0', prefixlenD: 16, proto: 17, sport: i % 1000, sportMask: 0xffff },
  });
  for (let i = 0; i < changes; i += 1000) {
    await Promise.all(Array.from({ length: 1000 }, (_, n) => client.updatePolicy(policy(i + n))));
  }
  await client.close();
})();
`;

async function policyStorm(receiveBufferSize: number | undefined): Promise<void> {
  await using client = new XfrmClient();
  await using monitor = await XfrmMonitor.open({ receiveBufferSize });
  let changes = 0;
  let repairs = 0;
  monitor.on('change', ({ kind }) => {
    changes++;
    if (kind === 'repaired') repairs++;
  });
  const before = memory();
  const index = new URL('../lib/index.js', import.meta.url).href;
  const begun = performance.now();
  const worker = new Worker(STORM, { eval: true, workerData: { index, changes: CHANGES } });
  let running = true;
  const ended = new Promise<void>((resolve, reject) => {
    worker.once('error', reject);
    worker.once('exit', () => {
      running = false;
      resolve();
    });
  });
  let most = 0;
  while (running) {
    await Promise.race([ended, pause(250)]);
    most = Math.max(most, process.memoryUsage().rss);
  }
  await ended;
  const took = since(begun);
  most = Math.max(most, process.memoryUsage().rss);
  await monitor.refresh();
  await assertEqual(monitor, client);
  const after = memory();
  const grown = after.used - before.used;
  assert(grown < 16 * 2 ** 20, `the heap has grown by ${grown} bytes`);
  const mib = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MiB`;
  console.log(
    `${CHANGES} policy changes in ${took} ms, buffer ${receiveBufferSize ?? 'default'}: ${changes} told, ` +
      `${monitor.dropped} dropped by the kernel, ${repairs} repairs; heap ${mib(before.used)} before, ` +
      `${mib(after.used)} after; rss at most ${mib(most)}`,
  );
  await client.flushPolicies();
}

if (SAS > 0) await manySas();
if (CHANGES > 0) {
  await policyStorm(undefined);
  await policyStorm(65_536);
}
