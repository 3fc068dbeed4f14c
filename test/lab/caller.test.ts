/** The lab and its caller: standard input, signals, users. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative } from 'node:path';
import { describe, test } from 'node:test';
import { prepareLab } from '../../lib/lab/index.ts';
import { hostSuite, inspectMachine } from '../../lib/lab/machine.ts';
import { PATIENCE, sha256 } from './support.ts';

/** Processes that name the directory: the keeper and the kernel of a guest that has its files there. */
function guestsOf(directory: string): number {
  let found = 0;
  for (const pid of readdirSync('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    try {
      if (readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(directory)) found += 1;
    } catch {
      // It ended meanwhile.
    }
  }
  return found;
}

async function gone(directory: string): Promise<void> {
  while (guestsOf(directory) > 0) await new Promise((resume) => setTimeout(resume, 100));
}

describe('the lab and its caller', () => {
  const library = new URL('../../lib/lab/index.js', import.meta.url).href;
  const program = (body: string) => `import { runInLab } from ${JSON.stringify(library)}; ${body}`;

  test('stdin is passed on byte for byte, to its end', async () => {
    const body = `process.exitCode = (await runInLab(['sha256sum'], { stdin: 'inherit', timeout: ${PATIENCE} })).status;`;
    const input = Buffer.concat([randomBytes(1_000_000), Buffer.from([0x0a, 0x04, 0x16, 0x04])]);
    const { stdout, status } = spawnSync(
      process.execPath,
      ['--input-type=module', '-e', program(body)],
      { input },
    );
    assert.deepEqual([stdout.toString().slice(0, 64), status], [sha256(input), 0]);
  });

  test('a signal reaches the command; nothing outlives a killed parent', async (t) => {
    // The guest's files lie below TMPDIR: other guests of this user are none of our business.
    const directory = mkdtempSync(join(tmpdir(), 'lab-killed-'));
    t.after(() => rmSync(directory, { recursive: true, force: true }));
    const body = `process.exitCode = (await runInLab(
      ['sh', '-c', 'trap "exit 5" INT; echo up; while :; do sleep 0.1; done'],
      { forwardSignals: true, timeout: ${PATIENCE} })).status;`;
    const start = async () => {
      const child = spawn(process.execPath, ['--input-type=module', '-e', program(body)], {
        stdio: ['ignore', 'pipe', 'inherit'],
        env: { ...process.env, TMPDIR: directory },
      });
      await once(child.stdout, 'data');
      return child;
    };
    const first = await start();
    first.kill('SIGINT');
    assert.deepEqual(await once(first, 'exit'), [5, null]);
    const second = await start();
    assert.ok(guestsOf(directory) > 0);
    second.kill('SIGKILL');
    await once(second, 'exit');
    await gone(directory);
    assert.deepEqual(readdirSync(directory), [], 'its files are gone as well');
  });

  const root = process.getuid?.() === 0;
  test('an unprivileged user can do it', {
    skip: !root && 'not root: the others show it',
  }, async (t) => {
    const nobody = 65534;
    // A copy of the cache that belongs to that user.
    const suite = hostSuite(inspectMachine());
    const kernel = await prepareLab({ suite });
    const home = mkdtempSync(join(tmpdir(), 'lab-nobody-'));
    t.after(() => rmSync(home, { recursive: true, force: true }));
    const parent = dirname(kernel.directory);
    const cache = dirname(dirname(dirname(parent)));
    const copy = join(home, relative(cache, parent), basename(kernel.directory));
    if (readdirSync(kernel.directory).includes('libc')) {
      t.skip('the kernel is bound to the path of its C library');
      return;
    }
    cpSync(kernel.directory, copy, { recursive: true });
    const record = join(copy, 'kernel.json');
    const { size } = JSON.parse(readFileSync(record, 'utf8')) as { size: number };
    const { release, version, fetched } = kernel;
    writeFileSync(
      record,
      JSON.stringify({ suite, release, version, fetched, size, directory: copy }),
    );
    spawnSync('chown', ['-R', `${nobody}:${nobody}`, home]);
    chownSync(home, nobody, nobody);
    chmodSync(home, 0o700);

    const body = `process.exitCode = (await runInLab(['sh', '-c', 'id -u; exit 3'], { suite: '${suite}', timeout: ${PATIENCE} })).status;`;
    const { stdout, stderr, status } = spawnSync(
      process.execPath,
      ['--input-type=module', '-e', program(body)],
      {
        uid: nobody,
        gid: nobody,
        cwd: home,
        env: { PATH: process.env.PATH, HOME: home, NETLINK_XFRM_CACHE: home },
      },
    );
    if (/EACCES|ERR_MODULE_NOT_FOUND/.test(stderr.toString())) {
      t.skip('this checkout cannot be read by other users');
      return;
    }
    assert.deepEqual([stdout.toString(), stderr.toString(), status], ['0\n', '', 3]);
  });
});
