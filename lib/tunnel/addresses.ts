/** Follows the addresses of this host, including those it has lost. @module */
import {
  type AddressKinds,
  addressModel,
  type HostLink,
  hostAddress,
  hostLink,
  isAccepted,
  routedAddress,
} from '../monitor/address-table.ts';
import type { ObjectChange, TableChange } from '../monitor/changes.ts';
import { type EventBuffers, openEventSocket } from '../monitor/event-socket.ts';
import { type AddDumped, LiveTables } from '../monitor/live-tables.ts';
import type { Tables } from '../monitor/object-model.ts';
import type { Malformed } from '../netlink/event.ts';
import { RouteClient } from '../route/client.ts';
import { RT_TABLE_LOCAL, RTN_LOCAL, RTPROT_KERNEL } from '../route/constants.ts';
import { decodeRoute } from '../route/decode.ts';
import type { RouteEvent } from '../route/events.ts';
import {
  RTM_DELROUTE,
  RTM_NEWROUTE,
  RTNLGRP_IPV4_IFADDR,
  RTNLGRP_IPV4_ROUTE,
  RTNLGRP_IPV6_IFADDR,
  RTNLGRP_IPV6_ROUTE,
  RTNLGRP_LINK,
} from '../route/message-constants.ts';
import { onAbort } from '../socket/abort.ts';
import {
  BPF,
  type BpfInstruction,
  type NetlinkSocket,
  type NetnsReference,
} from '../socket/index.ts';

/** The groups that announce addresses. */
export const ADDRESS_GROUPS = [
  RTNLGRP_LINK,
  RTNLGRP_IPV4_IFADDR,
  RTNLGRP_IPV6_IFADDR,
  RTNLGRP_IPV4_ROUTE,
  RTNLGRP_IPV6_ROUTE,
];

/**
 * Of routes, accepts only those of type local that the kernel did not create for an address: a
 * router may have a million others. Matches struct nlmsghdr, whose type is little-endian here, and
 * the struct rtmsg after it.
 */
export const LOCAL_ROUTES: readonly BpfInstruction[] = [
  { code: BPF.LD | BPF.B | BPF.ABS, k: 4 },
  { code: BPF.JMP | BPF.JEQ | BPF.K, k: RTM_NEWROUTE, jt: 1 },
  { code: BPF.JMP | BPF.JEQ | BPF.K, k: RTM_DELROUTE, jf: 4 },
  { code: BPF.LD | BPF.B | BPF.ABS, k: 16 + 7 },
  { code: BPF.JMP | BPF.JEQ | BPF.K, k: RTN_LOCAL, jf: 3 },
  { code: BPF.LD | BPF.B | BPF.ABS, k: 16 + 5 },
  { code: BPF.JMP | BPF.JEQ | BPF.K, k: RTPROT_KERNEL, jt: 1 },
  { code: BPF.RET | BPF.K, k: 0xffff_ffff },
  { code: BPF.RET | BPF.K, k: 0 },
];

/** Interrupted dumps before one is accepted: a host's addresses may change all the time. */
const ATTEMPTS = 5;

/** Follows the addresses and links of a namespace. */
export class Addresses {
  changed: (addresses: string[]) => void = () => {};
  failed: (error: unknown) => void = () => {};
  #opened = () => {};
  /** The known addresses, from {@link open} on. */
  local!: LocalAddresses;
  readonly #client: RouteClient;
  readonly tables: LiveTables<AddressKinds, RouteEvent>;
  #interrupted = 0;

