/** What starting loads: files of the package, and modules of Node's. (How long that takes: npm run bench -- startup.) */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { before, test } from 'node:test';
import { installed, nodeOf, packed, run } from './packed.ts';

let dist = '';
let folder = '';
before(async () => {
  dist = join((await packed()).folder, 'dist/lib');
  folder = await installed({ 'empty.mjs': '' });
});

const IMPORT = /^(?:import|export)\b[^;]*?["'](\.[^"']+)["'];$/gm;

/** Files of dist/lib that are loaded with one of them. */
function loaded(path: string, found = new Set<string>()): Set<string> {
  if (found.has(path)) return found;
  found.add(path);
  for (const [, name = ''] of readFileSync(join(dist, path), 'utf8').matchAll(IMPORT)) {
    loaded(relative(dist, join(dist, path, '..', name)), found);
  }
  return found;
}

const LIBRARY = 'chunks/library.js';
const COMMAND = 'cli/main.js';

test('the library is one file, and so are the command, the numbers, and what a list needs beside', () => {
  // Without the hash, by which a running process never loads a part of another version.
  const plain = (path: string) => path.replace(/-[\w-]{8}\.js$/, '.js');
  const files = (path: string) => [...loaded(path)].map(plain).sort();
  const chunks = readdirSync(join(dist, 'chunks'), 'utf8').filter((name) => name.endsWith('.js'));
  for (const name of chunks) assert.notEqual(plain(name), name, 'a chunk has a hash in its name');
  const chunk = (of: string) => `chunks/${chunks.find((name) => plain(name) === `${of}.js`)}`;
  assert.deepEqual(files('index.js'), [LIBRARY, 'index.js']);
  assert.deepEqual(files(COMMAND), [COMMAND]);
  assert.deepEqual(files('constants.js'), ['constants.js']);
  assert.deepEqual(files(chunk('lists')), [LIBRARY, 'chunks/lists.js', COMMAND]);
  // What only `monitor -o json` needs is loaded for it alone.
  assert.match(readFileSync(join(dist, chunk('json')), 'utf8'), /writeEventLine/);
  assert(!files(chunk('commands')).includes('chunks/json.js'));
});

/** Modules of Node's that it loads for a program, beyond those for another. */
async function builtins(
  program: string,
  beyond = "await import('./empty.mjs')",
): Promise<string[]> {
  const of = async (text: string) => {
    const print = "process.on('exit', () => console.error(process.moduleLoadList.join('\\n')));";
    const args = ['--input-type=module', '--eval', `${print}${text}`];
    const { status, stderr } = await run([process.execPath, ...args], folder);
    assert.equal(status, 0, stderr);
    return stderr.split('\n');
  };
  const empty = new Set(await of(beyond));
  const all = (await of(program)).map((name) => /^NativeModule ([a-z_/]+)$/.exec(name)?.[1] ?? '');
  return all.filter((name) => name !== '' && !empty.has(`NativeModule ${name}`));
}

/** Modules that load many others: sockets, streams, processes, threads, cryptography, terminals. */
const COSTLY =
  /^(net|dgram|tls|http|https|stream|child_process|worker_threads|crypto|readline|repl|inspector|perf_hooks|fs\/promises)$/;

test('the library and the help take nothing costly of Node', async () => {
  const library = await builtins("await import('netlink-xfrm')");
  assert(library.includes('os'), `${library}`);
  assert.deepEqual(
    library.filter((name) => COSTLY.test(name)),
    [],
  );
  const main = join(folder, 'node_modules/netlink-xfrm/bin/netlink-xfrm.js');
  // What is printed goes to a pipe.
  const printing = "await import('./empty.mjs'); process.stdout.write('')";
  const help = await builtins(`process.argv[2] = '--version'; await import('${main}')`, printing);
  assert.deepEqual(
    help.filter((name) => COSTLY.test(name)),
    [],
  );
});

test('maps lead from the published code to its sources', async () => {
  const text = "import { Filter } from 'netlink-xfrm'; new Filter(['nonsense']);";
  const node = [process.execPath, '--enable-source-maps', '--input-type=module', '--eval', text];
  const { stderr } = await run(node, folder);
  const places = [...stderr.matchAll(/netlink-xfrm\/(src\/\w+\.ts):(\d+)/g)];
  assert(places.length > 0, stderr);
  const lines = places.map(([, file = '', line]) => {
    const source = readFileSync(join(folder, 'node_modules/netlink-xfrm', file), 'utf8');
    return source.split('\n')[Number(line) - 1];
  });
  assert(
    lines.some((line) => line?.includes('new FilterError(')),
    `${stderr}\n${lines.join('\n')}`,
  );
});

test('the command, which is packed without its sources, has no maps, and gives no warning', async () => {
  const main = join(folder, 'node_modules/netlink-xfrm/bin/netlink-xfrm.js');
  const text = `process.argv[2] = '--version';
    process.stdout.write = () => console.error(new Error('here').stack);
    await import('${main}');`;
  const node = [process.execPath, '--enable-source-maps', '--input-type=module', '--eval', text];
  const { stderr } = await run(node, folder);
  // Code keeps its lines and names.
  assert.match(stderr, /at \S*\w+.*netlink-xfrm\/dist\/lib\/cli\/main\.js:\d{2,}/);
  assert.doesNotMatch(stderr, /warning|ENOENT/i);
});

test('a part that cannot be loaded for want of descriptors is loaded once there are', async () => {
  const folder = await installed({
    'descriptors.mjs': `
      import { closeSync, openSync } from 'node:fs';
      import { RouteClient } from 'netlink-xfrm';
      const open = [];
      try { for (;;) open.push(openSync('/dev/null', 'r')); } catch {}
      const list = async () => {
        const client = new RouteClient();
        return (await client.listLinks()).items.length > 0;
      };
      console.log(await list().catch(({ code }) => code));
      for (const descriptor of open) closeSync(descriptor);
      console.log(await list());`,
  });
  const command = 'ulimit -n 200; exec "$0" descriptors.mjs';
  const { stdout, stderr } = await run(['sh', '-c', command, nodeOf(20)], folder);
  assert.equal(stdout, 'EMFILE\ntrue\n', stderr);
});
