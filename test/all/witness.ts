/**
 * What three witnesses tell of a host: iproute2's `ip -ts xfrm monitor`, the live tables and tunnels of this
 * library, and the command. Runs in the guest; verdict.ts compares them.
 * @module
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Host } from '../../lib/cli/demo/two-hosts.ts';
import { NETLINK_XFRM } from '../../lib/constants.ts';
import { type TunnelChange, TunnelMonitor, XfrmMonitor } from '../../lib/index.ts';

const program = join(import.meta.dirname, '../../../bin/netlink-xfrm.js');

/** A line that was told of a tunnel. */
export interface ToldLine {
  readonly kind: string;
  /** Its time, in milliseconds since 1970. */
  readonly time: number;
  readonly id: string;
  readonly local: string;
  readonly remote: string;
  readonly reqid: number;
  readonly state: string;
  readonly before?: string | undefined;
  readonly cause?: string | undefined;
  /** The process that a `deleted` down claims to be of. */
  readonly by?: string | undefined;
  readonly direction?: 'out' | 'in' | undefined;
  readonly from?: number | undefined;
  readonly to?: number | undefined;
}

/** An SA that came or went, as the live table tells. */
export interface ToldSa {
  readonly kind: 'added' | 'removed';
  readonly time: number;
  /** Protocol, SPI and destination. */
  readonly sa: string;
}

/** What was told of a host. */
export interface Testimony {
  /** All that ip printed. */
  readonly ip: string;
  readonly sas: readonly ToldSa[];
  readonly tunnels: readonly ToldLine[];
  /** What the command printed of tunnels. */
  readonly command: readonly ToldLine[];
}

export class Witness {
  readonly tunnels: TunnelMonitor;
  readonly #states: XfrmMonitor;
  readonly #sas: ToldSa[] = [];
  readonly #lines: ToldLine[] = [];
  readonly #ip: ChildProcess;
  readonly #command: ChildProcess | undefined;
  #printedByIp = '';
  #printed = '';

  /** @param command whether the command is asked too */
  static async open(host: Host, { command = true } = {}): Promise<Witness> {
    const { netns } = host;
    const states = await XfrmMonitor.open({ netns, acquires: true });
    const tunnels = await TunnelMonitor.open({ netns, monitor: states });
    const witness = new Witness(host, states, tunnels, command);
    await witness.#ready();
    return witness;
  }

  private constructor(
    host: Host,
    states: XfrmMonitor,
    tunnels: TunnelMonitor,
    withCommand: boolean,
  ) {
    this.#states = states;
    this.tunnels = tunnels;
    states.on('change', (change) => {
      if (change.kind !== 'added' && change.kind !== 'removed') return;
      if (change.object !== 'state') return;
      const { kind, value, time } = change;
      // What is asked for, or was found by a comparison, is no event of its own.
      if (value.spi === 0) return;
      const sa = `${value.proto} ${value.spi} ${value.daddr}`;
      this.#sas.push({ kind, time: time.wall, sa });
    });
    tunnels.on('change', (change) => {
      if ('tunnel' in change && change.tunnel) this.#lines.push(lineOf(change, change.time.wall));
    });
    const run = (name: string, ...args: string[]): ChildProcess => {
      const [command, more] = host.command(name, ...args);
      return spawn(command, more, { stdio: ['ignore', 'pipe', 'pipe'] });
    };
    this.#ip = run('ip', '-ts', 'xfrm', 'monitor');
    this.#ip.stdout?.setEncoding('utf8').on('data', (text) => {
      this.#printedByIp += text;
    });
    if (!withCommand) return;
    const follow = ['monitor', 'sa', '--acquires', '--tunnels', '--json'];
    this.#command = run(process.execPath, program, ...follow);
    this.#command.stdout?.setEncoding('utf8').on('data', (text) => {
      this.#printed += text;
    });
  }

  /** What was told of tunnels so far. */
  get lines(): readonly ToldLine[] {
    return this.#lines;
  }

  /** Until so many SAs were told to have been replaced, of whatever direction. */
  async replacements(count: number): Promise<void> {
    while (this.#lines.filter(({ from }) => from !== undefined).length < count) {
      await once(this.tunnels, 'change');
    }
  }

  /** Until the programs listen. */
  async #ready(): Promise<void> {
    let said = '';
    this.#command?.stderr?.setEncoding('utf8').on('data', (text) => {
      said += text;
    });
    const { pid } = this.#ip;
    const listens = new RegExp(`^\\S+ ${NETLINK_XFRM} +${pid} +(?!0{8})`, 'm');
    for (let i = 0; ; i++) {
      const isReady = listens.test(readFileSync(`/proc/${pid}/net/netlink`, 'latin1'));
      if (isReady && (!this.#command || said.includes('listening to'))) return;
      if (i > 600) throw new Error(`ip or the command does not listen: ${said}`);
      await sleep(100);
    }
  }

  /** Ends the programs, and gives all that was told. */
  async close(): Promise<Testimony> {
    for (const child of [this.#ip, this.#command]) {
      if (!child) continue;
      const closed = once(child, 'close');
      child.kill('SIGTERM');
      await closed;
    }
    await this.tunnels.close();
    await this.#states.close();
    return {
      ip: this.#printedByIp,
      sas: this.#sas,
      tunnels: this.#lines,
      command: this.#printed.split('\n').flatMap((line) => {
        if (!line.includes('"tunnel-change"')) return [];
        const { change, ...more } = JSON.parse(line);
        return more.tunnel ? [lineOf({ ...more, kind: change }, Date.parse(more.time))] : [];
      }),
    };
  }
}

/** What both forms of a change have. */
type Change = Extract<TunnelChange, { tunnel: unknown }>;

function lineOf(change: Change, time: number): ToldLine {
  const { id = '', local = '', remote = '', reqid = 0, state = '' } = change.tunnel ?? {};
  const about = { kind: change.kind, time, id, local, remote, reqid, state };
  const before = 'before' in change ? change.before : undefined;
  if (change.kind === 'down') {
    const { cause } = change;
    return {
      ...about,
      before,
      cause: cause.kind,
      by: 'by' in cause ? cause.by.process : undefined,
    };
  }
  if (change.kind !== 'rekeyed') return { ...about, before };
  const { direction, from, to } = change;
  return { ...about, direction, from, to };
}
