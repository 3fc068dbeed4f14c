/**
 * How rtnetlink attributes are declared: by the kernel's name without its prefix, from which the
 * property name is derived unless one is given (IFLA_BR_FORWARD_DELAY, a time: forwardDelayMs).
 * @module
 */
import { AF_INET, AF_INET6 } from '../wire/address.ts';
import type { Attribute, Payload } from '../wire/attribute-table.ts';
import type { Enumeration, Flags } from '../wire/names.ts';
import type { Struct } from '../wire/struct.ts';
import * as R from './constants.ts';

type Constants = typeof R;
type Suffix<Prefix extends string> = keyof Constants extends infer Key
  ? Key extends `${Prefix}${infer Rest}`
    ? Rest
    : never
  : never;

const camel = (kernel: string) =>
  kernel.toLowerCase().replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());

/** Declares the attributes of a space whose names begin with `prefix`. */
export function space<Prefix extends string>(prefix: Prefix) {
  return (suffix: Suffix<Prefix>, payload: Payload, doc: string, name?: string): Attribute => ({
    ...payload,
    kernel: `${prefix}${suffix}`,
    number: (R as Record<string, number>)[`${prefix}${suffix}`] as number,
    name: name ?? camel(suffix) + ('unit' in payload ? 'Ms' : ''),
    doc,
  });
}

type Names = Enumeration<string> | Flags<string>;

// Payloads.
export const u8: Payload = { type: 'u8' };
export const u16: Payload = { type: 'u16' };
export const u32: Payload = { type: 'u32' };
/** Times in 1/100 s. */
export const ticks32: Payload = { type: 'u32', unit: 'ticks' };
export const ticks64: Payload = { type: 'u64', unit: 'ticks' };
export const s32: Payload = { type: 's32' };
export const be16: Payload = { type: 'be16' };
export const be32: Payload = { type: 'be32' };
export const be64: Payload = { type: 'be64' };
export const named = (type: 'u8' | 'u16' | 'u32', names: Names): Payload => ({ type, names });
export const text: Payload = { type: 'string' };
export const bytes: Payload = { type: 'bytes' };
export const flag: Payload = { type: 'flag' };
export const pad: Payload = { type: 'pad' };
export const lladdr: Payload = { type: 'lladdr' };
/** An address of the message's family, or of the family that the kind of link implies. */
export const ip: Payload = { type: 'ip' };
export const ipv4: Payload = { type: 'ip', family: AF_INET };
export const ipv6: Payload = { type: 'ip', family: AF_INET6 };
export const struct = (of: Struct): Payload => ({ type: 'struct', struct: of });
