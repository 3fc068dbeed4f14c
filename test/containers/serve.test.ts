/** The daemon in a container with the rights of contrib/kubernetes.yaml. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { parse } from 'yaml';
import { root, temporary } from '../package/packed.ts';
import { engine, LIFETIME } from './engine.ts';
import { buildImages, namespace } from './support.ts';

const host = await namespace();
after(() => host.close());
before(buildImages);

const { spec } = parse(readFileSync(join(root, 'contrib/kubernetes.yaml'), 'utf8')).spec.template;
const [container] = spec.containers;

/** Prints the status of an answer. */
const ASK = `const [, url, authorization] = process.argv;
fetch(url, { headers: { authorization } }).then(({ status }) => process.stdout.write(String(status)))`;

test('as in the DaemonSet: not root, NET_ADMIN from the file of node, a read-only root', async () => {
  const secret = temporary();
  chmodSync(secret, 0o755);
  // As a secret with fsGroup is mounted.
  const token = join(secret, 'token');
  writeFileSync(token, 'a-token-of-many-characters\n', { mode: 0o440 });
  chownSync(token, 0, 1000);
  const { program, env } = await engine();
  const args = container.args.map((word: string) => word.replace('$(HOST_IP)', '127.0.0.1'));
  const { runAsUser, runAsGroup } = spec.securityContext;
  // Podman makes added capabilities ambient, Kubernetes does not: setpriv takes that back.
  const command = ['--ambient-caps=-all', '--inh-caps=-all', 'node'];
  const child = spawn(
    program,
    [
      ...['run', '--rm', `--timeout=${LIFETIME}`, '--cap-drop=ALL', '--cap-add=NET_ADMIN'],
      ...[`--network=${host.network}`, '--read-only', `--user=${runAsUser}:${runAsGroup}`],
      ...['--volume', `${secret}:/run/secrets/netlink-xfrm:ro`],
      ...['--tmpfs', '/var/lib/netlink-xfrm:mode=1777', '--entrypoint=setpriv'],
      ...['localhost/netlink-xfrm:file-capability', ...command],
      ...['/app/node_modules/netlink-xfrm/bin/netlink-xfrm.js', ...args],
    ],
    { env, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const exited = once(child, 'exit');
  let log = '';
  const ready = new Promise<void>((resolve) => {
    child.stderr.setEncoding('utf8').on('data', (text) => {
      log += text;
      if (log.includes('"event":"ready"')) resolve();
    });
    child.on('exit', () => resolve());
  });
  await ready;
  const ask = (path: string, authorization = 'none') =>
    host.output(process.execPath, '--eval', ASK, `http://127.0.0.1:9786${path}`, authorization);
  try {
    assert.match(log, /"event":"ready"/);
    for (const { httpGet } of [container.livenessProbe, container.readinessProbe]) {
      assert.equal(ask(httpGet.path), '200');
    }
    assert.equal(ask('/metrics'), '401');
    assert.equal(ask('/metrics', 'Bearer a-token-of-many-characters'), '200');
  } finally {
    child.kill('SIGTERM');
  }
  const [status] = await exited;
  assert.equal(status, 0, log);
});
