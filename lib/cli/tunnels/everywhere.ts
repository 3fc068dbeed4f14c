/** The tunnels of this network namespace and of all named ones. @module */
import { onAbort } from '../../socket/abort.ts';
import { MultiNamespaceTunnelMonitor } from '../../tunnel/multi-namespace-tunnel-monitor.ts';
import type { Tunnel } from '../../tunnel/tunnel.ts';
import { type TunnelMonitorOptions, worstTunnelFirst } from '../../tunnel/tunnel-monitor.ts';
import { namedNamespaces, ownNamespace } from '../namespaces.ts';
import type { TunnelList } from './print-tunnels.ts';

/** Label of the current namespace if it has no name: no namespace has this one. */
const OWN = '';

/** Their monitors. Namespaces come and go. */
export class EveryNamespace implements AsyncDisposable {
  readonly monitors: MultiNamespaceTunnelMonitor;
  readonly #own: string;

  private constructor(monitors: MultiNamespaceTunnelMonitor, own: string) {
    this.monitors = monitors;
    this.#own = own;
  }

  /**
   * Opens monitors. The signal does not close them later: a command first prints what is pending.
   *
   * @returns undefined if the signal was aborted first
   * @throws as MultiNamespaceTunnelMonitor.open
   */
  static async open(
    { expected, netns: _, label: __, monitor: ___, ...each }: TunnelMonitorOptions,
    signal?: AbortSignal,
  ): Promise<EveryNamespace | undefined> {
    const opening = new AbortController();
    using ____ = onAbort(signal, () => opening.abort());
    const here = ownNamespace();
    const own = namedNamespaces().find(({ id }) => id === here)?.name ?? OWN;
    try {
      const monitors = await MultiNamespaceTunnelMonitor.open({
        ...each,
        named: true,
        namespaces: own === OWN ? { [OWN]: undefined } : {},
        expected: () => expected,
        signal: opening.signal,
      });
      return new EveryNamespace(monitors, own);
    } catch (error) {
      if (opening.signal.aborted) return undefined;
      throw error;
    }
  }

  /** What is shown of a label: null for the current namespace. */
  shown(label: string | undefined): string | null {
    return label === undefined || label === this.#own ? null : label;
  }

  /** The tunnels of all, the worst first. An expected one that is missing is listed once at most. */
  list(): TunnelList & { readonly synced: boolean; readonly countersReadAt: number } {
    const all = this.monitors.snapshot();
    const labels = new Map<Tunnel, string | null>();
    const found = new Set<string>();
    for (const { label, tunnels } of all) {
      for (const one of tunnels) {
        labels.set(one, this.shown(label));
        if (one.name !== undefined && !isMissing(one)) found.add(one.name);
      }
    }
    const tunnels = [...labels.keys()].filter(
      (one) => !isMissing(one) || (labels.get(one) === null && !found.has(one.name ?? '')),
    );
    return {
      tunnels: tunnels.sort(worstTunnelFirst),
      warnings: all.flatMap(({ label, warnings }) =>
        warnings.map((warning) => ({ warning, label: this.shown(label) })),
      ),
      labelOf: (one) => labels.get(one),
      synced: all.every(({ synced }) => synced),
      countersReadAt: Math.min(...all.map(({ countersReadAt }) => countersReadAt.wall)),
    };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.monitors.close();
  }
}

/** Whether a tunnel is only expected. */
const isMissing = ({ expected, sas, larval, policies }: Tunnel): boolean =>
  expected && sas.in.length + sas.out.length + larval.length + policies.length === 0;
