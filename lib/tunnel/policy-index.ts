/**
 * Policies by the packets they match, to find those that match all packets of another. Policies are
 * sorted by the lengths of their prefixes, of which a host has few combinations: one look-up for
 * each finds all that enclose a selector. @module
 */

import { flat } from '../base/flat.ts';
import { AF_INET, AF_INET6, writeAddress } from '../wire/address.ts';
import { contains, mirrored } from '../xfrm/matching.ts';
import type { XfrmPolicy } from '../xfrm/objects.ts';
import type { XfrmMark, XfrmSelector } from '../xfrm/types.ts';
import { MultiMap, NONE } from './few.ts';
import type { Policy } from './tunnel-contents.ts';

/**
 * Sub-policies come first (net/xfrm/xfrm_policy.c, xfrm_policy_lookup). At equal priority the kernel
 * prefers the older policy; indexes increase (xfrm_gen_index).
 */
export const precedence = (a: Precedence, b: Precedence): number =>
  Number(isSub(b)) - Number(isSub(a)) || a.priority - b.priority || a.index - b.index;
type Precedence = Pick<XfrmPolicy, 'priority' | 'index' | 'policyType'>;
const isSub = ({ policyType }: Precedence): boolean => policyType?.type === 'sub';

/** Whether packets that match a policy meet main policies as if it was not there. */
const isPassing = (policy: XfrmPolicy): boolean =>
  isSub(policy) && policy.action === 'allow' && !policy.templates?.length;

/** Properties of a packet other than its addresses, as far as known. */
export interface Label {
  readonly mark?: XfrmMark | undefined;
  readonly ifId?: number | undefined;
}

/** A label as text; empty if there is none. */
export const labelKey = ({ mark, ifId }: Label): string =>
  mark || ifId ? `${mark?.value}/${mark?.mask} ${ifId ?? 0}` : '';

/** The lengths of a policy's prefixes, and the mask of its mark. */
interface Shape {
  readonly from: number;
  readonly to: number;
  readonly mask: number;
  /** By the beginnings of their addresses, the bits of their mark, and their interface ID. */
  readonly policies: MultiMap<string, Policy>;
  count: number;
  /** How many of them have an interface ID. */
  ids: number;
}

type Dir = 'in' | 'out' | 'fwd';
const isDir = (dir: XfrmPolicy['dir']): dir is Dir =>
  dir === 'in' || dir === 'out' || dir === 'fwd';

export class PolicyIndex {
  readonly #shapes: Record<Dir, Shape[]> = { in: [], out: [], fwd: [] };
  /** The policy that was last added, and its key. */
  #last: { readonly value: XfrmPolicy; readonly shape: Shape; readonly key: string } | undefined;

  get isEmpty(): boolean {
    const { in: inbound, out, fwd } = this.#shapes;
    return inbound.length + out.length + fwd.length === 0;
  }

  add(policy: Policy): void {
    const { value } = policy.entry;
    if (!isDir(value.dir) || isPassing(value)) return;
    let shape = this.#shapeFor(value.dir, value);
    if (shape === undefined) {
      shape = shapeOf(value);
      this.#shapes[value.dir].push(shape);
    }
    shape.count++;
    if (value.ifId) shape.ids++;
    shape.policies.add(this.#keyFor(value, shape), policy);
  }

  #shapeFor(dir: Dir, { selector, mark }: Shaped): Shape | undefined {
    for (const shape of this.#shapes[dir]) if (isOf(shape, selector, mark)) return shape;
    return undefined;
  }

  /** The key of a policy; one text for that and the one before it, as of `in` and `fwd`. */
  #keyFor(value: XfrmPolicy, shape: Shape): string {
    const { selector, mark, ifId } = value;
    const last = this.#last;
    const isSame =
      last?.value.selector.saddr === selector.saddr &&
      last.value.selector.daddr === selector.daddr &&
      isOf(last.shape, selector, mark) &&
      !(mark || ifId || last.value.mark || last.value.ifId);
    const key = isSame ? last.key : flat(keyOf(selector, value, shape));
    this.#last = { value, shape, key };
    return key;
  }

  delete(policy: Policy): void {
    const { value } = policy.entry;
    if (!isDir(value.dir) || isPassing(value)) return;
    const shape = this.#shapeFor(value.dir, value);
    if (shape === undefined) return;
    if (!shape.policies.delete(keyOf(value.selector, value, shape), policy)) return;
    if (value.ifId) shape.ids--;
    const shapes = this.#shapes[value.dir];
    if (--shape.count === 0) shapes.splice(shapes.indexOf(shape), 1);
  }

