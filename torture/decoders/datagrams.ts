/**
 * Properties that must hold for any bytes taken as a datagram.
 * @module
 */
import '../../lib/monitor/trace.ts';
import assert from 'node:assert/strict';
import pc from 'picocolors';
import { formatJson } from '../../lib/cli/json.ts';
import { LINE_ROOM, printEvent, printedKind } from '../../lib/cli/printer/event-printer.ts';
import { formatEvent } from '../../lib/cli/text/event.ts';
import { Iproute2Format } from '../../lib/cli/text/iproute2.ts';
import { formatMessage } from '../../lib/cli/text/message.ts';
import { readAck } from '../../lib/netlink/ack.ts';
import {
  NETLINK_ROUTE,
  NETLINK_XFRM,
  NLMSG_DONE,
  NLMSG_ERROR,
} from '../../lib/netlink/constants.ts';
import { type DecodeMessage, decodeDatagram, type Malformed } from '../../lib/netlink/event.ts';
import { visitMessages } from '../../lib/netlink/request-socket.ts';
import { describeDatagram } from '../../lib/netlink/trace.ts';
import { decodeRoute } from '../../lib/route/decode.ts';
import { decodeRouteMessage } from '../../lib/route/decode-message.ts';
import { encodeRoute } from '../../lib/route/encode.ts';
import type { RouteMessage } from '../../lib/route/requests.ts';
import { tracedRoute } from '../../lib/route/trace.ts';
import { AsciiWriter } from '../../lib/wire/ascii.ts';
import { DecodeError } from '../../lib/wire/error.ts';
import { messageType } from '../../lib/wire/message.ts';
import { MessageWriter } from '../../lib/wire/message-writer.ts';
import { decodeXfrm } from '../../lib/xfrm/decode.ts';
import { decodeXfrmMessage } from '../../lib/xfrm/decode-message.ts';
import { encodeXfrm } from '../../lib/xfrm/encode.ts';
import type { XfrmEvent } from '../../lib/xfrm/events.ts';
import type { XfrmMessage } from '../../lib/xfrm/requests.ts';
import { tracedXfrm } from '../../lib/xfrm/trace.ts';
import { assertSame } from './same.ts';

/** The protocol of a datagram's messages. */
export type Protocol = 'xfrm' | 'route';

export const TRACED = { xfrm: tracedXfrm, route: tracedRoute } as const;

const EVENTS = { xfrm: decodeXfrm, route: decodeRoute } as const;
const MESSAGES = { xfrm: decodeXfrmMessage, route: decodeRouteMessage } as const;

type Message = XfrmMessage | RouteMessage;

const time = { wall: 0, monotonic: 0 };

/** Memory like the sockets' arena with a datagram in it; the rest is filled with `poison`. */
class Surroundings {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly #poison: number;
  readonly #at: number;

  constructor(poison: number, at: number) {
    this.bytes = new Uint8Array(192 * 1024).fill(poison);
    this.view = new DataView(this.bytes.buffer);
    this.#poison = poison;
    this.#at = at;
  }

