/** Subscriptions to the kernel's events, as it announces them. @module */
import type { EventEmitter } from 'node:events';
import { checkedOptions } from '../base/argument.ts';
import {
  type DecodeInput,
  type DecodeMessage,
  decodeDatagram,
  type Malformed,
  type TakeMessage,
} from '../netlink/event.ts';
import type { RouteEvent } from '../route/events.ts';
import { rtnetlink } from '../route/load.ts';
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

/** A datagram, or part of one, that could not be decoded into an event. */
export interface MalformedEvent extends Malformed {
  readonly protocol: EventProtocol;
}

/** The events of a subscription: switch over `kind`. */
export type SubscriptionEvent = XfrmEvent | RouteEvent | OverrunEvent | MalformedEvent;

/** The state of one of a subscription's sockets. */
export interface SocketStatus {
  readonly protocol: EventProtocol;
  /** Its port ID, called Pid in /proc/net/netlink. */
  readonly portId: number;
  /** The receive buffer as the kernel counts it: twice what it granted. */
  readonly receiveBufferSize: number;
  /** Overruns reported so far. */
  readonly overruns: number;
  /** Datagrams rejected so far because they were not from the kernel. */
  readonly rejected: number;
}

/** Listeners by event name: `event` for all events, or a kind. */
export type SubscriptionListeners = ListenersByKind<SubscriptionEvent> & {
  event: [event: SubscriptionEvent];
  error: [error: Error];
  close: [];
};

type Decode = DecodeMessage<XfrmEvent | RouteEvent>;

/** Listening for these does not start reading. */
const NOT_EVENTS = new Set<string | symbol>(['error', 'close', 'newListener', 'removeListener']);

/**
 * Subscribes to the kernel's multicast groups.
 *
 * The groups are joined when this returns, so no later event is missed. Reading begins with the
 * first loop or listener; until then the kernel queues events.
 *
 * @example
 * for await (const event of subscribe({ groups: ['sa', 'link'] })) {
 *   if (event.kind === 'NEWSA') console.log(event.state.spi);
 * }
 *
 * @throws TypeError or RangeError that names an invalid option
 * @throws SystemError `EPERM` without CAP_NET_ADMIN (XFRM groups), `EPROTONOSUPPORT` if the kernel
 *   has no XFRM; its `hint` says what to do
 */
export function subscribe(options: SubscribeOptions): Subscription {
  return new Subscription(options);
}

/**
 * An open subscription: an async iterable and an EventEmitter. It is read, and keeps the process
 * alive, while it has a loop or a listener. Leaving a loop does not close it: events that were read
 * and reached nobody are for the next loop or listener, and later ones stay in the kernel's buffer
 * until then. A subscription no longer referenced is closed when it is garbage-collected.
 */
