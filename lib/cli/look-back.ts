/**
 * Looking into a recording: what `--at`, `--from` and `--to` select.
 * @module
 */
import type { EventTime } from '../netlink/event.ts';
import { Playback, type PlaybackOptions } from '../recording/playback.ts';
import { RecordingError } from '../recording/recorded.ts';
import type { RecordedNamespace } from '../recording/recorded-namespace.ts';
import { describeUnreadable, Recording, type Span } from '../recording/recording.ts';
import type { RecordingRecord } from '../recording/records.ts';
import { printable } from '../wire/text.ts';
import type { LookBackOptions, SpanOptions } from './look-back-options.ts';
import { MomentError, parseMoment } from './moment.ts';
import { formatNamespace } from './text/event.ts';

const told = new Set<string>();
/** Says something on standard error, once. */
function tell(text: string): void {
  if (told.has(text)) return;
  told.add(text);
  process.stderr.write(`netlink-xfrm: ${text}\n`);
}

/** A recording, and the part of it that is asked for. */
export class LookBack {
  readonly recording: Recording;
  /** The part; equal for a moment. */
  readonly span: Span;
  readonly #netns: string | undefined;
  /** Parts that could not be read. */
  unreadable = 0;

  /** @throws RecordingError as {@link partOf} */
  constructor(path: string, { at, from, to, netns }: Omit<LookBackOptions, 'recording'>) {
    this.recording = new Recording(path);
    this.#netns = netns;
    const { span } = this.recording;
    this.span =
      from === undefined && to === undefined
        ? partOf(span, { at: at ?? 'end' })
        : partOf(span, { from, to });
  }

  /** A time as an event time: of what is printed about it. */
  static time(wall: number): EventTime {
    return { wall, monotonic: Number.NaN };
  }

  /**
   * Plays the recording up to the beginning of the part.
   *
   * @param fromSnapshot whether history does not matter, only what existed
   */
  play(options: PlaybackOptions, fromSnapshot = false): Played {
    const { from } = this.span;
    const records = this.#told(this.recording.records(fromSnapshot ? from : undefined));
    const playback = new Playback(options);
    const isSpan = from < this.span.to;
    let next = playback.playTo(records, from);
    // A part that begins before the first snapshot begins with that.
    while (isSpan && next !== undefined && !this.#isOpen(playback)) {
      playback.take(next);
      next = playback.playTo(records, next.time.wall);
    }
    const namespace = this.#choose(playback, isSpan);
    const { path } = this.recording;
    if (!namespace.isOpen) {
      throw new RecordingError(
        `${path}: nothing is known about ${this.#then}: no snapshot was complete by then`,
      );
    }
    if (!namespace.synced) {
      process.stderr.write(
        'netlink-xfrm: events before this time are missing, and no snapshot follows them: it may be outdated\n',
      );
    }
    return { playback, namespace, next, records };
  }

  /** The records, without those that could not be read, about which it tells. */
  *#told(records: Iterable<RecordingRecord>): Generator<RecordingRecord, void> {
    for (const record of records) {
      if (record.kind === 'unreadable') {
        this.unreadable++;
        process.stderr.write(`netlink-xfrm: ${describeUnreadable(record)}\n`);
      }
      yield record;
    }
  }

  #isOpen({ namespaces }: Playback): boolean {
    const meant = this.#meant;
    const chosen = meant === undefined ? [...namespaces.values()] : [namespaces.get(meant)];
    return chosen.length > 0 && chosen.every((one) => one?.isOpen);
  }

  /** The namespace that is meant: as given, else the recorder's own, else the only one. */
  get #meant(): string | null | undefined {
    if (this.#netns !== undefined) return this.#netns;
    const names = this.#names;
    if (names.includes(null)) return null;
    return names.length === 1 ? names[0] : undefined;
  }

  get #names(): readonly (string | null)[] {
    return this.recording.host?.namespaces ?? [];
  }

  #choose({ namespaces }: Playback, isSpan: boolean): RecordedNamespace {
    const meant = this.#meant;
    const chosen = meant === undefined ? undefined : namespaces.get(meant);
    const names = [...new Set([...this.#names, ...namespaces.keys()])];
    const listed = (some: readonly (string | null)[]) => some.map(formatNamespace).join(', ');
    if (chosen && (isSpan || chosen.isRecorded)) {
      const others = names.filter((name) => name !== meant);
      if (this.#netns === undefined && others.length > 0) {
        tell(
          `this is about ${formatNamespace(chosen.label)}; --netns chooses another network namespace: ${listed(others)}`,
        );
      }
      return chosen;
    }
    const { path } = this.recording;
    if (meant === undefined) {
      throw new RecordingError(
        `${path} has several network namespaces: choose one with --netns: ${listed(names)}`,
      );
    }
    if (names.includes(meant)) {
      throw new RecordingError(
        `${path}: ${printable(formatNamespace(meant))} did not exist, or was not recorded, at ${this.#then}`,
      );
    }
    throw new RecordingError(
      `${path} has no network namespace '${printable(formatNamespace(meant))}', only ${listed(names) || 'none'}`,
    );
  }

  get #then(): string {
    return new Date(this.span.from).toISOString();
  }
}

/**
 * The part of a whole that is meant: a moment, or what of a span is within the whole.
 *
 * @param whole infinite where it is not known
 * @throws RecordingError for what is no time, or outside of the whole
 */
export function partOf(whole: Span, { at, from, to }: SpanOptions): Span {
  const parse = (name: string, text: string) => {
    try {
      return parseMoment(text, whole);
    } catch (error) {
      if (error instanceof MomentError) throw new RecordingError(`${name} ${error.message}`);
      throw error;
    }
  };
  const iso = (time: number) => new Date(time).toISOString();
  const isWithin = (time: number) => time >= whole.from && time <= whole.to;
  if (at !== undefined) {
    const moment = parse('--at', at);
    if (isWithin(moment)) return { from: moment, to: moment };
    throw new RecordingError(
      `--at ${iso(moment)} is outside of the recording, which is from ${iso(whole.from)} to ${iso(whole.to)}`,
    );
  }
  const begin = from === undefined ? whole.from : parse('--from', from);
  const end = to === undefined ? whole.to : parse('--to', to);
  if (from !== undefined && to !== undefined && begin > end)
    throw new RecordingError(`--from ${iso(begin)} is after --to ${iso(end)}`);
  const part = { from: Math.max(begin, whole.from), to: Math.min(end, whole.to) };
  if (part.from <= part.to) return part;
  throw new RecordingError(
    `no part of the recording, which is from ${iso(whole.from)} to ${iso(whole.to)}, is meant: ` +
      `from ${iso(begin)} to ${iso(end)}`,
  );
}

/** A recording that has been played to a time. */
export interface Played {
  readonly playback: Playback;
  readonly namespace: RecordedNamespace;
  /** The next record, and those after it. */
  readonly next: RecordingRecord | undefined;
  readonly records: Iterator<RecordingRecord>;
}

/** Records after what was played, up to a time. */
export function* rest({ next, records }: Played, to: number): Generator<RecordingRecord, void> {
  let record = next;
  while (record !== undefined && record.time.wall <= to) {
    yield record;
    const { done, value } = records.next();
    record = done ? undefined : value;
  }
}
