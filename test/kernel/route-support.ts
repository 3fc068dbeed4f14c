/**
 * What the tests of rtnetlink share: `ip -json` as the independent view of the same objects, and the
 * form in which both are compared.
 * @module
 */

import assert from 'node:assert/strict';
import { type MulticastGroupName, type SubscriptionEvent, subscribe } from '../../lib/index.ts';
import type {
  IpAddress,
  Link,
  Neighbour,
  Nexthop,
  Route,
  RoutingRule,
} from '../../lib/route/objects.ts';
import { NO_LIMIT } from '../../lib/wire/time.ts';
import { ip, ipBatch, next, words } from './support.ts';

/** An object as `ip -json` prints it. */
export type Shown = Record<string, unknown>;

/** What `ip -json` prints: its objects, without the empty ones it leaves between. */
export function ipJson(command: string): Shown[] {
  const text = ip('-json', ...words(command)).trim();
  const shown = text === '' ? [] : (JSON.parse(text) as Shown[]);
  return shown.filter((one) => Object.keys(one).length > 0);
}

/** The one object that `ip -json` prints. */
export function ipOne(command: string): Shown {
  const [shown, ...more] = ipJson(command);
  assert(shown !== undefined && more.length === 0, `ip -json ${command}: ${1 + more.length}`);
  return shown;
}

/** Names of interfaces, by index. */
export function interfaces(): Map<number, string> {
  return new Map(
    ipJson('link show').map(({ ifindex, ifname }) => [ifindex as number, ifname as string]),
  );
}

export function indexOf(name: string): number {
  return ipOne(`link show dev ${name}`).ifindex as number;
}

/** Runs `ip` with each of some lines: those that begin with no option in one process. */
export function ipAll(...lines: string[]): void {
  const together: string[] = [];
  const run = () => {
    if (together.length > 0) ipBatch(together.splice(0));
  };
  for (const line of lines) {
    if (line.startsWith('-')) {
      run();
      ip(...words(line));
    } else together.push(line);
  }
  run();
}

const MARK = 'rule add priority 31999 table 31999';

/**
 * The events of some groups while something is done.
 *
 * @param enough when they are all there. Without it, those that were there when the work was done: the
 *   kernel announces most changes before it answers, but IPv6 addresses and what hangs on them some
 *   time after (net/ipv6/addrconf.c, addrconf_dad_work).
 */
export async function during(
  groups: readonly MulticastGroupName[],
  work: () => unknown,
  enough?: (events: readonly SubscriptionEvent[]) => boolean,
): Promise<SubscriptionEvent[]> {
  await using subscription = subscribe({ groups: [...groups, 'ipv4-rule'] });
  await work();
  if (enough) {
    const all: SubscriptionEvent[] = [];
    await next(subscription[Symbol.asyncIterator](), (event): event is SubscriptionEvent => {
      all.push(event);
      return enough(all);
    });
    return all;
  }
  // All is in the queue by now; this comes after it.
  ipAll(MARK, MARK.replace('add', 'del'));
  const events: SubscriptionEvent[] = [];
  await next(subscription[Symbol.asyncIterator](), (event): event is SubscriptionEvent => {
    events.push(event);
    return event.kind === 'NEWRULE' && event.rule.priority === 31999;
  });
  return events.slice(0, -1);
}

/** Does something, and waits until links are up: the kernel finds that out some time after. */
export async function untilUp(names: readonly string[], work: () => void): Promise<void> {
  await using subscription = subscribe({ groups: ['link'] });
  const missing = new Set(names);
  work();
  for await (const event of subscription) {
    if (event.kind !== 'NEWLINK') continue;
    if (event.link.operState === 'up') missing.delete(event.link.name ?? '');
    if (missing.size === 0) break;
  }
}

/** Those of a kind. */
export const only = <Kind extends SubscriptionEvent['kind']>(
  events: readonly SubscriptionEvent[],
  kind: Kind,
) =>
  events.filter(
    (event): event is Extract<SubscriptionEvent, { kind: Kind }> => event.kind === kind,
  );

/** The last event of a kind that something holds for. */
export function last<Kind extends SubscriptionEvent['kind']>(
  events: readonly SubscriptionEvent[],
  kind: Kind,
  wanted: (event: Extract<SubscriptionEvent, { kind: Kind }>) => boolean = () => true,
) {
  const found = only(events, kind).filter(wanted).at(-1);
  assert(found !== undefined, `no ${kind} in ${events.map((event) => event.kind).join(' ')}`);
  return found;
}

/** Properties that are there. */
const present = (object: Shown): Shown =>
  Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));

