// npm run reference: the API reference, docs/reference/, from the docstrings. It is not kept in the repository, and too
// large for the package; npm run release packs it. What is exported without a docstring, or has a link that leads
// nowhere, is an error.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { kept } from './kept.mjs';
import { root } from './setup.mjs';

const folder = join(root, 'tools/reference');

/**
 * @param out where to make it
 * @returns whether it could be made
 */
export function reference(out = join(root, 'docs/reference')) {
  const modules = kept(folder, 'TypeDoc');
  const options = join(folder, 'typedoc.json');
  const args = [join(modules, 'typedoc/bin/typedoc'), '--options', options, '--out', out];
  // Its plugins are looked for from where it runs.
  const cwd = join(modules, '..');
  return spawnSync(process.execPath, args, { cwd, stdio: ['ignore', 2, 2] }).status === 0;
}

if (process.argv[1] === import.meta.filename) process.exitCode = reference() ? 0 : 1;
