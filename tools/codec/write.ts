/**
 * Generates writers: straight-line functions from values to bytes, the counterpart of the readers.
 * @module
 */
import type { Attribute, AttributeTable } from '../../lib/wire/attribute-table.ts';
import { Flags } from '../../lib/wire/names.ts';
import { NUMBER_SIZE, type NumberType, type Struct } from '../../lib/wire/struct.ts';
import {
  type DecodedField,
  factorOf,
  familyOfIp,
  familyOfOption,
  flat,
  isOptional,
  label,
  leastOf,
  type Named,
  needsOuter,
  place,
  resolve,
  tailOf,
  usesFamily,
  usesKeys,
} from './shape.ts';

const CHECK = { u8: 'u8', u16: 'u16', be16: 'u16', u32: 'u32', be32: 'u32', s32: 's32' } as const;

/** Names of the memory in the writers of structs and of attributes. */
type Memory = { readonly v: string; readonly b: string };
const STRUCT: Memory = { v: 'v', b: 'b' };
const ATTRIBUTE: Memory = { v: 'w.view', b: 'w.bytes' };

/** Statement that writes a number known to be in range. */
function put(
  type: Exclude<NumberType, 'u64' | 'be64'>,
  at: string,
  value: string,
  { v, b }: Memory = STRUCT,
): string {
  switch (type) {
    case 'u8':
      return `${b}[${at}] = ${value};\n`;
    case 'u16':
      return `${v}.setUint16(${at}, ${value}, LE);\n`;
    case 'be16':
      return `${v}.setUint16(${at}, ${value});\n`;
    case 'u32':
      return `${v}.setUint32(${at}, ${value}, LE);\n`;
    case 's32':
      return `${v}.setInt32(${at}, ${value}, LE);\n`;
    case 'be32':
      return `${v}.setUint32(${at}, ${value});\n`;
  }
}

/** Wire values for "none". */
const NONE = { zero: 0, ones: 0xffffffff } as const;

type NumberField = Named & { type: NumberType };

/** Statement that validates and writes a number, enumeration or flag word. */
function putNamed(
  field: NumberField,
  at: string,
  value: string,
  name: string,
  memory: Memory = STRUCT,
): string {
  if (field.type === 'be64') return `writeBe64(${memory.v}, ${at}, ${value}, '${name}');\n`;
  if (field.unit !== undefined) {
    const how = `${factorOf(field)}, ${field.none && NONE[field.none]}, '${name}'`;
    if (field.type === 'u64') {
      return `writeUnits(${memory.v}, ${at}, ${value}, x.exact?.${name}, ${how});\n`;
    }
    const check = CHECK[field.type];
    return put(field.type, at, `${check}(units(${value}, ${how}), '${name}')`, memory);
  }
  if (field.type === 'u64') {
    const write = field.none === undefined ? 'writeU64' : 'writeLimit';
    return `${write}(${memory.v}, ${at}, ${value}, '${name}');\n`;
  }
  const names = label(field);
  const number =
    names === undefined
      ? value
      : `${names}.${field.names instanceof Flags ? 'mask' : 'number'}(${value}, '${name}')`;
  return put(field.type, at, `${CHECK[field.type]}(${number}, '${name}')`, memory);
}

/**
 * Expression for the address family stated by a field of a struct: the given value, else derived from the
 * addresses that it governs.
 */
function familyOf(of: Struct, path: string): string {
  const { field, holder, struct } = resolve(of, path);
  // An inlined field governs the addresses of the outer struct; a nested one, those in its own struct.
  const [from, own] = holder === 'x' ? [of, path] : [struct, field.kernel];
  const governed = flat(from).filter(
    (one) => one.type === 'address' && (one.family ?? from.family) === own,
  );
  const addresses = governed.map(({ name }) => `${holder}.${name}`).join(', ');
  const value = `${holder}.${field.name}`;
  return `u16(${label(field as Named)}.number(${value} ?? familyOf(${addresses}), '${field.name}'), '${field.name}')`;
}

/** In a writer, the variable with the family at a path. */
const familyVariable = (of: Struct, path: string): string =>
  of.family === path ? 'own' : resolve(of, path).field.name;

/**
 * Whether a struct of which nothing is given is zero, as the memory is: then it is not written, which
 * makes a NEWSA request a tenth faster.
 */
const isZeroWithout = (of: Struct): boolean =>
  flat(of).every((field) =>
    field.type === 'struct'
      ? isZeroWithout(field.struct)
      : !('none' in field && field.none === 'ones'),
  );

