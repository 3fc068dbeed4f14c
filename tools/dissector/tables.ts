/**
 * The tables of XFRM as tables of Lua, for contrib/wireshark-xfrm.lua.
 * @module
 */
import type { Attribute, AttributeTable } from '../../lib/wire/attribute-table.ts';
import { Enumeration, type Flags } from '../../lib/wire/names.ts';
import { offsetOf, type PlacedField, type Struct } from '../../lib/wire/struct.ts';
import { attributes, sadAttributes, spdAttributes } from '../../lib/xfrm/attributes.ts';
import { type Message, messageOf, messages } from '../../lib/xfrm/messages.ts';
import * as S from '../../lib/xfrm/structs.ts';

/** What a message begins with; absent: nothing, or a word of flags. */
export const HEADERS: Readonly<Record<string, Struct>> = {
  NEWSA: S.xfrm_usersa_info,
  DELSA: S.xfrm_usersa_id,
  GETSA: S.xfrm_usersa_id,
  NEWPOLICY: S.xfrm_userpolicy_info,
  DELPOLICY: S.xfrm_userpolicy_id,
  GETPOLICY: S.xfrm_userpolicy_id,
  ALLOCSPI: S.xfrm_userspi_info,
  ACQUIRE: S.xfrm_user_acquire,
  EXPIRE: S.xfrm_user_expire,
  UPDPOLICY: S.xfrm_userpolicy_info,
  UPDSA: S.xfrm_usersa_info,
  POLEXPIRE: S.xfrm_user_polexpire,
  FLUSHSA: S.xfrm_usersa_flush,
  NEWAE: S.xfrm_aevent_id,
  GETAE: S.xfrm_aevent_id,
  REPORT: S.xfrm_user_report,
  MIGRATE: S.xfrm_userpolicy_id,
  MAPPING: S.xfrm_user_mapping,
  SETDEFAULT: S.xfrm_userpolicy_default,
  GETDEFAULT: S.xfrm_userpolicy_default,
  MIGRATE_STATE: S.xfrm_user_migrate_state,
};

/** A word of flags before the attributes. */
const FLAGS_SIZE = 4;

const SPACES: readonly [string, AttributeTable][] = [
  ['xfrm', attributes],
  ['sad', sadAttributes],
  ['spd', spdAttributes],
];

/** A value of Lua. */
type Lua = string | number | boolean | undefined | readonly Lua[] | { readonly [key: string]: Lua };

const IDENTIFIER = /^[A-Za-z_]\w*$/;

function lua(value: Lua): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value !== 'object') return String(value);
  if (Array.isArray(value)) return `{${value.map(lua).join(', ')}}`;
  const members = Object.entries(value).filter(([, one]) => one !== undefined);
  const key = (name: string) =>
    IDENTIFIER.test(name) ? name : /^\d+$/.test(name) ? `[${name}]` : `[${JSON.stringify(name)}]`;
  return `{${members.map(([name, one]) => `${key(name)} = ${lua(one)}`).join(', ')}}`;
}

type Names = Enumeration<string> | Flags<string>;

/** The names of numbers, by number; of flags, by mask. */
const namesOf = (of: Names): Lua =>
  of instanceof Enumeration
    ? Object.fromEntries(Object.entries(of.numbers).map(([name, number]) => [number, name]))
    : Object.entries(of.bits).map(([name, mask]) => [mask, name]);

/** Everything that messages consist of, found from the messages. */
class Found {
  readonly structs = new Map<string, Struct>();
  readonly names = new Map<string, Names>();

  struct(of: Struct): void {
    if (this.structs.has(of.kernel)) return;
    for (const field of of.fields) {
      if (field.type === 'struct') this.struct(field.struct);
      if ('names' in field && field.names) this.names.set(field.names.label, field.names);
    }
    this.structs.set(of.kernel, of);
  }

  attribute(of: Attribute): void {
    if ('struct' in of) this.struct(of.struct);
    if ('names' in of && of.names) this.names.set(of.names.label, of.names);
  }
}

/** Marks, SPIs and masks are read as hexadecimal numbers. */
const isHexadecimal = (name: string) => /spi|mark|mask|^[vm]$|pool|flags/i.test(name);

