/** Times as people write them on the command line. @module */
import { parseDuration } from '../base/duration.ts';
import { printable } from '../wire/text.ts';

const TIME_OF_DAY = /^(\d{1,2}):(\d{2})(?::(\d{2}(?:\.\d{1,9})?))?$/;
const DATE = /^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})?)?$/;

/** What {@link parseMoment} takes. */
export const MOMENT_HELP =
  '2026-11-29T03:12:00, 03:12 (local time), +5m (after the beginning), -5m (before the end), start, end';

/** A text that is no time, or none here. */
export class MomentError extends Error {}

/** What times refer to, in milliseconds since 1970; infinite where it is not known. */
export interface Bounds {
  readonly from: number;
  readonly to: number;
}

/** How far after the beginning, or before the end, a time is, if it is given so. */
export function relativeMoment(text: string): { of: 'start' | 'end'; by: number } | undefined {
  if (text === 'start' || text === 'end') return { of: text, by: 0 };
  const by = /^[-+]/.test(text) ? parseDuration(text.slice(1)) : undefined;
  return by === undefined ? undefined : { of: text.startsWith('-') ? 'end' : 'start', by };
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
    throw new MomentError(`'${printable(text)}' depends on ${what}, which is not known here`);
  };
  const relative = relativeMoment(text);
  if (relative !== undefined) {
    return relative.of === 'end'
      ? known(to, 'the end') - relative.by
      : known(from, 'the beginning') + relative.by;
  }
  const [whole, hours = '', minutes = '', seconds = '0'] = TIME_OF_DAY.exec(text) ?? [];
  if (whole !== undefined && +hours < 24 && +minutes < 60 && +seconds < 60) {
    const on = (date: Date) =>
      date.setHours(+hours, +minutes, Math.floor(+seconds), (+seconds % 1) * 1000);
    if (Number.isFinite(to)) return dayOf(to, on, (time) => time <= to, -1);
    return dayOf(known(from, 'the beginning or the end'), on, (time) => time >= from, 1);
  }
  // Without a time of day, JavaScript takes a date as UTC.
  const time = DATE.test(text)
    ? Date.parse(text.length === 10 ? `${text}T00:00` : text.replace(' ', 'T'))
    : Number.NaN;
  if (!Number.isNaN(time) && isDay(text)) return time;
  const sign = parseDuration(text) === undefined ? '' : ` (+${text} or -${text})`;
  throw new MomentError(`'${printable(text)}' is not a time${sign}: ${MOMENT_HELP}`);
}

/** Whether a date exists: JavaScript takes 30 February as 2 March. */
function isDay(text: string): boolean {
  const day = text.slice(0, 10);
  return new Date(`${day}T00:00Z`).toISOString().startsWith(day);
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