function writeField(field: DecodedField, of: Struct, families: ReadonlySet<number>): string {
  const written = writeWhole(field, of, families);
  // An absent optional field at the end of a growing struct has no memory.
  const optional = 'optional' in field && field.optional === true;
  return optional ? `if (x.${field.name} !== undefined) {\n${written}}\n` : written;
}

function writeWhole(field: DecodedField, of: Struct, families: ReadonlySet<number>): string {
  const at = place(field.at);
  const value = `x.${field.name}`;
  const tail = tailOf(of);
  switch (field.type) {
    case 'reserved':
      return '';
    case 'truth':
      return `b[${at}] = u8(truthByte(${value}), '${field.name}');\n`;
    case 'address': {
      const family = field.family === undefined ? 'family' : familyVariable(of, field.family);
      return `writeAddress(b, ${at}, ${value}, ${family}, '${field.name}');\n`;
    }
    case 'name':
      return `writeText(b, ${at}, ${value}, ${field.size}, '${field.name}');\n`;
    case 'struct': {
      const outer = of.family === undefined ? 0 : 'family';
      const zero = isZeroWithout(field.struct);
      const write = `try {
        write${field.struct.name}(v, b, ${at}, ${value}${zero ? '' : ' ?? {}'}${needsOuter(field.struct) ? `, ${outer}` : ''});
      } catch (error) {
        throw within(error, '${field.name}');
      }\n`;
      return zero ? `if (${value}) {\n${write}}\n` : write;
    }
    case 'key':
      return `writeKey(b, ${at}, ${value});\n`;
    case 'words':
      return `${value}?.forEach((word, i) => {
        v.setUint32(${at} + 4 * i, u32(word, '${field.name}'), LE);
      });\n`;
    case 'text':
      return `writeText(b, ${at}, ${value}, size - ${field.at}, '${field.name}');\n`;
    case 'ip':
      return `writeIp(b, ${at}, ${value} ?? '', '${field.name}');\n`;
    case 'rest':
      return `if (${value}) b.set(${value}, ${at});\n`;
    case 'length': {
      if (tail === undefined) return ''; // a record: patched once its attributes are written
      const counted = field.counts === 'whole' ? 'size' : `(size - ${tail?.offset}) / 4`;
      return put(
        field.of as Exclude<NumberType, 'u64' | 'be64'>,
        at,
        `${CHECK[field.of as keyof typeof CHECK]}(${counted}, '${field.kernel}')`,
      );
    }
    default:
      if (families.has(field.at)) {
        const name = of.family && resolve(of, of.family).at === field.at ? 'own' : field.name;
        return put(field.type as Exclude<NumberType, 'u64' | 'be64'>, at, name);
      }
      if (tail?.type === 'key' && tail.bits === field.kernel) {
        return putNamed(field, at, `keyBits(${value}, x.${tail.name})`, field.name);
      }
      if (tail?.type === 'text' && tail.length === field.kernel) {
        return putNamed(field, at, `size - ${tail.offset}`, field.name);
      }
      return putNamed(field, at, value, field.name);
  }
}

/** Expression for the size of a struct with a variable part. */
function sizeOf(of: Struct): string {
  const tail = tailOf(of);
  const property = (kernel: string) => of.fields.find((one) => one.kernel === kernel)?.name;
  switch (tail?.type) {
    case 'key':
      return `${tail.offset} + keyLength(x.${property(tail.bits)}, x.${tail.name}, zeroKeys)`;
    case 'words':
      return `${tail.offset} + 4 * (x.${tail.name}?.length ?? 0)`;
    case 'text':
      return `${tail.offset} + textLength(x.${property(tail.length)}, x.${tail.name}, '${property(tail.length)}')`;
    case 'ip': {
      const family = of.fields.find((one) => one.kernel === tail.family);
      const names = family && label(family as Named);
      const value = `x.${property(tail.family)}`;
      return `${tail.offset} + ipLengthOf(x.${tail.name} ?? '', ${names ? `${names}.number(${value}, '${property(tail.family)}')` : `${value} ?? 0`}, '${tail.name}')`;
    }
    case 'rest': {
      // Only as long as the given fields need; what an older kernel lacks is omitted.
      const optional = of.fields.filter((one) => isOptional(one) && one.type !== 'rest');
      const lengths = optional.map(
        (one) => `x.${one.name} !== undefined ? ${one.offset + one.size} : `,
      );
      return `x.more !== undefined ? ${of.size} + x.more.length : ${lengths.reverse().join('')}${leastOf(of)}`;
    }
    default:
      throw new Error(`${of.kernel} is of fixed size`);
  }
}

