/** Where the addon is missing, does not fit, or may not be loaded: one line that says what to do. */
import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { installed, MONITOR, nodeOf, run, tools, UNSHARE } from './packed.ts';

/** All that works without the addon. */
const WITHOUT = `
import { Filter, subscribe, XfrmClient } from 'netlink-xfrm';
import { decodeXfrmMessage, encodeXfrm, MessageWriter } from 'netlink-xfrm/xfrm';
import * as constants from 'netlink-xfrm/constants';
import { FakeKernel } from 'netlink-xfrm/socket';
const writer = new MessageWriter();
const now = { wall: 0, monotonic: 0 };
encodeXfrm(writer, { kind: 'FLUSHSA', proto: 'esp' });
const bytes = writer.written();
const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const { kind } = decodeXfrmMessage({ bytes, view, keys: false, time: now }, 0, bytes.byteLength);
console.log(kind, constants.XFRM_MSG_FLUSHSA, new Filter(['proto=esp']) !== undefined);
const netns = new FakeKernel().answer(constants.NETLINK_XFRM, () => ({}));
await new XfrmClient({ netns }).flushStates();
console.log(netns.requests.length);
try {
  subscribe({ groups: ['sa'] }).on('event', () => {});
} catch (error) {
  console.log(error.code, error.message);
}
`;
/** Makes process.platform or process.arch say something else. */
const pretend = (name: string, value: string) =>
  `--import=data:text/javascript,Object.defineProperty(process,'${name}',{value:'${value}'})`;

let folder = '';
before(async () => {
  folder = await installed({ 'without.mjs': WITHOUT, 'monitor.mjs': MONITOR });
});

const inPackage = (path: string) => join(folder, 'node_modules/netlink-xfrm', path);
const command = () => inPackage('bin/netlink-xfrm.js');
const lines = (text: string) => text.trimEnd().split('\n');

async function withoutAddon(work: () => Promise<void>) {
  const aside = join(folder, 'aside');
  cpSync(inPackage('prebuilds'), aside, { recursive: true });
  rmSync(inPackage('prebuilds'), { recursive: true });
  try {
    await work();
  } finally {
    cpSync(aside, inPackage('prebuilds'), { recursive: true });
  }
}

test('a missing addon', () =>
  withoutAddon(async () => {
    const { stdout } = await run([process.execPath, 'without.mjs'], folder);
    const [works, asked, told, ...more] = lines(stdout);
    assert.equal(works, 'FLUSHSA 28 true');
    assert.equal(asked, '1');
    assert.deepEqual(more, []);
    assert.match(
      told ?? '',
      /^ERR_ADDON_NOT_FOUND no native addon for linux-\w+ was found; looked for .*native\/build\/Release\/netlink\.node, .*prebuilds\/linux-\w+\/netlink\.node \(to build it, .*: cd .* && npm run build:native\)$/,
    );
    const { stderr, status } = await run([process.execPath, command(), 'state'], folder);
    assert.equal(status, 3);
    assert.match(
      stderr,
      /^netlink-xfrm: no native addon .*netlink\.node\nto build it, .*build:native\n$/,
    );
  }));

for (const [name, value, expected] of [
  [
    'platform',
    'darwin',
    /^ERR_ADDON_UNSUPPORTED netlink sockets exist on Linux only; this is darwin-\w+ \(/,
  ],
  [
    'platform',
    'win32',
    /^ERR_ADDON_UNSUPPORTED netlink sockets exist on Linux only; this is win32-\w+ \(/,
  ],
  [
    'arch',
    'ia32',
    /^ERR_ADDON_NOT_FOUND no native addon for linux-ia32 was found; looked for .*build:native/,
  ],
] as const) {
  test(`${name} ${value}: all but sockets works`, async () => {
    const { stdout, stderr } = await run(
      [process.execPath, pretend(name, value), 'without.mjs'],
      folder,
    );
    assert.equal(stderr, '');
    const [works, asked, told, ...more] = lines(stdout);
    assert.equal(works, 'FLUSHSA 28 true');
    assert.equal(asked, '1');
    assert.match(told ?? '', expected);
    assert.deepEqual(more, []);
  });
}

test('an addon that was built for another machine, and one that is damaged', async () => {
  const other = process.arch === 'x64' ? 'arm64' : 'x64';
  const own = inPackage('native/build/Release');
  mkdirSync(own, { recursive: true });
  try {
    for (const bytes of [undefined, 'no addon']) {
      const path = join(own, 'netlink.node');
      if (bytes === undefined) cpSync(inPackage(`prebuilds/linux-${other}/netlink.node`), path);
      else writeFileSync(path, bytes);
      const { stderr, status } = await run([process.execPath, command(), 'state'], folder);
      assert.equal(status, 3);
      assert.match(
        stderr,
        /^netlink-xfrm: the native addon was found but failed to load on linux-\w+: .*netlink\.node.*\nit was built for another system, or is damaged; to build it, .*\n$/,
      );
    }
  } finally {
    rmSync(inPackage('native/build'), { recursive: true });
  }
});

test('node --no-addons', async () => {
  const { stdout } = await run([process.execPath, '--no-addons', 'without.mjs'], folder);
  assert.match(stdout, /ERR_ADDON_NOT_LOADED native addons are disabled .*remove --no-addons\)\n$/);
});

test('node --permission, without addons and without all of /proc', async () => {
  for (const major of [22, 24, 26]) {
    const flags = [major === 22 ? '--experimental-permission' : '--permission', '--no-warnings'];
    const read = `--allow-fs-read=${folder}`;
    const refused = await run([nodeOf(major), ...flags, read, 'without.mjs'], folder);
    assert.match(
      refused.stdout,
      /ERR_ADDON_NOT_LOADED native addons are disabled \(with --permission, add --allow-addons; otherwise remove --no-addons\)\n$/,
      `Node ${major}: ${refused.stderr}`,
    );
    const allowed = [...flags, read, '--allow-addons', 'monitor.mjs'];
    const ran = await run([...UNSHARE, nodeOf(major), ...allowed], folder);
    assert.equal(ran.stdout, 'synced 0\n', `Node ${major}: ${ran.stderr}`);
  }
});

test("Bun's runtime is refused, where it would crash", async (t) => {
  const bun = join(tools, 'bun/bin/bun');
  if (!existsSync(bun)) return t.skip('there is no bun for this machine');
  const { stdout, stderr, status } = await run([bun, 'without.mjs'], folder);
  assert.equal(status, 0, stderr);
  const [works, asked, told] = lines(stdout);
  assert.equal(works, 'FLUSHSA 28 true');
  assert.equal(asked, '1');
  assert.match(
    told ?? '',
    /^ERR_ADDON_UNSUPPORTED the native addon needs Node's event loop; this is Bun \(/,
  );
});

test('a recording is read without the addon', () =>
  withoutAddon(async () => {
    const { stdout, stderr } = await run(
      [process.execPath, command(), 'replay', '/dev/null'],
      folder,
    );
    assert.deepEqual({ stdout, stderr }, { stdout: '', stderr: '' });
  }));
