/**
 * Plays a recording: reads it up to a time, and says what was then.
 * @module
 */
import type { EventTime } from '../netlink/event.ts';
import type { TunnelChange } from '../tunnel/tunnel-changes.ts';
import { RecordedNamespace, type RecordedTunnelOptions } from './recorded-namespace.ts';
import type { Moment, RecordingRecord } from './records.ts';
import { SteadyClock } from './steady-clock.ts';

export interface PlaybackOptions {
  /** How tunnels are judged; without it, only SAs and policies are followed. */
  readonly tunnels?: RecordedTunnelOptions;
  /** Changes of tunnels, as TunnelMonitor reports them. */
  changed?(change: TunnelChange, namespace: RecordedNamespace): void;
}

/** Codes of losses that are the recording's, not the kernel's. */
export const LOSS = {
  /** Another process recorded before. */
  resumed: 'NOT_RECORDED',
  unwritten: 'NOT_WRITTEN',
  unreadable: 'UNREADABLE',
} as const;

export class Playback {
  readonly #options: PlaybackOptions;
  readonly namespaces = new Map<string | null, RecordedNamespace>();
  readonly #clock = new SteadyClock();
  #now: EventTime | undefined;
  /** The time of the last record. */
  #last: EventTime | undefined;

  constructor(options: PlaybackOptions) {
    this.#options = options;
  }

  /** The time that was played to. */
  get now(): EventTime | undefined {
    return this.#now;
  }

  take(record: RecordingRecord): void {
    // What cannot be read has no time of its own.
    if (record.kind !== 'unreadable') {
      this.#last = this.#clock.take(record);
      this.#set(this.#last);
    }
    switch (record.kind) {
      case 'host':
        if (record.resumed) this.#miss(LOSS.resumed);
        break;
      case 'unreadable':
        this.#miss(LOSS.unreadable);
        break;
      case 'note':
        if (record.note.kind === 'unwritten') this.#miss(LOSS.unwritten);
        this.#namespace(record.netns).note(record.note);
        break;
      case 'datagram':
        this.#namespace(record.netns).datagram(record);
        break;
      default:
    }
  }

  /** Plays records up to a moment, and what happens until then without a record. @returns the next */
  playTo(records: Iterator<RecordingRecord>, moment: Moment): RecordingRecord | undefined {
    for (;;) {
      const { done, value } = records.next();
      if (done || value.order > moment.order) {
        const next = done ? undefined : value;
        this.advanceTo(moment, next);
        return next;
      }
      this.take(value);
    }
  }

  /** Advances to a moment without a record. @param next record after it */
  advanceTo({ after }: Moment, next: RecordingRecord | undefined): void {
    const last = this.#last;
    if (last !== undefined && after > 0) {
      // If the clock was set in between, the difference of wall times is not what passed.
      const until =
        next && next.kind !== 'unreadable' ? this.#clock.peek(next).monotonic : Infinity;
      const passed = Math.min(after, until - last.monotonic);
      this.#set({ wall: last.wall + passed, monotonic: last.monotonic + passed });
    }
    this.#finish();
  }

  /** Evaluates what the last records changed. */
  #finish(): void {
    if (this.#now) for (const one of this.namespaces.values()) one.advance(this.#now);
  }

  #set(time: EventTime): void {
    const now = this.#now;
    if (now && now.wall === time.wall && now.monotonic === time.monotonic) return;
    if (now && time.monotonic < now.monotonic) return;
    this.#now = time;
    for (const one of this.namespaces.values()) one.advance(time);
  }

  #miss(code: string): void {
    for (const one of this.namespaces.values()) one.missing(code);
  }

  #namespace(label: string | null): RecordedNamespace {
    let one = this.namespaces.get(label);
    if (one === undefined) {
      const { tunnels, changed } = this.#options;
      one = new RecordedNamespace(label, tunnels, (change) => changed?.(change, one as never));
      this.namespaces.set(label, one);
      if (this.#now) one.advance(this.#now);
    }
    return one;
  }
}
