/**
 * Filters: the same terms choose among SAs and policies that are listed and events that are heard.
 *
 *     peer=10.0.0.0/8 proto=esp,ah spi!=0x1001
 *
 * All terms must hold; of the values of a term, separated by commas, one must, or with `!=` none.
 * @module
 */
import type { Enumeration } from '../wire/names.ts';
import { contains, type Network, parseNetwork } from '../wire/network.ts';
import { printable } from '../wire/text.ts';
import type { StateFilter } from '../xfrm/client.ts';
import type { Mark } from '../xfrm/codec.ts';
import { IpsecProto, PolicyDir } from '../xfrm/names.ts';
import { EVENT_KINDS, type Item, type Place, type Subject, subjectOf } from './subject.ts';

/** What a term can ask for. */
interface Key<Value, Found> {
  /** One line on it, for help texts. */
  readonly help: string;
  /** What its values are, for the error about one that is none. */
  readonly expected: string;
  /** The value of a word; undefined if it is none. */
  readonly parse: (text: string) => Value | undefined;
  /** What something has to compare with it. */
  readonly of: (subject: Subject) => readonly Found[];
  readonly same: (value: Value, found: Found) => boolean;
}

const equal = (value: unknown, found: unknown): boolean => value === found;
const listed = (names: Enumeration<string>) => Object.keys(names.numbers).join(', ');
const present = <T>(values: readonly (T | undefined)[]): T[] =>
  values.filter((value) => value !== undefined) as T[];

function u32(text: string): number | undefined {
  const value = /^(0x[0-9a-f]{1,8}|\d{1,10})$/i.test(text) ? Number(text) : Number.NaN;
  return value <= 0xffff_ffff ? value : undefined;
}

/** A name of an enumeration, or a number. */
const named = (names: Enumeration<string>) => (text: string) => {
  if (Object.hasOwn(names.numbers, text)) return text;
  const value = u32(text);
  return value === undefined ? undefined : names.name(value);
};

function mark(text: string): Partial<Mark> | undefined {
  const [value, mask, ...more] = text.split('/').map(u32);
  if (value === undefined || more.length > 0) return undefined;
  if (!text.includes('/')) return { value };
  return mask === undefined ? undefined : { value, mask };
}

/** Of recordings, which also hold what is no event. */
const OTHER_KINDS = ['request', 'NEWSADINFO', 'NEWSPDINFO', 'rtnetlink'];

const kinds = new Map<string, string>(
  [...Object.keys(EVENT_KINDS), ...OTHER_KINDS].map((kind) => [kind.toLowerCase(), kind]),
);

const network = {
  expected: 'a network (10.0.0.0/8, 2001:db8::/32) or an address',
  parse: parseNetwork,
  same: (value: Network, { address, bits }: Place) => contains(value, address, bits),
};

const define = <Value, Found>(key: Key<Value, Found>) => key as Key<unknown, unknown>;

/** The words before `=` and `!=`. */
const KEYS = {
  peer: define({
    ...network,
    help: 'network of either end; of policies also of their selectors and templates',
    of: ({ sources, destinations, sas }) => [
      ...sources,
      ...destinations,
      ...present(sas.flatMap(({ saddr, daddr }) => [saddr, daddr])).map((address) => ({ address })),
    ],
  }),
  src: define({
    ...network,
    help: "network of the source; of policies, of the selector's",
    of: ({ sources }) => sources,
  }),
  dst: define({
    ...network,
    help: "network of the destination; of policies, of the selector's",
    of: ({ destinations }) => destinations,
  }),
  proto: define({
    help: `IPsec protocol: ${listed(IpsecProto)}`,
    expected: `one of ${listed(IpsecProto)} or a number`,
    parse: named(IpsecProto),
    of: ({ sas }) => present(sas.map(({ proto }) => proto)),
    same: equal,
  }),
  spi: define({
    help: 'SPI, as 0x1001 or 4097',
    expected: 'an SPI (0x1001 or 4097)',
    parse: u32,
    of: ({ sas }) => present(sas.map(({ spi }) => spi)),
    same: equal,
  }),
  reqid: define({
    help: 'request id; of policies, of their templates',
    expected: 'a number',
    parse: u32,
    of: ({ sas }) => present(sas.map(({ reqid }) => reqid)),
    same: equal,
  }),
  mark: define({
    help: 'mark, as 0x10, or with its mask 0x10/0xff; 0 for none',
    expected: 'a mark (0x10 or 0x10/0xff)',
    parse: mark,
    of: ({ marked }) => (marked ? [marked.mark ?? { value: 0, mask: 0 }] : []),
    same: (wanted: Partial<Mark>, found: Mark) =>
      wanted.value === found.value && (wanted.mask ?? found.mask) === found.mask,
  }),
  if_id: define({
    help: 'interface id, as 5 or 0x5; 0 for none',
    expected: 'a number',
    parse: u32,
    of: ({ marked }) => (marked ? [marked.ifId ?? 0] : []),
    same: equal,
  }),
  dir: define({
    help: `direction: ${listed(PolicyDir)}; SAs have one where it was set (kernel 6.10)`,
    expected: `one of ${listed(PolicyDir)}`,
    parse: (text: string) => (Object.hasOwn(PolicyDir.numbers, text) ? text : undefined),
    of: ({ dir }) => (dir === undefined ? [] : [dir]),
    same: equal,
  }),
};

