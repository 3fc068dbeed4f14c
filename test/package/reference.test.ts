/** The API reference can be made: all that is exported has a docstring, and no link in one leads nowhere. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { root, script, temporary } from './packed.ts';

test('the API reference is made of the docstrings, which leave nothing out', async () => {
  const { reference } = await script('reference.mjs');
  const out = join(temporary(), 'reference');
  assert(reference(out));
  const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const subpaths = Object.keys(exports)
    .filter((path) => !/json$|constants$/.test(path))
    .map((path) => (path === '.' ? 'index' : path.slice(2)));
  assert.deepEqual(readdirSync(out).sort(), ['README.md', ...subpaths].sort());
  const client = readFileSync(join(out, 'index/classes/XfrmClient.md'), 'utf8');
  const methods = client.split(/^### (?=\w+\(\))/m).slice(1);
  assert(methods.length > 20);
  for (const method of methods) {
    if (!method.startsWith('close')) assert.match(method, /CAP_NET_ADMIN/, method.split('\n')[0]);
  }
  assert.match(client, /ESRCH/);
});
