/**
 * What a monitor of IPsec can be told.
 * @module
 */
import {
  optionalBoolean,
  optionalInteger,
  optionalSignal,
  options as optionsOf,
  wrongType,
} from '../socket/argument.ts';
import type { Namespace } from '../socket/index.ts';
import { checkedReading } from './subscribe-options.ts';

export interface XfrmMonitorOptions {
  /**
   * The network namespace to watch: a path such as `/run/netns/NAME`, or a descriptor. Default: that
   * of the process. The kernel keeps it while the monitor is open, and does not say when its name is
   * gone.
   */
  netns?: Namespace | undefined;
  /** Gives up opening; once open, closes the monitor, and loops throw the signal's reason. */
  signal?: AbortSignal | undefined;
  /** A name of your own, for telling several monitors apart: it stands in every snapshot. */
  label?: string | undefined;
  /** As for `subscribe()`: bytes of receive buffer to ask for, default 64 MiB. */
  receiveBufferSize?: number | undefined;
  /**
   * Changes that may wait for a slow loop, default 4096. When as many wait, reading stops; what the
   * kernel then has to drop is repaired, and an `overrun` with `slowConsumer` says so.
   */
  highWaterMark?: number | undefined;
  /**
   * Milliseconds between two comparisons with fresh lists, which also refresh the counters and show
   * what no event announces. Default 600,000; 0: only when needed, or when {@link XfrmMonitor.refresh}
   * is called.
   */
  refreshInterval?: number | undefined;
  /**
   * Whether what the kernel asks of key managers is told too, as {@link Asked}, in order with the
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

const REFRESH_OPTIONS: ReadonlySet<string> = new Set<keyof RefreshOptions>(['signal']);

/** The signal of options. @throws TypeError that names a wrong one */
export function refreshSignal(options: RefreshOptions): AbortSignal | undefined {
  optionsOf('options', options, REFRESH_OPTIONS);
  return optionalSignal('options.signal', options.signal);
}

/** The names of all options. */
export const OPTIONS: ReadonlySet<string> = new Set<keyof XfrmMonitorOptions>([
  'netns',
  'signal',
  'label',
  'receiveBufferSize',
  'highWaterMark',
  'refreshInterval',
  'acquires',
]);

/** The options with their defaults. @throws TypeError or RangeError that names a wrong one */
export function checked(options: XfrmMonitorOptions) {
  optionsOf('options', options, OPTIONS);
  const { label, refreshInterval } = options;
  if (label !== undefined && typeof label !== 'string') {
    throw wrongType('options.label', 'a string', label);
  }

  return {
    label,
    ...checkedReading(options),
    acquires: optionalBoolean('options.acquires', options.acquires, false),
    refreshInterval: optionalInteger(
      'options.refreshInterval',
      refreshInterval,
      600_000,
      0,
      0x7fff_ffff,
    ),
  };
}
