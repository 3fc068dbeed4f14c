/**
 * Generates readers: straight-line functions from bytes to values.
 * @module
 */
import type { Attribute, AttributeTable } from '../../lib/wire/attribute-table.ts';
import { Flags } from '../../lib/wire/names.ts';
import { NUMBER_SIZE, type NumberType, type Struct } from '../../lib/wire/struct.ts';
import { XFRMA_REPLAY_ESN_MAX } from '../../lib/xfrm/constants.ts';
import {
  type DecodedField,
  decoded,
  factorOf,
  familyOfIp,
  familyOfOption,
  isOptional,
  label,
  leastOf,
  mayBeLarge,
  type Named,
  needsOuter,
  place,
  resolve,
  tailOf,
  usesFamily,
  usesKeys,
} from './shape.ts';

export function readNumber(type: NumberType, at: string): string {
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
    case 'be64':
      return `v.getBigUint64(${at})`;
  }
}

function readNamed(field: Named & { type: NumberType }, at: string): string {
  if (field.unit !== undefined || field.none !== undefined) return readTime(field, at);
  const raw = readNumber(field.type, at);
  const names = label(field);
  if (names === undefined) return raw;
  return `${names}.${field.names instanceof Flags ? 'of' : 'name'}(${raw})`;
}

/** Expression for a limit, a duration or a point in time. */
function readTime(field: Named & { type: NumberType }, at: string): string {
  const { unit, none } = field;
  if (unit === undefined) return `readLimit(v, ${at})`;
  const whole = mayBeLarge(field) ? `readNearest(v, ${at})` : readNumber(field.type, at);
  const factor = factorOf(field);
  if (none === 'ones') return `orNoLimit32(${whole})`;
  const scaled = factor === 1 ? whole : `${whole} * ${factor}`;
  if (none === undefined) return scaled;
  return `${unit === 'moment' ? 'orNever' : 'orNoLimit'}(${scaled})`;
}

/** Statement that keeps the exact digits of large numbers, for fields with their offsets. */
function readExact(
  numbers: readonly (Named & { name: string; where: string })[],
  into: string,
): string {
  const large = numbers.filter(mayBeLarge);
  if (large.length === 0) return '';
  const any = large.map(({ where }) => `isLarge(v, ${where})`).join(' || ');
  const places = large.map(({ name, where }) => `'${name}', ${where}`).join(', ');
  // The attributes of a space are read one at a time, and the last of several counts.
  if (into === 'into') return `if (${any} || into.exact) replaceExact(into, v, ${places});\n`;
  return `if (${any}) ${into}.exact = readExact(v, ${places});\n`;
}

/** Expression for the number at a path of kernel names. */
export function readAt(of: Struct, path: string): string {
  const { field, at } = resolve(of, path);
  const type = field.type === 'length' ? field.of : field.type;
  if (!(type in NUMBER_SIZE)) throw new Error(`${of.kernel}: ${path} is no number`);
  return readNumber(type as NumberType, place(at));
}

function readField(field: DecodedField, of: Struct): string {
  const at = place(field.at);
  switch (field.type) {
    case 'truth':
      return `readTruth(b[${at}] as number)`;
    case 'address': {
      const family = field.family === undefined ? 'family' : readAt(of, field.family);
      return `readAddress(b, ${at}, ${family})`;
    }
    case 'name':
      return `readName(b, ${at})`;
    case 'struct': {
      const outer = of.family === undefined ? 0 : 'family';
      return `read${field.struct.name}(v, b, ${at}${needsOuter(field.struct) ? `, ${outer}` : ''})`;
    }
    case 'words':
      return '[]';
    case 'text':
    case 'ip':
      return "''";
    case 'rest':
    case 'key':
    case 'length':
    case 'reserved':
      throw new Error(`${of.kernel}.${field.kernel} is read apart`);
    default:
      return readNamed(field, at);
  }
}

/** Reads fields that older kernels lack, and whatever newer ones append. */
function readGrown(of: Struct): string {
  const optional = decoded(of).filter((field) => isOptional(field) && field.type !== 'rest');
  const lines = optional.map(
    (field) =>
      `if (length >= ${field.at + field.size}) value.${field.name} = ${readField(field, of)};\n`,
  );
  return `${lines.join('')}if (length > ${of.size}) value.more = b.slice(${place(of.size)}, at + length);`;
}

/** Bytes of words that a message may omit: those of the largest replay window. */
const MOST_ZEROS = XFRMA_REPLAY_ESN_MAX / 8;

