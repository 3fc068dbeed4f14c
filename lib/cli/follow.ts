/**
 * Events printed as they come, until a signal or as many as were asked for; then what they
 * amounted to.
 * @module
 */

import { aborted } from 'node:util';
import { changeJson } from '../json/tunnel.ts';
import { findGroup, type MulticastGroupName } from '../monitor/multicast-groups.ts';
import type { SubscriptionEvent } from '../monitor/subscribe.ts';
import type { NetnsReference, SocketOwner } from '../socket/index.ts';
import type { Tunnel } from '../tunnel/tunnel.ts';
import type { TunnelChange } from '../tunnel/tunnel-changes.ts';
import type { TunnelMonitorOptions } from '../tunnel/tunnel-monitor.ts';
import { printable } from '../wire/text.ts';
import { ClaimedProcesses, formatOwner } from './events/claimed-processes.ts';
import { endedBySignal } from './events/ended.ts';
import { EventStreams, type Origin } from './events/event-streams.ts';
import { InOrder } from './events/in-order.ts';
import { Summary } from './events/summary.ts';
import { formatJson } from './json.ts';
import type { FollowOptions, Format, OriginOptions } from './options.ts';
import { LINE_ROOM, printEvent, printedKind } from './printer/event-printer.ts';
import { type Backpressure, endWhenUnread, LineOutput } from './terminal/output.ts';
import { formatEvent, formatNamespace, formatTime } from './text/event.ts';
import { formatTunnelChange } from './tunnels/change-text.ts';
import { printSynced } from './tunnels/print-tunnels.ts';
import { isTunnelEvent } from './tunnels/tunnel-filter.ts';
import { TunnelStreams } from './tunnels/tunnel-streams.ts';

/** What to follow. */
export interface Follow extends FollowOptions, Partial<OriginOptions> {
  readonly groups: readonly MulticastGroupName[];
  readonly format: Format;
  /** Which events to print, others are not counted; all if left out. */
  wanted?(event: SubscriptionEvent): boolean;
  /** If changes of tunnels are to be printed too. */
  readonly tunnels?: {
    readonly options: TunnelMonitorOptions;
    wanted(change: TunnelChange): boolean;
    /** Which to list where changes were missed. */
    listed(tunnel: Tunnel): boolean;
  };
  /** Is done after the groups were joined, and before any event is read. */
  first?(out: LineOutput, signal: AbortSignal, where: NetnsReference | undefined): Promise<void>;
  /** Is done when all events that came during `first` have been printed. */
  caughtUp?(out: LineOutput): void;
}

/** Milliseconds in which the kernel gathers events. */
const COALESCE = 1;
/**
 * Turns of the event loop in which what waits is still read when a signal ended it, 64 events each. More may come all the
 * time; and a time-out could be over before anything is read.
 */
const LAST_TURNS = 1000;
/** Milliseconds that the reader of the output then has. */
const LAST_WRITE = 1000;

