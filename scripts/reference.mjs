// npm run reference: writes the API reference, docs/reference/, from the declarations and
// their docstrings. An export or a method without a docstring is an error, and so is a link that leads nowhere.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { kept } from './kept.mjs';
import { root, setup } from './setup.mjs';

/** Subpaths that share a page: the package has a limit of files. Others have one of their own. */
const PAGE_OF = {
  '.': 'netlink-xfrm',
  './metrics': 'netlink-xfrm',
  './xfrm': 'messages',
  './socket': 'messages',
  './lab': 'testing',
};
/** The subpaths, with the page of each. An export of several is described in the first. */
const { name: PACKAGE, exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const PAGES = Object.entries(exports)
  .filter(([path]) => !/json$|constants$/.test(path))
  .map(([path, file]) => ({
    subpath: path.replace(/^\./, PACKAGE),
    page: `${PAGE_OF[path] ?? path.slice(2)}.md`,
    declarations: join(root, file.replace(/js$/, 'd.ts')),
  }));

/** Groups of a page, in order. */
const GROUPS = ['Classes', 'Functions', 'Values', 'Types'];

/** Characters of a declaration that are shown: some types list hundreds of names. */
const LONGEST = 600;

const oneLine = (text) => text.replace(/\s+/g, ' ').trim();

/**
 * @returns the pages, by file name; the names of what has no docstring; and the links that lead nowhere
 */
export function referencePages() {
  const modules = kept(join(root, 'tools/reference'), 'TypeScript');
  const ts = createRequire(join(modules, 'x.js'))('typescript');
  const files = PAGES.map(({ declarations }) => declarations);
  const program = ts.createProgram(files, {
    ...{ module: ts.ModuleKind.NodeNext, target: ts.ScriptTarget.ES2022, skipLibCheck: true },
    ...{
      lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'],
      types: ['node'],
      typeRoots: [join(root, 'node_modules/@types')],
    },
  });
  const checker = program.getTypeChecker();
  const missing = [];
  const known = new Set();
  const links = [];
  const exportedSymbols = new Set();

  const resolved = (symbol) =>
    symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
  const docsOf = (node) => {
    const holder = ts.isVariableDeclaration(node) ? node.parent.parent : node;
    return holder.jsDoc?.at(-1);
  };
  const text = (comment, where) =>
    (ts.getTextOfJSDocComment(comment) ?? '').replace(/\{@link\s+([^\s}|]+)[^}]*\}/g, (_, name) => {
      links.push([where, name.replace(/\(\)$/, '')]);
      return `\`${name}\``;
    });
  const isInternal = (node) =>
    ts.getJSDocTags(node).some(({ tagName }) => tagName.text === 'internal');

  /** The docstring as Markdown: its text, then what it says of parameters, results and errors. */
  function describe(node, where, required = true) {
    const doc = docsOf(node);
    if (doc === undefined) {
      if (required) missing.push(where);
      return { summary: '', examples: [] };
    }
    const sentences = [text(doc.comment, where)];
    const examples = [];
    for (const tag of doc.tags ?? []) {
      const said = text(tag.comment, where).replace(/^- /, '');
      const name = tag.tagName.text;
      if (name === 'example') examples.push(said);
      else if (name === 'param') sentences.push(`\`${tag.name.getText()}\`: ${said}`);
      else if (name === 'returns') sentences.push(`Returns ${said}`);
      else if (name === 'throws') sentences.push(`Throws ${said}`);
    }
    const parts = sentences.map((one) => one.trim()).filter(Boolean);
    const summary = parts.map((one) => (/[.:!?`]$/.test(one) ? one : `${one}.`)).join('\n');
    return { summary, examples };
  }

  const code = (node) =>
    oneLine(node.getText())
      .replace(/^(export |declare |public |readonly |static |abstract |override |default )+/g, '')
      .replace(/;$/, '')
      .replace(/\breadonly /g, '');

  const isShown = (member) => {
    const name = member.name?.getText() ?? '';
    if (name.startsWith('#') || name === '[Symbol.toStringTag]' || isInternal(member)) return false;
    const flags = ts.getCombinedModifierFlags(member);
    return (flags & (ts.ModifierFlags.Private | ts.ModifierFlags.Protected)) === 0;
  };

  /** The classes that it extends and that are not exported: their members are described as its own. */
  function hiddenBases(node) {
    const clauses = ts.isClassDeclaration(node) ? (node.heritageClauses ?? []) : [];
    const [base] = clauses.find(({ token }) => token === ts.SyntaxKind.ExtendsKeyword)?.types ?? [];
    const symbol = base && checker.getSymbolAtLocation(base.expression);
    const found = symbol && resolved(symbol);
    const [declared] = found?.declarations ?? [];
    const isOwn = declared?.getSourceFile().fileName.startsWith(join(root, 'dist/lib/'));
    if (!isOwn || !ts.isClassDeclaration(declared) || exportedSymbols.has(found)) return [];
    return [declared, ...hiddenBases(declared)];
  }

  /** Structs and attributes: the editor shows what each property is. */
  const isFromTables = (node) => /\/types\.d\.ts$/.test(node.getSourceFile().fileName);

  /** The members of a class or an interface, one a line. */
  function members(node, where) {
    const all = [node, ...hiddenBases(node)].flatMap(({ members }) => members);
    for (const member of all) known.add(`${where}.${member.name?.getText()}`);
    if (isFromTables(node)) return [fence(node.members.filter(isShown).map(code).join('\n'))];
    const lines = [];
    const isClass = ts.isClassDeclaration(node);
    for (const member of all.filter(isShown)) {
      const isConstructor = ts.isConstructorDeclaration(member);
      if (isConstructor && member.parent !== node) continue;
      const name = `${where}.${isConstructor ? 'constructor' : (member.name?.getText() ?? '')}`;
      const needs = isClass && (ts.isMethodDeclaration(member) || ts.isAccessor(member));
      // What these do is known.
      const plain = /\.(\[Symbol\.|then$|catch$|finally$|toString$|toJSON$|name$|code$)/.test(name);
      const { summary, examples } = describe(member, name, needs && !plain);
      if (plain && summary === '') continue;
      const shown = isConstructor
        ? code(member).replace('constructor', `new ${where}`)
        : code(member);
      const still =
        ts.getCombinedModifierFlags(member) & ts.ModifierFlags.Static ? `${where}.` : '';
      const lead = `- \`${still}${shown.replaceAll('`', '')}\``;
      const rest = summary === '' ? '' : `: ${summary.replace(/\s*\n\s*/g, ' ')}`;
      lines.push(`${lead}${rest}`);
      for (const example of examples) lines.push(indented(fence(example)));
    }
    return lines;
  }

  const fence = (example) => (/^```/.test(example) ? example : `\`\`\`ts\n${example}\n\`\`\``);
  const indented = (block) => block.replace(/^(?=.)/gm, '  ');

  function entry(name, node) {
    const { summary, examples } = describe(node, name);
    const head = [`### ${name}`];
    const said = summary === '' ? [] : [summary];
    const shown = examples.map(fence);
    if (ts.isClassDeclaration(node) || ts.isInterfaceDeclaration(node)) {
      const bases = node.heritageClauses?.map((one) => oneLine(one.getText())) ?? [];
      const [hidden] = hiddenBases(node);
      const isHidden = (base) => hidden && base.startsWith(`extends ${hidden.name.getText()}`);
      const of = bases.filter((one) => !/Disposable|^extends Error$/.test(one) && !isHidden(one));
      const kind = [`\`${name}\``, ...of.map((one) => `\`${one}\``)].join(' ');
      const list = members(node, name);
      return [...head, ...(of.length > 0 ? [kind] : []), ...said, ...shown, list.join('\n')];
    }
    const declared = code(node);
    const shortened = declared.length > LONGEST ? `${declared.slice(0, LONGEST)} …` : declared;
    return [...head, fence(shortened), ...said, ...shown];
  }

  const modulesOf = PAGES.map((page) => ({
    ...page,
    exported: checker.getExportsOfModule(
      checker.getSymbolAtLocation(program.getSourceFile(page.declarations)),
    ),
  }));
  for (const { exported } of modulesOf)
    for (const one of exported) exportedSymbols.add(resolved(one));
  const described = new Map();
  const pages = modulesOf.map(({ subpath, page, exported }) => {
    const groups = new Map(GROUPS.map((group) => [group, []]));
    const elsewhere = [];
    for (const one of exported) {
      const { name } = one;
      const symbol = resolved(one);
      known.add(name);
      if (described.has(symbol)) {
        elsewhere.push([name, described.get(symbol)]);
        continue;
      }
      described.set(symbol, page);
      const node = symbol.declarations?.[0];
      if (node === undefined) continue;
      let group = 'Types';
      if (ts.isClassDeclaration(node)) group = 'Classes';
      else if (ts.isFunctionDeclaration(node)) group = 'Functions';
      else if (ts.isVariableDeclaration(node)) {
        group = node.type && /=>/.test(node.type.getText()) ? 'Functions' : 'Values';
      }
      groups.get(group).push([name, entry(name, node)]);
    }
    const blocks = [
      `# ${subpath}`,
      `What \`${subpath}\` exports. Written by \`npm run reference\`.`,
    ];
    for (const [group, entries] of groups) {
      if (entries.length === 0) continue;
      entries.sort(([a], [b]) => (a < b ? -1 : 1));
      blocks.push(`## ${group}`, ...entries.flatMap(([, lines]) => lines.filter(Boolean)));
    }
    if (elsewhere.length > 0) {
      blocks.push('## Described elsewhere');
      for (const one of new Set(elsewhere.map(([, of]) => of))) {
        const names = elsewhere.filter(([, of]) => of === one).map(([name]) => `\`${name}\``);
        blocks.push(`In [${one}](${one}): ${names.join(', ')}`);
      }
    }
    return [page, `${blocks.join('\n\n')}\n`];
  });
  const leadsNowhere = ([where, name]) =>
    !known.has(name) && !known.has(`${where.split('.')[0]}.${name}`);
  const dead = links.filter(leadsNowhere).map(([where, name]) => `${where} links to ${name}`);
  const texts = new Map();
  for (const [page, text] of pages) texts.set(page, [...(texts.get(page) ?? []), text]);
  const joined = [...texts].map(([page, parts]) => [page, parts.join('\n')]);
  return { pages: new Map(joined), missing, dead };
}

if (process.argv[1] === import.meta.filename) {
  await setup();
  const { pages, missing, dead } = referencePages();
  const folder = join(root, 'docs/reference');
  mkdirSync(folder, { recursive: true });
  for (const [page, text] of pages) writeFileSync(join(folder, page), text);
  for (const one of missing) console.error(`no docstring: ${one}`);
  for (const one of dead) console.error(one);
  process.exitCode = missing.length + dead.length > 0 ? 1 : 0;
}
