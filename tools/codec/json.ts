/**
 * Generates JSON writers: straight-line functions from a message's bytes to the members that
 * lib/json/write.ts gives the decoded object, without making one. What is rare is refused, and left
 * to the readers: text, digits too large for a number, unknown and repeated attributes, errors.
 * @module
 */
import type { Attribute, AttributeTable } from '../../lib/wire/attribute-table.ts';
import { NUMBER_SIZE, type NumberType, type Struct } from '../../lib/wire/struct.ts';
import { XFRM_MAX_DEPTH } from '../../lib/xfrm/attributes.ts';
import { readAt, readNumber } from './read.ts';
import {
  type DecodedField,
  decoded,
  factorOf,
  label,
  leastOf,
  mayBeLarge,
  type Named,
  needsOuter,
  place,
  tailOf,
  usesFamily,
} from './shape.ts';

/** What is generated: the structs that messages begin with, and the attributes in them. */
export interface JsonOf {
  /** Path of the module, relative to the project root. */
  readonly file: string;
  /** Paths from there to lib/wire, and to the protocol's folder. */
  readonly wire: string;
  readonly protocol: string;
  readonly structs: readonly Struct[];
  readonly table: AttributeTable;
  /** Names of the attributes; others are refused. */
  readonly attributes: ReadonlySet<string>;
}

/** A struct whose text is refused, whatever it contains. */
const isRefused = (of: Struct): boolean => ['text', 'ip', 'rest'].includes(tailOf(of)?.type ?? '');

/** Statement that ends a function. */
const REFUSE = '{ o.refuse(); return; }';

/** Texts that functions write, by the names of their constants. */
class Texts {
  readonly #names = new Map<string, string>();

  nameOf(text: string): string {
    const name = this.#names.get(text) ?? `T${this.#names.size}`;
    this.#names.set(text, name);
    return name;
  }

  get declarations(): string {
    const lines = [...this.#names].map(([text, name]) => `const ${name} = ascii('${text}');\n`);
    return lines.join('');
  }
}

/** The body of a function: statements, with fixed text merged across them. */
class Body {
  #code = '';
  #pending = '';
  readonly #texts: Texts;

  constructor(texts: Texts) {
    this.#texts = texts;
  }

  text(text: string): void {
    this.#pending += text;
  }

  statement(code: string): void {
    this.#flush();
    this.#code += `${code}\n`;
  }

  #flush(): void {
    if (this.#pending === '') return;
    this.#code += `o.text(${this.#texts.nameOf(this.#pending)});\n`;
    this.#pending = '';
  }

  /** Text that waits to be merged with what follows. */
  take(): string {
    const text = this.#pending;
    this.#pending = '';
    return text;
  }

  get code(): string {
    this.#flush();
    return this.#code;
  }
}

/** Names of the enumerations and flag words that functions use. */
const namesOf = (used: Set<string>, field: Named): string | undefined => {
  const name = label(field);
  if (name !== undefined) used.add(name);
  return name;
};

/** The run of plain numbers from a field on that fill whole words: these are often all zero. */
function zerosAt(fields: readonly DecodedField[], from: number): DecodedField[] {
  const run: DecodedField[] = [];
  for (const field of fields.slice(from)) {
    const before = run.at(-1);
    const isPlain =
      field.type in NUMBER_SIZE &&
      !('names' in field && field.names) &&
      !('none' in field && field.none) &&
      !('unit' in field && field.unit);
    if (!isPlain || (before && before.at + before.size !== field.at)) break;
    run.push(field);
  }
  while (run.length > 0 && ((run[0] as DecodedField).at % 4 !== 0 || sizeOf(run) % 4 !== 0))
    run.pop();
  return run;
}

const sizeOf = (run: readonly DecodedField[]) => run.reduce((sum, { size }) => sum + size, 0);

/** Expressions for the words of 32 bits that a run fills. */
const wordsOf = (run: readonly DecodedField[]): string[] =>
  Array.from(
    { length: sizeOf(run) / 4 },
    (_, i) => `v.getInt32(${place((run[0] as DecodedField).at + 4 * i)})`,
  );

class Generator {
  readonly #texts = new Texts();
  readonly #names = new Set<string>();
  readonly #done = new Map<Struct, string>();

  /** Writes a number, or what it is called. */
  #number(body: Body, field: Named & { type: NumberType }, at: string): void {
    const { type, unit, none } = field;
    const names = namesOf(this.#names, field);
    if (names !== undefined) {
      body.statement(`o.text(${names}Texts.of(${readNumber(type, at)}));`);
    } else if (unit === undefined && none === undefined) {
      if (type === 'u64') body.statement(`o.digits(v, ${at});`);
      else if (type === 's32') body.statement(`o.signed(${readNumber(type, at)});`);
      else body.statement(`o.decimal(${readNumber(type, at)});`);
    } else if (unit === undefined && none === 'ones' && type === 'u64') {
      body.statement(`o.limit(v, ${at});`);
    } else if (mayBeLarge(field) && none === 'zero') {
      body.statement(`o.duration(v, ${at}, ${factorOf(field)});`);
    } else if (mayBeLarge(field) && none === undefined) {
      body.statement(`o.time(v, ${at}, ${factorOf(field)});`);
    } else throw new Error(`there is no JSON writer for ${type} in ${unit}`);
  }

