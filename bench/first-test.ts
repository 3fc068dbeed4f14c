/** A suite of one test with the testing kit. It prints how old the kernel is, in seconds, when it begins and ends. @module */
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { expectEncrypted, keyedTunnel, twoHosts } from '../lib/testing/index.ts';

const uptime = () => Number(readFileSync('/proc/uptime', 'latin1').split(' ')[0]);

test('the tunnel protects what goes through it', async () => {
  const begun = uptime();
  await using hosts = await twoHosts();
  await keyedTunnel(hosts.left, hosts.right);
  await expectEncrypted(hosts.left, hosts.right);
  console.log(JSON.stringify({ begun, ended: uptime() }));
});
