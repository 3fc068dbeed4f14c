/**
 * What stands in for the base images of the Dockerfiles, since no image registry is asked: file systems of Debian's
 * packages, fetched as the lab fetches its kernels, and Node from npm. They are kept in the lab's cache.
 * @module
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { keep, unpackDebian } from '../debian.ts';
import { nodeOf, root, script, tools } from '../package/packed.ts';

/** Programs that busybox has and a base image is expected to have. */
const APPLETS = [
  'sh',
  'ls',
  'cat',
  'mkdir',
  'rm',
  'cp',
  'ln',
  'mv',
  'chmod',
  'env',
  'sleep',
  'id',
  'true',
  'readlink',
  'mount',
];

/**
 * apt-get and apk of a base image that holds already what a Dockerfile asks for. Of that it must hold everything: a
 * package is known by its folder of documentation.
 */
const PACKAGE_MANAGER = `#!/bin/sh
for word; do
  case $word in
    -*|install|update|add) ;;
    *) [ -e /usr/share/doc/$word ] || { echo "$0: the stand-in has no $word" >&2; exit 100; } ;;
  esac
done
`;

/** Musl's Node: a program made of it (single executable) and the bundle pnpm. */
const MUSL_NODE = {
  name: '@pnpm/linuxstatic-x64@11.21.0',
  integrity:
    'sha512-6Y2u+AfOUuTqWgTCpFhySL8HAcONDucCFixKle9tWoW7bm8RF0+fwQBRWNWGdx+Toau07wZ1LNZPqN8gpgeBDQ==',
};

/** Directories, users and busybox programs, in addition to the packages' content. */
function furnish(folder: string, manager: string): void {
  for (const name of ['dev', 'proc', 'sys', 'run', 'root', 'etc', 'home/node', 'usr/local/bin']) {
    mkdirSync(join(folder, name), { recursive: true });
  }
  for (const name of ['tmp', 'var/tmp']) {
    mkdirSync(join(folder, name), { recursive: true });
    chmodSync(join(folder, name), 0o1777);
  }
  writeFileSync(
    join(folder, 'etc/passwd'),
    'root:x:0:0::/root:/bin/sh\nnode:x:1000:1000::/home/node:/bin/sh\n',
  );
  writeFileSync(join(folder, 'etc/group'), 'root:x:0:\nnode:x:1000:\n');
  for (const name of APPLETS) {
    const path = join(folder, 'bin', name);
    if (!existsSync(path)) symlinkSync('busybox', path);
  }
  mkdirSync(join(folder, 'usr/bin'), { recursive: true });
  symlinkSync('/bin/busybox', join(folder, 'usr/bin/env'));
  writeFileSync(join(folder, 'usr/local/bin', manager), PACKAGE_MANAGER, { mode: 0o755 });
}

/** A copy of a base image, with node and npm where the images of Node have them. */
function addNode(folder: string, base: string, node: string): void {
  execFileSync('cp', ['-a', `${base}/.`, folder]);
  const local = join(folder, 'usr/local');
  mkdirSync(join(local, 'bin'), { recursive: true });
  mkdirSync(join(local, 'lib/node_modules'), { recursive: true });
  cpSync(node, join(local, 'bin/node'));
  cpSync(join(tools, 'npm11'), join(local, 'lib/node_modules/npm'), { recursive: true });
  symlinkSync('../lib/node_modules/npm/bin/npm-cli.js', join(local, 'bin/npm'));
}

/** `debian:bookworm-slim`. */
export const debian = () =>
  keep('debian', async (folder) => {
    const names = ['libc6', 'libgcc-s1', 'libstdc++6', 'busybox-static', 'libcap2', 'libcap2-bin'];
    // For setpriv and nsenter; and flock, which the lab needs.
    const utilities = ['util-linux', 'libcap-ng0', 'libselinux1', 'libpcre2-8-0'];
    await unpackDebian('bookworm', [...names, ...utilities], folder);
    furnish(folder, 'apt-get');
  });

/** `node:24-bookworm-slim`. */
export const debianNode = () =>
  keep('debian-with-node', async (folder) => addNode(folder, await debian(), nodeOf(24)));

/** `alpine:3`: musl, and Debian's libstdc++ (musl.c). */
export const alpine = () =>
  keep('alpine', async (folder) => {
    await unpackDebian('bookworm', ['busybox-static'], folder);
    const fetched = mkdtempSync(`${folder}.musl-`);
    await unpackDebian('trixie', ['musl', 'libstdc++6', 'libgcc-s1'], fetched);
    const from = (path: string, to: string) =>
      cpSync(join(fetched, 'usr/lib', path), join(folder, to), { dereference: true });
    from('x86_64-linux-musl/libc.so', 'lib/ld-musl-x86_64.so.1');
    symlinkSync('ld-musl-x86_64.so.1', join(folder, 'lib/libc.musl-x86_64.so.1'));
    for (const name of ['libstdc++.so.6', 'libgcc_s.so.1']) {
      from(`x86_64-linux-gnu/${name}`, `lib/${name}`);
    }
    rmSync(fetched, { recursive: true });
    const { zig } = await script('prebuild.mjs');
    const source = join(root, 'test/containers/musl.c');
    const shim = join(folder, 'lib/ld-linux-x86-64.so.2');
    const args = ['-target', 'x86_64-linux-musl', '-shared', '-fPIC', '-Os', '-o', shim, source];
    execFileSync(zig(), ['cc', ...args], { stdio: ['ignore', 2, 2] });
    furnish(folder, 'apk');
    mkdirSync(join(folder, 'usr/share/doc/libstdc++'), { recursive: true });
  });

/** `node:24-alpine`. It is Node 26: no other for musl is on npm. */
export const alpineNode = () =>
  keep('alpine-with-node', async (folder) => {
    const fetched = mkdtempSync(`${folder}.node-`);
    execFileSync('npm', ['pack', MUSL_NODE.name], { cwd: fetched, stdio: ['ignore', 2, 2] });
    const [tarball = ''] = readdirSync(fetched);
    const bytes = readFileSync(join(fetched, tarball));
    const integrity = `sha512-${createHash('sha512').update(bytes).digest('base64')}`;
    if (integrity !== MUSL_NODE.integrity) throw new Error(`${MUSL_NODE.name} is ${integrity}`);
    execFileSync('tar', ['-xzf', tarball], { cwd: fetched });
    const node = join(fetched, 'package/pnpm');
    // The digit says whether a single executable starts its program or is Node alone (lib/internal/main/embedding.js).
    const program = readFileSync(node);
    const fuse = program.indexOf('NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2:1');
    if (fuse < 0) throw new Error(`${MUSL_NODE.name} is no single executable`);
    program[program.indexOf(':', fuse) + 1] = '0'.charCodeAt(0);
    writeFileSync(node, program);
    chmodSync(node, 0o755);
    addNode(folder, await alpine(), node);
    rmSync(fetched, { recursive: true });
  });
