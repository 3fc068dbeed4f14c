/** The testing kit: a wrong argument is an error that names it and says what is right. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import * as kit from '../../lib/testing/index.ts';

// biome-ignore lint/suspicious/noExplicitAny: what types would refuse is given on purpose
type Anything = any;
const any: Anything = kit;
let hosts: kit.TwoHosts;
let left: Anything;
let right: Anything;
before(async () => {
  hosts = await kit.twoHosts();
  ({ left, right } = hosts);
});
after(() => hosts[Symbol.asyncDispose]());

/** Each fails with a message, before it does anything. */
async function fail(cases: readonly (readonly [() => unknown, RegExp])[]): Promise<void> {
  for (const [use, message] of cases) {
    await assert.rejects(
      async () => {
        await use();
        assert.fail(`${use}`);
      },
      (error: Error & { code?: string }) => {
        assert(error instanceof TypeError || error instanceof RangeError, `${use}: ${error}`);
        assert.match(error.message, message, `${use}`);
        assert.match(error.code ?? '', /^ERR_(INVALID_ARG|OUT_OF_RANGE)/);
        return true;
      },
    );
  }
}

test('hosts and topologies', () =>
  fail([
    [() => any.twoHosts({ lefft: {} }), /^unknown option options\.lefft; did you mean left\?$/],
    [() => any.twoHosts({ left: { adress: '1.2.3.4' } }), /options\.adress; did you mean address/],
    [
      () => any.twoHosts({ left: { address: '1.2.3' } }),
      /^options\.address must be an IPv4 address/,
    ],
    [() => any.twoHosts({ left: { inner6: '10.0.0.1' } }), /^options\.inner6 must be an IPv6 addr/],
    [
      () => any.Host.create({ address: '192.0.2.1' }),
      /^options\.name must be a string; received u/,
    ],
    [() => any.roadWarriors(), /^count must be a number; received undefined/],
    [() => any.roadWarriors(201), /^count must be an integer from 1 to 200; received 201/],
    [() => any.roadWarriors(1, { Nat: true }), /^unknown option options\.Nat; did you mean nat\?/],
    [() => any.cable(left, undefined), /^right must be a Host; received undefined/],
    [() => any.cable(left, left), /^a cable joins two hosts; received left twice/],
    [() => any.cable(left, right), /^there is a cable from left to right already/],
    [() => left.cableTo(left), /^there is no cable from left to left/],
    [() => left.udp('example.org'), /^address must be an IP address/],
    [() => left.udp('192.0.2.1', 70_000), /^port must be an integer from 0 to 65535/],
    [() => left.server('192.0.2.1', '80'), /^port must be a number/],
    [() => left.addAddress('nowhere'), /^address must be an IP address/],
    [() => left.sysctl('../../etc/passwd', 1), /^name must be a path below \/proc\/sys/],
    [
      () => left.spawn('true', [], { mount: {} }),
      /^unknown option options\.mount; did you mean mo/,
    ],
    [() => left.spawn('true', ['\0']), /null bytes/],
    [() => left.run(''), /^program must be/],
    [() => left.run('true', [], { cwd: '/none' }), /^options\.cwd: there is no folder \/none$/],
  ]));

test('a closed host is named by whatever is given it', async () => {
  const { left: closed, right: open, ...world } = await kit.twoHosts();
  using wire = await kit.Wire.tap(closed);
  const events = kit.listen(closed);
  await closed.close();
  const uses: readonly (() => unknown)[] = [
    () => kit.loseEvents(closed),
    () => kit.cutLink(closed, open),
    () => kit.cutLink(open, closed),
    () => kit.impairLink(open, closed, { loss: 1 }),
    () => kit.deleteSas(closed),
    () => kit.expireSas(closed),
    () => kit.flush(closed),
    () => kit.moveAddress(closed, '192.0.2.99'),
    () => kit.turnClockBack(closed, 1),
    () => kit.Wire.tap(closed),
    () => kit.cable(closed, open),
    () => kit.ping(open, closed),
    () => kit.tcp(open, closed),
    () => kit.keyedTunnel(closed, open),
    () => kit.listen(closed),
    () => kit.waitForTunnel(closed, 'up'),
    () => kit.expectEncrypted(closed, open),
    () => kit.expectMirrored(open, closed),
    () => kit.expectNoXfrmErrors(closed, () => {}),
    () => kit.expectNoLeaks([open, closed], () => {}),
    () => kit.strongswan(closed, open),
    () => kit.libreswan(closed, open),
    () => closed.sysctl('net/ipv4/ip_forward', 1),
    () => closed.folder(),
  ];
  await fail([
    ...uses.map((use) => [use, /^left is closed$/] as const),
    [() => wire.send(Buffer.alloc(60), 2), /^the wire is closed$/],
  ]);
  assert(closed.closed && !open.closed);
  // Other hosts are usable. (Not their cables to this one, which the kernel removes at some time after.)
  await open.addAddress('192.0.2.99');
  await assert.rejects(
    kit.waitForEvent(events, 'NEWSA', { timeout: 1 }),
    /\+\d\.\d{3}s closed: no event is recorded from here on$/,
  );
  await world[Symbol.asyncDispose]();
});

