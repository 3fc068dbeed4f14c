/**
 * A conversation with the kernel: requests as promises, dumps as async iterables.
 *
 * Events need another socket: answers share the receive buffer with multicasts, and an overrun
 * loses answers too (net/netlink/af_netlink.c, netlink_attachskb).
 * @module
 */
import { constants as system } from 'node:os';
import { integer, optionalBoolean, optionalSignal, options } from '../base/argument.ts';
import { onAbort } from '../socket/abort.ts';
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
import { BY_PIECES, Dump, type DumpEnd, type DumpReading } from './dump.ts';
import type { DecodeMessage } from './event.ts';
import { type Request, refusal } from './request.ts';
import { RequestSocket } from './request-socket.ts';

/** Where to send requests. */
export interface ClientOptions {
  /**
   * The network namespace to use: a path such as `/run/netns/NAME`, or a descriptor, which may be
   * closed once the client exists. Default: that of the process. The client holds the namespace
   * until it is closed, even if its name is removed.
   */
  readonly netns?: NetnsReference | undefined;
}

const CLIENT_OPTIONS: ReadonlySet<string> = new Set<keyof ClientOptions>(['netns']);

/** Options of a request. */
export interface RequestOptions {
  /**
   * Cancels waiting: the promise rejects with the signal's reason. The kernel may still carry out
   * the request.
   */
  readonly signal?: AbortSignal | undefined;
  /**
   * Milliseconds to wait for the kernel, which usually answers immediately; default 30,000. For a
   * dump, it applies to each piece.
   */
  readonly timeout?: number | undefined;
  /** Whether answers include keys. Default false. */
  readonly keys?: boolean | undefined;
}

const REQUEST_OPTIONS: ReadonlySet<string> = new Set<keyof RequestOptions>([
  'signal',
  'timeout',
  'keys',
]);

/** The answer to a request that the kernel carried out. */
export interface KernelReply<Reply> {
  readonly replies: Reply[];
  /** The kernel's warning, if it gave one. */
  readonly warning: string | undefined;
}

/**
 * Maximum number of concurrent requests; others wait. Their answers must fit into the receive
 * buffer, which is 208 KiB without privilege: two answers for each request, and an SA is charged up
 * to 3 KiB.
 */
const WINDOW = 32;

const nothing = () => {};

const TIMED_OUT = {
  errno: system.errno.ETIMEDOUT,
  message: 'the kernel did not answer; the request may have been carried out',
};

/**
 * Concurrent requests to the kernel.
 *
 * @throws every method: EncodeError for a request that cannot be encoded; KernelError if the kernel
 *   refuses it, does not answer in time (`ETIMEDOUT`), or its answer was lost (`ENOBUFS`: it may
 *   have been carried out); DecodeError for a malformed answer
 */
export class Connection {
  readonly #protocol: number;
  readonly #switchedOn: readonly NetlinkOption[];
  readonly #namespace: HeldNamespace;
  #socket: RequestSocket | undefined;
  #underWay = 0;
  /** Requests waiting for a slot. */
  readonly #turns = new Set<() => void>();
  /**
   * The sockets of dumps in progress; weak references, for dumps that are started and abandoned.
   */
  readonly #lists = new Set<WeakRef<RequestSocket>>();
  #closed = false;

  /**
   * @param protocol NETLINK_XFRM, NETLINK_ROUTE … Sockets are opened on demand.
   * @param where the network namespace
   * @param switchedOn socket options to enable, in addition to extAck and capAck
   * @throws TypeError or RangeError for an invalid option, which it names
   * @throws SystemError for a namespace that is missing, invalid, or may not be entered
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
   * @param decode decodes each message before the acknowledgement
   */
  async request<Reply = never>(
    request: Request,
    decode?: DecodeMessage<Reply>,
    options: RequestOptions = {},
  ): Promise<KernelReply<Reply>> {
    const { signal, timeout, keys } = checkedRequestOptions(options);
    signal?.throwIfAborted();
    // Not `using`: what TypeScript makes of it took a twentieth of a request.
    const patience = new Patience(request, signal, timeout);
    try {
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
    } finally {
      patience[Symbol.dispose]();
    }
  }

  /**
   * A dump. It uses its own socket, because a socket can have only one dump in progress.
   *
   * @param decode decodes each message; undefined skips it
   */
  dump<Reply>(
    request: Request,
    decode: DecodeMessage<Reply | undefined>,
    options?: RequestOptions,
  ): Dump<Reply> {
    return new Dump(() => this.dumpBatches(request, decode, options));
  }

