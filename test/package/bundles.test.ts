/** The package in bundles, single executables, workers and the threads of a test runner. */
import assert from 'node:assert/strict';
import { chmodSync, copyFileSync, cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { type BuildOptions, build } from 'esbuild';
import { installed, nodeOf, run, temporary, tools, UNSHARE } from './packed.ts';

/** Without an await at the top level, which CommonJS has not. */
const MAIN = `
import { XfrmMonitor } from 'netlink-xfrm';
XfrmMonitor.open().then(async (monitor) => {
  console.log('synced', monitor.snapshot().states.length);
  await monitor.close();
});
`;
/** Each use of a namespace, in a worker. */
const WORKER = `
import { Worker, isMainThread } from 'node:worker_threads';
import { readXfrmStat, subscribe, TunnelMonitor, XfrmClient, XfrmMonitor } from 'netlink-xfrm';
import { RouteClient } from 'netlink-xfrm/route';
import { SocketOwners } from 'netlink-xfrm/socket';
const netns = '/proc/' + process.env.OTHER + '/ns/net';
if (isMainThread) {
  process.chdir('/');
  new Worker(new URL(import.meta.url)).on('exit', (status) => console.log('exit', status));
} else {
  // Parts that are loaded when they are first used, from another folder.
  const routes = new RouteClient();
  if ((await routes.listLinks()).items.length === 0) throw new Error('no link');
  await routes.close();
  await (await TunnelMonitor.open()).close();
  const monitor = await XfrmMonitor.open({ netns });
  const client = new XfrmClient({ netns });
  for await (const state of client.listStates()) console.log(state.spi);
  await client.close();
  const events = subscribe({ groups: ['sa'], netns });
  events.on('event', () => {});
  await events.close();
  await readXfrmStat({ netns });
  await new SocketOwners({ netns }).find(6, 1);
  console.log('synced', monitor.snapshot().states.length);
  await monitor.close();
}
`;
const VITEST = `
import { expect, test } from 'vitest';
import { XfrmMonitor } from 'netlink-xfrm';
test('a monitor', async () => {
  const monitor = await XfrmMonitor.open();
  expect(monitor.states.size).toBe(0);
  await monitor.close();
});
`;
/** The library replaced by what the test says. */
const MOCKED = `
import { expect, test, vi } from 'vitest';
import { Filter, XfrmMonitor } from 'netlink-xfrm';
vi.mock('netlink-xfrm', async (original) => ({ ...(await original()), XfrmMonitor: { open: async () => 'mine' } }));
test('a mock', async () => {
  expect(await XfrmMonitor.open()).toBe('mine');
  expect(new Filter(['proto=esp'])).toBeInstanceOf(Filter);
});
`;
/** Starts in a directory that has been deleted. */
const NOWHERE = `
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
process.chdir(mkdtempSync(tmpdir() + '/netlink-xfrm-'));
rmdirSync(process.cwd());
await import('./main.mjs');
`;

let folder = '';
before(async () => {
  folder = await installed({
    'main.mjs': MAIN,
    'worker.mjs': WORKER,
    'a.test.mjs': VITEST,
    'b.test.mjs': VITEST,
    'mocked.test.mjs': MOCKED,
    'nowhere.mjs': NOWHERE,
  });
});

const prebuilds = () => join(folder, 'node_modules/netlink-xfrm/prebuilds');
const program = () => join(folder, 'node_modules/netlink-xfrm/bin/netlink-xfrm.js');

/** A bundle alone in a folder; it is an error if esbuild has a warning. */
async function bundle(entry: string, options: BuildOptions): Promise<string> {
  const outfile = join(temporary(), options.format === 'esm' ? 'bundle.mjs' : 'bundle.cjs');
  const { warnings } = await build({
    absWorkingDir: folder,
    entryPoints: [entry],
    bundle: true,
    platform: 'node',
    outfile,
    logLevel: 'silent',
    ...options,
  });
  assert.deepEqual(warnings, []);
  return outfile;
}

const SYNCED = { status: 0, stdout: 'synced 0\n', stderr: '' };

for (const format of ['esm', 'cjs'] as const) {
  test(`an esbuild bundle, ${format}, finds the addon in the folder prebuilds beside it`, async () => {
    const outfile = await bundle('main.mjs', { format });
    const missing = await run([...UNSHARE, process.execPath, outfile], folder);
    assert.match(
      missing.stderr,
      /no native addon for .* looked for .*netlink\.node \(copy the prebuilds folder of the package netlink-xfrm next to the bundle\)/,
    );
    cpSync(prebuilds(), join(outfile, '../prebuilds'), { recursive: true });
    assert.deepEqual(await run([...UNSHARE, process.execPath, outfile], folder), SYNCED);
  });
}

test('an esbuild bundle finds the addon of the installed package', async () => {
  const outfile = await bundle('main.mjs', { format: 'esm' });
  const inside = join(folder, 'bundled.mjs');
  copyFileSync(outfile, inside);
  assert.deepEqual(await run([...UNSHARE, process.execPath, inside], folder), SYNCED);
});

test('a bundle with the path that the library had elsewhere, as webpack writes it, finds what is beside the program', async () => {
  const define = { 'import.meta.url': '"file:///elsewhere/library.js"' };
  const outfile = await bundle('main.mjs', { format: 'cjs', define });
  cpSync(prebuilds(), join(outfile, '../prebuilds'), { recursive: true });
  const link = join(temporary(), 'program');
  symlinkSync(outfile, link);
  for (const program of [outfile, link]) {
    assert.deepEqual(await run([...UNSHARE, process.execPath, program], folder), SYNCED);
  }
});

for (const format of ['esm', 'cjs'] as const) {
  test(`the command bundles, ${format}`, async () => {
    const outfile = await bundle(program(), { format });
    cpSync(prebuilds(), join(outfile, '../prebuilds'), { recursive: true });
    const help = await run([process.execPath, outfile, '--help'], folder);
    assert.match(help.stdout, /tunnels/);
    assert.equal(help.stderr, '');
    const list = await run([...UNSHARE, process.execPath, outfile, 'state'], folder);
    assert.deepEqual(list, { status: 0, stdout: '', stderr: '' });
  });
}

/** A configuration of a single executable whose asset is the addon. */
function seaConfig(main: string, output: string): string {
  const system = `linux-${process.arch}`;
  const path = join(main, '../sea.json');
  writeFileSync(
    path,
    JSON.stringify({
      main,
      output,
      disableExperimentalSEAWarning: true,
      assets: { 'netlink.node': join(prebuilds(), system, 'netlink.node') },
    }),
  );
  return path;
}

test('a single executable with the addon as an asset, by --build-sea of Node 26', async () => {
  const main = await bundle('main.mjs', { format: 'cjs' });
  const output = join(main, '../program');
  const built = await run([nodeOf(26), '--build-sea', seaConfig(main, output)], folder);
  assert.equal(built.status, 0, built.stderr);
  assert.deepEqual(await run([...UNSHARE, output], folder), SYNCED);
});

test('a single executable by postject, Node 24', async () => {
  const main = await bundle('main.mjs', { format: 'cjs' });
  const [blob, output] = [join(main, '../blob'), join(main, '../program')];
  const made = await run([nodeOf(24), '--experimental-sea-config', seaConfig(main, blob)], folder);
  assert.equal(made.status, 0, made.stderr);
  copyFileSync(nodeOf(24), output);
  chmodSync(output, 0o755);
  const fuse = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2';
  const postject = join(tools, 'postject/dist/cli.js');
  const args = [output, 'NODE_SEA_BLOB', blob, '--sentinel-fuse', fuse];
  const injected = await run([process.execPath, postject, ...args], folder);
  assert.equal(injected.status, 0, injected.stderr);
  assert.deepEqual(await run([...UNSHARE, output], folder), SYNCED);
});

test('in a worker, other namespaces are used without a warning', async () => {
  const unshare = UNSHARE.join(' ');
  const script = `${unshare} sleep 600 & export OTHER=$!
    while [ "$(readlink /proc/$OTHER/ns/net)" = "$(readlink /proc/$$/ns/net)" ]; do sleep 0.1; done
    ${process.execPath} worker.mjs; kill $OTHER`;
  const nested = [...UNSHARE, 'sh', '-c', script];
  assert.deepEqual(await run(nested, folder), { ...SYNCED, stdout: 'synced 0\nexit 0\n' });
});

test('imported where the working directory is gone', async () => {
  assert.deepEqual(await run([...UNSHARE, process.execPath, 'nowhere.mjs'], folder), SYNCED);
});

test('vitest, in threads, and with a mock', async () => {
  const modules = join(folder, 'node_modules');
  for (const name of ['vitest', 'vite']) symlinkSync(join(tools, name), join(modules, name));
  mkdirSync(join(folder, 'cache'));
  const vitest = [nodeOf(22), join(tools, 'vitest/vitest.mjs'), 'run', '--pool=threads'];
  const { status, stdout, stderr } = await run([...UNSHARE, ...vitest], folder);
  assert.equal(status, 0, stdout + stderr);
  assert.match(stdout, /Tests +3 passed/);
  assert.equal(stderr, '');
});

test('required from CommonJS', async () => {
  const text =
    "const { XfrmMonitor } = require('netlink-xfrm'); XfrmMonitor.open().then(async (m) => { console.log('synced', m.states.size); await m.close(); });";
  writeFileSync(join(folder, 'main.cjs'), text);
  for (const major of [20, 22, 24, 26]) {
    assert.deepEqual(await run([...UNSHARE, nodeOf(major), 'main.cjs'], folder), SYNCED);
  }
});
