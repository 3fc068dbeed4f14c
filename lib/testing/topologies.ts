/** Common topologies of hosts connected by cables. docs/testing.md draws them. @module */
import { existsSync } from 'node:fs';
import { integer } from '../base/argument.ts';
import { names } from './argument.ts';
import { cable, Host, type HostOptions } from './host.ts';
import { Nat } from './nat.ts';

/** An address to use only if the kernel has IPv6. */
const v6 = (address: string) => (existsSync('/proc/net/if_inet6') ? address : undefined);

/** The default hosts of {@link twoHosts}. */
export const LEFT = {
  name: 'left',
  address: '192.0.2.1',
  address6: v6('2001:db8::1'),
  inner: '10.0.1.1',
  inner6: v6('fd00:1::1'),
} as const satisfies HostOptions;
export const RIGHT = {
  name: 'right',
  address: '192.0.2.2',
  address6: v6('2001:db8::2'),
  inner: '10.0.2.1',
  inner6: v6('fd00:2::1'),
} as const satisfies HostOptions;

/** Closes all of them in reverse order of opening. */
function together<Parts extends object>(
  parts: Parts,
  closed: readonly AsyncDisposable[],
): Parts & AsyncDisposable {
  const dispose = async () => {
    for (const one of closed.toReversed()) await one[Symbol.asyncDispose]();
  };
  return { ...parts, [Symbol.asyncDispose]: dispose };
}

/** Builds parts in order; if one fails, those already built are closed. */
async function building<Result>(
  build: (
    keep: <One extends AsyncDisposable>(one: Promise<One>) => Promise<One>,
  ) => Promise<Result>,
  closed: AsyncDisposable[],
): Promise<Result> {
  try {
    return await build(async (one) => {
      const made = await one;
      closed.push(made);
      return made;
    });
  } catch (error) {
    for (const one of closed.toReversed()) await one[Symbol.asyncDispose]();
    throw error;
  }
}

/** Two hosts and the cable between them. */
export interface TwoHosts extends AsyncDisposable {
  readonly left: Host;
  readonly right: Host;
}

/** Two hosts and a cable: 192.0.2.1 and 192.0.2.2, with 10.0.1.1 and 10.0.2.1 behind them. */
export async function twoHosts(
  options: { left?: Partial<HostOptions>; right?: Partial<HostOptions> } = {},
): Promise<TwoHosts> {
  names('options', options, ['left', 'right']);
  const closed: AsyncDisposable[] = [];
  return building(async (keep) => {
    const left = await keep(Host.create({ ...LEFT, ...options.left }));
    const right = await keep(Host.create({ ...RIGHT, ...options.right }));
    await cable(left, right);
    return together({ left, right }, closed);
  }, closed);
}

/** Two gateways, each with a host behind it. */
export interface Gateways extends TwoHosts {
  /** Behind `left` and `right`. */
  readonly behindLeft: Host;
  readonly behindRight: Host;
}

/**
 * Two gateways with a host behind each: 10.0.1.2 behind `left`, 10.0.2.2 behind `right`. Only tunnels for 10.0.1.0/24 and
 * 10.0.2.0/24 lead from one to the other.
 */
export async function gateways(): Promise<Gateways> {
  const closed: AsyncDisposable[] = [];
  return building(async (keep) => {
    const left = await keep(Host.create(LEFT));
    const right = await keep(Host.create(RIGHT));
    await cable(left, right);
    const hosts: Host[] = [];
    for (const [gateway, far, address, near, other] of [
      [left, right, '10.0.1.2', '10.0.1.0/24', '10.0.2.0/24'],
      [right, left, '10.0.2.2', '10.0.2.0/24', '10.0.1.0/24'],
    ] as const) {
      const host = await keep(Host.create({ name: `behind ${gateway.name}`, address }));
      await cable(host, gateway);
      await host.reach('0.0.0.0/0', gateway);
      await gateway.reach(near, host);
      await gateway.reach(other, far, gateway.inner);
      await gateway.sysctl('net/ipv4/ip_forward', 1);
      hosts.push(host);
    }
    const [behindLeft, behindRight] = hosts as [Host, Host];
    return together({ left, right, behindLeft, behindRight }, closed);
  }, closed);
}

/** Of one network, whose hosts are numbered from 1. */
const MOST_CLIENTS = 200;

/** A server and its remote clients. */
export interface RoadWarriors extends AsyncDisposable {
  readonly server: Host;
  readonly clients: readonly Host[];
  /** The NAT in front of the server, if any. */
  readonly nat: Nat | undefined;
}

/**
 * A server, 192.0.2.1, and clients with the inner addresses 10.0.3.1, 10.0.3.2 ….
 *
 * @param count number of clients, up to 200
 * @param options `nat`: whether there is a NAT in between, which the server sees as 203.0.113.1
 */
export async function roadWarriors(
  count: number,
  options: { readonly nat?: boolean } = {},
): Promise<RoadWarriors> {
  integer('count', count, 1, MOST_CLIENTS);
  names('options', options, ['nat']);
  const { nat: wanted = false } = options;
  const closed: AsyncDisposable[] = [];
  return building(async (keep) => {
    const server = await keep(Host.create({ ...LEFT, name: 'server', address6: '' }));
    const nat = wanted ? await keep(Nat.open(server, '203.0.113.1')) : undefined;
    const clients: Host[] = [];
    for (let i = 1; i <= count; i++) {
      const address = wanted ? `192.168.0.${i}` : `198.51.100.${i}`;
      const client = await keep(
        Host.create({ name: `client ${i}`, address, inner: `10.0.3.${i}` }),
      );
      if (nat === undefined) await cable(client, server);
      else {
        await nat.connect(client);
        await client.reach(server.inner, nat.inside, client.inner);
      }
      clients.push(client);
    }
    return together({ server, clients, nat }, closed);
  }, closed);
}
