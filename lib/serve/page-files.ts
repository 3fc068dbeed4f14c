/** The files of the web page, page/, as scripts/bundle-page.mjs makes them. @module */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { once } from '../base/once.ts';

export interface PageFile {
  readonly type: string;
  readonly gzipped: Uint8Array;
  readonly body: Uint8Array;
}

/** Also in the package, whose chunks are as far down as this module. */
const FOLDER = join(import.meta.dirname, '../page');

const file = (name: string, type: string) =>
  once((): PageFile => {
    const gzipped = readFileSync(join(FOLDER, `${name}.gz`));
    return { type: `${type}; charset=utf-8`, gzipped, body: gunzipSync(gzipped) };
  });

const FILES: ReadonlyMap<string, () => PageFile> = new Map([
  ['/', file('index.html', 'text/html')],
  ['/page.js', file('page.js', 'text/javascript')],
  ['/page.css', file('page.css', 'text/css')],
]);

/** They are the same for everyone, and say nothing about the host. */
export const isPageFile = (path: string): boolean => FILES.has(path);

/** The file at a path; undefined if there is none. Read once, when it is first asked for. */
export const pageFile = (path: string): PageFile | undefined => FILES.get(path)?.();
