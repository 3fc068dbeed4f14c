/** A kernel for unit tests, which answers as it is told. @module */
import { constants as system } from 'node:os';
import { integer, options, wrongType, wrongValue } from '../socket/argument.ts';
import { KernelStandIn, StandInSocket } from '../socket/stand-in.ts';
import { AttributeWriter } from '../wire/attribute-writer.ts';
import { LE } from '../wire/endian.ts';
import { NLMSG_HDRLEN, nextMessage, readHeader } from '../wire/message.ts';
import { MessageWriter } from '../wire/message-writer.ts';
import * as N from './constants.ts';
import { NetlinkMessage, type NetlinkRequest, readMessages } from './netlink-connection.ts';

/** A message to send: what it is made of, or one that is written already ({@link MessageWriter.written}). */
export type FakeMessage =
  | Pick<NetlinkRequest, 'type' | 'flags' | 'header' | 'attributes'>
  | Uint8Array;

/** A refusal, as the kernel has it. */
export interface FakeRefusal {
  /** `EPERM`, `ENOENT` … */
  readonly code: string;
  /** The kernel's words (extended ack). */
  readonly message?: string | undefined;
  /** Where in the request the attribute lies that is refused, in bytes from the request's start. */
  readonly offset?: number | undefined;
  /** The number of an attribute that the request lacks. */
  readonly missingType?: number | undefined;
}

/** What is answered to a request: messages, then its end. Left out: that it was done. */
export interface FakeAnswer {
  /** What comes before the end. Sequence number and port id are set. */
  readonly messages?: readonly FakeMessage[] | undefined;
  /** Ends with this refusal. */
  readonly refusal?: FakeRefusal | undefined;
  /** The kernel's words about something that it did with reservations. */
  readonly warning?: string | undefined;
  /** Of a dump: what was listed changed meanwhile (NLM_F_DUMP_INTR). */
  readonly interrupted?: boolean | undefined;
  /** Instead of the end: `lost` that the kernel dropped it (ENOBUFS), `silent` nothing, as for a time-out. */
  readonly end?: 'lost' | 'silent' | undefined;
}

/** A request that was sent. */
export class FakeRequest extends NetlinkMessage {
  readonly protocol: number;
  /** The whole message, as it was sent. */
  readonly bytes: Uint8Array;

  /** @internal */
  constructor(protocol: number, message: NetlinkMessage, bytes: Uint8Array) {
    super(message, message.payload);
    this.protocol = protocol;
    this.bytes = bytes;
  }

  /** Whether it asks for a dump. */
  get dump(): boolean {
    return (this.flags & N.NLM_F_DUMP) === N.NLM_F_DUMP;
  }
}

/** Answers the requests of a protocol. What it throws, an assertion for example, the request is rejected with. */
export type FakeHandler = (request: FakeRequest) => FakeAnswer | undefined;

/**
 * Stands in for the kernel in unit tests. Give it where a network namespace is expected: to {@link NetlinkConnection},
 * {@link NetlinkSocket}, `XfrmClient`, `RouteClient`, `subscribe()`, `XfrmMonitor.open()` or `TunnelMonitor.open()`.
 * It needs no privilege, no kernel and no addon, so it works on other systems than Linux too.
 *
 * Receive buffers never fill: use {@link overrun}. Socket filters keep nothing out.
 *
 * @example
 * const kernel = new FakeKernel();
 * kernel.answer(NETLINK_XFRM, (request) => {
 *   assert.equal(request.type, XFRM_MSG_DELSA);
 *   return { refusal: { code: 'ESRCH' } };
 * });
 * await using client = new XfrmClient({ netns: kernel });
 * await assert.rejects(client.deleteState({ daddr: '192.0.2.2', proto: 'esp', spi: 0x1001 }), { code: 'ESRCH' });
 * assert.equal(kernel.requests.length, 1);
 */
export class FakeKernel extends KernelStandIn {
  /** What was sent to it, oldest first. */
  readonly requests: FakeRequest[] = [];
  readonly #handlers = new Map<number, FakeHandler>();
  readonly #sockets = new Map<StandInSocket, number>();

  /** Sets who answers the requests of a protocol; without, they are refused with `ENOTSUP`. */
  answer(protocol: number, handler: FakeHandler): this {
    integer('protocol', protocol, 0, 31);
    if (typeof handler !== 'function') throw wrongType('handler', 'a function', handler);
    this.#handlers.set(protocol, handler);
    return this;
  }

  /**
   * Announces something: sends one datagram to the sockets that have joined the group.
   * @returns how many sockets got it
   */
  multicast(protocol: number, group: number, ...messages: readonly FakeMessage[]): number {
    integer('protocol', protocol, 0, 31);
    integer('group', group, 1, 0x7fff_ffff);
    const datagram = written(messages, { seq: 0, portId: 0 }, 0);
    const members = this.#of(protocol).filter((socket) => socket.groups.has(group));
    for (const socket of members) socket.push(datagram, group);
    return members.length;
  }

  /**
   * Loses events: the sockets of a protocol that have joined a group are told so, before what waits to be read.
   * @param code `ENOBUFS`, a full receive buffer, or `ENOMEM`
   */
  overrun(protocol: number, code = 'ENOBUFS'): void {
    for (const socket of this.#of(protocol)) if (socket.groups.size > 0) socket.lose(errno(code));
  }

  /** The number of open sockets, for tests that all were closed. */
  get openSockets(): number {
    return this.#sockets.size;
  }

  /** @internal */
  override openSocket(protocol: number): StandInSocket {
    const socket = new StandInSocket({
      sent: (socket, bytes) => this.#sent(socket, protocol, bytes),
      closed: (socket) => this.#sockets.delete(socket),
    });
    this.#sockets.set(socket, protocol);
    return socket;
  }

  #of(protocol: number): StandInSocket[] {
    return [...this.#sockets].filter(([, of]) => of === protocol).map(([socket]) => socket);
  }

  #sent(socket: StandInSocket, protocol: number, datagram: Uint8Array): void {
    for (const message of readMessages(datagram)) {
      const from = message.payload.byteOffset - datagram.byteOffset - NLMSG_HDRLEN;
      const bytes = datagram.subarray(from, from + NLMSG_HDRLEN + message.payload.length);
      const request = new FakeRequest(protocol, message, bytes);
      this.requests.push(request);
      this.#reply(socket, request, this.#handlers.get(protocol)?.(request));
    }
  }

