/** The options of TunnelMonitor. @module */

import { optionalBoolean, wrongType } from '../base/argument.ts';
import { XfrmMonitor } from '../monitor/xfrm-monitor.ts';
import {
  MONITOR_OPTIONS,
  refreshInterval,
  type XfrmMonitorOptions,
} from '../monitor/xfrm-monitor-options.ts';
import { checkedExpected, type ExpectedTunnel } from './expected.ts';
import { checkedThresholds, type TunnelThresholds } from './thresholds.ts';

/** The options of XfrmMonitor, and more. */
export interface TunnelMonitorOptions
  extends Omit<XfrmMonitorOptions, 'highWaterMark' | 'refreshInterval' | 'acquires'> {
  /**
   * A monitor to build on, which remains the caller's and is not closed with this one. Then
   * `netns`, `receiveBufferSize`, `readAhead`, `acquires` and `refreshInterval` are its own, and the same
   * `netns` must be given here. Default: opens one.
   */
  readonly monitor?: XfrmMonitor | undefined;
  /**
   * Milliseconds between two readings of all counters, default 10,000; 0: only when the tables are
   * resynced, or {@link TunnelMonitor.refresh} is called. What only counters show (idle, one-way
   * traffic, rejected packets, sequence numbers) is detected no sooner, nor are larval SAs.
   */
  refreshInterval?: number | undefined;
  /**
   * Whether to listen for ACQUIRE and MAPPING, default false. Without it, a tunnel being set up
   * appears only when counters are read, and ACQUIRE storms and moving peers not at all. With it,
   * and no other key manager, the kernel does more: see {@link XfrmMonitorOptions.acquires}.
   */
  acquires?: boolean | undefined;
  /**
   * Changes that may be queued for a slow loop, default 4096; those of one turn of the event loop
   * always may. Beyond that, changes are dropped for this loop: it gets an `overrun` with
   * `slowConsumer`, then restarts with `synced`.
   */
  highWaterMark?: number | undefined;
  /**
   * Whether tunnels with several reqids also show the parts ({@link Tunnel.parts}), default false.
   * Their state is still evaluated as a whole: only together do they carry packets both ways.
   */
  apart?: boolean | undefined;
  /** Expected tunnels: they stay listed, down, even if they were never seen. */
  expected?: readonly ExpectedTunnel[] | undefined;
  /** Thresholds for states and warnings; the rest have their defaults (docs/tunnels.md). */
  thresholds?: Partial<TunnelThresholds> | undefined;
}

/** All options, each with its check and default. */
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
