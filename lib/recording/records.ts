/**
 * What a recording says, as its reader returns it.
 * @module
 */
import type { EventTime } from '../netlink/event.ts';

/** The host and the program that recorded. */
export interface HostInfo {
  /** The same in everything that one process recorded. */
  readonly session: string;
  readonly hostname: string;
  /** The kernel's release, version and machine (uname). */
  readonly kernel: { readonly release: string; readonly version: string; readonly machine: string };
  /** Version of netlink-xfrm. */
  readonly version: string;
  /** Of the kernel: the same until it is restarted. */
  readonly bootId?: string | undefined;
  /** Minutes that local time is ahead of UTC, when the block was written. */
  readonly utcOffset: number;
  /** Whether keys were recorded: otherwise their bytes are zeros. */
  readonly keys: boolean;
  /** The network namespaces, in the order of their indexes; null is that of the process. */
  readonly namespaces: readonly (string | null)[];
}

/** The protocols that are recorded. */
export type RecordedProtocol = 'xfrm' | 'route';

/**
 * A snapshot of one protocol's objects is a dump between events: `begin`, when no events were
 * waiting; `dumped`, when the events of all changes that the dump can contain are queued; `settled`,
 * when those have been recorded. `failed` replaces the last two.
 */
export interface SnapshotNote {
  readonly kind: 'snapshot';
  readonly protocol: RecordedProtocol;
  readonly phase: 'begin' | 'dumped' | 'settled' | 'failed';
}

/** What is recorded besides messages. */
export type Note =
  | SnapshotNote
  /** The kernel dropped events before those that follow. */
  | { readonly kind: 'overrun'; readonly protocol: RecordedProtocol; readonly code: string }
  /** Events were not written: the disk was full, or could not keep up. */
  | { readonly kind: 'unwritten'; readonly bytes: number; readonly reason: string }
  /** The kernel's error counters (/proc/net/xfrm_stat). */
  | { readonly kind: 'xfrm-stat'; readonly counters: Readonly<Record<string, string>> }
  /** The process that had the socket with this port ID when an event named it. */
  | {
      readonly kind: 'owner';
      readonly portId: number;
      readonly pid?: number | undefined;
      readonly name?: string | undefined;
    }
  /** The wall clock was set, by this many milliseconds. */
  | { readonly kind: 'clock-set'; readonly by: number }
  /** A namespace is recorded from here; it was removed; or it can no longer be recorded. */
  | { readonly kind: 'namespace'; readonly state: 'added' | 'removed' | 'failed' }
  /** The recorder ended as asked. */
  | { readonly kind: 'end' };

/**
 * A moment of a recording. Recordings are sequences of runs, in which the wall clock was not set back.
 */
export interface Moment {
  /** The number of the run, from 0; infinite after all records. */
  readonly run: number;
  /** Milliseconds since 1970. */
  readonly wall: number;
}

/** Whether a moment is after another. */
export const isAfter = (a: Moment, b: Moment): boolean =>
  a.run > b.run || (a.run === b.run && a.wall > b.wall);

/** The moment of a record. */
export const momentOf = ({ run, time }: Base): Moment => ({ run, wall: time.wall });

/** Milliseconds by which the wall clock may move between two looks without having been set. */
export const CLOCK_SET = 100;

/**
 * Milliseconds that passed from one record until the wall clock showed a time, before the next record. If it
 * was set forward in between, that is less than it says.
 */
export function passedUntil(
  wall: number,
  { wall: before, monotonic }: EventTime,
  next: RecordingRecord | undefined,
): number {
  const isKnown = next?.kind === 'datagram' || next?.kind === 'note';
  const most = isKnown ? Math.max(0, next.time.monotonic - monotonic) : Number.POSITIVE_INFINITY;
  return Math.min(wall - before, most);
}

/** Whether the wall clock never showed a time after a record, because it was set forward past it. */
export const isSkipped = (
  wall: number,
  before: EventTime,
  next: RecordingRecord | undefined,
): boolean => wall - before.wall - passedUntil(wall, before, next) > CLOCK_SET;

interface Base {
  readonly time: EventTime;
  /** {@link Moment.run}. */
  readonly run: number;
  /** Byte offset in the file of its block. */
  readonly at: number;
}

/** One datagram, or some messages of a dump. */
export interface RecordedDatagram extends Base {
  readonly kind: 'datagram';
  /** NETLINK_XFRM or NETLINK_ROUTE. */
  readonly protocol: number;
  /** The network namespace: null is that of the recorder. */
  readonly netns: string | null;
  /** Whether the messages are the answer to a dump; otherwise an event. */
  readonly dumped: boolean;
  /** Whether it was longer than these bytes. */
  readonly truncated: boolean;
  /** A view, valid until the next record is requested. */
  readonly bytes: Uint8Array;
}

/** The recorder, at the beginning and where another takes over. */
export interface RecordedHost extends Base {
  readonly kind: 'host';
  readonly host: HostInfo;
  /** Whether events are missing before it: another process recorded until here. */
  readonly resumed: boolean;
}

export interface RecordedNote extends Base {
  readonly kind: 'note';
  readonly netns: string | null;
  readonly note: Note;
}

/** A part of the file that cannot be read. */
export interface Unreadable extends Base {
  readonly kind: 'unreadable';
  readonly reason: string;
  /** How many bytes of the file are skipped. */
  readonly length: number;
}

export type RecordingRecord = RecordedHost | RecordedDatagram | RecordedNote | Unreadable;
