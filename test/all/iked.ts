/**
 * OpenIKED in the lab: a daemon for each of two hosts, which uses PF_KEY. Runs in the guest.
 * @module
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Host, INNER, UNDERLAY } from '../kernel/here.ts';
import { graft } from './graft.ts';

/** Debian's packages. */
export const OPENIKED = ['openiked'] as const;

/** What the daemon wants of a machine: PF_KEY, a user, a key of its own. */
export function prepareMachine(): void {
  const modprobe = readFileSync('/proc/sys/kernel/modprobe', 'utf8').trim();
  execFileSync(modprobe, ['af_key'], { stdio: ['ignore', 2, 2] });
  mkdirSync('/mnt/empty');
  for (const name of ['ca', 'certs', 'crls', 'private', 'pubkeys']) {
    mkdirSync(`/mnt/iked/${name}`, { recursive: true });
  }
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const key = privateKey.export({ type: 'sec1', format: 'pem' });
  writeFileSync('/mnt/iked/private/local.key', key, { mode: 0o600 });
  graft('/etc', 'iked', '/mnt/iked');
  const users = readFileSync('/etc/passwd', 'utf8');
  // Now a link to this machine's.
  rmSync('/etc/passwd');
  writeFileSync('/etc/passwd', `${users}_iked:x:65533:65534::/mnt/empty:/usr/sbin/nologin\n`);
}

/** A daemon that listens. It ends with the guest. */
export class Iked {
  /** Each of the programs that start it executes the next: this is the daemon's parent process. */
  readonly #process: ChildProcess;

  /** @param lifetime seconds after which SAs are rekeyed */
  static async start(host: Host, side: 'left' | 'right', lifetime: number): Promise<Iked> {
    const folder = `/mnt/iked-${side}`;
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder);
    const iked = new Iked(host, side, folder, lifetime);
    for (let i = 0; !existsSync(`${folder}/control`); i++) {
      if (i > 600) throw new Error(`iked of ${side} does not listen`);
      await sleep(100);
    }
    return iked;
  }

  private constructor(host: Host, side: 'left' | 'right', folder: string, lifetime: number) {
    const other = side === 'left' ? 'right' : 'left';
    const words = [
      `ikev2 "tunnel" ${side === 'left' ? 'active' : 'passive'} esp`,
      `from ${INNER[side]} to ${INNER[other]}`,
      `local ${UNDERLAY[side]} peer ${UNDERLAY[other]}`,
      'ikesa enc aes-128 prf hmac-sha2-256 auth hmac-sha2-256 group ecp256',
      // Of the hashes it knows, PF_KEY in Linux has that.
      'childsa enc aes-128 auth hmac-sha1',
      `srcid ${side} dstid ${other}`,
      `ikelifetime 3600 lifetime ${lifetime} bytes 100M`,
      'psk "made up for two hosts"',
    ];
    writeFileSync(`${folder}/iked.conf`, `set nomobike\n${words.join(' ')}\n`, { mode: 0o600 });
    const [command, args] = host.command(
      'unshare',
      '--mount',
      'sh',
      '-c',
      `mount -t tmpfs none /run && exec iked -d -f ${folder}/iked.conf -s ${folder}/control`,
    );
    this.#process = spawn(command, args, { stdio: ['ignore', 2, 2] });
  }

  /** Ends it, and its SAs. */
  stop(): void {
    this.#process.kill('SIGTERM');
  }
}
