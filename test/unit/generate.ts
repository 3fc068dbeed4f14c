/**
 * Random messages, XFRM's and the parts of others', made of bytes from the tables of structs and attributes: every field over
 * its whole range, attributes in the kernel's order, padding zero. Nothing of the encoder is used.
 * @module
 */
import { NLM_F_DUMP, NLM_F_MULTI, NLM_F_REQUEST } from '../../lib/netlink/constants.ts';
import { NLA_F_NESTED } from '../../lib/wire/attribute.ts';
import type { Attribute, AttributeTable, Option } from '../../lib/wire/attribute-table.ts';
import { Flags } from '../../lib/wire/names.ts';
import { NUMBER_SIZE, type NumberType, type Struct } from '../../lib/wire/struct.ts';
import { attributes, sadAttributes, spdAttributes } from '../../lib/xfrm/attributes.ts';
import * as X from '../../lib/xfrm/constants.ts';
import * as messageAttributes from '../../lib/xfrm/message-attributes.ts';
import * as S from '../../lib/xfrm/structs.ts';
import { flat, isOptional, resolve, tailOf } from '../../tools/codec/shape.ts';
import type { Random } from './random.ts';

/** What a generated message may hold. */
export interface Limits {
  /** The bytes that names and labels are made of; default all but NUL. */
  readonly character?: (random: Random) => number;
  /** Whether there are attributes that nobody knows. Default true. */
  readonly unknown?: boolean;
  /** An address family that does not occur. */
  readonly notFamily?: number;
  /** Most characters of a name. Default 64. */
  readonly name?: number;
  /** Bits of a 64-bit time. Default all. */
  readonly timeBits?: 32;
  /** Attributes that are left out, by property. */
  readonly without?: readonly string[];
}

const concat = (parts: readonly Uint8Array[]) => new Uint8Array(Buffer.concat(parts));

function padded(bytes: Uint8Array): Uint8Array {
  const whole = new Uint8Array((bytes.length + 3) & ~3);
  whole.set(bytes);
  return whole;
}

function put(view: DataView, at: number, type: NumberType, value: number | bigint): void {
  const little = !type.startsWith('be');
  const size = NUMBER_SIZE[type];
  if (size === 1) view.setUint8(at, Number(value));
  else if (size === 2) view.setUint16(at, Number(value), little);
  else if (size === 4) view.setUint32(at, Number(value), little);
  else view.setBigUint64(at, BigInt(value), little);
}

function numberFor(
  { type, names, unit }: { type: NumberType; names?: unknown; unit?: unknown },
  random: Random,
  { timeBits }: Limits,
): number | bigint {
  const bits = (NUMBER_SIZE[type] * 8) as 8 | 16 | 32 | 64;
  if (bits === 64 && unit !== undefined && timeBits !== undefined) return random.number(timeBits);
  if (bits === 64) {
    const half = () => BigInt(random.number(32));
    return random.chance(1, 4)
      ? 2n ** 64n - 1n
      : (half() << (random.chance(1, 2) ? 32n : 0n)) | half();
  }
  // Named numbers most of the time; all bits of a flag word are as good as any.
  if (names !== undefined && !(names instanceof Flags) && random.chance(4, 5)) {
    const { numbers } = names as { numbers: Record<string, number> };
    return random.pick(Object.values(numbers));
  }
  return random.number(bits);
}

const FAMILIES = [2, 2, 2, 2, 10, 10, 10, 10, 0];

function family(random: Random, { notFamily }: Limits): number {
  const chosen = random.chance(1, 12) ? random.number(16) : random.pick(FAMILIES);
  return chosen === notFamily ? 0 : chosen;
}

function address(random: Random, of: number): Uint8Array {
  const bytes = new Uint8Array(16);
  if (random.chance(1, 6)) return bytes;
  bytes.set(random.bytes(of === 2 ? 4 : 16));
  // Runs of zeros, and IPv4 in IPv6.
  if (of === 10) {
    for (let i = 0; i < 16; i += 2) if (random.chance(1, 2)) bytes.fill(0, i, i + 2);
    if (random.chance(1, 12)) bytes.fill(0, 0, random.pick([8, 10, 12]));
    if (random.chance(1, 24)) bytes.fill(0, 0, 10).fill(0xff, 10, 12);
  }
  return bytes;
}

const NAMES = ['rfc4106(gcm(aes))', 'cbc(aes)', 'hmac(sha256)', 'deflate', 'ecb(cipher_null)', ''];

