/** replay -o iproute2 against the newest iproute2 that Debian has. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { IPROUTE2_VERSION } from '../../lib/cli/text/iproute2.ts';
import { capture } from '../unit/captures.ts';
import {
  both,
  compare,
  DIFFERENCES,
  findIp,
  generated,
  type Ip,
  recorded,
} from '../unit/iproute2.ts';
import { Random, runSeed } from '../unit/random.ts';
import { fetchProgram } from './fetch.ts';

let folder = '';
let newest: Ip;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'netlink-xfrm-'));
  const found = findIp(...(await fetchProgram(folder, 'sid', 'iproute2', 'ip')));
  assert(found, 'the ip that was fetched does not start');
  newest = found;
});
after(() => rmSync(folder, { recursive: true, force: true }));

test('the newest iproute2 is the one that replay was made for', () => {
  assert.equal(newest.version, IPROUTE2_VERSION);
});

test('replay prints what ip xfrm monitor file prints of all recordings', () => {
  compare(newest, recorded(), 'recorded');
});

test('replay prints what ip xfrm monitor file prints of generated messages', () => {
  const seed = runSeed();
  console.log(`iproute2 ${newest.version}, seed ${seed}`);
  const random = new Random(seed);
  for (let i = 0; i < 10; i++) compare(newest, generated(newest, 3000, random), `seed ${seed}`);
});

test('every difference is one that is meant to be', () => {
  for (const { reason, example, theirs, ours } of DIFFERENCES) {
    assert.deepEqual(both(newest, example), { theirs, ours }, reason);
  }
});

test('ip shows keys even when asked not to', () => {
  const bytes = capture('uml-6.1/newsa_v4_tunnel_aead.event0');
  const { theirs, ours } = both(newest, bytes, 'nokeys');
  assert.equal(theirs, ours);
  assert.match(theirs, /aead rfc4106\(gcm\(aes\)\) 0x[0-9a-f]{40} 128/);
});
