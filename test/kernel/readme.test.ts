/** The README's program does what the README says. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { deleteLarval, ip, words } from './support.ts';

const root = join(import.meta.dirname, '../../..');

test('the daemon of the README hears of SAs and of links', { timeout: 60_000 }, async () => {
  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  const [, code = ''] = /```js\n([\s\S]+?)```/.exec(readme) ?? [];
  assert(code.trimEnd().split('\n').length <= 15);
  const daemon = spawn(process.execPath, ['--input-type=module', '-e', code], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    let printed = '';
    daemon.stdout.setEncoding('utf8').on('data', (text) => {
      printed += text;
    });
    const spis: number[] = [];
    // It has joined its groups once it tells of an SA.
    while (!printed.includes('DELSA')) {
      spis.push(deleteLarval());
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    ip(...words('link set lo mtu 1400'));
    while (!printed.includes('NEWLINK')) {
      await new Promise((resolve) => daemon.stdout.once('data', resolve));
    }
    const [, daddr, spi] = /^DELSA (\S+) (\d+)$/m.exec(printed) ?? [];
    assert.equal(daddr, '192.0.2.2');
    assert(spis.includes(Number(spi)));
    assert.match(printed, /^NEWLINK lo \[/m);
  } finally {
    daemon.kill('SIGKILL');
  }
});
