/**
 * Looking into a recording: what `--at`, `--from` and `--to` select.
 * @module
 */
import type { EventTime } from '../netlink/event.ts';
import { Playback, type PlaybackOptions } from '../recording/playback.ts';
import { RecordingError } from '../recording/recorded.ts';
import type { RecordedNamespace } from '../recording/recorded-namespace.ts';
import { describeUnreadable, Recording, type Span } from '../recording/recording.ts';
import type { Moment, RecordingRecord } from '../recording/records.ts';
import { printable } from '../wire/text.ts';
import type { LookBackOptions, SpanOptions } from './look-back-options.ts';
import { MomentError, parseMoment, relativeMoment } from './moment.ts';
import { formatNamespace } from './text/event.ts';

/** Options that contradict each other. */
class UsageError extends RecordingError {
  readonly code = 'ERR_USAGE';
}

const told = new Set<string>();
/** Says something on standard error, once. */
function tell(text: string): void {
  if (told.has(text)) return;
  told.add(text);
  process.stderr.write(`netlink-xfrm: ${text}\n`);
}

/** From one moment of a recording to another. */
export interface Part {
  readonly from: Moment;
  readonly to: Moment;
}

/** A recording, and the part of it that is asked for. */
export class LookBack {
  readonly recording: Recording;
  /** The part; equal for a moment. */
  span: Part;
  /** Whether it begins as soon as something is known. */
  readonly #fromStart: boolean;
  readonly #netns: string | undefined;
  /** Parts that could not be read. */
  unreadable = 0;

