/** The kernel's events, as it announces them: the library's first useful call. @module */
import type { EventEmitter } from 'node:events';
import {
  type DecodeInput,
  type DecodeMessage,
  decodeDatagram,
  type Malformed,
  type TakeMessage,
} from '../netlink/event.ts';
import type { RouteEvent } from '../route/events.ts';
import { rtnetlink } from '../route/load.ts';
import { checkedOptions } from '../socket/argument.ts';
import type { DatagramBatch } from '../socket/index.ts';
import { HeldNamespace } from '../socket/namespace.ts';
import { decodeXfrm } from '../xfrm/decode.ts';
import type { XfrmEvent } from '../xfrm/events.ts';
import { type ListenersByKind, LiveEmitter } from './event-hub.ts';
import { EventQueue } from './event-queue.ts';
import { type EventSocket, openEventSocket, ReadThrottle } from './event-socket.ts';
import type { EventProtocol } from './multicast-groups.ts';
import type { OverrunEvent } from './overrun.ts';
import { SUBSCRIBE_OPTIONS, type SubscribeOptions } from './subscribe-options.ts';

/** A datagram, or a part of one, from which no event could be made. */
export interface MalformedEvent extends Malformed {
  readonly protocol: EventProtocol;
}

/** What a subscription delivers. A switch over `kind` tells them apart. */
export type SubscriptionEvent = XfrmEvent | RouteEvent | OverrunEvent | MalformedEvent;

/** The state of one of a subscription's sockets. */
export interface SocketStatus {
  readonly protocol: EventProtocol;
  /** Its port id, which /proc/net/netlink calls Pid. */
  readonly portId: number;
  /** The receive buffer as the kernel counts it: twice what it granted. */
  readonly receiveBufferSize: number;
  /** Overruns reported so far. */
  readonly overruns: number;
  /** Datagrams refused so far because they did not come from the kernel. */
  readonly rejected: number;
}

/** Listeners by event name: `event` for every one, or a kind. */
export type SubscriptionListeners = ListenersByKind<SubscriptionEvent> & {
  event: [event: SubscriptionEvent];
  error: [error: Error];
  close: [];
};

type Decode = DecodeMessage<XfrmEvent | RouteEvent>;

/** Listening to these does not start the reading. */
const NOT_EVENTS = new Set<string | symbol>(['error', 'close', 'newListener', 'removeListener']);

/**
 * Subscribes to multicast groups of the kernel.
 *
 * The groups are joined when this returns: what happens from then on is delivered. Reading begins
 * with the first loop or listener; until then the kernel keeps the events.
 *
 * @example
 * for await (const event of subscribe({ groups: ['sa', 'link'] })) {
 *   if (event.kind === 'NEWSA') console.log(event.state.spi);
 * }
 *
 * @throws TypeError or RangeError for a wrong option, which it names
 * @throws SystemError `EPERM` without CAP_NET_ADMIN (XFRM groups), `EPROTONOSUPPORT` where the
 *   kernel has no XFRM; its `hint` says what to do
 */
export function subscribe(options: SubscribeOptions): Subscription {
  return new Subscription(options);
}

/**
 * A running subscription: an async iterable and an EventEmitter. It is read while there is a loop or a listener, and
 * keeps the process alive while it is read. Leaving a loop does not close it: what comes afterwards waits in the kernel's
 * buffer for the next loop or listener, or until it is closed; one that nothing refers to any more is closed when it is
 * collected.
 */
