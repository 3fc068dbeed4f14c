/**
 * The result of `check`: a status as known to monitoring systems, and its reasons.
 * @module
 */
import {
  TUNNEL_STATES,
  type Tunnel,
  type TunnelState,
  type TunnelWarning,
} from '../../tunnel/tunnel.ts';
import { WARNINGS } from '../../tunnel/tunnel-filter.ts';
import { printable } from '../../wire/text.ts';
import { DRIFTS, type Drift } from '../key-manager/drift.ts';
import { formatLocalTime } from '../text/local-time.ts';

/** Plugin statuses, in the order of their exit statuses (Monitoring Plugins Development Guidelines). */
export const STATUSES = ['OK', 'WARNING', 'CRITICAL', 'UNKNOWN'] as const;
export type CheckStatus = (typeof STATUSES)[number];

/** The severity of states and warnings. */
export interface Severities {
  /** States and kinds of warning; `warnings` stands for all kinds. */
  readonly critical: readonly string[];
  readonly warning: readonly string[];
  /** Status if there are no tunnels to check. */
  readonly none: CheckStatus;
}

export const DEFAULT_SEVERITIES: Severities = {
  critical: ['down', 'blocked', 'orphan', 'one-way', 'not-in-kernel', 'unmatched'],
  warning: ['acquiring', 'expiring', 'warnings', 'not-in-daemon'],
  none: 'UNKNOWN',
};

/** The words that can be given a severity. */
export const SEVERITY_WORDS: readonly string[] = [
  ...TUNNEL_STATES,
  'warnings',
  ...WARNINGS,
  ...DRIFTS,
];

/** A problem with a tunnel or the host. */
export interface CheckProblem {
  readonly status: 'WARNING' | 'CRITICAL';
  /** The tunnel's ID; undefined for the host. */
  readonly tunnel: string | undefined;
  /** The state or kind of warning. */
  readonly what: string;
  readonly text: string;
}

export interface CheckResult {
  readonly status: CheckStatus;
  /** Number of tunnels checked. */
  readonly tunnels: number;
  /** Number of tunnels per state. */
  readonly states: Readonly<Record<TunnelState, number>>;
  /** The worst first. */
  readonly problems: readonly CheckProblem[];
}

/** The result in JSON. */
export type CheckRecord = { readonly kind: 'check' } & CheckResult;

/** Checks tunnels, warnings about the host, and what a key manager has and the kernel has not. */
export function checkTunnels(
  tunnels: readonly Tunnel[],
  hostWarnings: readonly TunnelWarning[],
  { critical, warning, none }: Severities,
  drift: readonly Drift[] = [],
): CheckResult {
  const statusOf = (...words: string[]): CheckProblem['status'] | undefined => {
    if (words.some((word) => critical.includes(word))) return 'CRITICAL';
    return words.some((word) => warning.includes(word)) ? 'WARNING' : undefined;
  };
  const ofWarnings = (tunnel: string | undefined, warnings: readonly TunnelWarning[]) =>
    warnings.flatMap(({ kind, text }): CheckProblem[] => {
      // A specific kind takes precedence over `warnings`.
      const named = critical.includes(kind) || warning.includes(kind);
      const status = named ? statusOf(kind) : statusOf('warnings');
      return status ? [{ status, tunnel, what: kind, text }] : [];
    });
  const problems = tunnels.flatMap(({ id, state, reason, warnings }): CheckProblem[] => {
    const status = statusOf(state);
    return [
      ...(status ? [{ status, tunnel: id, what: state, text: reason }] : []),
      ...ofWarnings(id, warnings),
    ];
  });
  problems.push(...ofWarnings(undefined, hostWarnings));
  for (const { what, text } of drift) {
    const status = statusOf(what);
    if (status) problems.push({ status, tunnel: undefined, what, text });
  }
  const states = Object.fromEntries(
    TUNNEL_STATES.map((state) => [state, tunnels.filter((one) => one.state === state).length]),
  ) as Record<TunnelState, number>;
  const worst = (one: CheckProblem) => STATUSES.indexOf(one.status);
  problems.sort((a, b) => worst(b) - worst(a));
  const status = problems[0]?.status ?? (tunnels.length === 0 ? none : 'OK');
  return { status, tunnels: tunnels.length, states, problems };
}

/** A bar starts performance data, so it must not occur in other text. */
const safe = (text: string) => printable(text).replaceAll('|', '\\x7c');

/** Local time, to the millisecond, as `--at` takes it. */
function formatMoment(wall: number): string {
  const ms = Math.ceil(wall);
  return `${formatLocalTime(BigInt(Math.floor(ms / 1000)))}.${`${ms % 1000}`.padStart(3, '0')}`;
}

/** Problems shown in the first line. */
const FIRST = 3;

/**
 * The format that monitoring systems read: a line with performance data, then one line per problem.
 *
 * @param at when that was, in milliseconds since 1970; undefined: now, or when it was asked for
 */
export function formatCheck(
  { status, tunnels, states, problems }: CheckResult,
  at?: number,
): string {
  const told = problems.slice(0, FIRST).map(({ tunnel, what }) => `${tunnel ?? 'host'} ${what}`);
  const rest = problems.length - told.length;
  if (rest > 0) told.push(`${rest} more`);
  const affected = new Set(problems.flatMap(({ tunnel }) => tunnel ?? [])).size;
  const plural = tunnels === 1 ? 'tunnel' : 'tunnels';
  const well = tunnels === 0 ? 'no tunnels to check' : `${tunnels} ${plural}, all OK`;
  const summary =
    problems.length === 0
      ? well
      : `${affected} of ${tunnels} ${plural} with problems: ${safe(told.join(', '))}`;
  const when = at === undefined ? '' : `, at ${formatMoment(at)}`;
  const performance = [
    `tunnels=${tunnels}`,
    ...TUNNEL_STATES.map((state) => `${state}=${states[state]};;;0;${tunnels}`).reverse(),
    `problems=${problems.length}`,
  ];
  return [
    `TUNNELS ${status} - ${summary}${when} | ${performance.join(' ')}`,
    ...problems.map(
      ({ status, tunnel, what, text }) =>
        `${status} ${safe(tunnel ?? 'host')} ${what}: ${safe(text)}`,
    ),
  ].join('\n');
}
