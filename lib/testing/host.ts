/** A network namespace that acts as a host: it has addresses and is connected to others by cables. @module */

import { wrongType, wrongValue } from '../base/argument.ts';
import { subscribe } from '../monitor/subscribe.ts';
import { openFile } from '../socket/namespace.ts';
import { AF_INET, AF_INET6, addressFamily, canonicalAddress } from '../wire/address.ts';
import { hosts, names } from './argument.ts';
import { TestingError } from './error.ts';
import { NetworkNamespace } from './network-namespace.ts';

/** A host's name and addresses. */
export interface HostOptions {
  readonly name: string;
  /** The address at which other hosts reach it. */
  readonly address: string;
  readonly address6?: string | undefined;
  /** An address behind it, to be protected by IPsec. */
  readonly inner?: string | undefined;
  readonly inner6?: string | undefined;
  /**
   * Use the network namespace of this thread, which must be one created for the test (`unshare --net`). Programs and
   * sockets of this process are then on this host; closing it removes its cables and inner addresses.
   */
  readonly here?: boolean | undefined;
}

/** Milliseconds a cable or an address may take, on a slow machine. */
const PATIENCE = 30_000;
const late = (what: string) =>
  new TestingError('ERR_WAIT_TIMEOUT', `${what} within ${PATIENCE / 1000} s`);

const isV6 = (address: string) => address.includes(':');
const single = (address: string) => (isV6(address) ? 128 : 32);

const ADDRESSES = ['address', 'address6', 'inner', 'inner6'] as const;

function checkHost(options: HostOptions): void {
  names('options', options, ['name', 'here', ...ADDRESSES]);
  if (typeof options.name !== 'string') throw wrongType('options.name', 'a string', options.name);
  for (const which of ADDRESSES) {
    const value = options[which];
    // The outer address of a host without cables may be missing, too.
    if (value === undefined || value === '') continue;
    const wanted = which.endsWith('6') ? AF_INET6 : AF_INET;
    if (addressFamily(value) === wanted) continue;
    throw wrongType(
      `options.${which}`,
      wanted === AF_INET ? 'an IPv4 address' : 'an IPv6 address',
      value,
    );
  }
}

/** A network namespace with addresses. An address it does not have is an empty string. */
export class Host extends NetworkNamespace {
  /** Changed by {@link moveAddress}. */
  address: string;
  readonly address6: string;
  readonly inner: string;
  readonly inner6: string;
  /** Interface index of each cable, by the host at its other end. */
  readonly cables = new Map<Host, number>();

  /** Makes a host. */
  static async create(options: HostOptions): Promise<Host> {
    return new Host(options).started();
  }

  private constructor(options: HostOptions) {
    checkHost(options);
    const { name, address, address6 = '', inner = '', inner6 = '', here = false } = options;
    super(name, here ? openFile(undefined, '/proc/thread-self/ns/net') : undefined);
    if (here) this.own(() => this.#leave());
    this.address = address;
    this.address6 = address6;
    this.inner = inner;
    this.inner6 = inner6;
  }

  /** @internal */
  protected override async started(): Promise<this> {
    await super.started();
    if (this.inner) await this.addAddress(this.inner);
    return this;
  }

  /** Removes what was added, for a namespace that outlives this host. */
  async #leave(): Promise<void> {
    for (const index of this.cables.values())
      await this.route.deleteLink({ index }).catch(() => {});
    if (this.inner) await this.removeAddress(this.inner).catch(() => {});
  }

  /** Adds an address; by default to the loopback interface, where it is reachable over any cable. */
  async addAddress(local: string, index = 1): Promise<void> {
    if (addressFamily(local) === undefined) throw wrongType('address', 'an IP address', local);
    const own = { index, local, prefixLength: single(local) };
    if (!isV6(local)) return this.route.addAddress(own);
    // The kernel answers before it has the route of an IPv6 address (net/ipv6/addrconf.c,
    // addrconf_dad_work), without which it takes no packets to it.
    const signal = AbortSignal.timeout(PATIENCE);
    await using events = subscribe({ netns: this.netns, groups: ['ipv6-route'], signal });
    await this.route.addAddress({ ...own, flags: ['nodad'] });
    const dst = canonicalAddress(local);
    for await (const event of events) {
      if (event.kind !== 'NEWROUTE') continue;
      if (event.route.type === 'local' && event.route.dst === dst) return;
    }
    throw late(`${local} is not an address of ${this.name}`);
  }