test('tunnels', () =>
  fail([
    [() => any.keyedTunnel(left), /^right must be a Host; received undefined/],
    [() => any.keyedTunnel(left, hosts), /^right must be a Host; received an object/],
    [() => any.keyedTunnel(left, right, { algoritm: 'aes-gcm' }), /did you mean algorithm\?$/],
    [() => any.keyedTunnel(left, right, { algorithm: 'aes-gmc' }), /did you mean aes-gcm\?$/],
    [() => any.keyedTunnel(left, right, { mode: 'transfer' }), /valid values: tunnel, transport$/],
    [
      () => any.keyedTunnel(left, right, { protects: '10.0.0.0/8' }),
      /^options\.protects must be two/,
    ],
    [
      () => any.keyedTunnel(left, right, { mode: 'transport', protects: ['10.0.0.0/8', '::/0'] }),
      /^options\.protects is for tunnel mode/,
    ],
    [() => any.freshSa(['192.0.2.1', '192.0.2.2'], { proto: 'eps' }), /did you mean esp\?$/],
  ]));

test('traffic', () =>
  fail([
    [() => any.ping(left), /^to must be a Host; received undefined/],
    [
      () => any.ping(left, right, { cont: 3 }),
      /^unknown option options\.cont; did you mean count\?/,
    ],
    [() => any.ping(left, right, { count: 0 }), /^options\.count must be an integer from 1/],
    [
      () => any.ping(left, right, { size: 70_000 }),
      /^options\.size must be an integer from 0 to 65507/,
    ],
    [() => any.ping(left, right, { to: '2001:db8::2' }), /: give two addresses of one family$/],
    [() => any.ping(left, right, { to: 'right' }), /^options\.to must be an IP address/],
    [() => any.tcp(left, right, { timeout: -1 }), /^options\.timeout must be an integer from 0/],
    [() => any.tcp(left, right, { timeout: Infinity }), /^options\.timeout must be an integer/],
  ]));

test('waits', async (t) => {
  const events = kit.listen(left);
  t.after(() => events[Symbol.asyncDispose]());
  await fail([
    [() => any.listen('left'), /^host must be a host or a NetworkNamespace; received /],
    [() => any.waitForEvent(left, 'NEWSA'), /^events must be what listen\(\) gives/],
    [() => any.waitForEvent(events, 'NEWSAS'), /^kind is .*NEWSAS.*; did you mean NEWSA\?$/],
    [() => any.waitForEvent(events, 'ACQUIRE'), /^kind is .*; valid values: NEWSA, /],
    [() => any.waitForEvent(events, 'NEWSA', { were: 1 }), /did you mean where\?$/],
    [() => any.waitForEvent(events, 'NEWSA', { where: 1 }), /^options\.where must be a function/],
    [
      () => any.waitForEvent(events, 'NEWSA', { timeout: '1s' }),
      /^options\.timeout must be a number/,
    ],
    [() => any.waitForTunnel(undefined, 'up'), /^from must be a host or a NetworkNamespace/],
    [() => any.waitForTunnel(left, 'upp'), /^wanted is .*; did you mean up\?$/],
    [() => any.waitForTunnel(left, 'up', { pear: '192.0.2.2' }), /did you mean peer\?$/],
    [
      () => any.waitForTunnel(left, 'up', { peer: 'right' }),
      /^options\.peer must be an IP address/,
    ],
  ]);
  const { NETLINK_XFRM_TIMEOUT } = process.env;
  t.after(() => {
    if (NETLINK_XFRM_TIMEOUT === undefined) delete process.env.NETLINK_XFRM_TIMEOUT;
    else process.env.NETLINK_XFRM_TIMEOUT = NETLINK_XFRM_TIMEOUT;
  });
  for (const wrong of ['abc', '-1', '0', '1e99']) {
    process.env.NETLINK_XFRM_TIMEOUT = wrong;
    await fail([
      [() => any.waitForEvent(events, 'NEWSA'), /^NETLINK_XFRM_TIMEOUT must be a number of millis/],
      [() => any.waitForTunnel(left, 'up'), /^NETLINK_XFRM_TIMEOUT must be .*; it is /],
    ]);
  }
  process.env.NETLINK_XFRM_TIMEOUT = '30';
  await assert.rejects(kit.waitForEvent(events, 'NEWSA'), /within 30 ms/);
});

