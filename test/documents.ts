/** The programs that the documents show. @module */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export const root = join(import.meta.dirname, '../..');

/** A block of code of a document. */
export interface CodeBlock {
  /** The document and which of its blocks it is, from 1: `docs/client.md 2`. */
  readonly name: string;
  /**
   * What stands behind `js`: `types` of one that goes on until it is stopped or needs what a test does not have, whose types
   * are checked; `esp` of one that adds an SA. The others run to their end.
   */
  readonly info: string;
  readonly code: string;
  /** What the document says that it prints. */
  readonly prints: string | undefined;
}

const BLOCK = /^```js(?: (types|esp))?\n([\s\S]+?)^```\n(?:\nprints.*\n\n```\n([\s\S]+?)^```$)?/gm;

function blocksOf(document: string): CodeBlock[] {
  const text = readFileSync(join(root, document), 'utf8');
  return Array.from(text.matchAll(BLOCK), ([, info = '', code = '', prints], i) => ({
    name: `${document} ${i + 1}`,
    info,
    code,
    prints,
  }));
}

/** Of suites of tests: they run where SAs can be made (test/kernel/kit-docs.test.ts). */
export const SUITES: readonly CodeBlock[] = blocksOf('docs/testing.md');

const pages = readdirSync(join(root, 'docs')).filter((name) => name.endsWith('.md'));
const documents = ['README.md', ...pages.map((name) => `docs/${name}`)];

/** All other blocks of JavaScript in the README and in docs/. */
export const codeBlocks = (): CodeBlock[] =>
  documents.filter((name) => name !== 'docs/testing.md').flatMap(blocksOf);

/** Runs of the command in the documents, in blocks and in lines: the subcommand, its options and words. */
export function commandLines(): { document: string; subcommand: string; words: string[] }[] {
  return documents.flatMap((document) => {
    const text = readFileSync(join(root, document), 'utf8');
    const runs = text.matchAll(/(?:`| {4})(?:sudo )?(?:npx )?netlink-xfrm ([a-z]+)([^`\n]*)/g);
    return Array.from(runs, ([, subcommand = '', rest = '']) => {
      // Up to what the shell, a comment or another program takes.
      const [own = ''] = rest.split(/\s(?:--|#|\||&&|>)(?:\s|$)/);
      return { document, subcommand, words: own.split(/\s+/).filter(Boolean) };
    });
  });
}
