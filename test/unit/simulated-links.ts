/**
 * Links and addresses, as a kernel has them and tells of them (net/core/rtnetlink.c, net/ipv4/devinet.c,
 * net/ipv6/addrconf.c of 7.3), as far as a table can notice it.
 * @module
 */
import {
  type AddressKinds,
  type HostAddress,
  type HostLink,
  hostAddress,
  hostLink,
} from '../../lib/monitor/address-table.ts';
import type { RouteEvent } from '../../lib/route/events.ts';
import type { IpAddress, Link } from '../../lib/route/objects.ts';
import type { Random } from './random.ts';
import { SimulatedQueue } from './simulated-queue.ts';

const HEADER = { length: 0, type: 0, flags: 0, seq: 0, portId: 0 };
const TIME = { wall: 0, monotonic: 0 };
export const ADDRESSES = ['192.0.2.1', '192.0.2.2', '192.0.2.3', '2001:db8::1'] as const;

type Listed = ['link', HostLink] | ['address', HostAddress];

export const link = (index: number, up: boolean, name = `eth${index}`): Link =>
  ({ index, name, flags: { mask: Number(up), names: up ? ['up'] : [] } }) as unknown as Link;

export const address = (index: number, local: string, prefixLength = 24): IpAddress =>
  ({
    family: local.includes(':') ? 'inet6' : 'inet',
    index,
    prefixLength,
    address: local,
    local,
  }) as unknown as IpAddress;

export class SimulatedLinks {
  readonly links = new Map<number, Link>();
  readonly addresses: IpAddress[] = [];
  readonly queue: SimulatedQueue<RouteEvent>;
  steps = 0;
  readonly #random: Random;
  readonly #most: number;

  constructor(random: Random, capacity: number) {
    this.#random = random;
    this.queue = new SimulatedQueue(random, capacity);
    this.#most = 1 + random.below(4);
  }

  get late(): boolean {
    return this.queue.late;
  }

  /** One thing happens, or the rest of what is happening (rtnl_mutex). */
  step(): void {
    this.steps++;
    const random = this.#random;
    if (random.chance(1, 3)) this.queue.timer();
    if (this.queue.finishSome()) return;
    const index = 1 + random.below(this.#most);
    const known = this.links.get(index);
    if (known === undefined) this.#setLink(link(index, random.chance(1, 2)));
    else if (random.chance(1, 6)) this.#deleteLink(index);
    else if (random.chance(1, 8)) this.#setLink({ ...known, name: `eth${random.below(3)}` });
    else if (random.chance(1, 3)) this.#setLink(link(index, !isUp(known), known.name));
    else if (random.chance(1, 2)) this.#add(index);
    else if (this.addresses.length > 0) this.#remove(random.pick(this.addresses));
  }

  quiet(): void {
    this.queue.settle();
  }

  *dump(piece: number): Generator<Listed[]> {
    let ahead: Listed[] | undefined;
    for (const part of this.#walk(piece)) {
      if (ahead) yield ahead;
      ahead = part;
    }
    if (ahead) yield ahead;
  }

  /** By their numbers, so that what stays is never left out. */
  *#walk(piece: number): Generator<Listed[]> {
    for (let at = 0; at <= this.#most; at += piece) {
      const all = [...this.links.values()].filter(({ index }) => index > at && index <= at + piece);
      yield all.map((one) => ['link', hostLink(one)]);
    }
    for (let at = 0; at <= this.#most; at += piece) {
      const all = this.addresses.filter(({ index }) => index > at && index <= at + piece);
      yield all.map((one) => ['address', hostAddress(one) as HostAddress]);
    }
  }

  /** The tables as they ought to be. */
  texts(name: keyof AddressKinds): string[] {
    const all =
      name === 'link' ? [...this.links.values()].map(hostLink) : this.addresses.map(hostAddress);
    return all.map((one) => JSON.stringify(one)).sort();
  }

  /** Whether packets can be sent from an address. */
  usable(sought: string): boolean {
    return this.addresses.some(
      ({ local, index }) => local === sought && isUp(this.links.get(index) as Link),
    );
  }

  #setLink(value: Link): void {
    this.links.set(value.index, value);
    this.#tell('NEWLINK', { link: value });
  }

  /** It is switched off, loses its addresses, and goes (unregister_netdevice_many). */
  #deleteLink(index: number): void {
    const value = this.links.get(index) as Link;
    if (isUp(value)) this.#tell('NEWLINK', { link: link(index, false, value.name) });
    for (const one of this.addresses.filter((each) => each.index === index)) this.#remove(one);
    this.links.delete(index);
    this.#tell('DELLINK', { link: value });
  }

  #add(index: number): void {
    const value = address(index, this.#random.pick(ADDRESSES), this.#random.pick([24, 32]));
    const same = (one: IpAddress) =>
      one.index === index &&
      one.local === value.local &&
      (value.family === 'inet6' || one.prefixLength === value.prefixLength);
    if (this.addresses.some(same)) return;
    this.addresses.push(value);
    this.#tell('NEWADDR', { address: value });
  }

  #remove(value: IpAddress): void {
    this.addresses.splice(this.addresses.indexOf(value), 1);
    this.#tell('DELADDR', { address: value });
  }

  #tell(kind: string, about: object): void {
    const event = { kind, protocol: 'route', header: HEADER, time: TIME, ...about };
    this.queue.push(event as unknown as RouteEvent);
  }
}

const isUp = ({ flags }: Link): boolean => flags.names.includes('up');
