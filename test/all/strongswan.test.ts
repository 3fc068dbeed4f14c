/** Real negotiations, made now: two strongSwan daemons in the lab's kernels. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { after, before, test } from 'node:test';
import { runInLab } from '../../lib/lab/index.ts';
import { fetchTools } from '../../lib/lab/tools.ts';
import { compare, findIp, type Ip } from '../unit/iproute2.ts';
import { checkNegotiation, roundTrip } from '../unit/recordings.ts';
import { STRONGSWAN } from './charon.ts';
import { fetchProgram } from './fetch.ts';

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
    const tools = await fetchTools(STRONGSWAN);
    const file = join(folder, `${suite}.nl`);
    const guest = join(import.meta.dirname, 'strongswan-guest.js');
    let said = '';
    const output = new PassThrough().on('data', (text) => {
      said += text;
    });
    const { status } = await runInLab([process.execPath, guest, tools.root, file, `${SECONDS}`], {
      suite,
      share: folder,
      env: { ...process.env, ...tools.env },
      timeout: 180_000,
      stdout: output,
      stderr: output,
    });
    assert.equal(status, 0, said.slice(-2000));
    const recording = readFileSync(file);
    checkNegotiation(roundTrip(recording));
    assert(newest);
    compare(newest, [recording], suite);
  });
}
