/** Whether the kernel dropped events, and whether everything it queued has been read. @module */
import type { EventTime } from '../netlink/event.ts';
import type { NetlinkSocket } from '../socket/index.ts';

/** The parts of a socket that reveal losses in its receive queue. */
type ReceiveQueue = Pick<NetlinkSocket, 'queue' | 'clearCongestion'>;

/**
 * Detects every loss of one socket, from two signals that the kernel gives in sequence: it sets
 * ENOBUFS and wakes the reader, and only then counts the drop; while it keeps dropping, it counts
 * without an error (net/netlink/af_netlink.c, netlink_overrun). So either can be seen first, and
 * neither implies the other: both are reported. Reporting a loss twice costs at most one
 * comparison.
 */
export class LossDetector {
  readonly #socket: ReceiveQueue;
  readonly #lost: (code: string, time: EventTime | undefined) => void;
  #drops = 0;

  /** @param lost called for each loss, once the socket queues events again */
  constructor(socket: ReceiveQueue, lost: (code: string, time: EventTime | undefined) => void) {
    this.#socket = socket;
    this.#lost = lost;
  }

  /** The kernel's drop count when last checked. */
  get drops(): number {
    return this.#drops;
  }

  /**
   * A read failed: events before the next ones were lost. @param time of the loss; undefined: now
   */
  failed(code: string, time?: EventTime): void {
    this.#socket.clearCongestion();
    // After the kernel stopped dropping. A later count is a new loss, or this one reported twice.
    this.#drops = this.#socket.queue.drops;
    this.#lost(code, time);
  }

  /**
   * Whether no event is queued and none was dropped. After a drop the answer is no, even if nothing
   * is queued: the error was set before the drop was counted and must be read first, or it would be
   * taken for another loss.
   */
  caughtUp(): boolean {
    const { bytes, drops } = this.#socket.queue;
    if (drops !== this.#drops) {
      this.failed('ENOBUFS');
      return false;
    }
    return bytes === 0;
  }
}
