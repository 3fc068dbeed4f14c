/**
 * Runs in the lab: a key manager on two hosts, and SAs that are deleted and added behind its back.
 *
 *   node drift-guest.js strongswan|libreswan TOOLS
 * @module
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { libreswan, strongswan, twoHosts, waitForTunnel } from '../../lib/testing/index.ts';
import { installCharon, installPluto } from './graft.ts';

const [which, tools = ''] = process.argv.slice(2);
const program = join(import.meta.dirname, '../../../bin/netlink-xfrm.js');

await using hosts = await twoHosts();
const { left, right } = hosts;
let socket = '';
if (which === 'strongswan') {
  installCharon(tools);
  const pair = await strongswan(left, right);
  await pair.left.initiate();
  socket = join(pair.left.folder, 'vici');
} else {
  installPluto(tools);
  const pair = await libreswan(left, right);
  await pair.left.initiate();
  process.stderr.write((await pair.left.whack('--status')).stdout);
  socket = join(pair.left.folder, 'run/pluto.ctl');
}
await waitForTunnel(left, 'up');

function check() {
  const args = [program, 'check', '--netns', left.path, '--daemon', `${which}=${socket}`, '--json'];
  const { stdout, status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  process.stderr.write(stdout + stderr);
  const { problems } = JSON.parse(stdout) as { problems: { what: string; text: string }[] };
  return { status, drift: problems.filter(({ what }) => what.startsWith('not-in-')) };
}

assert.deepEqual(check(), { status: 0, drift: [] });

const { items: states } = await left.xfrm.listStates();
const [sa] = states.filter(({ daddr, spi }) => daddr === right.address && spi !== 0);
assert(sa);
await left.xfrm.deleteState(sa);
const hex = `0x${sa.spi.toString(16).padStart(8, '0')}`;
const missing = check();
assert.equal(missing.status, 2);
assert.deepEqual(
  missing.drift.map(({ what }) => what),
  ['not-in-kernel'],
);
assert.match(missing.drift[0]?.text ?? '', new RegExp(`has esp ${hex} to ${right.address} of `));

await left.ip(
  `xfrm state add src ${left.address} dst ${right.address} proto esp spi 0x777 reqid 77 mode tunnel aead rfc4106(gcm(aes)) 0x${'5a'.repeat(20)} 128`,
);
const both = check();
assert.equal(both.status, 2);
assert.deepEqual(both.drift.map(({ what }) => what).sort(), ['not-in-daemon', 'not-in-kernel']);
assert(both.drift.some(({ text }) => text.includes(`esp 0x00000777 to ${right.address}`)));
process.stdout.write('all well\n');
process.exit(0);
