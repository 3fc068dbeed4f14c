/**
 * Tunnels as a table, for people at a terminal.
 * @module
 */
import type { Tunnel, TunnelPart, TunnelTraffic } from '../../tunnel/tunnel.ts';
import type { Colors } from '../terminal/colors.ts';
import { Table } from '../terminal/text-table.ts';
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

const HEADS = ['STATE', 'FOR', 'TUNNEL', 'ID', 'IN', 'OUT', 'KEYED', 'EXPIRES', 'WHY'];
/** Shown in an empty cell. */
const NONE = '-';

/** A row is a tunnel, or its part with one reqid. */
type TunnelRow = Tunnel | TunnelPart;

/** The rows for tunnels, including the parts of those that show them. */
export const rowsOf = (tunnels: readonly Tunnel[]): TunnelRow[] =>
  tunnels.flatMap((one) => [one, ...(one.parts ?? [])]);

/** Tunnels as a table, without empty columns. @param now milliseconds since 1970 */
export function tunnelTable(
  those: readonly TunnelRow[],
  colors: Colors,
  now: number,
  rates: (id: string) => TunnelRates | undefined = () => undefined,
): string[] {
  const rows = those.map((one) =>
    'id' in one ? tunnelRow(one, colors, now, rates(one.id)) : partRow(one),
  );
  const told = HEADS.map((_, i) => rows.length === 0 || rows.some((row) => row[i] !== NONE));
  const only = (cells: readonly string[]) => cells.filter((_, i) => told[i]);
  const lines: string[] = [];
  const table = new Table(only(HEADS.map(colors.dim)), (line) => lines.push(line));
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
  return HEADS.map((_, i) => cells[i] ?? NONE);
}

const carried = ({ bytes, packets }: TunnelTraffic, rate?: number): string =>
  packets === 0n
    ? NONE
    : `${formatBytes(bytes)}${rate === undefined ? '' : `  ${formatRate(rate)}`}`;
