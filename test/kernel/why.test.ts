/** `netlink-xfrm why`, run as a user does, compared with what becomes of packets that are sent. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { readXfrmStat } from '../../lib/index.ts';
import { root } from '../documents.ts';
import { checkLine } from '../schema.ts';
import { run, runWithoutPrivilege } from './command.ts';
import { hostsHere, type TwoHosts } from './here.ts';
import { GCM, ip, KEY_HEX, withoutEsp, words } from './support.ts';

let hosts: TwoHosts;
before(async () => {
  hosts = await hostsHere();
  ip(...words('address add 10.1.0.5/32 dev lo'));
  ip(...words('route add 10.2.0.0/16 via 192.0.2.2 dev cable'));
});
after(async () => {
  ip(...words('address del 10.1.0.5/32 dev lo'));
  await hosts[Symbol.asyncDispose]();
});

const policy = (text: string) => ip('xfrm', 'policy', 'add', ...words(text));
const TEMPLATE = 'tmpl src 192.0.2.1 dst 192.0.2.2 proto esp mode tunnel reqid 1';

const why = (...args: string[]) => {
  const { status, stdout, stderr } = run('why', ...args);
  assert.equal(stderr, '');
  return { status, stdout, first: stdout.split('\n')[0] };
};

/** The counters that move when a datagram is sent. */
async function movedBy(source: string, target: string): Promise<string[]> {
  const before = (await readXfrmStat()) ?? {};
  const socket = await hosts.left.udp(source);
  socket.on('error', () => {});
  socket.send('x', 9, target);
  // Sent, or refused.
  await Promise.race([
    once(socket, 'error'),
    new Promise((resolve) => socket.send('', 9, '127.0.0.1', resolve)),
  ]);
  socket.close();
  const after = (await readXfrmStat()) ?? {};
  return Object.entries(after).flatMap(([name, n]) =>
    n === before[name as `Xfrm${string}`] ? [] : [name],
  );
}

test('a packet that a policy blocks, one for which there is no SA, and one that no policy catches', async () => {
  const flow = '10.1.0.5 > 10.2.0.7 udp 9';
  assert.equal(
    why(flow).first,
    '10.1.0.5 > 10.2.0.7:9 udp, from this host: in clear, no policy catches it',
  );
  assert.equal(why(flow).status, 0);
  assert.deepEqual(await movedBy('10.1.0.5', '10.2.0.7'), []);

  policy(`src 10.1.0.0/16 dst 10.2.0.0/16 dir out priority 100 ${TEMPLATE}`);
  const lost = why(flow);
  assert.equal(lost.status, 1);
  assert.match(lost.stdout, /^ {2}counted {3}as XfrmOutNoStates$/m);
  assert.match(lost.stdout, /^ {2}route {5}unicast by cable via 192\.0\.2\.2$/m);
  assert.deepEqual(await movedBy('10.1.0.5', '10.2.0.7'), ['XfrmOutNoStates']);

  policy('src 10.1.0.5 dst 10.2.0.7 dir out priority 50 action block');
  const blocked = why(flow);
  assert.equal(blocked.status, 1);
  assert.match(blocked.stdout, /^ {2}counted {3}as XfrmOutPolBlock$/m);
  assert.match(blocked.stdout, /^ {2}nearly {4}out 10\.1\.0\.0\/16 .*: comes after it$/m);
  assert.deepEqual(await movedBy('10.1.0.5', '10.2.0.7'), ['XfrmOutPolBlock']);
});

test('an SA that is being negotiated, and one that another reqid keeps away', () => {
  policy(`src 10.1.0.0/16 dst 10.2.0.0/16 dir out ${TEMPLATE}`);
  const ends = 'src 192.0.2.1 dst 192.0.2.2 proto esp mode tunnel';
  ip('xfrm', 'state', 'allocspi', ...words(`${ends} reqid 1 min 4096 max 4096`));
  const { first, status } = why('10.1.0.5 > 10.2.0.7');
  assert.equal(status, 1);
  assert.match(`${first}`, /dropped, its SA is being negotiated, and has no keys yet$/);
});

test('a packet that arrives in clear where a policy requires IPsec', () => {
  policy(
    'src 10.2.0.0/16 dst 10.1.0.0/16 dir in tmpl src 192.0.2.2 dst 192.0.2.1 proto esp mode tunnel reqid 1',
  );
  const flow = '10.2.0.7 > 10.1.0.5 tcp 443';
  assert.match(why(flow).stdout, /^ {2}counted {3}as XfrmInNoStates$/m);
  const clear = why(flow, '--clear');
  assert.equal(clear.status, 1);
  assert.match(clear.stdout, /^ {2}counted {3}as XfrmInTmplMismatch$/m);
  const line = why(flow, '-o', 'json').stdout;
  assert.equal(checkLine(line), 'why');
});

