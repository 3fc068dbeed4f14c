/**
 * How callers of the client identify and filter SAs and policies.
 * @module
 */

import { once } from '../base/once.ts';
import { checkProperties } from '../wire/check.ts';
import type { Encodable } from '../wire/encodable.ts';
import { EncodeError, within } from '../wire/error.ts';
import { u8 } from '../wire/integer.ts';
import type { Enumeration } from '../wire/names.ts';
import { contains, type Network, networkOf } from '../wire/network.ts';
import { type Shape, shapeWith } from '../wire/shape.ts';
import { type IpsecProto, PolicyDir, PolicyType } from './names.ts';
import type { XfrmPolicy } from './objects.ts';
import { takeNetworksOf } from './selector.ts';
import { POLICY, STATE } from './shapes.ts';
import type { XfrmAddressFilter, XfrmMark, XfrmSelector } from './types.ts';

/** What identifies an SA. A listed SA can be used as its own key. */
export interface StateKey {
  readonly daddr: string;
  readonly spi: number;
  /** Default `esp`. */
  readonly proto?: IpsecProto | undefined;
  /** The SA's mark, if it has one. */
  readonly mark?: XfrmMark | undefined;
  /** For protocols without an SPI, i.e. other than ESP, AH and IPComp. */
  readonly saddr?: string | undefined;
}

/**
 * What identifies a policy: its direction, with its index or selector. A listed policy can be used
 * as its own key.
 */
export interface PolicyKey {
  readonly dir: PolicyDir;
  readonly index?: number | undefined;
  /**
   * Networks may include their prefix lengths: `{ saddr: '10.0.0.0/24', daddr: '10.1.0.0/16' }`.
   */
  readonly selector?: Encodable<XfrmSelector> | undefined;
  readonly mark?: XfrmMark | undefined;
  readonly ifId?: number | undefined;
  /** Default: the type in `policyType`, else `main`. */
  readonly type?: PolicyType | undefined;
  /** As in a listed policy. */
  readonly policyType?: { readonly type?: PolicyType | undefined } | undefined;
}

/** Which SAs to list; the kernel does the filtering. */
export interface StateFilter {
  readonly proto?: IpsecProto | undefined;
  /** Source network such as `10.0.0.0/8`, or an address. */
  readonly saddr?: string | undefined;
  /** Destination network. */
  readonly daddr?: string | undefined;
}

/** Which policies to list. */
export interface PolicyFilter {
  readonly dir?: PolicyDir | undefined;
  readonly type?: PolicyType | undefined;
  /** A network such as `10.0.0.0/8`, or an address, that contains the whole source network. */
  readonly saddr?: string | undefined;
  /** The same for the destination network. */
  readonly daddr?: string | undefined;
}

const POLICY_FILTER = shapeWith({ dir: 'other', type: 'other', saddr: 'text', daddr: 'text' });
const STATE_FILTER = shapeWith({ proto: 'other', saddr: 'text', daddr: 'text' });

/** A key may be a whole SA or policy, so that a listed object can be deleted. */
const stateKeyShape = once((): Shape => ({ ...STATE(), required: ['daddr'] }));
const policyKeyShape = once((): Shape => {
  const policy = POLICY();
  const members = new Map([...policy.members, ['type', { holds: 'other' } as const]]);
  return { ...policy, members, required: ['dir'] };
});

/** @throws EncodeError */
export function checkStateKey(key: StateKey): void {
  checkProperties(key, stateKeyShape(), ['key']);
  if (key.spi === undefined && key.saddr === undefined) {
    throw new EncodeError('is missing', ['key', 'spi']);
  }
}

/** A key in the form a request uses. */
export function stateKey(key: StateKey) {
  checkStateKey(key);
  const { daddr, spi, proto = 'esp', mark, saddr } = key;
  return { id: { daddr, spi, proto }, attributes: { mark, srcaddr: saddr } };
}

/** A key in the form a request uses. */
export function policyKey(given: PolicyKey) {
  const key = takeNetworksOf(given, 'policy');
  checkProperties(key, policyKeyShape(), ['policy']);
  const { dir, index, selector, mark, ifId, type = key.policyType?.type } = key;
  if (index === undefined && selector === undefined) {
    throw new EncodeError('is missing: give the selector or the index', ['policy', 'selector']);
  }
  const policyType = type === undefined ? undefined : { type };
  return { id: { dir, index, selector }, attributes: { mark, ifId, policyType } };
}

/** A filter in the form a request uses. */
export function stateFilter(filter: StateFilter) {
  checkProperties(filter, STATE_FILTER, ['filter']);
  const { proto, saddr, daddr } = filter;
  return {
    filterProto: proto,
    addressFilter: saddr || daddr ? addressFilter(saddr, daddr) : undefined,
  };
}

/** Whether a policy matches the filter. */
export function policyFilter(filter: PolicyFilter): (policy: XfrmPolicy) => boolean {
  checkProperties(filter, POLICY_FILTER, ['filter']);
  const dir = filter.dir === undefined ? undefined : nameOf(PolicyDir, filter.dir, 'dir');
  const type = filter.type === undefined ? undefined : nameOf(PolicyType, filter.type, 'type');
  const source = network(filter.saddr, 'saddr');
  const destination = network(filter.daddr, 'daddr');
  return ({ dir: its, policyType, selector }) =>
    (dir === undefined || its === dir) &&
    (type === undefined || (policyType?.type ?? 'main') === type) &&
    (source === undefined || contains(source, selector.saddr, selector.prefixlenS)) &&
    (destination === undefined || contains(destination, selector.daddr, selector.prefixlenD));
}

/** A name in its decoded form. @throws EncodeError if it is unknown */
function nameOf<Name extends string>(of: Enumeration<Name>, value: Name | number, field: string) {
  try {
    return of.name(u8(of.number(value, field), field));
  } catch (error) {
    throw within(error, 'filter');
  }
}

function addressFilter(
  saddr: string | undefined,
  daddr: string | undefined,
): Encodable<XfrmAddressFilter> {
  const [source, splen] = prefix(saddr, 'saddr');
  const [destination, dplen] = prefix(daddr, 'daddr');
  return { saddr: source, splen, daddr: destination, dplen };
}

function prefix(text: string | undefined, name: string): [string | undefined, number] {
  const { address, bits } = network(text, name) ?? { address: undefined, bits: 0 };
  return [address, bits];
}

function network(text: string | undefined, name: string): Network | undefined {
  return text === undefined ? undefined : networkOf(text, ['filter', name]);
}
