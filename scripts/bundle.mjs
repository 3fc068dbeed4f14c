// dist/ as it is published: a few files instead of one a module, which start in a fraction of the time.
// Their source maps, and those of the declarations, lead to src/: the sources of lib/, one file a folder,
// so that debuggers and "go to definition" find them on disk.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import remapping from '@jridgewell/remapping';
import { decode, encode } from '@jridgewell/sourcemap-codec';
import { rolldown } from 'rolldown';
import { dts } from 'rolldown-plugin-dts';
import { root } from './setup.mjs';

/** Shares nothing with the library, which has the numbers as literals, and would have to export a thousand of them. */
const CONSTANTS = 'lib/constants';
/** Entry points of the library, as package.json names them in dist/. */
const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const LIBRARY = Object.values(exports)
  .flatMap((path) => /^\.\/dist\/(.+)\.js$/.exec(path)?.[1] ?? [])
  .filter((name) => name !== CONSTANTS);
/** The command, as bin/ names it, and the program that keeps a guest. */
const PROGRAM = 'lib/cli/main';
const PROGRAMS = [PROGRAM, 'lib/lab/keep-server'];
/** The chunk with rolldown's helpers: how modules of CommonJS become others, and what an `import()` gives. */
const RUNTIME = 'rolldown-runtime';
/** Packages that become part of dist/: to find, read and wrap them takes longer than to run them. */
const INCLUDED = /^(commander|picocolors|@oxc-project\/runtime\/.*)$/;
/** Whose licenses go with them; rolldown has the parts of @oxc-project/runtime in itself. */
const LICENSED = ['commander', 'picocolors', 'rolldown'];

const dist = join(root, 'dist');
const sources = join(root, 'src');
/** What tsc makes of lib/, a file a module, with maps. */
const modules = join(root, 'build/modules');

/** What a bundle keeps as an import: Node's own modules and dependencies. */
const external = (id) => !id.startsWith('.') && !id.startsWith('/');

/**
 * Three folders down, as every module of lib/ that finds files of the package by its own place. Those of code have a
 * hash in their name: a process that runs while the package is replaced would otherwise load a later part of
 * another version, whose short names of exports mean something else.
 */
const chunks = (extension) => `lib/chunks/[name]${extension}`;

const entries = (names, folder, extension) =>
  Object.fromEntries(names.map((name) => [name, join(folder, `${name}${extension}`)]));

/** `import * as R` of the kernel's numbers, and uses of R other than `R.NAME`: `R[name]`, an argument. */
const NUMBERS = /^import \* as (\w+) from '(.+constants\.ts)';$/gm;
const asObject = (name) => new RegExp(`(?<!\\* as |typeof )\\b${name}\\b(?![.\\w])`);

/**
 * Where a module looks up the kernel's numbers by name, it gets them as one object literal. What a bundle
 * makes of a namespace, a getter for each of a thousand numbers, takes a third of the time of loading all.
 */
const numbersAsObject = {
  name: 'numbers-as-object',
  transform: inPlace((code) =>
    code.replace(NUMBERS, (whole, name, path) =>
      asObject(name).test(code) ? `import ${name} from '${path}?object';` : whole,
    ),
  ),
  resolveId: (id, importer) => (id.endsWith('?object') ? join(dirname(importer), id) : undefined),
  async load(id) {
    if (!id.endsWith('?object')) return undefined;
    const compiled = relative(root, id.slice(0, -'.ts?object'.length));
    const numbers = await import(pathToFileURL(join(modules, `${compiled}.js`)).href);
    const literal = (value) => (typeof value === 'bigint' ? `${value}n` : `${value}`);
    const pairs = Object.entries(numbers).map(([name, value]) => `${name}:${literal(value)}`);
    return { code: `export default {${pairs}};`, moduleType: 'js' };
  },
};

