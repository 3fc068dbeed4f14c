/** What a monitor of tunnels can be told. @module */
import { XfrmMonitor } from '../monitor/xfrm-monitor.ts';
import {
  MONITOR_OPTIONS,
  refreshInterval,
  type XfrmMonitorOptions,
} from '../monitor/xfrm-monitor-options.ts';
import { optionalBoolean, wrongType } from '../socket/argument.ts';
import { checkedExpected, type ExpectedTunnel } from './expected.ts';
import { checkedThresholds, type TunnelThresholds } from './thresholds.ts';

/** Those of XfrmMonitor, and more. */
export interface TunnelMonitorOptions
  extends Omit<XfrmMonitorOptions, 'highWaterMark' | 'refreshInterval' | 'acquires'> {
  /**
   * A monitor to stand on, which stays the caller's: it is not closed with this one. Then `netns`,
   * `receiveBufferSize`, `acquires` and `refreshInterval` are its own, and `netns` must be given here as
   * it was there. Default: one is opened.
   */
  readonly monitor?: XfrmMonitor | undefined;
  /**
   * Milliseconds between two readings of all counters, default 10,000; 0: only where the tables are
   * resynced, or {@link TunnelMonitor.refresh} is called. What counters tell (idle, one-way traffic,
   * refused packets, sequence numbers) is known no sooner, larval SAs likewise.
   */
  refreshInterval?: number | undefined;
  /**
   * Whether to listen to ACQUIRE and MAPPING, default false. Without, a tunnel that is being set up
   * shows only when the counters are read, and storms of ACQUIREs and moves of the peer not at all.
   * With it and without another key manager, the kernel does more: see {@link XfrmMonitorOptions.acquires}.
   */
  acquires?: boolean | undefined;
  /**
   * Changes that may wait for a slow loop, default 4096; those of one turn of the event loop always
   * may. What comes while there are more is dropped for this loop: it is told with an `overrun` with
   * `slowConsumer`, then begins again with `synced`.
   */
  highWaterMark?: number | undefined;
  /**
   * Whether tunnels of several reqids also show what each has ({@link Tunnel.parts}), default false. They are judged together
   * all the same: only together they carry packets both ways.
   */
  apart?: boolean | undefined;
  /** Tunnels that ought to be there: they stay in all lists, down, also if they were never seen. */
  expected?: readonly ExpectedTunnel[] | undefined;
  /** From when on something counts; those not given have their defaults (docs/tunnels.md). */
  thresholds?: Partial<TunnelThresholds> | undefined;
}

/** All, each with what checks it and has its default. */
export const TUNNEL_MONITOR_OPTIONS = {
  monitor(name: string, value: unknown): XfrmMonitor | undefined {
    if (value === undefined || value instanceof XfrmMonitor) return value;
    throw wrongType(name, 'an XfrmMonitor', value);
  },
  ...MONITOR_OPTIONS,
  refreshInterval: (name: string, value: unknown) => refreshInterval(name, value, 10_000),
  apart: (name: string, value: unknown) => optionalBoolean(name, value, false),
  expected: (_: string, value: unknown) => checkedExpected(value),
  thresholds: (_: string, value: unknown) => checkedThresholds(value),
} satisfies Record<keyof TunnelMonitorOptions, unknown>;
