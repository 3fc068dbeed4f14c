/**
 * Datagrams to decoded messages, for tests.
 * @module
 */
import { type DecodeInput, decodeDatagram, type Malformed } from '../../lib/netlink/event.ts';
import { align4 } from '../../lib/wire/attribute.ts';
import { decodeXfrmMessage } from '../../lib/xfrm/decode-message.ts';
import type { XfrmMessage } from '../../lib/xfrm/requests.ts';

const time = { wall: 0, monotonic: 0 };

/** The messages of a datagram, each with its bytes. */
export function messagesOf(
  datagram: Uint8Array,
  { keys = false } = {},
): [bytes: Uint8Array, message: XfrmMessage | Malformed][] {
  const bytes = datagram.slice();
  const input: DecodeInput = { view: new DataView(bytes.buffer), bytes, time, keys };
  const found: [Uint8Array, XfrmMessage | Malformed][] = [];
  let at = 0;
  decodeDatagram(input, 0, bytes.length, false, decodeXfrmMessage, (message) => {
    const length = at + 4 <= bytes.length ? input.view.getUint32(at, true) : 0;
    found.push([bytes.subarray(at, at + length), message]);
    at += align4(length);
  });
  return found;
}
