/**
 * What it costs to start: Node alone, Node with the library, the command.
 * @module
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { median } from './stats.ts';

/** Milliseconds from start to end of a process. */
export interface Startup {
  readonly title: string;
  readonly times: number[];
  /** Median beyond Node alone. */
  readonly more: number;
}

const root = join(import.meta.dirname, '../..');
const library = pathToFileURL(join(root, 'dist/lib/index.js')).href;

const command = join(root, 'bin/netlink-xfrm.js');

const CASES = [
  { title: 'node --eval 0', args: ['--eval', '0'] },
  { title: 'import netlink-xfrm', args: ['--input-type=module', '--eval', `import '${library}'`] },
  { title: 'netlink-xfrm --help', args: [command, '--help'] },
  { title: 'netlink-xfrm --version', args: [command, '--version'] },
  { title: 'netlink-xfrm state, in an empty namespace', args: [command, 'state'] },
];

export function startup(rounds: number, progress: (text: string) => void): Startup[] {
  const all = CASES.map(({ title, args }) => ({ title, args, times: [] as number[] }));
  progress('startup');
  // The first round is for the file cache.
  for (let round = -1; round < rounds; round++) {
    for (const { args, times, title } of all) {
      const begun = performance.now();
      const { status, stderr } = spawnSync(process.execPath, args, { stdio: 'pipe' });
      if (status !== 0) throw new Error(`${title}: ${stderr}`);
      if (round >= 0) times.push(performance.now() - begun);
    }
  }
  const base = median(all[0]?.times ?? []);
  return all.map(({ title, times }) => ({ title, times, more: median(times) - base }));
}
