/**
 * A conversation with the kernel: requests and lists, as promises and async iterables.
 *
 * Events come over another socket: answers are queued in the same buffer as multicasts, and a full
 * buffer loses answers too (net/netlink/af_netlink.c, netlink_attachskb).
 * @module
 */
import { constants as system } from 'node:os';
import { onAbort } from '../socket/abort.ts';
import { integer, optionalBoolean, optionalSignal, options } from '../socket/argument.ts';
import {
  type NetlinkOption,
  type NetnsReference,
  StateError,
  SystemError,
} from '../socket/index.ts';
import { HeldNamespace, optionalNamespace } from '../socket/namespace.ts';
import { DecodeError } from '../wire/error.ts';
import { fromCaller } from './caller.ts';
import { NLM_F_DUMP } from './constants.ts';
import { Dump, type DumpEnd } from './dump.ts';
import type { DecodeMessage } from './event.ts';
import { type Request, refusal } from './request.ts';
import { RequestSocket } from './request-socket.ts';

/** Where to ask. */
export interface ClientOptions {
  /**
   * The network namespace to ask and change: a path such as `/run/netns/NAME`, or a descriptor, which
   * may be closed once the client is made. Default: that of the process. The client keeps the
   * namespace until it is closed, also when its name is gone.
   */
  readonly netns?: NetnsReference | undefined;
}

const CLIENT_OPTIONS: ReadonlySet<string> = new Set<keyof ClientOptions>(['netns']);

/** How long to wait, and for what. */
export interface RequestOptions {
  /** Gives up waiting: the promise rejects with the signal's reason. The kernel may have acted. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Milliseconds to wait for the kernel, which answers at once; default 30,000. For a list, that is for
   * each piece of it.
   */
  readonly timeout?: number | undefined;
  /** Whether answers hold keys. Default false. */
  readonly keys?: boolean | undefined;
}

const REQUEST_OPTIONS: ReadonlySet<string> = new Set<keyof RequestOptions>([
  'signal',
  'timeout',
  'keys',
]);

/** What the kernel answered to a request that it carried out. */
export interface KernelReply<Reply> {
  readonly replies: Reply[];
  /** The kernel's words, if it did what was asked with reservations. */
  readonly warning: string | undefined;
}

/**
 * Requests under way at a time; others wait. Their answers must fit the receive buffer, and without
 * privilege that holds 208 KiB: two answers a request, an SA's being charged up to 3 KiB.
 */
const WINDOW = 32;

const nothing = () => {};

const TIMED_OUT = {
  errno: system.errno.ETIMEDOUT,
  message: 'the kernel did not answer; the request may have been carried out',
};

/**
 * Requests to the kernel, many at a time.
 *
 * @throws every method: EncodeError for a request that can't be written; KernelError when the kernel
 *   refuses it, does not answer in time (`ETIMEDOUT`), or when its answer was lost (`ENOBUFS`: it may
 *   have been carried out); DecodeError for an answer that makes no sense
 */
export class Connection {
  readonly #protocol: number;
  readonly #switchedOn: readonly NetlinkOption[];
  readonly #namespace: HeldNamespace;
  #socket: RequestSocket | undefined;
  #underWay = 0;
  /** Those that wait to be {@link #underWay}. */
  readonly #turns = new Set<() => void>();
  /** The sockets of lists under way: weakly, for a list that was begun and forgotten. */
  readonly #lists = new Set<WeakRef<RequestSocket>>();
  #closed = false;

  /**
   * @param protocol NETLINK_XFRM, NETLINK_ROUTE … Sockets are opened as they are needed.
   * @param where in which network namespace
   * @param switchedOn options of the socket, beside extAck and capAck
   * @throws TypeError or RangeError for a wrong option, which it names
   * @throws SystemError for a namespace that is missing, is none, or may not be entered
   */
  constructor(
    protocol: number,
    where: ClientOptions = {},
    switchedOn: readonly NetlinkOption[] = [],
  ) {
    options('options', where, CLIENT_OPTIONS);
    this.#protocol = protocol;
    this.#switchedOn = switchedOn;
    this.#namespace = new HeldNamespace(optionalNamespace('options.netns', where.netns));
  }

