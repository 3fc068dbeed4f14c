/** Expectations about hosts with IPsec, as functions that throw. matchers.ts has them for `expect.extend`. @module */
import { setTimeout as sleep } from 'node:timers/promises';
import { integer } from '../base/argument.ts';
import { stateDifferences } from '../monitor/state-differences.ts';
import { isLarval } from '../monitor/xfrm-objects.ts';
import { readXfrmStat } from '../monitor/xfrm-stat.ts';
import { XFRM_STAT_COUNTERS, xfrmStatCounter } from '../monitor/xfrm-stat-counters.ts';
import type { XfrmState } from '../xfrm/objects.ts';
import { describePolicy, describeState } from '../xfrm/text.ts';
import {
  callable,
  hosts as hostsOf,
  milliseconds,
  names,
  namespaceList,
  namespaces,
} from './argument.ts';
import { TestingError } from './error.ts';
import type { Host } from './host.ts';
import type { NetworkNamespace } from './network-namespace.ts';
import { readNetlinkSockets } from './sockets.ts';
import { ping } from './traffic.ts';
import { Wire, type WireFrame } from './wire.ts';

function check(problems: readonly string[], what: string): void {
  if (problems.length === 0) return;
  throw new TestingError(
    'ERR_EXPECTATION',
    `${what}:\n${problems.map((one) => `  ${one}`).join('\n')}`,
  );
}

async function collect<T>(list: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const one of list) all.push(one);
  return all;
}

const idOf = ({ daddr, proto, spi, mark }: XfrmState) =>
  `${proto} ${spi} ${daddr} ${mark?.value ?? 0}/${mark?.mask ?? 0}`;

/** Packets counted by a host's SAs per direction; for SAs that existed before, the increase since then. */
async function counted(
  host: NetworkNamespace,
): Promise<Map<string, { out: boolean; in: boolean; packets: bigint }>> {
  const { items } = await host.route.listAddresses();
  const own = new Set(items.map(({ local, address }) => local ?? address));
  const states = await collect(host.xfrm.listStates());
  return new Map(
    states.map((state) => [
      idOf(state),
      { out: own.has(state.saddr), in: own.has(state.daddr), packets: state.current.packets },
    ]),
  );
}

/** What was observed of the protected traffic. */
export interface EncryptedTraffic {
  /** Packets counted by the SAs of both hosts, per direction. */
  readonly packets: { readonly toRight: bigint; readonly toLeft: bigint };
  /** Protected frames on the wire. */
  readonly frames: number;
}

/** Which traffic to send, and where to look. */
export interface EncryptedOptions {
  /** Sends traffic in both directions. Default: {@link ping} between the inner addresses. */
  readonly traffic?: (() => unknown) | undefined;
  /** Whether to capture on the wire, which needs CAP_NET_RAW. Default true. */
  readonly wire?: boolean | undefined;
}

const describeFrame = ({ kind, source, target, bytes, payload }: WireFrame) =>
  `${kind} ${source} → ${target}, ${bytes.length - payload} bytes`;

/**
 * Sends traffic between two hosts and expects IPsec to protect it: SA counters increase on both hosts in both
 * directions, and their cables carry ESP (or AH) and nothing else but IKE and IP control packets.
 *
 * @throws TestingError `ERR_EXPECTATION` that says what did not hold
 */