/** Generates the writer of a struct; its memory is allocated and zeroed. */
export function writerOf(of: Struct): string {
  const tail = tailOf(of);
  let text = '';
  if (tail) {
    text += `/** Bytes of a struct ${of.kernel} with what trails it. */
export function sizeOf${of.name}(x: Encodable<${of.name}>${tail.type === 'key' ? ', zeroKeys: boolean' : ''}): number {
  return ${sizeOf(of)};
}\n\n`;
  }
  // Fields that state the family of addresses, with their variables.
  const stated = new Map<string, string>();
  for (const field of flat(of)) {
    if (field.type === 'address' && field.family) stated.set(field.family, '');
  }
  const outer = needsOuter(of);
  if (of.family !== undefined && of.family !== 'outer') stated.set(of.family, 'own');
  const families = new Set([...stated.keys()].map((path) => resolve(of, path).at));
  // A nested struct writes its own family field.
  const written = flat(of).map((field) => writeField(field, of, families));
  let body = '';
  for (const path of stated.keys()) {
    body += `const ${familyVariable(of, path)} = ${familyOf(of, path)};\n`;
  }
  if (of.family === 'outer') body += 'const family = outer;\n';
  else if (outer) body += 'const family = own || outer;\n';
  body += written.join('');
  if (!/\bfamily\b(?!['.])/.test(body.replace('const family = own || outer;\n', ''))) {
    body = body.replace('const family = own || outer;\n', '');
  }
  const uses = (parameter: string) =>
    new RegExp(`\\b${parameter}\\b`).test(body) ? parameter : `_${parameter}`;
  const parameters = [
    `${uses('v')}: DataView`,
    `${uses('b')}: Uint8Array`,
    'at: number',
    `x: Encodable<${of.name}>`,
    ...(outer && !tail ? [`${uses('outer')}: number`] : []),
    ...(/\bsize\b/.test(body) ? ['size: number'] : []),
  ];
  return `${text}export function write${of.name}(${parameters.join(', ')}): void {\n${body}}\n`;
}

/** Whether a writer needs the size of the struct including its variable part. */
export const needsSize = (of: Struct): boolean => {
  const tail = tailOf(of);
  return tail?.type === 'text' || tail?.type === 'words';
};

/** Arguments for a nest's writer, after the value. */
const nestArguments = (table: AttributeTable, family = 'family'): string =>
  `${usesFamily(table) ? `, ${family}` : ''}${usesKeys(table) ? ', zeroKeys' : ''}`;

/** Writes a nest, if it is given. */
function writeNest(
  number: number,
  value: string,
  table: AttributeTable,
  { header, flag, family }: { header?: Struct; flag?: true; family?: string } = {},
): string {
  const head =
    header === undefined
      ? ''
      : `const at = w.reserve(${header.size});\nwrite${header.name}(w.view, w.bytes, at, ${value});\n`;
  return `if (${value} !== undefined) {
    const nest = w.beginNest(${number}${flag ? ' | NLA_F_NESTED' : ''});
    ${head}write${table.name}(w, ${value}${nestArguments(table, family)});
    w.endNest(nest);
  }\n`;
}

function writeAttribute(of: Attribute, { attributes }: AttributeTable): string {
  const value = `x.${of.name}`;
  const given = (statements: string) => `if (${value} !== undefined) {\n${statements}}\n`;
  const payload = (size: string | number) => `const p = w.attribute(${of.number}, ${size});\n`;
  switch (of.type) {
    case 'pad':
      return '';
    case 'flag':
      return `if (${value}) w.attribute(${of.number}, 0);\n`;
    case 'address':
      return given(`${payload(16)}writeAddress(w.bytes, p, ${value}, family, '${of.name}');\n`);
    case 'ip':
      return given(
        `const size = ipLengthOf(${value}, ${familyOfIp(of)}, '${of.name}');\n${payload('size')}writeIp(w.bytes, p, ${value}, '${of.name}');\n`,
      );
    case 'u32 or u64':
      return given(
        `${payload(4)}${putNamed({ type: 'u32' }, 'p', value, of.name, ATTRIBUTE)}`,
      ).concat(
        `if (x.${of.wide.name} !== undefined) {\n${payload(8)}${putNamed({ type: 'u64', unit: of.wide.unit }, 'p', `x.${of.wide.name}`, of.wide.name, ATTRIBUTE)}}\n`,
      );
    case 'lladdr':
      return given(
        `const size = linkAddressLength(${value}, '${of.name}');\n${payload('size')}writeLinkAddress(w.bytes, p, ${value});\n`,
      );
    case 'numbers': {
      const size = NUMBER_SIZE[of.of];
      return given(
        `${payload(`${size} * ${value}.length`)}${value}.forEach((entry, i) => {
          ${putNamed({ type: of.of }, `p + ${size} * i`, 'entry', of.name, ATTRIBUTE)}});\n`,
      );
    }
    case 'choice': {
      const by = attributes.find(({ number }) => number === of.by)?.name;
      return [
        ...of.options.map((option) =>
          writeNest(of.number, `x.${option.name}`, option.table, {
            family: familyOfOption(option, `x.${by}`),
          }),
        ),
        given(`${payload(`${value}.length`)}w.bytes.set(${value}, p);\n`),
      ].join('');
    }
    case 'records': {
      const { struct, table } = of;
      return given(
        `const list = w.beginNest(${of.number});
        for (const entry of ${value}) {
          const at = w.reserve(${struct.size});
          write${struct.name}(w.view, w.bytes, at, entry);
          write${table.name}(w, entry${nestArguments(table)});
          w.view.setUint16(at, w.length - at, LE);
        }
        w.endNest(list);\n`,
      );
    }
    case 'string':
      if (of.repeated) {
        return given(
          `for (const entry of ${value}) {
            const size = textSize(entry, '${of.name}');
            ${payload('size + 1')}writeText(w.bytes, p, entry, size, '${of.name}');
          }\n`,
        );
      }
      return given(
        `const size = textSize(${value}, '${of.name}');\n${payload('size + 1')}writeText(w.bytes, p, ${value}, size, '${of.name}');\n`,
      );
    case 'bytes':
      return given(`${payload(`${value}.length`)}w.bytes.set(${value}, p);\n`);
    case 'nest':
      return writeNest(of.number, value, of.table, of);
    case 'nests':
      return given(
        `const nest = w.beginNest(${of.number});
        for (const [i, entry] of ${value}.entries()) {
          const inner = w.beginNest(${of.first} + i);
          write${of.table.name}(w, entry${nestArguments(of.table)});
          w.endNest(inner);
        }
        w.endNest(nest);\n`,
      );
    case 'struct': {
      const { struct } = of;
      const tail = tailOf(struct);
      const outer = needsOuter(struct) && !tail ? ', family' : '';
      const size = tail
        ? `const size = sizeOf${struct.name}(${value}${tail.type === 'key' ? ', zeroKeys' : ''});\n`
        : '';
      const more = needsSize(struct) ? ', size' : '';
      return given(
        `${size}${payload(tail ? 'size' : struct.size)}write${struct.name}(w.view, w.bytes, p, ${value}${outer}${more});\n`,
      );
    }
    case 'list': {
      const { struct } = of;
      const outer = needsOuter(struct) ? ', family' : '';
      return given(
        of.repeated
          ? `for (const entry of ${value}) {
            ${payload(struct.size)}write${struct.name}(w.view, w.bytes, p, entry${outer});
          }\n`
          : `${payload(`${struct.size} * ${value}.length`)}${value}.forEach((entry, i) => {
            write${struct.name}(w.view, w.bytes, p + ${struct.size} * i, entry${outer});
          });\n`,
      );
    }
    default:
      return given(payload(NUMBER_SIZE[of.type]) + putNamed(of, 'p', value, of.name, ATTRIBUTE));
  }
}

/** Generates the writer of an attribute space: given attributes in order, then unknown ones. */
export function writerOfTable(table: AttributeTable): string {
  const { name, attributes, shared, opaque } = table;
  const known = attributes.filter(({ type }) => type !== 'pad');
  const constant = name
    .replace(/[A-Z]/g, (letter, at) => (at === 0 ? letter : `_${letter}`))
    .toUpperCase();
  const parameters = [
    'w: MessageWriter',
    `x: Encodable<${name}>`,
    ...(shared ? ['order: readonly number[]'] : []),
    ...(usesFamily(table) ? ['family: number'] : []),
    ...(usesKeys(table) ? ['zeroKeys: boolean'] : []),
  ];
  const cases = known
    .map((one) => `case ${one.number}:\n${writeAttribute(one, table)}break;\n`)
    .join('');
  const order = shared ? 'order' : `${constant}_ORDER`;
  return `/** Kernel names of attributes, by number. */
const ${constant}: Readonly<Record<number, string>> = {${known.map(({ number, kernel }) => `${number}: '${kernel}'`).join(', ')}};
${shared ? '' : `const ${order} = [${known.map(({ number }) => number).join(', ')}];\n`}
/** Writes the attributes that are given${shared ? ', in an order' : ''}, then the unknown ones. */
export function write${name}(${parameters.join(', ')}): void {
  let type = 0;
  try {
    for (type of ${order}) {
      switch (type) {
${cases}}
    }
  } catch (error) {
    throw within(error, ${constant}[type] ?? String(type));
  }
  for (const raw of x.unknown ?? []) w.raw(raw${opaque ? ', zeroKeys' : ''});
}
`;
}
