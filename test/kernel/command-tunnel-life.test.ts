/** The subcommands about tunnels, with real SAs. */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { after, before, test } from 'node:test';
import { checkLine } from '../schema.ts';
import { run, start } from './command.ts';
import { GCM, ip, KEY_HEX, withoutEsp, words } from './support.ts';
import { TestTerminal } from './terminal.ts';
import {
  addHere,
  addPolicies,
  begin,
  deleteHere,
  FAR,
  flush,
  HERE,
  lines,
} from './tunnel-peers.ts';

before(() => addHere());
after(deleteHere);

const esp = (ends: readonly [string, string], spi: number) =>
  words(`src ${ends[0]} dst ${ends[1]} proto esp spi ${spi} reqid 7 mode tunnel`);
const OUT = [HERE, FAR] as const;
const IN = [FAR, HERE] as const;

/** The SAs of the tunnel, in both directions. */
function addSas(spi: number): void {
  const limits = words('limit time-soft 1800 limit time-hard 3600');
  ip('xfrm', 'state', 'add', ...esp(OUT, spi), ...GCM, ...limits);
  ip('xfrm', 'state', 'add', ...esp(IN, spi + 1), ...GCM, ...limits);
}
function deleteSas(spi: number): void {
  for (const [ends, one] of [
    [OUT, spi],
    [IN, spi + 1],
  ] as const) {
    ip(...words(`xfrm state delete src ${ends[0]} dst ${ends[1]} proto esp spi ${one}`));
  }
}

/** Sends packets into the tunnel; nobody answers. @returns what ends it */
function sendPackets(): () => void {
  // Not over lo, where nothing is encrypted: its disable_xfrm is set.
  for (const line of [
    'link add t7 type veth peer name t8',
    'link set t7 up',
    'link set t8 up',
    `address add ${HERE}/32 dev t7`,
    'address add 10.0.0.1/32 dev t7',
    `route add ${FAR}/32 dev t7`,
    `neighbour add ${FAR} lladdr 02:00:00:00:00:01 dev t7`,
    'route add 10.7.0.0/16 dev t7 src 10.0.0.1',
  ]) {
    ip(...words(line));
  }
  const socket = createSocket('udp4');
  const timer = setInterval(() => socket.send('netlink-xfrm', 9, '10.7.0.1', () => {}), 100);
  return () => {
    clearInterval(timer);
    socket.close();
    ip(...words('link del t7'));
  };
}

test('the life of a tunnel in each subcommand', { skip: withoutEsp }, async () => {
  addPolicies(7);
  const watched = await start('tunnels', '--watch');
  const json = await start('monitor', 'sa', '--tunnels', '--json');
  const waiting = begin('wait', '--for', 'up', FAR, '--timeout', '10m');
  await watched.printed('synced');
  addSas(0x1001);
  assert.match(await waiting, /^0 up 192\.0\.2\.1 > 198\.51\.100\.7 esp tunnel reqid 7 /);
  await watched.printed(' up ');
  assert.match(
    run('tunnels').stdout,
    /^up 192\.0\.2\.1 > 198\.51\.100\.7 esp tunnel reqid 7 since \S+Z up-since \S+Z sas 1 in 1 out in 0B\/0p out 0B\/0p installed \S+Z rekey-by \S+Z expires \S+Z reason/,
  );
  const well = run('check', '--expect', `paris=${FAR}`);
  assert.equal(well.status, 0);
  assert.match(well.stdout, /^TUNNELS OK - 1 tunnel, all OK \| tunnels=1 up=1;;;0;1 /);
  addSas(0x2001);
  assert.equal(run('wait', '--for', 'rekeying', FAR).status, 0);
  deleteSas(0x1001);
  await watched.printed('00001002 > 0x00002002');
  const falling = begin('wait', '--for', 'down', FAR, '--timeout', '10m');
  deleteSas(0x2001);
  assert.match(await falling, /^0 blocked /);
  await watched.printed(' down ');
  const bad = run('check');
  assert.equal(bad.status, 2);
  assert.match(bad.stdout, /^TUNNELS CRITICAL - 1 of 1 tunnel with problems: .* blocked \|/);
  const { out, err } = await watched.end();
  const told = lines(out)
    .slice(2)
    .map((line) => line.split(/\s+/)[1]);
  const story = told.filter((word, i) => word !== 'state' && word !== told[i - 1]);
  assert.deepEqual(story, ['up', 'rekeyed', 'down'], out);
  assert.match(out, /down {6}\S+ > \S+ reqid 7: blocked, deleted, was /);
  assert.match(err, /\n\d+ events \(.*rekeyed 1.*\), nothing lost\n$/);
  const records = lines((await json.end()).out);
  const kinds = new Set(records.map(checkLine));
  for (const kind of ['NEWSA', 'DELSA', 'up', 'rekeyed', 'down']) {
    assert(kinds.has(kind) || kinds.has(`tunnel-change ${kind}`), kind);
  }
  for (const record of records) assert(!record.includes(KEY_HEX));
  const down = records.map((line) => JSON.parse(line)).find(({ change }) => change === 'down');
  assert.equal(down.reason.kind, 'deleted');
  flush();
});

test('a live screen shows rates, and a tunnel that goes down', { skip: withoutEsp }, async () => {
  addPolicies(7);
  addSas(0x1001);
  const stop = sendPackets();
  try {
    const args = ['tunnels', '--watch', '--refresh', '500ms'];
    const terminal = new TestTerminal(args, { columns: 130 });
    await terminal.shows(/^up .* #7 .* [\d.]+ (B|KiB) {2}[1-9][\d.]* (B|KiB)\/s .* in (59|60)m/m);
    ip(...words('xfrm state flush'));
    await terminal.shows(/^\[SYNCED\] {2}1 tunnel: 1 (blocked|acquiring)/);
    terminal.press('q');
    assert.equal(await terminal.ended(), 0);
    assert.doesNotMatch(terminal.output, /␛\[2J/);
  } finally {
    stop();
  }
  flush();
});

test('check --watch-for finds unanswered traffic', { skip: withoutEsp }, async () => {
  addPolicies(7);
  addSas(0x1001);
  const stop = sendPackets();
  try {
    assert.match(await begin('check', '--watch-for', '2s'), /^2 TUNNELS CRITICAL - .* one-way \|/);
  } finally {
    stop();
  }
  flush();
});
