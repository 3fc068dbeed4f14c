// dist/ as published: a few files instead of one per module, which start in a fraction of the time.
// Source maps of code and declarations lead to src/: the sources of lib/, with their
// paths, so that debuggers and "go to definition" find them on disk.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';
import remapping from '@jridgewell/remapping';
import { decode, encode } from '@jridgewell/sourcemap-codec';
import { rolldown } from 'rolldown';
import { dts } from 'rolldown-plugin-dts';
import { bundlePage, PAGE_PACKAGES } from './bundle-page.mjs';
import { root } from './setup.mjs';

/** Not bundled with the library, which has the numbers inlined; sharing would mean exporting a thousand of them. */
const CONSTANTS = 'lib/constants';
/** Entry points of the library, as package.json names them in dist/. */
const { exports, man, version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const LIBRARY = Object.values(exports)
  .flatMap((path) => /^\.\/dist\/(.+)\.js$/.exec(path)?.[1] ?? [])
  .filter((name) => name !== CONSTANTS);
/** The command, as named in bin/, and the program that keeps a guest. */
const PROGRAM = 'lib/cli/main';
const PROGRAMS = [PROGRAM, 'lib/lab/keep-server'];
/** The chunk of rolldown's helpers: for CommonJS interoperability, and for `import()`. */
const RUNTIME = 'rolldown-runtime';
/** Packages included in dist/: finding, reading and wrapping them takes longer than running them. */
const INCLUDED = /^(commander|jsonc-parser|picocolors|@oxc-project\/runtime\/.*)$/;
/** Packages whose licenses are included; rolldown contains the parts of @oxc-project/runtime. */
const LICENSED = ['commander', 'jsonc-parser', 'picocolors', 'rolldown', ...PAGE_PACKAGES];

const dist = join(root, 'dist');
const sources = join(root, 'src');
const manual = join(root, man);
/** Output of tsc for lib/, one file per module, with maps. */
const modules = join(root, 'build/modules');

/** What a bundle keeps as an import: Node's own modules and dependencies. */
const external = (id) => !id.startsWith('.') && !id.startsWith('/');

/**
 * Three folders down, like all modules of lib/ that locate files of the package relative to themselves. Code chunks
 * have a hash in their name: otherwise, a process running while the package is replaced would later load a chunk
 * of another version, whose short export names mean something else.
 */
const chunks = (extension) => `lib/chunks/[name]${extension}`;

const entries = (names, folder, extension) =>
  Object.fromEntries(names.map((name) => [name, join(folder, `${name}${extension}`)]));

/** `import * as R` of the kernel's numbers, and uses of R other than `R.NAME`: `R[name]`, an argument. */
const NUMBERS = /^import \* as (\w+) from '(.+constants\.ts)';$/gm;
const asObject = (name) => new RegExp(`(?<!\\* as |typeof )\\b${name}\\b(?![.\\w])`);

/**
 * A module that looks up the kernel's numbers by name gets them as one object literal. A bundled namespace,
 * with a getter for each of a thousand numbers, takes a third of the total load time.
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

/** Modules that define structs and attributes. */
const TABLES = /\/lib\/(xfrm|route)\/(structs|attributes|link-attributes|link-kinds)\.ts$/;
/** Comments, which may contain quotes, and string literals. */
const COMMENT_OR_TEXT = /\/\*.*?\*\/|\/\/[^\n]*|(['"])(?:(?!\1)[^\\]|\\.)*\1/gs;
const isSentence = (text) => /^['"](.* .*|.*\.)['"]$/s.test(text);

/** Descriptions in the tables are only needed for generating types and schemas. */
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
/** (Commander has its own `process`.) */
const builtin = (id) => `globalThis.process.getBuiltinModule('${id}')`;
/** Keeps line breaks, so that line numbers stay the same. */
const destructured = (names) =>
  names
    .replace(/\btype [^,}]+,?/g, '')
    .replaceAll(' as ', ': ')
    .replace(/,(\s*)$/, '$1');

/** Modules of functions that are not called at start-up. */
const LATER = new Set(['node:module', 'node:timers/promises']);
const calling = (names, id) =>
  names.replace(
    /([$\w]+)(?: as ([$\w]+))?,?/g,
    (_, theirs, ours = theirs) => `const ${ours} = (...all) => ${builtin(id)}.${theirs}(...all);`,
  );

/**
 * Node's modules are used without importing them: an import makes Node read each of their properties, some of which
 * load other modules: node:fs would load all streams.
 */
const builtins = {
  name: 'builtins',
  transform: inPlace((code, id) =>
    // Modules added by rolldown may have unneeded imports, which must remain imports to be dropped.
    id.startsWith('\0')
      ? code
      : code
          .replace(BUILTIN, (_, names, id) =>
            LATER.has(id) ? calling(names, id) : `const {${destructured(names)}} = ${builtin(id)};`,
          )
          .replace(REQUIRED, (_, id) => builtin(id)),
  ),
};

/** Commander needs it for subcommands that are separate executables; ours are not. */
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

/** A transformation that keeps line numbers, so that maps, which have one mapping per line, remain valid. */
function inPlace(change) {
  return (code, id) => {
    const changed = change(code, id);
    return changed === code ? undefined : { code: changed, map: null };
  };
}

/** Files of dist/: each has the given modules and all their imports, except what earlier files contain. */
const WHOLE = {
  // Includes error hints: without free descriptors, they could no longer be loaded. And what metrics share with lists.
  library: ['lib/index', 'lib/xfrm', 'lib/route', 'lib/cli/report-error', 'lib/wire/ascii'],
  rtnetlink: ['lib/route/rtnetlink'],
  tables: ['lib/monitor/live-tables', 'lib/monitor/xfrm-table'],
  tunnels: ['lib/tunnel/tunnels', 'lib/tunnel/addresses'],
  connection: ['lib/netlink/netlink-connection'],
  // Shared by the testing kit and the command.
  counters: ['lib/monitor/xfrm-stat-counters'],
  testing: ['lib/testing/index', 'lib/testing/place'],
  metrics: ['lib/metrics'],
  command: ['lib/cli/main'],
  lists: ['lib/cli/list'],
  lab: ['lib/lab/index'],
  // All that follow events, and those of the lab, which take much longer than loading this does.
  commands: [
    ...['lib/cli/monitor', 'lib/cli/replay'],
    ...['lib/cli/tunnels', 'lib/cli/wait', 'lib/cli/check', 'lib/cli/stat', 'lib/cli/doctor'],
    ...['lib/cli/lab', 'lib/cli/demo', 'lib/cli/test', 'lib/cli/completion'],
  ],
  // Generated code that only `monitor -o json` runs.
  json: ['lib/cli/printer/json-printer'],
};

/** Puts modules that are always loaded together into one file: loading a file costs as much as 100 KB of code. */
class Together {
  #imports = new Map();

  plugin = {
    name: 'together',
    moduleParsed: ({ id, importedIds }) => void this.#imports.set(id, importedIds),
  };

  /** A module and all its direct and indirect imports. */
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
    // Its main file is UMD, which calls require.
    resolve: {
      alias: { 'jsonc-parser': join(root, 'node_modules/jsonc-parser/lib/esm/main.js') },
    },
    plugins: [numbersAsObject, tablesWithoutSentences, commanderAlone, builtins, together.plugin],
    // As in tsconfig.json.
    transform: { target: 'es2022' },
    optimization: { inlineConst: { mode: 'all', pass: 3 } },
    // Loading order need not be preserved: modules without side effects can be moved freely.
    treeshake: { moduleSideEffects: (id) => id.endsWith('/monitor/trace.ts') || undefined },
  });
  const { output } = await build.write({
    dir: dist,
    format: 'esm',
    sourcemap: true,
    comments: false,
    // Names are kept for stack traces and error messages, and lines because Node shows the line of an error.
    minify: { compress: true, mangle: { keepNames: true }, codegen: { removeWhitespace: false } },
    // The program is its own entry: another file would only refer to it.
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

/** Inlines the helpers that rolldown's code needs on the line of their import: a separate file costs more. */
const withHelpers = (code, helpers) =>
  code.replace(HELPERS, (_, names) => {
    if (names === undefined) return '';
    const [, text, exported] = /^(.+)export \{(.+)\};/s.exec(helpers);
    const body = text.replace(/^\/\/.*$/gm, '').replace(/\s+/g, ' ');
    const object = exported.replace(/(\w+) as (\w+)/g, '$2: $1');
    return `const {${names.replaceAll(' as ', ': ')}} = (() => {${body}return {${object}};})();`;
  });

/** The manual page, from the definitions of the commands. */
async function writeManual() {
  const load = (path) => import(pathToFileURL(join(modules, path)).href);
  const [{ manualPage }, { wholeProgram }] = await Promise.all(
    ['tools/manual.js', 'lib/cli/subcommands.js'].map(load),
  );
  mkdirSync(dirname(manual), { recursive: true });
  writeFileSync(manual, gzipSync(manualPage(await wholeProgram(), version), { level: 9 }));
}

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
    // TypeScript 6 and newer no longer include types automatically.
    banner: '/// <reference types="node" />',
    chunkFileNames: chunks('.d.ts'),
    codeSplitting: { groups: [{ name: 'shared', minShareCount: 2 }] },
  });
  await build.close();
  // The declarations do not need these helpers.
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

/** Files of src/ that contain several folders of lib/. */
const COMBINED = { base: 'netlink', socket: 'netlink', wire: 'netlink', json: 'monitor' };
/** The file in src/ that contains a module of lib/. */
const sourceOf = (path) => {
  const [, folder] = path.split('/');
  return dirname(path) === 'lib' ? 'index.ts' : `${COMBINED[folder] ?? folder}.ts`;
};

/** Modules of which code and declarations say as much: generated ones, tables, and the kernel's numbers. */
const WITHOUT_SOURCE =
  /\/(codec|types|xfrm-members|constants)\.ts$|\/(xfrm|route)\/(structs|attributes|link-attributes|link-kinds)\.ts$/;

/** Not packed, and without maps: hardly anybody steps into the command, its daemon and metrics, the lab, and the testing kit. */
const WITHOUT_TEXT = new Set([
  'cli.ts',
  'serve.ts',
  'lab.ts',
  'recording.ts',
  'fate.ts',
  'metrics.ts',
  'testing.ts',
]);

/** A line of docs: they are in the declarations, or only matter to contributors. */
const DOCS = '\0';
const markDocs = (text) =>
  text.replace(/^[ \t]*\/\*\*.*?\*\/$/gms, (comment) => comment.replace(/[^\n]+/g, DOCS));

/** Writes src/, without docs. @returns by module path, the file, and the line there of each of its lines */
function writeSources() {
  const files = new Map();
  const places = new Map();
  for (const entry of readdirSync(join(root, 'lib'), { recursive: true }).sort()) {
    const path = join('lib', entry);
    if (!path.endsWith('.ts') || WITHOUT_SOURCE.test(path)) continue;
    const file = sourceOf(path);
    if (WITHOUT_TEXT.has(file)) continue;
    const lines = files.get(file) ?? [];
    lines.push(`// ${path}`);
    const numbers = [];
    for (const line of markDocs(readFileSync(join(root, path), 'utf8')).split('\n')) {
      numbers.push(lines.length);
      if (line !== DOCS) lines.push(line);
    }
    places.set(path, { file, numbers });
    files.set(file, lines);
  }
  rmSync(sources, { recursive: true, force: true });
  mkdirSync(sources);
  for (const [file, lines] of files) {
    writeFileSync(join(sources, file), lines.join('\n'));
  }
  return places;
}

/**
 * Rewrites a map to lead to src/, with one mapping per source line: mappings within lines are most of a map's size.
 */
function rewrite(map, path, places) {
  const from = join(dist, dirname(path));
  const own = map.sources.map((source) => places.get(relative(root, join(from, source ?? ''))));
  const files = [...new Set(own.filter(Boolean).map(({ file }) => file))];
  let mapped = false;
  const lines = decode(map.mappings).map((segments) => {
    const kept = [];
    for (const [column, source, sourceLine, sourceColumn] of segments) {
      if (own[source] === undefined) {
        // Else Node takes what comes before it as its place.
        if (mapped) kept.push([column]);
        mapped = false;
        continue;
      }
      mapped = true;
      const { file, numbers } = own[source];
      const place = [column, files.indexOf(file), numbers[sourceLine], sourceColumn];
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

/** Removes type arguments unknown to TypeScript before 5.7 (arrays) and 5.6 (iterator). */
const forOlder = (code) =>
  code
    .replaceAll(/\b(Uint8Array|DataView)<ArrayBuffer(Like)?>/g, '$1')
    .replaceAll(/\b(AsyncIterable(?:Iterator)?<(?:[\w |]|<[\w |]+>)+), undefined>/g, '$1>');

/**
 * Restores type-only exports, including those of classes and constants: rolldown turns them into value exports, and
 * TypeScript would accept imports of values that do not exist.
 */
const withTypes = (code, values) =>
  code.replace(/^export \{ (.+) \};$/m, (_, names) => {
    const marked = names.split(', ').map((one) => {
      const isValue = values.includes(one.split(' ').at(-1));
      return isValue || one.startsWith('type ') ? one : `type ${one}`;
    });
    return `export { ${marked.join(', ')} };`;
  });

/** Composes a map of the declarations with tsc's own maps, to lead to the sources. */
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

/** V8 stores source text with non-ASCII characters as UTF-16; these occur only in strings, where they can be escaped. */
const ascii = (code) =>
  code.replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);

const MAP_COMMENT = /^\/\/# sourceMappingURL=.*\n?/m;
/**
 * The numbers say as much as their source, declarations of lib/xfrm only re-export, and the other chunks are the
 * command's, apart from a few modules of the library that only the command loads.
 */
const withoutMap = (fileName) =>
  /^lib\/(constants\.(js|d\.ts)|xfrm\.d\.ts|chunks\/(commands|lists|serve|json)-.*)$/.test(
    fileName,
  );

function writeLicenses() {
  const texts = LICENSED.map((name) => {
    const path = join(root, 'node_modules', name, 'LICENSE');
    const text = readFileSync(existsSync(path) ? path : `${path}.md`, 'utf8');
    return `${name}\n\n${text.trim()}\n`;
  });
  writeFileSync(join(dist, 'lib/LICENSES.txt'), texts.join('\n\n'));
}

/** Fills dist/ and src/, after emptying them, and writes the manual page. */
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
    // A file of re-exports has no map.
    if (!map) continue;
    const rewritten = rewrite(throughModules(map, fileName), fileName, places);
    if (withoutMap(fileName) || rewritten.sources.length === 0) {
      writeFileSync(path, readFileSync(path, 'utf8').replace(MAP_COMMENT, ''));
      rmSync(`${path}.map`);
      continue;
    }
    writeFileSync(`${path}.map`, JSON.stringify(rewritten));
  }
  await bundlePage();
  await writeManual();
  writeLicenses();
  rmSync(modules, { recursive: true });
}

if (process.argv[1] === import.meta.filename) await bundle();
