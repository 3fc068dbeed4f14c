// npm run check: formatting, lint, layers, types, unused code, C and C++ formatting. (Whether generated files match
// their tables is checked by a unit test.)
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { root, setup } from './setup.mjs';

await setup();
const bin = (name) => join(root, 'node_modules/.bin', name);
const cpp = ['native', 'bench/native'].flatMap((folder) =>
  readdirSync(join(root, folder))
    .filter((name) => /\.(cc?|h)$/.test(name))
    .map((name) => join(folder, name)),
);
const checks = [
  ['format and lint', bin('biome'), ['ci', '--error-on-warnings', '.']],
  ['layers', process.execPath, [join(root, 'scripts/layers.mjs')]],
  ['types', bin('tsc'), ['--noEmit']],
  ['types of the page', bin('tsc'), ['-p', 'page']],
  ['unused code', bin('knip'), []],
  ['C and C++ format', bin('clang-format'), ['--dry-run', '--Werror', ...cpp]],
];
let failed = 0;
for (const [name, command, args] of checks) {
  const { status } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  console.log(`${name}: ${status === 0 ? 'ok' : 'FAILED'}`);
  if (status !== 0) failed++;
}
process.exit(failed > 0 ? 1 : 0);
