/**
 * Turns the tables of lib/xfrm/structs.ts and attributes.ts into lib/xfrm/codec.ts: types and
 * straight-line readers. (A reader that walks the tables at run time is 3 to 6 times slower:
 * docs/performance.md.) The result is committed; a unit test compares it with the tables.
 *
 *   npm run generate
 * @module
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Flags } from '../lib/wire/names.ts';
import type { PlacedField, Struct } from '../lib/wire/struct.ts';
import { NUMBER_SIZE, type NumberType } from '../lib/wire/struct.ts';
import type { Attribute } from '../lib/xfrm/attributes.ts';
import * as tables from '../lib/xfrm/attributes.ts';
import * as structs from '../lib/xfrm/structs.ts';

type Named = { readonly names?: unknown; readonly type: string };

/** The identifier of an enumeration or flag word, which is a type and a value alike. */
const label = (of: Named): string | undefined => (of.names as { label: string } | undefined)?.label;

const comment = (doc: string, indent = '') => (doc === '' ? '' : `${indent}/** ${doc} */\n`);

function numberType(type: NumberType): string {
  return type === 'u64' ? 'bigint' : 'number';
}

function fieldType(field: PlacedField): string {
  switch (field.type) {
    case 'boolean':
      return 'boolean';
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
    case 'reserved':
      throw new Error('reserved fields have no type');
    default:
      return label(field) ?? numberType(field.type);
  }
}

/** The fields of a decoded struct, inlined structs opened up; offsets from the outermost. */
function decoded(of: Struct, base = 0): (PlacedField & { at: number })[] {
  return of.fields.flatMap((field) => {
    if (field.type === 'reserved') return [];
    if (field.type === 'struct' && field.inline) return decoded(field.struct, base + field.offset);
    return [{ ...field, at: base + field.offset }];
  });
}

function interfaceOf(of: Struct): string {
  let text = `/** ${of.doc} (struct ${of.kernel}) */\nexport interface ${of.name} {\n`;
  for (const field of decoded(of)) {
    text += comment(field.doc, '  ');
    text += `  ${field.name}${field.type === 'key' ? '?' : ''}: ${fieldType(field)};\n`;
  }
  return `${text}}\n`;
}

function readNumber(type: NumberType, at: string): string {
  switch (type) {
    case 'u8':
      return `b[${at}] as number`;
    case 'u16':
      return `v.getUint16(${at}, LE)`;
    case 'be16':
      return `v.getUint16(${at})`;
    case 'u32':
      return `v.getUint32(${at}, LE)`;
    case 's32':
      return `v.getInt32(${at}, LE)`;
    case 'be32':
      return `v.getUint32(${at})`;
    case 'u64':
      return `readU64(v, ${at})`;
  }
}

function readNamed(field: Named & { type: NumberType }, at: string): string {
  const raw = readNumber(field.type, at);
  const names = label(field);
  if (names === undefined) return raw;
  return `${names}.${field.names instanceof Flags ? 'of' : 'name'}(${raw})`;
}

const place = (offset: number) => (offset === 0 ? 'at' : `at + ${offset}`);

/** Offset of the field a path of kernel names leads to. */
function offsetOf(of: Struct, path: string): number {
  const [first, ...rest] = path.split('.');
  const field = of.fields.find(({ kernel }) => kernel === first);
  if (field === undefined) throw new Error(`${of.kernel} has no ${first}`);
  if (rest.length === 0) return field.offset;
  if (field.type !== 'struct') throw new Error(`${of.kernel}.${first} is no struct`);
  return field.offset + offsetOf(field.struct, rest.join('.'));
}

/** Whether a struct's reader has to be told the address family of what is around it. */
function needsOuter(of: Struct): boolean {
  return of.family !== undefined;
}

function readField(field: PlacedField & { at: number }, of: Struct): string {
  const at = place(field.at);
  switch (field.type) {
    case 'boolean':
      return `b[${at}] !== 0`;
    case 'address': {
      const family =
        field.family === undefined
          ? 'family'
          : `v.getUint16(${place(offsetOf(of, field.family))}, LE)`;
      return `readAddress(b, ${at}, ${family})`;
    }
    case 'name':
      return `readName(b, ${at})`;
    case 'struct':
      return `read${field.struct.name}(v, b, ${at}${needsOuter(field.struct) ? `, ${of.family === undefined ? 0 : 'family'}` : ''})`;
    case 'key':
    case 'words':
    case 'text':
    case 'reserved':
      throw new Error(`${of.kernel}.${field.kernel} is read apart`);
    default:
      return readNamed(field, at);
  }
}