function characters(random: Random, most: number, limits: Limits): Uint8Array {
  const one = limits.character ?? (() => 1 + random.below(255));
  return Uint8Array.from({ length: random.below(most + 1) }, () => one(random));
}

/** An address of the length its family has; -1 for either, others for any length. */
function ipBytes(random: Random, of: number): Uint8Array {
  const length =
    of === 2 ? 4 : of === 10 ? 16 : of === -1 ? random.pick([4, 16]) : random.below(20);
  return random.bytes(length);
}

/** A struct with its variable part; `outer` is the family around it. */
export function structBytes(
  of: Struct,
  random: Random,
  limits: Limits = {},
  outer = 0,
): Uint8Array {
  const bytes = wholeStruct(of, random, limits, outer);
  const tail = tailOf(of);
  if (tail?.type !== 'rest') return bytes;
  // An older kernel's, this one's, or a newer one's.
  const optional = of.fields.filter((field) => isOptional(field) && field.type !== 'rest');
  const length = random.pick([of.size, ...optional.map(({ offset }) => offset)]);
  const more = random.bytes(random.below(3) * 8);
  return length < of.size ? bytes.slice(0, length) : concat([bytes, more]);
}

function wholeStruct(of: Struct, random: Random, limits: Limits, outer: number): Uint8Array {
  const tail = tailOf(of);
  const ipFamily = random.pick([2, 10, 28, 0]);
  let trailing: Uint8Array = new Uint8Array(0);
  let keyBits = 0;
  if (tail?.type === 'key') {
    keyBits = random.pick([0, 64, 128, 160, 256, 512, 1 + random.below(700)]);
    trailing = random.bytes(Math.ceil(keyBits / 8));
  } else if (tail?.type === 'words') {
    trailing = random.bytes(4 * random.pick([0, 1, 2, 4, 128, random.below(40)]));
  } else if (tail?.type === 'text') {
    const label = characters(random, 60, limits);
    trailing = random.chance(3, 4) ? concat([label, Uint8Array.of(0)]) : label;
  } else if (tail?.type === 'ip') trailing = ipBytes(random, ipFamily);
  const bytes = new Uint8Array(of.size + trailing.length);
  bytes.set(trailing, of.size);
  const view = new DataView(bytes.buffer);
  const fields = flat(of);
  // Families first, since the addresses follow them.
  const families = new Map<string, number>();
  for (const path of new Set(
    fields.map((field) => (field.type === 'address' ? field.family : '')),
  )) {
    if (path) families.set(path, family(random, limits));
  }
  // In a struct within, if not inlined: then that struct has chosen it.
  let within: string | undefined;
  if (of.family !== undefined && of.family !== 'outer') {
    const { holder, at } = resolve(of, of.family);
    within = holder === 'x' ? undefined : of.family.split('.')[0];
    const field = of.fields.find(({ kernel }) => kernel === within);
    if (field?.type === 'struct')
      bytes.set(structBytes(field.struct, random, limits), field.offset);
    families.set(of.family, within ? view.getUint16(at, true) : family(random, limits));
  }
  for (const field of fields) {
    switch (field.type) {
      case 'reserved':
      case 'key':
      case 'words':
      case 'text':
      case 'ip':
      case 'rest':
        break;
      case 'address': {
        const path = field.family ?? of.family;
        const own = path === undefined || path === 'outer' ? 0 : (families.get(path) ?? 0);
        bytes.set(address(random, field.family ? own : own || outer), field.at);
        break;
      }
      case 'truth':
        bytes[field.at] = random.chance(4, 5) ? random.below(2) : random.number(8);
        break;
      case 'name':
        bytes.set(
          random.chance(2, 3)
            ? Buffer.from(random.pick(NAMES))
            : characters(random, limits.name ?? 64, limits),
          field.at,
        );
        break;
      case 'struct': {
        if (field.kernel === within) break;
        const own = of.family === undefined || of.family === 'outer' ? 0 : families.get(of.family);
        bytes.set(structBytes(field.struct, random, limits, own || outer), field.at);
        break;
      }
      case 'length':
        put(
          view,
          field.at,
          field.of,
          field.counts === 'whole' ? bytes.length : trailing.length / 4,
        );
        break;
      default: {
        if (tail?.type === 'ip' && tail.family === field.kernel) {
          put(view, field.at, field.type, ipFamily);
          break;
        }
        const lengthOf =
          tail?.type === 'key' ? tail.bits : tail?.type === 'text' ? tail.length : '';
        if (field.kernel === lengthOf) {
          put(view, field.at, field.type, tail?.type === 'key' ? keyBits : trailing.length);
        } else put(view, field.at, field.type, numberFor(field, random, limits));
      }
    }
  }
  for (const [path, value] of families) view.setUint16(resolve(of, path).at, value, true);
  return bytes;
}