  /** Removes an address. */
  async removeAddress(local: string, index = 1): Promise<void> {
    await this.route.deleteAddress({ index, local, prefixLength: single(local) });
  }

  /**
   * Adds a route for a network (`10.2.0.0/16`) or address over the cable to a host, optionally with a source address. That
   * host is the gateway for addresses other than its own.
   */
  async reach(network: string, by: Host, from?: string): Promise<void> {
    const [dst = '', length = single(network)] = network.split('/');
    const direct = [by.address, by.address6, by.inner, by.inner6].includes(network);
    const gateway = isV6(dst) ? by.address6 : by.address;
    if (!direct && gateway === '') {
      throw wrongValue(
        `${by.name} has no ${isV6(dst) ? 'IPv6' : 'IPv4'} address to reach ${network} by`,
      );
    }
    const value = {
      dst,
      dstLength: Number(length),
      oif: this.cableTo(by),
      prefSrc: from || undefined,
    };
    await this.route.replaceRoute(direct ? { ...value, scope: 'link' } : { ...value, gateway });
  }

  /** Interface index of the cable to a host. */
  cableTo(other: Host): number {
    const index = this.cables.get(other);
    if (index === undefined)
      throw wrongValue(`there is no cable from ${this.name} to ${other.name}`);
    return index;
  }
}

/** Connects two hosts by a veth pair, and adds routes to each other's addresses. */
export async function cable(left: Host, right: Host): Promise<void> {
  hosts({ left, right });
  if (left === right) throw wrongValue(`a cable joins two hosts; received ${left.name} twice`);
  if (left.cables.has(right)) {
    throw wrongValue(`there is a cable from ${left.name} to ${right.name} already`);
  }
  const [here, there] = [left, right].map(({ cables }) => `cable${cables.size || ''}`) as [
    string,
    string,
  ];
  const peer = { name: there, netNsFd: right.netns };
  await left.route.addLink({ name: here, info: { kind: 'veth', veth: { peer } } });
  await plug(left, here, right);
  await plug(right, there, left);
  await untilUp(left, right);
  await untilUp(right, left);
  await reachAll(left, right);
  await reachAll(right, left);
}

async function plug(host: Host, name: string, other: Host): Promise<void> {
  const { index } = await host.route.getLink({ name });
  await host.route.setLinkUp({ index });
  // IPv6 on both ends: neighbour solicitations need a source address on the interface (net/ipv6/ndisc.c, ndisc_solicit).
  const first = host.cables.size === 0;
  for (const address of [first ? host.address : '', host.address6, host.inner6]) {
    if (address) await host.addAddress(address, index);
  }
  host.cables.set(other, index);
}

/**
 * Waits until packets pass a cable: the kernel activates the queue of a link some time after both ends are up
 * (net/core/link_watch.c), late if it is removing other namespaces, and drops what is sent before.
 */
export async function untilUp(from: Host, to: Host): Promise<void> {
  const index = from.cableTo(to);
  const signal = AbortSignal.timeout(PATIENCE);
  await using events = subscribe({ netns: from.netns, groups: ['link'], signal });
  if ((await from.route.getLink({ index })).operState === 'up') return;
  for await (const event of events) {
    if (event.kind !== 'NEWLINK' || event.link.index !== index) continue;
    if (event.link.operState === 'up') return;
  }
  throw late(`the cable from ${from.name} to ${to.name} is not up`);
}

async function reachAll(from: Host, to: Host): Promise<void> {
  for (const which of ['address', 'address6', 'inner', 'inner6'] as const) {
    if (to[which]) await from.reach(to[which], to, from[which]);
  }
}
