/**
 * The IPsec SAs of libreswan. Its control socket takes a C struct that changes with each version, so
 * its own program asks.
 * @module
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import type { KeyManager, KeyManagerSa } from './key-manager-sa.ts';
import { PATIENCE } from './key-manager-sa.ts';

/** The default control socket. */
export const CONTROL_SOCKET = '/run/pluto/pluto.ctl';
/** Where distributions install whack: Debian and Fedora, Alpine. */
const WHACK = ['/usr/libexec/ipsec/whack', '/usr/lib/ipsec/whack'];
/** Most bytes of a status: some hundred for each SA. */
const LARGEST = 64 * 2 ** 20;

/** A state of IKEv2, and of IKEv1, whose SAs are in the kernel (libreswan 4 and 5). */
const ESTABLISHED = /^(?:\d+ )?#(\d+): .*(?:ESTABLISHED_CHILD_SA|IPsec SA established)/gm;

/**
 * The SAs in the output of `whack --status`. A state has a line with its name and one with its SAs
 * (libreswan 5 leaves out the number at the beginning):
 *
 *     000 #2: "paris" esp.9c7c3b1d@192.0.2.2 esp.d8f0a9b2@192.0.2.1 tun.0@192.0.2.2 …
 */
export function parseStatus(text: string): KeyManagerSa[] {
  const established = new Set(Array.from(text.matchAll(ESTABLISHED), ([, number]) => number));
  return [...text.matchAll(/^(?:\d+ )?#(\d+): ("[^"]*"\S*) (.*)$/gm)].flatMap(
    ([, number, name = '', rest = '']) =>
      Array.from(
        rest.matchAll(/(?<=^| )(esp|ah)\.([0-9a-f]{1,8})@([0-9a-f.:]+)/g),
        ([, proto, spi = '', daddr = '']): KeyManagerSa => ({
          proto: proto as 'esp' | 'ah',
          spi: Number.parseInt(spi, 16),
          daddr,
          name: name.replaceAll('"', ''),
          installed: established.has(number),
        }),
      ),
  );
}

/** @param path its control socket */
export const libreswan = (path: string): KeyManager => ({
  name: 'libreswan',
  listSas: () =>
    new Promise((resolve, reject) => {
      const whack = WHACK.find((one) => existsSync(one)) ?? 'whack';
      const options = { timeout: PATIENCE, maxBuffer: LARGEST };
      execFile(whack, ['--ctlsocket', path, '--status'], options, (error, stdout, stderr) => {
        if (error === null) resolve(parseStatus(stdout));
        else {
          const reason = (stderr.trim() || stdout.trim() || error.message).split('\n')[0];
          reject(new Error(`libreswan cannot be asked at ${path}: ${reason}`));
        }
      });
    }),
});
