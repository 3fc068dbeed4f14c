/**
 * A frame of `tunnels --watch` on a terminal.
 * @module
 */
import type { TunnelWarning } from '../../tunnel/tunnel.ts';
import { TUNNEL_STATES, type Tunnel } from '../../tunnel/tunnel.ts';
import { printable } from '../../wire/text.ts';
import type { Colors } from '../terminal/colors.ts';
import { formatDuration } from '../text/units.ts';
import { rowsOf, screenTable, type TunnelRatesOf } from './tunnel-table.ts';
import { describeWarning, paintState } from './tunnel-text.ts';

/** How reliable the displayed state is. */
export type ViewState =
  | { readonly badge: 'SYNCED' }
  /** Events were lost, and the tables are being compared with new dumps. */
  | { readonly badge: 'RESYNCING' }
  /** The kernel's state is unknown, and since when. */
  | { readonly badge: 'BLIND'; readonly reason: string; readonly since: number };

/** Milliseconds that a resync may take before the view counts as blind. */
export const PATIENCE = 5000;

/** The state of a monitor's view. @param doubted since when its tables are in doubt; times in ms since 1970 */
export function viewStateOf(
  doubted: number | undefined,
  failed: { readonly message: string; readonly at: number } | undefined,
  now: number,
): ViewState {
  if (failed) return { badge: 'BLIND', reason: failed.message, since: failed.at };
  if (doubted === undefined) return { badge: 'SYNCED' };
  if (now - doubted < PATIENCE) return { badge: 'RESYNCING' };
  return { badge: 'BLIND', reason: 'events were lost, no resync yet', since: doubted };
}

export interface TunnelFrame {
  /** The worst first. */
  readonly tunnels: readonly Tunnel[];
  /** About the host. */
  readonly warnings: readonly TunnelWarning[];
  /** When the counters were read, in milliseconds since 1970. */
  readonly countersReadAt: number;
  readonly view: ViewState;
  readonly rates: TunnelRatesOf;
  /** The network namespace of a tunnel, if that is to be shown. */
  labelOf(tunnel: Tunnel): string | null | undefined;
  /** Number of tunnel rows scrolled off above the screen. */
  readonly above: number;
  readonly columns: number;
  readonly rows: number;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/** Lines other than tunnel rows: header, column headings, footer. */
const AROUND = 3;

/** The maximum number of rows scrolled off above. @param all total number of tunnel rows */
export const mostAbove = (all: number, warnings: number, rows: number): number =>
  Math.max(0, all - Math.max(1, rows - AROUND - warnings));

/** The lines of a frame. */
export function frameLines(frame: TunnelFrame, colors: Colors): string[] {
  const { tunnels, warnings, rows, now, rates } = frame;
  const all = rowsOf(tunnels, frame.labelOf);
  const above = Math.min(frame.above, mostAbove(all.length, warnings.length, rows));
  const room = Math.max(1, rows - AROUND - warnings.length);
  const visible = all.slice(above, above + room);
  const lines = [head(frame, colors), ...warnings.map((one) => describeWarning(one, colors))];
  const { lines: table, hidden: missing } = screenTable(visible, colors, now, frame.columns, rates);
  lines.push(...table);
  const below = all.length - above - visible.length;
  const hidden = [above > 0 ? `${above} above` : '', below > 0 ? `${below} below` : '']
    .filter(Boolean)
    .join(', ');
  const narrow = missing.length === 0 ? '' : `; no room for ${missing.join(', ')}`;
  const keys = `${hidden === '' ? '' : `${hidden}; arrows scroll, `}q quits${narrow}`;
  return [...lines, colors.dim(keys)];
}

function head({ tunnels, countersReadAt, view, now }: TunnelFrame, colors: Colors): string {
  const parts = TUNNEL_STATES.flatMap((state) => {
    const count = tunnels.filter((one) => one.state === state).length;
    return count === 0 ? [] : [paintState(state, colors, `${count} ${state}`)];
  });
  const all = `${tunnels.length} tunnel${tunnels.length === 1 ? '' : 's'}`;
  const age = formatDuration((now - countersReadAt) / 1000);
  return [
    badge(view, now, colors),
    parts.length === 0 ? all : `${all}: ${parts.join(', ')}`,
    colors.dim(`counters of ${age} ago`),
  ].join('  ');
}

function badge(view: ViewState, now: number, colors: Colors): string {
  switch (view.badge) {
    case 'SYNCED':
      return colors.green('[SYNCED]');
    case 'RESYNCING':
      return colors.yellow('[RESYNCING]');
    case 'BLIND': {
      const since = formatDuration((now - view.since) / 1000);
      return colors.red(`[BLIND for ${since}: ${printable(view.reason)}]`);
    }
  }
}
