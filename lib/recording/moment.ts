/** Times as people write them to look into a recording. @module */
import { parseDuration } from '../base/duration.ts';
import type { Span } from './recording.ts';

const DAY = 86_400_000;
const TIME_OF_DAY = /^(\d{1,2}):(\d{2})(?::(\d{2}(?:\.\d{1,9})?))?$/;
const DATE = /^\d{4}-\d{2}-\d{2}/;

/** What {@link parseMoment} takes, for messages. */
export const MOMENT_HELP =
  '2026-11-29T03:12:00, 03:12 (local time, the last one), -5m (before the end), +5m (after the beginning)';

/**
 * A time, in milliseconds since 1970; undefined if the text is none.
 *
 * @param span of the recording that relative times refer to
 */
export function parseMoment(text: string, { from, to }: Span): number | undefined {
  if (text === 'start') return from;
  if (text === 'end') return to;
  const relative = /^[-+]/.test(text) ? parseDuration(text.slice(1)) : undefined;
  if (relative !== undefined) return text.startsWith('-') ? to - relative : from + relative;
  const [whole, hours = '', minutes = '', seconds = '0'] = TIME_OF_DAY.exec(text) ?? [];
  if (whole !== undefined)
    return lastTimeOfDay(to, Number(hours), Number(minutes), Number(seconds));
  if (!DATE.test(text)) return undefined;
  // Without a time, JavaScript takes a date as UTC.
  const time = Date.parse(text.length === 10 ? `${text}T00:00` : text.replace(' ', 'T'));
  return Number.isNaN(time) ? undefined : time;
}

/** The last such local time of day that is not after `end`. */
function lastTimeOfDay(end: number, hours: number, minutes: number, seconds: number) {
  if (hours > 23 || minutes > 59 || seconds >= 60) return undefined;
  const on = (time: number) => {
    const date = new Date(time);
    return date.setHours(hours, minutes, Math.floor(seconds), (seconds % 1) * 1000);
  };
  const today = on(end);
  return today <= end ? today : on(end - DAY);
}
