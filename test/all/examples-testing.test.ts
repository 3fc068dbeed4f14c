/** The suites of examples/testing/, each by its runner, in the lab. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { before, test } from 'node:test';
import { fetchLabTools, type LabTools, runInLab } from '../../lib/lab/index.ts';
import { root, SUITES } from '../documents.ts';
import { nodeOf } from '../package/packed.ts';
import { RUN, suites } from '../package/suites.ts';
import { STRONGSWAN } from './packages.ts';

/** Without what tells node:test that it is a test itself. */
const alone = { NO_COLOR: '1', NODE_TEST_CONTEXT: undefined };

let folder = '';
let tools: LabTools;
before(async () => {
  ({ folder } = await suites(root));
  tools = await fetchLabTools(STRONGSWAN);
});

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
  assert.match(await suite(...RUN.node), /^# pass 1$/m);
});

test('the suite of docs/testing.md with a key manager', async () => {
  const { code = '' } = SUITES.find(({ code }) => code.includes('strongswan(')) ?? {};
  writeFileSync(join(folder, 'peer.mjs'), code);
  const said = await suite('node', 'peer.mjs');
  assert.match(said, /^# pass 1$/m);
  assert.match(said, /^# skipped 0$/m);
});

test('Vitest, with matchers', async () => {
  const said = await suite(...RUN.vitest);
  assert.match(said, /Tests +4 passed/);
});

test('Jest, with a monitor of one’s own', async () => {
  const said = await suite(...RUN.jest);
  assert.match(said, /Tests: +4 passed, 4 total/);
});

test('Vitest with a newer Node, which starts its workers by fork', async () => {
  const [, ...run] = RUN.vitest;
  assert.match(await suite(nodeOf(24), ...run), /Tests +4 passed/);
});
