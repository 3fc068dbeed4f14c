/** Losses, in one form for subscriptions, monitors and their loops. @module */
import type { EventTime } from '../netlink/event.ts';
import type { EventProtocol } from './multicast-groups.ts';

/**
 * Something was lost before this point. A subscription's user must query what was missed; a monitor
 * repairs its tables and reports `resynced` when they are right; a loop over tunnels restarts with
 * `synced`.
 */
export interface OverrunEvent {
  readonly kind: 'overrun';
  readonly protocol: EventProtocol;
  /**
   * `ENOBUFS`: the receive buffer was full. `ENOMEM`, `EMSGSIZE`: the kernel could not build an
   * event. `EBADMSG` (monitors): an event was malformed. `SLOW_CONSUMER` (loops over tunnels): the
   * kernel lost nothing, but the loop missed changes.
   */
  readonly code: string;
  /**
   * How many overruns this socket, monitor or loop has reported. The kernel does not say how many
   * events.
   */
  readonly count: number;
  /**
   * Whether a reader was too slow: reading had paused for a loop with too much queued, or the loop
   * missed changes.
   */
  readonly slowConsumer: boolean;
  readonly time: EventTime;
}
