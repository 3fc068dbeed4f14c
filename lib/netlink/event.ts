/**
 * What all events have in common, in any protocol, and how a datagram is decoded into events.
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

/** When a batch of datagrams was read. Netlink itself does not timestamp them. */
export interface EventTime {
  /** Milliseconds since 1970 (Date.now). */
  readonly wall: number;
  /** Milliseconds on a monotonic clock (performance.now). */
  readonly monotonic: number;
}

/** Milliseconds that may pass between readings of the two clocks, and how often they are read. */
const [APART, TRIES] = [1, 5];

/**
 * The time on both clocks. If the process did not run between the readings, they are not of one
 * moment, and both clocks are read again.
 */
export function now(wallClock = Date.now, monotonicClock = MONOTONIC): EventTime {
  let [wall, monotonic] = [0, monotonicClock()];
  for (let i = 0; i < TRIES; i++) {
    const before = monotonic;
    wall = wallClock();
    monotonic = monotonicClock();
    if (monotonic - before <= APART) break;
  }
  return { wall, monotonic };
}
const MONOTONIC = () => performance.now();

/** A buffer of messages and how to decode them. One is used for a whole batch of datagrams. */
export interface DecodeInput {
  readonly view: DataView;
  /** The same memory as `view`. */
  readonly bytes: Uint8Array;
  readonly time: EventTime;
  /** Whether keys are copied out of the buffer; otherwise only their lengths are decoded. */
  readonly keys: boolean;
}

/** Bytes that could not be decoded. Contains none of them, since they may hold keys. */
export interface Malformed {
  readonly kind: 'malformed';
  /** What is wrong. */
  readonly reason: string;
  /** Where in the message, outermost first: `['NEWSA', 'XFRMA_ALG_AEAD']`. */
  readonly path: readonly string[];
  /** Byte offset in the datagram. */
  readonly offset: number;
  /** Number of bytes required. */
  readonly expected?: number;
  /** Number of bytes present. */
  readonly found?: number;
  /** The message's header, if it was complete. */
  readonly header?: MessageHeader;
  readonly time: EventTime;
}

/** Decodes the message at `at`, whose nlmsg_len is `length`, of one protocol. */
export type DecodeMessage<Event> = (input: DecodeInput, at: number, length: number) => Event;

/**
 * Handles the message at `at`, whose nlmsg_len is `length`, undecoded. If it returns false, the
 * message is decoded.
 */
export type TakeMessage = (input: DecodeInput, at: number, length: number) => boolean;

/**
 * Decodes the datagram of `length` bytes at `start`, message by message.
 *
 * A message that cannot be decoded becomes a {@link Malformed}, and decoding continues with the
 * next one. An invalid message length ends the datagram, because the next message cannot be found.
 *
 * @param truncated whether the datagram was longer than the read buffer
 * @param take called with each message first
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

/** The record for an error in the message at `at`, with its header if that lies before `end`. */
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