/** Some properties of an object. */
export const pick = (object: Shown, names: readonly string[]): Shown =>
  present(Object.fromEntries(names.map((name) => [name, object[name]])));

/** Those properties that a comparison covers. */
export const same = (ours: Shown, shown: Shown, what: string): void => {
  const wanted = present(ours);
  assert.deepEqual(wanted, pick(shown, Object.keys(wanted)), what);
};

const OPERSTATE = (state: unknown) => String(state).toUpperCase().replaceAll('-', '');

/** A link as `ip -d -json link` shows it. */
export function linkAsShown(link: Link, names: ReadonlyMap<number, string>): Shown {
  const { mask } = link.flags;
  const flags: string[] = link.flags.names
    .filter((name) => name !== 'running')
    .map((name) => name.toUpperCase().replaceAll('-', '_'));
  if (mask & 1 && !(mask & 64)) flags.push('NO-CARRIER');
  const peer = link.linkIndex !== undefined && link.linkIndex !== 0;
  if (peer && link.linkNetnsId === undefined && !downIn(link, names)) flags.push('M-DOWN');
  return {
    ifindex: link.index,
    ifname: link.name,
    flags: flags.sort(),
    mtu: link.mtu,
    qdisc: link.qdisc,
    operstate: OPERSTATE(link.operState),
    txqlen: link.txQueueLength,
    link_type: link.type,
    address: link.address,
    broadcast: link.broadcast,
    promiscuity: link.promiscuity,
    num_tx_queues: link.numTxQueues,
    num_rx_queues: link.numRxQueues,
    gso_max_size: link.gsoMaxSize,
    master: link.master === undefined ? undefined : names.get(link.master),
    ifalias: link.alias,
    altnames: link.properties?.altNames,
  };
}

/** Whether the link below is up, which `ip` finds out to show M-DOWN. */
function downIn(link: Link, names: ReadonlyMap<number, string>): boolean {
  const name = names.get(link.linkIndex ?? 0);
  if (name === undefined) return true;
  return (ipOne(`link show dev ${name}`).flags as string[]).includes('UP');
}

/** What `ip -d -json link` says, with its flags in order. */
export const shownLink = (name: string): Shown => {
  const shown = ipOne(`-d link show dev ${name}`);
  return { ...shown, flags: (shown.flags as string[]).sort() };
};

const scope = (value: unknown) => (value === 'universe' ? 'global' : value);

/** An address as `ip -json address` shows it, in addr_info. */
export function addressAsShown(address: IpAddress): Shown {
  const own = address.local ?? address.address;
  const flags = address.flags?.names ?? [];
  const peer = address.address !== own;
  return {
    family: address.family,
    local: own,
    address: peer ? address.address : undefined,
    prefixlen: address.prefixLength,
    scope: scope(address.scope),
    broadcast: address.broadcast,
    label: address.label,
    metric: address.metric,
    valid_life_time: lasts(address.times?.validSeconds),
    preferred_life_time: lasts(address.times?.preferredSeconds),
    dynamic: flags.includes('permanent') ? undefined : true,
    noprefixroute: flags.includes('noprefixroute') || undefined,
    secondary: (address.family === 'inet' && flags.includes('secondary')) || undefined,
    nodad: flags.includes('nodad') || undefined,
  };
}

/** How long something lasts, as ip shows it. */
const lasts = (seconds: number | undefined) => (seconds === NO_LIMIT ? 0xffffffff : seconds);

/** The same address, looked at twice: between, its times grow less. */
export function sameAddress(first: Shown, second: Shown): void {
  const what = String(first.local);
  const { valid_life_time: valid, preferred_life_time: preferred, ...rest } = first;
  same(rest, second, what);
  for (const [said, left] of [
    [valid, second.valid_life_time],
    [preferred, second.preferred_life_time],
  ]) {
    const less = said !== 0xffff_ffff && Math.abs(Number(left) - Number(said)) < 60;
    assert(left === said || less, `${what}: ${said}, ${left}`);
  }
}

/** The addresses of an interface by `ip -json`. */
export const shownAddresses = (name: string): Shown[] =>
  ipJson(`address show dev ${name}`).flatMap(({ addr_info }) => addr_info as Shown[]);

const network = (address: string | undefined, length: number, most: number) =>
  address === undefined ? 'default' : length === most ? address : `${address}/${length}`;

const TABLES: Readonly<Record<number, string>> = { 253: 'default', 254: 'main', 255: 'local' };
const table = (number: number | undefined) => TABLES[number ?? 0] ?? String(number);

