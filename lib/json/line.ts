/** Events, dumped objects and status messages as lines of JSON (schema/). @module */
import { wrongType } from '../base/argument.ts';
import type { EventTime } from '../netlink/event.ts';
import { LATEST_DATE } from '../wire/time.ts';
import { members } from './write.ts';

/** The name and version of the format. Within a version, members are only ever added. */
export const EVENT_SCHEMA = 'netlink-xfrm/event/2';

/** Optional additions to an event. */
export interface JsonAdditions {
  /** The network namespace it comes from; null is the current one. */
  readonly netns?: string | null;
  /** The process with the port ID in the header; null if none is visible. */
  readonly claimedBy?: { readonly pid: number; readonly name: string } | null;
}

/** The content of a line. */
export interface JsonRecord {
  readonly kind: string;
  readonly protocol?: string;
  readonly time: EventTime;
}

/** The start of every line. */
const FIRST = new Set(['kind', 'protocol', 'time']);

/** One line of JSON, without the line break. */
export function formatLine(
  record: JsonRecord,
  showKeys: boolean,
  additions: JsonAdditions = {},
): string {
  const { kind, protocol, time } = record;
  const first = {
    schema: EVENT_SCHEMA,
    kind,
    protocol,
    // A recording may have no timestamps.
    time: Number.isNaN(time.wall) ? undefined : isoTime(time.wall),
    monotonic: Number.isNaN(time.monotonic) ? undefined : time.monotonic,
    ...additions,
  };
  const showBytes = showKeys || protocol === 'route';
  const rest = members(record, showBytes, FIRST);
  return `{${members(first, false)}${rest === '' ? '' : ','}${rest}}`;
}

let latest = Number.NaN;
let latestText = '';

/** The events of a batch share one time: its text is built once. */
function isoTime(wall: number): string {
  if (wall !== latest) {
    if (typeof wall !== 'number' || Math.abs(wall) > LATEST_DATE) {
      throw wrongType('time.wall', 'milliseconds since 1970', wall);
    }
    latest = wall;
    latestText = new Date(wall).toISOString();
  }
  return latestText;
}
