/** The addon and the unit tests on arm64, emulated. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { makeArm64 } from './arm64.ts';

/**
 * Unit tests of what could differ between processors. All of them took more than eight minutes of processor time:
 * those left out start commands, fetch, or follow simulated kernels and tunnels.
 */
const CHOSEN = [
  ...['error', 'filter', 'layout', 'wire', 'text', 'nests', 'encode', 'decode', 'keys', 'places'],
  ...['round-trip', 'in-order', 'iproute2', 'route', 'route-requests', 'losses', 'subscribe'],
  ...['event-hub', 'table', 'xfrm-table', 'schema'],
];

describe('on arm64', () => {
  let folder = '';
  let node = '';
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'netlink-xfrm-arm64-'));
    node = await makeArm64(folder);
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  /** Runs node for arm64 in the copy of the checkout; gives its status and what it printed. */
  async function run(args: readonly string[]): Promise<{ status: number; text: string }> {
    const env = { ...process.env, NODE_TEST_CONTEXT: undefined };
    const child = spawn(node, args, { cwd: folder, env, stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.on('data', (data) => {
      text += data;
    });
    const [status] = await once(child, 'close');
    return { status, text };
  }

  test('a real socket is opened, and the kernel answers it', async () => {
    const script = `
      const { RouteClient } = await import('./dist/lib/index.js');
      const client = new RouteClient();
      const { items } = await client.listLinks();
      for (const { name } of items) console.log(process.arch, name);
      await client.close();`;
    const { status, text } = await run(['--input-type=module', '-e', script]);
    assert.equal(status, 0);
    assert.match(text, /^arm64 lo$/m);
  });

  test('unit tests of bytes, requests and tables pass', async () => {
    const tests = CHOSEN.map((name) => join(folder, 'dist/test/unit', `${name}.test.js`));
    const { status, text } = await run(['--test-reporter=tap', 'scripts/together.mjs', ...tests]);
    assert.deepEqual(text.match(/^ *not ok .*$/gm) ?? [], [], text.slice(-3000));
    assert(Number(/^# pass (\d+)$/m.exec(text)?.[1]) > tests.length, 'hardly a test ran');
    assert.equal(status, 0);
  });
});
