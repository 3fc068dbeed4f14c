/**
 * Prints events as they arrive, until a signal or the requested count; then a summary.
 * @module
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { aborted } from 'node:util';
import { changeJson } from '../json/tunnel.ts';
import { findGroup, type MulticastGroupName } from '../monitor/multicast-groups.ts';
import type { SubscriptionEvent } from '../monitor/subscribe.ts';
import type { SocketOwner } from '../socket/index.ts';
import type { Tunnel } from '../tunnel/tunnel.ts';
import type { TunnelChange } from '../tunnel/tunnel-changes.ts';
import { isTunnelEvent } from '../tunnel/tunnel-filter.ts';
import type { TunnelMonitorOptions } from '../tunnel/tunnel-monitor.ts';
import { ClaimedProcesses, formatOwner } from './events/claimed-processes.ts';
import { endedBySignal } from './events/ended.ts';
import { EventStreams, type Origin } from './events/event-streams.ts';
import { InOrder } from './events/in-order.ts';
import { Summary } from './events/summary.ts';
import { formatJson } from './json.ts';
import { formatNamespaceChange } from './namespaces.ts';
import type { FollowOptions, Format, OriginOptions } from './options.ts';
import { textPrinter } from './printer/event-printer.ts';
import { type Backpressure, endWhenUnread, LineOutput } from './terminal/output.ts';
import { formatEvent, formatNamespace } from './text/event.ts';
import { formatTunnelChange } from './tunnels/change-text.ts';
import { printSynced } from './tunnels/print-tunnels.ts';
import { TunnelStreams } from './tunnels/tunnel-streams.ts';

/** What to follow. */
export interface Follow extends FollowOptions, Partial<OriginOptions> {
  readonly groups: readonly MulticastGroupName[];
  readonly format: Format;
  /** Which events to print; others are not counted. Default all. */
  wanted?(event: SubscriptionEvent): boolean;
  /** Set to print changes of tunnels, too. */
  readonly tunnels?: {
    readonly options: TunnelMonitorOptions;
    wanted(change: TunnelChange): boolean;
    /** Which tunnels to list when changes were missed. */
    listed(tunnel: Tunnel): boolean;
  };
  /** Runs after the groups are joined and before any event is read. */
  first?(out: LineOutput, signal: AbortSignal, origins: readonly Origin[]): Promise<void>;
  /** Called when all events that arrived during `first` have been printed. */
  caughtUp?(out: LineOutput): void;
}

/** Milliseconds for which the kernel's events are coalesced. */
const COALESCE = 1;
/**
 * Turns of the event loop, of 64 events each, in which pending events are still read after a signal. There may be an
 * endless supply; and a timeout could expire before anything is read.
 */
const LAST_TURNS = 1000;
/** Milliseconds that the reader of the output then has. */
const LAST_WRITE = 1000;