/** The number of trailing bytes, and the code that reads them once they are known to be present. */
function readTail(of: Struct): { bytes: string; read: string } {
  const tail = tailOf(of);
  const start = place(tail?.offset ?? 0);
  switch (tail?.type) {
    case 'key':
      return {
        bytes: `Math.ceil(${readAt(of, tail.bits)} / 8)`,
        read: `if (keys) value.key = new KeyMaterial(b.slice(${start}, ${start} + bytes));`,
      };
    case 'words':
      return {
        bytes: `${readAt(of, tail.count)} * 4`,
        // If omitted, all are 0: the kernel accepts an ESN replay state without its window, as iproute2 7.3 sends it
        // (net/xfrm/xfrm_user.c, verify_replay and xfrm_alloc_replay_state_esn).
        read: `for (let i = ${start}; i < ${start} + bytes; i += 4) value.${tail.name}.push(length === ${tail.offset} ? 0 : v.getUint32(i, LE));`,
      };
    case 'text':
      return {
        bytes: readAt(of, tail.length),
        read: `value.${tail.name} = readString(b, ${start}, bytes);`,
      };
    case 'ip':
      return {
        bytes: `length - ${tail.offset}`,
        read: `value.${tail.name} = readIpOf(b, ${start}, bytes, ${readAt(of, tail.family)}, path);`,
      };
    default:
      throw new Error(`${of.kernel} is of fixed size`);
  }
}

/**
 * Early return for a struct of limits without any limit, the usual case: checking all words together
 * saves about 30 of 300 ns per policy event.
 */
function readUnlimited(of: Struct): string {
  const limits = decoded(of).map((field) => {
    if (field.type !== 'u64' || field.none === undefined) {
      throw new Error(`${of.kernel}.${field.kernel} is no limit`);
    }
    return { ...field, unlimited: field.none === 'ones' };
  });
  const words = (unlimited: boolean, operator: string) =>
    limits
      .filter((limit) => limit.unlimited === unlimited)
      .flatMap(({ at }) => [`v.getInt32(${place(at)})`, `v.getInt32(${place(at + 4)})`])
      .join(operator);
  const lines = limits.map(({ name }) => `${name}: NO_LIMIT,\n`);
  return `  if ((${words(true, ' & ')}) === -1 && (${words(false, ' | ')}) === 0) {
    return {\n${lines.join('')}};\n  }\n`;
}

/** Generates the reader of a struct. */
export function readerOf(of: Struct): string {
  const tail = tailOf(of);
  let body = '';
  let fixed = '';
  if (of.family === 'outer') body += '  const family = outer;\n';
  else if (of.family !== undefined) body += `  const family = ${readAt(of, of.family)} || outer;\n`;
  const lines = decoded(of).flatMap((field) =>
    isOptional(field) ? [] : `    ${field.name}: ${readField(field, of)},\n`,
  );
  const literal = `{\n${lines.join('')}  }`;
  const more: string[] = [];
  if (tail === undefined) {
    if (needsOuter(of)) more.push('outer: number');
    if (of.fields.every((field) => field.type === 'u64' && field.none)) body += readUnlimited(of);
    const exact = readExact(
      decoded(of).map((field) => ({ ...field, where: place(field.at) })),
      'value',
    );
    body += exact
      ? `  const value: ${of.name} = ${literal};\n  ${exact}  return value;\n`
      : `  return ${literal};\n`;
  } else if (tail.type === 'rest') {
    more.push('length: number');
    body += `  const value: ${of.name} = ${literal};\n${readGrown(of)}\n  return value;\n`;
  } else {
    const { bytes, read } = readTail(of);
    more.push('length: number', 'path: string');
    if (tail.type === 'key') more.push('keys: boolean');
    body += `  const bytes = ${bytes};\n`;
    if (tail.type !== 'ip') {
      const isMissing =
        tail.type === 'words' ? ` && (length > ${tail.offset} || bytes > ${MOST_ZEROS})` : '';
      body += `  if (bytes > length - ${tail.offset}${isMissing}) tooShort(path, at, ${tail.offset} + bytes, length);\n`;
    }
    const whole = of.fields.find((field) => field.type === 'length' && field.counts === 'whole');
    if (whole !== undefined) {
      const stated = readAt(of, whole.kernel);
      body += `  if (${stated} !== ${tail.offset} + bytes) wrongLength(path, at, ${tail.offset} + bytes, ${stated});\n`;
    }
    if (of.recurs) {
      // What is before the key may be shared; a value with a key never is.
      fixed = `const fixed${of.name} = recurring(${tail.offset}, (v, b, at): ${of.name} => (${literal}));\n`;
      body += `  const shared = fixed${of.name}(v, b, at);
  const value = keys ? { ...shared } : shared;
  ${read}
  return value;
`;
    } else {
      body += `  const value: ${of.name} = ${literal};
  ${read}
  return value;
`;
    }
  }
  const uses = (parameter: string) =>
    new RegExp(`\\b${parameter}\\b`).test(body) ? parameter : `_${parameter}`;
  const parameters = [`${uses('v')}: DataView`, `${uses('b')}: Uint8Array`, 'at: number', ...more];
  const shape = decoded(of).map(({ name }) => `${name}: undefined`);
  const unboxed = decoded(of).some(mayBeLarge) ? `withoutBoxes({ ${shape.join(', ')} });\n` : '';
  if (of.recurs && tail === undefined) {
    const given = [uses('v'), uses('b'), 'at', ...(needsOuter(of) ? ['outer'] : [])].join(', ');
    return `${unboxed}export const read${of.name} = recurring(${wholeWords(of)}, (${given}): ${of.name} => {\n${body}});\n`;
  }
  return `${unboxed}${fixed}export function read${of.name}(${parameters.join(', ')}): ${of.name} {\n${body}}\n`;
}

