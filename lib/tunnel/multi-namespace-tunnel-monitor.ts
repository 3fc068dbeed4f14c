/** The tunnels of several network namespaces, as one stream. @module */
import {
  MULTI_NAMESPACE_OPTIONS,
  type MultiNamespaceListeners,
  MultiNamespaceMonitor,
  type MultiNamespaceOptions,
} from '../monitor/multi-namespace-monitor.ts';
import type { InNamespace } from '../monitor/namespace-loop.ts';
import { checkedOptions, wrongType } from '../socket/argument.ts';
import type { ExpectedTunnel } from './expected.ts';
import type { TunnelChange, TunnelSnapshot, TunnelsSynced } from './tunnel-changes.ts';
import { TunnelMonitor } from './tunnel-monitor.ts';
import { TUNNEL_MONITOR_OPTIONS, type TunnelMonitorOptions } from './tunnel-monitor-options.ts';

/** What holds for each monitor is as in {@link TunnelMonitorOptions}. */
export interface MultiNamespaceTunnelMonitorOptions
  extends MultiNamespaceOptions,
    Omit<TunnelMonitorOptions, 'netns' | 'label' | 'signal' | 'monitor' | 'expected'> {
  /**
   * The tunnels that ought to be in the namespace of a label, asked when it is opened. Later,
   * `get(label).setExpected()` changes them.
   */
  readonly expected?: ((label: string) => readonly ExpectedTunnel[] | undefined) | undefined;
}

/** What happened in the namespace of that label. Of `synced`, the tunnels of that namespace alone. */
export type TunnelNamespaceChange = InNamespace<TunnelChange | TunnelsSynced>;

/** What {@link MultiNamespaceTunnelMonitor} emits, and with which arguments. */
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
 * A {@link TunnelMonitor} for each of several namespaces, as MultiNamespaceXfrmMonitor has one of tables for each. A slow
 * loop misses changes of the namespaces that have many, is told so, and begins again with their tunnels (`synced`).
 *
 * @example
 * await using monitors = await MultiNamespaceTunnelMonitor.open({ named: true });
 * monitors.on('down', ({ label, tunnel, cause }) => console.log(label, tunnel.id, 'is down:', cause));
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
   * @returns a promise that is fulfilled when all tunnels are known. Of a namespace with a name that goes meanwhile, or
   *   may not be entered, `closed` is told.
   * @throws as {@link TunnelMonitor.open}, for the first of `namespaces` that can't be watched
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
