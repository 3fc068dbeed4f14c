/**
 * What readers and writers both need to know of a struct or an attribute: its TypeScript type, its
 * fields as decoded, its family, its variable part.
 * @module
 */
import type { Attribute, AttributeTable } from '../../lib/wire/attribute-table.ts';
import type { NumberType, PlacedField, Struct } from '../../lib/wire/struct.ts';

export type Named = { readonly names?: unknown; readonly type: string };

/** The identifier of an enumeration or flag word, which is a type and a value alike. */
export const label = (of: Named): string | undefined =>
  (of.names as { label: string } | undefined)?.label;

export const comment = (doc: string, indent = ''): string =>
  doc === '' ? '' : `${indent}/** ${doc} */\n`;

const numberType = (type: NumberType): string => (type === 'u64' ? 'bigint' : 'number');

function fieldType(field: PlacedField): string {
  switch (field.type) {
    case 'truth':
      return 'Truth';
    case 'address':
    case 'name':
    case 'text':
      return 'string';
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
      return label(field) ?? numberType(field.type);
  }
}

/** The type of an attribute's property. */
export function attributeType(of: Attribute): string {
  switch (of.type) {
    case 'struct':
      return of.struct.name;
    case 'list':
      return `${of.struct.name}[]`;
    case 'address':
    case 'ip':
    case 'string':
      return 'string';
    case 'bytes':
      return 'Uint8Array';
    case 'nest':
      return of.table.name;
    case 'nests':
      return `${of.table.name}[]`;
    case 'flag':
      return 'true';
    case 'pad':
      throw new Error('padding has no type');
    default:
      return label(of) ?? numberType(of.type);
  }
}

/** A field and its offset from the outermost struct. */
export type DecodedField = PlacedField & { readonly at: number };

/** All fields, inlined structs opened up; offsets from the outermost. */
export function flat(of: Struct, base = 0): DecodedField[] {
  return of.fields.flatMap((field) =>
    field.type === 'struct' && field.inline
      ? flat(field.struct, base + field.offset)
      : [{ ...field, at: base + field.offset }],
  );
}

/** The fields that a decoded struct has as properties. */
export const decoded = (of: Struct): DecodedField[] =>
  flat(of).filter(({ type }) => type !== 'reserved' && type !== 'length');

export function interfaceOf(of: Struct): string {
  let text = `/** ${of.doc} (struct ${of.kernel}) */\nexport interface ${of.name} {\n`;
  for (const field of decoded(of)) {
    text += comment(field.doc, '  ');
    text += `  ${field.name}${field.type === 'key' ? '?' : ''}: ${fieldType(field)};\n`;
  }
  return `${text}}\n`;
}

export function interfaceOfTable({ name, doc, attributes }: AttributeTable): string {
  let text = `/** ${doc} */\nexport interface ${name} {\n`;
  for (const one of attributes) {
    if (one.type === 'pad') continue;
    text += `${comment(`${one.doc} (${one.kernel})`, '  ')}  ${one.name}?: ${attributeType(one)};\n`;
  }
  return `${text}  /** Attributes this library does not know, as they came. */\n  unknown?: RawAttribute[];\n}\n`;
}

export const place = (offset: number): string => (offset === 0 ? 'at' : `at + ${offset}`);

/** Where a path of kernel names leads: the field, its offset, and its path of properties. */
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

/** Whether the functions of a struct have to be told the address family of what is around it. */
export const needsOuter = (of: Struct): boolean => of.family !== undefined;

/** The variable part at the end of a struct, if it has one. */
export function tailOf(
  of: Struct,
): Extract<PlacedField, { type: 'key' | 'words' | 'text' }> | undefined {
  const tail = of.fields.at(-1);
  return tail?.type === 'key' || tail?.type === 'words' || tail?.type === 'text' ? tail : undefined;
}

/** Whether a test holds for an attribute of a space, or of a space nested in it. */
function some({ attributes }: AttributeTable, test: (one: Attribute) => boolean): boolean {
  return attributes.some(
    (one) => test(one) || ((one.type === 'nest' || one.type === 'nests') && some(one.table, test)),
  );
}

/** Whether the functions of a space have to be told the message's address family. */
export const usesFamily = (table: AttributeTable): boolean =>
  some(
    table,
    (one) =>
      one.type === 'address' ||
      ((one.type === 'struct' || one.type === 'list') && needsOuter(one.struct)),
  );

/** Whether a space holds keys. */
export const usesKeys = (table: AttributeTable): boolean =>
  some(table, (one) => one.type === 'struct' && tailOf(one.struct)?.type === 'key');
