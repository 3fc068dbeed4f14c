/** Short descriptions of SAs and policies, for errors. @module */
import type { EncodableXfrmMessage } from './encode.ts';
import type { XfrmRequest } from './requests.ts';

/** An SPI as most tools write it: `0x00000101`. */
export const formatSpi = (spi: number): string => `0x${spi.toString(16).padStart(8, '0')}`;

/** A mark and its mask, as `ip xfrm` writes them: `0x10/0xff`. */
export const formatMark = ({ value, mask }: { value: number; mask: number }): string =>
  `0x${value.toString(16)}/0x${mask.toString(16)}`;

type Loose<Value> = { readonly [Key in keyof Value]?: Value[Key] | undefined };

/** What distinguishes an SA from others. */
type Sa = Loose<{
  saddr: string;
  daddr: string;
  proto: string | number;
  spi: number | bigint;
  mark: Loose<{ value: number; mask: number }>;
}>;

/** What distinguishes a policy from others. */
type Policy = Loose<{
  dir: string | number;
  index: number;
  selector: Loose<{ saddr: string; daddr: string; prefixlenS: number; prefixlenD: number }>;
  mark: Loose<{ value: number; mask: number }>;
}>;

export function describeState({ saddr, daddr, proto = 'esp', spi, mark }: Sa): string {
  const ends = saddr === undefined ? `to ${daddr}` : `${saddr} → ${daddr}`;
  const number = spi ? ` spi ${formatSpi(Number(spi))}` : '';
  return `SA ${proto} ${ends}${number}${marked(mark)}`;
}

export function describePolicy({ dir = 'in', index, selector, mark }: Policy): string {
  if (selector === undefined) return `policy ${dir} index ${index}${marked(mark)}`;
  const { saddr = 'any', prefixlenS = 0, daddr = 'any', prefixlenD = 0 } = selector;
  return `policy ${dir} ${saddr}/${prefixlenS} → ${daddr}/${prefixlenD}${marked(mark)}`;
}

const marked = (mark: Sa['mark']): string =>
  mark ? ` mark ${formatMark({ value: mark.value ?? 0, mask: mark.mask ?? 0 })}` : '';

/** The SA or policy that a request identifies: `SA esp 192.0.2.1 → 192.0.2.2 spi 0x00000101`. */
export function describeRequest(message: EncodableXfrmMessage<XfrmRequest>): string | undefined {
  const { state, allocation, aevent, migration, policy, id, attributes } = message as Loose<{
    state: Sa;
    allocation: Sa;
    aevent: Sa;
    migration: { id?: Sa };
    policy: Policy;
    id: Sa & Policy;
    attributes: { mark?: Sa['mark']; srcaddr?: string };
  }>;
  const mark = attributes?.mark;
  const sa = state ?? allocation ?? aevent ?? migration?.id;
  if (sa) return describeState(sa);
  if (policy) return describePolicy(policy);
  if (id?.daddr !== undefined) return describeState({ ...id, mark, saddr: attributes?.srcaddr });
  return id && describePolicy({ ...id, mark });
}