test('marks, directions, interfaces and namespaces can be chosen', async () => {
  policy('src 10.1.0.0/16 dst 10.2.0.0/16 mark 5 dir out action block');
  const flow = '10.1.0.5 > 10.2.0.7';
  assert.match(why(flow).stdout, /^ {2}nearly .*: but for its mark$/m);
  assert.equal(why(flow, '--mark', '5').status, 1);
  assert.equal(why(flow, '--mark', '0x5').status, 1);
  policy('src 10.1.0.0/16 dst 10.2.0.0/16 dir fwd action block');
  const forwarded = '10.1.9.9 > 10.2.0.7';
  ip(...words('route add 10.1.9.0/24 via 192.0.2.2 dev cable'));
  assert.match(
    `${why(forwarded).first}`,
    /, forwarded: dropped, no route to 10\.2\.0\.7, or this host does not forward/,
  );
  await hosts.left.sysctl('net/ipv4/ip_forward', 1);
  const stopped = why(forwarded);
  await hosts.left.sysctl('net/ipv4/ip_forward', 0);
  assert.match(`${stopped.first}`, /, forwarded: dropped, the policy blocks$/);
  assert.match(stopped.stdout, /^ {2}counted {3}as XfrmInPolBlock$/m);
  assert.match(`${why('10.1.9.9 > 10.2.0.7', '--dir', 'out').first}`, /, from this host: /);
  assert.match(`${why('10.1.0.5 > 192.0.2.1').first}`, /, within this host: in clear, /);
  const missing = run('why', flow, '--interface', 'nothing');
  assert.deepEqual(
    [missing.status, missing.stderr],
    [1, 'netlink-xfrm: there is no interface nothing\n'],
  );
  const nowhere = run('why', flow, '--netns', 'nothing');
  assert.match(nowhere.stderr, /\/run\/netns\/nothing does not exist/);
  const there = run('why', flow, '--netns', `/proc/${process.pid}/ns/net`, '-o', 'json');
  assert.equal(checkLine(there.stdout), 'why');
});

test('of a VTI only what precedes it is said', { skip: withoutEsp }, () => {
  ip(...words('link add vti5 type vti local 192.0.2.1 remote 192.0.2.2 okey 5 ikey 6'));
  ip(...words('link set vti5 up'));
  policy(`src 10.1.0.0/16 dst 10.2.0.0/16 mark 5 dir out ${TEMPLATE}`);
  const flow = '10.1.0.5 > 10.2.0.7';
  const out = why(flow, '--interface', 'vti5');
  assert.match(`${out.first}`, /: in clear, no policy catches it$/);
  assert.match(out.stdout, /^ {2}unsure {4}vti5 is a VTI, .* has the mark 5; --mark 5 says/m);
  assert.match(why(flow, '--interface', 'vti5', '--mark', '5').stdout, /XfrmOutNoStates/);
  const back = why('10.2.0.7 > 10.1.0.5', '--interface', 'vti5');
  assert.match(back.stdout, /^ {2}unsure {4}vti5 is a VTI, .* has the mark 6;/m);
  ip(...words('link del vti5'));
});

test('what makes no sense ends in an error that says so', () => {
  const cases: [args: string[], status: number, reason: RegExp][] = [
    [[], 2, /missing required argument 'flow'/],
    [['10.1.0.5'], 2, /a second address is missing, .* takes '>' for a redirection/],
    [['10.1.0.5 > 10.2.0.7', '--mark', 'x'], 2, /must be a number of 32 bits/],
    [['10.1.0.5 > 10.2.0.7', '--dir', 'up'], 2, /Allowed choices are out, in, fwd, local/],
    [['10.1.0.5 > 10.2.0.7', '--spi', '1', '--clear'], 2, /cannot be used with/],
    [['10.2.0.7 > 10.1.0.5', '--spi', '0x77'], 1, /no SA of this host has the SPI 0x00000077/],
  ];
  for (const [args, status, reason] of cases) {
    const result = run('why', ...args);
    assert.equal(result.status, status, result.stderr);
    assert.match(result.stderr, reason);
  }
  assert.equal(runWithoutPrivilege('why', '10.1.0.5 > 10.2.0.7').status, 3);
});

test('the example of docs/why.md is what the command prints', { skip: withoutEsp }, () => {
  const ends = 'src 192.0.2.1 dst 192.0.2.2 proto esp';
  ip('xfrm', 'state', 'add', ...words(`${ends} spi 0x1001 mode tunnel reqid 2`), ...GCM);
  policy(`src 10.1.0.0/16 dst 10.2.0.0/16 dir out priority 100 ${TEMPLATE}`);
  policy('src 10.1.0.5 dst 10.2.0.7 dir out priority 200 action block');
  const [, example] = readFileSync(join(root, 'docs/why.md'), 'utf8').split('\n```\n');
  // Indexes are counted since the kernel started.
  const indexes = (text = '') => text.trimEnd().replaceAll(/index \d+/g, 'index N');
  const flow = '10.1.0.5 > 10.2.0.7 tcp 443';
  assert.equal(indexes(why(flow).stdout), indexes(example));

  ip('xfrm', 'state', 'add', ...words(`${ends} spi 0x1002 mode tunnel reqid 1`), ...GCM);
  const { first, status, stdout } = why(flow);
  assert.equal(first, '10.1.0.5 > 10.2.0.7:443 tcp, from this host: protected, in esp 0x00001002');
  assert.equal(status, 0);
  assert(!stdout.includes(KEY_HEX));
  assert(!why(flow, '-o', 'json').stdout.includes(KEY_HEX));
});
