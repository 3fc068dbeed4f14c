/**
 * Properties of structs and attributes that both readers and writers need: TypeScript type, decoded
 * fields, address family, variable part.
 * @module
 */
import { AF_INET } from '../../lib/wire/address.ts';
import type { Attribute, AttributeTable, Option } from '../../lib/wire/attribute-table.ts';
import type { PlacedField, Struct } from '../../lib/wire/struct.ts';
import { FACTOR, type None, type TimeUnit } from '../../lib/wire/time.ts';

export type Named = {
  readonly names?: unknown;
  readonly type: string;
  readonly unit?: TimeUnit;
  readonly none?: None;
};

/** Identifier of an enumeration or flag word, which names both a type and a value. */
export const label = (of: Named): string | undefined =>
  (of.names as { label: string } | undefined)?.label;

export const comment = (doc: string, indent = ''): string =>
  doc === '' ? '' : `${indent}/** ${doc} */\n`;

function numberType({ type, unit, none }: Named): string {
  if (unit === 'moment' && none !== undefined) return 'number | undefined';
  if (unit !== undefined || !isWide(type)) return 'number';
  return none === undefined ? 'bigint' : 'bigint | number';
}

const isWide = (type: string): boolean => type === 'u64' || type === 'be64';

/** Factor by which a time value is multiplied. */
export const factorOf = ({ unit }: Named): number => (unit === undefined ? 1 : FACTOR[unit]);

/** Whether a number may exceed the exact range of a JavaScript number; its digits are then kept separately. */
export const mayBeLarge = ({ type, unit }: Named): boolean => isWide(type) && unit !== undefined;

/** The member with the digits of such numbers, if there are any. */
export function exactMember(all: readonly (Named & { readonly name: string })[]): string {
  const names = all.filter(mayBeLarge).map(({ name }) => `'${name}'`);
  return names.length === 0
    ? ''
    : `  /** The digits of those numbers that are too large to be exact. */\n  exact?: ExactDigits<${names.join(' | ')}>;\n`;
}

function fieldType(field: PlacedField): string {
  switch (field.type) {
    case 'truth':
      return 'KernelBool';
    case 'address':
    case 'name':
    case 'text':
    case 'ip':
      return 'string';
    case 'rest':
      return 'Uint8Array';
    case 'struct':
      return field.struct.name;
    case 'key':
      return 'KeyMaterial';
    case 'words':
      return 'number[]';
    case 'length':
    case 'reserved':
      throw new Error(`${field.type} fields have no type`);
    default:
      return label(field) ?? numberType(field);
  }
}

/** Type of a nest including its header. */
export const nestType = ({ table, header }: { table: AttributeTable; header?: Struct }): string =>
  header === undefined ? table.name : `${header.name} & ${table.name}`;

/** Type of an attribute's property. */
export function attributeType(of: Attribute): string {
  switch (of.type) {
    case 'struct':
      return of.struct.name;
    case 'list':
      return `${of.struct.name}[]`;
    case 'address':
    case 'ip':
    case 'lladdr':
      return 'string';
    case 'string':
      return of.repeated ? 'string[]' : 'string';
    case 'bytes':
    case 'choice':
      return 'Uint8Array';
    case 'u32 or u64':
      return 'number';
    case 'numbers':
      return `${numberType({ type: of.of })}[]`;
    case 'records':
      return `(${of.struct.name} & ${of.table.name})[]`;
    case 'nest':
      return nestType(of);
    case 'nests':
      return `${of.table.name}[]`;
    case 'flag':
      return 'true';
    case 'pad':
      throw new Error('padding has no type');
    default:
      return label(of) ?? numberType(of);
  }
}

/** Whether a field may be absent in a decoded struct. */
export const isOptional = (field: PlacedField): boolean =>
  field.type === 'key' || field.type === 'rest' || ('optional' in field && field.optional === true);

/** Minimum size of a struct. */
export const leastOf = (of: Struct): number =>
  of.fields.find((field) => field.type !== 'key' && isOptional(field))?.offset ?? of.size;

/** A field with its offset from the outermost struct. */
export type DecodedField = PlacedField & { readonly at: number };

/** All fields with inlined structs expanded; offsets are from the outermost struct. */
export function flat(of: Struct, base = 0): DecodedField[] {
  return of.fields.flatMap((field) =>
    field.type === 'struct' && field.inline
      ? flat(field.struct, base + field.offset)
      : [{ ...field, at: base + field.offset }],
  );
}

/** The fields that become properties of a decoded struct. */
export const decoded = (of: Struct): DecodedField[] =>
  flat(of).filter(({ type }) => type !== 'reserved' && type !== 'length');

export function interfaceOf(of: Struct): string {
  let text = `/** ${of.doc} (struct ${of.kernel}) */\nexport interface ${of.name} {\n`;
  for (const field of decoded(of)) {
    text += comment(field.doc, '  ');
    text += `  ${field.name}${isOptional(field) ? '?' : ''}: ${fieldType(field)};\n`;
  }
  return `${text}${exactMember(decoded(of))}}\n`;
}

