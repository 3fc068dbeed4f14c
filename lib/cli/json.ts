/**
 * Events as JSON, one object a line.
 *
 * 64-bit numbers are decimal strings, "no limit" is `unlimited`, addresses and names are strings,
 * other numbers are numbers. Keys show their length only unless they were asked for; so do XFRM
 * attributes this library does not know, since a newer kernel might put anything there.
 * @module
 */
import type { SubscriptionEvent } from '../monitor/subscribe.ts';
import { XFRM_INF } from '../xfrm/constants.ts';
import { KeyMaterial } from '../xfrm/key.ts';
import type { XfrmMessage } from '../xfrm/requests.ts';

/** The name and version of the format. Within a version, members are only ever added. */
export const EVENT_SCHEMA = 'netlink-xfrm/event/1';

const LIMITS = new Set(['softBytes', 'hardBytes', 'softPackets', 'hardPackets']);
const hex = (bytes: Uint8Array) =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');

function plain(name: string, value: unknown, showBytes: boolean): unknown {
  if (typeof value === 'bigint') {
    return LIMITS.has(name) && value === XFRM_INF ? 'unlimited' : value.toString();
  }
  if (value instanceof KeyMaterial) return showBytes ? hex(value.bytes()) : value.toJSON();
  if (value instanceof Uint8Array) return showBytes ? hex(value) : `[${value.length} bytes]`;
  if (Array.isArray(value)) return value.map((item) => plain('', item, showBytes));
  if (typeof value === 'object' && value !== null) {
    const result: Record<string, unknown> = {};
    for (const [key, item] of Object.entries(value)) result[key] = plain(key, item, showBytes);
    return result;
  }
  return value;
}

/**
 * One line of JSON for an event, without the line break.
 *
 * @param more further members
 */
export function formatJson(
  event: SubscriptionEvent | XfrmMessage,
  showKeys: boolean,
  more: object = {},
): string {
  const { kind, protocol, time, ...rest } = event;
  const showBytes = showKeys || protocol === 'route';
  return JSON.stringify({
    schema: EVENT_SCHEMA,
    kind,
    protocol,
    // A recording may not say when.
    ...(Number.isNaN(time.wall) ? {} : { time: new Date(time.wall).toISOString() }),
    ...(Number.isNaN(time.monotonic) ? {} : { monotonic: time.monotonic }),
    ...more,
    ...(plain('', rest, showBytes) as object),
  });
}
