// Runs test files in this process, each as a separate suite: node --test starts a process for
// each, which takes a second or more in the lab. (Node 20 has no --test-isolation.)
//
//   node scripts/together.mjs [--before MODULE] FILE...
//
// MODULE is loaded first: its hooks apply to the tests of all files.
import { relative } from 'node:path';
import { before, suite } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';

const load = (path) => import(pathToFileURL(path).href);
const files = process.argv.slice(2);
if (files[0] === '--before') {
  files.shift();
  await load(files.shift());
}

/** Collects sockets left over by the previous file's tests, before those of this file are counted. */
async function collect() {
  for (let i = 0; i < 3; i++) {
    globalThis.gc?.();
    await turn();
  }
}

for (const file of files) {
  suite(relative(process.cwd(), file), () => {
    before(collect);
    return load(file);
  });
}