/** Joins groups and prints events. */
export async function follow(what: Follow): Promise<void> {
  const { groups, format, buffer, netns = [], allNetns, tunnels } = what;
  const here = netns.length === 0 && !allNetns;
  // Coalesce only if a single socket is read and nothing else has to be looked up at the time of an
  // event. With several sockets, events of one could overtake those of another.
  const alone =
    here &&
    !tunnels &&
    !what.who &&
    !what.first &&
    new Set(groups.map((group) => findGroup(group)?.protocol)).size === 1;
  // Events are neither filtered nor annotated: lines are made from their bytes.
  const direct =
    here &&
    !(format.json ? format.showKeys : format.colors.isColorSupported) &&
    what.wanted === undefined &&
    !what.who;
  const json = direct && format.json ? await import('./printer/json-printer.ts') : undefined;
  const printer = json?.jsonPrinter ?? (direct ? textPrinter : undefined);
  const beside = tunnels && new TunnelStreams(tunnels.options);
  let streams: EventStreams;
  try {
    streams = new EventStreams(
      {
        groups,
        keys: format.showKeys,
        receiveBufferSize: buffer * 2 ** 20,
        coalesce: alone ? COALESCE : 0,
        // A thread takes events out of the socket while lines are written (docs/performance.md).
        readAhead: alone ? buffer * 2 ** 20 : 0,
      },
      allNetns ? { netns, allNetns } : { netns },
      beside,
    );
  } catch (error) {
    await beside?.close();
    throw error;
  }
  const claims = what.who ? new ClaimedProcesses() : undefined;
  const ended = endedBySignal(what.until);
  const summary = new Summary();
  const both = [streams, ...(beside ? [beside] : [])];
  /** Reading is paused while this is not empty. */
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
  const out = new LineOutput(holdUp(), json?.JsonWriter);
  const lines = new InOrder((line) => out.line(line), holdUp());
  endWhenUnread();
  let read = 0;
  let left = what.count ?? Number.POSITIVE_INFINITY;
  try {
    await beside?.ready(ended.signal);
    const all = tunnels ? [...groups, 'tunnels'] : groups;
    process.stderr.write(`${listening(streams, all, buffer)}\n`);
    await what.first?.(out, ended.signal, streams.origins);
    const count = () => {
      if (--left === 0) ended.abort();
    };
    streams.start({
      error: (error) => ended.abort(error),
      ended: () => ended.abort(),
      take:
        printer &&
        ((input, at, length) => {
          const kind = printer.kindOf(input.view, at);
          if (kind === undefined) return false;
          if (left > 0) {
            if (!printer.print(input, at, length, out.room(printer.room))) return false;
            summary.count(kind);
            count();
          }
          read++;
          return true;
        }),
      event: (event, origin) => {
        read++;
        if (left === 0 || what.wanted?.(event) === false) return;
        summary.add(event);
        lines.add(formatOne(event, origin, format, claims));
        if (event.kind !== 'overrun') count();
      },
      namespace: (origin, state, error) =>
        lines.add(formatNamespaceChange(origin.label ?? null, state, error, format)),
    });
    beside?.start({
      error: (error) => ended.abort(error),
      change: (change, { label }) => {
        // Counters were read, and everything was consistent.
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
        () => streams.waiting,
        out,
        ended.signal,
        () => ended.signal.aborted,
      );
      if (!ended.signal.aborted) what.caughtUp(out);
    }
    await aborted(ended.signal, ended);
    if (alone && left > 0) {
      // Coalesced events up to now.
      const waiting = () => {
        streams.resume();
        return streams.waiting;
      };
      const signal = AbortSignal.timeout(LAST_WRITE);
      await allRead(
        () => read,
        waiting,
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

/** Formats an event; a promise if the process that caused it has to be looked up. */
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

/** Which groups were joined where, and the receive buffer granted. */
function listening(streams: EventStreams, groups: readonly string[], asked: number): string {
  const [{ receiveBufferSize } = { receiveBufferSize: 0 }] = streams.sockets;
  // The kernel reports twice the size it granted (net/core/sock.c).
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
 * Resolves when everything pending in the socket has been read: a whole turn of the event loop, without
 * pause, brought nothing.
 *
 * @param signal gives up waiting for the reader of the output
 * @param enough gives up after so many turns
 */
async function allRead(
  read: () => number,
  waiting: () => boolean,
  out: LineOutput,
  signal: AbortSignal,
  enough: (turns: number) => boolean,
): Promise<void> {
  let turns = 0;
  for (let before = -1; (before !== read() || waiting()) && !enough(turns); turns += 2) {
    before = read();
    await out.ready(signal);
    // The first ends the current turn, so that sockets are polled between the two.
    await turn();
    await turn();
    if (process.stdout.writableNeedDrain) before = -1;
    // A thread that is to read what waits may not have got a processor.
    if (before === read() && waiting()) await sleep(1);
  }
}
