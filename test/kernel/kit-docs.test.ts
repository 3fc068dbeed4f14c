/** The suites of docs/testing.md pass. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { probe } from '../../lib/testing/index.ts';
import { withoutEsp } from './support.ts';

const root = join(import.meta.dirname, '../../..');
const text = readFileSync(join(root, 'docs/testing.md'), 'utf8');
const blocks = [...text.matchAll(/```js( daemon)?\n([\s\S]+?)```/g)];
const { strongswan } = (await probe()).features;

test('there are suites in docs/testing.md', () => assert.equal(blocks.length, 5));

for (const [, daemon, code = ''] of blocks) {
  const [, name = ''] = /^test\('([^']+)'/m.exec(code) ?? [];
  // Those with a key manager run where there is one: test/all/kit.test.ts.
  const skip = withoutEsp || (daemon !== undefined && !strongswan.ok && strongswan.reason);
  test(name, { skip }, () => {
    const args = ['--input-type=module', '-e', code];
    const env = { ...process.env, NODE_TEST_CONTEXT: undefined };
    const { status, stdout, stderr } = spawnSync(process.execPath, args, {
      cwd: root,
      encoding: 'utf8',
      env,
    });
    assert.equal(status, 0, stdout + stderr);
    assert.match(stdout, /^(# |ℹ )pass 1$/m);
    assert.match(stdout, /^(# |ℹ )skipped 0$/m);
  });
}