const attribute = (type: number, payload: Uint8Array): Uint8Array => {
  const bytes = new Uint8Array(4 + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, bytes.length, true);
  view.setUint16(2, type, true);
  bytes.set(payload, 4);
  return padded(bytes);
};

function payload(of: Attribute, random: Random, limits: Limits, outer: number): Uint8Array {
  switch (of.type) {
    case 'struct':
      return structBytes(of.struct, random, limits, outer);
    case 'list':
      return concat(
        Array.from({ length: random.below(7) }, () =>
          structBytes(of.struct, random, limits, outer),
        ),
      );
    case 'address':
      return address(random, outer);
    case 'flag':
      return new Uint8Array(0);
    case 'ip':
      return ipBytes(random, of.family ?? outer);
    case 'u32 or u64':
      return random.bytes(random.pick([4, 8]));
    case 'lladdr':
    case 'bytes':
      return random.bytes(random.below(20));
    case 'string':
      return concat([characters(random, 20, limits), Uint8Array.of(0)]);
    case 'numbers':
      return random.bytes(NUMBER_SIZE[of.of] * random.below(9));
    case 'nest': {
      const header = of.header ? [structBytes(of.header, random, limits)] : [];
      return concat([...header, ...attributesBytes(of.table, random, limits, outer)]);
    }
    case 'nests':
      return concat(
        Array.from({ length: random.below(4) }, (_, i) =>
          attribute(of.first + i, concat(attributesBytes(of.table, random, limits, outer))),
        ),
      );
    case 'records':
      return concat(
        Array.from({ length: random.below(4) }, () => {
          const record = concat([
            structBytes(of.struct, random, limits),
            ...attributesBytes(of.table, random, limits, outer),
          ]);
          new DataView(record.buffer).setUint16(0, record.length, true);
          return record;
        }),
      );
    case 'pad':
    case 'choice':
      throw new Error(`${of.type} has no payload of its own`);
    default: {
      const bytes = new Uint8Array(NUMBER_SIZE[of.type]);
      put(new DataView(bytes.buffer), 0, of.type, numberFor(of, random, limits));
      return bytes;
    }
  }
}

/** The family of the addresses in a space, where what chooses it says it. */
const familyWith = ({ inet6 }: Option, value: string | number | undefined) =>
  inet6 === undefined ? undefined : inet6.some((one) => one === value) ? 10 : 2;

/** Attributes of a space, each there or not, in its order, then perhaps one that nobody knows. */
export function attributesBytes(
  table: AttributeTable,
  random: Random,
  limits: Limits,
  outer: number,
): Uint8Array[] {
  const parts: Uint8Array[] = [];
  const density = random.pick([1, 3, 6]);
  // The content of a choice depends on a sibling attribute, which is then present.
  const chosen = new Map<number, Uint8Array>();
  const options = new Map<Attribute, Uint8Array>();
  for (const one of table.attributes) {
    if (one.type !== 'choice' || !random.chance(density, 6)) continue;
    const option = random.chance(1, 5) ? undefined : random.pick(one.options);
    const value = option === undefined ? undefined : random.pick(option.values);
    const by =
      typeof value === 'number' ? Uint8Array.of(value, 0) : Buffer.from(`${value ?? '\x7f'}\0`);
    chosen.set(one.by, new Uint8Array(by));
    options.set(
      one,
      option === undefined
        ? random.bytes(random.below(20))
        : concat(attributesBytes(option.table, random, limits, familyWith(option, value) ?? outer)),
    );
  }
  for (const one of table.attributes) {
    if (one.type === 'pad') continue;
    const flag = one.type === 'nest' && one.flag ? NLA_F_NESTED : 0;
    const add = (bytes: Uint8Array) => parts.push(attribute(one.number | flag, bytes));
    const given = chosen.get(one.number) ?? options.get(one);
    if (given !== undefined) {
      add(given);
      continue;
    }
    if (one.type === 'choice' || !random.chance(density, 6)) continue;
    if (one.type === 'list' && one.repeated) {
      for (let i = random.below(4); i > 0; i--) add(structBytes(one.struct, random, limits, outer));
    } else if (one.type === 'string' && one.repeated) {
      for (let i = random.below(4); i > 0; i--) add(payload(one, random, limits, outer));
    } else add(payload(one, random, limits, outer));
  }
  if (limits.unknown !== false && random.chance(1, 4)) {
    const flags = random.pick([0, 0x8000, 0x4000, 0xc000]);
    parts.push(attribute((200 + random.below(200)) | flags, random.bytes(random.below(40))));
  }
  return parts;
}

