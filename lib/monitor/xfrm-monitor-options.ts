/** What a monitor of IPsec can be told. @module */
import {
  checkedOptions,
  optionalBoolean,
  optionalInteger,
  optionalSignal,
  wrongType,
} from '../socket/argument.ts';
import type { NetnsReference } from '../socket/index.ts';
import { READING_OPTIONS } from './subscribe-options.ts';

/** What to watch, and how. */
export interface XfrmMonitorOptions {
  /**
   * The network namespace to watch: a path such as `/run/netns/NAME`, or a descriptor. Default: that
   * of the process. The kernel keeps it while the monitor is open. When a path no longer leads to it, the
   * monitor tells `namespace-gone`; of a descriptor there is nothing to tell.
   */
  netns?: NetnsReference | undefined;
  /** Gives up opening; once open, closes the monitor, and loops throw the signal's reason. */
  signal?: AbortSignal | undefined;
  /** A name of your own, for telling several monitors apart: it stands in every snapshot. */
  label?: string | undefined;
  /** As for `subscribe()`: bytes of receive buffer to ask for, default 64 MiB. */
  receiveBufferSize?: number | undefined;
  /**
   * Changes that may wait for a slow loop, default 4096. When as many wait, reading stops; what the
   * kernel then has to drop is resynced, and an `overrun` with `slowConsumer` says so.
   */
  highWaterMark?: number | undefined;
  /**
   * Milliseconds between two comparisons with fresh lists, which also refresh the counters and show
   * what no event announces. Default 600,000; 0: only when needed, or when {@link XfrmMonitor.refresh}
   * is called.
   */
  refreshInterval?: number | undefined;
  /**
   * Whether what the kernel asks of key managers is told too, as {@link KeyManagerRequest}, in order with the
   * changes. Default false, because a listener to ACQUIRE changes what the kernel does, in all
   * namespaces: when a packet needs an SA that is not there, it then makes a larval one, which stays
   * until it is answered or times out (net/xfrm/xfrm_state.c, xfrm_state_find and km_query).
   */
  acquires?: boolean | undefined;
}

/** What {@link XfrmMonitor.refresh} can be told. */
export interface RefreshOptions {
  /** Gives up waiting. */
  signal?: AbortSignal | undefined;
}

/** The signal of options. @throws TypeError that names a wrong one */
export const refreshSignal = (options: RefreshOptions): AbortSignal | undefined =>
  checkedOptions('options', options, { signal: optionalSignal }).signal;

/** All, each with what checks it and has its default. */
export const MONITOR_OPTIONS = {
  ...READING_OPTIONS,
  label: optionalLabel,
  refreshInterval: (name: string, value: unknown) => refreshInterval(name, value, 600_000),
  acquires: (name: string, value: unknown) => optionalBoolean(name, value, false),
} satisfies Record<keyof XfrmMonitorOptions, unknown>;

export const refreshInterval = (name: string, value: unknown, otherwise: number): number =>
  optionalInteger(name, value, otherwise, 0, 0x7fff_ffff);

function optionalLabel(name: string, value: unknown): string | undefined {
  if (value === undefined || typeof value === 'string') return value;
  throw wrongType(name, 'a string', value);
}
