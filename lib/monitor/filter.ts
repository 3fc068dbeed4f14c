/**
 * Filters: the same terms select SAs and policies in dumps, and events.
 *
 *     peer=10.0.0.0/8 proto=esp,ah spi!=0x1001
 *
 * All terms must match. A term matches if one of its comma-separated values does, or with `!=` if
 * none does.
 * @module
 */
import { object, wrongType } from '../base/argument.ts';
import type { Network } from '../wire/network.ts';
import type { IpsecProto } from '../xfrm/names.ts';
import type { StateFilter } from '../xfrm/object-keys.ts';
import { type FilterInput, type FilterSubject, subjectOf } from './filter-input.ts';
import { KEYS, type KeyName, KIND } from './filter-keys.ts';
import { parseTerms, type Term } from './filter-term.ts';

/** A filter for events and for dumped objects. */
export class Filter {
  readonly #terms: readonly Term<KeyName | 'kind'>[];

  /**
   * @param terms such as `peer=10.0.0.0/8` and `spi!=0x1001`; with none, everything passes
   * @throws FilterError; TypeError for anything but an array of strings
   */
  constructor(terms: readonly string[]) {
    if (!Array.isArray(terms)) throw wrongType('terms', 'an array of strings', terms);
    terms.forEach((term: unknown, i) => {
      if (typeof term !== 'string') throw wrongType(`terms[${i}]`, 'a string', term);
    });
    this.#terms = parseTerms(terms, { ...KEYS, kind: KIND });
  }

  /**
   * The part of the filter that the kernel can apply when it dumps SAs; the rest is left to
   * `matches`.
   */
  get states(): StateFilter {
    const only = (key: KeyName) => {
      const values = this.#terms.filter((term) => term.key === key && !term.negated);
      return values[0]?.values.length === 1 ? values[0].values[0] : undefined;
    };
    const text = ({ address, bits }: Network) => `${address}/${bits}`;
    const proto = only('proto') as IpsecProto | undefined;
    const source = only('src') as Network | undefined;
    const destination = only('dst') as Network | undefined;
    // A request has one address family. Nothing can match both, which `matches` finds.
    const mixed = source && destination && source.family !== destination.family;
    return {
      // To the kernel 0 means "any", and no SA has it as its protocol.
      ...(proto === undefined || proto === 'any' ? {} : { proto }),
      ...(source ? { saddr: text(source) } : {}),
      ...(destination && !mixed ? { daddr: text(destination) } : {}),
    };
  }

  /**
   * Whether an item passes. Overruns and malformed datagrams always do, since they may hide a
   * match; a flush passes unless it cannot have affected one.
   */
  matches(item: FilterInput): boolean {
    object('item', item);
    if (this.#terms.length === 0) return true;
    if (item.kind === 'overrun' || item.kind === 'malformed') return true;
    const inList = item.kind === 'state' || item.kind === 'policy';
    let subject: FilterSubject | undefined;
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