/** The size of a struct that recurs, without reserved bytes at its end that are no whole word. */
function wholeWords(of: Struct): number {
  const size = of.size & ~3;
  if (decoded(of).some(({ at }) => at >= size))
    throw new Error(`${of.kernel} has fields at its end`);
  return size;
}

/** Arguments for a nest's reader, after the end offset. */
function nestArguments(table: AttributeTable, family = 'family'): string {
  if (table.shared) throw new Error(`${table.name} is shared: it cannot be nested`);
  return `${usesFamily(table) ? `, ${family}` : ''}${usesKeys(table) ? ', keys' : ''}`;
}

/** Reads a nest into a property. */
function readNest(
  kernel: string,
  into: string,
  table: AttributeTable,
  header?: Struct,
  family?: string,
): string {
  const start = header === undefined ? '{}' : `read${header.name}(v, b, p)`;
  const from = header === undefined ? 'p' : `p + ${header.size}`;
  return `${into} = ${start};
    try {
      read${table.name}(v, b, ${from}, p + n${nestArguments(table, family)}, ${into});
    } catch (error) {
      throw within(error, '${kernel}');
    }\n`;
}

function readAttribute(of: Attribute): string {
  const into = `into.${of.name}`;
  const need = (size: number) => `if (n < ${size}) tooShort('${of.kernel}', at, ${size}, n);\n`;
  switch (of.type) {
    case 'pad':
      return '';
    case 'flag':
      return `${into} = true;\n`;
    case 'address':
      return `${need(16)}${into} = readAddress(b, p, family);\n`;
    case 'ip':
      return `${into} = readIpOf(b, p, n, ${familyOfIp(of)}, '${of.kernel}');\n`;
    case 'u32 or u64': {
      const wide = { type: 'u64', ...of.wide } as const;
      return `${need(4)}if (n < 8) ${into} = ${readNumber('u32', 'p')};
        else {
          into.${wide.name} = ${readTime(wide, 'p')};
          ${readExact([{ ...wide, where: 'p' }], 'into')}
        }\n`;
    }
    case 'lladdr':
      return `${into} = readLinkAddress(b, p, n);\n`;
    case 'string':
      return of.repeated
        ? `${into} ??= [];\n${into}.push(readString(b, p, n));\n`
        : `${into} = readString(b, p, n);\n`;
    case 'numbers': {
      const size = NUMBER_SIZE[of.of];
      return `if (n % ${size} !== 0) notAMultiple('${of.kernel}', at, ${size}, n);
        ${into} = [];
        for (let i = p; i < p + n; i += ${size}) ${into}.push(${readNumber(of.of, 'i')});\n`;
    }
    case 'choice': {
      // Searched only once, however often the attribute occurs.
      const found =
        of.of === 'string'
          ? `findString(v, b, first, end, ${of.by}) ?? ''`
          : `findU16(v, first, end, ${of.by}) ?? -1`;
      const cases = of.options.map(
        (option) =>
          `${option.values.map((value) => `case ${typeof value === 'string' ? `'${value}'` : value}:\n`).join('')}${readNest(of.kernel, `into.${option.name}`, option.table, undefined, familyOfOption(option, `by${of.by}`))}break;\n`,
      );
      return `by${of.by} ??= ${found};\nswitch (by${of.by}) {\n${cases.join('')}default:\n${into} = b.slice(p, p + n);\n}\n`;
    }
    case 'records': {
      const { struct, table } = of;
      return `${into} = [];
        for (let i = p; i < p + n; ) {
          if (p + n - i < ${struct.size}) tooShort('${of.kernel}', i, ${struct.size}, p + n - i);
          const size = v.getUint16(i, LE);
          if (size < ${struct.size} || size > p + n - i) wrongRecord('${of.kernel}', i, size, p + n - i);
          const entry: ${struct.name} & ${table.name} = read${struct.name}(v, b, i);
          try {
            read${table.name}(v, b, i + ${struct.size}, i + size${nestArguments(table)}, entry);
          } catch (error) {
            throw within(within(error, \`[\${${into}.length}]\`), '${of.kernel}');
          }
          ${into}.push(entry);
          i += align4(size);
        }\n`;
    }
    case 'bytes':
      return `${into} = b.slice(p, p + n);\n`;
    case 'nest':
      return (
        (of.header === undefined ? '' : need(of.header.size)) +
        readNest(of.kernel, into, of.table, of.header)
      );
    case 'nests':
      return `${into} = [];
        for (let i = p; i < p + n; i += align4(attributeLength(v, i, p + n))) {
          const entry: ${of.table.name} = {};
          const inner = i + attributeLength(v, i, p + n);
          try {
            read${of.table.name}(v, b, i + NLA_HDRLEN, inner${nestArguments(of.table)}, entry);
          } catch (error) {
            throw within(within(error, \`[\${${into}.length}]\`), '${of.kernel}');
          }
          ${into}.push(entry);
        }\n`;
    case 'struct': {
      const { struct } = of;
      let more = '';
      const tail = tailOf(struct);
      if (tail?.type === 'rest') more = ', n';
      else if (tail) more = `, n, '${of.kernel}'${tail.type === 'key' ? ', keys' : ''}`;
      else if (needsOuter(struct)) more = ', family';
      return `${need(leastOf(struct))}${into} = read${struct.name}(v, b, p${more});\n`;
    }
    case 'list': {
      const { struct } = of;
      const { size, name } = struct;
      const outer = needsOuter(struct) ? ', family' : '';
      const check = `if (n % ${size} !== 0) notAMultiple('${of.kernel}', at, ${size}, n);\n`;
      return of.repeated
        ? `${need(size)}${check}${into} ??= [];
          for (let i = p; i < p + n; i += ${size}) ${into}.push(read${name}(v, b, i${outer}));\n`
        : // Allocated at its exact size: a growing array reserves room for 17 at the first entry.
          `${check}${into} = new Array<${name}>(n / ${size});
          for (let i = 0; i < n / ${size}; i++) ${into}[i] = read${name}(v, b, p + i * ${size}${outer});\n`;
    }
    default:
      return `${need(NUMBER_SIZE[of.type])}${into} = ${readNamed(of, 'p')};\n${readExact([{ ...of, where: 'p' }], 'into')}`;
  }
}