export async function expectEncrypted(
  left: Host,
  right: Host,
  options: EncryptedOptions = {},
): Promise<EncryptedTraffic> {
  hostsOf({ left, right });
  names('options', options, ['traffic', 'wire']);
  const { traffic, wire = true } = options;
  if (traffic !== undefined) callable('options.traffic', traffic);
  const hosts = [left, right] as const;
  const before = await Promise.all(hosts.map(counted));
  const taps: Wire[] = [];
  const problems: string[] = [];
  const frames: WireFrame[] = [];
  try {
    if (wire) for (const host of hosts) taps.push(await Wire.tap(host));
    if (traffic) await traffic();
    else {
      for (const [from, to] of [hosts, hosts.toReversed() as unknown as typeof hosts]) {
        const { received } = await ping(from, to);
        if (received === 0) problems.push(`no packet from ${from.name} to ${to.name} came back`);
      }
    }
    for (const tap of taps) frames.push(...tap.sent);
  } finally {
    for (const tap of taps) tap.close();
  }
  const moved = { out: [0n, 0n], in: [0n, 0n] };
  const after = await Promise.all(hosts.map(counted));
  for (const [i, host] of hosts.entries()) {
    for (const direction of ['out', 'in'] as const) {
      let packets = 0n;
      for (const [id, sa] of after[i] ?? []) {
        if (sa[direction]) packets += sa.packets - (before[i]?.get(id)?.packets ?? 0n);
      }
      moved[direction][i] = packets;
      if (packets <= 0n)
        problems.push(`${host.name}: no SA carried a packet ${direction === 'in' ? 'in' : 'out'}`);
    }
  }
  const clear = frames.filter(({ kind }) => kind === 'clear');
  for (const frame of clear.slice(0, 5)) problems.push(`on the wire: ${describeFrame(frame)}`);
  if (clear.length > 5) problems.push(`on the wire: ${clear.length - 5} more in clear`);
  const sealed = frames.filter(({ kind }) => ['esp', 'ah', 'ipcomp', 'esp-in-udp'].includes(kind));
  if (wire && sealed.length === 0) problems.push('on the wire: no protected packet');
  check(problems, `traffic between ${left.name} and ${right.name} is not protected`);
  return {
    packets: { toRight: moved.out[0] ?? 0n, toLeft: moved.in[0] ?? 0n },
    frames: sealed.length,
  };
}

/**
 * Expects two hosts to agree on the SAs between them: each SA exists on both, with the same algorithms and keys. Reported
 * differences contain no key.
 *
 * @param options `nat`: with a NAT in between, SAs are compared by protocol and SPI only, without addresses; `timeout`:
 *   milliseconds within which it must hold, default 0: an old SA may outlive a rekey by some seconds
 * @throws TestingError `ERR_EXPECTATION`
 */
export async function expectMirrored(
  left: NetworkNamespace,
  right: NetworkNamespace,
  options: MirroredOptions = {},
): Promise<void> {
  namespaces({ left, right });
  names('options', options, ['nat', 'timeout']);
  const { nat = false, timeout = 0 } = options;
  milliseconds('options.timeout', timeout);
  const deadline = performance.now() + timeout;
  for (;;) {
    const problems = await disagreements(left, right, nat);
    if (problems.length > 0 && performance.now() < deadline) await sleep(AGAIN);
    else return check(problems, `${left.name} and ${right.name} do not agree`);
  }
}

/** How {@link expectMirrored} compares, and how long it retries. */
export interface MirroredOptions {
  readonly nat?: boolean | undefined;
  readonly timeout?: number | undefined;
}

/** Milliseconds between comparisons. */
const AGAIN = 20;

async function disagreements(
  left: NetworkNamespace,
  right: NetworkNamespace,
  nat: boolean,
): Promise<string[]> {
  const key = (state: XfrmState) => (nat ? `${state.proto} ${state.spi}` : idOf(state));
  const [ours, theirs] = await Promise.all(
    [left, right].map(async ({ xfrm }) => {
      const states = await collect(xfrm.listStates({}, { keys: true }));
      return new Map(
        states.filter((state) => !isLarval(state)).map((state) => [key(state), state]),
      );
    }),
  );
  const problems: string[] = [];
  for (const [id, state] of ours ?? []) {
    const other = theirs?.get(id);
    const what = describeState(state);
    if (other === undefined) problems.push(`${what} is on ${left.name} only`);
    else {
      const found = stateDifferences(state, nat ? { ...other, saddr: state.saddr } : other);
      if (found.length > 0) problems.push(`${what}: ${found.join(', ')}`);
    }
  }
  for (const [id, state] of theirs ?? []) {
    if (!ours?.has(id)) problems.push(`${describeState(state)} is on ${right.name} only`);
  }
  if (ours?.size === 0 && theirs?.size === 0) problems.push('neither has an SA');
  return problems;
}

