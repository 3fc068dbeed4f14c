/** TunnelMonitor against real kernels: failures of tunnels and how they are reported. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { TunnelMonitor, type TunnelMonitorOptions, XfrmClient } from '../../lib/index.ts';
import { addPair, deletePair, exchange, keyOf, send, sentBy, setPolicies } from './by-hand.ts';
import { hostsHere, type TwoHosts, UNDERLAY } from './here.ts';
import { Story } from './story.ts';
import { ip, withoutEsp, words } from './support.ts';

const FIRST = { out: 0x1001, in: 0x2001 };
const SECOND = { out: 0x1002, in: 0x2002 };
/** Times short enough for a test; the others have their defaults. */
const THRESHOLDS = { stalled: 300, successor: 200, quiet: 500 };

let hosts: TwoHosts;
let left: XfrmClient;
let right: XfrmClient;

before(async () => {
  if (withoutEsp) return;
  hosts = await hostsHere();
  left = new XfrmClient();
  right = new XfrmClient({ netns: hosts.right.netns });
});
beforeEach(async () => {
  await right?.flushStates();
  await right?.flushPolicies();
});
after(async () => {
  if (withoutEsp) return;
  await left.close();
  await right.close();
  await hosts[Symbol.asyncDispose]();
});

/** A monitor of the left host, and the tunnel to the right one, which is up. */
async function opened(options: TunnelMonitorOptions = {}) {
  const monitor = await TunnelMonitor.open({ thresholds: THRESHOLDS, ...options });
  const story = new Story(monitor);
  await setPolicies(left, 'left');
  await addPair(left, 'left', FIRST);
  await story.tells('up');
  story.chapter();
  return { monitor, story, [Symbol.asyncDispose]: () => monitor.close() };
}

/** A test that needs real SAs. */
const story = (name: string, work: () => Promise<void>) =>
  test(name, { skip: withoutEsp, timeout: 600_000 }, work);

story('a rekey: the successors come, the policies are set anew, the old SAs go', async () => {
  await using all = await opened();
  const { monitor, story } = all;
  await addPair(left, 'left', SECOND);
  await setPolicies(left, 'left');
  await story.tells('state: rekeying');
  await deletePair(left, 'left', FIRST);
  await story.tells('state: up');
  assert.deepEqual(story.chapter(), [
    'state: rekeying, was up',
    'rekeyed: out SA 1 to SA 2, in SA 3 to SA 4',
    'state: up, was rekeying',
  ]);
  const [tunnel] = monitor.tunnels;
  assert.equal(monitor.tunnels.size, 1);
  assert.equal(tunnel?.rekeys, 1);
  assert.deepEqual([tunnel?.local, tunnel?.remote], [UNDERLAY.left, UNDERLAY.right]);
});

story('a missed rekey: past its soft limit nobody brings a successor', async () => {
  await using all = await opened();
  const { monitor, story } = all;
  // Far enough apart for a busy kernel, which tells of the hard limit alone if it comes to the timer after both.
  await addPair(left, 'left', SECOND, { lifetime: { softAddSeconds: 1, hardAddSeconds: 6 } });
  await deletePair(left, 'left', FIRST);
  await story.tells('down');
  // The kernel counts in seconds: if the SAs are not of the same one, the tunnel is one-way in between.
  const lines = story.chapter().filter((line) => line !== 'state: one-way, was expiring');
  assert.deepEqual(lines.slice(0, -1), [
    'state: rekeying, was up',
    'rekeyed: out SA 1 to SA 2, in SA 3 to SA 4',
    'state: up, was rekeying',
    'state: expiring, was up',
  ]);
  assert.match(lines.at(-1) ?? '', /^down: down, was (expiring|one-way), expired$/);
  // The second SA is missed a moment later than the first.
  const unreplaced = () => [...monitor.tunnels][0]?.unreplaced;
  while (unreplaced() !== 2) await monitor.refresh();
});

story('another program flushes the SAs', async () => {
  await using all = await opened();
  const { story } = all;
  ip(...words('xfrm state flush'));
  await story.tells('down');
  assert.deepEqual(story.chapter(), ['down: blocked, was up, flushed, claimed by port 0']);
});

story('packets go out, and none come in', async () => {
  await setPolicies(right, 'right');
  await addPair(right, 'right', { out: FIRST.in, in: FIRST.out });
  await using all = await opened({ refreshInterval: 50 });
  const { story } = all;
  await exchange(2);
  await right.deleteState(keyOf('right', FIRST.in));
  const sending = setInterval(() => send(1), 20);
  await story.tells('stalled');
  clearInterval(sending);
  // On from where it was: else its packets were replays.
  const replay = { oseq: 1000, seq: 0, bitmap: 0 };
  await right.addState(sentBy('right', FIRST.in, { replay }));
  await exchange(2);
  await story.tells('up');
  assert.deepEqual(story.chapter(), ['stalled: was up', 'up: was one-way']);
});

story('the peer begins its sequence numbers anew under the same SPI', async () => {
  await setPolicies(right, 'right');
  await addPair(right, 'right', { out: FIRST.in, in: FIRST.out });
  await using all = await opened({ refreshInterval: 50 });
  const { monitor, story } = all;
  const [{ id = '' } = {}] = monitor.tunnels;
  await exchange(3);
  await right.deleteState(keyOf('right', FIRST.in));
  await right.addState(sentBy('right', FIRST.in));
  await send(1);
  await story.tells('warning: replay');
  await story.tells('warning over: replay');
  assert.deepEqual(story.chapter(), ['warning: replay', 'warning over: replay']);
  assert((monitor.tunnels.get(id)?.refused.replay ?? 0n) > 0n);
});

story('an SPI is taken for another destination too', async () => {
  await using all = await opened();
  const { story } = all;
  await left.addState({ ...sentBy('left', FIRST.out), daddr: '192.0.2.3' });
  await story.tells('added');
  await left.deleteState({ daddr: '192.0.2.3', spi: FIRST.out });
  await story.tells('state: down');
  assert.deepEqual(story.chapter(), [
    'warning: spi-shared out',
    // The other SA is a tunnel too, without a policy.
    'added: orphan',
    'warning: spi-shared out',
    'warning over: spi-shared out',
    'warning over: spi-shared out',
    'state: down, was orphan',
  ]);
});

story('the address of this host is taken away', async () => {
  await using all = await opened();
  const { story } = all;
  await hosts.left.ip(`address del ${UNDERLAY.left}/32 dev cable`);
  await story.tells('down');
  await hosts.left.ip(`address add ${UNDERLAY.left}/32 dev cable`);
  await story.tells('up');
  assert.deepEqual(story.chapter(), ['down: down, was up, address-gone', 'up: was down']);
});

// The last one: it takes the cable away.
story('the link of its address goes down, then away', async () => {
  await using all = await opened();
  const { story } = all;
  await hosts.left.ip('link set cable down');
  await story.tells('down');
  await hosts.left.ip('link set cable up');
  await story.tells('up');
  await hosts.left.ip('link del cable');
  await story.tells('down');
  assert.deepEqual(story.chapter(), [
    'down: down, was up, link-gone',
    'up: was down',
    'down: down, was up, link-gone',
  ]);
});
