/** The options of XfrmMonitor. @module */
import {
  checkedOptions,
  optionalBoolean,
  optionalInteger,
  optionalSignal,
  wrongType,
} from '../base/argument.ts';
import type { NetnsReference } from '../socket/index.ts';
import { READING_OPTIONS } from './subscribe-options.ts';

/** What to watch, and how. */
export interface XfrmMonitorOptions {
  /**
   * The network namespace to watch: a path such as `/run/netns/NAME`, or a descriptor. Default: the
   * process's. The kernel keeps it while the monitor is open. When a path no longer leads to it,
   * the monitor reports `namespace-gone`; with a descriptor there is no such report.
   */
  netns?: NetnsReference | undefined;
  /** Cancels opening; once open, closes the monitor, and loops throw the signal's reason. */
  signal?: AbortSignal | undefined;
  /** Your name for this monitor, to distinguish several: it is part of every snapshot. */
  label?: string | undefined;
  /** The receive buffer to request, in bytes, as for `subscribe()`; default 64 MiB. */
  receiveBufferSize?: number | undefined;
  /**
   * Bytes of memory into which a thread reads events while the event loop is busy or a loop is
   * slow, as for `subscribe()`; default 0: no thread.
   */
  readAhead?: number | undefined;
  /**
   * Changes that may be queued for a slow loop, default 4096. At that number reading stops; if the
   * kernel then drops events, the tables are resynced, and an `overrun` with `slowConsumer` says
   * so.
   */
  highWaterMark?: number | undefined;
  /**
   * Milliseconds between two comparisons with fresh dumps, which also refresh counters and find
   * changes that no event announces. Default 600,000; 0: only when needed, or when
   * {@link XfrmMonitor.refresh} is called.
   */
  refreshInterval?: number | undefined;
  /**
   * Whether to report the kernel's requests to key managers too, as {@link KeyManagerRequest}, in
   * order with the changes. Default false, because a listener for ACQUIRE changes what the kernel
   * does, in all namespaces: for a packet that needs a missing SA it then creates a larval one,
   * which stays until it is resolved or times out (net/xfrm/xfrm_state.c, xfrm_state_find and
   * km_query).
   */
  acquires?: boolean | undefined;
}

/** Options of {@link XfrmMonitor.refresh}. */
export interface RefreshOptions {
  /** Cancels waiting. */
  signal?: AbortSignal | undefined;
}

/** The signal of options. @throws TypeError that names an invalid option */
export const refreshSignal = (options: RefreshOptions): AbortSignal | undefined =>
  checkedOptions('options', options, { signal: optionalSignal }).signal;

/** All options, each with its check and default. */
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
