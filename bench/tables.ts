/**
 * Lists and live tables: a dump of many SAs, what opening and comparing a monitor takes, and a storm
 * of changes beyond it, after which its tables have to be right.
 * @module
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import { XfrmClient, XfrmMonitor } from '../lib/index.ts';
import { assertEqual } from '../test/kernel/storm.ts';
import { startLoad } from './listening.ts';

/** Milliseconds to list or open, each round. */
export interface Dump {
  /** `SAs`, or `larval SAs` where the kernel has no ESP. */
  readonly of: string;
  readonly entries: number;
  readonly times: Readonly<Record<string, number[]>>;
  /** JavaScript heap and buffers for an entry of a monitor. */
  readonly bytesEach: number;
}

/** A monitor in a storm of policy changes. */
export interface Storm {
  readonly events: number;
  readonly buffer: number;
  readonly dropped: number;
  readonly repairs: number;
  readonly milliseconds: number;
}

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

function used(): number {
  globalThis.gc?.();
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** The dump. Larval SAs live 30 seconds (net.core.xfrm_acq_expires), which bounds the rounds. */
export async function dump(
  entries: number,
  rounds: number,
  progress: (text: string) => void,
): Promise<Dump> {
  await using client = new XfrmClient();
  progress(`dump: ${entries} SAs are made`);
  const of = await makeSas(client, entries);
  const times: Record<string, number[]> = {};
  const time = async (what: string, work: () => unknown) => {
    const begun = performance.now();
    await work();
    times[what] = [...(times[what] ?? []), performance.now() - begun];
  };
  let bytesEach = Number.NaN;
  for (let round = 0; round < rounds; round++) {
    progress(`dump: round ${round + 1} of ${rounds}`);
    await time('ip xfrm state list > /dev/null', () => {
      const { status } = spawnSync('ip', ['xfrm', 'state', 'list'], { stdio: 'ignore' });
      assert.equal(status, 0, 'ip xfrm state list failed');
    });
    await time('listStates()', async () => {
      let listed = 0;
      for await (const _ of client.listStates()) listed++;
      assert.equal(listed, entries);
    });
    const before = used();
    let monitor: XfrmMonitor | undefined;
    await time('XfrmMonitor.open()', async () => {
      monitor = await XfrmMonitor.open();
    });
    assert.equal(monitor?.states.size, entries);
    bytesEach = (used() - before) / entries;
    await time('XfrmMonitor.refresh()', () => monitor?.refresh());
    await monitor?.close();
  }
  await client.flushStates();
  return { of, entries, times, bytesEach };
}

/** The storm. Fails if the tables differ from fresh lists at the end. */
export async function storm(
  events: number,
  buffer: number,
  progress: (text: string) => void,
): Promise<Storm> {
  progress(`storm: ${events} changes, buffer of ${buffer} bytes`);
  await using client = new XfrmClient();
  await using monitor = await XfrmMonitor.open({ receiveBufferSize: buffer });
  let repairs = 0;
  monitor.on('change', ({ kind }) => {
    if (kind === 'repaired') repairs++;
  });
  const begun = performance.now();
  await startLoad(['policy', `${events}`]).done;
  while (!monitor.synced) await pause(20);
  await monitor.refresh();
  const milliseconds = performance.now() - begun;
  await assertEqual(monitor, client);
  const { dropped } = monitor;
  return { events, buffer, dropped, repairs, milliseconds };
}
