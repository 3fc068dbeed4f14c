/**
 * The programs that the benchmark compares with: C, compiled on the machine where they run, and Debian's.
 * @module
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fetchLabTools, LabError } from '../lib/lab/index.ts';

/** This runs from dist/bench. */
const root = join(import.meta.dirname, '../..');
const sources = join(root, 'bench/native');
const folder = join(root, 'dist/bench/native');

/** The path of a benchmark program. */
export const program = (
  name: 'floor' | 'recvmsg' | 'load' | 'libnl' | 'buffer.so' | 'node_exporter',
): string => join(folder, name);

function compile(name: Parameters<typeof program>[0], files: string[], ...flags: string[]): void {
  const inputs = files.map((file) => join(sources, file));
  const args = ['-O2', '-Wall', '-Wextra', '-o', program(name), ...inputs, ...flags];
  execFileSync('cc', args, { stdio: ['ignore', 'inherit', 'inherit'] });
}

/** @returns why there is no libnl program; undefined if there is one */
async function compileLibnl(): Promise<string | undefined> {
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
    if (error instanceof LabError) return `libnl-xfrm (${error.message})`;
    throw error;
  }
}

/** Bookworm's has no xfrm collector. @returns why there is no node_exporter */
async function fetchNodeExporter(): Promise<string | undefined> {
  const path = program('node_exporter');
  rmSync(path, { force: true });
  try {
    const tools = await fetchLabTools(['prometheus-node-exporter'], { suite: 'trixie' });
    symlinkSync(join(tools.root, 'usr/bin/prometheus-node-exporter'), path);
    return undefined;
  } catch (error) {
    if (error instanceof LabError) return `node_exporter (${error.message})`;
    throw error;
  }
}

/**
 * Compiles all of them, and fetches the programs of others from Debian like the lab's kernel, without
 * installing them.
 *
 * @returns what there is not, and why
 */
export async function makePrograms(): Promise<string[]> {
  mkdirSync(folder, { recursive: true });
  compile('load', ['load.c']);
  compile('floor', ['floor.c', 'listener.c']);
  compile('recvmsg', ['recvmsg.c', 'listener.c']);
  compile('buffer.so', ['buffer.c'], '-shared', '-fPIC', '-ldl');
  const missing = [await compileLibnl(), await fetchNodeExporter()];
  return missing.filter((one) => one !== undefined);
}