  clear(): void {
    for (const shapes of Object.values(this.#shapes)) shapes.length = 0;
  }

  /**
   * The policies of a direction that match all packets of a selector with a mark and an interface
   * ID, in their order of precedence.
   */
  enclosing(dir: Dir, packets: XfrmSelector, label: Label): Policy[] {
    const found = [...this.#matching(dir, packets, label)];
    return found.length < 2
      ? found
      : found.sort((a, b) => precedence(a.entry.value, b.entry.value));
  }

  /** The first of {@link enclosing}. */
  first(dir: Dir, packets: XfrmSelector, label: Label): Policy | undefined {
    const mask = label.mark?.mask ?? 0;
    let best: Policy | undefined;
    for (const shape of this.#shapes[dir]) {
      if (shape.from > packets.prefixlenS || shape.to > packets.prefixlenD) continue;
      if ((shape.mask & ~mask) !== 0) continue;
      for (const policy of shape.policies.get(keyOf(packets, label, shape))) {
        const { value } = policy.entry;
        if (best && precedence(best.entry.value, value) <= 0) continue;
        if (contains(value.selector, packets)) best = policy;
      }
    }
    return best;
  }

  /**
   * Whether no other policy matches all packets of this one, found without a look-up; false also if
   * that is not certain.
   */
  isFirst({ entry: { value } }: Policy): boolean {
    if (!isDir(value.dir) || isPassing(value)) return false;
    const { selector, mark } = value;
    const mask = mark?.mask ?? 0;
    for (const shape of this.#shapes[value.dir]) {
      const { from, to, mask: its, policies, count } = shape;
      if (from > selector.prefixlenS || to > selector.prefixlenD || (its & ~mask) !== 0) continue;
      // All of its own shape have different packets.
      if (!isOf(shape, selector, mark) || policies.size !== count) return false;
    }
    return true;
  }

  /**
   * Whether a direction has policies for some of these packets only: with longer prefixes, more
   * bits of a mark, or an interface ID if these have none.
   */
  hasFiner(dir: Dir, { prefixlenS, prefixlenD }: XfrmSelector, { mark, ifId }: Label): boolean {
    const mask = mark?.mask ?? 0;
    for (const { from, to, mask: its, ids } of this.#shapes[dir]) {
      if (from < prefixlenS || to < prefixlenD || (mask & ~its) !== 0) continue;
      if (from > prefixlenS || to > prefixlenD || mask !== its || (!ifId && ids > 0)) return true;
    }
    return false;
  }

  /** Whether a policy of a direction matches all these packets. */
  encloses(dir: Dir, packets: XfrmSelector, label: Label): boolean {
    return !this.#matching(dir, packets, label).next().done;
  }

  *#matching(dir: Dir, packets: XfrmSelector, label: Label): Generator<Policy, undefined> {
    const mask = label.mark?.mask ?? 0;
    for (const shape of this.#shapes[dir]) {
      if (shape.from > packets.prefixlenS || shape.to > packets.prefixlenD) continue;
      if ((shape.mask & ~mask) !== 0) continue;
      for (const policy of shape.policies.get(keyOf(packets, label, shape))) {
        if (contains(policy.entry.value.selector, packets)) yield policy;
      }
    }
  }

  /** The policies of a direction with the same prefixes, mark and interface ID. */
  alike(dir: Dir, selector: XfrmSelector, label: Label): Iterable<Policy> {
    const shape = this.#shapeFor(dir, { selector, mark: label.mark });
    return shape?.policies.get(keyOf(selector, label, shape)) ?? NONE;
  }
}

/**
 * What a policy takes, as packets that leave: an inbound one takes the answers to them; forwarded
 * packets meet policies of both directions.
 */
export function leaving({ dir, selector }: XfrmPolicy): XfrmSelector[] {
  return dir === 'in' ? [mirrored(selector)] : [selector, mirrored(selector)];
}

type Shaped = Label & Pick<XfrmPolicy, 'selector'>;

const isOf = ({ from, to, mask }: Shape, selector: XfrmSelector, mark?: XfrmMark): boolean =>
  from === selector.prefixlenS && to === selector.prefixlenD && mask === (mark?.mask ?? 0);

function shapeOf({ selector, mark }: Shaped): Shape {
  const { prefixlenS: from, prefixlenD: to } = selector;
  const policies = new MultiMap<string, Policy>();
  return { from, to, mask: mark?.mask ?? 0, policies, count: 0, ids: 0 };
}

/** The key under which a policy of some shape is that matches these packets. */
function keyOf(packets: XfrmSelector, { mark, ifId }: Label, { from, to, mask }: Shape): string {
  const ends = `${prefix(packets.saddr, from)} ${prefix(packets.daddr, to)}`;
  return mask === 0 && !ifId ? ends : `${ends} ${(mark?.value ?? 0) & mask} ${ifId ?? 0}`;
}

const BYTES = new Uint8Array(16);

/** The beginning of an address, as text. */
function prefix(address: string, bits: number): string {
  if (bits === 0) return '';
  const is6 = address.includes(':');
  if (bits >= (is6 ? 128 : 32)) return address;
  if (!is6 && (bits & 7) === 0) return firstParts(address, bits >> 3);
  // It leaves out what :: stands for.
  BYTES.fill(0);
  writeAddress(BYTES, 0, address, is6 ? AF_INET6 : AF_INET, '');
  const whole = bits >> 3;
  let text = is6 ? '6' : '4';
  for (let i = 0; i < whole; i++) text += `.${BYTES[i]}`;
  return bits & 7 ? `${text}.${(BYTES[whole] as number) >> (8 - (bits & 7))}` : text;
}

/** The first parts of an IPv4 address. */
function firstParts(address: string, count: number): string {
  let end = 0;
  for (let i = 0; i < count; i++) end = address.indexOf('.', end) + 1;
  return address.slice(0, end);
}