  /** Returns the result of `decode` for a datagram in this memory, and checks that it changed nothing. */
  with<Result>(
    datagram: Uint8Array,
    decode: (view: DataView, bytes: Uint8Array, at: number) => Result,
  ): Result {
    this.bytes.set(datagram, this.#at);
    try {
      return decode(this.view, this.bytes, this.#at);
    } finally {
      const end = this.#at + datagram.length;
      const left = Buffer.from(this.bytes.buffer, this.#at - 8, datagram.length + 16);
      const untouched =
        left.compare(datagram, 0, datagram.length, 8, datagram.length + 8) === 0 &&
        left[7] === this.#poison &&
        left[datagram.length + 8] === this.#poison;
      this.bytes.fill(this.#poison, this.#at, end);
      assert(untouched, 'a decoder wrote into what it read');
    }
  }
}

/** Two of them, so that a read outside the datagram gives different results. */
const SURROUNDINGS = [new Surroundings(0x00, 40_961), new Surroundings(0xa5, 51_203)] as const;

/** The result of `decode`, which must not depend on where the datagram is. Offsets are relative to `at`. */
function anywhere<Result>(
  datagram: Uint8Array,
  decode: (view: DataView, bytes: Uint8Array, at: number) => Result,
): Result {
  const [first, second] = SURROUNDINGS.map((one) => one.with(datagram, decode));
  assertSame(first, second, 'what surrounds the datagram');
  return first as Result;
}

/** Runs `decode`, whose only error may be a DecodeError: that is a result, too, with a relative offset. */
function attempt<Result>(decode: () => Result, at: number): Result | { error: string } {
  try {
    return decode();
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    const { reason, path, offset, expected, found } = error;
    return { error: JSON.stringify([reason, path, offset - at, expected, found]) };
  }
}

function decodeAll<Of>(
  datagram: Uint8Array,
  decode: DecodeMessage<Of>,
  truncated: boolean,
): (Of | Malformed)[] {
  return anywhere(datagram, (view, bytes, at) => {
    const found: (Of | Malformed)[] = [];
    const input = { view, bytes, time, keys: true };
    decodeDatagram(input, at, datagram.length, truncated, decode, (one) => found.push(one));
    return found;
  });
}

const writer = new MessageWriter();
const colors = pc.createColors(false);
const iproute2 = new Iproute2Format({
  showKeys: true,
  names: { protocol: (number) => `${number}`, device: () => undefined },
});

const ACTS = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;

function encoded(protocol: Protocol, message: Message): Uint8Array {
  writer.wipe();
  if (protocol === 'xfrm') encodeXfrm(writer, message as XfrmMessage);
  else encodeRoute(writer, message as RouteMessage);
  return writer.written().slice();
}

/** Checks that all ways of printing a message terminate, and emit no terminal controls. */
function checkOutputs(message: (Message | Malformed) & { protocol: Protocol }): void {
  const text = formatMessage(message, colors);
  assert(!ACTS.test(text), `text: ${JSON.stringify(text)}`);
  for (const keys of [false, true]) {
    const json = formatJson(message, keys);
    JSON.parse(json);
    assert(!json.includes('\n'), json);
  }
}

const out = Buffer.alloc(2 * LINE_ROOM);
const outView = new DataView(out.buffer, out.byteOffset);

/** A message as `netlink-xfrm monitor` prints it from its bytes; no line if it is left to the decoder. */
const printed: DecodeMessage<{ readonly line?: string }> = (input, at, length) => {
  const writer = new AsciiWriter(outView, 0);
  if (printedKind(input.view, at) === undefined) return {};
  return printEvent(input, at, length, writer)
    ? { line: out.toString('latin1', 0, writer.at) }
    : {};
};

/** Checks that lines printed from bytes equal those printed from the decoded events. */
function checkLines(
  datagram: Uint8Array,
  events: readonly (Message | Malformed)[],
  truncated: boolean,
): void {
  for (const [i, one] of decodeAll(datagram, printed, truncated).entries()) {
    if (!('line' in one) || one.line === undefined) continue;
    const event = events[i] as XfrmEvent | (Malformed & { protocol: 'xfrm' });
    assert.equal(one.line, `${formatEvent(event, colors)}\n`, 'printed from bytes');
  }
}

/**
 * Decodes a datagram in all ways, and prints and encodes the results.
 *
 * @returns the number of messages
 * @throws a finding
 */
export function checkDatagram(protocol: Protocol, datagram: Uint8Array, truncated = false): number {
  const events = decodeAll(datagram, EVENTS[protocol] as DecodeMessage<Message>, truncated);
  const messages = decodeAll(datagram, MESSAGES[protocol] as DecodeMessage<Message>, truncated);
  // Printing costs as much as all the rest.
  const print = (datagram.length >> 2) % 4 === 0;
  for (const message of messages) {
    if (print) checkOutputs(message.kind === 'malformed' ? { ...message, protocol } : message);
    if (message.kind === 'malformed') continue;
    const bytes = encoded(protocol, message);
    const again = decodeAll(bytes, MESSAGES[protocol] as DecodeMessage<Message>, false);
    assertSame(again, [message], 'what it was encoded to');
  }
  for (const event of events) {
    if (event.kind === 'malformed' || event.protocol === 'route') continue;
    assert(typeof iproute2.format(event as XfrmEvent, datagram.length) === 'string');
  }
  if (protocol === 'xfrm') checkLines(datagram, events, truncated);
  checkAnswers(datagram);
  const number = protocol === 'xfrm' ? NETLINK_XFRM : NETLINK_ROUTE;
  anywhere(datagram, (_, bytes, at) => describeDatagram(number, bytes, at, datagram.length));
  return messages.length;
}

/** Parses a datagram as answers to requests, as RequestSocket does. */
function checkAnswers(datagram: Uint8Array): void {
  anywhere(datagram, (view, bytes, at) => {
    const batch = {
      view,
      offset: () => at,
      length: () => datagram.length,
      truncated: () => false,
    };
    const found: unknown[] = [];
    const walked = attempt(() => {
      visitMessages(batch, 0, (start, length) => {
        const type = messageType(view, start);
        const acknowledges = type === NLMSG_ERROR || type === NLMSG_DONE;
        if (acknowledges) found.push(attempt(() => readAck(view, bytes, start, length), at));
      });
    }, at);
    return [found, walked];
  });
}

/** Checks that a message as its sender made it is encoded to the same bytes. */
export function checkExact(protocol: Protocol, datagram: Uint8Array): void {
  const [message, ...more] = decodeAll(
    datagram,
    MESSAGES[protocol] as DecodeMessage<Message>,
    false,
  );
  assert(message !== undefined && message.kind !== 'malformed' && more.length === 0);
  const bytes = encoded(protocol, message);
  assert.equal(Buffer.from(bytes).toString('hex'), Buffer.from(datagram).toString('hex'));
}
