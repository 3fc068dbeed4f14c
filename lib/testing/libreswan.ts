/** libreswan on two hosts: a pluto on each, with a built-in tunnel configuration or your own files. @module */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { hosts, names } from './argument.ts';
import {
  checkFiles,
  Daemon,
  type DaemonPair,
  type DaemonSettings,
  findProgram,
  type Side,
  startPair,
} from './daemon.ts';
import type { Host } from './host.ts';
import { finished, type ProgramOutput } from './program.ts';

/** Where distributions install it: Debian and Fedora, Alpine. */
const PLUTO = ['/usr/libexec/ipsec/pluto', '/usr/lib/ipsec/pluto'];
const PACKAGES = 'Debian, Ubuntu, Fedora and Alpine: libreswan';

/** Finds the daemon. @throws TestingError `ERR_PROGRAM_MISSING` naming the packages that provide it */
export const findPluto = (): string => findProgram(PLUTO, 'libreswan', PACKAGES);

/** Changes to the default tunnel. */
export interface LibreswanOptions {
  /** Options of the connection (ipsec.conf): `{ salifetime: '16s' }`. */
  readonly connection?: DaemonSettings | undefined;
  /** Options of the left host's connection only. */
  readonly leftConnection?: DaemonSettings | undefined;
  /** Connections by name, each with its options, the same for both hosts or by side. Default: one called `tunnel`. */
  readonly connections?: ((side: Side) => Readonly<Record<string, DaemonSettings>>) | undefined;
  /** Folders with your own ipsec.conf and ipsec.secrets, one per host, instead of all options above. */
  readonly files?: { readonly left: string; readonly right: string } | undefined;
}

const OPTIONS = ['connection', 'leftConnection', 'connections', 'files'];

function configuration(own: Host, other: Host, side: Side, options: LibreswanOptions): string {
  const far = side === 'left' ? 'right' : 'left';
  const base: DaemonSettings = {
    left: own.address,
    right: other.address,
    leftid: `@${side}`,
    rightid: `@${far}`,
    leftsubnet: `${own.inner}/32`,
    rightsubnet: `${other.inner}/32`,
    leftupdown: '/bin/true',
    authby: 'secret',
    auto: 'ignore',
    // Short proposals: less to compute on a slow processor.
    ike: 'aes128-sha2_256-dh19',
    esp: 'aes_gcm128-null',
    rekeyfuzz: '0%',
    ...options.connection,
    ...(side === 'left' ? options.leftConnection : {}),
  };
  const lines = Object.entries(connectionsOf(side, options)).flatMap(([name, settings]) => [
    `conn ${name}`,
    ...Object.entries({ ...base, ...settings }).map(([key, value]) => `  ${key}=${value}`),
  ]);
  return `${['config setup', '  ikev1-policy=accept', ...lines].join('\n')}\n`;
}

const connectionsOf = (side: Side, { connections }: LibreswanOptions) =>
  connections?.(side) ?? { tunnel: {} };

/** A pluto that is listening and has loaded its connections. */
export class Pluto extends Daemon {
  readonly #programs: string;

  /** Starts one of the two. */
  static async start(
    own: Host,
    other: Host,
    side: Side,
    options: LibreswanOptions = {},
  ): Promise<Pluto> {
    hosts({ own, other });
    names('options', options, OPTIONS);
    checkFiles(options.files, ['ipsec.conf', 'ipsec.secrets']);
    const program = findPluto();
    const pluto = new Pluto(own, own.folder(), program);
    const { folder } = pluto;
    const files = options.files?.[side] ?? folder;
    const file = join(files, 'ipsec.conf');
    const socket = ['--ctlsocket', join(folder, 'run/pluto.ctl')];
    for (const name of ['nss', 'run']) mkdirSync(join(folder, name));
    if (files === folder) {
      writeFileSync(file, configuration(own, other, side, options));
      const secret = ': PSK "made up for two hosts in a laboratory"\n';
      writeFileSync(join(folder, 'ipsec.secrets'), secret, { mode: 0o600 });
    }
    const nss = `sql:${join(folder, 'nss')}`;
    await finished(own.spawn('certutil', ['-N', '--empty-password', '-d', nss]), 'certutil -N');
    const args = ['--nofork', '--stderrlog', '--config', file, '--nssdir', join(folder, 'nss')];
    args.push('--secretsfile', join(files, 'ipsec.secrets'), '--rundir', join(folder, 'run'));
    args.push('--ipsecdir', files, '--nhelpers', '0');
    const loaded = options.files ? ['--autoall'] : Object.keys(connectionsOf(side, options));
    await pluto.start({ program, args, ready: 'run/pluto.ctl' }, async () => {
      await pluto.whack('--listen');
      for (const name of loaded) {
        await pluto.ask(join(pluto.#programs, 'addconn'), ['--config', file, ...socket, name]);
      }
    });
    return pluto;
  }

  private constructor(own: Host, folder: string, program: string) {
    super(own, 'pluto', folder);
    this.#programs = dirname(program);
  }

  /** Runs whack. @throws TestingError with its output and the end of the daemon's log */
  whack(...args: string[]): Promise<ProgramOutput> {
    const socket = join(this.folder, 'run/pluto.ctl');
    return this.ask(join(this.#programs, 'whack'), ['--ctlsocket', socket, ...args]);
  }

  /** Sends a whack command without waiting for its result. */
  async tell(...args: string[]): Promise<void> {
    await this.whack('--asynchronous', ...args);
  }

  /** Brings a connection up; default the one of {@link libreswan}. */
  async initiate(name = 'tunnel'): Promise<void> {
    await this.whack('--initiate', '--name', name);
  }

  /** Rekeys the SAs of a connection. */
  async rekey(name = 'tunnel'): Promise<void> {
    await this.whack('--rekey-ipsec', '--name', name);
  }
}

/** Both daemons. */
export type LibreswanPair = DaemonPair<Pluto>;

/**
 * Starts libreswan on two hosts, with a tunnel between their inner addresses and a pre-shared key for IKE. Bring it
 * up with `left.initiate()`.
 *
 * @throws TestingError `ERR_PROGRAM_MISSING` with the packages, `ERR_PROGRAM_FAILED` with a daemon's log
 */
export const libreswan = (
  left: Host,
  right: Host,
  options: LibreswanOptions = {},
): Promise<LibreswanPair> =>
  startPair({ left, right }, (own, other, side) => Pluto.start(own, other, side, options));
