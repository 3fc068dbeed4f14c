/** Tunnels that two libreswan daemons set up, rekey and lose in the lab, and whether the reported changes are true. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fetchLabTools } from '../../lib/lab/tools.ts';
import { nodeInLab } from './in-lab.ts';
import { LIBRESWAN } from './packages.ts';
import { judgeTestimony, successions, wasCutShort } from './verdict.ts';
import type { Testimony } from './witness.ts';

let folder = '';
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'netlink-xfrm-'));
});
after(() => rmSync(folder, { recursive: true, force: true }));

test('libreswan: on demand, rekeys under traffic, down, up, IKEv1, a killed peer', async () => {
  const tools = await fetchLabTools(LIBRESWAN);
  const file = join(folder, 'libreswan.json');
  const guest = join(import.meta.dirname, 'libreswan-guest.js');
  await nodeInLab([guest, tools.root, file], {
    suite: 'bookworm',
    share: folder,
    env: { ...process.env, ...tools.env },
    timeout: 3_600_000,
  });
  const { testimony, killed } = JSON.parse(readFileSync(file, 'utf8')) as {
    testimony: Record<'left' | 'right', Testimony>;
    /** When the right daemon was, milliseconds since 1970. */
    killed: number;
  };
  const { left, right } = testimony;
  assert.deepEqual([...judgeTestimony('left', left), ...judgeTestimony('right', right)], []);
  const count = (lines: Testimony['tunnels'], kind: string) =>
    lines.filter((line) => line.kind === kind).length;
  for (const lines of [left.tunnels, left.command]) {
    // On demand, again, IKEv1, and after the peer was killed.
    assert.equal(count(lines, 'up'), 4);
    assert.equal(count(lines, 'down'), 3);
  }
  const rekeys = successions(left.tunnels);
  assert(rekeys.length >= 2 * 3, `${rekeys}`);
  const before = right.tunnels.filter(({ time }) => time < killed);
  const mirrored = successions(before, true);
  assert.deepEqual(
    mirrored.filter((one) => !rekeys.includes(one)),
    [],
  );
  // The left one alone tells of a rekey that the end of the tunnel cut short on the right. (The right one may tell of one that
  // is under way when its daemon is killed.)
  const all = successions(right.tunnels, true);
  const leftAlone = rekeys.filter((one) => !all.includes(one));
  assert(leftAlone.length <= 2, `${leftAlone}`);
  assert.deepEqual(
    leftAlone.filter((one) => !wasCutShort(one, right)),
    [],
  );
  // The SAs that the killed daemon left in the kernel have successors when it is there again; the left one deleted its own.
  // (The left one may set up its tunnel twice, for a packet and when told to: the second succeeds the first.)
  const own = all.filter((one) => !mirrored.includes(one));
  const successors = new Set(own.map((one) => one.replace(/\S+ > /, '')));
  const first = own.filter((one) => !successors.has(one.replace(/ > \S+$/, '')));
  assert.equal(first.length, 2, `${own}`);
  for (const { tunnels, command } of [left, right]) {
    assert.deepEqual(successions(command), successions(tunnels));
  }
});
