/** What strongSwan and libreswan have and the kernel has not, and the other way round, in the lab. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { fetchLabTools } from '../../lib/lab/index.ts';
import { nodeInLab } from './in-lab.ts';
import { LIBRESWAN, STRONGSWAN } from './packages.ts';

const PACKAGES = { strongswan: STRONGSWAN, libreswan: LIBRESWAN } as const;

for (const which of ['strongswan', 'libreswan'] as const) {
  test(`an SA deleted behind the back of ${which} is found, and one that it does not have`, async () => {
    const tools = await fetchLabTools(PACKAGES[which]);
    const said = await nodeInLab([join(import.meta.dirname, 'drift-guest.js'), which, tools.root], {
      suite: 'bookworm',
      env: { ...process.env, ...tools.env },
      timeout: 600_000,
    });
    assert.match(said, /all well/);
  });
}
