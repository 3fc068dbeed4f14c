/** Asks the kernel for what a verdict needs: tables, routes, settings of devices. @module */
import { readSync } from 'node:fs';
import { KernelError } from '../netlink/kernel-error.ts';
import { RouteClient, type RouteLookup } from '../route/client.ts';
import type { Link, Route } from '../route/objects.ts';
import type { NetnsReference } from '../socket/index.ts';
import { HeldNamespace, openFile } from '../socket/namespace.ts';
import { contains, type Network, networkOf } from '../wire/network.ts';
import { XfrmClient } from '../xfrm/client.ts';
import { isWild } from '../xfrm/matching.ts';
import type { XfrmState } from '../xfrm/objects.ts';
import { formatSpi } from '../xfrm/text.ts';
import type { Fate, FlowDirection, Question, RouteAnswer } from './fate.ts';
import { fateOf } from './fate.ts';
import type { Flow } from './flow.ts';
import { arriving, hasEnds } from './sa-lookup.ts';
import type { Tables } from './tables.ts';

/** Which packet of a flow is asked about. */
export interface AskOptions {
  readonly netns?: NetnsReference | undefined;
  readonly direction?: FlowDirection | undefined;
  readonly mark?: number | undefined;
  readonly uid?: number | undefined;
  /** Name of the device that it leaves by, or comes by. */
  readonly device?: string | undefined;
  /** Interface id of the xfrm interface that it passes, instead of that of the device. */
  readonly ifId?: number | undefined;
  /** SPIs of the headers with which it comes, the outermost first; empty: in clear. */
  readonly spis?: readonly number[] | undefined;
}

/** Something that was asked for by name is not there. */
export class NotThere extends Error {}

/** How often the tables are read again if they change in between. */
const ROUNDS = 3;

/** What this kernel will do with a packet. @throws KernelError, SystemError, NotThere */
export async function askFate(flow: Flow, options: AskOptions): Promise<Fate> {
  const held = new HeldNamespace(options.netns);
  try {
    const { netns } = held;
    await using routes = new RouteClient({ netns });
    await using xfrm = new XfrmClient({ netns });
    const asking = new Asking(flow, options, routes, netns);
    for (let round = 1; ; round++) {
      const tables = await asking.tables(xfrm);
      const fate = fateOf(tables, await asking.question(tables));
      if (round === ROUNDS || (await isCurrent(fate, xfrm))) return fate;
    }
  } finally {
    held.close();
  }
}

/** Whether the policies and SAs of a verdict are still there. */
async function isCurrent({ stages }: Fate, xfrm: XfrmClient): Promise<boolean> {
  try {
    for (const stage of stages) {
      const { policy } = stage.lookup;
      if (policy) {
        const { dir, index, mark, ifId } = policy;
        const now = await xfrm.getPolicy({ dir, index, mark, ifId });
        if (now.priority !== policy.priority || now.action !== policy.action) return false;
      }
      const through = 'through' in stage ? stage.through : (stage.arrival?.through ?? []);
      for (const { daddr, proto, spi, mark } of through) {
        await xfrm.getState({ daddr, proto, spi, mark });
      }
    }
    return true;
  } catch (error) {
    if (error instanceof KernelError && /^(ENOENT|ESRCH)$/.test(error.code)) return false;
    throw error;
  }
}

class Asking {
  readonly #flow: Flow;
  readonly #options: AskOptions;
  readonly #routes: RouteClient;
  readonly #netns: NetnsReference | undefined;
  readonly #links = new Map<number, Link>();

  constructor(
    flow: Flow,
    options: AskOptions,
    routes: RouteClient,
    netns: NetnsReference | undefined,
  ) {
    this.#flow = flow;
    this.#options = options;
    this.#routes = routes;
    this.#netns = netns;
  }

  async tables(xfrm: XfrmClient): Promise<Tables> {
    const { items: policies } = await xfrm.listPolicies();
    const { items: states } = await xfrm.listStates();
    const defaults = await xfrm.getDefaults().catch((error: unknown) => {
      // Before 5.15 there is none.
      if (error instanceof KernelError && /^(EINVAL|ENOTSUP|EOPNOTSUPP)$/.test(error.code)) {
        return { in: 'accept', fwd: 'accept', out: 'accept' } as const;
      }
      throw error;
    });
    const { items: own } = await this.#routes.listRoutes({ type: 'local' });
    const single = new Set<string>();
    const networks: Network[] = [];
    for (const { dst, dstLength, family } of own) {
      if (dst === undefined) continue;
      if (dstLength === (family === 'inet6' ? 128 : 32)) single.add(dst);
      else networks.push(networkOf(`${dst}/${dstLength}`, []));
    }
    const sources = new Map<string, string>();
    const remotes = policies.flatMap(({ dir, templates = [] }) =>
      dir !== 'out'
        ? []
        : templates.flatMap((one) => (hasEnds(one) && isWild(one.saddr) ? [one.daddr] : [])),
    );
    for (const remote of new Set(remotes)) {
      const found = await this.#lookUp({ dst: remote });
      if (!('error' in found) && found.prefSrc !== undefined) sources.set(remote, found.prefSrc);
    }
    return {
      states,
      policies,
      defaults,
      now: Date.now(),
      sourceFor: (remote) => sources.get(remote),
      isLocal: (address) =>
        single.has(address) || networks.some((network) => contains(network, address)),
    };
  }