/** What {@link expectNoXfrmErrors} lets pass. */
export interface NoXfrmErrorsOptions {
  /** How many are acceptable, per counter of xfrm_stat: `{ XfrmOutNoStates: 3 }`. */
  readonly tolerate?: Readonly<Record<`Xfrm${string}`, number>> | undefined;
}

/**
 * Runs a block and expects the kernels of some hosts to drop no packet because of IPsec meanwhile.
 *
 * @returns the block's result
 * @throws TestingError `ERR_EXPECTATION` with the counters and what they mean; `ERR_LACKING` if the kernel has no
 *   xfrm_stat (CONFIG_XFRM_STATISTICS)
 */
export async function expectNoXfrmErrors<Result>(
  hosts: NetworkNamespace | readonly NetworkNamespace[],
  block: () => Result,
  options: NoXfrmErrorsOptions = {},
): Promise<Awaited<Result>> {
  const all = namespaceList('hosts', hosts);
  callable('block', block);
  names('options', options, ['tolerate']);
  const { tolerate = {} } = options;
  const read = () => Promise.all(all.map(({ netns }) => readXfrmStat({ netns })));
  const before = await read();
  if (before.includes(undefined)) {
    const message = 'this kernel has no /proc/net/xfrm_stat (CONFIG_XFRM_STATISTICS)';
    throw new TestingError('ERR_LACKING', message);
  }
  names('tolerate', tolerate, [
    ...new Set([...Object.keys(before[0] ?? {}), ...Object.keys(XFRM_STAT_COUNTERS)]),
  ]);
  for (const [name, count] of Object.entries(tolerate)) {
    integer(`tolerate.${name}`, count, 0, Number.MAX_SAFE_INTEGER);
  }
  const result = await block();
  const problems: string[] = [];
  for (const [i, counters] of (await read()).entries()) {
    for (const [name, count] of Object.entries(counters ?? {}) as [`Xfrm${string}`, bigint][]) {
      const more = count - (before[i]?.[name] ?? 0n);
      const well = tolerate[name] ?? 0;
      if (more <= BigInt(well)) continue;
      const reason = xfrmStatCounter(name)?.meaning;
      const most = well > 0 ? ` (${well} tolerated)` : '';
      problems.push(`${all[i]?.name}: ${name} ${more}${most}${reason ? `: ${reason}` : ''}`);
    }
  }
  check(problems, 'packets were dropped');
  return result;
}

/** NETLINK_XFRM of linux/netlink.h, in /proc/net/netlink. */
const XFRM_SOCKET = /^\S+\s+6\s+(\d+)/gm;

/** Describes the SAs, policies and XFRM sockets in a namespace. */
async function contents(host: NetworkNamespace): Promise<string[]> {
  // The host's own client opens one socket for dumps and one for all other requests on first use.
  await host.xfrm.getSadInfo();
  const states = await collect(host.xfrm.listStates());
  const policies = await collect(host.xfrm.listPolicies());
  const sockets = [...readNetlinkSockets(host.netns).matchAll(XFRM_SOCKET)];
  return [
    ...states.map(describeState),
    ...policies.map((policy) => `${describePolicy(policy)} index ${policy.index}`),
    ...sockets
      .filter(([, port]) => port !== '0')
      .map(([, port]) => `XFRM socket of port id ${port}`),
  ];
}

/**
 * Runs a block and expects it to leave no new SA, policy or XFRM socket behind on some hosts.
 *
 * @returns the block's result
 * @throws TestingError `ERR_EXPECTATION` with what was left behind
 */
export async function expectNoLeaks<Result>(
  hosts: NetworkNamespace | readonly NetworkNamespace[],
  block: () => Result,
): Promise<Awaited<Result>> {
  const all = namespaceList('hosts', hosts);
  callable('block', block);
  const before = await Promise.all(all.map(contents));
  const result = await block();
  const after = await Promise.all(all.map(contents));
  const problems = after.flatMap((now, i) =>
    now.filter((one) => !before[i]?.includes(one)).map((one) => `${all[i]?.name}: ${one}`),
  );
  check(problems, 'something was left behind');
  return result;
}
