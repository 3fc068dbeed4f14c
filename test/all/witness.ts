/**
 * What three witnesses tell of a host: iproute2's `ip -ts xfrm monitor`, the live tables and tunnels of this
 * library, and the command. Runs in the guest; verdict.ts compares them.
 * @module
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { NETLINK_XFRM } from '../../lib/constants.ts';
import { TunnelMonitor, XfrmMonitor } from '../../lib/index.ts';
import { isLarval } from '../../lib/monitor/xfrm-objects.ts';
import { type Host, UNDERLAY } from '../kernel/here.ts';

const program = join(import.meta.dirname, '../../../bin/netlink-xfrm.js');

/** A peer that none of the daemons has. */
const LAST = '203.0.113.9';

/** A reported line about a tunnel. */
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
  readonly reason?: string | undefined;
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

/** Everything reported for a host. */
export interface Testimony {
  /** All that ip printed. */
  readonly ip: string;
  readonly sas: readonly ToldSa[];
  readonly tunnels: readonly ToldLine[];
  /** What the command printed of tunnels. */
  readonly command: readonly ToldLine[];
  /** What a recording made at the same time tells of them afterwards; undefined if there is none. */
  readonly recorded?: readonly ToldLine[] | undefined;
  /** When the end was marked, in ms since 1970. */
  readonly ended: number;
}

