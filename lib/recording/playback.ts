/**
 * Plays a recording: reads it up to a time, and says what was then.
 * @module
 */
import type { EventTime } from '../netlink/event.ts';
import type { TunnelChange } from '../tunnel/tunnel-changes.ts';
import { RecordedNamespace, type RecordedTunnelOptions } from './recorded-namespace.ts';
import {
  type HostInfo,
  isAfter,
  isSkipped,
  type Moment,
  momentOf,
  passedUntil,
  type RecordingRecord,
} from './records.ts';

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
  /** The host, as last stated. */
  host: HostInfo | undefined;
  #now: EventTime | undefined;
  /** Added to recorded monotonic times, so that they continue after a reboot. */
  #shift = 0;
  /** Whether the wall clock never showed the time played to: it was set forward past it. */
  isSkipped = false;

  constructor(options: PlaybackOptions) {
    this.#options = options;
  }

  /** The time of the last record. */
  get now(): EventTime | undefined {
    return this.#now;
  }

  take(record: RecordingRecord): void {
    if (record.kind === 'host') this.#meet(record.host, record.resumed, record.time);
    this.#advance(record.time);
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
      if (done || isAfter(momentOf(value), moment)) {
        const next = done ? undefined : value;
        this.advanceTo(moment.wall, next);
        return next;
      }
      this.take(value);
    }
  }

  /** Advances to a time (ms since 1970) without a record. @param next the record after it */
  advanceTo(wall: number, next?: RecordingRecord): void {
    const now = this.#now;
    if (now === undefined || wall <= now.wall) {
      this.#finish();
      return;
    }
    const recorded = { wall: now.wall, monotonic: now.monotonic - this.#shift };
    this.isSkipped = isSkipped(wall, recorded, next);
    this.#set({ wall, monotonic: now.monotonic + passedUntil(wall, recorded, next) });
    this.#finish();
  }

  /** Evaluates what the last records changed. */
  #finish(): void {
    if (this.#now) for (const one of this.namespaces.values()) one.advance(this.#now);
  }

  #meet(host: HostInfo, resumed: boolean, { wall, monotonic }: EventTime): void {
    const rebooted =
      resumed && (host.bootId ?? host.session) !== (this.host?.bootId ?? this.host?.session);
    this.host = host;
    if (!rebooted || this.#now === undefined) return;
    const passed = Math.max(0, wall - this.#now.wall);
    this.#shift = this.#now.monotonic + passed - monotonic;
  }

  #advance({ wall, monotonic }: EventTime): void {
    // The monotonic clock of one boot does not go back; a damaged recording may.
    const shifted = Math.max(
      monotonic + this.#shift,
      this.#now?.monotonic ?? Number.NEGATIVE_INFINITY,
    );
    const now = this.#now;
    if (now && now.wall === wall && now.monotonic === shifted) return;
    this.#set({ wall, monotonic: shifted });
  }

  #set(time: EventTime): void {
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