export class Subscription
  extends LiveEmitter<SubscriptionListeners, SubscriptionEvent>
  implements AsyncIterable<SubscriptionEvent>
{
  readonly #sockets: (EventSocket & { readonly throttle: ReadThrottle })[] = [];
  readonly #keys: boolean;
  readonly #highWaterMark: number;
  readonly #take: TakeMessage | undefined;
  /** Read, and for nobody: what was left of a batch, or of a loop, when the last consumer left. */
  #unheard: SubscriptionEvent[] = [];
  #hasConsumers = false;
  #started = false;
  #paused = false;
  /** Whether reading has paused for a slow loop since the last overrun. */
  #slow = false;

  /** @param take gets each XFRM message before it is decoded, while it is read */
  constructor(options: SubscribeOptions, take?: TakeMessage) {
    super(() => Promise.all(this.#sockets.map(({ throttle }) => throttle.close())));
    this.#take = take;
    const of = checkedOptions('options', options, SUBSCRIBE_OPTIONS);
    const { groups, keys, signal, highWaterMark, coalesce, netns } = of;
    this.#keys = keys;
    this.#highWaterMark = highWaterMark;
    signal?.throwIfAborted();
    const held = new HeldNamespace(netns);
    try {
      for (const [protocol, numbers] of groups) {
        const opened = openEventSocket(protocol, numbers, of, held.netns);
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

  /** Its sockets, one per protocol. Empty once closed. */
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

  /** @internal Whether anything waits in its sockets, or was read ahead. */
  get waiting(): boolean {
    return !this.closed && this.#sockets.some(({ socket }) => socket.queue.bytes > 0);
  }

  /** All events from now on, and those queued so far. Each loop gets all. See {@link iterator}. */
  [Symbol.asyncIterator](): AsyncIterableIterator<SubscriptionEvent, undefined> {
    const queue: EventQueue<SubscriptionEvent> = new EventQueue(this.#highWaterMark, {
      changed: () => this.#flow(),
      left: (unread) => {
        this.hub.leave(queue);
        this.#flow();
        // Others got them, too.
        if (!this.#hasConsumers) this.#unheard = this.#unheard.concat(unread);
      },
    });
    this.hub.join(queue);
    this.#flow();
    return queue;
  }

  /** Pauses reading; the kernel queues events while its buffer has room, then drops them. */
  pause(): this {
    this.#paused = true;
    this.#flow();
    return this;
  }

  /** Resumes reading, immediately, without the pause that `coalesce` sets. */
  resume(): this {
    this.#paused = false;
    this.#flow();
    for (const { throttle } of this.#sockets) throttle.now();
    return this;
  }

  /** Keeps the process alive while the subscription is read, as by default. */
  ref(): this {
    for (const { throttle } of this.#sockets) throttle.alive = true;
    return this;
  }

  /** Lets the process end while the subscription is read. */
  unref(): this {
    for (const { throttle } of this.#sockets) throttle.alive = false;
    return this;
  }

  /** Removes the user's listeners; listeners added later still start reading. */
  override removeAllListeners(
    ...names: Parameters<EventEmitter<SubscriptionListeners>['removeAllListeners']>
  ): this {
    super.removeAllListeners(...names);
    this.#watchListeners();
    return this;
  }

  #findConsumers(): boolean {
    return (
      this.hub.loops.size > 0 ||
      this.eventNames().some((name) => !NOT_EVENTS.has(name) && this.listenerCount(name) > 0)
    );
  }

  /** Reads while there is a consumer and no loop is full. */
  #flow(consumed = this.#findConsumers()): void {
    this.#hasConsumers = consumed;
    if (this.closed) return;
    // Once a listener has been added, and before more is read.
    if (consumed && !this.#paused && this.#unheard.length > 0) {
      process.nextTick(() => this.#hear());
    }
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

  /** Starts reading, once the rtnetlink decoder is loaded if needed; the kernel queues events. */
  #start(): void {
    if (this.#sockets.every(({ protocol }) => protocol === 'xfrm')) {
      this.#receive(decodeXfrm);
    } else {
      rtnetlink()
        .then(({ decodeRoute }) => {
          this.#receive(decodeXfrm, decodeRoute);
          // It may have been paused in the meantime.
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
    // A listener may have closed it; the rest of the batch is then discarded.
    if (this.closed) return;
    if (!this.#hasConsumers) {
      this.#unheard.push(event);
      return;
    }
    this.hub.deliver(event);
    // Checking for listeners is cheaper than emitting to none.
    for (const name of [event.kind, 'event'] as const) {
      if (untyped(this).listenerCount(name) > 0) this.hub.emit(name, event);
    }
  }

  /** Delivers what nobody has heard, as long as someone listens and it is not paused. */
  #hear(): void {
    const events = this.#unheard;
    this.#unheard = [];
    let heard = 0;
    while (heard < events.length && !this.#paused)
      this.#deliver(events[heard++] as SubscriptionEvent);
    if (heard < events.length) this.#unheard = this.#unheard.concat(events.slice(heard));
  }

  /** Internal listeners that notice when others are added and removed. */
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

/** The emitter without the types that tie each event name to its value. */
const untyped = (subscription: Subscription) => subscription as unknown as EventEmitter;