/** A kind of message: what it is made of. */
export interface Kind {
  readonly name: string;
  readonly type: number;
  readonly flags: number;
  /** The struct before the attributes, or the number before those of the statistics. */
  readonly header: Struct | 'flags' | undefined;
  readonly names: readonly string[];
  readonly table: AttributeTable;
  /** An attribute that is always there, first: the object itself. */
  readonly object?: { readonly number: number; readonly struct: Struct };
  /** Where the family of the addresses in attributes is: a path, in the object if there is one. */
  readonly family?: string;
}

type Names = readonly string[];
const all = (table: AttributeTable): Names =>
  table.attributes.filter(({ type }) => type !== 'pad').map(({ name }) => name);

function kind(
  name: keyof typeof X & `XFRM_MSG_${string}`,
  header: Kind['header'],
  names: Names,
  more: Partial<Kind> = {},
): Kind {
  return { name, type: X[name], flags: 0, header, names, table: attributes, ...more };
}

const state = { family: 'family' };
const policy = { family: 'sel.family' };

/** Events and answers. */
export const events: readonly Kind[] = [
  kind('XFRM_MSG_NEWSA', S.xfrm_usersa_info, messageAttributes.STATE, state),
  kind('XFRM_MSG_UPDSA', S.xfrm_usersa_info, messageAttributes.STATE, state),
  kind('XFRM_MSG_DELSA', S.xfrm_usersa_id, messageAttributes.STATE, {
    ...state,
    object: { number: X.XFRMA_SA, struct: S.xfrm_usersa_info },
  }),
  kind('XFRM_MSG_EXPIRE', S.xfrm_user_expire, messageAttributes.STATE, { family: 'state.family' }),
  kind('XFRM_MSG_FLUSHSA', S.xfrm_usersa_flush, []),
  kind('XFRM_MSG_NEWPOLICY', S.xfrm_userpolicy_info, messageAttributes.POLICY, policy),
  kind('XFRM_MSG_UPDPOLICY', S.xfrm_userpolicy_info, messageAttributes.POLICY, policy),
  kind('XFRM_MSG_DELPOLICY', S.xfrm_userpolicy_id, messageAttributes.POLICY, {
    ...policy,
    object: { number: X.XFRMA_POLICY, struct: S.xfrm_userpolicy_info },
  }),
  kind('XFRM_MSG_POLEXPIRE', S.xfrm_user_polexpire, messageAttributes.POLICY, {
    family: 'pol.sel.family',
  }),
  kind('XFRM_MSG_FLUSHPOLICY', undefined, messageAttributes.FLUSHPOLICY),
  kind('XFRM_MSG_GETDEFAULT', S.xfrm_userpolicy_default, []),
  kind('XFRM_MSG_ACQUIRE', S.xfrm_user_acquire, messageAttributes.ACQUIRE, policy),
  kind('XFRM_MSG_NEWAE', S.xfrm_aevent_id, messageAttributes.AEVENT, { family: 'sa_id.family' }),
  kind('XFRM_MSG_REPORT', S.xfrm_user_report, messageAttributes.REPORT, policy),
  kind('XFRM_MSG_MIGRATE', S.xfrm_userpolicy_id, messageAttributes.MIGRATE, policy),
  kind('XFRM_MSG_MIGRATE_STATE', S.xfrm_user_migrate_state, messageAttributes.MIGRATE_STATE, {
    family: 'id.family',
  }),
  kind('XFRM_MSG_MAPPING', S.xfrm_user_mapping, [], { family: 'id.family' }),
];

/** Answers that no group delivers. */
export const answers: readonly Kind[] = [
  kind('XFRM_MSG_NEWSADINFO', 'flags', all(sadAttributes), { table: sadAttributes }),
  kind('XFRM_MSG_NEWSPDINFO', 'flags', all(spdAttributes), { table: spdAttributes }),
];

const request = { flags: NLM_F_REQUEST };
const asRequest = (name: string): Kind => {
  const found = events.find((one) => one.name === `XFRM_MSG_${name}`);
  if (found === undefined) throw new Error(name);
  return { ...found, ...request };
};

