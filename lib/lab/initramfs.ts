import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { LabError } from './errors.ts';

/** An entry of the archive; a directory has no `data`. */
interface Entry {
  readonly path: string;
  readonly mode: number;
  readonly data?: Uint8Array;
}

const DIRECTORY = 0o040755;
const PROGRAM = 0o100755;

/** The header's fields and each file's data start at multiples of 4 bytes. */
const padding = (length: number) => Buffer.alloc(-length & 3);

/**
 * A cpio archive in `newc` format, which the kernel unpacks as its first root file system. Format: the
 * kernel's Documentation/driver-api/early-userspace/buffer-format.rst.
 */
export function archive(entries: readonly Entry[]): Buffer {
  const parts: Buffer[] = [];
  const add = ({ path, mode, data = new Uint8Array() }: Entry, inode: number) => {
    const name = Buffer.from(`${path}\0`);
    // inode, mode, uid, gid, links, mtime, size, device and rdev (2 each), name size, checksum
    const fields = [inode, mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, name.length, 0];
    const hex = fields.map((field) => field.toString(16).padStart(8, '0')).join('');
    const header = Buffer.concat([Buffer.from(`070701${hex}`), name]);
    parts.push(header, padding(header.length), Buffer.from(data), padding(data.length));
  };
  entries.forEach((entry, index) => {
    add(entry, index + 1);
  });
  add({ path: 'TRAILER!!!', mode: 0 }, 0);
  return Buffer.concat(parts);
}

/**
 * The files of modules and their dependencies in load order, without those built into the kernel. Reads depmod's
 * `modules.dep` and the kernel's `modules.builtin`.
 *
 * @param modules - the directory `lib/modules/RELEASE`
 * @throws LabError if the kernel has one of them neither built in nor as a module
 */
export function moduleFiles(modules: string, names: readonly string[]): string[] {
  const needs = new Map<string, string[]>();
  for (const line of readFileSync(join(modules, 'modules.dep'), 'utf8').split('\n')) {
    const [file = '', list = ''] = line.split(':');
    needs.set(basename(file, '.ko'), [file, ...list.split(' ').filter(Boolean)]);
  }
  const builtin = readFileSync(join(modules, 'modules.builtin'), 'utf8')
    .split('\n')
    .map((file) => basename(file, '.ko'));
  const missing = names.filter((name) => !needs.has(name) && !builtin.includes(name));
  if (missing.length > 0) {
    const message = `The kernel ${basename(modules)} has no ${missing.join(', ')}.`;
    throw new LabError('LAB_BOOT', message, 'Try another suite.');
  }
  // A module's line lists its dependencies, the first of which must be loaded last.
  const files = names.flatMap((name) => (needs.get(name) ?? []).toReversed());
  return [...new Set(files)].map((file) => join(modules, file));
}

/** Modules for mounting the host's files over virtio-9p, after which the guest's own process 1 takes over. */
export const ROOT_MODULES = ['virtio_pci', 'virtio_console', '9pnet_virtio', '9p'];

/** Options common to all 9p mounts of a guest; msize is the largest that virtio supports. */
export const NINE_P = 'trans=virtio,version=9p2000.L,msize=512000';

/**
 * The initramfs of a full kernel: a static busybox, the modules for reaching the host's files, and a script
 * that loads them, mounts the files read-only and runs `init` from there.
 */
export function initramfs(busybox: string, modules: string, init: string): Buffer {
  const files = moduleFiles(modules, ROOT_MODULES);
  const script = `#!/bin/busybox sh
# This shell finds its own commands by /proc/self/exe.
/bin/busybox mount -t proc proc /proc
for module in ${files.map((file) => basename(file)).join(' ')}; do
  insmod /modules/$module
done
# Nothing but what the share holds changes under a guest, so that what it read may be kept.
mount -t 9p -o ${NINE_P},ro,cache=loose files /root && exec switch_root /root ${init}
echo "lab: cannot mount the machine's files" >/dev/console
poweroff -f
`;
  return archive([
    ...['bin', 'dev', 'modules', 'proc', 'root'].map((path) => ({ path, mode: DIRECTORY })),
    { path: 'bin/busybox', mode: PROGRAM, data: readFileSync(busybox) },
    ...files.map((file) => ({
      path: `modules/${basename(file)}`,
      mode: 0o100644,
      data: readFileSync(file),
    })),
    { path: 'init', mode: PROGRAM, data: Buffer.from(script) },
  ]);
}
