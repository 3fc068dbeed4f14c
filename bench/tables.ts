/**
 * Lists and live tables: a dump of many entries, what opening and comparing a monitor takes, and a storm
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
  /** `SAs`, or `policies` where the kernel has no ESP. */
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

type Kind = 'state' | 'policy';

/** `count` SAs to as many peers; policies where there is no ESP. */
async function make(client: XfrmClient, count: number): Promise<Kind> {
  const [saddr, mode] = ['192.0.2.1', 'tunnel'] as const;
  const state = (i: number) =>
    client.addState({
      saddr,
      daddr: address(i),
      proto: 'esp',
      spi: 0x1000 + i,
      mode,
      reqid: i,
      aead: GCM,
    });
  const policy = (i: number) =>
    client.addPolicy({
      dir: 'out',
      selector: { saddr, prefixlenS: 32, daddr: address(i), prefixlenD: 32 },
      templates: [{ saddr, daddr: '192.0.2.2', proto: 'esp', mode, reqid: 1 }],
    });
  const esp = await state(0).then(
    () => true,
    () => false,
  );
  for (let i = esp ? 1 : 0; i < count; i += 500) {
    const some = Array.from({ length: Math.min(500, count - i) }, (_, n) => i + n);
    await Promise.all(some.map((n) => (esp ? state(n) : policy(n))));
  }
  return esp ? 'state' : 'policy';
}

function used(): number {
  globalThis.gc?.();
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** The dump. */
export async function dump(
  entries: number,
  rounds: number,
  progress: (text: string) => void,
): Promise<Dump> {
  await using client = new XfrmClient();
  progress(`dump: ${entries} entries are made`);
  const kind = await make(client, entries);
  const times: Record<string, number[]> = {};
  const time = async (what: string, work: () => unknown) => {
    const begun = performance.now();
    await work();
    times[what] = [...(times[what] ?? []), performance.now() - begun];
  };
  let bytesEach = Number.NaN;
  for (let round = 0; round < rounds; round++) {
    progress(`dump: round ${round + 1} of ${rounds}`);
    await time(`ip xfrm ${kind} list > /dev/null`, () => {
      const { status } = spawnSync('ip', ['xfrm', kind, 'list'], { stdio: 'ignore' });
      assert.equal(status, 0, 'ip failed');
    });
    await time(kind === 'state' ? 'listStates()' : 'listPolicies()', async () => {
      let listed = 0;
      const list = kind === 'state' ? client.listStates() : client.listPolicies();
      for await (const _ of list) listed++;
      assert.equal(listed, entries);
    });
    const before = used();
    let monitor: XfrmMonitor | undefined;
    await time('XfrmMonitor.open()', async () => {
      monitor = await XfrmMonitor.open();
    });
    assert.equal((kind === 'state' ? monitor?.states : monitor?.policies)?.size, entries);
    bytesEach = (used() - before) / entries;
    await time('XfrmMonitor.refresh()', () => monitor?.refresh());
    await monitor?.close();
  }
  await client.flushStates();
  await client.flushPolicies();
  const of = kind === 'state' ? 'SAs' : 'policies';
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
