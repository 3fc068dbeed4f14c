/**
 * Who an event claims to be of: what its requester wrote into the header, which may be anything, as
 * the process that has a socket with that port id.
 * @module
 */
import type { SubscriptionEvent } from '../../monitor/subscribe.ts';
import { NETLINK_ROUTE, NETLINK_XFRM } from '../../netlink/constants.ts';
import { type SocketOwner, SocketOwners } from '../../socket/index.ts';
import { printable } from '../../wire/text.ts';
import type { Origin } from './event-streams.ts';

/** What is known of one namespace. */
interface Known {
  readonly owners: SocketOwners;
  readonly found: Map<string, Promise<SocketOwner | null>>;
  /** When the events that were looked up last were read. */
  moment: number;
}

/** Looks up claims, each only once for all events that were read at the same time. */
export class ClaimedProcesses {
  /** Goes with the namespace. */
  readonly #known = new WeakMap<Origin, Known>();

  /**
   * The process; null if there is none, or none that can be seen; undefined, and no promise, for what has no
   * header that says it. It is looked for between other things.
   *
   * @param origin where the event comes from
   */
  of(event: SubscriptionEvent, origin: Origin): Promise<SocketOwner | null> | undefined {
    if (!('header' in event) || !event.header) return undefined;
    // Of a NEWAE by traffic or timer the header is garbage (docs/events.md).
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
