/**
 * Recordings of netlink messages: concatenated messages, as `ip monitor file` reads them, a capture
 * of an nlmon device, or the output of strace. They are read in chunks, with bounded memory.
 * @module
 */
import { NETLINK_ROUTE, NLM_F_REQUEST } from '../netlink/constants.ts';
import { align4 } from '../wire/attribute.ts';
import { LE } from '../wire/endian.ts';
import { messageType, NLMSG_HDRLEN, nextMessage } from '../wire/message.ts';
import { MORE, RecordingInput } from './input.ts';
import { isCapture, readCapture } from './pcap.ts';
import { LONGEST, type Parser, type Recorded, refuse } from './recorded.ts';
import { isText, readStrace, TEXT_BEGINNING } from './strace.ts';

/** Type of the messages in which rtmon records the time (NLMSG_TSTAMP of iproute2's libnetlink.h). */
const TIME = 15;

const notesTime = (view: DataView, at: number): boolean =>
  messageType(view, at) === TIME && view.getUint32(at, LE) >= NLMSG_HDRLEN + 8;

/** Parses a recording: takes chunks of any size, and returns datagrams as soon as they are complete. */
export class CaptureReader {
  readonly #input = new RecordingInput();
  readonly #parser: Parser;

  /**
   * @param protocol protocol of concatenated messages, which do not state it: NETLINK_XFRM or NETLINK_ROUTE
   */
  constructor(protocol: number) {
    this.#parser = read(this.#input, protocol);
  }

  /**
   * The datagrams completed by this chunk. All must be consumed before the next chunk is passed.
   *
   * @throws RecordingError that says what is wrong
   */
  push(chunk: Uint8Array): Iterable<Recorded> {
    this.#input.add(chunk);
    return this.#parsed();
  }

  /** The rest after the last chunk. @throws RecordingError that says what is wrong */
  end(): Iterable<Recorded> {
    this.#input.end();
    return this.#parsed();
  }

  *#parsed(): Generator<Recorded, void> {
    for (;;) {
      const { done, value } = this.#parser.next();
      if (done || value === MORE) return;
      yield value;
    }
  }
}

function* read(input: RecordingInput, protocol: number): Parser {
  if (!(yield* input.has(1))) return;
  const capture = (yield* input.has(4)) && isCapture(input.view);
  if (capture) yield* readCapture(input);
  else if ((yield* input.has(TEXT_BEGINNING)) && isText(input.bytes(TEXT_BEGINNING))) {
    yield* readStrace(input, protocol);
  } else yield* readMessages(input, protocol);
}

/** Reads concatenated messages, as many as are available; with rtmon's timestamps, those between two of them. */
function* readMessages(input: RecordingInput, protocol: number): Parser {
  const lengthHere = () => input.view.getUint32(input.start, LE);
  const possible = (length: number) => length >= NLMSG_HDRLEN && length <= LONGEST;
  const begins =
    (yield* input.has(NLMSG_HDRLEN)) && possible(lengthHere()) && (yield* input.has(lengthHere()));
  if (!begins) {
    refuse(
      'it is neither a file of netlink messages, nor a capture of an nlmon device (pcap or pcapng), nor the output of strace',
    );
  }
  const timed = protocol === NETLINK_ROUTE;
  // Timestamps are written by rtmon, which is a listener.
  let time: Pick<Recorded, 'wall' | 'heard'> = {};
  const next = (bytes: Uint8Array, length: number): Recorded => ({
    protocol,
    bytes,
    at: input.position,
    length,
    truncated: false,
    ...time,
  });
  while (yield* input.has(1)) {
    const { view, start, available } = input;
    const length = wholeMessages(view, start, start + available, timed);
    if (length > 0) {
      yield next(input.bytes(length), length);
      input.skip(align4(length));
    } else if (!(yield* input.has(NLMSG_HDRLEN))) {
      yield next(input.bytes(input.available), input.available);
      return;
    } else if (!possible(lengthHere())) {
      yield* readRest(input, lengthHere(), next);
      return;
    } else if (!(yield* input.has(lengthHere()))) {
      yield next(input.bytes(input.available), input.available);
      return;
    } else if (timed && notesTime(input.view, input.start)) {
      const at = input.start + NLMSG_HDRLEN;
      // Seconds and microseconds, 32 bits each.
      const seconds = input.view.getUint32(at, LE);
      const wall = seconds * 1000 + input.view.getUint32(at + 4, LE) / 1000;
      time = { wall, heard: true };
      input.skip(align4(lengthHere()));
    }
  }
}

/** Returns the rest, beginning with a message of invalid length: what follows it cannot be parsed. */
function* readRest(
  input: RecordingInput,
  length: number,
  next: (bytes: Uint8Array, length: number) => Recorded,
): Parser {
  const header = input.bytes(NLMSG_HDRLEN).slice();
  const begin = input.position;
  yield* input.drain();
  const left = input.position - begin;
  if (length >= NLMSG_HDRLEN && length <= left) {
    refuse(`the message at ${begin} has ${length} bytes; at most ${LONGEST} are supported`);
  }
  yield { ...next(header, left), at: begin };
}

/**
 * Number of bytes from `at` that are complete messages, without the padding of the last one.
 *
 * @param timed stops before a timestamp message
 * @param most stops after the message that reaches this number of bytes
 */
export function wholeMessages(
  view: DataView,
  at: number,
  end: number,
  timed = false,
  most = Number.POSITIVE_INFINITY,
): number {
  let to = at;
  for (let next = at; end - next >= NLMSG_HDRLEN && next - at < most; ) {
    const length = view.getUint32(next, LE);
    if (length < NLMSG_HDRLEN || length > end - next) break;
    if (timed && notesTime(view, next)) break;
    to = next + length;
    next = nextMessage(next, length);
  }
  return to - at;
}

/**
 * How much of a datagram to read: for requests, not the zeros after them. Programs send their whole buffer, and the
 * kernel stops at the first invalid header (net/netlink/af_netlink.c, netlink_rcv_skb).
 */
export function lengthRead(view: DataView, length: number): number {
  if (length > view.byteLength || length < NLMSG_HDRLEN) return length;
  if ((view.getUint16(6, LE) & NLM_F_REQUEST) === 0) return length;
  const messages = wholeMessages(view, 0, length);
  if (messages === 0) return length;
  for (let i = messages; i < length; i++) if (view.getUint8(i) !== 0) return length;
  return messages;
}
