/** The query of a request: filter terms of the command, and a few names besides. @module */
import { Filter } from '../monitor/filter.ts';
import { FilterError } from '../monitor/filter-error.ts';
import { TunnelFilter } from '../tunnel/tunnel-filter.ts';

/** A query that is wrong: the request's fault. */
export class QueryError extends Error {}

const MOST_TERMS = 32;

/** `?peer=10.0.0.0/8&state!=up` as terms; those in `names` apart. */
export interface Query {
  readonly terms: readonly string[];
  readonly named: ReadonlyMap<string, string>;
}

export function queryOf(url: URL, ...names: readonly string[]): Query {
  const terms: string[] = [];
  const named = new Map<string, string>();
  for (const [key, value] of url.searchParams) {
    if (names.includes(key)) named.set(key, value);
    // `state!=up` is the key `state!` with the value `up`.
    else terms.push(`${key}=${value}`);
  }
  if (terms.length > MOST_TERMS) throw new QueryError(`at most ${MOST_TERMS} filter terms`);
  return { terms, named };
}

const filtered = <F>(make: () => F): F => {
  try {
    return make();
  } catch (error) {
    if (error instanceof FilterError) throw new QueryError(error.message);
    throw error;
  }
};

export const filterOf = (terms: readonly string[]): Filter => filtered(() => new Filter(terms));

export const tunnelFilterOf = (
  terms: readonly string[],
  scope: ConstructorParameters<typeof TunnelFilter>[1] = 'tunnels',
): TunnelFilter => filtered(() => new TunnelFilter(terms, scope));

/** A time in milliseconds since 1970, or an event's number. */
export function numberOf(name: string, text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined;
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(value)) return value;
  throw new QueryError(`${name} must be a number`);
}
