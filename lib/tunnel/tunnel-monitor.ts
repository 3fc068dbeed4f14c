/**
 * A live picture of the tunnels of a host.
 * @module
 */
import { EventEmitter } from 'node:events';
import type { EventTime } from '../netlink/event.ts';
import type { TunnelChange, TunnelSnapshot, TunnelsSynced } from './changes.ts';
import type { Tunnel } from './tunnel.ts';
import type { TunnelMonitorOptions } from './tunnel-monitor-options.ts';

export type { TunnelMonitorOptions };

export type TunnelMonitorListeners = {
  [Kind in TunnelChange['kind']]: [change: Extract<TunnelChange, { kind: Kind }>];
} & { change: [change: TunnelChange]; error: [error: Error]; close: [] };

/** The tunnels of a monitor: live, read-only. Tunnels are replaced, never changed. */
export interface TunnelsView extends Iterable<Tunnel> {
  readonly size: number;
  /** By its id, or the name that `expected` gave it. */
  get(id: string): Tunnel | undefined;
  /** Those with this address at the other end. */
  byRemote(address: string): Tunnel[];
  byReqid(reqid: number): Tunnel[];
}

/**
 * All tunnels, live: SAs and policies joined between two ends, each with a state, and why.
 *
 * It stands on an XfrmMonitor, and has its manners: losses of events are repaired and told; leaving a
 * loop does not close it; it keeps the process alive until it is closed, unless `unref()`.
 * docs/tunnels.md says what a tunnel is, and what the states and warnings mean.
 *
 * @example
 * await using monitor = await TunnelMonitor.open();
 * for (const { id, state, reason } of monitor.tunnels) console.log(id, state, reason);
 * monitor.on('down', ({ tunnel, cause }) => console.log(tunnel.id, 'is down:', cause));
 */
export abstract class TunnelMonitor
  extends EventEmitter<TunnelMonitorListeners>
  implements AsyncIterable<TunnelChange | TunnelsSynced>, AsyncDisposable
{
  /**
   * Opens a monitor.
   *
   * @returns a promise that is fulfilled when all tunnels are known
   * @throws TypeError or RangeError for a wrong option; SystemError as XfrmMonitor.open
   */
  static async open(_options: TunnelMonitorOptions = {}): Promise<TunnelMonitor> {
    throw new Error('under construction');
  }

  /** The tunnels, at every moment, the worst not sorted first: {@link snapshot} sorts. */
  abstract readonly tunnels: TunnelsView;
  abstract get closed(): boolean;
  /** Whether the tables below are right, as far as the kernel tells; else a repair is under way. */
  abstract get synced(): boolean;
  /** When all counters were last read. */
  abstract get counted(): EventTime;
  /** All tunnels now, the worst first. Changes that come after this call start from it. */
  abstract snapshot(): TunnelSnapshot;
  /** Reads all counters now, and compares the tables with fresh lists. */
  abstract refresh(): Promise<void>;
  /** Takes a tunnel that is down off the lists now; false if there is none, or it is not down, or expected. */
  abstract forget(id: string): boolean;
  /** `synced` with all tunnels, then all changes. Several loops each get all. */
  abstract [Symbol.asyncIterator](): AsyncIterableIterator<TunnelChange | TunnelsSynced, undefined>;
  abstract ref(): this;
  abstract unref(): this;
  /** Closes it, and the XfrmMonitor that it opened; loops get what they have waiting, then end. */
  abstract close(): Promise<void>;
  abstract [Symbol.asyncDispose](): Promise<void>;
}
