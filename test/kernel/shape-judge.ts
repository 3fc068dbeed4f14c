/**
 * Builds shapes, sends packets through them, and holds what is said of their tunnels against what became of the packets: by a
 * fresh look, by one that watched all along, by one that reads the counters, and by the subcommand `check`.
 * @module
 */
import { spawnSync } from 'node:child_process';
import {
  isUpState,
  type PolicyKey,
  type StateKey,
  type Tunnel,
  TunnelMonitor,
  XfrmClient,
  XfrmMonitor,
} from '../../lib/index.ts';
import { run } from './command.ts';
import { OracleHosts, type Side } from './oracle-hosts.ts';
import type { Flow, Shape, Step, Variant } from './shape-worlds.ts';

const SIDES = ['left', 'right'] as const;
/** What depends on time is switched off, or needs none. */
const BY_STATE = { settle: 0, idle: 0, stalled: 0, overlap: 0, remember: 0 };
const BY_COUNTERS = { ...BY_STATE, stalled: 1 };

export class ShapeJudge {
  readonly #oracle: OracleHosts;
  readonly #clients: Record<Side, XfrmClient>;
  readonly #watching: TunnelMonitor;
  readonly #counting: TunnelMonitor;

  private constructor(
    oracle: OracleHosts,
    clients: Record<Side, XfrmClient>,
    watching: TunnelMonitor,
    counting: TunnelMonitor,
  ) {
    this.#oracle = oracle;
    this.#clients = clients;
    this.#watching = watching;
    this.#counting = counting;
  }

  static async open(): Promise<ShapeJudge> {
    const oracle = await OracleHosts.open();
    const clients = {
      left: new XfrmClient(),
      right: new XfrmClient({ netns: oracle.hosts.right.netns }),
    };
    const open = (thresholds: typeof BY_STATE) =>
      TunnelMonitor.open({ thresholds, refreshInterval: 0 });
    return new ShapeJudge(oracle, clients, await open(BY_STATE), await open(BY_COUNTERS));
  }

  async close(): Promise<void> {
    await this.#watching.close();
    await this.#counting.close();
    await this.#clients.left.close();
    await this.#clients.right.close();
    await this.#oracle.close();
  }

