/**
 * Looking into a recording: what `--at`, `--from` and `--to` select.
 * @module
 */
import type { EventTime } from '../netlink/event.ts';
import { Playback, type PlaybackOptions } from '../recording/playback.ts';
import { RecordingError } from '../recording/recorded.ts';
import type { RecordedNamespace } from '../recording/recorded-namespace.ts';
import { describeUnreadable, Recording, type Span } from '../recording/recording.ts';
import { isAfter, type Moment, momentOf, type RecordingRecord } from '../recording/records.ts';
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
  span: Part;
  /** Whether it begins when the first snapshot is complete. */
  readonly #fromStart: boolean;
  readonly #netns: string | undefined;
  /** The option that says when it begins. */
  readonly #name: string;
  /** Parts that could not be read. */
  unreadable = 0;

  /**
   * @param name of the option that is `at`
   * @throws MomentError, RecordingError as {@link partOfRecording}
   */
  constructor(
    path: string,
    { at, from, to, netns }: Omit<LookBackOptions, 'recording'>,
    name = '--at',
  ) {
    this.recording = new Recording(path);
    this.#netns = netns;
    const isMoment = from === undefined && to === undefined;
    this.#name = isMoment ? name : '--from';
    const span = isMoment ? { at: at ?? 'end' } : { from, to };
    this.span = partOfRecording(this.recording, span, name);
    this.#fromStart = (isMoment ? at : (from ?? 'start')) === 'start';
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
    const { from, to } = this.span;
    const since = { moment: from, protocols: ['xfrm'], netns: this.#meant } as const;
    const records = this.#told(this.recording.records(fromSnapshot ? since : undefined));
    const playback = new Playback(options);
    const isSpan = isAfter(to, from);
    let next = playback.playTo(records, from);
    if (playback.isSkipped) tellSkipped(this.#name, from.wall, '; this is what was just before');
    // A part that begins before the first snapshot begins with that.
    while ((isSpan || this.#fromStart) && next !== undefined && !this.#isOpen(playback)) {
      const opened = momentOf(next);
      playback.take(next);
      next = playback.playTo(records, opened);
      if (this.#isOpen(playback))
        this.span = { from: opened, to: isAfter(opened, to) ? opened : to };
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
    return iso(this.span.from.wall);
  }
}

const iso = (time: number) => new Date(time).toISOString();

/** @throws MomentError that names the option */
function parse(name: string, text: string, whole: Span): number {
  try {
    return parseMoment(text, whole);
  } catch (error) {
    if (error instanceof MomentError)
      error.message = `${name} '${printable(text)}': ${error.message}`;
    throw error;
  }
}

/** An option with its time. */
const titled = (name: string, wall: number) => `${name}${name === '@' ? '' : ' '}${iso(wall)}`;

/** Says that the clock never showed a time that was asked for. */
export const tellSkipped = (name: string, wall: number, more = ''): void =>
  tell(`${titled(name, wall)}: the clock was set forward past it, and never showed it${more}`);

const outside = (name: string, wall: number, { from, to }: Span) =>
  new RecordingError(
    `${titled(name, wall)} is outside of the recording, which is from ${iso(from)} to ${iso(to)}`,
  );

const notMeant = (begin: number, end: number, { from, to }: Span) =>
  new RecordingError(
    `no part of the recording, which is from ${iso(from)} to ${iso(to)}, is meant: ` +
      `from ${iso(begin)} to ${iso(end)}`,
  );

/**
 * The part of a whole that is meant: a moment, or what of a span is within the whole.
 *
 * @param whole infinite where it is not known
 * @throws MomentError; RecordingError for what is outside of the whole
 */
export function partOf(whole: Span, { at, from, to }: SpanOptions): Span {
  const isWithin = (time: number) => time >= whole.from && time <= whole.to;
  if (at !== undefined) {
    const moment = parse('--at', at, whole);
    if (isWithin(moment)) return { from: moment, to: moment };
    throw outside('--at', moment, whole);
  }
  const begin = from === undefined ? whole.from : parse('--from', from, whole);
  const end = to === undefined ? whole.to : parse('--to', to, whole);
  if (isBounded({ from, to }) && begin > end)
    throw new MomentError(`--from ${iso(begin)} is after --to ${iso(end)}`);
  const part = { from: Math.max(begin, whole.from), to: Math.min(end, whole.to) };
  if (part.from <= part.to) return part;
  throw notMeant(begin, end, whole);
}

/** Whether a span has times of its own at both ends. */
const isBounded = ({ from = 'start', to = 'end' }: SpanOptions) => from !== 'start' && to !== 'end';

/** From one moment of a recording to another. */
export interface Part {
  readonly from: Moment;
  readonly to: Moment;
}

/**
 * The part of a recording that is meant, as {@link partOf}.
 *
 * @throws MomentError; RecordingError for what is outside of the recording
 */
export function partOfRecording(
  recording: Recording,
  { at, from, to }: SpanOptions,
  name = '--at',
): Part {
  const { start, end, span } = recording;
  if (at !== undefined) {
    const moment = momentIn(recording, name, at);
    if (isAfter(start, moment) || isAfter(moment, end)) throw outside(name, moment.wall, span);
    return { from: moment, to: moment };
  }
  const begin = from === undefined ? start : momentIn(recording, '--from', from);
  const finish = to === undefined ? end : momentIn(recording, '--to', to);
  if (isBounded({ from, to }) && isAfter(begin, finish)) {
    const text = `--from ${iso(begin.wall)} is after --to ${iso(finish.wall)}`;
    if (begin.wall > finish.wall) throw new MomentError(text);
    throw new RecordingError(`${text}: the clock was set back between them`);
  }
  const part = {
    from: isAfter(start, begin) ? start : begin,
    to: isAfter(finish, end) ? end : finish,
  };
  if (isAfter(part.from, part.to)) throw notMeant(begin.wall, finish.wall, span);
  return part;
}

/** The moment of a recording that is meant; before its start, or after its end, if it is outside. */
function momentIn({ start, end, runs, span }: Recording, name: string, text: string): Moment {
  if (text === 'start') return start;
  if (text === 'end') return end;
  const isRelative = /^[-+]/.test(text);
  const wall = parse(name, text, isRelative ? { from: start.wall, to: end.wall } : span);
  if (wall < span.from) return { run: -1, wall };
  if (wall > span.to) return { run: end.run, wall };
  const found = runs.flatMap(({ from, to }, run) => (wall >= from && wall <= to ? [run] : []));
  const run = found.at(-1);
  if (run === undefined) {
    throw new RecordingError(
      `${titled(name, wall)}: the recording has nothing of this time, because the clock was set back`,
    );
  }
  if (found.length > 1) {
    tell(
      `${titled(name, wall)}: the clock was set back past it; this is about the last time that it showed it`,
    );
  }
  return { run, wall };
}

/** A recording that has been played to a time. */
export interface Played {
  readonly playback: Playback;
  readonly namespace: RecordedNamespace;
  /** The next record, and those after it. */
  readonly next: RecordingRecord | undefined;
  readonly records: Iterator<RecordingRecord>;
}

/** Records after what was played, up to a moment. @returns the one after it */
export function* rest(
  { next, records }: Played,
  to: Moment,
): Generator<RecordingRecord, RecordingRecord | undefined> {
  let record = next;
  while (record !== undefined && !isAfter(momentOf(record), to)) {
    yield record;
    const { done, value } = records.next();
    record = done ? undefined : value;
  }
  return record;
}
