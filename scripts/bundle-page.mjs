// The page of `netlink-xfrm serve`, page/, as the three files that the daemon serves: dist/lib/page/.
// They are compressed, as browsers take them.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { root } from './setup.mjs';

/** Packages included in it. */
export const PAGE_PACKAGES = ['preact', 'uplot', 'eventsource-parser'];

/** Modules of lib/ that the page shares name modules of Node in functions that it does not use. */
const withoutNode = {
  name: 'without-node',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^node:/ }, ({ path }) => ({
      path,
      namespace: 'node',
      sideEffects: false,
    }));
    onLoad({ filter: /.*/, namespace: 'node' }, () => ({ contents: 'module.exports = {};' }));
  },
};

/** Writes the page. @returns what esbuild says about its parts */
export async function bundlePage(folder = join(root, 'dist/lib/page')) {
  const { metafile, outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: ['page/main.tsx', 'page/page.css'].map((path) => ({ in: path, out: 'page' })),
    outdir: folder,
    entryNames: '[name]',
    bundle: true,
    write: false,
    minify: true,
    metafile: true,
    format: 'esm',
    platform: 'browser',
    target: ['es2022', 'chrome109', 'firefox115', 'safari16'],
    charset: 'ascii',
    legalComments: 'none',
    jsx: 'automatic',
    jsxImportSource: 'preact',
    tsconfigRaw: {},
    logLevel: 'warning',
    plugins: [withoutNode],
  });
  mkdirSync(folder, { recursive: true });
  const html = { path: 'index.html', contents: readFileSync(join(root, 'page/index.html')) };
  for (const { path, contents } of [html, ...outputFiles]) {
    writeFileSync(join(folder, `${basename(path)}.gz`), gzipSync(contents, { level: 9 }));
  }
  return metafile;
}

if (process.argv[1] === import.meta.filename) {
  const { outputs } = await bundlePage();
  for (const [path, { bytes }] of Object.entries(outputs)) console.log(path, bytes);
}
