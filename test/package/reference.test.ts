/** The API reference is that of the docstrings, which leave nothing out, and no link in one leads nowhere. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { root, script } from './packed.ts';

const folder = join(root, 'docs/reference');

test('docs/reference is up to date, and describes everything that is exported', async () => {
  const { referencePages } = await script('reference.mjs');
  const { pages, missing, dead } = referencePages();
  assert.deepEqual(missing, [], 'without a docstring');
  assert.deepEqual(dead, []);
  assert.deepEqual(readdirSync(folder).sort(), [...pages.keys()].sort());
  for (const [page, text] of pages) {
    assert.equal(readFileSync(join(folder, page), 'utf8'), text, `npm run reference: ${page}`);
  }
});

test('each request says which capability it needs', () => {
  for (const [page, name] of [
    ['netlink-xfrm.md', 'XfrmClient'],
    ['netlink-xfrm.md', 'RouteClient'],
  ] as const) {
    const text = readFileSync(join(folder, page), 'utf8');
    const [, described = ''] = text.split(`\n### ${name}\n`);
    const lines = described.slice(0, described.indexOf('\n### ')).split('\n');
    const methods = lines.filter((line) => /^- `(?!new |close|\[)\w+\(/.test(line));
    assert(methods.length > 20, name);
    // Whoever may open a socket may read links, addresses and routes.
    const free = name === 'RouteClient' ? /^- `(list|get)/ : /^$/;
    const silent = methods.filter((line) => !free.test(line) && !line.includes('CAP_NET_ADMIN'));
    assert.deepEqual(silent, []);
    // And of what is not there.
    if (name === 'XfrmClient') assert.match(lines.join('\n'), /ESRCH/);
  }
});