  /** @returns what is said wrongly, a line each */
  async judge(shape: Shape): Promise<string[]> {
    const wrong: string[] = [];
    const { stops = [], asks = false } = shape;
    const first: Variant = { words: 'at first', steps: [], stops };
    for (const variant of [first, ...shape.variants]) {
      const undo: (() => void)[] = [];
      const listener = asks ? await XfrmMonitor.open({ acquires: true }) : undefined;
      try {
        for (const side of SIDES) {
          const { up, down } = shape.links?.[side] ?? { up: [], down: [] };
          undo.push(() => this.#shell(side, down));
          this.#shell(side, up);
        }
        await this.#setUp(shape);
        await this.#watching.refresh();
        for (const step of variant.steps) {
          if (step.do === 'sh') undo.push(() => this.#shell(step.side, [step.undo]));
          await this.#perform(step);
        }
        const found = await this.#look(shape, variant);
        wrong.push(...found.map((text) => `${variant.words}: ${text}`));
      } finally {
        await listener?.close();
        await this.#clear();
        for (const one of undo.reverse()) one();
      }
    }
    return wrong;
  }

  async #look({ flows }: Shape, { stops, says, hidden = false }: Variant): Promise<string[]> {
    const wrong: string[] = [];
    await this.#counting.refresh();
    const passed = flows.map(() => true);
    for (let round = 0; round < 2; round++) {
      for (const [i, flow] of flows.entries()) {
        passed[i] = (await this.#passes(flow)) && passed[i] === true;
      }
      await this.#counting.refresh();
    }
    await this.#watching.refresh();
    await using fresh = await TunnelMonitor.open({ thresholds: BY_STATE });
    const looks = { ...(!hidden && { fresh, watching: this.#watching }), counting: this.#counting };
    for (const [i, flow] of flows.entries()) {
      if (passed[i] === stops.includes(i)) {
        wrong.push(`packets of [${i}] ${passed[i] ? 'pass' : 'do not pass'}\n${said(fresh)}`);
      }
      for (const [name, monitor] of Object.entries(looks)) {
        const up = saysUp(monitor.tunnels, flow);
        if (up === passed[i]) continue;
        wrong.push(`false ${up ? 'all-well' : 'alarm'} by ${name} of [${i}]\n${said(monitor)}`);
      }
    }
    const first = flows[stops[0] ?? -1];
    const its = [...fresh.tunnels].filter((one) => first && isOf(one, first));
    if (says && !its.some(({ state, reason }) => says.test(`${state}: ${reason}`))) {
      wrong.push(`not told as ${says}\n${said(fresh)}`);
    }
    if (said(fresh) !== said(this.#watching)) {
      wrong.push(`looks that differ\n${said(fresh)}\n  watched:\n${said(this.#watching)}`);
    }
    if (!hidden) {
      const { status, stdout } = run('check', '--stalled', '0');
      const isWell = passed.every(Boolean);
      if ((status === 0) !== isWell) wrong.push(`check: status ${status}, ${stdout}`);
    }
    return wrong;
  }

  /** Sends packets both ways. @returns whether they arrive, in ESP or AH */
  async #passes({ there, back }: Flow): Promise<boolean> {
    const before = await this.#protected();
    const arrived =
      (await this.#oracle.send('left', there)) && (await this.#oracle.send('right', back));
    return arrived && (await this.#protected()) >= before + 4n;
  }

  /** Packets that SAs of ESP and AH of the left host counted; of AH over ESP twice. */
  async #protected(): Promise<bigint> {
    let sum = 0n;
    for await (const { proto, current } of this.#clients.left.listStates()) {
      if (proto === 'esp' || proto === 'ah') sum += current.packets;
    }
    return sum;
  }

  async #setUp({ hosts }: Shape): Promise<void> {
    for (const side of SIDES) {
      for (const sa of hosts[side].sas) await this.#clients[side].addState(sa);
      for (const policy of hosts[side].policies) await this.#clients[side].addPolicy(policy);
    }
  }

  async #clear(): Promise<void> {
    for (const client of Object.values(this.#clients)) {
      await client.flushStates();
      await client.flushPolicies();
    }
  }

  async #perform(step: Step): Promise<void> {
    if (step.do === 'sh') return this.#shell(step.side, [step.line]);
    if (step.do === 'send') return void (await this.#oracle.send('left', step.packet));
    const client = this.#clients[step.side];
    if ('sa' in step) {
      if (step.do === 'addSa') await client.addState(step.sa);
      else await client.deleteState(step.sa as StateKey);
    } else if (step.do === 'addPolicy') await client.addPolicy(step.policy);
    else await client.deletePolicy(step.policy as PolicyKey);
  }

  #shell(side: Side, lines: readonly string[]): void {
    if (lines.length === 0) return;
    const [program, args] = this.#oracle.hosts[side].command('sh', '-ec', lines.join('\n'));
    const { status, stderr } = spawnSync(program, args, { encoding: 'utf8' });
    if (status !== 0) throw new Error(`${lines.join('\n')}\n${stderr}`);
  }
}

const isOf = (tunnel: Tunnel, { peer, reqid = tunnel.reqid }: Flow): boolean =>
  tunnel.remote === peer && tunnel.reqid === reqid && isThere(tunnel);

function saysUp(tunnels: Iterable<Tunnel>, flow: Flow): boolean {
  const its = [...tunnels].filter((one) => isOf(one, flow));
  return its.length > 0 && its.every(({ state }) => isUpState(state));
}

const isThere = ({ sas, larval, policies }: Tunnel): boolean =>
  sas.in.length + sas.out.length + larval.length + policies.length > 0;

const said = ({ tunnels }: TunnelMonitor): string =>
  [...tunnels]
    .filter(isThere)
    .map(({ local, remote, reqid, state, reason }) => {
      return `    ${local} > ${remote} ${reqid}: ${state}: ${reason}`;
    })
    .sort()
    .join('\n');
