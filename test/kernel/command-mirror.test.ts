/** `netlink-xfrm check --mirror`: SAs of both ends, in two namespaces and in a file. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { keyedTunnel } from '../../lib/testing/keyed-tunnel.ts';
import { NetworkNamespace } from '../../lib/testing/network-namespace.ts';
import { twoHosts } from '../../lib/testing/topologies.ts';
import { checkLine } from '../schema.ts';
import { run } from './command.ts';
import { withoutEsp } from './support.ts';

function check(netns: string, mirror: string) {
  const args = ['--netns', netns, '--mirror', mirror, '--none', 'ok', '--json'];
  const { stdout, status } = run('check', ...args);
  assert.equal(checkLine(stdout), 'check');
  const { problems } = JSON.parse(stdout) as { problems: { what: string; text: string }[] };
  const found = problems.filter(({ what }) => what === 'unmatched').map(({ text }) => text);
  return { status, found };
}

test('SAs that both ends have are in order; one that only one has, or that differs, is named', {
  skip: withoutEsp,
}, async () => {
  await using hosts = await twoHosts();
  const { left, right } = hosts;
  await using tunnel = await keyedTunnel(left, right);
  assert.deepEqual(check(left.path, right.path), { status: 0, found: [] });

  const folder = mkdtempSync(join(tmpdir(), 'netlink-xfrm-'));
  try {
    const file = join(folder, 'right.json');
    writeFileSync(file, run('state', '--netns', right.path, '-o', 'json').stdout);
    assert.deepEqual(check(left.path, file), { status: 0, found: [] });

    const { toRight } = tunnel.pair;
    await right.xfrm.deleteState({ daddr: toRight.daddr, spi: toRight.spi, proto: 'esp' });
    const sa = `esp 0x${toRight.spi.toString(16).padStart(8, '0')} to ${toRight.daddr}`;
    const missing = check(left.path, right.path);
    assert.equal(missing.status, 2);
    assert.deepEqual(missing.found, [`${sa} is here, and not in ${right.path}`]);
    // The file is of before.
    assert.deepEqual(check(left.path, file).found, []);

    await right.xfrm.addState({ ...toRight, mode: 'transport' });
    assert.deepEqual(check(left.path, right.path).found, [
      `${sa} here and in ${right.path}: mode tunnel and transport`,
    ]);
    // What was received is more than what the sender says it has sent.
    await right.xfrm.deleteState({ daddr: toRight.daddr, spi: toRight.spi, proto: 'esp' });
    await right.xfrm.addState({ ...toRight, replay: { oseq: 0, seq: 1000, bitmap: 0 } });
    assert.deepEqual(check(left.path, right.path).found, [
      `${sa}: 1000 was received, and the sender is at 0: packets are dropped as replayed`,
    ]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('what cannot be compared is UNKNOWN, with the reason', async () => {
  await using host = await NetworkNamespace.make('alone');
  const cases: [args: string[], reason: RegExp][] = [
    [['--mirror', 'no-such'], /no-such does not exist/],
    [
      ['--mirror', '/etc/hostname'],
      /\/etc\/hostname: line 1 is not an SA of "netlink-xfrm state -o json"/,
    ],
    [
      ['--daemon', 'strongswan=/no/such'],
      /strongSwan cannot be asked at \/no\/such: connect ENOENT/,
    ],
    [['--daemon', 'racoon'], /Expected auto, strongswan, libreswan/],
  ];
  for (const [args, reason] of cases) {
    const { stdout, status } = run('check', '--netns', host.path, ...args);
    assert.match(stdout, /^TUNNELS UNKNOWN - /);
    assert.match(stdout, reason);
    assert.equal(status, 3);
  }
});
