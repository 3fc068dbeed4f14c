// npm run reference: generates the API reference, docs/reference/, from the docstrings. It is not committed, and too
// large for the package; npm run release packs it separately. An export without a docstring and a broken link are
// errors.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { kept } from './kept.mjs';
import { root } from './setup.mjs';

const folder = join(root, 'tools/reference');

/**
 * @param out output folder
 * @returns whether it succeeded
 */
export function reference(out = join(root, 'docs/reference')) {
  const modules = kept(folder, 'TypeDoc');
  const options = join(folder, 'typedoc.json');
  const args = [join(modules, 'typedoc/bin/typedoc'), '--options', options, '--out', out];
  // TypeDoc resolves its plugins relative to the working directory.
  const cwd = join(modules, '..');
  return spawnSync(process.execPath, args, { cwd, stdio: ['ignore', 2, 2] }).status === 0;
}

if (process.argv[1] === import.meta.filename) process.exitCode = reference() ? 0 : 1;
