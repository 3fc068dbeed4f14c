/** Tunnels of two OpenIKED daemons in the lab, which rekey simultaneously, and whether the reported changes are true. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fetchLabTools } from '../../lib/lab/tools.ts';
import { OPENIKED } from './iked.ts';
import { nodeInLab } from './in-lab.ts';
import { judgeTestimony, successions } from './verdict.ts';
import type { Testimony } from './witness.ts';

let folder = '';
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'netlink-xfrm-'));
});
after(() => rmSync(folder, { recursive: true, force: true }));

test('OpenIKED, by PF_KEY: up, rekeys of both ends at once, down', async () => {
  const tools = await fetchLabTools(OPENIKED);
  const file = join(folder, 'openiked.json');
  const guest = join(import.meta.dirname, 'openiked-guest.js');
  await nodeInLab([guest, file], {
    suite: 'bookworm',
    share: folder,
    env: { ...process.env, ...tools.env },
    timeout: 3_600_000,
  });
  const { testimony } = JSON.parse(readFileSync(file, 'utf8')) as {
    testimony: Record<'left' | 'right', Testimony>;
  };
  const { left, right } = testimony;
  assert.deepEqual([...judgeTestimony('left', left), ...judgeTestimony('right', right)], []);
  for (const { tunnels, command } of [left, right]) {
    const kinds = tunnels.map(({ kind }) => kind);
    assert(kinds.includes('up') && kinds.includes('down'), `${kinds}`);
    assert.deepEqual(successions(command), successions(tunnels));
    // Which end is this host's: PF_KEY says no more of it than netlink.
    assert(tunnels.every(({ local }) => local === tunnels[0]?.local));
  }
  assert(successions(left.tunnels).length >= 4);
});