/** The variable part at the end of a struct, if it has one. */
function tailOf(of: Struct): PlacedField | undefined {
  const tail = of.fields.at(-1);
  return tail?.type === 'key' || tail?.type === 'words' || tail?.type === 'text' ? tail : undefined;
}

/** The expression that reads a field which holds the length of the variable part. */
function readLength(of: Struct, kernel: string): string {
  const field = of.fields.find((one) => one.kernel === kernel);
  if (field === undefined || !(field.type in NUMBER_SIZE)) {
    throw new Error(`${of.kernel} has no number ${kernel}`);
  }
  return `(${readNumber(field.type as NumberType, place(field.offset))})`;
}

function readTail(of: Struct, tail: PlacedField): { bytes: string; read: string } {
  const start = place(tail.offset);
  switch (tail.type) {
    case 'key':
      return {
        bytes: `Math.ceil(${readLength(of, tail.bits)} / 8)`,
        read: `if (keys) value.key = new KeyMaterial(b.slice(${start}, ${start} + bytes));`,
      };
    case 'words':
      return {
        bytes: `${readLength(of, tail.count)} * 4`,
        read: `for (let i = ${start}; i < ${start} + bytes; i += 4) value.${tail.name}.push(v.getUint32(i, LE));`,
      };
    case 'text':
      return {
        bytes: readLength(of, tail.length),
        read: `value.${tail.name} = readText(b, ${start}, bytes);`,
      };
    default:
      throw new Error(`${tail.kernel} is of fixed size`);
  }
}

function readerOf(of: Struct): string {
  const tail = tailOf(of);
  let body = '';
  if (of.family === 'outer') body += '  const family = outer;\n';
  else if (of.family !== undefined) {
    body += `  const family = v.getUint16(${place(offsetOf(of, of.family))}, LE) || outer;\n`;
  }
  const empty: Record<string, string> = { words: '[]', text: "''" };
  const lines = decoded(of).flatMap((field) =>
    field.type === 'key'
      ? []
      : `    ${field.name}: ${empty[field.type] ?? readField(field, of)},\n`,
  );
  const literal = `{\n${lines.join('')}  }`;
  const more: string[] = [];
  if (tail === undefined) {
    if (needsOuter(of)) more.push('outer: number');
    body += `  return ${literal};\n`;
  } else {
    const { bytes, read } = readTail(of, tail);
    more.push('length: number', 'path: string');
    if (tail.type === 'key') more.push('keys: boolean');
    body += `  const bytes = ${bytes};
  if (bytes > length - ${tail.offset}) tooShort(path, at, ${tail.offset} + bytes, length);
  const value: ${of.name} = ${literal};
  ${read}
  return value;
`;
  }
  const uses = (parameter: string) =>
    new RegExp(`\\b${parameter}\\b`).test(body) ? parameter : `_${parameter}`;
  const parameters = [`${uses('v')}: DataView`, `${uses('b')}: Uint8Array`, 'at: number', ...more];
  return `export function read${of.name}(${parameters.join(', ')}): ${of.name} {\n${body}}\n`;
}

function attributeType(of: Attribute): string {
  switch (of.type) {
    case 'struct':
      return of.struct.name;
    case 'list':
      return `${of.struct.name}[]`;
    case 'address':
      return 'string';
    case 'flag':
      return 'true';
    case 'pad':
      throw new Error('padding has no type');
    default:
      return label(of) ?? numberType(of.type);
  }
}

