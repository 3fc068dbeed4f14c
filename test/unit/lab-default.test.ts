/** Which kernel the lab takes when none is named, and what it does when that one is not to be had. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { prepareDefault } from '../../lib/lab/default.ts';
import { LabError } from '../../lib/lab/errors.ts';
import type { LabKernel } from '../../lib/lab/kernel.ts';

const machine = { id: 'debian', codename: 'bookworm', amx: false };
const SUITES = ['sid', 'bookworm'];
const outer = { ...process.env };

let cache = '';
beforeEach(() => {
  cache = mkdtempSync(join(tmpdir(), 'netlink-xfrm-default-'));
  process.env.NETLINK_XFRM_CACHE = cache;
  process.env.NETLINK_XFRM_MIRROR = 'file:/none/such/debian';
  process.env.NETLINK_XFRM_KEYRING = import.meta.filename;
});
afterEach(() => {
  for (const name of ['CACHE', 'MIRROR', 'KEYRING'].map((part) => `NETLINK_XFRM_${part}`)) {
    if (outer[name] === undefined) delete process.env[name];
    else process.env[name] = outer[name];
  }
  rmSync(cache, { recursive: true });
});

/** Puts a kernel into the cache, as a fetch leaves it. */
function keep(suite: string, release: string): string {
  const kind = `${suite}-${suite === machine.codename ? 'own' : 'moved'}`;
  const directory = join(cache, 'kernels/v1', kind, `${release}um1`);
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'linux'), 'kernel');
  const fetched = new Date().toISOString();
  const recorded = { suite, release, version: `${release}um1`, directory, fetched, size: 6 };
  writeFileSync(join(directory, 'kernel.json'), JSON.stringify(recorded));
  return directory;
}

/** Chooses; `refused` are the kernels that do not boot, as SUITE or SUITE with seccomp. */
async function choose(...refused: string[]) {
  const tried: string[] = [];
  const said: string[] = [];
  const trial = async (kernel: LabKernel) => {
    const name = `${kernel.suite}${kernel.seccomp ? ' with seccomp' : ''}`;
    tried.push(name);
    if (refused.includes(name)) {
      const message = `The guest kernel ${kernel.release} did not come up. Its last words:\n(none)`;
      throw new LabError('LAB_BOOT', message, '');
    }
  };
  const kernel = await prepareDefault(
    SUITES,
    machine,
    { progress: (text) => said.push(text) },
    trial,
  );
  const { suite, seccomp } = kernel;
  return { suite, seccomp, tried, said };
}

test('the newest is test-booted once, and used from then on', async () => {
  keep('sid', '7.2.7');
  keep('bookworm', '6.1.176');
  assert.deepEqual(await choose(), {
    suite: 'sid',
    seccomp: true,
    tried: ['sid with seccomp'],
    said: [],
  });
  assert.deepEqual((await choose()).tried, []);
  writeFileSync(join(cache, 'default.json'), '{"suite":');
  assert.deepEqual((await choose()).tried, ['sid with seccomp'], 'what is damaged is made anew');
  keep('sid', '7.3.1');
  assert.deepEqual((await choose()).tried, ['sid with seccomp'], 'a new kernel is tried anew');
});

test('one that does not boot by seccomp filters is traced', async () => {
  keep('sid', '7.2.7');
  const first = await choose('sid with seccomp');
  assert.deepEqual(first.tried, ['sid with seccomp', 'sid']);
  assert.deepEqual(first.said, ['Linux 7.2.7 (sid) runs here without seccomp alone: slower']);
  const again = await choose('sid with seccomp');
  assert.deepEqual([first.seccomp, again.seccomp, again.tried], [false, false, []]);
});

test('if the newest does not boot, the next one is used, with a message', async () => {
  keep('sid', '7.2.7');
  keep('bookworm', '6.1.176');
  const refused = ['sid with seccomp', 'sid'];
  const first = await choose(...refused);
  assert.deepEqual(first.tried, [...refused, 'bookworm']);
  assert.deepEqual(first.said, [
    'The guest kernel 7.2.7 did not come up; taking the kernel of bookworm instead',
  ]);
  const again = await choose(...refused);
  assert.deepEqual([first.suite, again.suite, again.tried], ['bookworm', 'bookworm', []]);
});

test('without an archive the cached kernel is used; without either, an error with a hint', async () => {
  await assert.rejects(choose(), (error) => {
    assert(error instanceof LabError);
    assert.equal(error.code, 'LAB_FETCH');
    assert.match(error.message, /^Fetching .* from Debian bookworm failed: /);
    assert.match(error.hint, /Check the network/);
    return true;
  });
  assert.deepEqual(readdirSync(cache).includes('kernels'), false, 'nothing looks like a kernel');
  keep('bookworm', '6.1.176');
  const { suite, tried, said } = await choose();
  assert.deepEqual([suite, tried, said.length], ['bookworm', ['bookworm'], 2]);
  assert.match(
    said[1] ?? '',
    /^Fetching .* from Debian sid failed.*; taking the kernel of bookworm/,
  );
});

test('a truncated kernel image is not used', async () => {
  const directory = keep('sid', '7.2.7');
  keep('bookworm', '6.1.176');
  writeFileSync(join(directory, 'linux'), 'ker');
  assert.equal((await choose()).suite, 'bookworm');
});