/** Modules that state structs and attributes. */
const TABLES = /\/lib\/(xfrm|route)\/(structs|attributes|link-attributes|link-kinds)\.ts$/;
/** Comments, which may hold quotes, and texts. */
const COMMENT_OR_TEXT = /\/\*.*?\*\/|\/\/[^\n]*|(['"])(?:(?!\1)[^\\]|\\.)*\1/gs;
const isSentence = (text) => /^['"](.* .*|.*\.)['"]$/s.test(text);

/** What tables say in sentences is for who generates types and schemas from them. */
const tablesWithoutSentences = {
  name: 'tables-without-sentences',
  transform: inPlace((code, id) =>
    TABLES.test(id)
      ? code.replace(COMMENT_OR_TEXT, (text) => (isSentence(text) ? "''" : text))
      : code,
  ),
};

/** `import { A, B as C } from 'node:x'`, with or without types among them. */
const BUILTIN = /^import \{([^}]+)\} from '(node:[^']+)';$/gm;
const REQUIRED = /\brequire\('(node:[^']+)'\)/g;
/** (Commander has a `process` of its own.) */
const builtin = (id) => `globalThis.process.getBuiltinModule('${id}')`;
/** Keeps the lines of what it replaces. */
const destructured = (names) =>
  names
    .replace(/\btype [^,}]+,?/g, '')
    .replaceAll(' as ', ': ')
    .replace(/,(\s*)$/, '$1');

/**
 * A module of Node's is taken as it is. To import it, Node would read each of its properties, and some
 * are modules loaded when they are read: with node:fs come all streams.
 */
const builtins = {
  name: 'builtins',
  transform: inPlace((code, id) =>
    // What rolldown adds imports what it may not need, which must stay an import to be left out.
    id.startsWith('\0')
      ? code
      : code
          .replace(BUILTIN, (_, names, id) => `const {${destructured(names)}} = ${builtin(id)};`)
          .replace(REQUIRED, (_, id) => builtin(id)),
  ),
};

/** Commander needs it for subcommands that are programs of their own, which ours are not. */
const CHILD_PROCESS = "const childProcess = require('node:child_process');";
const commanderAlone = {
  name: 'commander-alone',
  transform: inPlace((code, id) => {
    if (!id.endsWith('/commander/lib/command.js')) return code;
    if (!code.includes(CHILD_PROCESS)) throw new Error(`${id} has changed`);
    return code
      .replace(CHILD_PROCESS, '')
      .replaceAll('childProcess.', `${builtin('node:child_process')}.`);
  }),
};

/** A transformation that leaves each line where it is, so that maps, which have one place a line, still fit. */
function inPlace(change) {
  return (code, id) => {
    const changed = change(code, id);
    return changed === code ? undefined : { code: changed, map: null };
  };
}

/** Files of dist/: each has modules and all that those import, but for what is in the files before it. */
const WHOLE = {
  // With what says of an error what to do: where descriptors have run out, it could not be loaded any more.
  library: ['lib/index', 'lib/xfrm', 'lib/route', 'lib/cli/report-error'],
  rtnetlink: ['lib/route/rtnetlink'],
  tunnels: ['lib/tunnel/tunnels', 'lib/tunnel/addresses'],
  connection: ['lib/netlink/netlink-connection'],
  testing: ['lib/testing/index', 'lib/testing/place'],
  command: ['lib/cli/main'],
  lists: ['lib/cli/list'],
  monitor: ['lib/cli/monitor'],
  'tunnel-commands': ['lib/cli/tunnels', 'lib/cli/wait', 'lib/cli/check'],
  lab: ['lib/lab/index'],
  suites: ['lib/cli/test'],
};

/** What is always loaded together is one file: each that is loaded takes as long as 100 KB of code do. */
class Together {
  #imports = new Map();

  plugin = {
    name: 'together',
    moduleParsed: ({ id, importedIds }) => void this.#imports.set(id, importedIds),
  };

  /** A module, all that it imports, and what that does. */
  #closure(id, found) {
    if (found.has(id)) return found;
    found.add(id);
    for (const imported of this.#imports.get(id) ?? []) this.#closure(imported, found);
    return found;
  }

  groups = Object.entries(WHOLE).map(([name, entries], i, all) => {
    let whole;
    const test = (id) => {
      whole ??= entries.reduce(
        (found, one) => this.#closure(join(root, `${one}.ts`), found),
        new Set(),
      );
      return whole.has(id);
    };
    return { name, test, priority: all.length - i };
  });
}

