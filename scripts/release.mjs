// npm run release: packs, checks the tarball, and with --publish publishes that very tarball.
// (Given the folder, npm would find *.gyp in it, and add an install script to the registry's metadata.)
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkPackage, checkRelease } from './check-package.mjs';
import { root } from './setup.mjs';

const publish = process.argv.includes('--publish');
const text = (path) => readFileSync(join(root, path), 'utf8');
const manifest = JSON.parse(text('package.json'));
const npm = (...args) => execFileSync('npm', args, { cwd: root, stdio: ['ignore', 2, 2] });

function refuse(wrong) {
  for (const one of wrong) console.error(`not fit to publish: ${one}`);
  if (wrong.length > 0) process.exit(1);
}

if (publish) refuse(checkRelease(manifest, text('CHANGELOG.md')));
npm('pack');
const tarball = join(root, `${manifest.name}-${manifest.version}.tgz`);
const folder = mkdtempSync(join(tmpdir(), 'netlink-xfrm-'));
let wrong;
try {
  execFileSync('tar', ['-xzf', tarball, '-C', folder]);
  wrong = checkPackage(join(folder, 'package'), statSync(tarball).size);
} finally {
  rmSync(folder, { recursive: true });
}
if (wrong.length > 0) rmSync(tarball);
refuse(wrong);
console.log(tarball);
if (publish) npm('publish', tarball, '--provenance', '--access', 'public');
