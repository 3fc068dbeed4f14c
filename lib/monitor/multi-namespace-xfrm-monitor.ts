/** Live tables of several network namespaces, as one stream. @module */
import { checkedOptions } from '../base/argument.ts';
import {
  MULTI_NAMESPACE_OPTIONS,
  type MultiNamespaceListeners,
  MultiNamespaceMonitor,
  type MultiNamespaceOptions,
} from './multi-namespace-monitor.ts';
import type { InNamespace } from './namespace-loop.ts';
import { type XfrmChange, XfrmMonitor, type XfrmSynced } from './xfrm-monitor.ts';
import { MONITOR_OPTIONS, type XfrmMonitorOptions } from './xfrm-monitor-options.ts';
import type { XfrmSnapshot } from './xfrm-views.ts';

/** Per-monitor options are those of {@link XfrmMonitorOptions}. */
export interface MultiNamespaceXfrmMonitorOptions
  extends MultiNamespaceOptions,
    Omit<XfrmMonitorOptions, 'netns' | 'label' | 'signal'> {}

/** A change in the namespace with that label. `synced` holds the tables of that namespace only. */
export type XfrmNamespaceChange = InNamespace<XfrmChange | XfrmSynced>;

/** The events of {@link MultiNamespaceXfrmMonitor} and their arguments. */
export type MultiNamespaceXfrmMonitorListeners = MultiNamespaceListeners<XfrmChange | XfrmSynced>;

const { netns: _, label: __, ...EACH } = MONITOR_OPTIONS;
const OPTIONS = { ...EACH, ...MULTI_NAMESPACE_OPTIONS };

/**
 * One {@link XfrmMonitor} per namespace. Losses, resyncs and slow loops in one namespace do not
 * affect the others. A watched namespace stays alive even after its name is removed; with `named`,
 * namespaces whose names are removed are released.
 *
 * @example
 * await using monitors = await MultiNamespaceXfrmMonitor.open({ named: true });
 * for await (const { label, kind } of monitors) console.log(label, kind);
 */
export class MultiNamespaceXfrmMonitor extends MultiNamespaceMonitor<
  MultiNamespaceXfrmMonitorListeners,
  XfrmMonitor,
  XfrmChange | XfrmSynced,
  XfrmSnapshot
> {
  /**
   * Opens a monitor for each namespace.
   *
   * @returns a promise that is fulfilled when all tables are complete. A named namespace that is
   *   removed meanwhile, or cannot be entered, is reported as `closed`.
   * @throws as {@link XfrmMonitor.open}, for the first of `namespaces` that cannot be watched
   */
  static async open(
    options: MultiNamespaceXfrmMonitorOptions = {},
  ): Promise<MultiNamespaceXfrmMonitor> {
    const checked = checkedOptions('options', options, OPTIONS);
    return new MultiNamespaceXfrmMonitor(checked).openAll(checked);
  }

  private constructor(options: MultiNamespaceXfrmMonitorOptions) {
    const { namespaces: _, named: __, ...each } = options;
    super(options, (where) => XfrmMonitor.open({ ...each, ...where }));
  }
}