/** Joins groups and prints what comes. */
export async function follow(what: Follow): Promise<void> {
  const { groups, format, buffer, netns = [], allNetns, tunnels } = what;
  const here = netns.length === 0 && !allNetns;
  // One socket is all that is read, and nothing is asked of what else happens at that time. Of
  // several, the events of one could overtake those of another.
  const alone =
    here &&
    !tunnels &&
    !what.who &&
    !what.first &&
    new Set(groups.map((group) => findGroup(group)?.protocol)).size === 1;
  const beside = tunnels && new TunnelStreams(tunnels.options);
  let streams: EventStreams;
  try {
    streams = new EventStreams(
      {
        groups,
        keys: format.showKeys,
        receiveBufferSize: buffer * 2 ** 20,
        coalesce: alone ? COALESCE : 0,
      },
      allNetns ? { netns, allNetns } : { netns },
      beside,
    );
  } catch (error) {
    await beside?.close();
    throw error;
  }
  const claims = what.who ? new ClaimedProcesses() : undefined;
  const ended = endedBySignal();
  const summary = new Summary();
  const both = [streams, ...(beside ? [beside] : [])];
  /** Nothing is read while one of these holds it up. */
  const holding = new Set<object>();
  const holdUp = (): Backpressure => {
    const by = {};
    return {
      full: () => {
        holding.add(by);
        for (const one of both) one.pause();
      },
      drained: () => {
        holding.delete(by);
        if (holding.size === 0) for (const one of both) one.resume();
      },
    };
  };
  const out = new LineOutput(holdUp());
  const lines = new InOrder((line) => out.line(line), holdUp());
  endWhenUnread();
  // Nothing is chosen from the events, nor added to their lines.
  const plain =
    here &&
    !format.json &&
    !format.colors.isColorSupported &&
    what.wanted === undefined &&
    claims === undefined;
  let read = 0;
  let left = what.count ?? Number.POSITIVE_INFINITY;
  try {
    await beside?.ready(ended.signal);
    const all = tunnels ? [...groups, 'tunnels'] : groups;
    process.stderr.write(`${listening(streams, all, buffer)}\n`);
    await what.first?.(out, ended.signal, streams.origins[0]?.netns);
    const count = () => {
      if (--left === 0) ended.abort();
    };
    streams.start({
      error: (error) => ended.abort(error),
      ended: () => ended.abort(),
      take: plain
        ? (input, at, length) => {
            const kind = printedKind(input.view, at);
            if (kind === undefined) return false;
            if (left > 0) {
              if (!printEvent(input, at, length, out.room(LINE_ROOM))) return false;
              summary.count(kind);
              count();
            }
            read++;
            return true;
          }
        : undefined,
      event: (event, origin) => {
        read++;
        if (left === 0 || what.wanted?.(event) === false) return;
        summary.add(event);
        lines.add(formatOne(event, origin, format, claims));
        if (event.kind !== 'overrun') count();
      },
      namespace: (origin, state, error) => lines.add(formatChange(origin, state, error, format)),
    });
    beside?.start({
      error: (error) => ended.abort(error),
      change: (change, { label }) => {
        // Counters were read, and all was right.
        if (left === 0 || change.kind === 'refreshed' || !tunnels?.wanted(change)) return;
        summary.addChange(change);
        const netns = label === undefined ? {} : { netns: label };
        lines.add(
          format.json
            ? formatJson(changeJson(change), false, netns)
            : formatTunnelChange(change, format.colors, label),
        );
        if (isTunnelEvent(change) && --left === 0) ended.abort();
      },
      again: (snapshot, { label }) => {
        if (left === 0 || !tunnels) return;
        printSynced(snapshot, tunnels.listed, format, { line: (text) => lines.add(text) }, label);
      },
    });
    if (what.caughtUp) {
      await allRead(
        () => read,
        out,
        ended.signal,
        () => ended.signal.aborted,
      );
      if (!ended.signal.aborted) what.caughtUp(out);
    }
    await aborted(ended.signal, ended);
    if (alone && left > 0) {
      // What was gathered until then.
      streams.resume();
      const signal = AbortSignal.timeout(LAST_WRITE);
      await allRead(
        () => read,
        out,
        signal,
        (turns) => turns >= LAST_TURNS,
      );
    }
  } catch (error) {
    ended.abort(error);
  }
  const { sockets } = streams;
  await Promise.all(both.map((one) => one.close()));
  await lines.settled();
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

/** A line; a promise of it where it has to be looked for who did it. */
function formatOne(
  event: SubscriptionEvent,
  origin: Origin,
  format: Format,
  claims: ClaimedProcesses | undefined,
): string | Promise<string> {
  const { label } = origin;
  const claimed = claims?.of(event, origin);
  return claimed === undefined
    ? formatBy(event, label, format, undefined)
    : claimed.then((owner) => formatBy(event, label, format, owner));
}

function formatBy(
  event: SubscriptionEvent,
  label: Origin['label'],
  { json, showKeys, colors }: Format,
  claimed: SocketOwner | null | undefined,
): string {
  if (!json) {
    const claimedBy = claimed === undefined ? undefined : formatOwner(claimed);
    return formatEvent(event, colors, { label, claimedBy });
  }
  return formatJson(event, showKeys, {
    ...(label === undefined ? {} : { netns: label }),
    ...(claimed === undefined
      ? {}
      : { claimedBy: claimed && { pid: claimed.pid, name: claimed.name } }),
  });
}

/** A namespace came or went. It is no event, and not counted. */
function formatChange(
  { label = null }: Origin,
  state: 'added' | 'removed',
  error: Error | undefined,
  { json, colors }: Format,
): string {
  const time = { wall: Date.now(), monotonic: performance.now() };
  if (json) {
    const why = error ? { error: error.message } : {};
    return formatJson({ kind: 'namespace', time, netns: label, state, ...why }, false);
  }
  const why = error ? `, cannot listen: ${printable(error.message)}` : '';
  return `${colors.dim(formatTime(time.wall))} ${colors.magenta(formatNamespace(label))} namespace ${state}${why}`;
}

/** What was joined where, and the receive buffer that was got. */
function listening(streams: EventStreams, groups: readonly string[], asked: number): string {
  const [{ receiveBufferSize } = { receiveBufferSize: 0 }] = streams.sockets;
  // The kernel shows twice what it granted (net/core/sock.c).
  const granted = Math.floor(receiveBufferSize / 2 / 1024);
  const short = granted < asked * 1024 ? `; ${asked * 1024} KiB requested` : '';
  const labels = streams.labels.flatMap((label) =>
    label === undefined ? [] : formatNamespace(label),
  );
  const where = labels.length === 0 ? '' : ` in ${labels.join(' ')}`;
  return `listening to ${groups.join(' ')}${where} (receive buffer ${granted} KiB${short})`;
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

/**
 * Until everything that waits in the socket has been read: a whole turn of the event loop, in which
 * reading was not held up, brought nothing.
 *
 * @param signal gives up waiting for the reader of the output
 * @param enough whether to leave it at that after so many turns
 */
async function allRead(
  read: () => number,
  out: LineOutput,
  signal: AbortSignal,
  enough: (turns: number) => boolean,
): Promise<void> {
  let turns = 0;
  for (let before = -1; before !== read() && !enough(turns); turns += 2) {
    before = read();
    await out.ready(signal);
    // The first ends the turn that is under way, so that sockets are polled between the two.
    await turn();
    await turn();
    if (process.stdout.writableNeedDrain) before = -1;
  }
}
