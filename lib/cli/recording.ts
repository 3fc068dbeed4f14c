/**
 * Files of recorded netlink messages: concatenated messages, as `ip monitor file` reads them, or a
 * capture of an nlmon device.
 * @module
 */
import { NETLINK_XFRM } from '../netlink/constants.ts';
import { LE } from '../wire/endian.ts';
import { NLMSG_HDRLEN } from '../wire/message.ts';
import { isCapture, readCapture } from './pcap.ts';
import { type Recorded, RecordingError } from './recorded.ts';

/**
 * The datagrams of a file.
 * @throws RecordingError which says what is wrong
 */
export function readRecording(bytes: Uint8Array): Iterable<Recorded> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (isCapture(view)) return readCapture(view);
  if (bytes.length === 0) return [];
  const length = bytes.length >= NLMSG_HDRLEN ? view.getUint32(0, LE) : 0;
  if (length < NLMSG_HDRLEN || length > bytes.length) {
    throw new RecordingError(
      'it holds neither netlink messages nor a capture of an nlmon device (pcap or pcapng)',
    );
  }
  return [{ protocol: NETLINK_XFRM, at: 0, length: bytes.length, truncated: false }];
}
