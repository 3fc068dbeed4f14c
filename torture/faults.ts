/**
 * Failing system calls: each error of each call that the addon makes is injected; then the nth call
 * of what the library does, for all n; then no descriptors are left.
 * @module
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkImports, errorsInTable } from './faults/imports.ts';
import { buildShim } from './faults/injection.ts';
import { type Figures, finding, report, reported } from './part.ts';

/** Runs a script of this part, including its findings. */
function run(command: readonly string[], script: string, env?: NodeJS.ProcessEnv): Figures {
  const path = join(import.meta.dirname, 'faults', `${script}.js`);
  const [file = '', ...args] = [...command, process.execPath, '--expose-gc', path];
  const { stdout, status, signal } = spawnSync(file, args, {
    env: env ?? process.env,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const result = reported(stdout);
  if (result === undefined || (status !== 0 && result.findings === 0)) {
    finding(`${script} ended with ${signal ?? status}: ${stdout}`);
  } else if (result.findings > 0) finding(`${result.findings} of ${script}, above`);
  return result?.figures ?? {};
}

for (const wrong of checkImports()) finding(wrong);
const folder = mkdtempSync(join(tmpdir(), 'netlink-xfrm-'));
try {
  const env = buildShim(folder);
  const { injections = 0 } = run([], 'each', env);
  const { failures = 0 } = run([], 'sweep', env);
  const { tries = 0 } = run(['sh', '-c', 'ulimit -n 256; exec "$@"', 'sh'], 'exhausted');
  if (injections < errorsInTable()) finding(`only ${injections} of ${errorsInTable()} injected`);
  report({
    'errors injected': injections,
    'calls failed in the middle': failures,
    'times without descriptors': tries,
  });
} finally {
  rmSync(folder, { recursive: true });
}
