/** The last events, numbered, for streams that begin or resume. @module */

import { formatLine, type JsonRecord } from '../json/line.ts';
import { changeJson } from '../json/tunnel.ts';
import type { WatchState } from '../metrics/source.ts';
import type { TunnelChange } from '../tunnel/tunnel-changes.ts';
import type { TunnelFilter } from '../tunnel/tunnel-filter.ts';
import type { XfrmEvent } from '../xfrm/events.ts';

export const EVENT_KINDS = ['tunnel', 'sa', 'policy', 'state'] as const;
export type EventKind = (typeof EVENT_KINDS)[number];

/** A namespace became synced, repairing or blind. */
export interface WatchChange {
  readonly netns: string | null;
  readonly state: WatchState;
  readonly reason: string | undefined;
  readonly at: number;
}

type Content =
  | { readonly kind: 'tunnel'; readonly change: TunnelChange }
  | { readonly kind: 'sa' | 'policy'; readonly event: XfrmEvent }
  | { readonly kind: 'state'; readonly watch: WatchChange };

/** An event. Its text is made when it is first sent. */
export interface LoggedEvent {
  readonly id: number;
  readonly netns: string | null;
  readonly content: Content;
  text?: string;
}

/** Which events a stream wants. */
export interface Wanted {
  readonly kinds: ReadonlySet<EventKind>;
  readonly netns: string | null | undefined;
  readonly tunnels: TunnelFilter;
}

export function isWanted({ netns, content }: LoggedEvent, wanted: Wanted): boolean {
  if (!wanted.kinds.has(content.kind)) return false;
  if (wanted.netns !== undefined && wanted.netns !== netns) return false;
  if (content.kind === 'state') return true;
  if (content.kind === 'tunnel') return wanted.tunnels.matchesChange(content.change);
  return wanted.tunnels.matchesEvent(content.event);
}

/** An event as a stream sends it (https://html.spec.whatwg.org/multipage/server-sent-events.html). */
export function eventText(event: LoggedEvent): string {
  event.text ??= `id: ${event.id}\nevent: ${event.content.kind}\ndata: ${dataOf(event)}\n\n`;
  return event.text;
}

function dataOf({ content, netns }: LoggedEvent): string {
  switch (content.kind) {
    case 'state':
      return JSON.stringify(content.watch);
    case 'tunnel':
      return formatLine(changeJson(content.change), false, { netns });
    default:
      return formatLine(content.event as JsonRecord, false, { netns });
  }
}

/** Numbered from a start that grows with time, so that those of an earlier process are lower. */
class Ring {
  readonly #events: (LoggedEvent | undefined)[];
  #next = 0;
  /** The highest number that was dropped. */
  dropped = 0;

  constructor(capacity: number) {
    this.#events = new Array(capacity);
  }

  push(event: LoggedEvent): void {
    const slot = this.#next % this.#events.length;
    this.dropped = this.#events[slot]?.id ?? this.dropped;
    this.#events[slot] = event;
    this.#next++;
  }

  /** The first of the last events. */
  last(count: number): LoggedEvent | undefined {
    const { length } = this.#events;
    const first = Math.max(0, this.#next - Math.min(count, length));
    return first < this.#next ? this.#events[first % length] : undefined;
  }

  /** The first event after a number. */
  after(id: number): LoggedEvent | undefined {
    // Ordered by number: a binary search.
    const { length } = this.#events;
    let low = Math.max(0, this.#next - length);
    let high = this.#next;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if ((this.#events[middle % length]?.id ?? 0) <= id) low = middle + 1;
      else high = middle;
    }
    return low < this.#next ? this.#events[low % length] : undefined;
  }
}

/** Changes of tunnels and of what is watched. */
const TUNNEL_EVENTS = 4096;
/** Events of the kernel, of which there may be a hundred thousand a second. */
const KERNEL_EVENTS = 4096;

export class EventLog {
  readonly #tunnels = new Ring(TUNNEL_EVENTS);
  readonly #kernel = new Ring(KERNEL_EVENTS);
  #last: number;
  #lastOfTunnels = 0;
  /** The number before the first. */
  readonly #start: number;
  /** Called after events were added. */
  added: () => void = () => {};

  constructor(now: number) {
    // Microseconds: no process makes more events than that for long, so numbers of the next are higher.
    this.#start = Math.floor(now) * 1000;
    this.#last = this.#start;
  }

  /** The number of the newest event. */
  get last(): number {
    return this.#last;
  }

  /** The number of the newest event of tunnels, and of what is watched. */
  get lastOfTunnels(): number {
    return this.#lastOfTunnels;
  }

  add(netns: string | null, content: Content): void {
    const event = { id: ++this.#last, netns, content };
    const isOfKernel = content.kind === 'sa' || content.kind === 'policy';
    (isOfKernel ? this.#kernel : this.#tunnels).push(event);
    if (!isOfKernel) this.#lastOfTunnels = event.id;
    this.added();
  }

  /** The number before the last so many events of tunnels and of what is watched. */
  beforeLast(count: number): number {
    const first = this.#tunnels.last(count);
    return first === undefined ? this.#last : first.id - 1;
  }

  /** Whether events of these kinds after a number are gone. */
  isGone(id: number, kinds: ReadonlySet<EventKind>): boolean {
    if (id < this.#start || id > this.#last) return true;
    if ((kinds.has('tunnel') || kinds.has('state')) && id < this.#tunnels.dropped) return true;
    return (kinds.has('sa') || kinds.has('policy')) && id < this.#kernel.dropped;
  }

  /** The first event of these kinds' rings after a number. */
  after(id: number, kinds: ReadonlySet<EventKind>): LoggedEvent | undefined {
    const ofTunnels =
      kinds.has('tunnel') || kinds.has('state') ? this.#tunnels.after(id) : undefined;
    const ofKernel = kinds.has('sa') || kinds.has('policy') ? this.#kernel.after(id) : undefined;
    if (ofTunnels === undefined || ofKernel === undefined) return ofTunnels ?? ofKernel;
    return ofTunnels.id < ofKernel.id ? ofTunnels : ofKernel;
  }
}
