/** Whether the kernel dropped events, and whether all that it queued have been read. @module */
import type { EventTime } from '../netlink/event.ts';
import type { NetlinkSocket } from '../socket/index.ts';

/** What of a socket says whether its receive queue lost something. */
type ReceiveQueue = Pick<NetlinkSocket, 'queue' | 'clearCongestion'>;

/**
 * Detects every loss of one socket, from two signs that the kernel gives one after the other: it sets ENOBUFS and
 * wakes the reader, and only then counts the drop; while it goes on dropping it counts without an error
 * (net/netlink/af_netlink.c, netlink_overrun). So either may be seen first, and neither explains the other away:
 * both are reported. A loss that is reported twice costs a comparison at most.
 */
export class LossDetector {
  readonly #socket: ReceiveQueue;
  readonly #lost: (code: string, time: EventTime | undefined) => void;
  #drops = 0;

  /** @param lost is called for each loss, once the socket queues events again */
  constructor(socket: ReceiveQueue, lost: (code: string, time: EventTime | undefined) => void) {
    this.#socket = socket;
    this.#lost = lost;
  }

  /** How many drops the kernel had counted at the last look. */
  get drops(): number {
    return this.#drops;
  }

  /** Reading failed: events were lost before those that are read next. @param time of that; undefined: now */
  failed(code: string, time?: EventTime): void {
    this.#socket.clearCongestion();
    // After the dropping has ended. What is counted later is a loss of its own, or this one told twice.
    this.#drops = this.#socket.queue.drops;
    this.#lost(code, time);
  }

  /**
   * Whether no event waits and none was dropped. After a drop the answer is no, also if nothing waits: the error was
   * set before the drop was counted, and is to be read first, or it would be taken for another loss.
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
