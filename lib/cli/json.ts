/**
 * Events, entries of lists and what is said between them, as JSON, one object a line.
 *
 * 64-bit numbers are decimal strings, "no limit" is `unlimited`, addresses and names are strings,
 * other numbers are numbers. Keys show their length only unless they were asked for; so do XFRM
 * attributes this library does not know, since a newer kernel might put anything there.
 * @module
 */
import type { Listed } from '../monitor/subject.ts';
import type { SubscriptionEvent } from '../monitor/subscribe.ts';
import type { EventTime } from '../netlink/event.ts';
import type { RouteMessage } from '../route/requests.ts';
import { XFRM_INF } from '../xfrm/constants.ts';
import { KeyMaterial } from '../xfrm/key.ts';
import type { XfrmMessage } from '../xfrm/requests.ts';
import { xfrm_lifetime_cfg } from '../xfrm/structs.ts';
import type { CheckRecord } from './check-result.ts';
import type { Totals } from './summary.ts';
import type { JsonChange, JsonTunnel, JsonWarning } from './tunnel-json.ts';

/** The name and version of the format. Within a version, members are only ever added. */
export const EVENT_SCHEMA = 'netlink-xfrm/event/1';

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
  | (Listed & { readonly protocol: 'xfrm' })
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

/** The fields that can be "no limit". */
const LIMITS = new Set(
  xfrm_lifetime_cfg.fields.filter((one) => 'absent' in one).map(({ name }) => name),
);
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

/** One line of JSON, without the line break. */
export function formatJson(
  record: JsonRecord,
  showKeys: boolean,
  additions: Additions = {},
): string {
  const { kind, time, ...all } = record;
  const { protocol, ...rest } = { protocol: undefined, ...all };
  const showBytes = showKeys || protocol === 'route';
  return JSON.stringify({
    schema: EVENT_SCHEMA,
    kind,
    protocol,
    // A recording may not say when.
    ...(Number.isNaN(time.wall) ? {} : { time: new Date(time.wall).toISOString() }),
    ...(Number.isNaN(time.monotonic) ? {} : { monotonic: time.monotonic }),
    ...additions,
    ...(plain('', rest, showBytes) as object),
  });
}
