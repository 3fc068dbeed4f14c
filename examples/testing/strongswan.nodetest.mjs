// node:test: a configuration of strongSwan comes up, is rekeyed, and notices a peer that is dead.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { TunnelMonitor } from 'netlink-xfrm';
import {
  expectEncrypted,
  expectMirrored,
  expectNoXfrmErrors,
  probe,
  strongswan,
  twoHosts,
  waitForTunnel,
} from 'netlink-xfrm/testing';

const skip = (await probe()).missing('namespaces', 'veth', 'esp', 'mounts', 'strongswan');
const timeout = 30_000;

/** The file under test, as it is on the host: here that of either end is made of one text. */
const configuration = (own, other) => `connections {
  site {
    version = 2
    local_addrs = ${own.address}
    remote_addrs = ${other.address}
    proposals = aes128-sha256-ecp256
    dpd_delay = 1s
    local {
      auth = psk
      id = ${own.name}
    }
    remote {
      auth = psk
      id = ${other.name}
    }
    children {
      net {
        local_ts = ${own.inner}/32
        remote_ts = ${other.inner}/32
        esp_proposals = aes128gcm16-ecp256
        dpd_action = clear
      }
    }
  }
}
secrets {
  ike-site {
    secret = "for this test only"
  }
}
`;

test('a site-to-site tunnel', { skip, timeout: 120_000 }, async (t) => {
  const { left, right, [Symbol.asyncDispose]: end } = await twoHosts();
  t.after(end);
  const folder = mkdtempSync(join(tmpdir(), 'site-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const files = { left: mkdtempSync(join(folder, 'l-')), right: mkdtempSync(join(folder, 'r-')) };
  writeFileSync(join(files.left, 'swanctl.conf'), configuration(left, right));
  writeFileSync(join(files.right, 'swanctl.conf'), configuration(right, left));
  const retransmit = { retransmit_timeout: 0.5, retransmit_tries: 2, retransmit_base: 1 };
  const daemons = await strongswan(left, right, { files, daemon: retransmit });
  const monitor = await TunnelMonitor.open({ netns: left.netns });
  t.after(() => monitor.close());

  await daemons.left.initiate('net');
  await waitForTunnel(monitor, 'up', { timeout });
  await expectEncrypted(left, right);
  await expectMirrored(left, right, { timeout });

  await expectNoXfrmErrors([left, right], async () => {
    await daemons.left.rekey('net');
    await waitForTunnel(monitor, ({ rekeys }) => rekeys === 1, { timeout });
    await expectEncrypted(left, right);
  });

  await daemons.right.kill();
  const gone = await waitForTunnel(monitor, 'down', { timeout });
  assert.equal(gone.remote, right.address);
});
