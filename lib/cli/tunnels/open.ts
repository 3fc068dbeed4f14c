/**
 * Opens a tunnel monitor, unless the command is interrupted first.
 * @module
 */
import { onAbort } from '../../socket/abort.ts';
import { TunnelMonitor, type TunnelMonitorOptions } from '../../tunnel/tunnel-monitor.ts';

/**
 * Opens a monitor. The signal does not close it later: a command first prints what is pending.
 *
 * @returns undefined if the signal was aborted first
 * @throws as TunnelMonitor.open
 */
export async function openTunnels(
  options: TunnelMonitorOptions,
  signal: AbortSignal,
): Promise<TunnelMonitor | undefined> {
  const opening = new AbortController();
  using _ = onAbort(signal, () => opening.abort());
  try {
    return await TunnelMonitor.open({ ...options, signal: opening.signal });
  } catch (error) {
    if (opening.signal.aborted) return undefined;
    throw error;
  }
}
