/**
 * The addresses of this host, and those that it no longer has.
 * @module
 */
import type { RouteEvent } from '../route/events.ts';
import type { IpAddress, Link } from '../route/objects.ts';

/** An address that was usable and is not any more; with the link that was switched off or went. */
export interface LostAddress {
  readonly address: string;
  readonly link: string | undefined;
}

/** Lost addresses that are remembered. */
const REMEMBERED = 4096;

/** Fed with lists and events of links and addresses. */
export class LocalAddresses {
  readonly #links = new Map<number, { readonly name: string; readonly up: boolean }>();
  /** The interfaces that have an address, by what tells one holding of it from another ({@link holdingOf}). */
  readonly #holders = new Map<string, Map<string, number>>();
  readonly #lost = new Map<string, LostAddress>();

  /** Whether an address is this host's, or was while it was watched. */
  isLocal = (address: string): boolean => this.#holders.has(address) || this.#lost.has(address);

  /** Says that an address cannot be used any more, if it could. */
  lost(address: string): LostAddress | undefined {
    return this.#lost.get(address);
  }

  /** @returns addresses that came, went, or changed whether they can be used */
  event(event: RouteEvent): string[] {
    if (event.kind === 'NEWLINK' || event.kind === 'DELLINK') {
      const { index } = event.link;
      const before = this.#links.get(index);
      const up = event.kind === 'NEWLINK' && isUp(event.link);
      this.#links.set(index, { name: event.link.name ?? before?.name ?? `${index}`, up });
      if (before?.up === up) return [];
      const held = [...this.#holders].filter(([, links]) => [...links.values()].includes(index));
      return held.filter(([address]) => this.#check(address)).map(([address]) => address);
    }
    if (event.kind !== 'NEWADDR' && event.kind !== 'DELADDR') return [];
    const address = addressOf(event.address);
    if (address === undefined) return [];
    const links = this.#holders.get(address) ?? new Map<string, number>();
    const known = links.size > 0;
    const holding = holdingOf(event.address);
    if (event.kind === 'NEWADDR') links.set(holding, event.address.index);
    else links.delete(holding);
    if (links.size > 0) this.#holders.set(address, links);
    else this.#holders.delete(address);
    const changed = this.#check(address, event.address.index);
    return changed || known !== links.size > 0 ? [address] : [];
  }

  /** Whole lists, at the start or after a loss. @returns as {@link event} */
  replace(addresses: Iterable<IpAddress>, links: Iterable<Link>): string[] {
    const before = new Set(this.#holders.keys());
    this.#links.clear();
    for (const link of links) {
      this.#links.set(link.index, { name: link.name ?? `${link.index}`, up: isUp(link) });
    }
    this.#holders.clear();
    for (const one of addresses) {
      const address = addressOf(one);
      if (address === undefined) continue;
      const holders = this.#holders.get(address) ?? new Map<string, number>();
      this.#holders.set(address, holders.set(holdingOf(one), one.index));
    }
    const all = [...new Set([...before, ...this.#holders.keys()])];
    return all.filter(
      (address) => this.#check(address) || before.has(address) !== this.#holders.has(address),
    );
  }

  /** Notes whether an address can be used; whether that is new. @param last who had it last */
  #check(address: string, last?: number): boolean {
    const holders = this.#holders.get(address);
    const links = [...(holders?.values() ?? [])].map((index) => this.#links.get(index));
    const usable = holders !== undefined && links.some((link) => link === undefined || link.up);
    const before = this.#lost.has(address);
    if (usable) this.#lost.delete(address);
    else {
      const link = links[0] ?? (last === undefined ? undefined : this.#links.get(last));
      const name = link && !link.up ? link.name : undefined;
      if (!before) this.#lost.set(address, { address, link: name });
      if (this.#lost.size > REMEMBERED) this.#lost.delete(this.#lost.keys().next().value as string);
    }
    return before === usable;
  }
}

const isUp = ({ flags }: Link): boolean => flags.names.includes('up');

/** On a point-to-point link `address` is the other end's (linux/if_addr.h). */
const addressOf = ({ local, address }: IpAddress): string | undefined => local ?? address;

/**
 * An interface can have one IPv4 address several times, with other prefixes or other ends opposite; each comes and
 * goes by itself (seen on 6.18). An IPv6 address it has once, and may change its other end.
 */
const holdingOf = ({ family, index, address, prefixLength }: IpAddress): string =>
  family === 'inet' ? `${index} ${address}/${prefixLength}` : `${index}`;
