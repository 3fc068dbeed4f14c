/** The programs of examples/ do what they say. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';

const folder = join(import.meta.dirname, '../../../examples');
const programs = readdirSync(folder).filter((name) => name.endsWith('.mjs'));

/** Runs one to its end. */
async function output(name: string, ...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [join(folder, name), ...args]);
  return stdout;
}

test('each is described in examples/README.md', () => {
  const readme = readFileSync(join(folder, 'README.md'), 'utf8');
  const listed = Array.from(readme.matchAll(/^\| \[(.+?)\]\(\1\)/gm), ([, name]) => name);
  assert.deepEqual(listed.filter((name) => name?.endsWith('.mjs')).sort(), programs.sort());
});

test('generic-netlink lists families, and resolves a name', async () => {
  const list = await output('generic-netlink.mjs');
  assert.match(list, /^16 nlctrl notify=16$/m);
  assert.equal(await output('generic-netlink.mjs', 'nlctrl'), '16 nlctrl notify=16\n');
  await assert.rejects(output('generic-netlink.mjs', 'none'), /CTRL_CMD_GETFAMILY ENOENT/);
});

test('sock-diag lists the sockets of a server', async () => {
  const listening = (path: string | { port: number; host: string }) =>
    new Promise<ReturnType<typeof createServer>>((resolve) => {
      const server = createServer().listen(path, () => resolve(server));
    });
  // The loopback device of this namespace may be down; to listen, it need not be up.
  const tcp = await listening({ port: 0, host: '0.0.0.0' });
  const local = await listening('\0netlink-xfrm-example');
  try {
    const { port } = tcp.address() as { port: number };
    const list = await output('sock-diag.mjs');
    assert.match(list, new RegExp(`^tcp listen 0\\.0\\.0\\.0:${port} 0\\.0\\.0\\.0:0$`, 'm'));
    assert.match(list, /^unix @netlink-xfrm-example/m);
  } finally {
    tcp.close();
    local.close();
  }
});
