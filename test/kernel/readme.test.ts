/** The README's program does what the README says. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { deleteLarval, ip, withoutEsp, words } from './support.ts';

const root = join(import.meta.dirname, '../../..');

test('the daemon of the README hears of SAs and of links', { timeout: 600_000 }, async () => {
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

/** The programs of a document, each with what it says that the program prints. */
function examples(file: string): { code: string; prints: string }[] {
  const text = readFileSync(join(root, file), 'utf8');
  return [...text.matchAll(/```js\n([\s\S]+?)```\n(?:\nprints.*\n\n```\n([\s\S]+?)```)?/g)].map(
    ([, code = '', prints = '']) => ({ code, prints }),
  );
}

/** Runs a program and gives what it prints. */
function output(code: string): string {
  const args = ['--input-type=module', '-e', code];
  const { stdout, stderr, status } = spawnSync(process.execPath, args, {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: undefined },
  });
  assert.equal(status, 0, stderr);
  return stdout;
}

test('the policies of docs/client.md are set and read', () => {
  for (const { code, prints } of examples('docs/client.md').slice(0, 2)) {
    assert.equal(output(code), prints);
  }
});

test('the SA of docs/client.md is added and listed', { skip: withoutEsp }, () => {
  const [, , { code, prints } = { code: '', prints: '-' }] = examples('docs/client.md');
  const printed = output(code);
  // A kernel of 6.10 or newer takes all of it.
  const newer = prints.replace("[ 'XFRMA_SA_DIR' ]", '[]');
  assert(printed === prints || printed === newer, printed);
});

test('the client of the README runs', () => {
  assert.equal(output(examples('README.md')[1]?.code ?? ''), '');
});
