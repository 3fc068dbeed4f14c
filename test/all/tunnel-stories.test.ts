/** Tunnels that two strongSwan daemons set up, rekey and lose in the lab, and the reported changes. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fetchLabTools } from '../../lib/lab/tools.ts';
import { nodeInLab } from './in-lab.ts';
import { STRONGSWAN } from './packages.ts';
import { judgeTestimony, toldByOne } from './verdict.ts';

let folder = '';
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'netlink-xfrm-'));
});
after(() => rmSync(folder, { recursive: true, force: true }));

const inLab = (suite: string, args: readonly string[], env: Record<string, string>) =>
  nodeInLab(args, { suite, share: folder, env: { ...process.env, ...env }, timeout: 3_600_000 });

/** What the guest with the daemons found, of which nothing may be false by what ip saw. */
async function guest(suite: string, ...args: string[]) {
  const tools = await fetchLabTools(STRONGSWAN);
  const file = join(folder, `${suite}-${args[0]}.json`);
  const program = join(import.meta.dirname, 'tunnel-guest.js');
  await inLab(suite, [program, tools.root, file, ...args], tools.env);
  const { told, testimony } = JSON.parse(readFileSync(file, 'utf8'));
  // Of the thousand rekeys each is counted.
  if (args[0] === 'rekeys') return told;
  const { left, right } = testimony;
  assert.deepEqual([...judgeTestimony('left', left), ...judgeTestimony('right', right)], []);
  assert.deepEqual(toldByOne(left, right), []);
  return { ...told, right: inOneStep(told.right) };
}

/**
 * The daemon adds the SAs, then their policies: between the two a busy host may take longer than `settle`. That it did
 * has been held against what ip saw.
 */
function inOneStep(lines: readonly string[]): string[] {
  const [added, up, ...more] = lines;
  const isInTwo = added === 'added: orphan' && up === 'up: was orphan';
  return isInTwo ? ['added: up', 'up', ...more] : [...lines];
}

/** The first packet asks for SAs (the right host is not asked), and two rekeys follow. */
const LIFE = {
  left: ['added: blocked', 'state: acquiring, was blocked', 'up: was acquiring'],
  right: ['added: up', 'up'],
};
const REKEYS = [
  'state: rekeying, was up',
  'rekeyed: out SA 1 to SA 2, in SA 3 to SA 4',
  'state: up, was rekeying',
  'state: rekeying, was up',
  'rekeyed: out SA 2 to SA 5, in SA 4 to SA 6',
  'state: up, was rekeying',
];

for (const suite of ['bookworm', 'trixie', 'sid']) {
  test(`the right daemon is killed, on ${suite}’s kernel`, async () => {
    assert.deepEqual(await guest(suite, 'killed'), {
      left: [
        ...LIFE.left,
        ...REKEYS,
        // The next rekey gets no answer; the left daemon gives up, and traffic asks for SAs again.
        'state: expiring, was up',
        'down: acquiring, was expiring, deleted, claimed by charon',
      ],
      right: [
        ...LIFE.right,
        ...REKEYS,
        // No daemon there acts on limits or deletes anything; the kernel does.
        'state: expiring, was up',
        'down: down, was expiring, expired',
      ],
    });
  });

  test(`the left daemon ends the tunnel, and makes it again, on ${suite}’s kernel`, async () => {
    assert.deepEqual(await guest(suite, 'terminated'), {
      left: [
        ...LIFE.left,
        ...REKEYS,
        // Its trap stays.
        'down: blocked, was up, deleted, claimed by charon',
        'state: acquiring, was blocked',
        'up: was acquiring',
      ],
      right: [
        ...LIFE.right,
        ...REKEYS,
        'down: down, was up, deleted, claimed by charon',
        'up: was down',
      ],
    });
  });
}

test('a thousand rekeys of twenty tunnels by strongSwan are just that', async () => {
  const [tunnels, rounds] = [20, 50];
  const { counts, states } = await guest('bookworm', 'rekeys', `${tunnels}`, `${rounds}`);
  for (const side of ['left', 'right']) {
    const { rekeyed, replaced, ...more } = counts[side];
    assert.deepEqual([rekeyed, replaced], [tunnels * rounds, 2 * tunnels * rounds]);
    const { 'up to rekeying': begun, 'rekeying to up': ended, ...rest } = more;
    assert.equal(begun, ended);
    const { refreshed: _, resynced: __, ...others } = rest;
    assert.deepEqual(others, {}, side);
  }
  assert.deepEqual(states, [tunnels, tunnels]);
});

test('a thousand rekeys by hand are just that', async () => {
  const file = join(import.meta.dirname, '../kernel/tunnel-rekeys.test.js');
  const env = { NETLINK_XFRM_REQUIRE: 'esp', NETLINK_XFRM_REKEYS: '1000' };
  await inLab('bookworm', ['--test', file], env);
});
