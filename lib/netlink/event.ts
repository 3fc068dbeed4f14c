/**
 * What every event has, of whatever protocol, and how a datagram becomes events.
 * @module
 */
import { DecodeError } from '../wire/error.ts';
import {
  type MessageHeader,
  messageLength,
  NLMSG_HDRLEN,
  nextMessage,
  readHeader,
} from '../wire/message.ts';

/** When a batch of datagrams was read. Netlink itself gives them no time of arrival. */
export interface EventTime {
  /** Milliseconds since 1970 (Date.now). */
  readonly wall: number;
  /** Milliseconds on a clock that never jumps (performance.now). */
  readonly monotonic: number;
}

/** A buffer of messages and how to read them. One serves for a whole batch of datagrams. */
export interface DecodeInput {
  readonly view: DataView;
  /** The same memory as `view`. */
  readonly bytes: Uint8Array;
  readonly time: EventTime;
  /** Whether keys are copied out of the buffer; if not, only their lengths are. */
  readonly keys: boolean;
}

/** Bytes from which no event could be made. It holds none of them, since they may hold keys. */
export interface Malformed {
  readonly kind: 'malformed';
  /** What is wrong. */
  readonly reason: string;
  /** Where in the message, outermost first: `['NEWSA', 'XFRMA_ALG_AEAD']`. */
  readonly path: readonly string[];
  /** Where in the datagram, in bytes. */
  readonly offset: number;
  /** Bytes that had to be there. */
  readonly expected?: number;
  /** Bytes that were there. */
  readonly found?: number;
  /** The message's header, if there was one. */
  readonly header?: MessageHeader;
  readonly time: EventTime;
}

/** The decoder of a protocol: the message at `at`, whose nlmsg_len is `length`. */
export type DecodeMessage<Event> = (input: DecodeInput, at: number, length: number) => Event;

/**
 * Takes the message at `at`, whose nlmsg_len is `length`, undecoded. What it returns false for is
 * decoded.
 */
export type TakeMessage = (input: DecodeInput, at: number, length: number) => boolean;

/**
 * Decodes the datagram of `length` bytes at `start`, message by message.
 *
 * A message that cannot be decoded becomes a {@link Malformed}, and the next one is decoded as
 * usual; where the length of a message is wrong, nothing can be known of what follows it in the
 * same datagram, so that ends the datagram.
 *
 * @param truncated whether the datagram was longer than what was read of it
 * @param take sees each message first
 */
export function decodeDatagram<Event>(
  input: DecodeInput,
  start: number,
  length: number,
  truncated: boolean,
  decode: DecodeMessage<Event>,
  emit: (event: Event | Malformed) => void,
  take?: TakeMessage,
): void {
  const end = start + length;
  let at = start;
  try {
    if (length === 0) throw new DecodeError('the datagram is empty', { path: [], offset: at });
    while (at < end) {
      const size = messageLength(input.view, at, end);
      if (!take?.(input, at, size)) {
        let event: Event | Malformed;
        try {
          event = decode(input, at, size);
        } catch (error) {
          event = malformed(error, input, start, at);
        }
        emit(event);
      }
      at = nextMessage(at, size);
    }
    if (truncated) {
      throw new DecodeError('the datagram was truncated: it is longer than the read buffer', {
        path: [],
        offset: end,
      });
    }
  } catch (error) {
    emit(malformed(error, input, start, at, end));
  }
}

/** The record for an error in the message at `at`; its header is there if it lies before `end`. */
function malformed(
  error: unknown,
  input: DecodeInput,
  start: number,
  at: number,
  end = at + NLMSG_HDRLEN,
): Malformed {
  if (!(error instanceof DecodeError)) throw error;
  const { reason, path, expected, found } = error;
  return {
    kind: 'malformed',
    reason,
    path,
    offset: error.offset - start,
    ...(expected === undefined ? {} : { expected }),
    ...(found === undefined ? {} : { found }),
    ...(end - at < NLMSG_HDRLEN ? {} : { header: readHeader(input.view, at) }),
    time: input.time,
  };
}
