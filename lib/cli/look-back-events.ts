/**
 * The events of a recording, as a subscription would have delivered them.
 * @module
 */
import type { SubscriptionEvent } from '../monitor/subscribe.ts';
import { NETLINK_ROUTE, NETLINK_XFRM } from '../netlink/constants.ts';
import { decodeDatagram } from '../netlink/event.ts';
import type { Moment, RecordedDatagram, RecordingRecord } from '../recording/records.ts';
import { decodeRoute } from '../route/decode.ts';
import { decodeXfrm } from '../xfrm/decode.ts';
import { LookBack, type Played, rest } from './look-back.ts';

export { LookBack };

/** The events in a record; none in a part of a snapshot. */
export function eventsIn(record: RecordingRecord, keys: boolean): SubscriptionEvent[] {
  if (record.kind === 'datagram' && !record.dumped) return decode(record, keys);
  if (record.kind !== 'note' || record.note.kind !== 'overrun') return [];
  // The kernel does not say how many events were lost.
  const { protocol, code } = record.note;
  return [{ kind: 'overrun', protocol, code, count: 1, slowConsumer: false, time: record.time }];
}

/** The events after what was played, up to a moment. */
export function* eventsOf(
  played: Played,
  to: Moment,
  keys: boolean,
): Generator<SubscriptionEvent, void> {
  for (const record of rest(played, to)) {
    if ('netns' in record && record.netns !== played.namespace.label) continue;
    yield* eventsIn(record, keys);
  }
}

function decode(
  { protocol, bytes, time, truncated }: RecordedDatagram,
  keys: boolean,
): SubscriptionEvent[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const input = { view, bytes, time, keys };
  const events: SubscriptionEvent[] = [];
  const decoder = protocol === NETLINK_XFRM ? decodeXfrm : decodeRoute;
  if (protocol !== NETLINK_XFRM && protocol !== NETLINK_ROUTE) return events;
  const name = protocol === NETLINK_XFRM ? 'xfrm' : 'route';
  decodeDatagram<SubscriptionEvent>(input, 0, bytes.length, truncated, decoder, (event) => {
    events.push(event.kind === 'malformed' ? { ...event, protocol: name } : event);
  });
  return events;
}