/** A route as `ip -d -json route` shows it. */
export function routeAsShown(route: Route, names: ReadonlyMap<number, string>): Shown {
  const most = route.family === 'inet6' ? 128 : 32;
  const way = (of: {
    gateway?: string;
    via?: { family: unknown; address: string };
    index: number | undefined;
  }) =>
    present({
      gateway: of.gateway,
      via: of.via && { family: of.via.family, host: of.via.address },
      dev: of.index === undefined ? undefined : names.get(of.index),
    });
  const { metrics, nexthops } = route;
  return {
    type: route.type,
    dst: network(route.dst, route.dstLength, most),
    ...way({ ...route, index: nexthops ? undefined : route.oif }),
    table: table(route.table),
    protocol: route.protocol,
    scope: scope(route.scope),
    prefsrc: route.prefSrc,
    metric: route.priority,
    nhid: route.nexthopId,
    flags: route.flags.names.filter((name) => ['onlink', 'dead', 'linkdown'].includes(name)),
    metrics: metrics && [
      present({
        mtu: metrics.mtu,
        advmss: metrics.advMss,
        window: metrics.window,
        hoplimit: metrics.hopLimit,
        initcwnd: metrics.initCwnd,
        congestion: metrics.congestionControl,
        quickack: metrics.quickAck,
      }),
    ],
    nexthops: nexthops?.map((one) => ({
      ...way(one),
      weight: one.hops + 1,
      flags: [...one.flags.names],
    })),
  };
}

/** A rule as `ip -json rule` shows it. */
export function ruleAsShown(rule: RoutingRule): Shown {
  const hex = (value: number) => `0x${value.toString(16)}`;
  const masked = rule.markMask !== undefined && rule.markMask !== 0xffffffff;
  return {
    priority: rule.priority ?? 0,
    not: rule.flags.names.includes('invert') ? null : undefined,
    src: rule.src ?? 'all',
    srclen: rule.src && rule.srcLength < 32 ? rule.srcLength : undefined,
    dst: rule.dst,
    dstlen: rule.dst && rule.dstLength < 32 ? rule.dstLength : undefined,
    fwmark: rule.mark === undefined ? undefined : hex(rule.mark),
    fwmask: masked ? hex(rule.markMask ?? 0) : undefined,
    iif: rule.iifName,
    oif: rule.oifName,
    uid_start: rule.uidRange?.start,
    uid_end: rule.uidRange?.end,
    sport_start: rule.sportRange?.start,
    sport_end: rule.sportRange?.end,
    dport: rule.dportRange?.start,
    table: rule.action === 'to-table' ? table(rule.table) : undefined,
    action: ['blackhole', 'unreachable', 'prohibit', 'nop'].includes(String(rule.action))
      ? rule.action
      : undefined,
    goto: rule.goto,
  };
}

/** A neighbour as `ip -json neighbour` shows it. */
export function neighbourAsShown(neighbour: Neighbour, names: ReadonlyMap<number, string>): Shown {
  return {
    dst: neighbour.dst,
    dev: names.get(neighbour.index),
    lladdr: neighbour.lladdr,
    state: neighbour.state.names.map((name) => name.toUpperCase()),
    router: neighbour.flags.names.includes('router') ? null : undefined,
    extern_learn: neighbour.flags.names.includes('ext-learned') ? null : undefined,
    managed: neighbour.flagsExt?.names.includes('managed') ? null : undefined,
  };
}

/** A next hop object as `ip -json nexthop` shows it. */
export function nexthopAsShown(nexthop: Nexthop, names: ReadonlyMap<number, string>): Shown {
  return {
    id: nexthop.id,
    gateway: nexthop.gateway,
    dev: nexthop.oif === undefined ? undefined : names.get(nexthop.oif),
    scope: nexthop.gateway === undefined ? undefined : scope(nexthop.scope),
    group: nexthop.group?.map(({ id, weight: low, weightHigh }) => {
      const weight = ((weightHigh << 8) | low) + 1;
      return weight > 1 ? { id, weight } : { id };
    }),
    blackhole: nexthop.blackhole ? null : undefined,
  };
}

/**
 * Kinds of link that Debian's user-mode-linux kernels lack (seen: 6.1, 6.12 and 7.2). Their tests
 * are there where the kernel has them, and elsewhere no lane could ever run them.
 */
export const RARE: ReadonlySet<string> = new Set(['xfrm', 'wireguard']);

/** Why a kind of link can't be made here, for the `skip` of a test. */
export function withoutKind(add: string, remove: string): string | false {
  try {
    ip(...words(add));
    ip(...words(remove));
    return false;
  } catch (error) {
    const { stderr = '' } = error as { stderr?: string };
    return `ip ${add}: ${stderr.trim()}`;
  }
}