  /** Writes a member with its name. @param first whether no member precedes it */
  #field(body: Body, field: DecodedField, of: Struct, first: boolean): void {
    const at = place(field.at);
    const name = `${first ? '' : ','}"${field.name}":`;
    if (field.type === 'u64' && field.unit === 'moment' && field.none === 'zero') {
      // What never happened is undefined, and has no member.
      if (first) throw new Error(`${of.kernel} begins with ${field.kernel}, which may be absent`);
      body.statement(`if (!isZero(v, ${at})) {`);
      body.text(name);
      body.statement(`o.time(v, ${at}, ${factorOf(field)});\n}`);
      return;
    }
    body.text(name);
    switch (field.type) {
      case 'truth':
        body.statement(`o.text(truthTexts.of(b[${at}] as number));`);
        break;
      case 'address': {
        const family = field.family === undefined ? 'family' : readAt(of, field.family);
        body.text('"');
        body.statement(`o.address(b, ${at}, ${family});`);
        body.text('"');
        break;
      }
      case 'name':
        body.text('"');
        body.statement(`o.name(b, ${at});`);
        body.text('"');
        break;
      case 'struct':
        this.#struct(field.struct);
        body.text('{');
        body.statement(
          `write${field.struct.name}(v, b, ${at}${needsOuter(field.struct) ? `, ${of.family === undefined ? 0 : 'family'}` : ''}, o);`,
        );
        body.text('}');
        break;
      case 'rest':
      case 'key':
      case 'length':
      case 'reserved':
      case 'words':
      case 'text':
      case 'ip':
        throw new Error(`${of.kernel}.${field.kernel} is written apart`);
      default:
        this.#number(body, field, at);
    }
  }

  /** Writes numbers that are usually zero, all of them at once if they are. */
  #zeros(body: Body, run: readonly DecodedField[], of: Struct, first: boolean): void {
    const zeros = run.map(({ name, type }) => `"${name}":${type === 'u64' ? '"0"' : 0}`).join(',');
    const inner = new Body(this.#texts);
    const before = body.take();
    inner.text(before);
    for (const [i, field] of run.entries()) this.#field(inner, field, of, first && i === 0);
    const text = this.#texts.nameOf(`${before}${first ? '' : ','}${zeros}`);
    body.statement(`if ((${wordsOf(run).join(' | ')}) === 0) o.text(${text});
      else {
        ${inner.code}}`);
  }

