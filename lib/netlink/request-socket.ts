/**
 * A socket for requests: sends them, and gives each its answers by sequence number.
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
import { messageLength, messageType, nextMessage, readHeader } from '../wire/message.ts';
import { MessageWriter } from '../wire/message-writer.ts';
import { type Ack, readAck } from './ack.ts';
import { NLM_F_DUMP_INTR, NLMSG_DONE, NLMSG_ERROR, NLMSG_NOOP } from './constants.ts';
import type { DecodeInput } from './event.ts';
import { type Request, refusal, type Sent, writeRequest } from './request.ts';

/** How to open a {@link RequestSocket}. */
interface RequestSocketOptions {
  readonly netns?: NetnsReference | undefined;
  /** Options beside extAck and capAck: they change what the kernel answers. */
  readonly switchedOn?: readonly NetlinkOption[] | undefined;
  /** The most datagrams to read at once. */
  readonly batch?: number | undefined;
}

/** Who waits for the answers to a request. */
export interface Answered {
  /** Whether answers hold keys. */
  readonly keys: boolean;
  /** A message before the end. The memory is valid during the call only. */
  onMessage(input: DecodeInput, at: number, length: number): void;
  /** The kernel carried it out. @param interrupted whether a list changed while it was made */
  onEnd(ack: Ack, interrupted: boolean): void;
  /** It was refused, its answer was lost, or made no sense. */
  onFailure(error: unknown): void;
}

interface Pending {
  readonly sent: Sent;
  readonly answered: Answered;
  interrupted: boolean;
}

/** The kernel dropped answers for want of room; it does not say whose. */
const LOST: Ack = {
  errno: system.errno.ENOBUFS,
  message: 'the answer was lost; the request may have been carried out',
};

/**
 * Where the messages of a datagram are, and how long.
 *
 * @throws DecodeError where one does not hold together, or the datagram was truncated: it is longer than the read buffer
 */
export function* messagesIn(
  batch: Pick<DatagramBatch, 'view' | 'offset' | 'length' | 'truncated'>,
  index: number,
): Generator<[at: number, length: number]> {
  const end = batch.offset(index) + batch.length(index);
  for (let at = batch.offset(index); at < end; ) {
    const length = messageLength(batch.view, at, end);
    yield [at, length];
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
 * Datagrams of others than the kernel never get here (NetlinkSocket, kernelOnly), so a sequence
 * number is enough to know whose answer it is. Keeps the process alive while answers are due.
 */
export class RequestSocket {
  readonly #socket: NetlinkSocket;
  readonly #pending = new Map<number, Pending>();
  readonly #writer = new MessageWriter();
  #seq = 0;

  /**
   * @param protocol NETLINK_XFRM, NETLINK_ROUTE …
   * @throws SystemError
   */
  constructor(protocol: number, { netns, switchedOn = [], batch = 64 }: RequestSocketOptions = {}) {
    this.#socket = new NetlinkSocket({ protocol, netns, batch });
    try {
      this.#socket.bind();
      // Refusals in words, and without a copy of the request, which may hold keys.
      for (const option of ['extAck', 'capAck', ...switchedOn] as const) {
        this.#socket.setOption(option, true);
      }
      const failed = (error: SystemError) => this.failAll(() => error);
      this.#socket.receive((batch) => this.#onBatch(batch), failed);
      this.#socket.pause();
    } catch (error) {
      this.#socket.close();
      throw error;
    }
  }

  /**
   * Sends a request.
   *
   * @returns its sequence number, for {@link forget}
   * @throws EncodeError or SystemError if it could not be sent; then no answer comes
   */
  send(request: Request, answered: Answered): number {
    do this.#seq = (this.#seq + 1) >>> 0;
    while (this.#seq === 0 || this.#pending.has(this.#seq));
    const seq = this.#seq;
    try {
      const sent = writeRequest(this.#writer, request, seq);
      // Before it is sent: whoever looks on may close this then.
      this.#pending.set(seq, { sent, answered, interrupted: false });
      this.#socket.send(this.#writer.written());
    } catch (error) {
      this.#pending.delete(seq);
      throw error;
    } finally {
      // The kernel has copied it; it may have held keys.
      this.#writer.wipe();
    }
    this.#socket.resume();
    return seq;
  }

  /** The answers to a request are not waited for any more. */
  forget(seq: number): void {
    this.#pending.delete(seq);
    if (this.#pending.size === 0 && !this.#socket.closed) this.#socket.pause();
  }

  /** Stops reading: a list is not made any further meanwhile. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Ends all requests under way. */
  failAll(error: (sent: Sent) => unknown): void {
    const pending = [...this.#pending];
    this.#pending.clear();
    if (!this.#socket.closed) this.#socket.pause();
    for (const [, { sent, answered }] of pending) answered.onFailure(error(sent));
  }

  close(): Promise<void> {
    return this.#socket.close();
  }

  #onBatch(batch: DatagramBatch): void {
    if (batch.lost !== undefined) this.failAll((sent) => refusal(sent, LOST));
    const time = { wall: batch.timestamp, monotonic: batch.monotonic };
    for (let i = 0; i < batch.count; i++) {
      try {
        for (const [at, length] of messagesIn(batch, i)) this.#onMessage(batch, time, at, length);
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error;
        // Nothing tells whose answer the rest was.
        this.failAll(() => error);
      }
    }
  }

  #onMessage(
    { view, bytes }: DatagramBatch,
    time: DecodeInput['time'],
    at: number,
    length: number,
  ): void {
    const { seq, flags } = readHeader(view, at);
    const pending = this.#pending.get(seq);
    if (pending === undefined) return; // given up
    const { sent, answered } = pending;
    try {
      if ((flags & NLM_F_DUMP_INTR) !== 0) pending.interrupted = true;
      const type = messageType(view, at);
      if (type === NLMSG_NOOP) return;
      if (type !== NLMSG_ERROR && type !== NLMSG_DONE) {
        answered.onMessage({ view, bytes, time, keys: answered.keys }, at, length);
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
