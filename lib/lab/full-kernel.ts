import { cpSync, existsSync, mkdirSync, readdirSync, renameSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type PackageSource, unpack } from './apt.ts';
import { moduleFiles, ROOT_MODULES } from './initramfs.ts';
import type { FetchedKernel } from './kernel.ts';
import { runsAsIs } from './library.ts';
import { firstOf } from './package-files.ts';

/** Debian's standard kernel. Its cloud kernel lacks 9p, which gives the guest access to the host's files. */
const PACKAGE = 'linux-image-amd64';

/** Parts of the module tree that are useful without hardware; the whole tree is eight times larger. */
const MODULES = [
  ...['arch', 'crypto', 'lib', 'net', 'security', 'drivers/net', 'drivers/virtio'],
  ...['fs/9p', 'fs/fscache', 'fs/fuse', 'fs/netfs', 'fs/overlayfs'],
  'drivers/char/virtio_console.ko',
];

/** Hardware drivers. */
const HARDWARE = /^(arcnet|can|ethernet|fddi|hippi|ieee802154|phy|plip|usb|wan|wireless|wwan)$/;

/**
 * Fetches Debian's kernel and lays it out in `result` as the user-mode kernel is: `linux`,
 * `bin/busybox` and the modules. `work` is a directory for intermediate files.
 */
export async function fetchFullKernel(
  packages: PackageSource,
  work: string,
  result: string,
  signal?: AbortSignal,
): Promise<FetchedKernel> {
  // The kernel's packages carry its release in their names, and suites split it differently.
  const kernel = (await packages.closure([PACKAGE])).filter((name) => /^linux-\w+-\d/.test(name));
  const files = await packages.download([...kernel, 'busybox-static']);
  const parts = join(work, 'parts');
  for (const file of files.values()) await unpack(file, parts, signal);

  const busybox = join(result, 'bin/busybox');
  mkdirSync(join(result, 'bin'), { recursive: true });
  renameSync(firstOf(parts, ['bin/busybox', 'usr/bin/busybox']), busybox);
  const from = firstOf(parts, ['usr/lib/modules', 'lib/modules']);
  const release = readdirSync(from)[0] ?? '';
  const source = join(from, release);
  renameSync(
    firstOf(parts, [`usr/lib/modules/${release}/vmlinuz`, `boot/vmlinuz-${release}`]),
    join(result, 'linux'),
  );
  const config = firstOf(parts, [`usr/lib/modules/${release}/config`, `boot/config-${release}`]);
  renameSync(config, join(result, 'config'));

  const modules = join(result, 'lib/modules', release);
  for (const part of MODULES) {
    const tree = join(source, 'kernel', part);
    if (!existsSync(tree)) continue;
    cpSync(tree, join(modules, 'kernel', part), {
      recursive: true,
      filter: (path) => part !== 'drivers/net' || !HARDWARE.test(basename(path)),
    });
  }
  for (const name of readdirSync(source)) {
    if (name.startsWith('modules.')) renameSync(join(source, name), join(modules, name));
  }
  mkdirSync(join(result, 'proc'));
  const run = runsAsIs(signal);
  // Decompress once here instead of in each guest, whose processor is slow.
  const packed = readdirSync(modules, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ko.xz'))
    .map((name) => join(modules, name));
  if (packed.length > 0) await run(busybox, ['unxz', ...packed]);
  await run(busybox, ['depmod', '-b', result, release]);
  // Throws if the kernel lacks the modules for reaching the host.
  moduleFiles(modules, ROOT_MODULES);

  return { release, file: files.get(kernel[0] ?? '') ?? '' };
}
