/** A fake kernel for unit tests, with programmed answers. @module */
import { constants as system } from 'node:os';
import { integer, options, string, wrongType, wrongValue } from '../base/argument.ts';
import { KernelStandIn, StandInSocket } from '../socket/stand-in.ts';
import { AttributeWriter } from '../wire/attribute-writer.ts';
import { LE } from '../wire/endian.ts';
import { NLMSG_HDRLEN, nextMessage, readHeader } from '../wire/message.ts';
import { MessageWriter } from '../wire/message-writer.ts';
import * as N from './constants.ts';
import { NetlinkMessage, type NetlinkRequest, readMessages } from './netlink-connection.ts';

/**
 * A message to send: its parts, or its bytes if already encoded ({@link MessageWriter.written}).
 */
export type FakeMessage =
  | Pick<NetlinkRequest, 'type' | 'flags' | 'header' | 'attributes'>
  | Uint8Array;

/** A refusal, with the kernel's details. */
export interface FakeRefusal {
  /** `EPERM`, `ENOENT` … */
  readonly code: string;
  /** The kernel's message (extended ack). */
  readonly message?: string | undefined;
  /** Offset of the refused attribute, in bytes from the start of the request. */
  readonly offset?: number | undefined;
  /** The number of a required attribute that the request lacks. */
  readonly missingType?: number | undefined;
}

/** The answer to a request: messages, then its end. By default, a bare success. */
export interface FakeAnswer {
  /**
   * Messages before the end. Their sequence numbers and port ids are filled in. The bytes of a dump
   * are copied when they are read.
   */
  readonly messages?: readonly FakeMessage[] | undefined;
  /** Ends with this refusal. */
  readonly refusal?: FakeRefusal | undefined;
  /** The kernel's warning about a request it carried out. */
  readonly warning?: string | undefined;
  /** For a dump: the objects changed during it (NLM_F_DUMP_INTR). */
  readonly interrupted?: boolean | undefined;
  /**
   * Replaces the end: `lost` for an answer the kernel dropped (ENOBUFS), `silent` for none, to test
   * time-outs.
   */
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

/**
 * Answers the requests of a protocol. If it throws, for example an assertion, the request rejects
 * with that error.
 */
export type FakeHandler = (request: FakeRequest) => FakeAnswer | undefined;

/**
 * Stands in for the kernel in unit tests. Pass it where a network namespace is expected: to
 * {@link NetlinkConnection}, {@link NetlinkSocket}, `XfrmClient`, `RouteClient`, `subscribe()`,
 * `XfrmMonitor.open()` or `TunnelMonitor.open()`. It needs no privilege, kernel or addon, so it
 * also works on other systems than Linux.
 *
 * Receive buffers never overflow: use {@link overrun}. Socket filters drop nothing.
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
  /** The requests it received, oldest first. */
  readonly requests: FakeRequest[] = [];
  readonly #handlers = new Map<number, FakeHandler>();
  readonly #sockets = new Map<StandInSocket, number>();

  /** Sets the handler of a protocol's requests; without one, they are refused with `ENOTSUP`. */
  answer(protocol: number, handler: FakeHandler): this {
    integer('protocol', protocol, 0, 31);
    if (typeof handler !== 'function') throw wrongType('handler', 'a function', handler);
    this.#handlers.set(protocol, handler);
    return this;
  }

  /**
   * Multicasts one datagram to the sockets that have joined the group.
   * @returns how many sockets received it
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
   * Simulates lost events: sockets of the protocol that have joined a group see an overrun before
   * the datagrams waiting to be read.
   * @param code `ENOBUFS`, a full receive buffer, or `ENOMEM`
   */
  overrun(protocol: number, code = 'ENOBUFS'): void {
    for (const socket of this.#of(protocol)) if (socket.groups.size > 0) socket.lose(errno(code));
  }

  /** The number of open sockets, to test that all were closed. */
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
    for (const message of messages) {
      if (!request.dump || !(message instanceof Uint8Array)) {
        socket.push(written([message], header, flags));
        continue;
      }
      // A kernel, too, makes a dump while it is read: all of it could be much more than is kept.
      const write = (into: Uint8Array) => {
        into.set(message);
        address(into, header, flags);
      };
      socket.push({ length: message.length, write });
    }
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

/**
 * Checks an answer, so that a mistake in a test does not look like a bug in the code under test.
 */
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
function written(messages: readonly FakeMessage[], to: To, flags: number): Uint8Array {
  const { seq, portId } = to;
  const size = messages.reduce(
    (sum, one) => sum + (one instanceof Uint8Array ? one.length + 3 : 0),
    0,
  );
  const writer = new MessageWriter(size || undefined);
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
    if (attributes !== undefined && typeof attributes !== 'function') {
      throw wrongType('message.attributes', 'a function that writes the attributes', attributes);
    }
    const at = writer.beginMessage({ type, flags: message.flags ?? 0, seq, portId });
    const fixed = writer.reserve(header.length);
    writer.bytes.set(header, fixed);
    if (attributes) AttributeWriter.within(writer, undefined, attributes);
    writer.endMessage(at);
  }
  const datagram = writer.written();
  address(datagram, to, flags);
  return datagram;
}

/** Makes the messages of a datagram answers to a request. */
function address(datagram: Uint8Array, { seq, portId }: To, flags: number): void {
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.length);
  for (let at = 0; datagram.length - at >= NLMSG_HDRLEN; ) {
    view.setUint16(at + 6, readHeader(view, at).flags | flags, LE);
    // Answers take these fields from the request; events keep their own, which identify the request
    // that caused them.
    if (seq !== 0) {
      view.setUint32(at + 8, seq, LE);
      view.setUint32(at + 12, portId, LE);
    }
    at = nextMessage(at, Math.max(view.getUint32(at, LE), NLMSG_HDRLEN));
  }
}

function doneOf(header: To, flags: number): Uint8Array {
  return written([{ type: N.NLMSG_DONE, flags, header: new Uint8Array(4) }], header, 0);
}

/** NLMSG_ERROR, with only the request's header (NLM_F_CAPPED) and the kernel's message. */
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
  string('code', code);
  const number = (system.errno as Readonly<Record<string, number>>)[code];
  if (number === undefined) throw wrongValue(`${code} is not an error code of this system`);
  return number;
}
