/**
 * The C programs of the benchmark, compiled on the machine where they run.
 * @module
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fetchLabTools, LabError } from '../lib/lab/index.ts';

/** This runs from dist/bench. */
const root = join(import.meta.dirname, '../..');
const sources = join(root, 'bench/native');
const folder = join(root, 'dist/bench/native');

/** The path of a benchmark program. */
export const program = (name: 'floor' | 'recvmsg' | 'load' | 'libnl' | 'buffer.so'): string =>
  join(folder, name);

function compile(name: Parameters<typeof program>[0], files: string[], ...flags: string[]): void {
  const inputs = files.map((file) => join(sources, file));
  const args = ['-O2', '-Wall', '-Wextra', '-o', program(name), ...inputs, ...flags];
  execFileSync('cc', args, { stdio: ['ignore', 'inherit', 'inherit'] });
}

/**
 * Compiles all of them. libnl is fetched from Debian like the lab's kernel, and not installed.
 *
 * @returns why there is no libnl program; undefined if there is one
 */
export async function compileAll(): Promise<string | undefined> {
  mkdirSync(folder, { recursive: true });
  compile('load', ['load.c']);
  compile('floor', ['floor.c', 'listener.c']);
  compile('recvmsg', ['recvmsg.c', 'listener.c']);
  compile('buffer.so', ['buffer.c'], '-shared', '-fPIC', '-ldl');
  try {
    const tools = await fetchLabTools(['libnl-xfrm-3-dev']);
    const libraries = ['usr/lib', 'lib'].map((part) => join(tools.root, part, 'x86_64-linux-gnu'));
    compile(
      'libnl',
      ['libnl.c', 'listener.c'],
      `-I${join(tools.root, 'usr/include/libnl3')}`,
      ...libraries.map((path) => `-L${path}`),
      '-lnl-xfrm-3',
      '-lnl-3',
      `-Wl,-rpath,${libraries.join(':')}`,
    );
    return undefined;
  } catch (error) {
    if (error instanceof LabError) return error.message;
    throw error;
  }
}
