/** What importing the library loads, and what it leaves for its first use. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';

const lib = join(import.meta.dirname, '../../lib');
const IMPORT = /^(?:import|export)\b[^;]*?\s?'([^']+)';$/gm;

/** All that the module at `path` imports, and what that does: modules of lib/ by path, others by name. */
function loaded(path: string, found = new Set<string>()): Set<string> {
  found.add(relative(lib, path));
  for (const [, name = ''] of readFileSync(path, 'utf8').matchAll(IMPORT)) {
    const module = join(dirname(path), name);
    if (!name.startsWith('.')) found.add(name);
    else if (!found.has(relative(lib, module))) loaded(module, found);
  }
  return found;
}

test('the library loads neither what decodes rtnetlink and joins tunnels, the lab or the command, nor rare modules of Node', () => {
  const all = [...loaded(join(lib, 'index.js'))];
  assert(all.includes('xfrm/codec.js'));
  const late =
    /^(route\/(rtnetlink|codec|structs|attributes|bodies)\.js|tunnel\/(tunnels|addresses)\.js|lab\/|cli\/|commander)/;
  const rare = /^node:(net|child_process|worker_threads|dgram|crypto|readline|stream|tty|http)/;
  assert.deepEqual(
    all.filter((name) => late.test(name) || rare.test(name)),
    [],
  );
});

test('listing loads neither tunnels nor the lab', () => {
  const all = [...loaded(join(lib, 'cli/list.js'))];
  assert(all.includes('xfrm/client.js'));
  assert.deepEqual(
    all.filter((name) => /^(tunnel|lab|route\/codec|cli\/(tunnels|demo|follow))/.test(name)),
    [],
  );
});

test('what a caller passed may be changed while rtnetlink is loaded', () => {
  const program = `
    import { withRtnetlink } from '${pathToFileURL(join(lib, 'route/load.js')).href}';
    const link = { name: 'first', numbers: [1] };
    const odd = { name: 'first', call() {} };
    const names = (_, [{ name }]) => Promise.resolve(name);
    const before = [withRtnetlink([link], names), withRtnetlink([odd], names)];
    link.name = 'second';
    const told = await Promise.all(before);
    told.push(await withRtnetlink([link], names));
    console.log(told.join());
  `;
  // In a process of its own: in this one it may have been loaded.
  const { stdout, stderr } = spawnSync(
    process.execPath,
    ['--input-type=module', '--eval', program],
    { encoding: 'utf8' },
  );
  assert.equal(stderr, '');
  assert.equal(stdout, 'first,first,second\n');
});
