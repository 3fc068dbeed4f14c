/**
 * The addresses and links of a network namespace, followed.
 * @module
 */
import { type Subscription, subscribe } from '../monitor/subscribe.ts';
import { RouteClient } from '../route/client.ts';
import type { Namespace } from '../socket/index.ts';
import { LocalAddresses } from './local-addresses.ts';

/** Follows the addresses and links of a namespace. */
export class Addresses {
  readonly local = new LocalAddresses();
  changed: (addresses: string[]) => void = () => {};
  failed: (error: unknown) => void = () => {};
  readonly #events: Subscription;
  readonly #client: RouteClient;
  #listing: Promise<void> | undefined;

  constructor(netns: Namespace | undefined) {
    this.#client = new RouteClient({ netns });
    const groups = ['link', 'ipv4-ifaddr', 'ipv6-ifaddr'] as const;
    try {
      this.#events = subscribe({ groups, netns });
    } catch (error) {
      // It holds the namespace.
      void this.#client.close();
      throw error;
    }
  }

  async open(signal?: AbortSignal): Promise<void> {
    // The groups are joined before the lists are asked for; what comes meanwhile is applied after.
    await this.#list(signal);
    this.#events.on('event', (event) => {
      if (event.kind === 'overrun' || event.kind === 'malformed') this.#repair();
      else if (event.protocol === 'route') this.#tell(this.local.event(event));
    });
    this.#events.on('error', (error) => this.failed(error));
    // The socket of XFRM keeps the process alive.
    this.#events.unref();
  }

  async close(): Promise<void> {
    await Promise.all([this.#events.close(), this.#client.close()]);
  }

  async #list(signal?: AbortSignal): Promise<void> {
    const [addresses, links] = await Promise.all([
      this.#client.listAddresses({}, { signal }),
      this.#client.listLinks({}, { signal }),
    ]);
    this.#tell(this.local.replace(addresses.items, links.items));
  }

  /** Events were lost: the lists are asked for again, and once more if that happens meanwhile. */
  #repair(): void {
    const again = () => this.#list();
    this.#listing = (this.#listing ?? Promise.resolve()).then(again).catch((error) => {
      if (!this.#events.closed) this.failed(error);
    });
  }

  #tell(addresses: string[]): void {
    if (addresses.length > 0) this.changed(addresses);
  }
}