function field(of: PlacedField, inside: Struct): Lua {
  const about = { name: of.kernel, at: of.offset, doc: of.doc || undefined };
  switch (of.type) {
    case 'address': {
      const family = of.family ?? inside.family;
      // Without one, the family of what the struct is in counts; not where a field names its own.
      const only = of.family !== undefined || undefined;
      return { ...about, type: 'address', family: placeOf(inside, family), only };
    }
    case 'struct':
      return { ...about, type: 'struct', struct: of.struct.kernel };
    case 'name':
      return { ...about, type: 'name', size: of.size };
    case 'key':
      return { ...about, type: 'key', bits: offsetOf(inside, of.bits) };
    case 'truth':
      return { ...about, type: 'truth' };
    case 'words':
      return { ...about, type: 'words', count: offsetOf(inside, of.count) };
    case 'text':
      return { ...about, type: 'text', length: offsetOf(inside, of.length) };
    case 'ip':
      return { ...about, type: 'ip', family: offsetOf(inside, of.family) };
    case 'rest':
      return { ...about, type: 'rest' };
    case 'length':
    case 'reserved':
      return { ...about, type: of.of };
    default:
      return {
        ...about,
        type: of.type,
        names: of.names?.label,
        hex: isHexadecimal(of.kernel) || undefined,
        unit: of.unit,
        none: of.none,
      };
  }
}

/** Where the family of a struct's addresses is: an offset in it, or that of the struct around it. */
const placeOf = (of: Struct, family: string | undefined): Lua =>
  family === undefined || family === 'outer' ? 'outer' : offsetOf(of, family);

function attribute(of: Attribute): Lua {
  const about = { name: of.kernel, doc: of.doc || undefined };
  switch (of.type) {
    case 'struct':
    case 'list':
      return { ...about, type: of.type, struct: of.struct.kernel };
    case 'address':
    case 'flag':
    case 'pad':
      return { ...about, type: of.type };
    default: {
      const { type, names } = of as Attribute & { names?: Names };
      if (!/^[usb]e?\d+$/.test(type)) throw new Error(`${of.kernel}: ${type} is not supported`);
      const hex = isHexadecimal(of.name) || undefined;
      const { unit, none } = of as { unit?: string; none?: string };
      return { ...about, type, names: names?.label, hex, unit, none };
    }
  }
}

function message(name: string): Lua {
  const header = HEADERS[name];
  const all = Object.values(messages[name as keyof typeof messages]);
  const bodies = all.filter((one): one is NonNullable<Message['event']> => typeof one === 'object');
  const [first] = bodies;
  const size = header?.size ?? (first?.table === attributes ? 0 : FLAGS_SIZE);
  for (const body of bodies) {
    if (body.size !== size && body.size !== 0) throw new Error(`${name} has another header`);
  }
  const space = SPACES.find(([, table]) => table === first?.table)?.[0];
  if (space === undefined) throw new Error(`${name} has attributes of an unknown space`);
  // Of what a dump asks for, attributes tell.
  const bare = bodies.some((body) => body.size === 0) && size > 0;
  return { name, struct: header?.kernel, size, space, bare: bare || undefined };
}

/** Of addresses in attributes beside the struct: its own family, else the first in it. */
function familyOf(of: Struct): string | undefined {
  if (of.family !== undefined && of.family !== 'outer') return of.family;
  for (const one of of.fields) {
    if (one.kernel === 'family') return one.kernel;
    if (one.type !== 'struct') continue;
    const inner = familyOf(one.struct);
    if (inner) return `${one.kernel}.${inner}`;
  }
  return undefined;
}

/** The tables, as Lua. */
export function tables(): string {
  const found = new Found();
  for (const header of Object.values(HEADERS)) found.struct(header);
  for (const [, table] of SPACES) for (const one of table.attributes) found.attribute(one);
  const rows = (name: string, all: readonly [string | number, Lua][]) =>
    `local ${name} = {\n${all
      .map(([key, value]) => `  ${typeof key === 'number' ? `[${key}]` : key} = ${lua(value)},\n`)
      .join('')}}\n`;
  const structs = [...found.structs.values()].map((one): [string, Lua] => [
    one.kernel,
    {
      size: one.size,
      family: one.family && placeOf(one, one.family),
      around: placeOf(one, familyOf(one)),
      fields: one.fields.map((inner) => field(inner, one)),
    },
  ]);
  const types = Array.from({ length: 256 }, (_, type) => messageOf(type)).filter((one) => !!one);
  return [
    rows(
      'NAMES',
      [...found.names].map(([label, of]) => [label, namesOf(of)]),
    ),
    rows('STRUCTS', structs),
    ...SPACES.map(([name, { attributes: all }]) =>
      rows(
        `${name.toUpperCase()}_ATTRIBUTES`,
        all.map((one) => [one.number, attribute(one)]),
      ),
    ),
    rows(
      'MESSAGES',
      types.map(({ type, name }) => [type, message(name)]),
    ),
  ].join('\n');
}
