/**
 * Cost of verdicts on a hub with many road warriors: opening, a counter reading, and a single change, each compared with
 * the same without verdicts (XfrmMonitor) or with only one tunnel. Needs a kernel with ESP.
 * @module
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { TunnelMonitor, XfrmClient, XfrmMonitor } from '../lib/index.ts';
import { sentBy } from '../test/kernel/by-hand.ts';
import { UNDERLAY } from '../test/kernel/here.ts';
import { withHubAddress } from './tunnels.ts';

/** Times in milliseconds, measured in alternation, one per round. */
export interface Verdicts {
  readonly tunnels: number;
  /** With verdicts, and the comparison. */
  readonly open: Pair;
  readonly refresh: Pair;
  readonly change: Pair;
}
interface Pair {
  readonly ours: readonly number[];
  readonly beside: readonly number[];
}

const HUB = UNDERLAY.left;
const ANY = { saddr: '0.0.0.0', prefixlenS: 0 } as const;
const peerOf = (n: number) => `198.18.${n >> 8}.${n & 255}`;
const INBOUND = 0x200000;
const inbound = (n: number) => ({
  ...sentBy('left', INBOUND + n),
  saddr: peerOf(n),
  daddr: HUB,
  reqid: n,
});

/** Adds clients numbered `from` to `to`, each with a virtual address. */
export async function connect(client: XfrmClient, from: number, to: number): Promise<void> {
  for (let n = from; n <= to; n++) {
    const [peer, virtual] = [peerOf(n), `10.9.${n >> 8}.${n & 255}`];
    await client.addState({ ...sentBy('left', 0x100000 + n), saddr: HUB, daddr: peer, reqid: n });
    await client.addState(inbound(n));
    const there = { ...ANY, daddr: virtual, prefixlenD: 32 };
    const back = { saddr: virtual, prefixlenS: 32, daddr: ANY.saddr, prefixlenD: 0 };
    for (const [dir, saddr, daddr, selector] of [
      ['out', HUB, peer, there],
      ['in', peer, HUB, back],
      ['fwd', peer, HUB, back],
    ] as const) {
      const templates = [{ saddr, daddr, proto: 'esp', mode: 'tunnel', reqid: n }] as const;
      await client.addPolicy({ dir, selector, templates });
    }
  }
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** Times from deleting an SA until its tunnel is reported down, and then up again. */
async function changes(client: XfrmClient, rounds: number): Promise<number[]> {
  await using monitor = await TunnelMonitor.open({ thresholds: { settle: 0 } });
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    times.push(
      await timed(async () => {
        const down = once(monitor, 'state');
        await client.deleteState({ daddr: HUB, spi: INBOUND + 1 });
        await down;
        const up = once(monitor, 'up');
        await client.addState(inbound(1));
        await up;
      }),
    );
  }
  return times;
}

export async function verdicts(
  { tunnels, rounds }: { tunnels: number; rounds: number },
  progress: (text: string) => void,
): Promise<Verdicts> {
  await using client = new XfrmClient();
  await using _ = await withHubAddress();
  progress(`verdicts on ${tunnels} tunnels`);
  await connect(client, 1, 1);
  const alone = await changes(client, rounds);
  await connect(client, 2, tunnels);
  const open = { ours: [] as number[], beside: [] as number[] };
  const refresh = { ours: [] as number[], beside: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    for (const [Monitor, name] of [
      [XfrmMonitor, 'beside'],
      [TunnelMonitor, 'ours'],
    ] as const) {
      let monitor: XfrmMonitor | TunnelMonitor | undefined;
      open[name].push(
        await timed(async () => {
          monitor = await Monitor.open({ refreshInterval: 0 });
        }),
      );
      if (monitor instanceof TunnelMonitor) assert.equal(monitor.tunnels.size, tunnels);
      refresh[name].push(await timed(async () => monitor?.refresh()));
      await monitor?.close();
    }
  }
  const change = { ours: await changes(client, rounds), beside: alone };
  await client.flushStates();
  await client.flushPolicies();
  return { tunnels, open, refresh, change };
}
