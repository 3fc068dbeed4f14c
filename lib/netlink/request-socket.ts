/**
 * A socket for requests: sends them, and dispatches answers by sequence number.
 * @module
 */
import { constants as system } from 'node:os';
import {
  type DatagramBatch,
  type NetlinkOption,
  NetlinkSocket,
  type NetnsReference,
  type SystemError,
} from '../socket/index.ts';
import { DecodeError } from '../wire/error.ts';
import {
  messageFlags,
  messageLength,
  messageSequence,
  messageType,
  nextMessage,
} from '../wire/message.ts';
import { MessageWriter } from '../wire/message-writer.ts';
import { type Ack, readAck } from './ack.ts';
import { NLM_F_DUMP_INTR, NLMSG_DONE, NLMSG_ERROR, NLMSG_NOOP } from './constants.ts';
import type { DecodeInput } from './event.ts';
import { type Request, refusal, type Sent, writeRequest } from './request.ts';

/** How to open a {@link RequestSocket}. */
interface RequestSocketOptions {
  readonly netns?: NetnsReference | undefined;
  /** Options in addition to extAck and capAck that affect the kernel's answers. */
  readonly switchedOn?: readonly NetlinkOption[] | undefined;
  /** Maximum number of datagrams per read. */
  readonly batch?: number | undefined;
  /** Bytes that a thread of its own reads ahead ({@link NetlinkSocket}). */
  readonly readAhead?: number | undefined;
}

/** The receiver of the answers to a request. */
export interface Answered {
  /** Whether answers include keys. */
  readonly keys: boolean;
  /** Called with each message before the end. The memory is valid only during the call. */
  onMessage(input: DecodeInput, at: number, length: number): void;
  /**
   * The kernel carried out the request.
   * @param interrupted whether the objects changed during a dump
   */
  onEnd(ack: Ack, interrupted: boolean): void;
  /** The request was refused, or its answer was lost or malformed. */
  onFailure(error: unknown): void;
}

interface Pending {
  readonly sent: Sent;
  readonly answered: Answered;
  interrupted: boolean;
}

/** The kernel dropped answers because the receive buffer was full; it does not say which ones. */
const LOST: Ack = {
  errno: system.errno.ENOBUFS,
  message: 'the answer was lost; the request may have been carried out',
};

/**
 * Visits the messages in a datagram, each by its offset and length.
 *
 * @throws DecodeError if one is malformed, or the datagram was truncated: it is longer than the
 *   read buffer
 */
export function visitMessages(
  batch: Pick<DatagramBatch, 'view' | 'offset' | 'length' | 'truncated'>,
  index: number,
  visit: (at: number, length: number) => void,
): void {
  const end = batch.offset(index) + batch.length(index);
  for (let at = batch.offset(index); at < end; ) {
    const length = messageLength(batch.view, at, end);
    visit(at, length);
    at = nextMessage(at, length);
  }
  if (batch.truncated(index)) {
    throw new DecodeError('the datagram was truncated: it is longer than the read buffer', {
      path: [],
      offset: end,
    });
  }
}

/**
 * Only datagrams from the kernel are received (NetlinkSocket, kernelOnly), so a sequence number is
 * enough to match an answer to its request. Keeps the process alive while answers are pending.
 */
export class RequestSocket {
  readonly #socket: NetlinkSocket;
  readonly #pending = new Map<number, Pending>();
  readonly #writer = new MessageWriter();
  #seq = 0;
  #reading = true;

  /**
   * @param protocol NETLINK_XFRM, NETLINK_ROUTE …
   * @throws SystemError
   */
  constructor(protocol: number, options: RequestSocketOptions = {}) {
    const { netns, switchedOn = [], batch = 64, readAhead = 0 } = options;
    this.#socket = new NetlinkSocket({ protocol, netns, batch, readAhead });
    try {
      this.#socket.bind();
      // Ask for error messages, but without a copy of the request, which may hold keys.
      for (const option of ['extAck', 'capAck', ...switchedOn] as const) {
        this.#socket.setOption(option, true);
      }
      const failed = (error: SystemError) => this.failAll(() => error);
      this.#socket.receive((batch) => this.#onBatch(batch), failed);
      this.pause();
    } catch (error) {
      this.#socket.close();
      throw error;
    }
  }

  /**
   * Sends a request.
   *
   * @returns its sequence number, for {@link forget}
   * @throws EncodeError or SystemError if it could not be sent; no answer will follow
   */
  send(request: Request, answered: Answered): number {
    do this.#seq = (this.#seq + 1) >>> 0;
    while (this.#seq === 0 || this.#pending.has(this.#seq));
    const seq = this.#seq;
    try {
      const sent = writeRequest(this.#writer, request, seq);
      // Before sending, because a diagnostics subscriber may close this during the send.
      this.#pending.set(seq, { sent, answered, interrupted: false });
      this.#socket.send(this.#writer.written());
    } catch (error) {
      this.#pending.delete(seq);
      throw error;
    } finally {
      // The kernel has copied the request, which may have held keys.
      this.#writer.wipe();
    }
    this.resume();
    return seq;
  }

  /** Stops waiting for the answers to a request. */
  forget(seq: number): void {
    this.#pending.delete(seq);
    if (this.#pending.size === 0) this.pause();
  }

  /** Stops reading, which also stops the kernel from producing more of a dump than is read ahead. */
  pause(): void {
    this.#reading = false;
    if (!this.#socket.closed) this.#socket.pause();
  }

  resume(): void {
    if (this.#reading) return;
    this.#reading = true;
    this.#socket.resume();
  }

  /** Fails all pending requests. */
  failAll(error: (sent: Sent) => unknown): void {
    const pending = [...this.#pending];
    this.#pending.clear();
    this.pause();
    for (const [, { sent, answered }] of pending) answered.onFailure(error(sent));
  }

  close(): Promise<void> {
    return this.#socket.close();
  }

  #onBatch(batch: DatagramBatch): void {
    if (batch.lost !== undefined) this.failAll((sent) => refusal(sent, LOST));
    const { view, bytes, timestamp: wall, monotonic } = batch;
    const input = { view, bytes, time: { wall, monotonic }, keys: false };
    const visit = (at: number, length: number) => this.#onMessage(input, at, length);
    for (let i = 0; i < batch.count; i++) {
      try {
        visitMessages(batch, i, visit);
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error;
        // The rest cannot be matched to requests.
        this.failAll(() => error);
      }
    }
  }

  /** @param input one for all messages of a batch: a large dump makes no garbage of them */
  #onMessage(
    input: { -readonly [Name in keyof DecodeInput]: DecodeInput[Name] },
    at: number,
    length: number,
  ): void {
    const { view, bytes } = input;
    const seq = messageSequence(view, at);
    const pending = this.#pending.get(seq);
    if (pending === undefined) return; // abandoned
    const { sent, answered } = pending;
    try {
      if ((messageFlags(view, at) & NLM_F_DUMP_INTR) !== 0) pending.interrupted = true;
      const type = messageType(view, at);
      if (type === NLMSG_NOOP) return;
      if (type !== NLMSG_ERROR && type !== NLMSG_DONE) {
        input.keys = answered.keys;
        answered.onMessage(input, at, length);
        return;
      }
      const ack = readAck(view, bytes, at, length);
      this.forget(seq);
      if (ack.errno === 0) answered.onEnd(ack, pending.interrupted);
      else answered.onFailure(refusal(sent, ack));
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      this.forget(seq);
      answered.onFailure(error);
    }
  }
}
