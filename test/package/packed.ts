/**
 * The package as it is published, made from a copy of this clone, and projects that install it.
 * @module
 */
import { execFileSync, type StdioOptions, spawn } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { lockFile } from '../../lib/lab/cache.ts';

export const root = join(import.meta.dirname, '../../..');
const copy = join(root, 'build/package');

/** A module of scripts/, which are not compiled. */
// biome-ignore lint/suspicious/noExplicitAny: they have no types
export const script = (name: string): Promise<any> =>
  import(pathToFileURL(join(root, 'scripts', name)).href);

/** What the copy leaves out: it is large, or made anew. */
const LEFT_OUT = new Set(['.git', 'node_modules', 'dist', 'build', 'src', 'man']);

/** When something that goes into the package was last changed. */
function changed(path: string): number {
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.mtimeMs;
  return Math.max(...readdirSync(path).map((name) => changed(join(path, name))));
}

const INPUTS = [
  'lib',
  'page',
  'native',
  'scripts',
  'bin',
  'schema',
  'contrib',
  'docs',
  'toolchain',
  'package.json',
];

/** The tarball that `npm pack` makes, and where it was unpacked. */
export interface Packed {
  readonly tarball: string;
  readonly folder: string;
}

let made: Promise<Packed> | undefined;
export function packed(): Promise<Packed> {
  made ??= packAlone();
  return made;
}

/** One process at a time: the next one finds what is made. */
async function packAlone(): Promise<Packed> {
  mkdirSync(join(root, 'build'), { recursive: true });
  const lock = await lockFile(join(root, 'build/package.lock'));
  try {
    return await pack();
  } finally {
    await lock.release();
  }
}

async function pack(): Promise<Packed> {
  // Kept in the clone, so that they are built once.
  (await script('prebuild.mjs')).prebuild();
  const [old] = existsSync(copy) ? readdirSync(copy).filter((name) => name.endsWith('.tgz')) : [];
  const folder = join(copy, 'unpacked/package');
  const newest = Math.max(...INPUTS.map((name) => changed(join(root, name))));
  if (old !== undefined && existsSync(folder) && statSync(join(copy, old)).mtimeMs > newest) {
    return { tarball: join(copy, old), folder };
  }
  rmSync(copy, { recursive: true, force: true });
  mkdirSync(join(copy, 'unpacked'), { recursive: true });
  for (const name of readdirSync(root)) {
    if (LEFT_OUT.has(name)) continue;
    cpSync(join(root, name), join(copy, name), {
      recursive: true,
      preserveTimestamps: true,
      filter: (path) => path !== join(root, 'native/build'),
    });
  }
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  // As npm pack does, but without building for the copy itself before and after.
  const stdio: StdioOptions = ['ignore', 'ignore', 2];
  execFileSync(process.execPath, ['scripts/prepack.mjs'], { cwd: copy, stdio });
  execFileSync('npm', ['pack', '--ignore-scripts', '--loglevel=error'], { cwd: copy, stdio });
  const [name = ''] = readdirSync(copy).filter((entry) => entry.endsWith('.tgz'));
  const tarball = join(copy, name);
  execFileSync('tar', ['-xzf', tarball, '-C', join(copy, 'unpacked')]);
  return { tarball, folder };
}

/** The folder node_modules with package managers and versions of Node. */
export const tools: string = (await script('kept.mjs')).kept(
  join(root, 'test/package/tools'),
  'package managers and versions of Node',
);

/** node of a major version. */
export const nodeOf = (major: number): string => join(tools, `node${major}/bin/node`);

const folders: string[] = [];
process.on('exit', () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** A folder that is gone when the tests are. */
export function temporary(): string {
  const folder = mkdtempSync(join(tmpdir(), 'netlink-xfrm-'));
  folders.push(folder);
  return folder;
}

/** An empty project, of ES modules. */
export function project(files: Readonly<Record<string, string>> = {}): string {
  const folder = temporary();
  const manifest = { name: 'project', version: '1.0.0', type: 'module', private: true };
  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return folder;
}

/** A project that has the package and its dependencies as a package manager would lay them out. */
export async function installed(files: Readonly<Record<string, string>> = {}): Promise<string> {
  const folder = project(files);
  const modules = join(folder, 'node_modules');
  mkdirSync(modules);
  cpSync((await packed()).folder, join(modules, 'netlink-xfrm'), { recursive: true });
  for (const name of ['bindings', 'file-uri-to-path', 'node-addon-api']) {
    cpSync(join(root, 'node_modules', name), join(modules, name), { recursive: true });
  }
  return folder;
}

/** A PATH with everything but what builds an addon. */
export function pathWithoutCompiler(): string {
  const folder = temporary();
  const builds = /^(python|make$|gmake|gcc|g\+\+|cc$|c\+\+|clang|x86_64-|aarch64-|node$|npm$|npx$)/;
  for (const from of ['/usr/bin', '/bin']) {
    for (const name of readdirSync(from)) {
      if (builds.test(name) || existsSync(join(folder, name))) continue;
      symlinkSync(join(from, name), join(folder, name));
    }
  }
  symlinkSync(process.execPath, join(folder, 'node'));
  return folder;
}

export interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end. */
export function run(
  command: readonly string[],
  cwd: string,
  env: NodeJS.ProcessEnv = process.env,
): Promise<Ended> {
  const [program = '', ...args] = command;
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd,
      // What node:test and npm hand down is not for the programs here.
      env: { ...env, NODE_TEST_CONTEXT: undefined, NODE_OPTIONS: undefined, CI: undefined },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text) => {
      stderr += text;
    });
    child.on('error', reject);
    child.on('close', (status) => resolve({ status, stdout, stderr }));
  });
}

/** In front of a command: a network namespace of its own. */
export const UNSHARE = process.getuid?.() === 0 ? ['unshare', '--net'] : ['unshare', '-rn'];

/** A program that needs everything: types of its own are not. It prints `synced 0`. */
export const MONITOR = `
import { XfrmMonitor } from 'netlink-xfrm';
const monitor = await XfrmMonitor.open();
console.log('synced', monitor.snapshot().states.length);
await monitor.close();
`;
