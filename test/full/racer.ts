/** A worker thread that changes the kernel's IPsec, on a processor of its own, until it is done. */
import { parentPort, workerData } from 'node:worker_threads';
import { XfrmClient } from '../../lib/index.ts';
import { storm } from '../kernel/storm.ts';
import { Random } from '../unit/random.ts';

/** A storm on the SAs and policies that all racers share, or SAs of its own, added and deleted. */
export type Race =
  | { readonly kind: 'storm'; readonly seed: number; readonly changes: number }
  | { readonly kind: 'own'; readonly first: number; readonly rounds: number };

const aead = { name: 'rfc4106(gcm(aes))', icvBits: 128, key: new Uint8Array(20).fill(7) };
const ENDS = { saddr: '192.0.2.1', daddr: '192.0.2.2', proto: 'esp', mode: 'tunnel' } as const;

const race = workerData as Race;
const client = new XfrmClient();
if (race.kind === 'storm') await storm(client, new Random(race.seed), race.changes, true);
else {
  for (let round = 0; round < race.rounds; round++) {
    const spi = race.first + round;
    await client.addState({ ...ENDS, spi, aead });
    // Every tenth stays.
    if (round % 10 > 0) await client.deleteState({ daddr: ENDS.daddr, spi });
  }
}
await client.close();
parentPort?.postMessage('done');