  #reply(socket: StandInSocket, request: FakeRequest, given: FakeAnswer | undefined): void {
    const answer =
      given ??
      (this.#handlers.has(request.protocol)
        ? {}
        : { refusal: { code: 'ENOTSUP', message: 'no answer() was set for this protocol' } });
    const { messages = [], refusal, warning, interrupted = false, end } = checkedAnswer(answer);
    const header = { seq: request.seq, portId: socket.bound };
    const flags = (request.dump ? N.NLM_F_MULTI : 0) | (interrupted ? N.NLM_F_DUMP_INTR : 0);
    for (const message of messages) socket.push(written([message], header, flags));
    if (end === 'silent') return;
    if (end === 'lost') {
      socket.lose(errno('ENOBUFS'));
      return;
    }
    const done = request.dump && refusal === undefined;
    if (!done && (request.flags & N.NLM_F_ACK) === 0 && refusal === undefined) return;
    socket.push(done ? doneOf(header, flags) : ackOf(request, header, refusal, warning));
  }
}

const ANSWER = new Set(['messages', 'refusal', 'warning', 'interrupted', 'end']);
const REFUSAL = new Set(['code', 'message', 'offset', 'missingType']);
const MESSAGE = new Set(['type', 'flags', 'header', 'attributes']);

/** An answer as it was given. A slip in a test should not look like a fault of what it tests. */
function checkedAnswer(answer: FakeAnswer): FakeAnswer {
  if (answer instanceof Promise) throw wrongType('answer', 'an object, given at once', answer);
  options('answer', answer, ANSWER);
  const { messages, refusal, end } = answer;
  if (messages !== undefined && !Array.isArray(messages)) {
    throw wrongType('answer.messages', 'an array', messages);
  }
  if (refusal !== undefined) options('answer.refusal', refusal, REFUSAL);
  if (end !== undefined && end !== 'lost' && end !== 'silent') {
    throw wrongType('answer.end', '"lost" or "silent"', end);
  }
  return answer;
}

interface To {
  readonly seq: number;
  readonly portId: number;
}

/** A datagram of messages. */
function written(messages: readonly FakeMessage[], { seq, portId }: To, flags: number): Uint8Array {
  const writer = new MessageWriter();
  for (const message of messages) {
    if (message instanceof Uint8Array) {
      const at = writer.reserve(message.length);
      writer.bytes.set(message, at);
      continue;
    }
    options('message', message, MESSAGE);
    const { header = new Uint8Array(0), attributes } = message;
    const type = integer('message.type', message.type, 0, 0xffff);
    if (!(header instanceof Uint8Array)) throw wrongType('message.header', 'a Uint8Array', header);
    const at = writer.beginMessage({ type, flags: message.flags ?? 0, seq, portId });
    const fixed = writer.reserve(header.length);
    writer.bytes.set(header, fixed);
    if (attributes) AttributeWriter.within(writer, undefined, attributes);
    writer.endMessage(at);
  }
  const datagram = writer.written().slice();
  const view = new DataView(datagram.buffer);
  for (let at = 0; datagram.length - at >= NLMSG_HDRLEN; ) {
    view.setUint16(at + 6, readHeader(view, at).flags | flags, LE);
    // An answer has those of the request; an event keeps what it says of the request that caused it.
    if (seq !== 0) {
      view.setUint32(at + 8, seq, LE);
      view.setUint32(at + 12, portId, LE);
    }
    at = nextMessage(at, Math.max(view.getUint32(at, LE), NLMSG_HDRLEN));
  }
  return datagram;
}

function doneOf(header: To, flags: number): Uint8Array {
  return written([{ type: N.NLMSG_DONE, flags, header: new Uint8Array(4) }], header, 0);
}

/** NLMSG_ERROR, with the request's header only (NLM_F_CAPPED) and the kernel's words. */
function ackOf(
  request: FakeRequest,
  to: To,
  refusal: FakeRefusal | undefined,
  warning: string | undefined,
): Uint8Array {
  const header = new Uint8Array(4 + NLMSG_HDRLEN);
  const number = refusal === undefined ? 0 : errno(refusal.code);
  new DataView(header.buffer).setInt32(0, -number, LE);
  header.set(request.bytes.subarray(0, NLMSG_HDRLEN), 4);
  const { message = warning, offset, missingType } = refusal ?? {};
  const attributes = (write: AttributeWriter) => {
    if (message !== undefined) write.string(N.NLMSGERR_ATTR_MSG, message);
    if (offset !== undefined) write.u32(N.NLMSGERR_ATTR_OFFS, offset);
    if (missingType !== undefined) write.u32(N.NLMSGERR_ATTR_MISS_TYPE, missingType);
  };
  const flags = N.NLM_F_CAPPED | N.NLM_F_ACK_TLVS;
  return written([{ type: N.NLMSG_ERROR, flags, header, attributes }], to, 0);
}

function errno(code: string): number {
  const number = (system.errno as Readonly<Record<string, number>>)[code];
  if (number === undefined) throw wrongValue(`${code} is not an error code of this system`);
  return number;
}
