// Checks the package before it is published; `folder` contains its unpacked tarball.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { GLIBC, TARGETS } from './prebuild.mjs';

/** Bytes, and files. */
export const LIMITS = { packed: 1_500_000, unpacked: 4_000_000, files: 120 };

/** Scripts that npm runs, or asks to run, when someone installs the package. */
const AT_INSTALL = ['preinstall', 'install', 'postinstall', 'prepare'];

const newer = (a, b) => a.localeCompare(b, 'en', { numeric: true }) > 0;
const readelf = (...args) =>
  execFileSync('readelf', ['--wide', ...args], { encoding: 'utf8', maxBuffer: 2 ** 28 });

/** Checks what a prebuilt addon requires of the system that loads it. */
function checkAddon(folder, target) {
  const path = join(folder, 'prebuilds', target, 'netlink.node');
  const name = `prebuilds/${target}`;
  if (!existsSync(path)) return [`${name}/netlink.node is missing`];
  const wrong = [];
  const machine = target.endsWith('arm64') ? 'AArch64' : 'X86-64';
  if (!readelf('-h', path).includes(machine)) wrong.push(`${name} is not for ${machine}`);
  const dynamic = readelf('-d', path);
  const needed = [...dynamic.matchAll(/\(NEEDED\).*\[(.+)\]/g)].map(([, library]) => library);
  const musl = target.startsWith('linuxmusl');
  const allowed = musl ? /^libc\.so$/ : /^(lib(c|m|dl|pthread)\.so\.\d|ld-linux.*)$/;
  for (const library of needed) {
    if (!allowed.test(library)) wrong.push(`${name} needs ${library}`);
  }
  const versions = [...readelf('-V', path).matchAll(/\b(GLIBC|GLIBCXX|CXXABI|GCC)_([\d.]+)/g)];
  for (const [symbol, library, version] of versions) {
    if (musl || library !== 'GLIBC' || newer(version, GLIBC)) wrong.push(`${name} needs ${symbol}`);
  }
  return [...new Set(wrong)];
}

/** An import of a package, as bundled code has it. */
const OF_PACKAGE =
  /^(?:import|export)\b[^;"]*?"((?:@[^/"]+\/)?[^."/:][^/":]*)(?:\/[^"]*)?"|\bimport\("((?:@[^/"]+\/)?[^."/:][^/":]*)/gm;

/** Packages that published code imports, and that are not installed with it. */
function checkImports(folder, path, manifest) {
  const has = { ...manifest.dependencies, ...manifest.peerDependencies, [manifest.name]: true };
  const text = readFileSync(join(folder, path), 'utf8');
  const named = [...text.matchAll(OF_PACKAGE)].map(([, from, later]) => from ?? later);
  const missing = new Set(named.filter((name) => !Object.hasOwn(has, name)));
  return [...missing].map((name) => `${path} imports ${name}, which is not a dependency`);
}

/** Paths named by a value of `exports` or `bin`. */
const paths = (value) =>
  typeof value === 'string' ? [value] : Object.values(value).flatMap(paths);

/**
 * Checks what publishing requires in addition to {@link checkPackage}.
 * @returns the problems, one per line
 */
export function checkRelease({ version, ...manifest }, changelog) {
  const wrong = [];
  const sections = Array.from(changelog.matchAll(/^## (\S+)/gm), ([, name]) => name);
  if (!sections.includes(version)) wrong.push(`CHANGELOG.md has no section ${version}`);
  if (sections.includes('Unreleased')) wrong.push('CHANGELOG.md has changes that are Unreleased');
  // The published provenance also names the repository, and npm compares the two.
  for (const name of ['repository', 'bugs', 'homepage']) {
    if (manifest[name] === undefined) wrong.push(`package.json has no '${name}'`);
  }
  return wrong;
}

/** @returns the problems, one per line */
export function checkPackage(folder, packed) {
  const wrong = [];
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  for (const name of AT_INSTALL) {
    if (manifest.scripts?.[name] !== undefined) wrong.push(`package.json has a script '${name}'`);
  }
  if (manifest.gypfile !== false) wrong.push("package.json lacks 'gypfile': false");
  const entries = readdirSync(folder, { recursive: true });
  const files = entries.filter((path) => statSync(join(folder, path)).isFile());
  // npm would add an install script: node-gyp rebuild.
  for (const path of files) if (/^[^/]+\.gyp$/.test(path)) wrong.push(`${path} is at the root`);
  for (const path of [...[manifest.exports, manifest.bin, manifest.man].flatMap(paths)]) {
    if (!path.includes('*') && !existsSync(join(folder, path))) wrong.push(`${path} is missing`);
    const declarations = path.replace(/\.js$/, '.d.ts');
    if (path.startsWith('./dist/') && !existsSync(join(folder, declarations)))
      wrong.push(`${declarations} is missing`);
  }
  for (const path of [
    'LICENSE',
    'README.md',
    'CHANGELOG.md',
    'native/binding.gyp',
    'dist/lib/LICENSES.txt',
    'src/index.ts',
    'src/addon.cc',
  ]) {
    if (!existsSync(join(folder, path))) wrong.push(`${path} is missing`);
  }
  for (const path of files.filter((name) => /^(bin|dist\/lib\/(?!page\/).*)\b.*\.js$/.test(name))) {
    wrong.push(...checkImports(folder, path, manifest));
  }
  // All of these are reachable through the code's maps, except the one that only re-exports.
  const unmapped = new Set(files.filter((name) => /^src\/(?!index\.ts).*\.ts$/.test(name)));
  for (const path of files.filter((name) => /^dist\/.*\.(js|d\.ts)$/.test(name))) {
    const [, map] =
      /# sourceMappingURL=(.+)\n*$/.exec(readFileSync(join(folder, path), 'utf8')) ?? [];
    if (map === undefined) continue;
    const { sources } = JSON.parse(readFileSync(join(folder, path, '..', map), 'utf8'));
    for (const source of sources) {
      const name = join(path, '..', source);
      if (!existsSync(join(folder, name))) wrong.push(`${path}: no source ${source}`);
      if (path.endsWith('.js')) unmapped.delete(name);
    }
  }
  for (const source of unmapped) wrong.push(`no map leads to ${source}`);
  wrong.push(...Object.keys(TARGETS).flatMap((target) => checkAddon(folder, target)));
  const unpacked = files.reduce((sum, path) => sum + statSync(join(folder, path)).size, 0);
  const sizes = { packed, unpacked, files: files.length };
  for (const [name, limit] of Object.entries(LIMITS)) {
    if (sizes[name] > limit) wrong.push(`${name}: ${sizes[name]}, more than ${limit}`);
  }
  return wrong;
}
