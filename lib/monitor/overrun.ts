/** That something was lost, in one form for subscriptions, monitors and their loops. @module */
import type { EventTime } from '../netlink/event.ts';
import type { EventProtocol } from './multicast-groups.ts';

/**
 * Something was lost before what follows. A subscription has to ask for what it missed; a monitor repairs its tables, and
 * says `resynced` when they are right; a loop over tunnels begins again with `synced`.
 */
export interface OverrunEvent {
  readonly kind: 'overrun';
  readonly protocol: EventProtocol;
  /**
   * `ENOBUFS`: the receive buffer was full. `ENOMEM`, `EMSGSIZE`: the kernel could not build an event. `EBADMSG`, of a
   * monitor: an event made no sense. `SLOW_CONSUMER`, of a loop over tunnels: the kernel lost nothing, the loop missed changes.
   */
  readonly code: string;
  /** How many were reported so far, by this socket, monitor or loop. The kernel does not say how many events. */
  readonly count: number;
  /** Whether a reader was too slow: reading had stopped for a loop that had too much waiting, or the loop missed changes. */
  readonly slowConsumer: boolean;
  readonly time: EventTime;
}
