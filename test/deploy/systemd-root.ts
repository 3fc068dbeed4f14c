/** A file system with a systemd of Debian's, in which the lab's guests start it. @module */
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { keep, unpackDebian } from '../debian.ts';

/** kill is of procps; the others are essential, so that no package depends on them. */
const PACKAGES = [
  ...['systemd', 'libnss-systemd', 'procps', 'iproute2', 'libstdc++6'],
  ...['bash', 'dash', 'coreutils', 'util-linux', 'grep'],
];

/** Where the guest mounts something: node, the package, and what can be written to. */
const MOUNTS = ['proc', 'sys', 'dev', 'run', 'tmp', 'var', 'etc', 'host'];
export const NODE = 'usr/local/bin/node';
export const PACKAGE = 'usr/local/lib/node_modules/netlink-xfrm';

export const systemdRoot = (suite: string): Promise<string> =>
  keep(`systemd-${suite}`, async (folder) => {
    await unpackDebian(suite, PACKAGES, folder, true);
    for (const name of ['bin', 'sbin', 'lib', 'lib64']) {
      const path = join(folder, name);
      if (!existsSync(path)) symlinkSync(`usr/${name}`, path);
    }
    if (!existsSync(join(folder, 'bin/sh'))) symlinkSync('dash', join(folder, 'bin/sh'));
    for (const name of [...MOUNTS, PACKAGE, 'usr/local/bin']) {
      mkdirSync(join(folder, name), { recursive: true });
    }
    writeFileSync(join(folder, NODE), '', { mode: 0o755 });
    // As npm install --global leaves it.
    symlinkSync(
      '../lib/node_modules/netlink-xfrm/bin/netlink-xfrm.js',
      join(folder, 'usr/local/bin/netlink-xfrm'),
    );
  });
