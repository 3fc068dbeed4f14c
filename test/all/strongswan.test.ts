/** Real negotiations, made now: two strongSwan daemons in the lab's kernels. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fetchLabTools } from '../../lib/lab/tools.ts';
import { compare, findIp, type Ip } from '../unit/iproute2.ts';
import { checkNegotiation, roundTrip } from '../unit/recordings.ts';
import { fetchProgram } from './fetch.ts';
import { nodeInLab } from './in-lab.ts';
import { STRONGSWAN } from './packages.ts';

const SECONDS = 20;

let folder = '';
let newest: Ip | undefined;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'netlink-xfrm-'));
  newest = findIp(...(await fetchProgram(folder, 'sid', 'iproute2', 'ip')));
});
after(() => rmSync(folder, { recursive: true, force: true }));

for (const suite of ['bookworm', 'trixie', 'sid']) {
  test(`a negotiation on ${suite}’s kernel decodes, and prints as ip prints it`, async () => {
    const tools = await fetchLabTools(STRONGSWAN);
    const file = join(folder, `${suite}.nl`);
    const guest = join(import.meta.dirname, 'strongswan-guest.js');
    await nodeInLab([guest, tools.root, file, `${SECONDS}`], {
      suite,
      share: folder,
      env: { ...process.env, ...tools.env },
      timeout: 3_600_000,
    });
    const recording = readFileSync(file);
    checkNegotiation(roundTrip(recording));
    assert(newest);
    compare(newest, [recording], suite);
  });
}