export class Witness {
  readonly tunnels: TunnelMonitor;
  readonly #host: Host;
  readonly #states: XfrmMonitor;
  readonly #sas: ToldSa[] = [];
  readonly #lines: ToldLine[] = [];
  readonly #ip: ChildProcess;
  readonly #command: ChildProcess | undefined;
  readonly #recorder: ChildProcess | undefined;
  readonly #recording = join(mkdtempSync(join(tmpdir(), 'netlink-xfrm-witness-')), 'all.nxr');
  #printedByIp = '';
  #printed = '';
  /** When the table got the policy that marks the end; undefined before that. */
  #endedAt: number | undefined;

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
    this.#host = host;
    this.#states = states;
    this.tunnels = tunnels;
    states.on('change', (change) => {
      if (this.#endedAt !== undefined) return;
      if (change.kind !== 'added' && change.kind !== 'removed') return;
      if (change.object !== 'state') {
        if (change.value.selector.saddr === LAST) this.#endedAt = change.time.wall;
        return;
      }
      const { kind, value, time } = change;
      // No event tells of those that are asked for.
      if (isLarval(value)) return;
      const sa = `${value.proto} ${value.spi} ${value.daddr}`;
      this.#sas.push({ kind, time: time.wall, sa });
    });
    tunnels.on('change', (change) => {
      this.#lines.push(...linesOf(change as unknown as Change, change.time.wall));
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
    const record = ['record', '--acquires', '-o', this.#recording];
    this.#recorder = run(process.execPath, program, ...record);
  }

  /** What the recording tells of tunnels. */
  #lookBack(): readonly ToldLine[] {
    const args = [
      'tunnels',
      '--recording',
      this.#recording,
      '--from',
      'start',
      '--acquires',
      '--json',
    ];
    const run = spawnSync(process.execPath, [program, ...args], {
      encoding: 'utf8',
      maxBuffer: 2 ** 28,
    });
    if (run.status !== 0) throw new Error(`${args.join(' ')}: ${run.stderr}`);
    return toldIn(run.stdout);
  }

  /** Tunnel changes reported so far. */
  get lines(): readonly ToldLine[] {
    return this.#lines;
  }

  /** Waits until this many SAs, in any direction, were reported as replaced. */
  async replacements(count: number): Promise<void> {
    while (this.#lines.filter(({ from }) => from !== undefined).length < count) {
      await once(this.tunnels, 'change');
    }
  }

  /** Until the programs listen. */
  async #ready(): Promise<void> {
    let said = '';
    const [follow, record] = [this.#command, this.#recorder].map((child) => {
      const heard = { text: '' };
      child?.stderr?.setEncoding('utf8').on('data', (text) => {
        heard.text += text;
        said += text;
      });
      return heard;
    });
    const { pid } = this.#ip;
    const listens = new RegExp(`^\\S+ ${NETLINK_XFRM} +${pid} +(?!0{8})`, 'm');
    for (let i = 0; ; i++) {
      const isReady = listens.test(readFileSync(`/proc/${pid}/net/netlink`, 'latin1'));
      const doListen = [follow, record].every((one) => one?.text.includes('listening'));
      if (isReady && (!this.#command || doListen)) return;
      if (i > 600) throw new Error(`ip or the command does not listen: ${said}`);
      await sleep(100);
    }
  }

  /** Waits until nothing has been told for a while, as those who read a moment later may not agree on what came first. */
  async #quiet(): Promise<void> {
    for (let i = 0, told = -1; told !== this.#lines.length && i < 20; i++) {
      told = this.#lines.length;
      await sleep(500);
    }
  }

  /** Waits until all three have reported everything before this call, marked by a policy that no daemon makes. */
  async #caughtUp(): Promise<void> {
    const local = UNDERLAY[this.#host.name as 'left' | 'right'];
    const template = `tmpl src ${local} dst ${LAST} proto esp reqid 9 mode tunnel`;
    await this.#host.ip(`xfrm policy add src ${LAST} dst ${LAST} dir out ${template}`);
    const isTold = () =>
      this.#printedByIp.includes(LAST) &&
      this.#lines.some(({ remote }) => remote === LAST) &&
      (!this.#command || this.#printed.includes(LAST));
    for (let i = 0; !isTold(); i++) {
      if (i > 600) throw new Error('ip, the monitor or the command does not tell of a policy');
      await sleep(100);
    }
  }

  /** Ends the programs and returns everything reported before the end was marked: each goes on for a different time. */
  async close(): Promise<Testimony> {
    await this.#quiet();
    const ended = Date.now();
    await this.#caughtUp();
    for (const child of [this.#ip, this.#command, this.#recorder]) {
      if (!child) continue;
      const closed = once(child, 'close');
      child.kill('SIGTERM');
      await closed;
    }
    await this.tunnels.close();
    await this.#states.close();
    return {
      ip: this.#printedByIp.slice(0, this.#printedByIp.indexOf(LAST)),
      sas: this.#sas,
      tunnels: this.#untilLast(this.#lines),
      command: this.#untilLast(toldIn(this.#printed)),
      recorded: this.#recorder && this.#untilLast(this.#lookBack()),
      ended,
    };
  }

  /**
   * Lines from before the end. That it is there is told once it has settled; a rekey that begins meanwhile is told at
   * once, but nothing that came after the mark counts.
   */
  #untilLast(lines: readonly ToldLine[]): readonly ToldLine[] {
    const end = lines.findIndex(({ remote }) => remote === LAST);
    const endedAt = this.#endedAt ?? Infinity;
    return lines.slice(0, end < 0 ? lines.length : end).filter(({ time }) => time <= endedAt);
  }
}

/** The changes of tunnels in JSON. */
const toldIn = (printed: string): readonly ToldLine[] =>
  printed.split('\n').flatMap((line) => {
    if (!line.includes('"tunnel-change"')) return [];
    const { change, ...more } = JSON.parse(line);
    return linesOf({ ...more, kind: change }, Date.parse(more.time));
  });

interface Succession {
  readonly from: number;
  readonly to: number;
}

/** What of a change is looked at: the library's and the command's have it by the same names. */
interface Change extends Partial<Succession> {
  readonly kind: string;
  readonly tunnel?: Pick<ToldLine, 'id' | 'local' | 'remote' | 'reqid' | 'state'>;
  readonly before?: string;
  readonly reason?: { readonly kind: string; readonly by?: { readonly process?: string } };
  readonly direction?: 'out' | 'in';
  readonly out?: readonly Succession[];
  readonly in?: readonly Succession[];
}

/** A line for each SA that was replaced; of another change one. */
function linesOf(change: Change, time: number): ToldLine[] {
  const { kind, tunnel, before, reason, direction, from, to } = change;
  // A part of what `rekeyed` tells.
  if (tunnel === undefined || kind === 'replaced') return [];
  const { id, local, remote, reqid, state } = tunnel;
  const by = reason?.by?.process;
  const about = { kind, time, id, local, remote, reqid, state, before, reason: reason?.kind, by };
  if (kind !== 'rekeyed' || direction) return [{ ...about, direction, from, to }];
  return (['out', 'in'] as const).flatMap((each) =>
    (change[each] ?? []).map((spis) => ({
      ...about,
      direction: each,
      from: spis.from,
      to: spis.to,
    })),
  );
}
