/** `netlink-xfrm stat`, run as a user does. */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { NETLINK_XFRM } from '../../lib/netlink/constants.ts';
import { NetlinkSocket } from '../../lib/socket.ts';
import { keyedTunnel } from '../../lib/testing/keyed-tunnel.ts';
import { NetworkNamespace } from '../../lib/testing/network-namespace.ts';
import { twoHosts } from '../../lib/testing/topologies.ts';
import { MessageWriter } from '../../lib/wire/message-writer.ts';
import { encodeXfrm } from '../../lib/xfrm/encode.ts';
import { checkLine } from '../schema.ts';
import { run, start, startBy } from './command.ts';
import { ip, withoutEsp, words } from './support.ts';

const skip = !existsSync('/proc/thread-self/net/xfrm_stat') && 'this kernel does not count errors';

const PEER = '198.51.100.2';

/** A link whose packets policies concern: those of the loopback are exempt. */
function link() {
  ip(...words('link add stat0 type veth peer name stat1'));
  ip(...words('address add 198.51.100.1/24 dev stat0'));
  for (const name of ['stat0', 'stat1']) ip(...words(`link set ${name} up`));
}

async function send(): Promise<void> {
  const sender = createSocket('udp4');
  const sent = promisify<string, number, string>(sender.send.bind(sender))('x', 9, PEER);
  await assert.rejects(sent, { code: 'EPERM' });
  sender.close();
}

const block = `xfrm policy add dir out src 0.0.0.0/0 dst ${PEER}/32 action block`;

test('counters that are not 0 are explained; a move names the events next to it', {
  skip,
}, async (t) => {
  link();
  t.after(() => ip(...words('link delete stat0')));
  const watching = await start('stat', '--watch', '--interval', '50ms', '--json');
  ip(...words(block));
  await send();
  await watching.printed('counter-move');
  const { out, status } = await watching.end();
  assert.equal(status, 0);
  const line = out.trimEnd().split('\n').at(-1) as string;
  assert.equal(checkLine(line), 'counter-move');
  const move = JSON.parse(line);
  assert.equal(move.counter, 'XfrmOutPolBlock');
  assert.equal(move.delta, '1');
  assert.equal(move.meaning, 'a policy blocked a packet to be sent');
  const policy = move.events.find(({ event }: { event: string }) => event === 'NEWPOLICY');
  assert.match(policy.text, /^out 0\.0\.0\.0\/0 > 198\.51\.100\.2\/32 block/);

  const { stdout } = run('stat', '--interval', '20ms');
  assert.match(
    stdout,
    /^XfrmOutPolBlock {2}\d+ {2}0\/s\n {2}a policy blocked a packet to be sent\n {2}usually .*\n( {10}.*\n)+ {2}look at netlink-xfrm policy dir=out/m,
  );
  const once = run('stat', '--interval', '0', '-o', 'json').stdout.trimEnd().split('\n');
  assert.deepEqual(
    once.map(checkLine),
    once.map(() => 'counter'),
  );
  assert(once.every((one) => !('rate' in JSON.parse(one))));
});

test('another namespace, all counters, and none', { skip }, async () => {
  await using host = await NetworkNamespace.make('counted');
  const { stdout, status } = run('stat', '--netns', host.path, '--interval', '0');
  assert.equal(status, 0);
  assert.match(stdout, /^all \d+ counters are 0: no packet was dropped \(--all lists them\)\n$/);
  const all = run('stat', '--netns', host.path, '--interval', '0', '--all', '--json').stdout;
  const names = all
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert(names.length >= 28);
  assert(names.every(({ netns, value }) => netns === host.path && value === '0'));
});

test('without the capability counters are shown, and moves without events', { skip }, async (t) => {
  link();
  t.after(() => ip(...words('link delete stat0')));
  ip(...words(block));
  const by = ['-e', DROP, '--'];
  const watching = await startBy(by, 'stat', '--watch', '--interval', '50ms');
  await watching.said('listening to no events');
  await send();
  await watching.printed(' XfrmOutPolBlock +1 (');
  const { out, err, status } = await watching.end();
  assert.equal(status, 0);
  assert.match(err, /no events are named: .*CAP_NET_ADMIN/);
  assert(!out.includes('within'));
});

/** Runs the command without the capability, as setpriv does. */
const DROP = `
const { spawn } = require('node:child_process');
const child = spawn('setpriv', ['--bounding-set=-net_admin', '--inh-caps=-net_admin', process.execPath,
  ${JSON.stringify(new URL('../../../bin/netlink-xfrm.js', import.meta.url).pathname)}, ...process.argv.slice(1)], { stdio: 'inherit' });
process.on('SIGINT', () => child.kill('SIGINT'));
child.on('exit', (status) => process.exit(status));
`;

test('wrong options are usage errors', () => {
  assert.equal(run('stat', '--interval', '1ms').status, 2);
  assert.equal(run('stat', '--watch', '--interval', '0').status, 2);
  assert.equal(run('stat', '-c', '1').status, 2);
  assert.equal(run('stat', '--netns', 'no-such').status, 1);
});

test('a deleted SA is named next to the packets that miss it, with who claims to have deleted it', {
  skip: skip || withoutEsp,
}, async () => {
  await using hosts = await twoHosts();
  const { left, right } = hosts;
  await using tunnel = await keyedTunnel(left, right);
  const watching = await start(
    ...['stat', '--watch', '--interval', '100ms', '--netns', right.path],
  );
  const { daddr, spi, proto = 'esp' } = tunnel.pair.toRight;
  // As strongSwan and libreswan do, it writes the port id of its socket into the request.
  await using requester = new NetlinkSocket({ protocol: NETLINK_XFRM, netns: right.netns });
  requester.bind();
  const { portId } = requester;
  const writer = new MessageWriter();
  const id = { daddr, spi, proto, family: 'inet' } as const;
  encodeXfrm(writer, {
    kind: 'request',
    message: 'DELSA',
    header: { portId, flags: 1 },
    id,
    attributes: {},
  });
  requester.send(writer.written());
  const sender = await left.udp(left.inner);
  sender.send('x', 9, right.inner);
  await watching.printed('XfrmInNoStates +');
  const { out, status } = await watching.end();
  assert.equal(status, 0);
  const name = `esp 0x${spi.toString(16).padStart(8, '0')}`;
  assert.match(
    out,
    new RegExp(
      `XfrmInNoStates \\+1 .*within 1 s of DELSA \\S+ > ${daddr.replaceAll('.', '\\.')} ${name}`,
    ),
  );
  assert.match(out, new RegExp(`claimed by \\S+\\[${process.pid}\\]`));
});
