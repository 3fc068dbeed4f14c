/**
 * strongSwan in the lab: a daemon for each of two hosts, and a tunnel between them. Runs in the guest.
 * @module
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Host, INNER, UNDERLAY } from '../../lib/cli/demo/two-hosts.ts';
import { graft } from './graft.ts';

/** Debian's packages. */
export const STRONGSWAN = [
  'strongswan-charon',
  'strongswan-swanctl',
  'strongswan-libcharon',
  'libstrongswan-standard-plugins',
  'libstrongswan-extra-plugins',
] as const;

/**
 * Puts the daemon's plugins where it looks for them.
 *
 * @param tools the root of the unpacked packages
 */
export function installPlugins(tools: string): void {
  graft('/usr/lib', 'ipsec', `${tools}/usr/lib/ipsec`);
}

/** Settings of strongSwan, `name = value`. */
export type Settings = Readonly<Record<string, string | number>>;

/** What differs from daemon to daemon; the rest is the same tunnel. */
export interface CharonSettings {
  /** Of the daemon (strongswan.conf, charon). */
  readonly daemon?: Settings;
  /** Of each connection (swanctl.conf). */
  readonly connection?: Settings;
  /** Of its child `inner`. */
  readonly child: Settings;
  /** How many connections `tunnel1`, `tunnel2` …: one for all traffic; or each for one UDP port of the right host, from 1001 on. */
  readonly tunnels?: number;
}

const lines = (settings: Settings = {}) =>
  Object.entries(settings)
    .map(([name, value]) => `${name} = ${value}`)
    .join('\n');

/** A daemon that listens and has its configuration. It ends with the guest. */
export class Charon {
  /** Each of the programs that start it executes the next: this is the daemon. */
  readonly #process: ChildProcess;
  readonly #folder: string;
  readonly #env: NodeJS.ProcessEnv;

  static async start(
    host: Host,
    side: 'left' | 'right',
    settings: CharonSettings,
  ): Promise<Charon> {
    const charon = new Charon(host, side, settings);
    for (let i = 0; !existsSync(`${charon.#folder}/vici`); i++) {
      if (i > 300) throw new Error(`charon of ${side} does not listen`);
      await sleep(100);
    }
    charon.swanctl('--load-all', '--file', `${charon.#folder}/swanctl.conf`);
    return charon;
  }

  private constructor(host: Host, side: 'left' | 'right', settings: CharonSettings) {
    const other = side === 'left' ? 'right' : 'left';
    const { daemon, connection, child, tunnels = 1 } = settings;
    this.#folder = `/mnt/${side}`;
    const connectionOf = (n: number) => {
      const port = (of: 'left' | 'right') =>
        tunnels === 1 ? '' : `[udp/${of === 'right' ? 1000 + n : ''}]`;
      return `
  tunnel${n} {
    version = 2
    local_addrs = ${UNDERLAY[side]}
    remote_addrs = ${UNDERLAY[other]}
    proposals = aes128-sha256-ecp256
    ${lines(connection)}
    local {
      auth = psk
      id = ${side}${n}
    }
    remote {
      auth = psk
      id = ${other}${n}
    }
    children {
      inner {
        local_ts = ${INNER[side]}/32${port(side)}
        remote_ts = ${INNER[other]}/32${port(other)}
        esp_proposals = aes128gcm16-ecp256
        ${lines(child)}
      }
    }
  }`;
    };
    mkdirSync(this.#folder, { recursive: true });
    writeFileSync(
      `${this.#folder}/strongswan.conf`,
      `charon {
  load_modular = no
  load = random nonce openssl pem pkcs1 pubkey hmac kdf sha1 sha2 aes gcm x509 kernel-netlink socket-default vici
  ${lines(daemon)}
  plugins {
    vici {
      socket = unix://${this.#folder}/vici
    }
  }
}
swanctl {
  load = random openssl
}
`,
    );
    writeFileSync(
      `${this.#folder}/swanctl.conf`,
      `connections {
${Array.from({ length: tunnels }, (_, i) => connectionOf(i + 1)).join('\n')}
}
secrets {
  ike {
    secret = "made up"
  }
}
`,
    );
    this.#env = { ...process.env, STRONGSWAN_CONF: `${this.#folder}/strongswan.conf` };
    // Each its own /run, where both would keep their process id.
    const [command, args] = host.command(
      'unshare',
      '--mount',
      'sh',
      '-c',
      'mount -t tmpfs none /run && exec /usr/lib/ipsec/charon --debug-knl 1',
    );
    this.#process = spawn(command, args, { env: this.#env, stdio: ['ignore', 'ignore', 2] });
  }

  /** Runs swanctl; throws if it fails. */
  swanctl(...args: string[]): void {
    const uri = ['--uri', `unix://${this.#folder}/vici`];
    execFileSync('swanctl', [...args, ...uri], { env: this.#env, stdio: ['ignore', 2, 2] });
  }

  /** Stops it, until {@link resume}. */
  pause(): void {
    this.#process.kill('SIGSTOP');
  }

  resume(): void {
    this.#process.kill('SIGCONT');
  }

  /** Ends it at once, without a word to the other side or the kernel. */
  kill(): void {
    this.#process.kill('SIGKILL');
  }
}
