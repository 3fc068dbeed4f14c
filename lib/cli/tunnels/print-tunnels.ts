/**
 * Prints a list of tunnels: by itself, and wherever a sequence of changes starts or restarts.
 * @module
 */

import { tunnelJson, warningJson } from '../../json/tunnel.ts';
import type { Tunnel } from '../../tunnel/tunnel.ts';
import type { TunnelSnapshot } from '../../tunnel/tunnel-changes.ts';
import { formatJson } from '../json.ts';
import type { Format } from '../options.ts';
import { terminalWidth } from '../terminal/output.ts';
import { formatNamespace, formatTime } from '../text/event.ts';
import { rowsOf, tunnelTable } from './tunnel-table.ts';
import { describePart, describeTunnel, describeWarning } from './tunnel-text.ts';

const now = () => ({ wall: Date.now(), monotonic: performance.now() });

/**
 * Prints the selected tunnels, and the warnings about the host.
 *
 * @param label their network namespace, if that is to be shown
 * @returns how many tunnels it printed
 */
export function printTunnels(
  { tunnels: all, warnings }: Pick<TunnelSnapshot, 'tunnels' | 'warnings'>,
  wanted: (tunnel: Tunnel) => boolean,
  { json, colors }: Format,
  out: { line(text: string): void },
  label?: string | null,
): number {
  const tunnels = all.filter(wanted);
  const time = now();
  if (json) {
    const netns = label === undefined ? {} : { netns: label };
    for (const one of tunnels) {
      const tunnel = tunnelJson(one);
      out.line(formatJson({ kind: 'tunnel', time, tunnel }, false, netns));
    }
    for (const one of warnings) {
      const warning = warningJson(one);
      out.line(formatJson({ kind: 'host-warning', time, warning }, false, netns));
    }
    return tunnels.length;
  }
  const from = label === undefined ? '' : `${colors.magenta(formatNamespace(label))} `;
  for (const one of warnings) out.line(from + describeWarning(one, colors));
  const lines = process.stdout.isTTY
    ? tunnelTable(rowsOf(tunnels), colors, time.wall, terminalWidth())
    : tunnels.flatMap((one) => [
        describeTunnel(one, colors),
        ...(one.parts ?? []).map(describePart),
      ]);
  for (const line of lines) out.line(from + line);
  return tunnels.length;
}

/** Prints the same, and that changes follow. */
export function printSynced(
  snapshot: TunnelSnapshot,
  wanted: (tunnel: Tunnel) => boolean,
  format: Format,
  out: { line(text: string): void },
  label?: string | null,
): void {
  const { json, colors } = format;
  const listed = printTunnels(snapshot, wanted, format, out, label);
  const time = now();
  if (json) {
    const netns = label === undefined ? {} : { netns: label };
    out.line(formatJson({ kind: 'synced', protocol: 'xfrm', time, listed }, false, netns));
    return;
  }
  const from = label === undefined ? '' : `${colors.magenta(formatNamespace(label))} `;
  const text = `synced    ${listed} tunnels listed`;
  out.line(`${colors.dim(formatTime(time.wall))} ${from}${colors.dim(text)}`);
}
