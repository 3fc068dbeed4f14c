/**
 * Who an event claims to be of: what its requester wrote into the header, which may be anything, as
 * the process that has a socket with that port id.
 * @module
 */
import type { SubscriptionEvent } from '../monitor/subscribe.ts';
import { NETLINK_ROUTE, NETLINK_XFRM } from '../netlink/constants.ts';
import { type SocketOwner, SocketOwners } from '../socket/index.ts';
import { printable } from '../wire/text.ts';

/** Looks up claims, each only once for all events that were read at the same time. */
export class Claims {
  readonly #owners = new Map<string | undefined, SocketOwners>();
  readonly #found = new Map<string, SocketOwner | null>();
  #moment = 0;

  /**
   * The process; null if there is none, or none that can be seen; undefined for what has no header that
   * says it.
   *
   * @param netns where the event comes from
   */
  of(event: SubscriptionEvent, netns: string | undefined): SocketOwner | null | undefined {
    if (!('header' in event) || !event.header) return undefined;
    // Of a NEWAE by traffic or timer the header is garbage (docs/events.md).
    if (event.kind === 'NEWAE') return undefined;
    const { portId } = event.header;
    const { monotonic } = event.time;
    if (monotonic !== this.#moment) this.#found.clear();
    this.#moment = monotonic;
    const protocol = event.protocol === 'xfrm' ? NETLINK_XFRM : NETLINK_ROUTE;
    const key = `${protocol} ${portId} ${netns}`;
    let owner = this.#found.get(key);
    if (owner === undefined) {
      owner = this.#find(netns, protocol, portId, monotonic);
      this.#found.set(key, owner);
    }
    return owner;
  }

  #find(
    netns: string | undefined,
    protocol: number,
    portId: number,
    at: number,
  ): SocketOwner | null {
    let owners = this.#owners.get(netns);
    if (owners === undefined) {
      owners = new SocketOwners({ netns });
      this.#owners.set(netns, owners);
    }
    try {
      return owners.find(protocol, portId, at) ?? null;
    } catch {
      return null; // the namespace is gone, or there is no /proc
    }
  }
}

/** `charon[812]`, or `unknown`. */
export const formatOwner = (owner: SocketOwner | null): string =>
  owner === null ? 'unknown' : `${printable(owner.name)}[${owner.pid}]`;
