/**
 * Files of recorded netlink messages: concatenated messages, as `ip monitor file` reads them, or a
 * capture of an nlmon device.
 * @module
 */
import { NETLINK_ROUTE } from '../../netlink/constants.ts';
import { align4 } from '../../wire/attribute.ts';
import { LE } from '../../wire/endian.ts';
import { messageType, NLMSG_HDRLEN } from '../../wire/message.ts';
import { isCapture, readCapture } from './pcap.ts';
import { type Recorded, RecordingError } from './recorded.ts';

/** Type of the messages in which rtmon notes the time (NLMSG_TSTAMP of iproute2's libnetlink.h). */
const TIME = 15;

/**
 * The datagrams of a file.
 *
 * @param protocol that of concatenated messages, which do not say it: NETLINK_XFRM or NETLINK_ROUTE
 * @throws RecordingError which says what is wrong
 */
export function readRecording(bytes: Uint8Array, protocol: number): Iterable<Recorded> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (isCapture(view)) return readCapture(view);
  if (bytes.length === 0) return [];
  const length = bytes.length >= NLMSG_HDRLEN ? view.getUint32(0, LE) : 0;
  if (length < NLMSG_HDRLEN || length > bytes.length) {
    throw new RecordingError(
      'it holds neither netlink messages nor a capture of an nlmon device (pcap or pcapng)',
    );
  }
  return protocol === NETLINK_ROUTE
    ? readTimed(view)
    : [{ protocol, at: 0, length: bytes.length, truncated: false }];
}

/** What lies between the times in a recording of rtmon. */
function* readTimed(view: DataView): Generator<Recorded> {
  const end = view.byteLength;
  let wall: number | undefined;
  let from = 0;
  const upTo = (at: number): Recorded[] => {
    const length = at - from;
    // Who notes times is rtmon, which listens.
    const time = wall === undefined ? {} : ({ wall, heard: true } as const);
    return length > 0
      ? [{ protocol: NETLINK_ROUTE, at: from, length, truncated: false, ...time }]
      : [];
  };
  for (let at = 0; end - at >= NLMSG_HDRLEN; ) {
    const length = view.getUint32(at, LE);
    // What does not hold together is told by who decodes it.
    if (length < NLMSG_HDRLEN || length > end - at) break;
    const next = at + align4(length);
    if (messageType(view, at) === TIME && length >= NLMSG_HDRLEN + 8) {
      yield* upTo(at);
      // Seconds and microseconds, 32 bits each.
      wall = view.getUint32(at + NLMSG_HDRLEN, LE) * 1000;
      wall += view.getUint32(at + NLMSG_HDRLEN + 4, LE) / 1000;
      from = Math.min(next, end);
    }
    at = next;
  }
  yield* upTo(end);
}
