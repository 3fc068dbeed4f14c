/** Times as people write them on the command line. @module */
import { InvalidArgumentError } from 'commander';
import { parseDuration } from '../base/duration.ts';

const TIME_OF_DAY = /^(\d{1,2}):(\d{2})(?::(\d{2}(?:\.\d{1,9})?))?$/;
const DATE = /^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})?)?$/;

/** What {@link parseMoment} takes. */
export const MOMENT_HELP =
  '2026-11-29T03:12:00, 03:12 (local time), +5m (after the beginning), -5m (before the end), start, end';

/**
 * A time that cannot be meant, whatever was recorded: wrong usage. That a recording has nothing of a time is
 * a RecordingError.
 */
export class MomentError extends InvalidArgumentError {}

/** What times refer to, in milliseconds since 1970; infinite where it is not known. */
export interface Bounds {
  readonly from: number;
  readonly to: number;
}

/**
 * A time, in milliseconds since 1970. A time of day is the last one before the end or, where the end
 * is not known, the first one after the beginning.
 *
 * @throws MomentError
 */
export function parseMoment(text: string, { from, to }: Bounds): number {
  const known = (time: number, what: string) => {
    if (Number.isFinite(time)) return time;
    throw new MomentError(`It depends on ${what}, which is not known here.`);
  };
  if (text === 'start') return known(from, 'the beginning');
  if (text === 'end') return known(to, 'the end');
  const relative = /^[-+]/.test(text) ? parseDuration(text.slice(1)) : undefined;
  if (relative !== undefined) {
    return text.startsWith('-')
      ? known(to, 'the end') - relative
      : known(from, 'the beginning') + relative;
  }
  const [whole, hours = '', minutes = '', seconds = '0'] = TIME_OF_DAY.exec(text) ?? [];
  if (whole !== undefined && +hours < 24 && +minutes < 60 && +seconds < 60) {
    const on = (date: Date) =>
      date.setHours(+hours, +minutes, Math.floor(+seconds), (+seconds % 1) * 1000);
    if (Number.isFinite(to)) return dayOf(to, on, (time) => time <= to, -1);
    return dayOf(known(from, 'the beginning or the end'), on, (time) => time >= from, 1);
  }
  // Without a time of day, JavaScript takes a date as UTC.
  const time = isDate(text)
    ? Date.parse(text.length === 10 ? `${text}T00:00` : text.replace(' ', 'T'))
    : Number.NaN;
  if (!Number.isNaN(time)) return time;
  const sign = parseDuration(text) === undefined ? '' : ` (+${text} or -${text})`;
  throw new MomentError(`It must be a time${sign}: ${MOMENT_HELP}.`);
}

/** Parses an option whose time depends on a recording. @returns the text @throws MomentError */
export function moment(text: string): string {
  parseMoment(text, { from: 0, to: 0 });
  return text;
}

/** Whether it has the form of a date that there is: JavaScript takes 02-30 as 03-02. */
function isDate(text: string): boolean {
  if (!DATE.test(text)) return false;
  const day = new Date(`${text.slice(0, 10)}T00:00Z`);
  return !Number.isNaN(day.getTime()) && day.getUTCDate() === +text.slice(8, 10);
}

/** A time of day on the day of a time, or on the day before or after: which days differ in length. */
function dayOf(
  near: number,
  on: (date: Date) => number,
  isMeant: (time: number) => boolean,
  step: 1 | -1,
): number {
  const date = new Date(near);
  const today = on(date);
  if (isMeant(today)) return today;
  date.setDate(date.getDate() + step);
  return on(date);
}
