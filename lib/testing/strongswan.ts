/** strongSwan on two hosts: a charon on each, with a built-in tunnel configuration or your own files. @module */
import { existsSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { integer } from '../base/argument.ts';
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
import type { ProgramOutput } from './program.ts';

/** Where distributions install it: Debian, Fedora, Alpine and Arch. */
const CHARON = [
  '/usr/lib/ipsec/charon',
  '/usr/libexec/strongswan/charon',
  '/usr/lib/strongswan/charon',
];
const PACKAGES =
  'Debian and Ubuntu: apt-get install strongswan-charon strongswan-swanctl libstrongswan-standard-plugins ' +
  'libstrongswan-extra-plugins; Fedora and Alpine: strongswan';

/** Finds the daemon. @throws TestingError `ERR_PROGRAM_MISSING` naming the packages that provide it and swanctl */
export function findCharon(): string {
  const charon = findProgram(CHARON, 'strongSwan', PACKAGES);
  // Debian has it in a package of its own, which that of the daemon does not depend on.
  const folders = (process.env.PATH ?? '').split(delimiter);
  findProgram(
    folders.map((folder) => join(folder, 'swanctl')),
    'strongSwan’s swanctl',
    PACKAGES,
  );
  return charon;
}

/** Changes to the default tunnel. */
export interface StrongswanOptions {
  /** Options of each daemon (strongswan.conf, section charon). */
  readonly daemon?: DaemonSettings | undefined;
  /** Options of each connection (swanctl.conf): `{ dpd_delay: '1s' }`. */
  readonly connection?: DaemonSettings | undefined;
  /** Options of its child, which is called `inner`: `{ rekey_time: '4s' }`. */
  readonly child?: DaemonSettings | undefined;
  /** Options of the left host's child only: `{ start_action: 'trap' }`. */
  readonly leftChild?: DaemonSettings | undefined;
  /**
   * Number of connections, named `tunnel1`, `tunnel2` …. Default: one connection for all traffic; otherwise each carries
   * one UDP port of the right host, from 1001 on.
   */
  readonly tunnels?: number | undefined;
  /** Folders with your own swanctl.conf and optional strongswan.conf, one per host, instead of all options above. */
  readonly files?: { readonly left: string; readonly right: string } | undefined;
}

const OPTIONS = ['daemon', 'connection', 'child', 'leftChild', 'tunnels', 'files'];
/** Each has a port of its own, from 1001 on. */
const MOST_TUNNELS = 60_000;

const lines = (settings: DaemonSettings = {}) =>
  Object.entries(settings)
    .map(([name, value]) => `${name} = ${value}`)
    .join('\n');

/** Enough for the built-in tunnel, whatever else is installed. */
const PLUGINS =
  'random nonce openssl pem pkcs1 pubkey hmac kdf sha1 sha2 aes gcm x509 kernel-netlink socket-default vici';

/** Settings of the kit, after the user's file if there is one: later settings win. */
function strongswanConf(
  folder: string,
  daemon: DaemonSettings | undefined,
  file: string | undefined,
) {
  const own = { load_modular: 'no', load: PLUGINS };
  return `${file === undefined ? '' : `include ${file}`}
charon {
  ${lines({ ...(file === undefined ? own : {}), ...daemon })}
  filelog {
    stderr {
      flush_line = yes
    }
  }
  plugins {
    vici {
      socket = unix://${folder}/vici
    }
  }
}
${file === undefined ? 'swanctl {\n  load = random openssl\n}' : ''}
`;
}

function connections(own: Host, other: Host, side: Side, options: StrongswanOptions): string {
  const { connection, child, leftChild, tunnels = 1 } = options;
  const far = side === 'left' ? 'right' : 'left';
  const port = (of: Side, n: number) =>
    tunnels === 1 ? '' : `[udp/${of === 'right' ? 1000 + n : ''}]`;
  const one = (n: number) => `
  tunnel${n} {
    version = 2
    local_addrs = ${own.address}
    remote_addrs = ${other.address}
    proposals = aes128-sha256-ecp256
    ${lines(connection)}
    local {
      auth = psk
      id = ${side}${n}
    }
    remote {
      auth = psk
      id = ${far}${n}
    }
    children {
      inner {
        local_ts = ${own.inner}/32${port(side, n)}
        remote_ts = ${other.inner}/32${port(far, n)}
        esp_proposals = aes128gcm16-ecp256
        ${lines({ ...child, ...(side === 'left' ? leftChild : {}) })}
      }
    }
  }`;
  return `connections {${Array.from({ length: tunnels }, (_, i) => one(i + 1)).join('')}
}
secrets {
  ike {
    secret = "made up"
  }
}
`;
}

/** A charon that is listening and has loaded its configuration. */
export class Charon extends Daemon {
  readonly #swanctl: string;
  readonly #configuration: string;

  /** Starts one of the two. */
  static async start(
    own: Host,
    other: Host,
    side: Side,
    options: StrongswanOptions = {},
  ): Promise<Charon> {
    hosts({ own, other });
    names('options', options, OPTIONS);
    checkFiles(options.files, ['swanctl.conf']);
    if (options.tunnels !== undefined) integer('options.tunnels', options.tunnels, 1, MOST_TUNNELS);
    const program = findCharon();
    const charon = new Charon(own, own.folder(), options.files?.[side]);
    const files = options.files?.[side];
    const { folder } = charon;
    const given = join(files ?? folder, 'strongswan.conf');
    const text = strongswanConf(folder, options.daemon, existsSync(given) ? given : undefined);
    writeFileSync(join(folder, 'strongswan.conf'), text);
    if (files === undefined) {
      writeFileSync(charon.#configuration, connections(own, other, side, options));
    }
    // Each gets its own /run, where both would write their PID file.
    const mounts = { '/run': 'tmpfs' };
    await charon.start({ program, args: [], mounts, ready: 'vici' }, () => charon.load());
    return charon;
  }

  private constructor(own: Host, folder: string, files: string | undefined) {
    const directory = files ?? folder;
    super(own, 'charon', folder, {
      ...process.env,
      STRONGSWAN_CONF: join(folder, 'strongswan.conf'),
      SWANCTL_DIR: directory,
    });
    this.#swanctl = 'swanctl';
    this.#configuration = join(directory, 'swanctl.conf');
  }

  /** Reloads its configuration, after its files were changed. */
  async load(): Promise<void> {
    await this.swanctl('--load-all', '--file', this.#configuration);
  }

  /** Runs swanctl. @throws TestingError with its output and the end of the daemon's log */
  swanctl(...args: string[]): Promise<ProgramOutput> {
    return this.ask(this.#swanctl, [...args, '--uri', `unix://${this.folder}/vici`]);
  }

  /** Brings a child up; default the one of {@link strongswan}. */
  async initiate(child = 'inner'): Promise<void> {
    await this.swanctl('--initiate', '--child', child);
  }

  /** Rekeys a child. */
  async rekey(child = 'inner'): Promise<void> {
    await this.swanctl('--rekey', '--child', child);
  }
}

/** Both daemons. */
export type StrongswanPair = DaemonPair<Charon>;

/**
 * Starts strongSwan on two hosts, with a tunnel between their inner addresses and a pre-shared key for IKE. Bring it
 * up with `left.initiate()`, or by traffic with `leftChild: { start_action: 'trap' }`.
 *
 * @throws TestingError `ERR_PROGRAM_MISSING` with the packages, `ERR_PROGRAM_FAILED` with a daemon's log
 */
export const strongswan = (
  left: Host,
  right: Host,
  options: StrongswanOptions = {},
): Promise<StrongswanPair> =>
  startPair({ left, right }, (own, other, side) => Charon.start(own, other, side, options));
