/**
 * Events, entries of lists and what is said between them as a line of JSON (schema/).
 * @module
 */
import type { EventTime } from '../netlink/event.ts';
import { members } from './write.ts';

/** The name and version of the format. Within a version, members are only ever added. */
export const EVENT_SCHEMA = 'netlink-xfrm/event/2';

/** What is added to an event where it was asked for. */
export interface JsonAdditions {
  /** The network namespace it comes from; null is one's own. */
  readonly netns?: string | null;
  /** The process whose port id the header holds; null if there is none that can be seen. */
  readonly claimedBy?: { readonly pid: number; readonly name: string } | null;
}

/** What a line says. */
export interface JsonRecord {
  readonly kind: string;
  readonly protocol?: string;
  readonly time: EventTime;
}

/** What every line begins with. */
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
    // A recording may not say when.
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

/** The events of a batch share one time: its text is made once. */
function isoTime(wall: number): string {
  if (wall !== latest) {
    latest = wall;
    latestText = new Date(wall).toISOString();
  }
  return latestText;
}
