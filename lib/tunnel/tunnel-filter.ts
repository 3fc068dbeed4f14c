/**
 * Filters for tunnels and their changes: the terms that select SAs and policies, and some that only
 * tunnels have.
 *
 *     peer=198.51.100.0/24 state!=up,idle
 * @module
 */
import { Filter } from '../monitor/filter.ts';
import type { FilterSubject, SubjectAddress } from '../monitor/filter-input.ts';
import { KEYS, type KeyName, KIND } from '../monitor/filter-keys.ts';
import { parseTerms, type Term } from '../monitor/filter-term.ts';
import type { SubscriptionEvent } from '../monitor/subscribe.ts';
import { type TrafficDirection, TUNNEL_STATES, type Tunnel, type TunnelWarning } from './tunnel.ts';
import type { TunnelChange, TunnelEvent } from './tunnel-changes.ts';

/** The kinds of change that a term can select. */
export const CHANGES = Object.keys({
  added: true,
  up: true,
  down: true,
  rekeyed: true,
  replaced: true,
  stalled: true,
  state: true,
  warning: true,
  removed: true,
} satisfies Record<TunnelEvent['kind'], true>);

/** The kinds of warning. */
export const WARNINGS = Object.keys({
  'piling-up': true,
  'spi-shared': true,
  sequence: true,
  lifetime: true,
  integrity: true,
  replay: true,
  'replay-window': true,
  'acquire-storm': true,
  'stale-policy': true,
  'nat-mapping': true,
  leak: true,
} satisfies Record<TunnelWarning['kind'], true>);

/** A tunnel, or a change of one. */
interface Candidate {
  readonly tunnel: Tunnel | undefined;
  readonly change: string | undefined;
  /** The warnings it concerns. */
  readonly warnings: readonly TunnelWarning[];
}

interface OwnKey {
  readonly help: string;
  readonly expected: string;
  readonly parse: (text: string) => string | undefined;
  readonly of: (candidate: Candidate) => readonly string[];
}

const oneOf = (words: readonly string[]) => ({
  expected: `one of ${words.join(', ')}`,
  parse: (text: string) => (words.includes(text) ? text : undefined),
});

/** Keys that only tunnels have. */
const OWN = {
  state: {
    help: `state: ${TUNNEL_STATES.join(', ')}`,
    ...oneOf(TUNNEL_STATES),
    of: ({ tunnel }) => (tunnel ? [tunnel.state] : []),
  },
  name: {
    help: 'id, or name given with --expect',
    expected: 'a name',
    parse: (text) => text || undefined,
    of: ({ tunnel }) => [tunnel?.name, tunnel?.id].filter((one) => one !== undefined),
  },
  warning: {
    help: `warning: any, ${WARNINGS.join(', ')}`,
    ...oneOf(['any', ...WARNINGS]),
    of: ({ warnings }) => (warnings.length === 0 ? [] : ['any', ...warnings.map((w) => w.kind)]),
  },
} satisfies Readonly<Record<string, OwnKey>>;

const CHANGE = {
  change: {
    help: `change: ${CHANGES.join(', ')}`,
    ...oneOf(CHANGES),
    of: ({ change }) => (change === undefined ? [] : [change]),
  },
} satisfies Readonly<Record<string, OwnKey>>;

/** Keys that filters of events lack. */
const TUNNEL_KEYS = { ...OWN, ...CHANGE };

const isOwn = (key: string): key is keyof typeof TUNNEL_KEYS => Object.hasOwn(TUNNEL_KEYS, key);

/** Which terms are available. */
export type TunnelFilterScope =
  /** For lists of tunnels. */
  | 'tunnels'
  /** Also for their changes. */
  | 'changes'
  /** Also for kernel events shown alongside. */
  | 'events';

const SCOPES = {
  tunnels: { ...KEYS, ...OWN },
  changes: { ...KEYS, ...TUNNEL_KEYS },
  events: { ...KEYS, ...TUNNEL_KEYS, kind: KIND },
};

/** The keys of the terms that are available. */
export const tunnelKeys = (scope: TunnelFilterScope): readonly string[] =>
  Object.keys(SCOPES[scope]);

type Key = KeyName | keyof typeof TUNNEL_KEYS | 'kind';

/** A filter for tunnels. */
export class TunnelFilter {
  readonly #terms: readonly Term<Key>[];
  readonly #events: Filter;
  readonly #details: boolean;

  /**
   * @param details whether to pass the steps of a rekey, too; implied if a term selects changes by kind
   * @throws FilterError
   */
  constructor(words: readonly string[], scope: TunnelFilterScope, details = false) {
    this.#terms = parseTerms<Key>(words, SCOPES[scope] as (typeof SCOPES)['events']);
    this.#events = new Filter(words.filter((_, i) => !isOwn(this.#terms[i]?.key ?? '')));
    const asksFor = ({ key, negated, values }: Term<Key>) =>
      !negated && (key === 'change' || (key === 'state' && values.includes('rekeying')));
    this.#details = details || this.#terms.some(asksFor);
  }

