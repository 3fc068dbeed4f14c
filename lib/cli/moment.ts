/** Times as people write them on the command line. @module */
import { InvalidArgumentError } from 'commander';
import { parseDuration } from '../base/duration.ts';

const TIME_OF_DAY = /^([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?$/;
const DATE = /^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?$/;

/** What {@link moment} takes. */
const EXPECTED = '2026-11-29T03:12, 03:12 (local time, today), 5m';

/**
 * Parses a time for commander: milliseconds since 1970.
 *
 * @param direction where a duration leads: -1 for so long ago, 1 for in so long
 */
export const moment =
  (direction: 1 | -1) =>
  (text: string, _?: unknown, now = Date.now()): number => {
    const duration = parseDuration(text);
    if (duration !== undefined) return now + direction * duration;
    const [, hours, minutes, seconds = 0] = TIME_OF_DAY.exec(text) ?? [];
    if (hours !== undefined) {
      return new Date(now).setHours(Number(hours), Number(minutes), Number(seconds), 0);
    }
    // A date without a time would be taken as UTC.
    const time = DATE.test(text)
      ? Date.parse(text.length === 10 ? `${text}T00:00` : text.replace(' ', 'T'))
      : Number.NaN;
    if (!Number.isNaN(time)) return time;
    throw new InvalidArgumentError(`It must be a time: ${EXPECTED}.`);
  };
