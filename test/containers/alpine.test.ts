/** containers/Dockerfile.alpine: the addon for musl, loaded by a Node that is linked with musl. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { buildAlpine, listen, namespace, runContainer } from './support.ts';

const host = await namespace();
after(() => host.close());
const image = 'netlink-xfrm:alpine';
const options = ['--cap-drop=ALL', `--network=${host.network}`, '--cap-add=NET_ADMIN'];
before(buildAlpine);

test('on Alpine the addon for musl is loaded, and hears', async () => {
  const heard = await listen(
    { image, options, args: ['monitor', 'policy', '--count', '1'] },
    () => {
      host.run(
        'ip',
        'xfrm',
        'policy',
        'add',
        'src',
        '10.9.0.0/16',
        'dst',
        '10.8.0.0/16',
        'dir',
        'in',
      );
    },
  );
  assert.match(heard.stdout, /NEWPOLICY in 10\.9\.0\.0\/16 > 10\.8\.0\.0\/16/, heard.stderr);
  assert.equal(heard.status, 0);
});

test('on Alpine a monitor is opened, and tables are right', async () => {
  const script = `
    const { XfrmMonitor } = await import('netlink-xfrm');
    const monitor = await XfrmMonitor.open();
    const addon = /prebuilds\\/[^/]+\\/netlink\\.node/.exec(fs.readFileSync('/proc/self/maps', 'latin1'))?.[0];
    console.log(monitor.policies.size, addon);
    await monitor.close();`;
  const { stdout, stderr } = await runContainer({
    image,
    options: [...options, '--entrypoint=node', '--workdir=/app'],
    args: ['--input-type=module', '--eval', `import fs from 'node:fs';${script}`],
  });
  assert.equal(stdout, '1 prebuilds/linuxmusl-x64/netlink.node\n', stderr);
});
