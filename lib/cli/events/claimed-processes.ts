/**
 * The process that an event claims as its requester: the one that has a socket with the port ID in the
 * event's header. The requester wrote that header, and can put anything there.
 * @module
 */
import type { SubscriptionEvent } from '../../monitor/subscribe.ts';
import { NETLINK_ROUTE, NETLINK_XFRM } from '../../netlink/constants.ts';
import { type SocketOwner, SocketOwners } from '../../socket/index.ts';
import { printable } from '../../wire/text.ts';
import type { Origin } from './event-streams.ts';

/** What is known about a namespace. */
interface Known {
  readonly owners: SocketOwners;
  readonly found: Map<string, Promise<SocketOwner | null>>;
  /** Read time of the events that were looked up last. */
  moment: number;
}

/** Looks up claims, each only once for all events that were read at the same time. */
export class ClaimedProcesses {
  /** Discarded with the namespace. */
  readonly #known = new WeakMap<Origin, Known>();

  /**
   * The process; null if there is none, or none visible; undefined, without a promise, for an event without a header that
   * states it. The lookup runs asynchronously.
   *
   * @param origin the namespace of the event
   */
  of(event: SubscriptionEvent, origin: Origin): Promise<SocketOwner | null> | undefined {
    if (!('header' in event) || !event.header) return undefined;
    // In a NEWAE caused by traffic or a timer the header is garbage (docs/events.md).
    if (event.kind === 'NEWAE') return undefined;
    const { portId } = event.header;
    const { monotonic } = event.time;
    const known = this.#of(origin);
    if (monotonic !== known.moment) known.found.clear();
    known.moment = monotonic;
    const protocol = event.protocol === 'xfrm' ? NETLINK_XFRM : NETLINK_ROUTE;
    const key = `${protocol} ${portId}`;
    let owner = known.found.get(key);
    if (owner === undefined) {
      owner = find(known.owners, protocol, portId, monotonic);
      known.found.set(key, owner);
    }
    return owner;
  }

  #of(origin: Origin): Known {
    let known = this.#known.get(origin);
    if (known === undefined) {
      const { netns } = origin;
      known = { owners: new SocketOwners({ netns }), found: new Map(), moment: 0 };
      this.#known.set(origin, known);
    }
    return known;
  }
}

async function find(
  owners: SocketOwners,
  protocol: number,
  portId: number,
  at: number,
): Promise<SocketOwner | null> {
  try {
    return (await owners.find(protocol, portId, at)) ?? null;
  } catch {
    return null; // there is no /proc
  }
}

/** `charon[812]`, or `unknown`. */
export const formatOwner = (owner: SocketOwner | null): string =>
  owner === null ? 'unknown' : `${printable(owner.name)}[${owner.pid}]`;