  /** Text of a struct of limits without any limit, the usual case. */
  #unlimited(of: Struct): string {
    const fields = decoded(of);
    const members = fields.map(({ name }) => `"${name}":null`).join(',');
    const words = fields.map((field) => {
      if (field.type !== 'u64' || field.none === undefined) {
        throw new Error(`${of.kernel}.${field.kernel} is no limit`);
      }
      return `${field.none === 'ones' ? 'isAllOnes' : 'isZero'}(v, ${place(field.at)})`;
    });
    return `if (${words.join(' && ')}) {
      o.text(${this.#texts.nameOf(members)});
      return;
    }\n`;
  }

  /** Generates the function of a struct, after those of the structs in it. */
  #struct(of: Struct): void {
    if (this.#done.has(of)) return;
    const body = new Body(this.#texts);
    const tail = tailOf(of);
    const fields = decoded(of).filter((field) => field.kernel !== tail?.kernel);
    for (let i = 0; i < fields.length; ) {
      const run = zerosAt(fields, i);
      if (run.length < 2) this.#field(body, fields[i++] as DecodedField, of, i === 1);
      else {
        this.#zeros(body, run, of, i === 0);
        i += run.length;
      }
    }
    let before = '';
    if (of.family === 'outer') before = 'const family = outer;\n';
    else if (of.family !== undefined)
      before = `const family = ${readAt(of, of.family)} || outer;\n`;
    if (of.fields.every((field) => field.type === 'u64' && field.none)) {
      before += this.#unlimited(of);
    }
    const more: string[] = [];
    if (needsOuter(of)) more.push('outer: number');
    if (tail?.type === 'key') {
      more.push('length: number');
      before += `if (Math.ceil(${readAt(of, tail.bits)} / 8) > length - ${tail.offset}) o.refuse();\n`;
    } else if (tail?.type === 'words') {
      more.push('length: number');
      body.text(`,"${tail.name}":[`);
      body.statement(
        `o.words(v, ${place(tail.offset)}, ${readAt(of, tail.count)}, length - ${tail.offset});`,
      );
      body.text(']');
    } else if (tail !== undefined) throw new Error(`${of.kernel} is refused`);
    const { code } = body;
    const uses = (parameter: string) =>
      new RegExp(`\\b${parameter}\\b`).test(before + code) ? parameter : `_${parameter}`;
    const parameters = [
      `${uses('v')}: DataView`,
      `${uses('b')}: Uint8Array`,
      'at: number',
      ...more,
    ];
    this.#done.set(
      of,
      `/** Members of ${of.name}. */\nexport function write${of.name}(${parameters.join(', ')}, o: JsonWriter): void {\n${before}${code}}\n`,
    );
  }

  #attribute(of: Attribute): string {
    const body = new Body(this.#texts);
    const need = (size: number) => body.statement(`if (n < ${size}) ${REFUSE}`);
    switch (of.type) {
      case 'flag':
        body.text(`,"${of.name}":true`);
        break;
      case 'address':
        need(16);
        body.text(`,"${of.name}":"`);
        body.statement('o.address(b, p, family);');
        body.text('"');
        break;
      case 'struct': {
        const { struct } = of;
        this.#struct(struct);
        need(leastOf(struct));
        body.text(`,"${of.name}":{`);
        const more = tailOf(struct) ? ', n' : needsOuter(struct) ? ', family' : '';
        body.statement(`write${struct.name}(v, b, p${more}, o);`);
        body.text('}');
        break;
      }
      case 'list': {
        const { struct } = of;
        this.#struct(struct);
        body.statement(`if (n % ${struct.size} !== 0 || n > ${struct.size} * MOST) ${REFUSE}`);
        body.text(`,"${of.name}":[`);
        body.statement(`for (let i = 0; i < n; i += ${struct.size}) {
          o.text(i === 0 ? ${this.#texts.nameOf('{')} : ${this.#texts.nameOf('},{')});
          write${struct.name}(v, b, p + i${needsOuter(struct) ? ', family' : ''}, o);
        }
        if (n > 0) o.text(${this.#texts.nameOf('}')});`);
        body.text(']');
        break;
      }
      default: {
        if (!(of.type in NUMBER_SIZE)) throw new Error(`there is no JSON writer for ${of.kernel}`);
        const number = of as Attribute & { type: NumberType };
        need(NUMBER_SIZE[number.type]);
        body.text(`,"${of.name}":`);
        this.#number(body, number, 'p');
      }
    }
    return body.code;
  }

  #table({ table, attributes }: JsonOf): string {
    const cases = table.attributes
      .filter(
        (one) => attributes.has(one.name) && !(one.type === 'struct' && isRefused(one.struct)),
      )
      .map((one) => `case ${one.number}: // ${one.kernel}\n${this.#attribute(one)}break;\n`)
      .join('');
    return `/** Most entries of a list: XFRM_MAX_DEPTH of include/net/xfrm.h. */
const MOST = ${XFRM_MAX_DEPTH};

/** Members for the attributes between \`at\` and \`end\`, each after a comma. */
export function write${table.name}(v: DataView, b: Uint8Array, at: number, end: number, use: Uint8Array, ${usesFamily(table) ? 'family: number, ' : ''}o: JsonWriter): void {
  o.noneSeen();
  while (at < end) {
    const length = o.attributeLength(v, at, end);
    if (length === 0) ${REFUSE}
    const p = at + NLA_HDRLEN;
    const n = length - NLA_HDRLEN;
    const type = v.getUint16(at + 2, LE) & NLA_TYPE_MASK;
    const known = type < use.length ? use[type] : 0;
    if (known !== SKIP) {
      if (o.seen(type)) ${REFUSE}
      switch (known) {
${cases}        default:
          ${REFUSE}
      }
    }
    at += align4(length);
  }
}
`;
  }

  generate(of: JsonOf, sources: string): string {
    for (const struct of of.structs) this.#struct(struct);
    const table = this.#table(of);
    const code = [...this.#done.values(), table].join('\n');
    const names = [...this.#names].sort();
    const helpers = ['isAllOnes', 'isZero', 'truthTexts'].filter((name) => code.includes(name));
    return `/**
 * Writers of JSON for the structs and attributes of SAs and policies, from their bytes.
 * Generated by tools/generate-codec.ts from ${sources}; do not edit.
 *
 * A writer takes a view of the buffer (v), the same bytes (b), an offset (at) and the output (o).
 * The caller has checked that the fixed part is there. What it cannot write it refuses (o.refuse).
 * @module
 */
import { ascii } from '${of.wire}ascii.ts';
import { align4, NLA_HDRLEN, NLA_TYPE_MASK } from '${of.wire}attribute.ts';
import { SKIP } from '${of.wire}attribute-table.ts';
import { LE } from '${of.wire}endian.ts';
import { ${names.join(', ')} } from '${of.protocol}names.ts';
import { ${[...helpers, 'type JsonWriter', 'textsOf'].join(', ')} } from './json-writer.ts';

${names.map((name) => `const ${name}Texts = textsOf(${name});\n`).join('')}
${this.#texts.declarations}
${code}`;
  }
}

/** The module of JSON writers, unformatted. */
export const generateJson = (of: JsonOf, sources: string): string =>
  new Generator().generate(of, sources);