  constructor(netns: NetnsReference | undefined, buffers: EventBuffers) {
    this.#client = new RouteClient({ netns });
    let socket: NetlinkSocket | undefined;
    try {
      ({ socket } = openEventSocket('route', ADDRESS_GROUPS, buffers, netns));
      // Events queued before the filter do no harm.
      socket.attachFilter(LOCAL_ROUTES);
      this.tables = new LiveTables<AddressKinds, RouteEvent>(
        socket,
        { model: addressModel, decode: decodeRoute, dump: (add) => this.#dump(add) },
        { changed: (change) => this.#changed(change), failed: (error) => this.failed(error) },
      );
    } catch (error) {
      void socket?.close();
      // It holds the namespace.
      void this.#client.close();
      throw error;
    }
  }

  /** @returns a promise that is fulfilled when all addresses are known */
  async open(signal?: AbortSignal): Promise<void> {
    const opened = new Promise<void>((resolve, reject) => {
      this.#opened = resolve;
      this.failed = reject;
    });
    using _ = onAbort(signal, this.failed);
    this.tables.start();
    // The XFRM socket keeps the process alive.
    this.tables.unref();
    await opened;
  }

  async close(): Promise<void> {
    await Promise.all([this.tables.close(), this.#client.close()]);
  }

  #changed(change: TableChange<AddressKinds> | Malformed): void {
    if (!this.tables.isOpen) {
      this.local = new LocalAddresses(this.tables.tables);
      this.#opened();
    }
    if (!('object' in change)) return;
    const addresses = this.local.change(change);
    if (addresses.length > 0) this.changed(addresses);
  }

  async #dump(add: AddDumped<AddressKinds>): Promise<boolean> {
    const links = await this.#client.listLinks();
    for (const link of links.items) add('link', hostLink(link));
    const addresses = await this.#client.listAddresses();
    for (const one of addresses.items) {
      const address = isAccepted(one) ? hostAddress(one) : undefined;
      if (address) add('address', address);
    }
    const routes = await this.#client.listRoutes({ table: RT_TABLE_LOCAL, type: 'local' });
    for (const one of routes.items) {
      const address = routedAddress(one);
      if (address) add('address', address);
    }
    const interrupted = links.interrupted || addresses.interrupted || routes.interrupted;
    this.#interrupted = interrupted ? (this.#interrupted + 1) % ATTEMPTS : 0;
    return this.#interrupted === 0;
  }
}

/** An address that this host does not or no longer have, with its link if that is down or gone. */
export interface LostAddress {
  readonly address: string;
  readonly link: string | undefined;
}

/** Removed addresses remembered. */
const REMEMBERED = 4096;

/** Which addresses are local or lost, from tables of links and addresses. */
export class LocalAddresses {
  readonly #tables: Tables<AddressKinds>;
  /** Addresses whose links are all down. */
  readonly #down = new Map<string, LostAddress>();
  readonly #gone = new Map<string, LostAddress>();

  /** @param tables must be complete; pass later changes to {@link change} */
  constructor(tables: Tables<AddressKinds>) {
    this.#tables = tables;
    for (const { value } of tables.link) if (!value.up) this.#checkLink(value);
  }

  /** Whether an address is this host's. */
  has = (address: string): boolean => this.#tables.address.has('address', address);

  /** Whether an address is this host's, or was since watching began. */
  isLocal = (address: string): boolean => this.has(address) || this.#gone.has(address);

  /** Reports an address that cannot be used, whether or not it could before. */
  lost = (address: string): LostAddress | undefined =>
    this.#noted(address) ?? (this.has(address) ? undefined : { address, link: undefined });

  #noted(address: string): LostAddress | undefined {
    return this.#down.get(address) ?? this.#gone.get(address);
  }

  /** @returns addresses that were added, removed, or became usable or unusable */
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

  /** Records which addresses of a link are usable. @returns those that changed */
  #checkLink(link: HostLink): string[] {
    const held = this.#tables.address.find('link', `${link.index}`);
    const addresses = new Set(held.map(({ value }) => value.address));
    return [...addresses].filter((address) => this.#check(address, link));
  }

  /**
   * Records whether an address is usable; true if that changed. @param link has or had it; as it is
   * now
   */
  #check(address: string, link: HostLink | undefined): boolean {
    const holders = this.#tables.address.find('address', address);
    const usable = holders.some(({ value: { index } }) => {
      const its = index === link?.index ? link : this.#tables.link.get(`${index}`)?.value;
      // An unknown link is not known to be down: events were lost.
      return its === undefined || its.up;
    });
    const before = this.#noted(address);
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