async function bundleCode(names) {
  const together = new Together();
  const build = await rolldown({
    input: entries(names, root, '.ts'),
    platform: 'node',
    external: (id) => external(id) && !INCLUDED.test(id),
    plugins: [numbersAsObject, tablesWithoutSentences, commanderAlone, builtins, together.plugin],
    // As tsconfig.json has it.
    transform: { target: 'es2022' },
    optimization: { inlineConst: { mode: 'all', pass: 3 } },
    // The order of loading is kept as it is: modules without side effects only move.
    treeshake: { moduleSideEffects: (id) => id.endsWith('/monitor/trace.ts') || undefined },
  });
  const { output } = await build.write({
    dir: dist,
    format: 'esm',
    sourcemap: true,
    comments: false,
    // Names are kept: they are in traces, and in what an error says. So are lines: Node shows that of an error.
    minify: { compress: true, mangle: { keepNames: true }, codegen: { removeWhitespace: false } },
    // The program is its own entry: another file would only name this one.
    entryFileNames: ({ name }) => (name === PROGRAM ? 'lib/unused.js' : '[name].js'),
    chunkFileNames: ({ name }) => (name === 'command' ? `${PROGRAM}.js` : chunks('-[hash].js')),
    codeSplitting: { groups: together.groups },
  });
  await build.close();
  const unused = output.filter(({ name }) => name === PROGRAM || name === RUNTIME);
  for (const { fileName } of unused) rmSync(join(dist, fileName));
  const helpers = output.find(({ name }) => name === RUNTIME)?.code;
  return output
    .filter((file) => !unused.includes(file))
    .map((file) => ({ ...file, finish: (code) => ascii(withHelpers(code, helpers)) }));
}

const HELPERS = /^import (?:\{(.+)\} from )?".+\/rolldown-runtime-.+\.js";$/m;

/** Has what rolldown's code needs of its helpers on one line, where they were imported: a file takes longer. */
const withHelpers = (code, helpers) =>
  code.replace(HELPERS, (_, names) => {
    if (names === undefined) return '';
    const [, text, exported] = /^(.+)export \{(.+)\};/s.exec(helpers);
    const body = text.replace(/^\/\/.*$/gm, '').replace(/\s+/g, ' ');
    const object = exported.replace(/(\w+) as (\w+)/g, '$2: $1');
    return `const {${names.replaceAll(' as ', ': ')}} = (() => {${body}return {${object}};})();`;
  });

function compile() {
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  const flags = ['--declarationMap', '--incremental', 'false'];
  const args = [tsc, '-p', join(root, 'tsconfig.json'), ...flags, '--outDir', modules];
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: ['ignore', 2, 2] });
  if (status !== 0) throw new Error('tsc failed');
}

async function bundleDeclarations(code) {
  const build = await rolldown({
    input: entries([...LIBRARY, CONSTANTS], modules, '.d.ts'),
    platform: 'node',
    external,
    checks: { pluginTimings: false },
    plugins: [dts({ dtsInput: true, emitDtsOnly: true, sourcemap: true, tsconfig: false })],
  });
  const { output } = await build.write({
    dir: dist,
    format: 'esm',
    sourcemap: true,
    entryFileNames: '[name].d.ts',
    // TypeScript 6 and newer take no types of their own accord.
    banner: '/// <reference types="node" />',
    chunkFileNames: chunks('.d.ts'),
    codeSplitting: { groups: [{ name: 'shared', minShareCount: 2 }] },
  });
  await build.close();
  // No declaration needs its helpers.
  const [unused] = output.filter(({ name }) => name === RUNTIME);
  if (unused !== undefined) rmSync(join(dist, unused.fileName));
  const valuesOf = ({ name, isEntry }) =>
    isEntry ? code.find((one) => one.isEntry && one.name === name)?.exports : undefined;
  return output
    .filter((file) => file !== unused)
    .map((file) => {
      const values = valuesOf(file);
      const finish = (text) => forOlder(values ? withTypes(text, values) : text);
      return { ...file, finish };
    });
}

/** The file of src/ that holds a module of lib/. */
const sourceOf = (path) => (dirname(path) === 'lib' ? 'index.ts' : `${path.split('/')[1]}.ts`);

/** What the declarations say too, or who changes the sources reads in the repository. Lines stay where they are. */
const withoutDocs = (text) =>
  text.replace(/^[ \t]*\/\*\*.*?\*\/$/gms, (comment) => comment.replace(/[^\n]/g, ''));

/** Writes src/. @returns by path of a module: its file there, and the line it begins on */
function writeSources() {
  const files = new Map();
  const places = new Map();
  for (const entry of readdirSync(join(root, 'lib'), { recursive: true }).sort()) {
    const path = join('lib', entry);
    // Generated: their code and declarations say as much.
    if (!path.endsWith('.ts') || /^(codec|types)\.ts$/.test(basename(path))) continue;
    const file = sourceOf(path);
    const lines = files.get(file) ?? [];
    lines.push(`// ${path}`);
    places.set(path, { file, line: lines.length });
    lines.push(...withoutDocs(readFileSync(join(root, path), 'utf8')).split('\n'));
    files.set(file, lines);
  }
  rmSync(sources, { recursive: true, force: true });
  mkdirSync(sources);
  for (const [file, lines] of files) writeFileSync(join(sources, file), lines.join('\n'));
  return places;
}

