// Vitest: a tunnel between two hosts carries traffic, is rekeyed and goes down.
import {
  keyedTunnel,
  probe,
  tcp,
  twoHosts,
  waitForTunnel,
  xfrmMatchers,
} from 'netlink-xfrm/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

expect.extend(xfrmMatchers);

const missing = (await probe()).missing('namespaces', 'veth', 'esp', 'wire');

describe.skipIf(missing)(missing || 'a tunnel', () => {
  let hosts;
  let tunnel;
  beforeAll(async () => {
    hosts = await twoHosts();
    tunnel = await keyedTunnel(hosts.left, hosts.right);
  });
  afterAll(() => hosts?.[Symbol.asyncDispose]());

  test('protects what goes through it', async () => {
    await expect(hosts.left).toBeEncryptedTo(hosts.right);
    await expect(hosts.left).toMirror(hosts.right);
  });

  test('loses nothing in a rekey', async () => {
    const rekey = async () => {
      await tunnel.rekey();
      expect(await tcp(hosts.left, hosts.right)).toBe(65_536);
    };
    await expect(rekey).toCauseNoXfrmErrors([hosts.left, hosts.right]);
    await expect(hosts.left).toMirror(hosts.right);
  });

  test('leaves nothing behind', async () => {
    const another = async () => {
      const other = await keyedTunnel(hosts.left, hosts.right, {
        reqid: 2,
        protects: ['10.8.0.0/24', '10.9.0.0/24'],
      });
      await other.remove();
    };
    await expect(another).toLeaveNothing([hosts.left, hosts.right]);
  });

  test('goes down when its SAs expire', async () => {
    await waitForTunnel(hosts.left, 'up');
    await tunnel.expire({ on: hosts.left });
    await waitForTunnel(hosts.left, ({ state }) => state !== 'up');
  });
});