export class Subscription
  extends LiveEmitter<SubscriptionListeners, SubscriptionEvent>
  implements AsyncIterable<SubscriptionEvent>
{
  readonly #sockets: (EventSocket & { readonly throttle: ReadThrottle })[] = [];
  readonly #keys: boolean;
  readonly #highWaterMark: number;
  readonly #take: TakeMessage | undefined;
  #started = false;
  #paused = false;
  /** Whether reading stopped for a slow loop since the last overrun. */
  #slow = false;

  /** @param take sees each message of XFRM first, before it is decoded; while it is read */
  constructor(options: SubscribeOptions, take?: TakeMessage) {
    super(() => Promise.all(this.#sockets.map(({ throttle }) => throttle.close())));
    this.#take = take;
    const of = checkedOptions('options', options, SUBSCRIBE_OPTIONS);
    const { groups, keys, signal, receiveBufferSize, highWaterMark, coalesce, netns } = of;
    this.#keys = keys;
    this.#highWaterMark = highWaterMark;
    signal?.throwIfAborted();
    const held = new HeldNamespace(netns);
    try {
      for (const [protocol, numbers] of groups) {
        const opened = openEventSocket(protocol, numbers, receiveBufferSize, held.netns);
        this.#sockets.push({ ...opened, throttle: new ReadThrottle(opened, coalesce) });
      }
    } catch (error) {
      this.close();
      throw error;
    } finally {
      held.close();
    }
    this.hub.endOn(signal);
    this.#watchListeners();
  }

  /** Its sockets, one a protocol. Empty once closed. */
  get sockets(): SocketStatus[] {
    if (this.closed) return [];
    return this.#sockets.map(({ protocol, socket }) => ({
      protocol,
      portId: socket.portId,
      receiveBufferSize: socket.receiveBufferSize,
      overruns: socket.overruns,
      rejected: socket.rejected,
    }));
  }

  /** All events from now on, and those that the kernel kept. Several loops each get all events. See {@link iterator}. */
  [Symbol.asyncIterator](): AsyncIterableIterator<SubscriptionEvent, undefined> {
    const queue: EventQueue<SubscriptionEvent> = new EventQueue(this.#highWaterMark, {
      changed: () => this.#flow(),
      left: () => {
        this.hub.leave(queue);
        this.#flow();
      },
    });
    this.hub.join(queue);
    this.#flow();
    return queue;
  }

  /** Stops reading; the kernel keeps events while its buffer has room, then drops them. */
  pause(): this {
    this.#paused = true;
    this.#flow();
    return this;
  }

  /** Reads again, and at once, without the rest that `coalesce` asks for. */
  resume(): this {
    this.#paused = false;
    this.#flow();
    for (const { throttle } of this.#sockets) throttle.now();
    return this;
  }

  /** Lets the subscription keep the process alive while it is read, as it does by default. */
  ref(): this {
    for (const { throttle } of this.#sockets) throttle.alive = true;
    return this;
  }

  /** Lets the process end although the subscription is read. */
  unref(): this {
    for (const { throttle } of this.#sockets) throttle.alive = false;
    return this;
  }

  /** Removes what others added; those that come later are heard of all the same. */
  override removeAllListeners(
    ...names: Parameters<EventEmitter<SubscriptionListeners>['removeAllListeners']>
  ): this {
    super.removeAllListeners(...names);
    this.#watchListeners();
    return this;
  }

  get #hasConsumers(): boolean {
    return (
      this.hub.loops.size > 0 ||
      this.eventNames().some((name) => !NOT_EVENTS.has(name) && this.listenerCount(name) > 0)
    );
  }

  /** Reads while there is somebody to read for, and no loop has too much waiting. */
  #flow(consumed = this.#hasConsumers): void {
    if (this.closed) return;
    const full = [...this.hub.loops].some((loop) => loop.full);
    if (full) this.#slow = true;
    const flowing = consumed && !this.#paused && !full;
    if (flowing && !this.#started) {
      this.#started = true;
      this.#start();
    } else if (this.#started) {
      for (const { throttle } of this.#sockets) throttle.flowing = flowing;
    }
  }

  /** Begins to read. What decodes rtnetlink is loaded first, if it is needed; the kernel keeps the events. */
  #start(): void {
    if (this.#sockets.every(({ protocol }) => protocol === 'xfrm')) {
      this.#receive(decodeXfrm);
    } else {
      rtnetlink()
        .then(({ decodeRoute }) => {
          this.#receive(decodeXfrm, decodeRoute);
          // It may have been paused meanwhile.
          this.#flow();
        })
        .catch((error) => this.hub.fail(error));
    }
  }

  #receive(xfrm: Decode, route: Decode = xfrm): void {
    if (this.closed) return;
    for (const { protocol, socket, throttle } of this.#sockets) {
      const decode = protocol === 'xfrm' ? xfrm : route;
      const onBatch = (batch: DatagramBatch) => {
        this.#onBatch(protocol, decode, batch, socket.overruns);
        throttle.batchRead(batch);
      };
      socket.receive(onBatch, (error) => this.hub.fail(error));
    }
  }

  #onBatch(protocol: EventProtocol, decode: Decode, batch: DatagramBatch, overruns: number): void {
    const time = { wall: batch.timestamp, monotonic: batch.monotonic };
    if (batch.lost !== undefined) {
      const slowConsumer = this.#slow;
      this.#slow = false;
      const overrun = { code: batch.lost, count: overruns, slowConsumer, time };
      this.#deliver({ kind: 'overrun', protocol, ...overrun });
    }
    const input: DecodeInput = { view: batch.view, bytes: batch.bytes, time, keys: this.#keys };
    const take = protocol === 'xfrm' ? this.#take : undefined;
    const emit = (event: XfrmEvent | RouteEvent | Malformed) =>
      this.#deliver(event.kind === 'malformed' ? { ...event, protocol } : event);
    for (let i = 0; i < batch.count; i++) {
      const offset = batch.offset(i);
      decodeDatagram(input, offset, batch.length(i), batch.truncated(i), decode, emit, take);
    }
  }

  #deliver(event: SubscriptionEvent): void {
    // A listener may have closed it; what is left of the batch is not for anybody then.
    if (this.closed) return;
    this.hub.deliver(event);
    // To emit what nobody listens to would cost more than to ask.
    for (const name of [event.kind, 'event'] as const) {
      if (untyped(this).listenerCount(name) > 0) this.hub.emit(name, event);
    }
  }

  /** The listeners by which it learns of others that come and go. */
  readonly #watchers = {
    newListener: (name: string | symbol) => {
      if (!NOT_EVENTS.has(name)) this.#flow(true);
    },
    removeListener: () => this.#flow(),
  };

  #watchListeners(): void {
    const emitter = untyped(this);
    for (const [name, listener] of Object.entries(this.#watchers)) {
      if (!emitter.listeners(name).includes(listener)) emitter.on(name, listener);
    }
  }
}

/** The emitter without the types that tie each event's name to its value. */
const untyped = (subscription: Subscription) => subscription as unknown as EventEmitter;