  async question(tables: Tables): Promise<Question> {
    const { mark = 0 } = this.#options;
    const direction = this.#options.direction ?? (await this.#direction());
    const named = await this.#named();
    const from = await this.#from(direction, named);
    const route = await this.#route(
      direction,
      direction === 'out' ? named : undefined,
      from?.index,
    );
    return {
      flow: this.#flow,
      direction,
      mark,
      route,
      isBound: direction === 'out' && named !== undefined,
      from: from && {
        device: from.name,
        ifId: this.#options.ifId ?? from.info?.xfrm?.ifId,
        vtiMark: from.info?.vti && (from.info.vti.ikey ?? 0),
        noPolicy: this.#setting(from.name, 'disable_policy'),
      },
      through: throughOf(tables, this.#options.spis, mark),
    };
  }

  /** The device that was named. */
  async #named(): Promise<Link | undefined> {
    const { device } = this.#options;
    if (device === undefined) return undefined;
    try {
      return await this.#routes.getLink({ name: device });
    } catch (error) {
      if (error instanceof KernelError && error.code === 'ENODEV') {
        throw new NotThere(`there is no interface ${device}`);
      }
      throw error;
    }
  }

  async #direction(): Promise<FlowDirection> {
    const from = (await this.#typeOf(this.#flow.saddr)) === 'local';
    const to = (await this.#typeOf(this.#flow.daddr)) === 'local';
    if (from) return to ? 'local' : 'out';
    return to ? 'in' : 'fwd';
  }

  async #typeOf(address: string): Promise<Route['type'] | undefined> {
    const found = await this.#lookUp({ dst: address });
    return 'error' in found ? undefined : found.type;
  }

  /** The device that packets come by: that which was named, or that of the route to their source. */
  async #from(direction: FlowDirection, named: Link | undefined): Promise<Link | undefined> {
    if (direction === 'out') return undefined;
    if (named) return named;
    const { saddr, daddr } = this.#flow;
    const back = await this.#lookUp({ dst: direction === 'local' ? daddr : saddr });
    return 'error' in back ? undefined : this.#link(back.oif);
  }

  async #route(
    direction: FlowDirection,
    named: Link | undefined,
    iif: number | undefined,
  ): Promise<Question['route']> {
    const { saddr: src, daddr: dst, proto, sport, dport } = this.#flow;
    const { mark, uid } = this.#options;
    const ports = proto === 6 || proto === 17 ? { ipProto: proto, sport, dport } : {};
    const icmp = proto === 1 || proto === 58 ? { ipProto: proto } : {};
    // Where it is delivered, or, without its source, whether it is: that need not be reachable.
    if (direction === 'in') return this.#answer(await this.#lookUp({ dst }));
    const found = await this.#lookUp({
      dst,
      src,
      mark,
      uid,
      ...(direction === 'fwd' && { iif }),
      ...(named && { oif: named.index }),
      ...ports,
      ...icmp,
    });
    return this.#answer(found);
  }

  async #answer(found: Route | { readonly error: string }): Promise<Question['route']> {
    if ('error' in found) return found;
    const link = await this.#link(found.oif);
    return {
      type: found.type,
      device: link?.name,
      ifindex: found.oif ?? 0,
      gateway: found.gateway ?? found.via?.address,
      source: found.prefSrc,
      ifId: this.#options.ifId ?? link?.info?.xfrm?.ifId,
      under: link?.info?.xfrm?.link,
      vtiMark: link?.info?.vti && (link.info.vti.okey ?? 0),
      // IPv6 has no such setting.
      noXfrm: this.#flow.family === 'inet' && this.#setting(link?.name, 'disable_xfrm'),
      isLoopback: link?.flags.names.includes('loopback'),
    } satisfies RouteAnswer;
  }

  async #lookUp(packet: RouteLookup): Promise<Route | { readonly error: string }> {
    try {
      return await this.#routes.getRoute(packet);
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      const passing = packet.iif === undefined ? '' : ', or this host does not forward';
      return { error: `no route to ${packet.dst}${passing} (${error.code})` };
    }
  }

  async #link(index: number | undefined): Promise<Link | undefined> {
    if (index === undefined || index === 0) return undefined;
    const known = this.#links.get(index);
    if (known) return known;
    const link = await this.#routes.getLink({ index });
    this.#links.set(index, link);
    return link;
  }

  /** Whether a setting is on, for all devices or for this one. */
  #setting(device: string | undefined, name: string): boolean {
    const family = this.#flow.family === 'inet' ? 'ipv4' : 'ipv6';
    return ['all', device].some(
      (one) => one && this.#read(`${family}/conf/${one}/${name}`) === '1',
    );
  }

  #read(path: string): string | undefined {
    try {
      const file = openFile(this.#netns, `/proc/sys/net/${path}`);
      try {
        const bytes = Buffer.alloc(16);
        return bytes.toString('latin1', 0, readSync(file.descriptor, bytes, 0, 16, 0)).trim();
      } finally {
        file.close();
      }
    } catch {
      return undefined; // no /proc, or not this setting
    }
  }
}

/** The SAs of this host with these SPIs. @throws NotThere */
export const throughOf = (
  tables: Tables,
  spis: readonly number[] | undefined,
  mark: number,
): readonly XfrmState[] | undefined =>
  spis?.map((spi) => {
    const sas = tables.states.filter((one) => one.spi === spi && tables.isLocal(one.daddr));
    const sa = sas.find((one) => arriving(tables, one, mark) === one);
    if (sa) return sa;
    const text = formatSpi(spi);
    throw new NotThere(
      sas.length > 0
        ? `the SA with the SPI ${text} is for another mark; packets for it are counted as XfrmInNoStates`
        : `no SA of this host has the SPI ${text}; packets for it are counted as XfrmInNoStates`,
    );
  });
