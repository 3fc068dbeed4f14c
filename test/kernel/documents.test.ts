/** The programs of the README and of docs/ do what the documents say. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CHECKED, codeBlocks } from '../documents.ts';
import { checkLine } from '../schema.ts';
import { code, output, RunningProgram } from './documented.ts';
import { deleteLarval, ip, withoutEsp, words } from './support.ts';
import { addPolicies } from './tunnel-peers.ts';

const blocks = new Map(codeBlocks().map((block) => [block.name, block]));
const block = (name: string) => blocks.get(name) ?? assert.fail(`there is no ${name}`);

/** Programs that go on until they are stopped, each with a test below. */
const ENDLESS = [
  'README.md 1',
  'README.md 3',
  'README.md 4',
  'docs/route.md 1',
  'docs/tunnels.md 1',
  'docs/values.md 2',
];
const NEEDS_ESP = 'docs/client.md 3';

for (const { name, code: text, prints = '' } of blocks.values()) {
  if (CHECKED.has(name) || ENDLESS.includes(name) || name === NEEDS_ESP) continue;
  test(`${name} prints what it says`, async () => {
    assert.equal(await output(...code(text)), prints);
  });
}

test(`${NEEDS_ESP} adds an SA and lists it`, { skip: withoutEsp }, async () => {
  const { code: text, prints = '-' } = block(NEEDS_ESP);
  const printed = await output(...code(text));
  // A kernel of 6.10 or newer takes all of it.
  const newer = prints.replace("[ 'XFRMA_SA_DIR' ]", '[]');
  assert(printed === prints || printed === newer, printed);
});

test('the daemon of the README hears of SAs and of links', async () => {
  const { code: text } = block('README.md 1');
  assert(text.trimEnd().split('\n').length <= 15);
  await using daemon = new RunningProgram(...code(text));
  const spis: number[] = [];
  // It has joined its groups once it prints an SA.
  while (!daemon.printed.includes('DELSA')) {
    spis.push(deleteLarval());
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  ip(...words('link set lo mtu 1400'));
  const printed = await daemon.prints(/^NEWLINK lo \[/m);
  const [, daddr, spi] = /^DELSA (\S+) (\d+)$/m.exec(printed) ?? [];
  assert.equal(daddr, '192.0.2.2');
  assert(spis.includes(Number(spi)));
});

test('the loop of docs/values.md prints events as JSON', async () => {
  await using loop = new RunningProgram(...code(block('docs/values.md 2').code));
  while (!loop.printed.includes('\n')) {
    deleteLarval();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const [line = ''] = loop.printed.split('\n');
  assert.match(checkLine(line), /^(NEWSA|DELSA)$/);
});

test('the monitor of the README prints what is gone', async () => {
  addPolicies(7);
  await using monitor = new RunningProgram(...code(block('README.md 3').code));
  await monitor.prints(/^0 \[\]$/m);
  ip(...words('xfrm policy flush'));
  await monitor.prints(/^policy .+ is gone: flushed$/m);
});

test('the tunnel monitors of the documents print the tunnels that there are', async () => {
  addPolicies(7);
  for (const name of ['README.md 4', 'docs/tunnels.md 1']) {
    await using monitor = new RunningProgram(...code(block(name).code));
    const printed = await monitor.prints(/^192\.0\.2\.1 > 198\.51\.100\.7 reqid 7 down /m);
    if (name.startsWith('docs')) await monitor.prints(/^paris down /m);
    else assert(!printed.includes('paris'));
  }
});

test('the loop of docs/route.md hears of links', async () => {
  await using loop = new RunningProgram(...code(block('docs/route.md 1').code));
  for (let mtu = 1500; !loop.printed.includes('NEWLINK'); mtu++) {
    ip(...words(`link set lo mtu ${mtu}`));
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
});
