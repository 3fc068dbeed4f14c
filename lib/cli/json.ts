/**
 * Events, entries of lists and what is said between them, as JSON, one object a line.
 *
 * Bigints are decimal strings, "no limit" is null, addresses and names are strings,
 * other numbers are numbers. Keys show their length only unless they were asked for; so do XFRM
 * attributes this library does not know, since a newer kernel might put anything there.
 * @module
 */
import { once } from '../base/once.ts';
import type { ListedObject } from '../monitor/subject.ts';
import type { SubscriptionEvent } from '../monitor/subscribe.ts';
import type { EventTime } from '../netlink/event.ts';
import type { RouteMessage } from '../route/requests.ts';
import { OpaqueBytes } from '../wire/opaque.ts';
import { UNSEEN } from '../wire/text.ts';
import type { XfrmMessage } from '../xfrm/requests.ts';
import type { Totals } from './events/summary.ts';
import type { CheckRecord } from './tunnels/check-result.ts';
import type { JsonChange, JsonTunnel, JsonWarning } from './tunnels/json.ts';

/** The name and version of the format. Within a version, members are only ever added. */
export const EVENT_SCHEMA = 'netlink-xfrm/event/2';

/** A network namespace came or went while it was listened to. */
export interface NamespaceRecord {
  readonly kind: 'namespace';
  readonly netns: string | null;
  readonly state: 'added' | 'removed';
  /** Why it cannot be heard. */
  readonly error?: string;
}

/** What is added to an event where it was asked for. */
export interface Additions {
  /** The network namespace it comes from; null is one's own. */
  readonly netns?: string | null;
  /** The process whose port id the header holds; null if there is none that can be seen. */
  readonly claimedBy?: { readonly pid: number; readonly name: string } | null;
}

/** What a line says. */
export type JsonRecord = { readonly time: EventTime } & (
  | SubscriptionEvent
  | XfrmMessage
  | RouteMessage
  | (ListedObject & { readonly protocol: 'xfrm' })
  /** All that was there has been listed; what follows is news. */
  | { readonly kind: 'synced'; readonly protocol: 'xfrm'; readonly listed: number }
  | NamespaceRecord
  | { readonly kind: 'tunnel'; readonly tunnel: JsonTunnel }
  /** A warning about the host, in a list of tunnels. */
  | { readonly kind: 'host-warning'; readonly warning: JsonWarning }
  | JsonChange
  | CheckRecord
  | ({ readonly kind: 'summary' } & Totals)
);

const hex = (bytes: Uint8Array) =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');

/** What stands for itself between quotation marks: ASCII without controls, quotes, backslashes. */
const PLAIN = /^[ !#-[\]-~]*$/;
/** What JSON leaves as it is although a terminal may take it for a command, reorder or hide it. */
const left = once(() => new RegExp(`[${UNSEEN}]`, 'gu'));
const escaped = (text: string): string =>
  JSON.stringify(text).replace(left(), (one) =>
    one.replace(/./gs, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`),
  );
const quote = (text: string): string => (PLAIN.test(text) ? `"${text}"` : escaped(text));

/** `"name":`, each made once: names come from the tables, so there are not many. */
const labels = new Map<string, string>();
function label(name: string): string {
  let text = labels.get(name);
  if (text === undefined) {
    text = `${JSON.stringify(name)}:`;
    if (labels.size < 4096) labels.set(name, text);
  }
  return text;
}

/**
 * A value as JSON, by the rules above; undefined where it has none. Written straight: making an
 * object of texts first, for JSON.stringify, takes seven times as long.
 */
function write(value: unknown, showBytes: boolean): string | undefined {
  switch (typeof value) {
    case 'string':
      return quote(value);
    case 'bigint':
      return `"${value}"`;
    case 'number':
      return Number.isFinite(value) ? `${value}` : 'null';
    case 'boolean':
      return value ? 'true' : 'false';
    case 'object':
      if (value === null) return 'null';
      if (Array.isArray(value)) return `[${items(value, showBytes)}]`;
      if (value instanceof OpaqueBytes) {
        const bytes = showBytes ? value.bytes() : undefined;
        return bytes === undefined ? JSON.stringify(value) : quote(hex(bytes));
      }
      if (value instanceof Uint8Array) {
        return showBytes ? quote(hex(value)) : `"[${value.length} bytes]"`;
      }
      return `{${members(value, showBytes)}}`;
    default:
      return undefined;
  }
}

/** The items of an array, as JSON without the brackets. */
function items(array: readonly unknown[], showBytes: boolean): string {
  let text = '';
  for (const item of array) {
    const value = write(item, showBytes) ?? 'null';
    text += text === '' ? value : `,${value}`;
  }
  return text;
}

const NONE: ReadonlySet<string> = new Set();

/** The members of an object but some, as JSON without the braces. */
function members(object: object, showBytes: boolean, without = NONE): string {
  let text = '';
  for (const name in object) {
    if (without !== NONE && without.has(name)) continue;
    const value = write((object as Record<string, unknown>)[name], showBytes);
    if (value === undefined) continue;
    text += text === '' ? label(name) + value : `,${label(name)}${value}`;
  }
  return text;
}

/** What every line begins with. */
const FIRST = new Set(['kind', 'protocol', 'time']);

/** One line of JSON, without the line break. */
export function formatJson(
  record: JsonRecord,
  showKeys: boolean,
  additions: Additions = {},
): string {
  const { kind, time } = record;
  const protocol = 'protocol' in record ? record.protocol : undefined;
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
