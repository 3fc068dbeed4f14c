/**
 * libreswan in the lab: a daemon for each of two hosts. Runs in the guest.
 * @module
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Host, INNER, UNDERLAY } from '../../lib/cli/demo/two-hosts.ts';
import { graft } from './graft.ts';

/** Where Debian's package has its programs, and the daemon looks for them. */
const PROGRAMS = '/usr/libexec/ipsec';

/** Debian's packages. */
export const LIBRESWAN = ['libreswan'] as const;

/**
 * Puts the daemon's programs where it looks for them.
 *
 * @param tools the root of the unpacked packages
 */
export function installPrograms(tools: string): void {
  graft('/usr/libexec', 'ipsec', `${tools}/usr/libexec/ipsec`);
}

/** Settings of a connection (ipsec.conf). */
export type Connection = Readonly<Record<string, string | number>>;

/** A daemon that listens and has its connections. It ends with the guest. */
export class Pluto {
  /** Each of the programs that start it executes the next: this is the daemon. */
  readonly #process: ChildProcess;
  readonly #folder: string;

  /**
   * @param connections by name; what is the same at both ends is known
   */
  static async start(
    host: Host,
    side: 'left' | 'right',
    connections: Readonly<Record<string, Connection>>,
  ): Promise<Pluto> {
    const pluto = new Pluto(host, side, connections);
    for (let i = 0; !existsSync(`${pluto.#folder}/run/pluto.ctl`); i++) {
      if (i > 600) throw new Error(`pluto of ${side} does not listen`);
      await sleep(100);
    }
    pluto.whack('--listen');
    for (const name of Object.keys(connections)) {
      const config = ['--config', `${pluto.#folder}/ipsec.conf`];
      pluto.#run('addconn', ...config, '--ctlsocket', `${pluto.#folder}/run/pluto.ctl`, name);
    }
    return pluto;
  }

  private constructor(
    host: Host,
    side: 'left' | 'right',
    connections: Readonly<Record<string, Connection>>,
  ) {
    const other = side === 'left' ? 'right' : 'left';
    this.#folder = `/mnt/pluto-${side}`;
    const folder = this.#folder;
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(`${folder}/nss`, { recursive: true });
    mkdirSync(`${folder}/run`);
    const base: Connection = {
      left: UNDERLAY[side],
      right: UNDERLAY[other],
      leftid: `@${side}`,
      rightid: `@${other}`,
      leftsubnet: `${INNER[side]}/32`,
      rightsubnet: `${INNER[other]}/32`,
      leftupdown: '/bin/true',
      authby: 'secret',
      auto: 'ignore',
      // Short proposals: less to compute for one slow processor.
      ike: 'aes128-sha2_256-dh19',
      esp: 'aes_gcm128-null',
      rekeyfuzz: '0%',
    };
    const lines = Object.entries(connections).flatMap(([name, own]) => [
      `conn ${name}`,
      ...Object.entries({ ...base, ...own }).map(([key, value]) => `  ${key}=${value}`),
    ]);
    writeFileSync(
      `${folder}/ipsec.conf`,
      `${['config setup', '  ikev1-policy=accept', ...lines].join('\n')}\n`,
    );
    writeFileSync(`${folder}/ipsec.secrets`, ': PSK "made up for two hosts in a laboratory"\n');
    const nss = `sql:${folder}/nss`;
    execFileSync('certutil', ['-N', '--empty-password', '-d', nss], { stdio: ['ignore', 2, 2] });
    const [command, args] = host.command(
      `${PROGRAMS}/pluto`,
      '--nofork',
      '--stderrlog',
      ...['--config', `${folder}/ipsec.conf`],
      ...['--secretsfile', `${folder}/ipsec.secrets`],
      ...['--rundir', `${folder}/run`],
      ...['--nssdir', `${folder}/nss`],
      ...['--ipsecdir', folder],
      ...['--nhelpers', '0'],
    );
    this.#process = spawn(command, args, { stdio: ['ignore', 'ignore', 2] });
  }

  /** Asks the daemon; throws if it refuses. */
  whack(...args: string[]): void {
    this.#run('whack', '--ctlsocket', `${this.#folder}/run/pluto.ctl`, ...args);
  }

  /** Asks the daemon without waiting for what comes of it. */
  tell(...args: string[]): void {
    this.whack('--asynchronous', ...args);
  }

  /** Ends it at once, without a word to the other side or the kernel. */
  kill(): void {
    this.#process.kill('SIGKILL');
  }

  #run(program: string, ...args: string[]): void {
    execFileSync(`${PROGRAMS}/${program}`, args, { stdio: ['ignore', 2, 2] });
  }
}
