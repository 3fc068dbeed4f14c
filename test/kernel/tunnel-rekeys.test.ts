/** Many rekeys of a real tunnel: each is reported, and the tunnel is never down. test/all makes a thousand. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { TunnelMonitor, XfrmClient } from '../../lib/index.ts';
import { addPair, deletePair, type Spis, setPolicies } from './by-hand.ts';
import { withoutEsp } from './support.ts';
import { addHere, deleteHere } from './tunnel-peers.ts';

const REKEYS = Number(process.env.NETLINK_XFRM_REKEYS ?? 100);
const pair = (n: number): Spis => ({ out: 0x10000 + n, in: 0x20000 + n });

const client = new XfrmClient();
before(() => addHere());
after(async () => {
  deleteHere();
  await client.close();
});

type Step = (before: Spis, next: Spis) => Promise<void>;

/** The successors come, the policies are set anew, the old SAs go. */
const makeBeforeBreak: Step = async (before, next) => {
  await addPair(client, 'left', next);
  await setPolicies(client, 'left');
  await deletePair(client, 'left', before);
};

/** The old SAs go first. */
const breakBeforeMake: Step = async (before, next) => {
  await deletePair(client, 'left', before);
  await addPair(client, 'left', next);
  await setPolicies(client, 'left');
};

for (const [name, rekey, thresholds] of [
  ['that make the new SAs first', makeBeforeBreak, {}],
  // However long a busy machine takes for one.
  ['that delete the old SAs first', breakBeforeMake, { settle: 10_000 }],
] as const) {
  test(`${REKEYS} rekeys ${name}`, { skip: withoutEsp, timeout: 600_000 }, async () => {
    await setPolicies(client, 'left');
    await addPair(client, 'left', pair(0));
    await using monitor = await TunnelMonitor.open({ thresholds });
    const [{ id, state } = {}] = monitor.tunnels;
    assert.equal(state, 'up');
    const told: Record<string, number> = {};
    monitor.on('change', (change) => {
      const { kind } = change;
      const what = kind === 'state' ? `${change.before} to ${change.tunnel.state}` : kind;
      told[what] = (told[what] ?? 0) + 1;
      if ('tunnel' in change) assert.equal(change.tunnel?.id, id);
    });
    for (let n = 0; n < REKEYS; n++) await rekey(pair(n), pair(n + 1));
    await monitor.refresh();
    const { rekeyed, replaced, 'up to rekeying': begun, 'rekeying to up': ended, ...more } = told;
    assert.deepEqual([rekeyed, replaced], [REKEYS, 2 * REKEYS]);
    assert.equal(begun, ended);
    assert.deepEqual(more, { refreshed: 1 });
    const [after] = monitor.tunnels;
    assert.deepEqual([after?.state, after?.rekeys], ['up', REKEYS]);
    assert.equal(after?.sas.out[0]?.value.spi, pair(REKEYS).out);
  });
}
