/** replay -o iproute2 against the iproute2 of this machine; test/all asks the newest one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IPROUTE2_VERSION } from '../../lib/cli/text/iproute2.ts';
import { compare, findIp, generated, recorded } from './iproute2.ts';
import { Random, runSeed } from './random.ts';

const ip = findIp('ip');
const skip = ip === undefined && 'there is no ip (iproute2)';

test('replay prints what this machine’s ip xfrm monitor file prints', { skip }, () => {
  assert(ip);
  const seed = runSeed();
  console.log(`iproute2 ${ip.version} (made for ${IPROUTE2_VERSION}), seed ${seed}`);
  compare(ip, recorded(), 'recorded');
  compare(ip, generated(ip, 1500, new Random(seed)), `seed ${seed}`);
});
