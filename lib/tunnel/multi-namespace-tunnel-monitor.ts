/** The tunnels of several network namespaces, as one stream. @module */

import { checkedOptions, wrongType } from '../base/argument.ts';
import {
  MULTI_NAMESPACE_OPTIONS,
  type MultiNamespaceListeners,
  MultiNamespaceMonitor,
  type MultiNamespaceOptions,
} from '../monitor/multi-namespace-monitor.ts';
import type { InNamespace } from '../monitor/namespace-loop.ts';
import type { ExpectedTunnel } from './expected.ts';
import type { TunnelChange, TunnelSnapshot, TunnelsSynced } from './tunnel-changes.ts';
import { TunnelMonitor } from './tunnel-monitor.ts';
import { TUNNEL_MONITOR_OPTIONS, type TunnelMonitorOptions } from './tunnel-monitor-options.ts';

/** Per-monitor options are those of {@link TunnelMonitorOptions}. */
export interface MultiNamespaceTunnelMonitorOptions
  extends MultiNamespaceOptions,
    Omit<TunnelMonitorOptions, 'netns' | 'label' | 'signal' | 'monitor' | 'expected'> {
  /**
   * Returns the expected tunnels of the namespace with a label; called when it is opened. Change
   * them later with `get(label).setExpected()`.
   */
  readonly expected?: ((label: string) => readonly ExpectedTunnel[] | undefined) | undefined;
}

/** A change in the namespace with that label. `synced` holds the tunnels of that namespace only. */
export type TunnelNamespaceChange = InNamespace<TunnelChange | TunnelsSynced>;

/** The events of {@link MultiNamespaceTunnelMonitor} and their arguments. */
export type MultiNamespaceTunnelMonitorListeners = MultiNamespaceListeners<
  TunnelChange | TunnelsSynced
>;

const { netns: _, label: __, monitor: ___, ...EACH } = TUNNEL_MONITOR_OPTIONS;
const OPTIONS = {
  ...EACH,
  ...MULTI_NAMESPACE_OPTIONS,
  expected(name: string, value: unknown): MultiNamespaceTunnelMonitorOptions['expected'] {
    if (value === undefined || typeof value === 'function') {
      return value as MultiNamespaceTunnelMonitorOptions['expected'];
    }
    throw wrongType(name, 'a function that returns the tunnels of a label', value);
  },
};

/**
 * One {@link TunnelMonitor} per namespace, as MultiNamespaceXfrmMonitor has XfrmMonitors. A slow
 * loop misses changes of busy namespaces, gets an `overrun`, and restarts with their tunnels
 * (`synced`).
 *
 * @example
 * await using monitors = await MultiNamespaceTunnelMonitor.open({ named: true });
 * monitors.on('down', ({ label, tunnel, reason }) => console.log(label, tunnel.id, 'is down:', reason));
 */
export class MultiNamespaceTunnelMonitor extends MultiNamespaceMonitor<
  MultiNamespaceTunnelMonitorListeners,
  TunnelMonitor,
  TunnelChange | TunnelsSynced,
  TunnelSnapshot
> {
  /**
   * Opens a monitor for each namespace.
   *
   * @returns a promise that is fulfilled when all tunnels are known. A named namespace that is
   *   removed meanwhile, or cannot be entered, is reported as `closed`.
   * @throws as {@link TunnelMonitor.open}, for the first of `namespaces` that cannot be watched
   */
  static async open(
    options: MultiNamespaceTunnelMonitorOptions = {},
  ): Promise<MultiNamespaceTunnelMonitor> {
    const checked = checkedOptions('options', options, OPTIONS);
    return new MultiNamespaceTunnelMonitor(checked).openAll(checked);
  }

  private constructor(options: MultiNamespaceTunnelMonitorOptions) {
    const { namespaces: _, named: __, expected, ...each } = options;
    super(options, async (where) =>
      TunnelMonitor.open({ ...each, ...where, expected: expected?.(where.label) }),
    );
  }
}
