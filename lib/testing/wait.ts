/** Waiting for kernel events and for tunnels. A wait that times out shows what happened instead. @module */

import { wrongType } from '../base/argument.ts';
import { EVENT_KINDS } from '../monitor/filter-input.ts';
import { type Subscription, type SubscriptionEvent, subscribe } from '../monitor/subscribe.ts';
import { isUpState, TUNNEL_STATES, type Tunnel, type TunnelState } from '../tunnel/tunnel.ts';
import { TunnelMonitor } from '../tunnel/tunnel-monitor.ts';
import { addressFamily, canonicalAddress } from '../wire/address.ts';
import { describePolicy, describeState } from '../xfrm/text.ts';
import { callable, names, namespaces, oneOf, patience } from './argument.ts';
import { TestingError } from './error.ts';
import type { NetworkNamespace } from './network-namespace.ts';

/** How long to wait. */
export interface WaitTimeOptions {
  /** Milliseconds; default 4000, or the value of NETLINK_XFRM_TIMEOUT in the environment. */
  readonly timeout?: number | undefined;
}

/** How many of the last lines of a timeline are shown. */
const SHOWN = 50;

/** Events with their times. */
class Timeline {
  readonly #start = performance.now();
  readonly #lines: string[] = [];

  add(text: string): void {
    const seconds = ((performance.now() - this.#start) / 1000).toFixed(3);
    this.#lines.push(`  +${seconds}s ${text}`);
  }

  toString(): string {
    const left = this.#lines.length - SHOWN;
    const shown = this.#lines.slice(-SHOWN).join('\n');
    return left > 0 ? `  (${left} before)\n${shown}` : shown || '  (nothing)';
  }
}

/** Describes an event in one line, without keys. */
export function describeEvent(event: SubscriptionEvent): string {
  const { kind } = event;
  if ('state' in event) {
    const hard = 'hard' in event ? (event.hard ? ' hard' : ' soft') : '';
    return `${kind}${hard} ${describeState(event.state)}`;
  }
  if ('policy' in event) return `${kind} ${describePolicy(event.policy)}`;
  if ('link' in event) return `${kind} ${event.link.name} ${event.link.operState ?? ''}`.trimEnd();
  if ('address' in event) return `${kind} ${event.address.local ?? event.address.address}`;
  if (kind === 'overrun') return `${kind}: events were lost`;
  return kind;
}

/** Multicast groups of links, addresses and XFRM, except ACQUIRE: joining that one changes what the kernel does. */
const GROUPS = [
  'sa',
  'policy',
  'expire',
  'migrate',
  'mapping',
  'link',
  'ipv4-ifaddr',
  'ipv6-ifaddr',
] as const;

/** The kinds of event in other groups (acquire, report, aevents). */
const NOT_JOINED = ['ACQUIRE', 'REPORT', 'NEWAE'];
/** The kinds of event in those groups. */
const KINDS = [
  ...Object.keys(EVENT_KINDS).filter((kind) => !NOT_JOINED.includes(kind)),
  ...['NEWLINK', 'DELLINK', 'NEWADDR', 'DELADDR', 'overrun', 'malformed'],
];

/** The kernel events of a namespace, from {@link listen} on. */
export class RecordedEvents implements AsyncDisposable {
  /** All events received. */
  readonly all: SubscriptionEvent[] = [];
  readonly #subscription: Subscription;
  readonly #timeline = new Timeline();
  /** Events already returned by a wait. */
  readonly #given = new Set<SubscriptionEvent>();
  readonly #waiting = new Set<() => void>();
  readonly #forget: () => void;
  #closed = false;

  constructor(host: NetworkNamespace) {
    this.#subscription = subscribe({ netns: host.netns, groups: GROUPS });
    this.#forget = host.own(() => this[Symbol.asyncDispose]());
    this.#subscription.on('event', (event) => {
      this.all.push(event);
      this.#timeline.add(describeEvent(event));
      for (const look of this.#waiting) look();
    });
  }

  /** The first matching event that no wait has returned before. It may have been received already. */
  wait<Event extends SubscriptionEvent>(
    fits: (event: SubscriptionEvent) => event is Event,
    what: string,
    timeout: number,
  ): Promise<Event> {
    return new Promise((resolve, reject) => {
      const over = () => {
        clearTimeout(timer);
        this.#waiting.delete(look);
      };
      const look = () => {
        try {
          const event = this.all.find((one) => !this.#given.has(one) && fits(one));
          if (event === undefined) return;
          this.#given.add(event);
          resolve(event as Event);
        } catch (error) {
          reject(error); // what `fits` throws is for who waits
        }
        over();
      };
      const timer = setTimeout(() => {
        over();
        const message = `no ${what} within ${timeout} ms; events received:\n${this.#timeline}`;
        reject(new TestingError('ERR_WAIT_TIMEOUT', message));
      }, timeout);
      this.#waiting.add(look);
      look();
    });
  }

  /** Stops listening, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#forget();
    if (!this.#closed) this.#timeline.add('closed: no event is recorded from here on');
    this.#closed = true;
    await this.#subscription.close();
  }
}

/** Records the kernel events of a namespace from now on: SAs, policies, expires, migrations, links, addresses. */
export function listen(host: NetworkNamespace): RecordedEvents {
  namespaces({ host });
  return new RecordedEvents(host);
}

type Kind = SubscriptionEvent['kind'];

/**
 * Waits for the first matching event that no wait has returned before; it may have been received already.
 *
 *     const events = listen(left);
 *     const { state } = await waitForEvent(events, 'EXPIRE', { where: ({ hard }) => hard });
 *
 * @throws TestingError `ERR_WAIT_TIMEOUT` with all events received; what `where` throws
 */
export function waitForEvent<K extends Kind>(
  events: RecordedEvents,
  kind: K,
  options: WaitTimeOptions & {
    readonly where?: (event: Extract<SubscriptionEvent, { kind: K }>) => unknown;
  } = {},
): Promise<Extract<SubscriptionEvent, { kind: K }>> {
  type Event = Extract<SubscriptionEvent, { kind: K }>;
  if (!(events instanceof RecordedEvents)) throw wrongType('events', 'what listen() gives', events);
  oneOf('kind', kind, KINDS);
  names('options', options, ['where', 'timeout']);
  const { where = () => true } = options;
  callable('options.where', where);
  const timeout = patience(options.timeout);
  const fits = (event: SubscriptionEvent): event is Event =>
    event.kind === kind && Boolean(where(event as Event));
  return events.wait(fits, kind, timeout);
}

/** Which tunnel to wait for, and what must be true of it. */
export interface WaitForTunnelOptions extends WaitTimeOptions {
  /** Its other end, in any spelling. Default: any tunnel. */
  readonly peer?: string | undefined;
}

const describeTunnel = ({ id, state, reason }: Tunnel) => `${id} ${state}: ${reason}`;

/**
 * Waits until a tunnel is in a state, or matches. `up` is any state in which packets pass in both directions.
 *
 * @param from a host, or an open monitor of one
 * @throws TestingError `ERR_WAIT_TIMEOUT` with the states it went through, and why
 */
export async function waitForTunnel(
  from: NetworkNamespace | TunnelMonitor,
  wanted: TunnelState | ((tunnel: Tunnel) => unknown),
  options: WaitForTunnelOptions = {},
): Promise<Tunnel> {
  if (!(from instanceof TunnelMonitor)) namespaces({ from });
  if (typeof wanted !== 'function') oneOf('wanted', wanted, TUNNEL_STATES);
  names('options', options, ['peer', 'timeout']);
  if (options.peer !== undefined && addressFamily(options.peer) === undefined) {
    throw wrongType('options.peer', 'an IP address', options.peer);
  }
  const peer = options.peer && canonicalAddress(options.peer);
  const timeout = patience(options.timeout);
  const given = from instanceof TunnelMonitor;
  const monitor = given ? from : await TunnelMonitor.open({ netns: from.netns });
  const timeline = new Timeline();
  const told = (change: { readonly kind: string; readonly tunnel?: Tunnel | undefined }) => {
    timeline.add(`${change.kind} ${change.tunnel ? describeTunnel(change.tunnel) : ''}`.trimEnd());
  };
  const fits = (tunnel: Tunnel) => {
    if (typeof wanted === 'function') return wanted(tunnel);
    return wanted === 'up' ? isUpState(tunnel.state) : tunnel.state === wanted;
  };
  const own = () =>
    [...monitor.tunnels].filter(({ remote }) => peer === undefined || remote === peer);
  for (const tunnel of own()) timeline.add(`initially ${describeTunnel(tunnel)}`);
  monitor.on('change', told);
  try {
    return await monitor.waitFor(() => own().find(fits), { timeout });
  } catch (error) {
    if ((error as { code?: string }).code !== 'ERR_WAIT_TIMEOUT') throw error;
    const what = typeof wanted === 'function' ? 'that matches' : wanted;
    const which = `tunnel${peer === undefined ? '' : ` to ${peer}`} ${what}`;
    throw new TestingError(
      'ERR_WAIT_TIMEOUT',
      `no ${which} within ${timeout} ms; states seen:\n${timeline}`,
    );
  } finally {
    monitor.off('change', told);
    if (!given) await monitor.close();
  }
}