export const requests: readonly Kind[] = [
  ...['NEWSA', 'UPDSA', 'EXPIRE', 'FLUSHSA', 'NEWPOLICY', 'UPDPOLICY', 'POLEXPIRE'].map(asRequest),
  ...['FLUSHPOLICY', 'GETDEFAULT', 'ACQUIRE', 'NEWAE', 'MIGRATE', 'MIGRATE_STATE'].map(asRequest),
  kind('XFRM_MSG_DELSA', S.xfrm_usersa_id, messageAttributes.STATE_ID, { ...request, ...state }),
  kind('XFRM_MSG_GETSA', S.xfrm_usersa_id, messageAttributes.STATE_ID, { ...request, ...state }),
  kind('XFRM_MSG_GETSA', undefined, messageAttributes.STATE_ID, {
    flags: NLM_F_REQUEST | NLM_F_DUMP,
  }),
  kind('XFRM_MSG_DELPOLICY', S.xfrm_userpolicy_id, messageAttributes.POLICY_ID, {
    ...request,
    ...policy,
  }),
  kind('XFRM_MSG_GETPOLICY', S.xfrm_userpolicy_id, messageAttributes.POLICY_ID, {
    ...request,
    ...policy,
  }),
  kind('XFRM_MSG_ALLOCSPI', S.xfrm_userspi_info, messageAttributes.ALLOCSPI, {
    ...request,
    family: 'info.family',
  }),
  kind('XFRM_MSG_GETAE', S.xfrm_aevent_id, messageAttributes.AEVENT, {
    ...request,
    family: 'sa_id.family',
  }),
  kind('XFRM_MSG_GETSADINFO', 'flags', [], request),
  kind('XFRM_MSG_GETSPDINFO', 'flags', [], request),
  kind('XFRM_MSG_NEWSPDINFO', 'flags', all(spdAttributes), { ...request, table: spdAttributes }),
  kind('XFRM_MSG_SETDEFAULT', S.xfrm_userpolicy_default, [], request),
];

/** Where a message has the family of the addresses in its attributes: 0 if nowhere. */
function familyAt({ family: path }: Kind, holder: Struct | undefined, bytes: Uint8Array): number {
  if (path === undefined || holder === undefined) return 0;
  return new DataView(bytes.buffer).getUint16(resolve(holder, path).at, true);
}

/** A message of a kind. */
export function messageBytes(of: Kind, random: Random, limits: Limits = {}): Uint8Array {
  const parts: Uint8Array[] = [];
  const { header, object } = of;
  const fixed =
    header === undefined
      ? new Uint8Array(0)
      : header === 'flags'
        ? random.bytes(4)
        : structBytes(header, random, limits);
  parts.push(padded(fixed));
  let outer = familyAt(of, header === 'flags' ? undefined : header, fixed);
  if (object) {
    const bytes = structBytes(object.struct, random, limits);
    outer = familyAt(of, object.struct, bytes);
    parts.push(attribute(object.number, bytes));
  }
  const density = random.pick([1, 3, 6]);
  for (const name of of.names) {
    if (!random.chance(density, 6) || limits.without?.includes(name)) continue;
    const one = of.table.attributes.find((found) => found.name === name);
    if (one === undefined) throw new Error(name);
    if (one.type === 'list' && one.repeated) {
      const { struct } = one;
      const entries = Array.from({ length: random.below(7) }, () =>
        structBytes(struct, random, limits, outer),
      );
      // As the kernel takes them: in one attribute. As it sends them: in one each.
      if (of.flags & NLM_F_REQUEST) {
        if (entries.length > 0) parts.splice(1, 0, attribute(one.number, concat(entries)));
      } else parts.push(...entries.map((entry) => attribute(one.number, entry)));
    } else parts.push(attribute(one.number, payload(one, random, limits, outer)));
  }
  if (limits.unknown !== false && random.chance(1, 4)) {
    const flags = random.pick([0, 0x8000, 0x4000, 0xc000]);
    parts.push(attribute((42 + random.below(200)) | flags, random.bytes(random.below(40))));
  }
  const body = concat(parts);
  const bytes = new Uint8Array(16 + body.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length, true);
  view.setUint16(4, of.type, true);
  view.setUint16(6, of.flags | (random.chance(1, 4) ? NLM_F_MULTI : 0), true);
  view.setUint32(8, random.number(32), true);
  view.setUint32(12, random.number(32), true);
  bytes.set(body, 16);
  return bytes;
}
