/** Live tables of several network namespaces, as one stream. @module */
import { checkedOptions } from '../socket/argument.ts';
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

/** What holds for each monitor is as in {@link XfrmMonitorOptions}. */
export interface MultiNamespaceXfrmMonitorOptions
  extends MultiNamespaceOptions,
    Omit<XfrmMonitorOptions, 'netns' | 'label' | 'signal'> {}

/** What happened in the namespace of that label. Of `synced`, the tables of that namespace alone. */
export type XfrmNamespaceChange = InNamespace<XfrmChange | XfrmSynced>;

/** What {@link MultiNamespaceXfrmMonitor} emits, and with which arguments. */
export type MultiNamespaceXfrmMonitorListeners = MultiNamespaceListeners<XfrmChange | XfrmSynced>;

const { netns: _, label: __, ...EACH } = MONITOR_OPTIONS;
const OPTIONS = { ...EACH, ...MULTI_NAMESPACE_OPTIONS };

/**
 * An {@link XfrmMonitor} for each of several namespaces. Losses, resyncs and slow loops of one do not
 * touch the others. A namespace lives as long as it is watched, also when its name is gone; with
 * `named`, those whose name goes are let go.
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
   * @returns a promise that is fulfilled when all tables are complete. Of a namespace with a name that
   *   goes meanwhile, or may not be entered, `closed` is told.
   * @throws as {@link XfrmMonitor.open}, for the first of `namespaces` that can't be watched
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