function readAttribute(of: Attribute): string {
  const need = (size: number) =>
    `if (n < ${size}) tooShort('${of.kernel}', at, ${size}, n);\n        `;
  switch (of.type) {
    case 'pad':
      return '';
    case 'flag':
      return `into.${of.name} = true;\n        `;
    case 'address':
      return `${need(16)}into.${of.name} = readAddress(b, p, family);\n        `;
    case 'struct': {
      const { struct } = of;
      let more = '';
      const tail = tailOf(struct);
      if (tail) more = `, n, '${of.kernel}'${tail.type === 'key' ? ', keys' : ''}`;
      else if (needsOuter(struct)) more = ', family';
      return `${need(struct.size)}into.${of.name} = read${struct.name}(v, b, p${more});\n        `;
    }
    case 'list': {
      const { struct } = of;
      const list = `into.${of.name}`;
      return (
        `if (n % ${struct.size} !== 0) notAMultiple('${of.kernel}', at, ${struct.size}, n);\n` +
        `        ${list} ??= [];\n` +
        `        for (let i = p; i < p + n; i += ${struct.size}) ${list}.push(read${struct.name}(v, b, i${needsOuter(struct) ? ', family' : ''}));\n        `
      );
    }
    default:
      return `${need(NUMBER_SIZE[of.type])}into.${of.name} = ${readNamed(of, 'p')};\n        `;
  }
}

function attributeReader(name: string, doc: string, list: readonly Attribute[]): string {
  let text = `/** ${doc} */\nexport interface ${name} {\n`;
  for (const one of list) {
    if (one.type === 'pad') continue;
    text += `${comment(`${one.doc} (${one.kernel})`, '  ')}  ${one.name}?: ${attributeType(one)};\n`;
  }
  text +=
    '  /** Attributes this library does not know, as they came. */\n  unknown?: RawAttribute[];\n}\n\n';
  const body = list
    .map(
      (one) => `      case ${one.number}: // ${one.kernel}\n        ${readAttribute(one)}break;\n`,
    )
    .join('');
  const usesFamily = body.includes('family)');
  const usesKeys = body.includes('keys)');
  text += `/** Reads the attributes between \`at\` and \`end\` into \`into\`. */
export function read${name}(v: DataView, b: Uint8Array, at: number, end: number, ${usesFamily ? 'family: number, ' : ''}${usesKeys ? 'keys: boolean, ' : ''}into: ${name}): void {
  while (at < end) {
    const length = attributeLength(v, at, end);
    const p = at + ${4};
    const n = length - ${4};
    switch (v.getUint16(at + 2, LE) & NLA_TYPE_MASK) {
${body}      default:
        into.unknown ??= [];
        into.unknown.push(rawAttribute(v, b, at, length));
    }
    at += align4(length);
  }
}
`;
  return text;
}

/** The whole text of lib/xfrm/codec.ts, unformatted. */
export function generate(): string {
  const all = Object.values(structs);
  const body = [
    ...all.flatMap((one) => [interfaceOf(one), readerOf(one)]),
    attributeReader(
      'XfrmAttributes',
      'What the attributes of a message say; those that were there.',
      tables.attributes,
    ),
    attributeReader('SadAttributes', 'What NEWSADINFO says.', tables.sadAttributes),
    attributeReader('SpdAttributes', 'What NEWSPDINFO says.', tables.spdAttributes),
  ].join('\n');
  const names = [...new Set(body.match(/\b[A-Z]\w+(?=\.(?:of|name)\()/g))].sort();
  return `/**
 * Types and readers of XFRM's structs and attributes.
 * Generated by tools/generate-codec.ts from structs.ts and attributes.ts; do not edit.
 *
 * A reader takes a view of the buffer (v), the same bytes (b) and an offset (at). The caller has
 * checked that the fixed part is there; variable parts are checked here.
 * @module
 */
import { readAddress } from '../wire/address.ts';
import { type RawAttribute, NLA_TYPE_MASK, align4, attributeLength, rawAttribute } from '../wire/attribute.ts';
import { LE } from '../wire/endian.ts';
import { notAMultiple, tooShort } from '../wire/error.ts';
import { readU64 } from '../wire/integer.ts';
import { readName, readText } from '../wire/text.ts';
import { KeyMaterial } from './key.ts';
import { ${names.join(', ')} } from './names.ts';

${body}`;
}

if (process.argv[1] === import.meta.filename) {
  writeFileSync(join(import.meta.dirname, '../../lib/xfrm/codec.ts'), generate());
}
