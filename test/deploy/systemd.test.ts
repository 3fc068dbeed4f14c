/** contrib/netlink-xfrm.service under a real systemd, in the lab. */
import assert from 'node:assert/strict';
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { runInLab } from '../../lib/lab/index.ts';
import { temporary } from './support.ts';
import { systemdRoot } from './systemd-root.ts';

test('the unit: ready after the first sync, one capability, reload, watchdog, and what would break it', async () => {
  const root = await systemdRoot('trixie');
  const share = temporary();
  // The unit's user reads its configuration there.
  chmodSync(share, 0o755);
  const guest = join(import.meta.dirname, 'systemd-guest.js');
  let said = '';
  const output = new PassThrough().on('data', (text) => {
    said += text;
  });
  const { status } = await runInLab([process.execPath, guest, root, share], {
    share,
    stdout: output,
    stderr: output,
    timeout: 900_000,
  });
  assert.equal(status, 0, said.slice(-6000));
});