  /** Whether a tunnel passes. */
  matches(tunnel: Tunnel): boolean {
    return this.#passes({ tunnel, change: undefined, warnings: tunnel.warnings }, true);
  }

  /** Whether a change passes. Losses and reports about resyncs always do. */
  matchesChange(change: TunnelChange): boolean {
    if (!isTunnelEvent(change)) return true;
    const { kind, tunnel } = change;
    if (!this.#details && isPartOfRekey(change)) return false;
    const warnings = kind === 'warning' ? [change.warning] : (tunnel?.warnings ?? []);
    return this.#passes({ tunnel, change: kind, warnings }, false);
  }

  /** Whether a kernel event passes: it lacks the properties that only tunnels have. */
  matchesEvent(event: SubscriptionEvent): boolean {
    if (event.kind === 'overrun' || event.kind === 'malformed') return true;
    const asked = this.#terms.some(({ key, negated }) => isOwn(key) && !negated);
    return !asked && this.#events.matches(event);
  }

  #passes(candidate: Candidate, inList: boolean): boolean {
    let subjects: readonly FilterSubject[] | undefined;
    const { tunnel } = candidate;
    return this.#terms.every(({ key, negated, values }) => {
      // List entries have neither, and pass; a tunnel change is not a kernel event.
      if (inList && (key === 'kind' || key === 'change')) return true;
      if (key === 'kind') return negated;
      if (isOwn(key)) {
        const found: readonly string[] = TUNNEL_KEYS[key].of(candidate);
        return found.some((one) => values.includes(one)) !== negated;
      }
      // A change that concerns the host may be relevant.
      if (tunnel === undefined) return true;
      subjects ??= subjectsOf(tunnel);
      const { of, same } = KEYS[key];
      const fits = (one: unknown) => values.some((value) => same(value, one));
      return subjects.flatMap(of).some(fits) !== negated;
    });
  }
}

/** Whether it is a change of a tunnel, or a warning about the host. */
export const isTunnelEvent = (change: { readonly kind: string }): change is TunnelEvent =>
  CHANGES.includes(change.kind);

/** Whether it is a step of a rekey, which `rekeyed` summarises. */
const isPartOfRekey = (change: TunnelEvent): boolean =>
  change.kind === 'replaced' || (change.kind === 'state' && change.rekey);

const DIRECTIONS: readonly TrafficDirection[] = ['out', 'in'];
const places = (address: string | undefined): SubjectAddress[] => (address ? [{ address }] : []);

/** The subjects of a tunnel: its endpoints, SAs and policies. Any of them may match. */
function subjectsOf(tunnel: Tunnel): FilterSubject[] {
  const { local, remote, reqid, protocol, ifId, mark, sas, larval, policies } = tunnel;
  const ends = {
    ...(local === undefined ? {} : { saddr: local }),
    ...(remote === undefined ? {} : { daddr: remote }),
    ...(reqid === undefined ? {} : { reqid }),
    ...(protocol === undefined ? {} : { proto: protocol }),
  };
  const sources = places(local);
  const destinations = places(remote);
  const outbound = tunnel.selectors.filter(({ dir }) => dir === 'out');
  return [
    {
      sas: [ends],
      sources: [
        ...sources,
        ...outbound.map(({ selector: s }) => ({ address: s.saddr, bits: s.prefixlenS })),
      ],
      destinations: [
        ...destinations,
        ...outbound.map(({ selector: s }) => ({ address: s.daddr, bits: s.prefixlenD })),
      ],
    },
    ...DIRECTIONS.map((dir) => ({
      sas: sas[dir].map(({ value }) => value),
      sources: [],
      destinations: [],
      marked: {
        ...(mark[dir] === undefined ? {} : { mark: mark[dir] }),
        ...(ifId[dir] === undefined ? {} : { ifId: ifId[dir] }),
      },
      ...(sas[dir].length === 0 ? {} : { dir }),
    })),
    { sas: larval.map(({ value }) => value), sources: [], destinations: [] },
    ...policies.map(({ value: { templates = [], dir } }) => ({
      sas: templates,
      sources: [],
      destinations: [],
      dir,
    })),
  ];
}

const help = (keys: Readonly<Record<string, { readonly help: string }>>) =>
  Object.entries(keys)
    .map(([key, { help }]) => `  ${key.padEnd(8)} ${help}\n`)
    .join('');

/** The help text of tunnel filters. */
export const TUNNEL_FILTER_HELP = `
Filters, all of which must match, such as peer=10.0.0.0/8 state!=up; a filter matches if any of
the tunnel's endpoints, SAs and policies does:
${help(SCOPES.tunnels)}`;

/** Help for the key that only changes have. */
export const CHANGE_HELP = help(CHANGE);
/** Help for all keys that filters of events lack. */
export const CHANGE_FILTER_HELP = help(TUNNEL_KEYS);
