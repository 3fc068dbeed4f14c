/**
 * Prints a list of tunnels: by itself, and wherever a sequence of changes starts or restarts.
 * @module
 */

import { tunnelJson, warningJson } from '../../json/tunnel.ts';
import type { EventTime } from '../../netlink/event.ts';
import type { Tunnel, TunnelWarning } from '../../tunnel/tunnel.ts';
import type { TunnelSnapshot } from '../../tunnel/tunnel-changes.ts';
import { formatJson } from '../json.ts';
import type { Format } from '../options.ts';
import { terminalWidth } from '../terminal/output.ts';
import { formatNamespace, formatTime } from '../text/event.ts';
import { rowsOf, tunnelTable } from './tunnel-table.ts';
import { describePart, describeTunnel, describeWarning } from './tunnel-text.ts';

const now = () => ({ wall: Date.now(), monotonic: performance.now() });

/** Tunnels, of one network namespace or several. */
export interface TunnelList {
  /** The worst first. */
  readonly tunnels: readonly Tunnel[];
  /** About hosts. */
  readonly warnings: readonly {
    readonly warning: TunnelWarning;
    readonly label: string | null | undefined;
  }[];
  /** The namespace of a tunnel; undefined if that is not to be shown. */
  labelOf(tunnel: Tunnel): string | null | undefined;
}

/** The list of one namespace. @param label of the namespace, if that is to be shown */
export const listOf = (
  { tunnels, warnings }: Pick<TunnelSnapshot, 'tunnels' | 'warnings'>,
  label?: string | null,
): TunnelList => ({
  tunnels,
  warnings: warnings.map((warning) => ({ warning, label })),
  labelOf: () => label,
});

/**
 * Prints the selected tunnels, and the warnings about the host.
 *
 * @param time of the snapshot
 * @returns how many tunnels it printed
 */
export function printTunnels(
  { tunnels: all, warnings, labelOf }: TunnelList,
  wanted: (tunnel: Tunnel) => boolean,
  { json, colors }: Format,
  out: { line(text: string): void },
  time: EventTime = now(),
): number {
  const tunnels = all.filter(wanted);
  if (json) {
    const netns = (label: string | null | undefined) =>
      label === undefined ? {} : { netns: label };
    for (const one of tunnels) {
      const tunnel = tunnelJson(one);
      out.line(formatJson({ kind: 'tunnel', time, tunnel }, false, netns(labelOf(one))));
    }
    for (const { warning: one, label } of warnings) {
      const warning = warningJson(one);
      out.line(formatJson({ kind: 'host-warning', time, warning }, false, netns(label)));
    }
    return tunnels.length;
  }
  const from = (label: string | null | undefined) =>
    label === undefined ? '' : `${colors.magenta(formatNamespace(label))} `;
  for (const { warning, label } of warnings) {
    out.line(from(label) + describeWarning(warning, colors));
  }
  if (process.stdout.isTTY) {
    const rows = rowsOf(tunnels, labelOf);
    for (const line of tunnelTable(rows, colors, time.wall, terminalWidth())) out.line(line);
    return tunnels.length;
  }
  for (const one of tunnels) {
    const lines = [describeTunnel(one, colors), ...(one.parts ?? []).map(describePart)];
    for (const line of lines) out.line(from(labelOf(one)) + line);
  }
  return tunnels.length;
}

/** Prints the same, and that changes follow. */
export function printSynced(
  snapshot: TunnelSnapshot,
  wanted: (tunnel: Tunnel) => boolean,
  format: Format,
  out: { line(text: string): void },
  label?: string | null,
  time: EventTime = now(),
): void {
  const { json, colors } = format;
  const listed = printTunnels(listOf(snapshot, label), wanted, format, out, time);
  if (json) {
    const netns = label === undefined ? {} : { netns: label };
    out.line(formatJson({ kind: 'synced', protocol: 'xfrm', time, listed }, false, netns));
    return;
  }
  const from = label === undefined ? '' : `${colors.magenta(formatNamespace(label))} `;
  const text = `synced    ${listed} tunnels listed`;
  out.line(`${colors.dim(formatTime(time.wall))} ${from}${colors.dim(text)}`);
}
