/**
 * What a recording says besides messages, as comments of packets in a capture: JSON after a mark, so
 * that it can be read again, and people can read it in Wireshark.
 * @module
 */
import type { EventTime } from '../netlink/event.ts';
import { printable } from '../wire/text.ts';
import { hostOf, isTime, noteOf, parseJson } from './parse-records.ts';
import type { HostInfo, Note, RecordedHost, RecordedNote } from './records.ts';

const MARK = 'netlink-xfrm ';
/** The comment of a message of a dump. */
export const DUMPED = 'snapshot';
/** The name of the recorder's own network namespace, as an interface, and how those of others begin. */
const OWN = 'netlink';
const OTHER = 'netlink in ';

export const interfaceName = (netns: string | null): string =>
  netns === null ? OWN : `${OTHER}${printable(netns)}`;

/** The opposite: undefined if it is the name of something else. */
export function namespaceOf(name: string): string | null | undefined {
  if (name === OWN) return null;
  return name.startsWith(OTHER) ? name.slice(OTHER.length) : undefined;
}

export interface Said {
  readonly time: EventTime;
  readonly netns: string | null;
  readonly host?: HostInfo | undefined;
  readonly note?: Note | undefined;
}

/** Both clocks, which a packet has only one of. */
export const clocksComment = ({ wall, monotonic }: EventTime): string =>
  MARK + JSON.stringify({ wall, monotonic });

export function commentOf(record: RecordedHost | RecordedNote): string {
  const { wall, monotonic } = record.time;
  if (record.kind === 'host') {
    const { host } = record;
    const namespaces = host.namespaces.map((one) => one && printable(one));
    return `${MARK}${JSON.stringify({ wall, monotonic, host: { ...host, namespaces } })}`;
  }
  const netns = record.netns && printable(record.netns);
  return `${MARK}${JSON.stringify({ wall, monotonic, netns, note: record.note })}`;
}

/** Undefined for another comment, or one that is damaged. */
export function saidIn(comment: string): Said | undefined {
  if (!comment.startsWith(MARK)) return undefined;
  const json = parseJson(new TextEncoder().encode(comment.slice(MARK.length)));
  const { wall, monotonic, netns = null, host, note } = json ?? {};
  const isRight =
    typeof wall === 'number' &&
    typeof monotonic === 'number' &&
    isTime(wall) &&
    isTime(monotonic) &&
    (netns === null || typeof netns === 'string');
  if (!isRight) return undefined;
  const inner = (value: unknown) =>
    typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  const said = { host: hostOf(inner(host)), note: noteOf(inner(note)) };
  const isClocks = host === undefined && note === undefined;
  const isWhole = said.host !== undefined || said.note !== undefined || isClocks;
  return isWhole ? { time: { wall, monotonic }, netns, ...said } : undefined;
}