/** Where the search for discriminating attributes starts, and what was found. */
function chosenIn({ attributes }: AttributeTable): string {
  const choices = attributes.flatMap((one) => (one.type === 'choice' ? [one] : []));
  if (choices.length === 0) return '';
  const found = choices.map(
    (one) => `let by${one.by}: ${one.of === 'string' ? 'string' : 'number'} | undefined;\n`,
  );
  return `const first = at;\n${[...new Set(found)].join('')}`;
}

/** Generates the reader of an attribute space. */
export function readerOfTable(table: AttributeTable): string {
  const { name, attributes, shared, opaque } = table;
  const known = attributes.filter(({ type }) => !(shared && type === 'pad'));
  const body = known
    .map((one) => `case ${one.number}: // ${one.kernel}\n${readAttribute(one)}break;\n`)
    .join('');
  const parameters = [
    'v: DataView',
    'b: Uint8Array',
    'at: number',
    'end: number',
    ...(shared ? ['use: Uint8Array'] : []),
    ...(usesFamily(table) ? ['family: number'] : []),
    ...(usesKeys(table) ? ['keys: boolean'] : []),
    `into: ${name}`,
  ];
  return `/** Reads the attributes between \`at\` and \`end\` into \`into\`. */
export function read${name}(${parameters.join(', ')}): void {
${chosenIn(table)}  while (at < end) {
    const length = attributeLength(v, at, end);
    const p = at + NLA_HDRLEN;
    const n = length - NLA_HDRLEN;
    const type = v.getUint16(at + 2, LE) & NLA_TYPE_MASK;
    switch (${shared ? 'type < use.length ? use[type] : 0' : 'type'}) {
${body}${shared ? 'case SKIP:\nbreak;\n' : ''}      default:
        into.unknown ??= [];
        into.unknown.push(${opaque ? 'opaqueAttribute(v, b, at, length, keys)' : 'rawAttribute(v, b, at, length)'});
    }
    at += align4(length);
  }
}
`;
}
