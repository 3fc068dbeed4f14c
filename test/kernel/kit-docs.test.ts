/** The suites of docs/testing.md pass. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { probe } from '../../lib/testing/index.ts';
import { SUITES } from '../documents.ts';
import { output } from './documented.ts';
import { withoutEsp } from './support.ts';

const { strongswan } = (await probe()).features;

test('there are suites in docs/testing.md', () => assert.equal(SUITES.length, 5));

for (const { name, code } of SUITES) {
  // Those with a key manager run where there is one: test/all/examples-testing.test.ts.
  const lacking = code.includes('strongswan(') && !strongswan.ok && strongswan.reason;
  test(name, { skip: withoutEsp || lacking }, async () => {
    const printed = await output('--input-type=module', '-e', code);
    assert.match(printed, /^(# |ℹ )pass 1$/m);
    assert.match(printed, /^(# |ℹ )skipped 0$/m);
  });
}