const KIND = {
  help: 'kind of event, as NEWSA; entries of a list have none and pass',
  expected: `one of ${[...kinds.values()].join(', ')}`,
  parse: (text: string) => kinds.get(text.toLowerCase()),
};

type KeyName = keyof typeof KEYS;
const NAMES = [...Object.keys(KEYS), 'kind'];

/** Each word a term can begin with, and what it means. */
export const filterHelp: readonly (readonly [key: string, help: string])[] = [
  ...Object.entries(KEYS).map(([name, { help }]) => [name, help] as const),
  ['kind', KIND.help],
];

interface Term {
  readonly key: KeyName | 'kind';
  readonly negated: boolean;
  readonly values: readonly unknown[];
}

/**
 * A line on what is wrong, and below it the words with a caret under the wrong part.
 *
 * @param at where in `words[index]` the wrong part begins; all of the word if not given
 */
export function pointAt(
  reason: string,
  words: readonly string[],
  index: number,
  at = 0,
  length = words[index]?.length,
): string {
  const shown = words.map(printable);
  const word = words[index] ?? '';
  const before = [...shown.slice(0, index), printable(word.slice(0, at))].join(' ').length;
  const wrong = printable(word.slice(at, at + (length ?? 0))).length;
  return `${reason}\n  ${shown.join(' ')}\n  ${' '.repeat(before)}${'^'.repeat(Math.max(1, wrong))}`;
}

/** A term that is none. The message shows the terms, with a caret under what is wrong. */
export class FilterError extends Error {
  readonly code = 'ERR_FILTER';
  /** What is wrong, in one line. */
  readonly reason: string;

  constructor(reason: string, ...where: Tail<Parameters<typeof pointAt>>) {
    super(pointAt(reason, ...where));
    this.name = 'FilterError';
    this.reason = reason;
  }
}

type Tail<All> = All extends [unknown, ...infer Rest] ? Rest : never;

function parseTerm(terms: readonly string[], index: number): Term {
  const term = terms[index] as string;
  const [, name = '', operator = ''] = /^([^=!]*)(!?=)?/.exec(term) ?? [];
  if (!NAMES.includes(name)) {
    const reason = `'${printable(name)}' is nothing to filter by: use ${NAMES.join(', ')}`;
    throw new FilterError(reason, terms, index, 0, name.length);
  }
  const key = name as Term['key'];
  const { parse, expected } = key === 'kind' ? KIND : KEYS[key];
  let at = name.length + operator.length;
  if (operator === '') {
    throw new FilterError(`after '${name}' comes = or !=, and ${expected}`, terms, index, at);
  }
  const values = term
    .slice(at)
    .split(',')
    .map((text) => {
      const value = parse(text);
      if (value === undefined) {
        const reason = `'${printable(text)}' is no value of ${name}, which takes ${expected}`;
        throw new FilterError(reason, terms, index, at, text.length);
      }
      at += text.length + 1;
      return value;
    });
  return { key, negated: operator === '!=', values };
}

/** A filter over events and over what lists hold. */
export class Filter {
  readonly #terms: readonly Term[];

  /**
   * @param terms such as `peer=10.0.0.0/8` and `spi!=0x1001`; without any, everything passes
   * @throws FilterError
   */
  constructor(terms: readonly string[]) {
    this.#terms = terms.map((_, index) => parseTerm(terms, index));
  }

  /** What of it the kernel can choose by itself when SAs are listed; the rest is up to `matches`. */
  get states(): StateFilter {
    const only = (key: KeyName) => {
      const values = this.#terms.filter((term) => term.key === key && !term.negated);
      return values[0]?.values.length === 1 ? values[0].values[0] : undefined;
    };
    const text = ({ address, bits }: Network) => `${address}/${bits}`;
    const proto = only('proto') as IpsecProto | undefined;
    const source = only('src') as Network | undefined;
    const destination = only('dst') as Network | undefined;
    // One family a request: nothing can match both, which `matches` finds.
    const mixed = source && destination && source.family !== destination.family;
    return {
      // 0 is "any" to the kernel, and as a protocol the one of no SA.
      ...(proto === undefined || proto === 'any' ? {} : { proto }),
      ...(source ? { saddr: text(source) } : {}),
      ...(destination && !mixed ? { daddr: text(destination) } : {}),
    };
  }

  /**
   * Whether something passes. Lost events and malformed datagrams always do, since they may have
   * been what was looked for; a flush passes unless it can't have touched what was.
   */
  matches(item: Item): boolean {
    if (this.#terms.length === 0) return true;
    if (item.kind === 'overrun' || item.kind === 'malformed') return true;
    const inList = item.kind === 'state' || item.kind === 'policy';
    let subject: Subject | undefined;
    for (const { key, negated, values } of this.#terms) {
      if (key === 'kind') {
        if (!inList && values.includes(item.kind) === negated) return false;
        continue;
      }
      subject ??= subjectOf(item);
      if (subject === undefined) return false;
      const { of, same } = KEYS[key];
      const found = of(subject);
      if (subject.all && found.length === 0) continue;
      if (found.some((one) => values.some((value) => same(value, one))) === negated) return false;
    }
    return true;
  }
}
