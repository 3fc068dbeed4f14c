/** What the documents show and no test runs holds together: names, options and types. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { codeBlocks, commandLines, root } from '../documents.ts';
import { program } from '../warm-command.ts';

/** No test reaches every line of an example. */
const examples = () =>
  readdirSync(join(root, 'examples'))
    .filter((name) => name.endsWith('.mjs'))
    .map((name) => ({ name, code: readFileSync(join(root, 'examples', name), 'utf8') }));

test('examples, and documented programs that are not run, type-check', () => {
  const shown = codeBlocks().filter(({ info }) => info === 'types');
  assert(shown.length > 10);
  const blocks = [...shown, ...examples()];
  // Within the package: it finds itself by its name.
  mkdirSync(join(root, 'build'), { recursive: true });
  const folder = mkdtempSync(join(root, 'build/documents-'));
  try {
    for (const { name, code } of blocks) {
      writeFileSync(join(folder, name.replaceAll('/', '-').replace(/(\.mjs)?$/, '.mts')), code);
    }
    const options = {
      extends: join(root, 'tsconfig.json'),
      compilerOptions: {
        ...{ noEmit: true, incremental: false, declaration: false, rootDir: folder },
        // They are JavaScript, and end where what they show ends.
        ...{ noImplicitAny: false, noUnusedLocals: false, noUncheckedIndexedAccess: false },
      },
      include: [folder],
    };
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(options));
    const tsc = join(root, 'node_modules/typescript/bin/tsc');
    const { status, stdout } = spawnSync(process.execPath, [tsc, '-p', folder], {
      encoding: 'utf8',
    });
    assert.equal(status, 0, stdout);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('the subcommands and options of the documents exist', () => {
  const helps = new Map<string, string>();
  const help = (subcommand: string) => {
    let text = helps.get(subcommand);
    if (text === undefined) {
      const { stdout, status } = spawnSync(process.execPath, [program, subcommand, '--help'], {
        encoding: 'utf8',
      });
      assert.equal(status, 0, subcommand);
      text = stdout;
      helps.set(subcommand, text);
    }
    return text;
  };
  const lines = commandLines();
  assert(lines.length > 30);
  for (const { document, subcommand, words } of lines) {
    for (const word of words) {
      const [, option] = /^(--?[a-z][a-z-]*)/.exec(word) ?? [];
      if (option === undefined) continue;
      const known = new RegExp(`^ +(-[a-z], )?${option}\\b`, 'm').test(help(subcommand));
      assert(known, `${document}: netlink-xfrm ${subcommand} ${words.join(' ')}: ${option}`);
    }
    help(subcommand);
  }
});

test('tests quoted in the documents exist', () => {
  const sources = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => readFileSync(join(root, 'test', name), 'utf8').replaceAll("\\'", "'"));
  const titles = readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => readFileSync(join(root, 'docs', name), 'utf8').replaceAll(/\s+/g, ' '))
    .flatMap((text) => [...text.matchAll(/\btests?:? ((?:"[^"]+"(?:, | and )?)+)/g)])
    .flatMap(([, quoted = '']) =>
      Array.from(quoted.matchAll(/"([^"]+)"/g), ([, title = '']) => title),
    );
  assert(titles.length > 30);
  // The end may be left out.
  const begins = (title: string) => title.replace(/ ?…$/, '');
  const missing = titles.filter((title) => !sources.some((text) => text.includes(begins(title))));
  assert.deepEqual(missing, []);
});
