/**
 * Finds and loads the native addon: built locally, otherwise prebuilt for this system; for a
 * bundle, next to it.
 * @module
 */
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { once } from '../base/once.ts';
import { AddonError } from './error.ts';

/**
 * This file, or the bundle that contains it; import.meta is empty in a CommonJS bundle.
 * `__filename` is not tried first: with `node -e`, and in workers made from a string, it is a
 * global, `[eval]`, even in modules.
 */
const self = once(() => {
  const own = import.meta.url ? fileURLToPath(import.meta.url) : __filename;
  // webpack hardcodes the path that this file had at build time; in that case the program is next
  // to the addon.
  const program = process.argv[1];
  return existsSync(own) || program === undefined || !existsSync(program)
    ? own
    : realpathSync(program);
});
// The `require` of a bundle or of a single executable only knows built-in modules.
const required = once(() => createRequire(self()));

/** The directory of this package, if this file is in it, or the bundle can resolve it. */
function packageFolder(): string | undefined {
  // Resolving takes longer than loading the addon.
  const own = join(dirname(self()), '../../..');
  if (existsSync(join(own, 'bin/netlink-xfrm.js'))) return own;
  try {
    return dirname(required().resolve('netlink-xfrm/package.json'));
  } catch {
    return undefined;
  }
}

/** The beginning of the program that this process runs, where an ELF file names its interpreter. */
function programStart(): string {
  const file = openSync(process.execPath, 'r');
  try {
    const start = Buffer.alloc(4096);
    return start.toString('latin1', 0, readSync(file, start));
  } finally {
    closeSync(file);
  }
}

/** Whether this process runs on musl: a glibc that is also installed does not matter. */
function isMusl(): boolean {
  try {
    // Unless the interpreter was called as a program. The kernel takes a millisecond to list the maps.
    const interpreter = /\/ld-(musl|linux)-/.exec(programStart());
    if (interpreter !== null) return interpreter[1] === 'musl';
    return /\/(ld-musl-|libc\.musl-)/.test(readFileSync('/proc/self/maps', 'latin1'));
  } catch {
    // /proc is missing or unreadable (node --permission). The report is slower, and would also look
    // up the host names of all peers of this process's sockets, without excludeNetwork, which Node
    // has since 20.13.
    const report = process.report as NodeJS.ProcessReport & { excludeNetwork: boolean };
    const before = report.excludeNetwork;
    report.excludeNetwork = true;
    const { header } = report.getReport() as { header: { glibcVersionRuntime?: string } };
    report.excludeNetwork = before;
    return header.glibcVersionRuntime === undefined;
  }
}

const system = () => `${process.platform}-${process.arch}`;
/** The directory in prebuilds/ for this system. */
const target = () => `linux${isMusl() ? 'musl' : ''}-${process.arch}`;

/**
 * The addon from the assets of a single executable, loaded from a temporary file that is removed
 * immediately.
 */
function loadAsset(): unknown {
  const sea = process.getBuiltinModule('node:sea');
  if (!sea?.isSea()) return undefined;
  let asset: ArrayBuffer;
  try {
    asset = sea.getRawAsset('netlink.node') as ArrayBuffer;
  } catch {
    return undefined; // no such asset
  }
  const folder = mkdtempSync(join(tmpdir(), 'netlink-xfrm-'));
  try {
    const path = join(folder, 'netlink.node');
    writeFileSync(path, new Uint8Array(asset), { mode: 0o700 });
    return required()(path);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/**
 * Loads with the package `bindings`, using our list of locations instead of its own. The usual
 * case, nothing but a prebuilt addon, needs no search, and loading `bindings` takes longer than
 * loading the addon.
 */
function loadInstalled(folder: string): unknown {
  if (!existsSync(join(folder, 'native/build/Release/netlink.node'))) {
    const prebuilt = join(folder, 'prebuilds', target(), 'netlink.node');
    if (existsSync(prebuilt)) return required()(prebuilt);
  }
  const bindings = createRequire(join(folder, 'package.json'))('bindings');
  return bindings({
    bindings: 'netlink',
    module_root: folder,
    // Evaluated only if nothing was built locally.
    get target() {
      return target();
    },
    try: [
      ['module_root', 'native', 'build', 'Release', 'bindings'],
      ['module_root', 'prebuilds', 'target', 'bindings'],
    ],
  });
}

/** Loads from the directory of a bundle, or from a copy of prebuilds/ next to it. */
function loadBeside(folder: string | undefined): unknown {
  const here = dirname(self());
  const beside = join(here, 'netlink.node');
  if (existsSync(beside)) return required()(beside);
  if (folder !== undefined) return undefined;
  const prebuilt = join(here, 'prebuilds', target(), 'netlink.node');
  if (existsSync(prebuilt)) return required()(prebuilt);
  throw Object.assign(new Error('no addon next to the bundle'), { tries: [beside, prebuilt] });
}

function unsupported(message: string, hint: string): never {
  throw new AddonError('ERR_ADDON_UNSUPPORTED', message, hint);
}

/** @throws AddonError with a hint */
export function load(): unknown {
  const without = 'recordings, filters, decoding and encoding work without the addon';
  // Bun ends the process at the first call of a libuv function that it lacks.
  if (process.versions.bun !== undefined) {
    unsupported("the native addon needs Node's event loop; this is Bun", `use Node; ${without}`);
  }
  if (process.platform !== 'linux') {
    unsupported(`netlink sockets exist on Linux only; this is ${system()}`, without);
  }
  const folder = packageFolder();
  try {
    return loadAsset() ?? loadBeside(folder) ?? loadInstalled(folder as string);
  } catch (cause) {
    throw explain(cause as NodeJS.ErrnoException & { tries?: string[] }, folder);
  }
}

/** Explains why loading failed, and what to do. */
function explain(
  error: NodeJS.ErrnoException & { tries?: string[] },
  folder: string | undefined,
): AddonError {
  const build =
    folder === undefined
      ? 'copy the prebuilds folder of the package netlink-xfrm next to the bundle'
      : `to build it, with python3, make and g++: cd ${folder} && npm run build:native`;
  // Only "not found" lists the locations; any other error comes from process.dlopen.
  if (error.tries) {
    const message = `no native addon for ${target()} was found; looked for ${error.tries.join(', ')}`;
    return new AddonError('ERR_ADDON_NOT_FOUND', message, build, error);
  }
  if (error.code === 'ERR_DLOPEN_DISABLED') {
    const message = 'native addons are disabled';
    const hint = 'with --permission, add --allow-addons; otherwise remove --no-addons';
    return new AddonError('ERR_ADDON_NOT_LOADED', message, hint, error);
  }
  if (error.code === 'ERR_ACCESS_DENIED') {
    const message = `Node's permission model hides the native addon for ${system()}`;
    const hint = `add --allow-addons --allow-fs-read=${folder ?? dirname(self())}`;
    return new AddonError('ERR_ADDON_NOT_LOADED', message, hint, error);
  }
  const why = error.message.replaceAll('\n', ' ').trim();
  const message = `the native addon was found but failed to load on ${target()}: ${why}`;
  const hint = `it was built for another system, or is damaged; ${build}`;
  return new AddonError('ERR_ADDON_NOT_LOADED', message, hint, error);
}