  /**
   * Starts a dump. Unless `reading` says otherwise, each piece is read once the previous one has been
   * consumed.
   */
  async *dumpBatches<Reply>(
    request: Request,
    decode: DecodeMessage<Reply | undefined>,
    options: RequestOptions = {},
    reading: DumpReading = BY_PIECES,
  ): AsyncGenerator<Reply[], DumpEnd, undefined> {
    const { signal, timeout, keys } = checkedRequestOptions(options);
    signal?.throwIfAborted();
    const socket = this.#open(reading);
    for (const list of this.#lists) if (list.deref() === undefined) this.#lists.delete(list);
    const reference = new WeakRef(socket);
    this.#lists.add(reference);
    let piece: Reply[] = [];
    let end: DumpEnd | undefined;
    let failure: { error: unknown } | undefined;
    let wake = nothing;
    let waiting: Patience | undefined;
    try {
      socket.send(
        { ...request, flags: (request.flags ?? 0) | NLM_F_DUMP },
        {
          keys,
          onMessage: (input, at, length) => {
            const reply = decode(input, at, length);
            if (reply === undefined) {
              waiting?.heard();
              return;
            }
            if (piece.push(reply) > 1) return;
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
          // Only while waiting, so that a long-lived signal does not keep an abandoned dump alive.
          using patience = new Patience(request, signal, timeout);
          waiting = patience;
          await patience.wait<void>((resolve) => {
            wake = resolve;
            return nothing;
          });
          waiting = undefined;
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

  /**
   * Closes the connection; pending and later requests and dumps are rejected. May be called more
   * than once.
   */
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

  #open(reading?: DumpReading): RequestSocket {
    if (this.#closed) throw closed();
    const { netns } = this.#namespace;
    const where = { netns, switchedOn: this.#switchedOn };
    try {
      return new RequestSocket(this.#protocol, { ...where, ...reading });
    } catch (error) {
      // A container may have no room for another thread, or for what that needs.
      if (!reading?.readAhead || !(error instanceof SystemError)) throw error;
      return new RequestSocket(this.#protocol, { ...where, ...reading, readAhead: 0 });
    }
  }
}

/** The options with their defaults. @throws TypeError or RangeError for an invalid one */
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

/** Limits how long a request waits: until its timeout, or until its signal is aborted. */
class Patience implements Disposable {
  #over: { readonly error: unknown } | undefined;
  #giveUp: ((error: unknown) => void) | undefined;
  /** Whether it waits for an answer of the kernel, not for a slot. */
  #asked = false;
  #heard = 0;
  readonly #timer: NodeJS.Timeout;
  readonly #aborted: Disposable | undefined;

  constructor(request: Request, signal: AbortSignal | undefined, timeout: number) {
    this.#timer = setTimeout(() => this.#expire(request), timeout);
    this.#aborted = signal && onAbort(signal, (reason) => this.#end(reason));
  }

  /**
   * A promise settled by `begin`, unless the time limit or the signal ends it first.
   *
   * @param begin returns a function that cleans up if waiting is abandoned
   * @param asked whether it waits for an answer of the kernel
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

  /** A part of the answer came: the time begins anew. */
  heard(): void {
    this.#heard++;
    this.#timer.refresh();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#aborted?.[Symbol.dispose]();
  }

  #expire(request: Request): void {
    const before = this.#heard;
    const end = () => {
      if (this.#heard === before) this.#end(timedOut(request));
    };
    // Node runs timers before it reads sockets: in a busy process, the answer may be ready but
    // unread. Two turns later, the socket has been read.
    if (this.#asked) setImmediate(() => setImmediate(end));
    else end();
  }

  #end(error: unknown): void {
    this.#over ??= { error };
    this.#giveUp?.(error);
  }
}

const timedOut = (request: Request) => refusal({ request, places: [] }, TIMED_OUT);

const closed = () => new StateError('ERR_SOCKET_CLOSED', 'the connection is closed');

/**
 * Adds the caller's stack to errors created at the socket, including KernelErrors; a signal's
 * reason has its own stack.
 */
const ofCaller = (error: unknown): unknown =>
  error instanceof SystemError || error instanceof DecodeError ? fromCaller(error) : error;

/** The error if an object was requested but only the acknowledgement was received. */
export const withoutAnswer = (message: string): DecodeError =>
  new DecodeError('the kernel acknowledged the request without a reply', {
    path: [message],
    offset: 0,
  });
