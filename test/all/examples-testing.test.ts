/** The suites of examples/testing/, each by its runner, in the lab. */
import assert from 'node:assert/strict';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { after, before, test } from 'node:test';
import { fetchLabTools, type LabTools, runInLab } from '../../lib/lab/index.ts';
import { root, SUITES } from '../documents.ts';
import { STRONGSWAN } from './packages.ts';

/** Without what tells node:test that it is a test itself. */
const alone = { NO_COLOR: '1', NODE_TEST_CONTEXT: undefined };

let folder = '';
let tools: LabTools;
before(async () => {
  const { kept } = await import(join(root, 'scripts/kept.mjs'));
  const examples = join(root, 'examples/testing');
  folder = mkdtempSync(join(tmpdir(), 'netlink-xfrm-examples-'));
  cpSync(examples, folder, { recursive: true });
  const modules = join(folder, 'node_modules');
  rmSync(modules, { recursive: true, force: true });
  mkdirSync(modules);
  const installed = kept(examples, 'Vitest and Jest');
  for (const name of readdirSync(installed)) {
    symlinkSync(join(installed, name), join(modules, name));
  }
  symlinkSync(root, join(modules, 'netlink-xfrm'));
  tools = await fetchLabTools(STRONGSWAN);
});
after(() => rmSync(folder, { recursive: true, force: true }));

/** Runs a suite as its line of package.json does, where strongSwan is found. @returns what was said */
async function suite(...command: string[]): Promise<string> {
  let said = '';
  const output = new PassThrough().on('data', (text) => {
    said += text;
  });
  const graft = join(import.meta.dirname, 'graft.js');
  const script = `import(process.argv[1]).then(({ graft }) => graft('/usr/lib', 'ipsec', process.argv[2]))`;
  const line = 'node -e "$0" "$1" "$2" && shift 2 && exec "$@"';
  const ipsec = join(tools.root, 'usr/lib/ipsec');
  const { status } = await runInLab(['sh', '-c', line, script, graft, ipsec, ...command], {
    cwd: folder,
    share: folder,
    stdout: output,
    stderr: output,
    timeout: 600_000,
    env: { ...process.env, ...tools.env, NETLINK_XFRM_REQUIRE: 'all', ...alone },
  });
  assert.equal(status, 0, said);
  return said;
}

test('node:test, with a configuration of strongSwan', async () => {
  assert.match(await suite('node', '--test', 'strongswan.nodetest.mjs'), /^# pass 1$/m);
});

test('the suite of docs/testing.md with a key manager', async () => {
  const { code = '' } = SUITES.find(({ code }) => code.includes('strongswan(')) ?? {};
  writeFileSync(join(folder, 'peer.mjs'), code);
  const said = await suite('node', 'peer.mjs');
  assert.match(said, /^# pass 1$/m);
  assert.match(said, /^# skipped 0$/m);
});

test('Vitest, with matchers', async () => {
  const said = await suite('node', 'node_modules/vitest/vitest.mjs', 'run');
  assert.match(said, /Tests +4 passed/);
});

test('Jest, with a monitor of one’s own', async () => {
  const said = await suite('node', '--experimental-vm-modules', 'node_modules/jest/bin/jest.js');
  assert.match(said, /Tests: +4 passed, 4 total/);
});
