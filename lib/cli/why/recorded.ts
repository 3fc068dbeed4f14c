/**
 * What would have become of a packet at a time of a recording. SAs, policies, links and addresses are
 * recorded; other routes, and settings of devices, are not: what is assumed of them is stated.
 * @module
 */
import { type AskOptions, NotThere, throughOf } from '../../fate/ask.ts';
import {
  type Fate,
  type FlowDirection,
  fateOf,
  type Question,
  type RouteAnswer,
} from '../../fate/fate.ts';
import type { Flow } from '../../fate/flow.ts';
import { hasEnds } from '../../fate/sa-lookup.ts';
import type { Tables } from '../../fate/tables.ts';
import {
  type HostAddress,
  hostAddress,
  isAccepted,
  routedAddress,
} from '../../monitor/address-table.ts';
import type { EventTime } from '../../netlink/event.ts';
import {
  isAfter,
  momentOf,
  type RecordingRecord,
  type SnapshotNote,
} from '../../recording/records.ts';
import type { IpAddress, Link } from '../../route/objects.ts';
import { contains, type Network, networkOf } from '../../wire/network.ts';
import { isWild } from '../../xfrm/matching.ts';
import type { XfrmPolicy, XfrmState } from '../../xfrm/objects.ts';
import { LookBack } from '../look-back.ts';
import { eventsIn } from '../look-back-events.ts';
import type { LookBackOptions } from '../look-back-options.ts';

/** @throws RecordingError, NotThere */
export function recordedFate(
  flow: Flow,
  options: AskOptions,
  path: string,
  lookBack: LookBackOptions,
): { fate: Fate; time: EventTime } {
  const look = new LookBack(path, lookBack);
  const { namespace } = look.play({}, true);
  const netns = namespace.label;
  const host = new RecordedHost();
  const { from: at } = look.span;
  const since = { moment: at, protocols: ['xfrm', 'route'], netns } as const;
  for (const record of look.recording.records(since)) {
    if (isAfter(momentOf(record), at)) break;
    if ('netns' in record && record.netns === netns) host.take(record);
  }
  const states = Array.from(namespace.states, ({ value }) => value);
  const policies = Array.from(namespace.policies, ({ value }) => value);
  const assumed: string[] = [];
  const tables: Tables = {
    states: host.newestFirst(states, stateKey),
    policies: host.newestFirst(policies, policyKey),
    defaults: namespace.defaults ?? { in: 'accept', fwd: 'accept', out: 'accept' },
    now: at.wall,
    sourceFor: (remote) => host.sourceFor(remote, states),
    isLocal: (address) => host.isLocal(address),
  };
  const fate = fateOf(tables, questionOf(flow, options, tables, host, assumed));
  for (const { demand } of fate.stages.flatMap((stage) => [...stage.templates])) {
    const { template, from, to } = demand;
    if (from !== undefined && hasEnds(template) && isWild(template.saddr))
      assumed.push(`the source of packets to ${to} is ${from}`);
  }
  return { fate, time: LookBack.time(at.wall) };
}

function questionOf(
  flow: Flow,
  { direction, mark = 0, device, ifId, spis }: AskOptions,
  tables: Tables,
  host: RecordedHost,
  assumed: string[],
): Question {
  const which = direction ?? directionOf(flow, tables);
  const named = device === undefined ? undefined : host.linkNamed(device);
  const leavesBy = which === 'out' ? named : undefined;
  const comesBy = which === 'out' ? undefined : named;
  const isIPv4 = flow.family === 'inet';
  // By default, the loopback device is exempt from IPv4's (net/ipv4/devinet.c, inetdev_event).
  const isExempt = which === 'local' && isIPv4;
  if (which === 'out' || which === 'fwd') {
    const way = leavesBy
      ? `by ${leavesBy.name}`
      : 'by an interface that is no xfrm interface, and in no selector';
    assumed.push(`there is a route to ${flow.daddr} ${way}`);
    if (which === 'fwd') assumed.push('this host forwards');
    if (isIPv4) assumed.push('disable_xfrm is off');
  }
  if (which === 'in' || which === 'fwd') {
    if (comesBy === undefined && ifId === undefined) assumed.push('it comes by no xfrm interface');
  }
  if (which !== 'out') assumed.push(`disable_policy is ${isExempt ? 'on for lo' : 'off'}`);
  const route: RouteAnswer = {
    type: which === 'in' || which === 'local' ? 'local' : 'unicast',
    device: isExempt ? 'lo' : leavesBy?.name,
    ifindex: leavesBy?.index ?? 0,
    gateway: undefined,
    source: undefined,
    ifId: which === 'in' ? undefined : (ifId ?? leavesBy?.info?.xfrm?.ifId),
    under: leavesBy?.info?.xfrm?.link,
    vtiMark: leavesBy?.info?.vti && (leavesBy.info.vti.okey ?? 0),
    noXfrm: isExempt,
    isLoopback: which === 'local',
  };
  const from = {
    device: comesBy?.name ?? (isExempt ? 'lo' : undefined),
    ifId: ifId ?? comesBy?.info?.xfrm?.ifId,
    vtiMark: comesBy?.info?.vti && (comesBy.info.vti.ikey ?? 0),
    noPolicy: isExempt,
  };
  return {
    flow,
    direction: which,
    mark,
    route,
    isBound: leavesBy !== undefined,
    from: which === 'out' ? undefined : from,
    through: throughOf(tables, spis, mark),
    assumed,
  };
}

