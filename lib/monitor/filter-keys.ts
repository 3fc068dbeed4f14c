/** The keys of filters: names, values, and what the values are compared with. @module */
import { string } from '../base/argument.ts';
import { ROUTE_KINDS } from '../route/kinds.ts';
import type { Enumeration } from '../wire/names.ts';
import { contains, type Network, parseNetwork } from '../wire/network.ts';
import { IpsecProto, PolicyDir } from '../xfrm/names.ts';
import type { XfrmMark } from '../xfrm/types.ts';
import { EVENT_KINDS, type FilterSubject, type SubjectAddress } from './filter-input.ts';
import type { TermKey } from './filter-term.ts';

/** A key that a term can use. */
interface Key<Value, Found> extends TermKey<Value> {
  /** One line of help. */
  readonly help: string;
  /** The subject's values to compare with. */
  readonly of: (subject: FilterSubject) => readonly Found[];
  readonly same: (value: Value, found: Found) => boolean;
}

const equal = (value: unknown, found: unknown): boolean => value === found;
const listed = (names: Enumeration<string>) => Object.keys(names.numbers).join(', ');
const present = <T>(values: readonly (T | undefined)[]): T[] =>
  values.filter((value) => value !== undefined) as T[];

/** A 32-bit number, decimal or with 0x; undefined if invalid. */
export function parseU32(text: string): number | undefined {
  const value = /^(0x[0-9a-f]{1,8}|\d{1,10})$/i.test(text) ? Number(text) : Number.NaN;
  return value <= 0xffff_ffff ? value : undefined;
}

/** Parses a name of an enumeration, or a number. */
const named = (names: Enumeration<string>) => (text: string) => {
  if (Object.hasOwn(names.numbers, text)) return text;
  const value = parseU32(text);
  return value === undefined ? undefined : names.name(value);
};

function mark(text: string): Partial<XfrmMark> | undefined {
  const [value, mask, ...more] = text.split('/').map(parseU32);
  if (value === undefined || more.length > 0) return undefined;
  if (!text.includes('/')) return { value };
  return mask === undefined ? undefined : { value, mask };
}

/** Recordings also hold messages that are not events. */
const OTHER_KINDS = ['request', 'NEWSADINFO', 'NEWSPDINFO'];

/** The kinds that a filter can name. */
export const KINDS = [...new Set([...Object.keys(EVENT_KINDS), ...ROUTE_KINDS, ...OTHER_KINDS])];

const network = {
  expected: 'a network (10.0.0.0/8, 2001:db8::/32) or an address',
  parse: parseNetwork,
  same: (value: Network, { address, bits }: SubjectAddress) =>
    contains(value, string('address', address), bits),
};

/** Compares a property of the subject's SAs. */
const ofSas = (name: keyof FilterSubject['sas'][number]) => ({
  of: ({ sas }: FilterSubject) => present(sas.map((sa) => sa[name])),
  same: equal,
});

const define = <Value, Found>(key: Key<Value, Found>) => key as Key<unknown, unknown>;

/** The names before `=` and `!=`. */
export const KEYS = {
  peer: define({
    ...network,
    help: 'network of either endpoint; for policies also of selectors and templates',
    of: ({ sources, destinations, sas }) => [
      ...sources,
      ...destinations,
      ...present(sas.flatMap(({ saddr, daddr }) => [saddr, daddr])).map((address) => ({ address })),
    ],
  }),
  src: define({
    ...network,
    help: 'source network; for policies, of the selector',
    of: ({ sources }) => sources,
  }),
  dst: define({
    ...network,
    help: 'destination network; for policies, of the selector',
    of: ({ destinations }) => destinations,
  }),
  proto: define({
    help: `IPsec protocol: ${listed(IpsecProto)}`,
    expected: `one of ${listed(IpsecProto)} or a number`,
    parse: named(IpsecProto),
    ...ofSas('proto'),
  }),
  spi: define({
    help: 'SPI, such as 0x1001 or 4097',
    expected: 'an SPI (0x1001 or 4097)',
    parse: parseU32,
    ...ofSas('spi'),
  }),
  reqid: define({
    help: 'request id; for policies, of the templates',
    expected: 'a number',
    parse: parseU32,
    ...ofSas('reqid'),
  }),
  mark: define({
    help: 'mark, such as 0x10, or with a mask 0x10/0xff; 0 for none',
    expected: 'a mark (0x10 or 0x10/0xff)',
    parse: mark,
    of: ({ marked }) => (marked ? [marked.mark ?? { value: 0, mask: 0 }] : []),
    same: (wanted: Partial<XfrmMark>, found: XfrmMark) =>
      wanted.value === found.value && (wanted.mask ?? found.mask) === found.mask,
  }),
  if_id: define({
    help: 'interface id, such as 5 or 0x5; 0 for none',
    expected: 'a number',
    parse: parseU32,
    of: ({ marked }) => (marked ? [marked.ifId ?? 0] : []),
    same: equal,
  }),
  dir: define({
    help: `direction: ${listed(PolicyDir)}; SAs have one if it was set (since Linux 6.10)`,
    expected: `one of ${listed(PolicyDir)}`,
    parse: (text: string) => (Object.hasOwn(PolicyDir.numbers, text) ? text : undefined),
    of: ({ dir }) => (dir === undefined ? [] : [dir]),
    same: equal,
  }),
};

export const KIND = {
  help: 'kind of event, such as NEWSA; listed entries have none and match',
  expected: `one of ${KINDS.join(', ')}`,
  parse: (text: string) => KINDS.find((kind) => kind.toLowerCase() === text.toLowerCase()),
};

export type KeyName = keyof typeof KEYS;

/** The help for each filter key. */
export const filterHelp: readonly (readonly [key: string, help: string])[] = [
  ...Object.entries(KEYS).map(([name, { help }]) => [name, help] as const),
  ['kind', KIND.help],
];
