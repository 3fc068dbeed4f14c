/** containers/compose.yaml, by Debian's podman-compose. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { before, test } from 'node:test';
import { fetchTools } from '../../lib/lab/index.ts';
import { root } from '../package/packed.ts';
import { engine, podman } from './engine.ts';
import { buildImages, namespace } from './support.ts';

before(buildImages);

test('the compose file has a tunnel that comes up told', async () => {
  // What it takes for the host is a namespace of the test's.
  const host = namespace();
  const tools = await fetchTools(['podman-compose', 'python3-yaml', 'python3-dotenv']);
  const { env } = await engine();
  const compose = [join(tools.root, 'usr/bin/podman-compose'), '-f', join(root, 'containers/compose.yaml')];
  const command = [`--net=/proc/${host.pid}/ns/net`, 'python3', ...compose, 'up', '--no-build'];
  const child = spawn('nsenter', command, {
    env: { ...env, PYTHONPATH: join(tools.root, 'usr/lib/python3/dist-packages') },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  child.stderr.setEncoding('utf8').on('data', (data) => {
    text += data;
  });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const next = async (kind: string) => {
    for (;;) {
      const { value, done } = await lines.next();
      assert(!done, text);
      const [json] = /\{.*\}/.exec(value) ?? [];
      const said = json === undefined ? undefined : JSON.parse(json);
      if (said?.kind === kind) return said;
    }
  };
  await next('synced');
  const template = ['tmpl', 'src', '192.0.2.1', 'dst', '192.0.2.2', 'proto', 'esp', 'mode', 'tunnel'];
  const selector = ['src', '10.0.0.0/16', 'dst', '10.1.0.0/16', 'dir', 'out'];
  host.run('ip', 'xfrm', 'policy', 'add', ...selector, ...template);
  const { change, tunnel } = await next('tunnel-change');
  assert.equal(change, 'added');
  assert.deepEqual([tunnel.local, tunnel.remote], ['192.0.2.1', '192.0.2.2']);
  const closed = once(child, 'close');
  const { stdout } = await podman('ps', '--quiet');
  const { status, stderr } = await podman('stop', '--time=60', stdout.trim());
  assert.equal(status, 0, stderr);
  await closed;
});