  /**
   * Sends a request and waits for its acknowledgement.
   *
   * @param decode makes a reply of each message before the acknowledgement
   */
  async request<Reply = never>(
    request: Request,
    decode?: DecodeMessage<Reply>,
    options: RequestOptions = {},
  ): Promise<KernelReply<Reply>> {
    const { signal, timeout, keys } = checkedRequestOptions(options);
    signal?.throwIfAborted();
    using patience = new Patience(request, signal, timeout);
    if (this.#underWay < WINDOW) this.#underWay++;
    else {
      await patience.wait<void>((turn) => {
        this.#turns.add(turn);
        return () => this.#turns.delete(turn);
      }, false);
    }
    try {
      this.#socket ??= this.#open();
      return await ask(this.#socket, request, decode, keys, patience);
    } catch (error) {
      throw ofCaller(error);
    } finally {
      const [next] = this.#turns;
      if (next === undefined) this.#underWay--;
      else {
        this.#turns.delete(next);
        next();
      }
    }
  }

  /**
   * A list. It uses a socket of its own, since a socket can have one list under way only.
   *
   * @param decode makes a reply of each message; undefined: it is passed over
   */
  dump<Reply>(
    request: Request,
    decode: DecodeMessage<Reply | undefined>,
    options?: RequestOptions,
  ): Dump<Reply> {
    return new Dump(() => this.dumpBatches(request, decode, options));
  }

  /** Asks for a list. A piece is read when the one before has been consumed. */
  async *dumpBatches<Reply>(
    request: Request,
    decode: DecodeMessage<Reply | undefined>,
    options: RequestOptions = {},
  ): AsyncGenerator<Reply[], DumpEnd, undefined> {
    const { signal, timeout, keys } = checkedRequestOptions(options);
    signal?.throwIfAborted();
    const socket = this.#open(1);
    for (const list of this.#lists) if (list.deref() === undefined) this.#lists.delete(list);
    const reference = new WeakRef(socket);
    this.#lists.add(reference);
    let piece: Reply[] = [];
    let end: DumpEnd | undefined;
    let failure: { error: unknown } | undefined;
    let wake = nothing;
    try {
      socket.send(
        { ...request, flags: (request.flags ?? 0) | NLM_F_DUMP },
        {
          keys,
          onMessage: (input, at, length) => {
            const reply = decode(input, at, length);
            if (reply === undefined) return;
            piece.push(reply);
            socket.pause();
            wake();
          },
          onEnd: (_, interrupted) => {
            end = { interrupted };
            wake();
          },
          onFailure: (error) => {
            failure = { error };
            wake();
          },
        },
      );
      for (;;) {
        signal?.throwIfAborted();
        if (piece.length === 0 && end === undefined && failure === undefined) {
          // Only meanwhile: a signal that lives on shall not keep a list that was forgotten.
          using patience = new Patience(request, signal, timeout);
          await patience.wait<void>((resolve) => {
            wake = resolve;
            return nothing;
          });
        }
        const consumed = piece;
        piece = [];
        if (consumed.length > 0) yield consumed;
        if (failure) throw ofCaller(failure.error);
        if (end) return end;
        socket.resume();
      }
    } finally {
      await socket.close();
      this.#lists.delete(reference);
    }
  }

  /** Closes it; requests and lists under way are rejected, later ones too. Can be called twice. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#namespace.close();
    const lists = Array.from(this.#lists, (list) => list.deref());
    await Promise.all(
      [this.#socket, ...lists].map((socket) => {
        socket?.failAll(closed);
        return socket?.close();
      }),
    );
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #open(batch?: number): RequestSocket {
    if (this.#closed) throw closed();
    return new RequestSocket(this.#protocol, {
      netns: this.#namespace.netns,
      switchedOn: this.#switchedOn,
      batch,
    });
  }
}

/** The options with their defaults. @throws TypeError or RangeError for a wrong one */
function checkedRequestOptions(given: RequestOptions) {
  options('options', given, REQUEST_OPTIONS);
  const { signal, timeout = 30_000, keys } = given;
  return {
    signal: optionalSignal('options.signal', signal),
    timeout: integer('options.timeout', timeout, 1, 2 ** 31 - 1),
    keys: optionalBoolean('options.keys', keys, false),
  };
}

/** Sends one request and waits for its answers. */
function ask<Reply>(
  socket: RequestSocket,
  request: Request,
  decode: DecodeMessage<Reply> | undefined,
  keys: boolean,
  patience: Patience,
): Promise<KernelReply<Reply>> {
  return patience.wait<KernelReply<Reply>>((resolve, reject) => {
    const replies: Reply[] = [];
    const seq = socket.send(request, {
      keys,
      onMessage: (input, at, length) => {
        if (decode) replies.push(decode(input, at, length));
      },
      onEnd: ({ message }) => resolve({ replies, warning: message }),
      onFailure: reject,
    });
    return () => socket.forget(seq);
  });
}

/** How long a request is waited for: until its time is up, or its signal is aborted. */
class Patience implements Disposable {
  #over: { readonly error: unknown } | undefined;
  #giveUp: ((error: unknown) => void) | undefined;
  /** Whether it is an answer that is waited for, not a turn. */
  #asked = false;
  readonly #timer: NodeJS.Timeout;
  readonly #aborted: Disposable;

  constructor(request: Request, signal: AbortSignal | undefined, timeout: number) {
    const end = () => this.#end(timedOut(request));
    // Node serves timers before it reads sockets: in a process that was busy, the answer may wait to be read. After two
    // turns the socket was read in between.
    const soon = () => setImmediate(() => setImmediate(end));
    this.#timer = setTimeout(() => (this.#asked ? soon() : end()), timeout);
    this.#aborted = onAbort(signal, (reason) => this.#end(reason));
  }

  /**
   * A promise that `begin` settles, unless patience ends first.
   *
   * @param begin returns what is to be done when it is given up
   * @param asked whether it is an answer of the kernel that is waited for
   */
  wait<T>(
    begin: (resolve: (value: T) => void, reject: (error: unknown) => void) => () => void,
    asked = true,
  ): Promise<T> {
    this.#asked = asked;
    return new Promise((resolve, reject) => {
      if (this.#over) throw this.#over.error;
      const abandon = begin(resolve, reject);
      this.#giveUp = (error) => {
        abandon();
        reject(error);
      };
    });
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#aborted[Symbol.dispose]();
  }

  #end(error: unknown): void {
    this.#over ??= { error };
    this.#giveUp?.(error);
  }
}

const timedOut = (request: Request) => refusal({ request, places: [] }, TIMED_OUT);

const closed = () => new StateError('ERR_SOCKET_CLOSED', 'the connection is closed');

/** Those that were made at the socket, KernelErrors included; a signal's reason has a stack of its own. */
const ofCaller = (error: unknown): unknown =>
  error instanceof SystemError || error instanceof DecodeError ? fromCaller(error) : error;

/** The error where an object was asked for, and only the acknowledgement came. */
export const withoutAnswer = (message: string): DecodeError =>
  new DecodeError('the kernel acknowledged the request without a reply', {
    path: [message],
    offset: 0,
  });