test('every kind of event that arrives can be waited for, and no other', async () => {
  const events = kit.listen(left);
  for (const kind of ['NEWSA', 'GETDEFAULT', 'MIGRATE_STATE', 'NEWLINK', 'overrun', 'unknown']) {
    await assert.rejects(any.waitForEvent(events, kind, { timeout: 1 }), /within 1 ms/, kind);
  }
  await fail(
    ['ACQUIRE', 'REPORT', 'NEWAE', 'GETSA'].map(
      (kind) => [() => any.waitForEvent(events, kind), /^kind is "/] as const,
    ),
  );
});

test('expectations', () =>
  fail([
    [() => any.expectEncrypted(left), /^right must be a Host/],
    [() => any.expectEncrypted(left, right, { wires: false }), /did you mean wire\?$/],
    [
      () => any.expectEncrypted(left, right, { traffic: 3 }),
      /^options\.traffic must be a function/,
    ],
    [() => any.expectMirrored(left, 'right'), /^right must be a host or a NetworkNamespace/],
    [() => any.expectMirrored(left, right, { timeOut: 3 }), /did you mean timeout\?$/],
    [() => any.expectNoXfrmErrors([], () => {}), /^hosts is empty$/],
    [() => any.expectNoXfrmErrors(left), /^block must be a function; received undefined/],
    [
      () => any.expectNoXfrmErrors([left, 1], () => {}),
      /^hosts must be a host or a NetworkNamespace/,
    ],
    [
      () => any.expectNoXfrmErrors(left, () => {}, { tolerate: { XfrmInNoState: 1 } }),
      /^unknown option tolerate\.XfrmInNoState; did you mean XfrmInNoStates\?$/,
    ],
    [
      () => any.expectNoXfrmErrors(left, () => {}, { tolerate: { XfrmInNoStates: -1 } }),
      /^tolerate\.XfrmInNoStates must be an integer from 0/,
    ],
    [() => any.expectNoXfrmErrors(left, () => {}, { tolerated: {} }), /did you mean tolerate\?$/],
    [() => any.expectNoLeaks(left, Promise.resolve()), /^block must be a function/],
    [() => any.xfrmMatchers.toMirror(left, undefined), /^right must be a host/],
  ]));

test('faults', async (t) => {
  using wire = await kit.Wire.tap(left);
  t.after(() => wire.close());
  await fail([
    [() => any.loseEvents(undefined), /^host must be a host or a NetworkNamespace/],
    [() => any.cutLink(left, 5), /^right must be a Host; received/],
    [() => any.cutLink(left, left), /^there is no cable from left to left/],
    [() => any.impairLink(left, right, { lost: 0.5 }), /did you mean loss\?$/],
    [
      () => any.impairLink(left, right, { loss: 50 }),
      /^impairment\.loss must be a number from 0 to 1/,
    ],
    [() => any.impairLink(left, right, { delay: '50ms' }), /^impairment\.delay must be a number/],
    [() => any.deleteSas(left, 'outbound'), /^direction is .*valid values: in, out$/],
    [() => any.expireSas(left, { hart: true }), /did you mean hard\?$/],
    [() => any.flush(), /^host must be/],
    [() => any.moveAddress(left, '192.0.2'), /^to must be an IPv4 address/],
    [() => any.moveAddress(left, left.address), /^left has 192\.0\.2\.1 already$/],
    [() => any.moveAddress(left, left.inner), /^left has 10\.0\.1\.1 already$/],
    [() => any.moveAddress(left, right.address), /^192\.0\.2\.2 is an address of right$/],
    [() => any.turnClockBack(left), /^seconds must be a number/],
    [() => any.replayPacket(left), /^wire must be what Wire\.tap\(\) gives/],
    [() => any.replayPacket(wire, -1), /^count must be an integer from 0/],
    [() => any.Wire.tap('left'), /^host must be a host or a NetworkNamespace/],
    [() => wire.send(Buffer.alloc(60), 99), /^99 is not a tapped interface/],
  ]);
});

test('daemons', async (t) => {
  const empty = mkdtempSync(join(tmpdir(), 'netlink-xfrm-kit-'));
  t.after(() => rmSync(empty, { recursive: true }));
  const files = { left: empty, right: empty };
  await fail([
    [() => any.strongswan(left), /^right must be a Host/],
    [() => any.strongswan(left, right, { childs: {} }), /did you mean child\?$/],
    [
      () => any.strongswan(left, right, { tunnels: 0 }),
      /^options\.tunnels must be an integer from 1/,
    ],
    [() => any.strongswan(left, right, { files: empty }), /^options\.files must be an object/],
    [
      () => any.strongswan(left, right, { files: { right: empty } }),
      /^options\.files\.left must be/,
    ],
    [() => any.strongswan(left, right, { files }), /left: there is no .*swanctl\.conf$/],
    [() => any.libreswan(left, right, { file: {} }), /did you mean files\?$/],
    [() => any.libreswan(left, right, { files }), /left: there is no .*ipsec\.conf$/],
  ]);
});
