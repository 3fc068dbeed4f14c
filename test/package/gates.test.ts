/** What is packed, and that an incomplete package is refused. */
import assert from 'node:assert/strict';
import { cpSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { packed, run, script, temporary } from './packed.ts';

test('the package is complete, small, and runs nothing when it is installed', async () => {
  const { tarball, folder } = await packed();
  const { checkPackage } = await script('check-package.mjs');
  assert.deepEqual(checkPackage(folder, statSync(tarball).size), []);
});

test('the page of `serve` is three files, small, and names no other place', async () => {
  const folder = join((await packed()).folder, 'dist/lib/page');
  const names = readdirSync(folder).sort();
  assert.deepEqual(names, ['index.html.gz', 'page.css.gz', 'page.js.gz']);
  const texts = names.map((name) => `${gunzipSync(readFileSync(join(folder, name)))}`);
  const sizes = texts.slice(1).map(({ length }) => length);
  assert(sizes.reduce((all, one) => all + one) <= 120_000, `${sizes} bytes`);
  for (const [i, text] of texts.entries()) {
    // XML namespace names are not URLs to check.
    const places = text.match(/https?:\/\/(?!www\.w3\.org\/)[\w.-]+/g) ?? [];
    assert.deepEqual(places, [], names[i]);
  }
  const licenses = readFileSync(join(folder, '../LICENSES.txt'), 'utf8');
  for (const name of ['preact', 'uplot', 'eventsource-parser']) {
    assert.match(licenses, new RegExp(`^${name}$`, 'm'));
  }
});

test('a package that lacks something, or would run a script, is refused', async () => {
  const { checkPackage } = await script('check-package.mjs');
  const folder = join(temporary(), 'package');
  cpSync((await packed()).folder, folder, { recursive: true });
  rmSync(join(folder, 'prebuilds/linuxmusl-arm64'), { recursive: true });
  // One for another machine, and one that wants the library of C++.
  cpSync(join(folder, 'prebuilds/linux-x64'), join(folder, 'prebuilds/linux-arm64'), {
    recursive: true,
  });
  cpSync(process.execPath, join(folder, 'prebuilds/linux-x64/netlink.node'));
  writeFileSync(join(folder, 'binding.gyp'), '{}');
  rmSync(join(folder, 'dist/lib/constants.js'));
  const imports = 'import { A } from "left-out";\nawait import("@left/out");\nimport "bindings";';
  writeFileSync(join(folder, 'dist/lib/route.js'), imports);
  for (const name of readdirSync(join(folder, 'dist/lib/chunks'))) {
    const map = { version: 3, sources: [], names: [], mappings: '' };
    if (name.endsWith('.js.map'))
      writeFileSync(join(folder, 'dist/lib/chunks', name), JSON.stringify(map));
  }
  const wrong: string[] = checkPackage(folder, 2e6);
  for (const text of [
    'binding.gyp is at the root',
    './dist/lib/constants.js is missing',
    'dist/lib/route.js imports left-out, which is not a dependency',
    'dist/lib/route.js imports @left/out, which is not a dependency',
    'no map leads to src/tunnel.ts',
    'prebuilds/linuxmusl-arm64/netlink.node is missing',
    'prebuilds/linux-arm64 is not for AArch64',
    'packed: 2000000, more than 1500000',
  ]) {
    assert(wrong.includes(text), `${text}: ${wrong.join('; ')}`);
  }
  if (process.arch === 'x64') {
    assert(
      wrong.some((text) => text.startsWith('prebuilds/linux-x64 needs libstdc++')),
      `${wrong}`,
    );
  }
});

test('a release needs its section of the changelog, and to say where the sources are', async () => {
  const { checkRelease } = await script('check-package.mjs');
  const where = {
    repository: 'github:o/r',
    bugs: 'https://o.example',
    homepage: 'https://o.example',
  };
  const changelog = '# Changelog\n\n## 1.2.0\n\n- New: all\n\n## 1.1.0\n';
  assert.deepEqual(checkRelease({ version: '1.2.0', ...where }, changelog), []);
  assert.deepEqual(
    checkRelease({ version: '1.3.0' }, changelog.replace('## 1.2.0', '## Unreleased')),
    [
      'CHANGELOG.md has no section 1.3.0',
      'CHANGELOG.md has changes that are Unreleased',
      "package.json has no 'repository'",
      "package.json has no 'bugs'",
      "package.json has no 'homepage'",
    ],
  );
});

test('publishing the folder instead of the checked tarball is refused', async () => {
  const { folder } = await packed();
  const { status, stderr } = await run(['npm', 'publish', '--dry-run'], folder);
  assert.notEqual(status, 0);
  assert.match(stderr, /publish with: npm run release -- --publish/);
});
