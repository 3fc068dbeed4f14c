/**
 * Files at the absolute paths at which a program looks for them, which this machine need not have. In the guest.
 * @module
 */
import { execFileSync } from 'node:child_process';

/** Puts `target` into a folder of the file system, under a name; all else there stays. */
export function graft(folder: string, name: string, target: string): void {
  const place = `/mnt/graft${folder.replaceAll('/', '-')}`;
  const script = `
    mkdir -p ${place}/own ${place}/all
    mount --bind ${folder} ${place}/own
    mount -t tmpfs none ${place}/all
    for one in ${place}/own/*; do ln -s "$one" ${place}/all/; done
    rm -f ${place}/all/${name}
    ln -s ${target} ${place}/all/${name}
    mount --bind ${place}/all ${folder}
  `;
  execFileSync('sh', ['-ec', script], { stdio: ['ignore', 2, 2] });
}

/** Puts strongSwan's daemon and plugins where they look for each other. @param tools the root of the unpacked packages */
export const installCharon = (tools: string) =>
  graft('/usr/lib', 'ipsec', `${tools}/usr/lib/ipsec`);

/** Puts libreswan's programs where its daemon looks for them. */
export const installPluto = (tools: string) =>
  graft('/usr/libexec', 'ipsec', `${tools}/usr/libexec/ipsec`);
