/**
 * The addresses and links of a network namespace, followed.
 * @module
 */
import {
  type AddressKinds,
  addressModel,
  hostAddress,
  hostLink,
} from '../monitor/address-table.ts';
import type { TableChange } from '../monitor/changes.ts';
import { openEventSocket } from '../monitor/event-socket.ts';
import { type Listed, LiveTables } from '../monitor/live-tables.ts';
import type { Malformed } from '../netlink/event.ts';
import { RouteClient } from '../route/client.ts';
import { RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_LINK } from '../route/constants.ts';
import { decodeRoute } from '../route/decode.ts';
import type { RouteEvent } from '../route/events.ts';
import { onAbort } from '../socket/abort.ts';
import type { Namespace } from '../socket/index.ts';
import { LocalAddresses } from './local-addresses.ts';

const GROUPS = [RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR];

/** Lists that changed while they were made, before one is taken as it is: a host may change all the time. */
const ATTEMPTS = 5;

/** Follows the addresses and links of a namespace. */
export class Addresses {
  changed: (addresses: string[]) => void = () => {};
  failed: (error: unknown) => void = () => {};
  #opened = () => {};
  /** What is known of them, from {@link open} on. */
  local!: LocalAddresses;
  readonly #client: RouteClient;
  readonly tables: LiveTables<AddressKinds, RouteEvent>;
  #interrupted = 0;

  constructor(netns: Namespace | undefined, receiveBufferSize: number) {
    this.#client = new RouteClient({ netns });
    try {
      const { socket } = openEventSocket('route', GROUPS, receiveBufferSize, netns);
      this.tables = new LiveTables<AddressKinds, RouteEvent>(
        socket,
        { model: addressModel, decode: decodeRoute, list: (listed) => this.#list(listed) },
        { changed: (change) => this.#changed(change), failed: (error) => this.failed(error) },
      );
    } catch (error) {
      // It holds the namespace.
      void this.#client.close();
      throw error;
    }
  }

  /** @returns a promise that is fulfilled when all are known */
  async open(signal?: AbortSignal): Promise<void> {
    const opened = new Promise<void>((resolve, reject) => {
      this.#opened = resolve;
      this.failed = reject;
    });
    using _ = onAbort(signal, this.failed);
    this.tables.start();
    // The socket of XFRM keeps the process alive.
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

  async #list(listed: Listed<AddressKinds>): Promise<boolean> {
    const links = await this.#client.listLinks();
    for (const link of links.items) listed('link', hostLink(link));
    const addresses = await this.#client.listAddresses();
    for (const one of addresses.items) {
      const address = hostAddress(one);
      if (address) listed('address', address);
    }
    const interrupted = links.interrupted || addresses.interrupted;
    this.#interrupted = interrupted ? (this.#interrupted + 1) % ATTEMPTS : 0;
    return this.#interrupted === 0;
  }
}
