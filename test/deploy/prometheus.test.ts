/** A Prometheus that scrapes a daemon, in the lab. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { runInLab } from '../../lib/lab/index.ts';
import { fetchPrometheus, promtool } from './prometheus.ts';
import { temporary } from './support.ts';

test('Prometheus counts through rekeys and a restart, and its alerts tell of a dead peer', async () => {
  const share = temporary();
  const guest = join(import.meta.dirname, 'prometheus-guest.js');
  let said = '';
  const output = new PassThrough().on('data', (text) => {
    said += text;
  });
  const { status } = await runInLab([process.execPath, guest, await fetchPrometheus(), share], {
    share,
    stdout: output,
    stderr: output,
    timeout: 900_000,
  });
  assert.equal(status, 0, said.slice(-6000));
  const scrape = readFileSync(join(share, 'metrics.txt'), 'utf8');
  assert.match(scrape, /^xfrm_tunnel_up\{tunnel="paris"\} 1$/m);
  // It says nothing if nothing is wrong.
  assert.equal(await promtool(['check', 'metrics'], scrape), '');
});
