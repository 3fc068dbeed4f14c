/** The programs of the README and of docs/ do what the documents say. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { codeBlocks } from '../documents.ts';
import { checkLine } from '../schema.ts';
import { code, output, RunningProgram } from './documented.ts';
import { deleteLarval, ip, withoutEsp, words } from './support.ts';
import { addPolicies } from './tunnel-peers.ts';

const blocks = codeBlocks();

/** The program of a document that has this text in it. */
const programWith = (document: string, text: string): string[] => {
  const found = blocks.find(({ name, code }) => name.startsWith(document) && code.includes(text));
  return code(found?.code ?? assert.fail(`${document} has no program with ${text}`));
};

for (const { name, info, code: text, prints = '' } of blocks) {
  if (info !== '') continue;
  test(`${name} prints what it says`, async () => {
    assert.equal(await output(...code(text)), prints);
  });
}

test('the SAs of the documents are added and listed', { skip: withoutEsp }, async () => {
  const [{ code: text, prints = '-' } = { code: '' }] = blocks.filter(({ info }) => info === 'esp');
  const printed = await output(...code(text));
  // A kernel of 6.10 or newer takes all of it.
  const newer = prints.replace("[ 'XFRMA_SA_DIR' ]", '[]');
  assert(printed === prints || printed === newer, printed);
});

test('the daemon in the README reports SAs and links', async () => {
  const daemonCode = programWith('README.md', "'RTMGRP_LINK'");
  assert(daemonCode.join('\n').trimEnd().split('\n').length <= 17, '15 lines, and what runs them');
  await using daemon = new RunningProgram(...daemonCode);
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
  await using loop = new RunningProgram(...programWith('docs/values.md', 'jsonLine(event)'));
  while (!loop.printed.includes('\n')) {
    deleteLarval();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const [line = ''] = loop.printed.split('\n');
  assert.match(checkLine(line), /^(NEWSA|DELSA)$/);
});

test('the monitor in the README prints removed objects', async () => {
  addPolicies(7);
  await using monitor = new RunningProgram(...programWith('README.md', 'XfrmMonitor.open()'));
  await monitor.prints(/^0 \[\]$/m);
  ip(...words('xfrm policy flush'));
  await monitor.prints(/^policy .+ is gone: flushed$/m);
});

test('documented tunnel monitors print the existing tunnels', async () => {
  addPolicies(7);
  for (const name of ['README.md', 'docs/tunnels.md']) {
    await using monitor = new RunningProgram(...programWith(name, 'monitor.snapshot().tunnels'));
    const printed = await monitor.prints(/^192\.0\.2\.1 > 198\.51\.100\.7 reqid 7 down /m);
    if (name.startsWith('docs')) await monitor.prints(/^paris down /m);
    else assert(!printed.includes('paris'));
  }
});

test('the loop in docs/route.md reports links', async () => {
  await using loop = new RunningProgram(...programWith('docs/route.md', 'console.log(event.kind)'));
  for (let mtu = 1500; !loop.printed.includes('NEWLINK'); mtu++) {
    ip(...words(`link set lo mtu ${mtu}`));
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
});
