/** Which tunnels are shown, and in which order. @module */
import { TUNNEL_STATES, type TunnelState } from '../lib/tunnel/tunnel.ts';

import type { PageTunnel } from './wire.ts';
import { endsOf, qualifiersOf, titleOf, warningText } from './words.ts';

export const ORDERS = {
  worst: 'worst first',
  changed: 'changed last first',
  traffic: 'most traffic first',
  name: 'by name',
} as const;
export type Order = keyof typeof ORDERS;

const rank = (state: TunnelState): number => TUNNEL_STATES.indexOf(state);
const compare = new Intl.Collator('en', { numeric: true }).compare;
const trafficOf = ({ traffic }: PageTunnel): number =>
  Number(traffic.in.bytes) + Number(traffic.out.bytes);

type Compare = (a: PageTunnel, b: PageTunnel) => number;
/** Compared in turn until one differs. */
const BY: Readonly<Record<Order, Compare>> = {
  // Among equally bad ones those with warnings, then those that became so last.
  worst: (a, b) =>
    rank(a.state) - rank(b.state) ||
    b.warnings.length - a.warnings.length ||
    (a.state === 'up' ? 0 : b.since - a.since),
  changed: (a, b) => b.since - a.since,
  traffic: (a, b) => trafficOf(b) - trafficOf(a),
  name: () => 0,
};

/** Tunnels in an order. */
export const ordered = (tunnels: readonly PageTunnel[], order: Order): PageTunnel[] => {
  const titles = new Map(tunnels.map((one) => [one, titleOf(one)]));
  const byTitle: Compare = (a, b) => compare(titles.get(a) ?? '', titles.get(b) ?? '');
  return [...tunnels].sort((a, b) => BY[order](a, b) || byTitle(a, b) || compare(a.id, b.id));
};

/** How many tunnels are in each state, worst first. */
export function countStates(tunnels: Iterable<PageTunnel>): [TunnelState, number][] {
  const counts = new Map<TunnelState, number>();
  for (const { state } of tunnels) counts.set(state, (counts.get(state) ?? 0) + 1);
  return TUNNEL_STATES.flatMap((state): [TunnelState, number][] => {
    const n = counts.get(state);
    return n === undefined ? [] : [[state, n]];
  });
}

/** What is to be shown. */
export interface Query {
  /** Terms of the command's filters, which the daemon evaluates. */
  readonly terms: readonly string[];
  /** To be found in the text of a tunnel. */
  readonly words: readonly string[];
  /** Terms about the state are evaluated here, so that their effect is immediate. */
  readonly passesState: (state: TunnelState) => boolean;
}

const STATE_TERM = new RegExp(
  `^state(!?)=((?:${TUNNEL_STATES.join('|')})(?:,(?:${TUNNEL_STATES.join('|')}))*)$`,
);

export function queryOf(text: string): Query {
  const all = text.split(/\s+/).filter(Boolean);
  const states = all.flatMap((word) => {
    const [, not, names] = STATE_TERM.exec(word) ?? [];
    return names === undefined ? [] : [{ not: not === '!', names: names.split(',') }];
  });
  const others = all.filter((word) => !STATE_TERM.test(word));
  return {
    terms: others.filter((word) => /[=!]/.test(word)),
    words: others.filter((word) => !/[=!]/.test(word)),
    passesState: (state) => states.every(({ not, names }) => names.includes(state) !== not),
  };
}

/** Whether a tunnel's row has all the words. */
export function hasWords(tunnel: PageTunnel, words: readonly string[]): boolean {
  if (words.length === 0) return true;
  const { id, state, reason, protocol, mode, warnings } = tunnel;
  const text = [
    id,
    titleOf(tunnel),
    endsOf(tunnel),
    ...qualifiersOf(tunnel),
    state,
    reason,
    protocol,
    mode,
    ...warnings.map(warningText),
  ]
    .join('\n')
    .toLowerCase();
  return words.every((word) => text.includes(word.toLowerCase()));
}

/** A query with a term `state=` for exactly these states, or without one for none. */
export function withStates(text: string, states: readonly string[]): string {
  const others = text.split(/\s+/).filter((word) => word !== '' && !/^state!?=/.test(word));
  return [...others, ...(states.length === 0 ? [] : [`state=${states.join(',')}`])].join(' ');
}

/** The states that a query's term `state=` names. */
export const statesOf = (text: string): readonly string[] =>
  /(?:^|\s)state=(\S+)/.exec(text)?.[1]?.split(',') ?? [];