/**
 * A map that leads to src/, with one place a line of the source: those within lines are most of a map.
 */
function rewrite(map, path, places) {
  const from = join(dist, dirname(path));
  const own = map.sources.map((source) => places.get(relative(root, join(from, source ?? ''))));
  const files = [...new Set(own.filter(Boolean).map(({ file }) => file))];
  const lines = decode(map.mappings).map((segments) => {
    const kept = [];
    for (const [column, source, sourceLine, sourceColumn] of segments) {
      if (own[source] === undefined) continue;
      const { file, line } = own[source];
      const place = [column, files.indexOf(file), sourceLine + line, sourceColumn];
      const last = kept.at(-1);
      if (last?.[1] !== place[1] || last[2] !== place[2]) kept.push(place);
    }
    return kept;
  });
  return {
    version: 3,
    file: basename(path),
    names: [],
    sources: files.map((file) => relative(from, join(sources, file))),
    mappings: encode(lines),
  };
}

/** Type arguments that TypeScript before 5.7 (the arrays) and 5.6 (the iterator) does not know. */
const forOlder = (code) =>
  code
    .replaceAll(/\b(Uint8Array|DataView)<ArrayBuffer(Like)?>/g, '$1')
    .replaceAll(/\b(AsyncIterable(?:Iterator)?<(?:[\w |]|<[\w |]+>)+), undefined>/g, '$1>');

/**
 * What is exported as a type only, also of a class or a constant: rolldown forgets that, and TypeScript would let it be
 * imported as a value, which is not there.
 */
const withTypes = (code, values) =>
  code.replace(/^export \{ (.+) \};$/m, (_, names) => {
    const marked = names.split(', ').map((one) => {
      const isValue = values.includes(one.split(' ').at(-1));
      return isValue || one.startsWith('type ') ? one : `type ${one}`;
    });
    return `export { ${marked.join(', ')} };`;
  });

/** A map of declarations leads to tsc's, whose own maps lead to the sources. */
function throughModules(map, path) {
  const from = join(dist, dirname(path));
  const loaded = remapping(
    { ...map, sources: map.sources.map((name) => join(from, name ?? '')) },
    (name) => {
      if (!name.startsWith(modules)) return null;
      try {
        const inner = JSON.parse(readFileSync(`${name}.map`, 'utf8'));
        return { ...inner, sources: inner.sources.map((source) => join(dirname(name), source)) };
      } catch {
        return null;
      }
    },
  );
  return { ...loaded, sources: loaded.sources.map((name) => relative(from, name ?? '')) };
}

/** Text of more than ASCII is kept, and read, as UTF-16: all that is not ASCII is in strings, where it can be escaped. */
const ascii = (code) =>
  code.replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);

function writeLicenses() {
  const texts = LICENSED.map((name) => {
    const text = readFileSync(join(root, 'node_modules', name, 'LICENSE'), 'utf8');
    return `${name}\n\n${text.trim()}\n`;
  });
  writeFileSync(join(dist, 'lib/LICENSES.txt'), texts.join('\n\n'));
}

/** Fills dist/ and src/, which are emptied first. */
export async function bundle() {
  rmSync(dist, { recursive: true, force: true });
  rmSync(modules, { recursive: true, force: true });
  compile();
  const places = writeSources();
  const code = [
    ...(await bundleCode([...LIBRARY, ...PROGRAMS])),
    ...(await bundleCode([CONSTANTS])),
  ];
  const declarations = await bundleDeclarations(code);
  for (const { type, fileName, map, finish } of [...code, ...declarations]) {
    if (type !== 'chunk') continue;
    const path = join(dist, fileName);
    writeFileSync(path, finish(readFileSync(path, 'utf8')));
    // What only exports has none.
    if (!map) continue;
    const rewritten = rewrite(throughModules(map, fileName), fileName, places);
    writeFileSync(join(dist, `${fileName}.map`), JSON.stringify(rewritten));
  }
  writeLicenses();
  rmSync(modules, { recursive: true });
}

if (process.argv[1] === import.meta.filename) await bundle();
