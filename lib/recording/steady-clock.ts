/**
 * The time of a recording that never goes back: the recorded monotonic clock, continued where the host
 * was restarted. The wall clock may have been set; it only names moments.
 * @module
 */
import type { EventTime } from '../netlink/event.ts';
import type { HostInfo, RecordingRecord } from './records.ts';

/** Milliseconds by which records may be out of order; more is another clock. */
const DISORDER = 1000;

export class SteadyClock {
  #host: HostInfo | undefined;
  #now: EventTime | undefined;
  /** Added to recorded monotonic times. */
  #shift = 0;

  /** The time of a record that follows, without taking it. */
  peek(record: RecordingRecord): EventTime {
    return this.#read(record).time;
  }

  /** The time of the next record. */
  take(record: RecordingRecord): EventTime {
    const { time, shift } = this.#read(record);
    if (record.kind === 'host') this.#host = record.host;
    this.#shift = shift;
    this.#now = time;
    return time;
  }

  #read(record: RecordingRecord): { time: EventTime; shift: number } {
    const now = this.#now;
    const { wall, monotonic } = record.time;
    let shift = this.#shift;
    if (now === undefined) return { time: record.time, shift };
    const rebooted =
      record.kind === 'host' &&
      record.resumed &&
      (record.host.bootId ?? record.host.session) !== (this.#host?.bootId ?? this.#host?.session);
    if (rebooted || monotonic + shift < now.monotonic - DISORDER) {
      shift = now.monotonic + Math.max(0, wall - now.wall) - monotonic;
    }
    return { time: { wall, monotonic: Math.max(monotonic + shift, now.monotonic) }, shift };
  }
}