export function interfaceOfTable({ name, doc, attributes, opaque }: AttributeTable): string {
  let text = `/** ${doc} */\nexport interface ${name} {\n`;
  for (const one of attributes) {
    if (one.type === 'pad') continue;
    if (one.type === 'choice') {
      for (const option of one.options) {
        text += `${comment(`${option.doc} (${one.kernel})`, '  ')}  ${option.name}?: ${option.table.name};\n`;
      }
    }
    text += `${comment(`${one.doc} (${one.kernel})`, '  ')}  ${one.name}?: ${attributeType(one)};\n`;
    if (one.type === 'u32 or u64') {
      text += `${comment(`${one.wide.doc} (${one.kernel})`, '  ')}  ${one.wide.name}?: number;\n`;
    }
  }
  text += exactMember(numbersOf(attributes));
  return opaque
    ? `${text}  /** Attributes this library does not know, or that do not belong here. */\n  unknown?: OpaqueAttribute[];\n}\n`
    : `${text}  /** Attributes this library does not know, as they came. */\n  unknown?: RawAttribute[];\n}\n`;
}

/** The numeric attributes. */
export const numbersOf = (attributes: readonly Attribute[]): (Named & { name: string })[] =>
  attributes.flatMap((one): (Named & { name: string })[] => {
    if (one.type === 'u32 or u64') return [{ type: 'u64', ...one.wide }];
    return 'unit' in one ? [one] : [];
  });

export const place = (offset: number): string => (offset === 0 ? 'at' : `at + ${offset}`);

/** Resolves a path of kernel names to the field, its offset, and its property path. */
export function resolve(
  of: Struct,
  path: string,
  base = 0,
  property = 'x',
): { field: PlacedField; at: number; holder: string; struct: Struct } {
  const [first, ...rest] = path.split('.');
  const field = of.fields.find(({ kernel }) => kernel === first);
  if (field === undefined) throw new Error(`${of.kernel} has no ${first}`);
  if (rest.length === 0) {
    return { field, at: base + field.offset, holder: property, struct: of };
  }
  if (field.type !== 'struct') throw new Error(`${of.kernel}.${first} is no struct`);
  const inner = field.inline ? property : `${property}.${field.name}?`;
  return resolve(field.struct, rest.join('.'), base + field.offset, inner);
}

/** Whether the functions of a struct need the address family of the enclosing struct. */
export const needsOuter = (of: Struct): boolean => of.family !== undefined;

/** The variable part at the end of a struct, if there is one. */
export function tailOf(
  of: Struct,
): Extract<PlacedField, { type: 'key' | 'words' | 'text' | 'ip' | 'rest' }> | undefined {
  const tail = of.fields.at(-1);
  switch (tail?.type) {
    case 'key':
    case 'words':
    case 'text':
    case 'ip':
    case 'rest':
      return tail;
    default:
      return undefined;
  }
}

/** Whether a predicate holds for an attribute of a space, or of a space nested in it. */
function some(
  { attributes }: AttributeTable,
  test: (one: Attribute) => boolean,
  nested = inner,
): boolean {
  const within = (table: AttributeTable) => some(table, test, nested);
  return attributes.some((one) => test(one) || nested(one).some(within));
}

/** The spaces nested in an attribute. */
function inner(one: Attribute): readonly AttributeTable[] {
  switch (one.type) {
    case 'nest':
    case 'nests':
    case 'records':
      return [one.table];
    case 'choice':
      return one.options.map(({ table }) => table);
    default:
      return [];
  }
}

/** The spaces without duplicates, each after those nested in it. */
export function withNested(tables: readonly AttributeTable[]): AttributeTable[] {
  const all = new Set<AttributeTable>();
  const add = (table: AttributeTable) => {
    for (const one of table.attributes) inner(one).forEach(add);
    all.add(table);
  };
  tables.forEach(add);
  return [...all];
}

/** Whether the functions of a space need the message's address family. */
export const usesFamily = (table: AttributeTable): boolean =>
  some(
    table,
    (one) =>
      one.type === 'address' ||
      (one.type === 'ip' && one.family === undefined) ||
      ((one.type === 'struct' || one.type === 'list') && needsOuter(one.struct)),
    // The discriminator may also determine the family.
    (one) =>
      one.type === 'choice'
        ? one.options.filter(({ inet6 }) => inet6 === undefined).map(({ table }) => table)
        : inner(one),
  );

/** Expression for the family of an address. */
export const familyOfIp = ({ family }: Extract<Attribute, { type: 'ip' }>): string =>
  family === undefined ? 'family' : family === AF_INET ? 'AF_INET' : 'AF_INET6';

/** Expression for the family of the addresses in a space selected by `by`. */
export const familyOfOption = ({ inet6 }: Option, by: string): string =>
  inet6 === undefined
    ? 'family'
    : `${inet6.map((value) => `${by} === '${value}'`).join(' || ')} ? AF_INET6 : AF_INET`;

/** Whether a space contains keys, or anything that may be one. */
export const usesKeys = (table: AttributeTable): boolean =>
  table.opaque === true ||
  some(table, (one) => one.type === 'struct' && tailOf(one.struct)?.type === 'key');
