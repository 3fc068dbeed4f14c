/** The suites of docs/testing.md pass. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SUITES } from '../documents.ts';
import { output } from './documented.ts';
import { withoutEsp } from './support.ts';

test('there are suites in docs/testing.md', () => assert.equal(SUITES.length, 5));

/** The one with a key manager runs where there is one: test/all/examples-testing.test.ts. */
const here = SUITES.filter(({ code }) => !code.includes('strongswan('));

test('one suite is left to test/all', () => assert.equal(here.length, SUITES.length - 1));

for (const { name, code } of here) {
  test(name, { skip: withoutEsp }, async () => {
    const printed = await output('--input-type=module', '-e', code);
    assert.match(printed, /^(# |ℹ )pass 1$/m);
    assert.match(printed, /^(# |ℹ )skipped 0$/m);
  });
}
