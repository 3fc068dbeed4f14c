/**
 * The addresses of this host, and those that it no longer has.
 * @module
 */
import type { AddressKinds, HostLink } from '../monitor/address-table.ts';
import type { ObjectChange } from '../monitor/changes.ts';
import type { Tables } from '../monitor/object-model.ts';

/** An address that was usable and is not any more; with the link that was switched off or went. */
export interface LostAddress {
  readonly address: string;
  readonly link: string | undefined;
}

/** Addresses that are remembered after they have gone. */
const REMEMBERED = 4096;

/** What tables of links and addresses say of an address. */
export class LocalAddresses {
  readonly #tables: Tables<AddressKinds>;
  /** Addresses whose links are all down. */
  readonly #down = new Map<string, LostAddress>();
  readonly #gone = new Map<string, LostAddress>();

  /** @param tables which are complete; what happens to them later is a {@link change} */
  constructor(tables: Tables<AddressKinds>) {
    this.#tables = tables;
    for (const { value } of tables.link) if (!value.up) this.#checkLink(value);
  }

  /** Whether an address is this host's, or was while it was watched. */
  isLocal = (address: string): boolean =>
    this.#tables.address.find('address', address).length > 0 || this.#gone.has(address);

  /** Says that an address cannot be used any more, if it could. */
  lost(address: string): LostAddress | undefined {
    return this.#down.get(address) ?? this.#gone.get(address);
  }

  /** @returns addresses that came, went, or changed whether they can be used */
  change(change: ObjectChange<AddressKinds>): string[] {
    if (change.object === 'link') {
      const { value } = change;
      if (change.kind === 'updated' && change.before.up === value.up) return [];
      return this.#checkLink(change.kind === 'removed' ? { ...value, up: false } : value);
    }
    const { address, index } = change.value;
    const holders = this.#tables.address.find('address', address).length;
    const cameOrWent = holders === (change.kind === 'removed' ? 0 : 1);
    const changed = this.#check(address, this.#tables.link.get(`${index}`)?.value);
    return changed || cameOrWent ? [address] : [];
  }

  /** Notes which addresses of a link can be used. @returns those of which that is new */
  #checkLink(link: HostLink): string[] {
    const held = this.#tables.address.find('link', `${link.index}`);
    const addresses = new Set(held.map(({ value }) => value.address));
    return [...addresses].filter((address) => this.#check(address, link));
  }

  /** Notes whether an address can be used; whether that is new. @param link that has or had it, as it is now */
  #check(address: string, link: HostLink | undefined): boolean {
    const holders = this.#tables.address.find('address', address);
    const usable = holders.some(({ value: { index } }) => {
      const its = index === link?.index ? link : this.#tables.link.get(`${index}`)?.value;
      // Of a link that is not known, nothing says that it is down: events were lost.
      return its === undefined || its.up;
    });
    const before = this.lost(address);
    this.#down.delete(address);
    this.#gone.delete(address);
    if (!usable) {
      const name = link && !link.up ? link.name : undefined;
      const lost = before ?? { address, link: name };
      (holders.length > 0 ? this.#down : this.#gone).set(address, lost);
      if (this.#gone.size > REMEMBERED) this.#gone.delete(this.#gone.keys().next().value as string);
    }
    return usable === (before !== undefined);
  }
}
