/**
 * Events printed as they come, until a signal or as many as were asked for; then what they
 * amounted to.
 * @module
 */

import type { GroupName } from '../monitor/groups.ts';
import { type Subscription, type SubscriptionEvent, subscribe } from '../monitor/subscribe.ts';
import { formatJson } from './json.ts';
import type { FollowOptions, Format } from './options.ts';
import { endWhenUnread, LineOutput } from './output.ts';
import { Summary } from './summary.ts';
import { formatEvent } from './text.ts';

/** What to follow. */
export interface Follow extends FollowOptions {
  readonly groups: readonly GroupName[];
  readonly format: Format;
  /** Which events to print. Others are not counted. */
  wanted(event: SubscriptionEvent): boolean;
  /** Is done after the groups were joined, and before any event is read. */
  first?(out: LineOutput, signal: AbortSignal): Promise<void>;
  /** Is done when all events that came during `first` have been printed. */
  caughtUp?(out: LineOutput): void;
}

/** Joins groups and prints what comes. */
export async function follow(what: Follow): Promise<void> {
  const { groups, format, buffer } = what;
  const subscription = subscribe({
    groups,
    keys: format.showKeys,
    receiveBufferSize: buffer * 2 ** 20,
  });
  const ended = new AbortController();
  const summary = new Summary();
  const out = new LineOutput({
    full: () => subscription.pause(),
    drained: () => subscription.resume(),
  });
  endWhenUnread();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => ended.abort());
  }
  process.stderr.write(`${listening(subscription, groups, buffer)}\n`);
  let read = 0;
  let left = what.count ?? Number.POSITIVE_INFINITY;
  try {
    await what.first?.(out, ended.signal);
    subscription.on('error', (error) => ended.abort(error));
    subscription.on('event', (event) => {
      read++;
      if (left === 0 || !what.wanted(event)) return;
      summary.add(event);
      out.line(
        format.json ? formatJson(event, format.showKeys) : formatEvent(event, format.colors),
      );
      if (event.kind !== 'overrun' && --left === 0) ended.abort();
    });
    if (what.caughtUp) {
      await allRead(() => read, out, ended.signal);
      if (!ended.signal.aborted) what.caughtUp(out);
    }
    await aborted(ended.signal);
  } catch (error) {
    ended.abort(error);
  }
  const { sockets } = subscription;
  await subscription.close();
  out.flush();
  if (format.json) {
    const time = { wall: Date.now(), monotonic: performance.now() };
    out.line(formatJson({ kind: 'summary', time, ...summary.totals(sockets) }, false));
    out.flush();
  } else {
    process.stderr.write(`${summary.format(sockets)}\n`);
  }
  const { reason } = ended.signal;
  if (reason instanceof Error && reason.name !== 'AbortError') throw reason;
}

/** What was joined, and the receive buffer that was got. */
function listening(subscription: Subscription, groups: readonly string[], asked: number): string {
  const [{ receiveBufferSize } = { receiveBufferSize: 0 }] = subscription.sockets;
  // The kernel shows twice what it granted (net/core/sock.c).
  const granted = Math.floor(receiveBufferSize / 2 / 1024);
  const short = granted < asked * 1024 ? `; ${asked * 1024} KiB were asked for` : '';
  return `listening to ${groups.join(' ')} (receive buffer ${granted} KiB${short})`;
}

const aborted = (signal: AbortSignal) =>
  new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });

const turn = () => new Promise((resolve) => setImmediate(resolve));

/**
 * Until everything that waits in the socket has been read: a whole turn of the event loop, in which
 * reading was not held up, brought nothing.
 */
async function allRead(read: () => number, out: LineOutput, signal: AbortSignal): Promise<void> {
  for (let before = -1; before !== read() && !signal.aborted; ) {
    before = read();
    await out.ready(signal);
    // The first ends the turn that is under way, so that sockets are polled between the two.
    await turn();
    await turn();
    if (process.stdout.writableNeedDrain) before = -1;
  }
}