  /** @throws RecordingError as {@link partOf} */
  constructor(path: string, { at, from, to, netns }: Omit<LookBackOptions, 'recording'>) {
    this.recording = new Recording(path);
    this.#netns = netns;
    const isMoment = from === undefined && to === undefined;
    this.span = partOfRecording(this.recording, isMoment ? { at: at ?? 'end' } : { from, to });
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
    const isSpan = this.#fromStart || from.order < to.order || from.after < to.after;
    const records = this.#told(this.recording.records(fromSnapshot ? from : undefined));
    const playback = new Playback(options);
    let next = playback.playTo(records, from);
    // A part that begins before the first snapshot begins with that.
    const open = () => {
      while (next !== undefined && !this.#isOpen(playback)) {
        const { order, time } = next;
        playback.take(next);
        const moment = { order, after: 0, wall: time.wall };
        next = playback.playTo(records, moment);
        if (this.#isOpen(playback)) return moment;
      }
      return undefined;
    };
    const opened = isSpan ? open() : undefined;
    const namespace = this.#choose(playback, isSpan);
    if (opened)
      this.span = { from: opened, to: this.#fromStart && !isLater(to, opened) ? opened : to };
    const { path } = this.recording;
    if (!namespace.isOpen) {
      const then = this.#then;
      const first = open();
      throw new RecordingError(
        `${path}: nothing is known about ${then}: no snapshot was complete by then` +
          (first ? `, the first was at ${new Date(first.wall).toISOString()}` : ''),
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
    return new Date(this.span.from.wall).toISOString();
  }
}

/** Whether a moment is after another. */
const isLater = (a: Moment, b: Moment): boolean =>
  a.order > b.order || (a.order === b.order && a.after > b.after);

const iso = (time: number) => new Date(time).toISOString();

/** @throws RecordingError for what is no time */
function parseFor(name: string, text: string, whole: Span): number {
  try {
    return parseMoment(text, whole);
  } catch (error) {
    if (error instanceof MomentError) throw new UsageError(`${name} ${error.message}`);
    throw error;
  }
}

const outside = (name: string, wall: number, { from, to }: Span) =>
  new RecordingError(
    `${name} ${iso(wall)} is outside of the recording, which is from ${iso(from)} to ${iso(to)}`,
  );

const notMeant = (begin: number, end: number, { from, to }: Span) =>
  new RecordingError(
    `no part of the recording, which is from ${iso(from)} to ${iso(to)}, is meant: ` +
      `from ${iso(begin)} to ${iso(end)}`,
  );

const BEFORE = Number.NEGATIVE_INFINITY;
const AFTER = Number.POSITIVE_INFINITY;

/** A moment of a recording; of order {@link BEFORE} or {@link AFTER} if it is outside. */
function momentOf(recording: Recording, name: string, text: string): Moment {
  const { span, start, end } = recording;
  const relative = relativeMoment(text);
  if (relative) {
    const { of, by } = relative;
    if (by === 0) return of === 'end' ? end : start;
    const moment = of === 'end' ? recording.before(by) : recording.after(by);
    const outside = { after: 0, wall: of === 'end' ? end.wall - by : start.wall + by };
    return moment ?? { order: of === 'end' ? BEFORE : AFTER, ...outside };
  }
  const wall = parseFor(name, text, span);
  const moments = recording.at(wall);
  if (moments.length > 1) {
    tell(
      `the clock was set back: it showed ${iso(wall)} ${moments.length} times in this recording, and the last is meant; '+' and a duration after the beginning tells them apart`,
    );
  }
  const last = moments.at(-1);
  if (last) return last;
  if (wall < span.from) return { order: BEFORE, after: 0, wall };
  if (wall > span.to) return { order: AFTER, after: 0, wall };
  throw new RecordingError(
    `${name} ${iso(wall)}: the recording has nothing of this time, because the clock was set`,
  );
}

/**
 * The part of a recording that is meant: a moment, or what of a span is within it.
 *
 * @throws RecordingError for what is no time, or outside of it
 */
export function partOfRecording(recording: Recording, { at, from, to }: SpanOptions): Part {
  const { span } = recording;
  if (at !== undefined) {
    const moment = momentOf(recording, '--at', at);
    const isWithin =
      moment.order !== BEFORE &&
      (moment.order !== AFTER || at === 'end' || moment.wall === recording.end.wall);
    if (isWithin) return { from: moment, to: moment };
    throw outside('--at', moment.wall, span);
  }
  const begin = from === undefined ? recording.start : momentOf(recording, '--from', from);
  const end = to === undefined ? recording.end : momentOf(recording, '--to', to);
  if (from !== undefined && to !== undefined && isLater(begin, end)) {
    throw new UsageError(`--from ${iso(begin.wall)} is after --to ${iso(end.wall)}`);
  }
  if (end.order === BEFORE || (begin.order === AFTER && begin.wall > recording.end.wall)) {
    throw notMeant(begin.wall, end.wall, span);
  }
  return {
    from: begin.order === BEFORE ? recording.start : begin,
    to: end.order === AFTER ? recording.end : end,
  };
}

/**
 * The part of a whole that is meant: a moment, or what of a span is within the whole.
 *
 * @param whole infinite where it is not known
 * @throws RecordingError for what is no time, or outside of the whole
 */
export function partOf(whole: Span, { at, from, to }: SpanOptions): Span {
  const isWithin = (time: number) => time >= whole.from && time <= whole.to;
  if (at !== undefined) {
    const moment = parseFor('--at', at, whole);
    if (isWithin(moment)) return { from: moment, to: moment };
    throw outside('--at', moment, whole);
  }
  const begin = from === undefined ? whole.from : parseFor('--from', from, whole);
  const end = to === undefined ? whole.to : parseFor('--to', to, whole);
  if (from !== undefined && to !== undefined && begin > end)
    throw new UsageError(`--from ${iso(begin)} is after --to ${iso(end)}`);
  const part = { from: Math.max(begin, whole.from), to: Math.min(end, whole.to) };
  if (part.from <= part.to) return part;
  throw notMeant(begin, end, whole);
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
  while (record !== undefined && record.order <= to.order) {
    yield record;
    const { done, value } = records.next();
    record = done ? undefined : value;
  }
  return record;
}