function directionOf({ saddr, daddr }: Flow, { isLocal }: Tables): FlowDirection {
  if (isLocal(saddr)) return isLocal(daddr) ? 'local' : 'out';
  return isLocal(daddr) ? 'in' : 'fwd';
}

const policyKey = ({ index }: XfrmPolicy) => `policy ${index}`;
const stateKey = ({ daddr, proto, spi, mark }: XfrmState) =>
  `SA ${daddr} ${proto} ${spi} ${mark?.value}/${mark?.mask}`;

/** Objects of a protocol, of which a snapshot states all. */
class Recorded<Value> {
  #now = new Map<string, Value>();
  #next: Map<string, Value> | undefined;

  snapshot(phase: SnapshotNote['phase']): void {
    if (phase === 'dumped' && this.#next) this.#now = this.#next;
    this.#next = phase === 'begin' ? new Map() : undefined;
  }

  put(key: string, value: Value, isDumped = false): void {
    if (!isDumped) this.#now.set(key, value);
    this.#next?.set(key, value);
  }

  remove(key: string): void {
    this.#now.delete(key);
    this.#next?.delete(key);
  }

  get(key: string): Value | undefined {
    return this.#now.get(key);
  }

  get values(): Value[] {
    return [...this.#now.values()];
  }
}

/** What a verdict needs besides SAs and policies: links, addresses, and the order of the kernel's lists. */
class RecordedHost {
  readonly #links = new Recorded<Link>();
  readonly #addresses = new Recorded<OwnAddress>();
  /** The higher, the newer. */
  readonly #order = new Recorded<number>();
  #newest = 0;
  #listed = 0;

  take(record: RecordingRecord): void {
    if (record.kind === 'note' && record.note.kind === 'snapshot') {
      const { protocol, phase } = record.note;
      if (protocol === 'xfrm') {
        this.#order.snapshot(phase);
        if (phase !== 'begin') return;
        this.#listed = 0;
        this.#newest += MOST_LISTED;
      } else for (const one of [this.#links, this.#addresses]) one.snapshot(phase);
      return;
    }
    if (record.kind !== 'datagram') return;
    const { dumped } = record;
    for (const event of eventsIn({ ...record, dumped: false }, false)) {
      switch (event.kind) {
        case 'NEWSA':
        case 'NEWPOLICY':
        case 'UPDPOLICY': {
          const key = event.kind === 'NEWSA' ? stateKey(event.state) : policyKey(event.policy);
          const place = dumped ? this.#newest - ++this.#listed : ++this.#newest;
          this.#order.put(key, place, dumped);
          break;
        }
        case 'NEWLINK':
          this.#links.put(`${event.link.index}`, event.link, dumped);
          break;
        case 'DELLINK':
          this.#links.remove(`${event.link.index}`);
          break;
        case 'NEWADDR':
        case 'DELADDR': {
          const { prefixLength, scope } = event.address;
          const one = hostAddress(event.address);
          const isThere = event.kind === 'NEWADDR' && isAccepted(event.address);
          if (one) this.#address(one, isThere, dumped, prefixLength, scope);
          break;
        }
        case 'NEWROUTE':
        case 'DELROUTE': {
          const one = routedAddress(event.route);
          if (one) this.#address(one, event.kind === 'NEWROUTE', dumped);
          break;
        }
        default:
      }
    }
  }

  #address(
    { address, holding, index }: HostAddress,
    isThere: boolean,
    dumped: boolean,
    length?: number,
    scope?: IpAddress['scope'],
  ): void {
    const key = `${address} ${holding}`;
    const network = length === undefined ? undefined : networkOf(`${address}/${length}`, []);
    if (isThere) this.#addresses.put(key, { address, network, scope, link: index }, dumped);
    else this.#addresses.remove(key);
  }

  /** In the order of the kernel's lists. */
  newestFirst<Value>(values: readonly Value[], key: (value: Value) => string): Value[] {
    const order = (value: Value) => this.#order.get(key(value)) ?? 0;
    return [...values].sort((a, b) => order(b) - order(a));
  }

  isLocal(address: string): boolean {
    if (address.startsWith('127.')) return true;
    return this.#addresses.values.some((one) => one.address === address);
  }

  /** @throws NotThere */
  linkNamed(name: string): Link {
    const link = this.#links.values.find((one) => one.name === name);
    if (link) return link;
    throw new NotThere(`there was no interface ${name}`);
  }

  /** The likeliest source of packets to an address: that of SAs to it, or of a link to it. */
  sourceFor(remote: string, states: readonly XfrmState[]): string | undefined {
    const used = states.find(({ saddr, daddr }) => daddr === remote && this.isLocal(saddr));
    if (used) return used.saddr;
    const isIPv6 = remote.includes(':');
    const own = this.#addresses.values.filter(
      ({ address, scope }) => address.includes(':') === isIPv6 && scope === 'universe',
    );
    const likely =
      own.find(({ network }) => network && contains(network, remote)) ??
      own.find(({ link }) => !this.#links.get(`${link}`)?.flags.names.includes('loopback')) ??
      own[0];
    return likely?.address;
  }
}

interface OwnAddress {
  readonly address: string;
  readonly network: Network | undefined;
  readonly scope: IpAddress['scope'] | undefined;
  /** Index of its link. */
  readonly link: number;
}

/** So many entries has no list. */
const MOST_LISTED = 2 ** 32;
