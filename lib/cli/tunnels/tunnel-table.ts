/**
 * Tunnels as a table, for people at a terminal.
 * @module
 */
import type { Tunnel, TunnelPart, TunnelTraffic } from '../../tunnel/tunnel.ts';
import type { Colors } from '../terminal/colors.ts';
import { type Column, NONE, Table } from '../terminal/text-table.ts';
import { width } from '../terminal/width.ts';
import { formatNamespace } from '../text/event.ts';
import { formatBytes, formatRate } from '../text/units.ts';
import type { TunnelRates } from './rate-meter.ts';
import {
  ageOf,
  paintState,
  qualifiersOf,
  seconds,
  soonest,
  titleOf,
  trouble,
} from './tunnel-text.ts';

const COLUMNS: readonly Column[] = [
  ['NETNS', ''],
  ['STATE', ''],
  ['FOR', 'for '],
  ['TUNNEL', ''],
  ['ID', ''],
  ['IN', 'in '],
  ['OUT', 'out '],
  ['KEYED', 'keyed '],
  ['EXPIRES', 'expires '],
  ['WHY', ''],
];

/** A row is a tunnel, or its part with one reqid. */
interface TunnelRow {
  readonly of: Tunnel | TunnelPart;
  /** The network namespace, if that is to be shown. */
  readonly label: string | null | undefined;
}

/** How much a tunnel carries. */
export type TunnelRatesOf = (
  tunnel: Tunnel,
  label: string | null | undefined,
) => TunnelRates | undefined;

/** The rows for tunnels, including the parts of those that show them. */
export const rowsOf = (
  tunnels: readonly Tunnel[],
  labelOf: (tunnel: Tunnel) => string | null | undefined = () => undefined,
): TunnelRow[] =>
  tunnels.flatMap((one) => [
    { of: one, label: labelOf(one) },
    ...(one.parts ?? []).map((part) => ({ of: part, label: undefined })),
  ]);

/** Columns that a screen leaves out if it is too narrow, the first of them first. */
const DISPENSABLE = ['KEYED', 'ID', 'EXPIRES', 'OUT', 'IN', 'FOR'];
/** Characters of the reason that a screen shows at least. */
const LEAST_WHY = 24;

/** Tunnels as a table, without empty columns. On a narrow terminal it has several lines a tunnel. */
export const tunnelTable = (
  those: readonly TunnelRow[],
  colors: Colors,
  now: number,
  columns = Number.POSITIVE_INFINITY,
): string[] => linesOf(cellsOf(those, colors, now), [], colors, columns);

/**
 * Tunnels as a table with one line for each, for a screen.
 *
 * @param columns of the screen
 * @returns its lines, and which columns it has no room for
 */
export function screenTable(
  those: readonly TunnelRow[],
  colors: Colors,
  now: number,
  columns: number,
  rates: TunnelRatesOf,
): { readonly lines: string[]; readonly hidden: readonly string[] } {
  const rows = cellsOf(those, colors, now, rates);
  const widths = COLUMNS.map(([heading], i) => {
    const cells = rows.map((row) => row[i] ?? NONE);
    if (!cells.some(hasContent)) return 0;
    const widest = Math.max(heading.length, ...cells.map(width));
    return 2 + (heading === 'WHY' ? Math.min(widest, LEAST_WHY) : widest);
  });
  let needed = widths.reduce((all, one) => all + one, 0) - 2;
  const hidden = DISPENSABLE.filter((name) => {
    const taken = widths[COLUMNS.findIndex(([heading]) => heading === name)] ?? 0;
    if (needed <= columns || taken === 0) return false;
    needed -= taken;
    return true;
  });
  return { lines: linesOf(rows, hidden, colors), hidden };
}

const hasContent = (cell: string | undefined) => cell !== NONE && cell !== '';

const cellsOf = (
  those: readonly TunnelRow[],
  colors: Colors,
  now: number,
  rates: TunnelRatesOf = () => undefined,
): string[][] =>
  those.map(({ of, label }) => [
    label === undefined ? '' : colors.magenta(formatNamespace(label)),
    ...('id' in of ? tunnelRow(of, colors, now, rates(of, label)) : partRow(of)),
  ]);

function linesOf(
  rows: readonly (readonly string[])[],
  hidden: readonly string[],
  colors: Colors,
  columns = Number.POSITIVE_INFINITY,
): string[] {
  const told = COLUMNS.map(
    ([heading], i) =>
      !hidden.includes(heading) &&
      (rows.length === 0 ? heading !== 'NETNS' : rows.some((row) => hasContent(row[i]))),
  );
  const only = <Cell>(cells: readonly Cell[]) => cells.filter((_, i) => told[i]);
  const lines: string[] = [];
  const table = new Table(only(COLUMNS), colors.dim, (line) => lines.push(line), columns);
  for (const row of rows) table.row(only(row));
  table.flush();
  return lines;
}

function tunnelRow(
  tunnel: Tunnel,
  colors: Colors,
  now: number,
  rates: TunnelRates | undefined,
): string[] {
  const { state, installedAt, traffic } = tunnel;
  const hard = soonest(tunnel, 'hardAt');
  const id = qualifiersOf(tunnel).join(' ').replace('reqid ', '#');
  return [
    paintState(state, colors),
    ageOf(tunnel, now) ?? '?',
    titleOf(tunnel, colors),
    id || NONE,
    carried(traffic.in, rates?.in),
    carried(traffic.out, rates?.out),
    installedAt === undefined ? NONE : `${seconds(now - installedAt)} ago`,
    hard === undefined ? NONE : colors.yellow(`in ${seconds(hard - now)}`),
    trouble(tunnel, colors).join('; ') || NONE,
  ];
}

function partRow({ reqid, protocol, traffic }: TunnelPart): string[] {
  const { in: inbound, out } = traffic;
  const cells = ['', '', `  ${protocol ?? ''}`, `#${reqid}`, carried(inbound), carried(out)];
  return COLUMNS.slice(1).map((_, i) => cells[i] ?? NONE);
}

const carried = ({ bytes, packets }: TunnelTraffic, rate?: number): string =>
  packets === 0n
    ? NONE
    : `${formatBytes(bytes)}${rate === undefined ? '' : `  ${formatRate(rate)}`}`;
