/** Filter terms: a key, `=` or `!=`, and values separated by commas. @module */
import { brief } from '../wire/text.ts';
import { FilterError } from './filter-error.ts';

/** How the values of a key are parsed. */
export interface TermKey<Value = unknown> {
  /** What its values look like, for the error about an invalid one. */
  readonly expected: string;
  /** The value of a text; undefined if invalid. */
  readonly parse: (text: string) => Value | undefined;
}

export interface Term<Name extends string> {
  readonly key: Name;
  readonly negated: boolean;
  readonly values: readonly unknown[];
}

/** Whether a word is meant to be a term. */
export const isTerm = (word: string): boolean => /[=!]/.test(word);

/** Parses terms. @throws FilterError that points at the first invalid one */
export function parseTerms<Name extends string>(
  terms: readonly string[],
  keys: Readonly<Record<Name, TermKey>>,
): Term<Name>[] {
  return terms.map((term, index) => {
    const [, name = '', operator = ''] = /^([^=!]*)(!?=)?/.exec(term) ?? [];
    if (!Object.hasOwn(keys, name)) {
      const reason = `'${brief(name)}' is not a filter key: use ${Object.keys(keys).join(', ')}`;
      throw new FilterError(reason, terms, index, 0, name.length);
    }
    const key = name as Name;
    const { parse, expected } = keys[key];
    let at = name.length + operator.length;
    if (operator === '') {
      throw new FilterError(
        `'${name}' must be followed by = or !=, and ${expected}`,
        terms,
        index,
        at,
      );
    }
    const values = term
      .slice(at)
      .split(',')
      .map((text) => {
        const value = parse(text);
        if (value === undefined) {
          const reason = `invalid value '${brief(text)}' for ${name}: expected ${expected}`;
          throw new FilterError(reason, terms, index, at, text.length);
        }
        at += text.length + 1;
        return value;
      });
    return { key, negated: operator === '!=', values };
  });
}
