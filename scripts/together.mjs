// Runs files of tests in this one process, each as a suite of its own: node --test starts a process for
// each, which takes a second and more in the lab. (Node 20 has no --test-isolation.)
//
//   node scripts/together.mjs [--before MODULE] FILE...
//
// MODULE is loaded first: hooks that it registers are for the tests of all files.
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

/** Sockets that tests of the file before have left to the collector are gone before those of this one are counted. */
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
