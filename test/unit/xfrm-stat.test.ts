/** The counters of xfrm_stat: what is said about each, their moves, and the events next to them. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import pc from 'picocolors';
import { counterRecord, formatCounter, formatMove } from '../../lib/cli/stat/counter-text.ts';
import { NEAR, NearbyEvents } from '../../lib/cli/stat/nearby-events.ts';
import { hanging } from '../../lib/cli/text/hanging.ts';
import type { SubscriptionEvent } from '../../lib/monitor/subscribe.ts';
import { parseXfrmStat } from '../../lib/monitor/xfrm-stat.ts';
import {
  counterMoves,
  XFRM_STAT_COUNTERS,
  xfrmStatCounter,
} from '../../lib/monitor/xfrm-stat-counters.ts';
import { root } from '../documents.ts';

const plain = pc.createColors(false);

/** The file of Linux 6.18. */
const NAMES = `
XfrmInError XfrmInBufferError XfrmInHdrError XfrmInNoStates XfrmInStateProtoError XfrmInStateModeError
XfrmInStateSeqError XfrmInStateExpired XfrmInStateMismatch XfrmInStateInvalid XfrmInTmplMismatch XfrmInNoPols
XfrmInPolBlock XfrmInPolError XfrmOutError XfrmOutBundleGenError XfrmOutBundleCheckError XfrmOutNoStates
XfrmOutStateProtoError XfrmOutStateModeError XfrmOutStateSeqError XfrmOutStateExpired XfrmOutPolBlock
XfrmOutPolDead XfrmOutPolError XfrmFwdHdrError XfrmOutStateInvalid XfrmAcquireError XfrmOutStateDirError
XfrmInStateDirError XfrmInIptfsError XfrmOutNoQueueSpace`
  .trim()
  .split(/\s+/);

test('every counter of Linux 6.18 is explained, in its order, in short sentences', () => {
  assert.deepEqual(Object.keys(XFRM_STAT_COUNTERS), NAMES);
  for (const [name, { meaning, cause, look, source }] of Object.entries(XFRM_STAT_COUNTERS)) {
    for (const text of [meaning, cause, look, source]) {
      assert.match(text, /^\S.*[^\s.]$/, name);
      assert(!text.includes('|'), `${name}: a table of Markdown cannot have it`);
    }
  }
  assert.equal(xfrmStatCounter('toString'), undefined);
});

test('the counters of a message in docs/troubleshooting.md exist', () => {
  const text = readFileSync(join(root, 'docs/troubleshooting.md'), 'utf8');
  const named = [...text.matchAll(/`(Xfrm\w+)`/g)].map(([, name = '']) => name);
  assert(named.length > 3);
  for (const name of named) assert(xfrmStatCounter(name), name);
});

test('moves are the counters that grew, those of a newer kernel too', () => {
  const before = parseXfrmStat('XfrmInError  1\nXfrmOutPolBlock\t7\nXfrmInNew 3\n');
  const after = parseXfrmStat('XfrmInError  1\nXfrmOutPolBlock\t19\nXfrmInNew 4\nXfrmOutNew 1\n');
  assert.deepEqual(counterMoves(before, after), [
    { counter: 'XfrmOutPolBlock', value: 19n, delta: 12n },
    { counter: 'XfrmInNew', value: 4n, delta: 1n },
    { counter: 'XfrmOutNew', value: 1n, delta: 1n },
  ]);
  assert.deepEqual(counterMoves(after, after), []);
});

test('a counter is a paragraph; one that is unknown says so', () => {
  const known = formatCounter(counterRecord('XfrmInNoStates', 7n, 0.25), plain, 60);
  assert.deepEqual(known.slice(0, 3), [
    'XfrmInNoStates  7  0.25/s',
    '  ESP or AH arrived with an SPI for which there is no SA',
    '  usually the peer still uses an SA that was deleted here,',
  ]);
  assert(known.every((line) => line.length <= 60));
  assert(known.some((line) => line.startsWith('  look at netlink-xfrm state')));
  const unknown = formatCounter(counterRecord('XfrmInNew', 1n, undefined), plain, 80);
  assert.equal(unknown[0], 'XfrmInNew  1');
  assert.match(unknown.join(' '), /does not know this counter/);
  assert.equal(counterRecord('XfrmInNew', 1n, undefined).meaning, undefined);
});

test('a paragraph fits its columns, unless a word does not', () => {
  assert.deepEqual(hanging('a ', `b ${'c'.repeat(60)} d`, 50), [
    'a b',
    `  ${'c'.repeat(60)}`,
    '  d',
  ]);
  assert.deepEqual(hanging('', 'one two', 3), ['one two']);
});

const time = (monotonic: number) => ({ wall: 0, monotonic });
const flush = (at: number, portId = 0): SubscriptionEvent => ({
  kind: 'FLUSHSA',
  protocol: 'xfrm',
  time: time(at),
  header: { type: 0, flags: 0, seq: 0, portId },
  proto: 'esp',
});
const flushed = (at: number): SubscriptionEvent => ({
  kind: 'FLUSHPOLICY',
  protocol: 'xfrm',
  time: time(at),
  header: { type: 0, flags: 0, seq: 0, portId: 0 },
});

test('of the events next to a move, the last of each kind that can have to do with it is named', async () => {
  const near = new NearbyEvents();
  const owner = { pid: 812, name: 'cha\nron', startTime: 0, inode: 0 };
  near.add(flush(500), undefined);
  near.add(flush(5500), undefined);
  near.add(flush(6200, 812), Promise.resolve(owner));
  near.add(flushed(6100), undefined);
  const span = { from: 6000, to: 7000 };
  const about = async (what: 'state' | 'policy' | 'both') =>
    (await near.near(span, what)).map(({ event, count, within }) => [event.kind, count, within]);
  assert.deepEqual(await about('state'), [['FLUSHSA', 2, 800]]);
  assert.deepEqual(await about('policy'), [['FLUSHPOLICY', 1, 900]]);
  assert.deepEqual(
    (await about('both')).map(([kind]) => kind),
    ['FLUSHSA', 'FLUSHPOLICY'],
  );
  const move = { counter: 'XfrmInNoStates', value: 13n, delta: 12n } as const;
  const line = formatMove(0, move, 1, await near.near(span, 'state'), plain, plain);
  assert.equal(
    line.replace(/^\S+ /, ''),
    'XfrmInNoStates +12 (12/s, 13 in all): ESP or AH arrived with an SPI for which there is no SA; ' +
      'within 1 s of FLUSHSA all SAs of esp claimed by cha\\x0aron[812], the last of 2',
  );
  near.forget(6200 + NEAR + 1);
  assert.deepEqual(await near.near(span, 'both'), []);
});

test('a loss of events is next to every move', async () => {
  const near = new NearbyEvents();
  const lost = { kind: 'overrun', protocol: 'xfrm', code: 'ENOBUFS', count: 1 } as const;
  near.add({ ...lost, slowConsumer: false, time: time(10) }, undefined);
  const events = await near.near({ from: 0, to: 100 }, 'policy');
  const move = { counter: 'XfrmOutPolBlock', value: 1n, delta: 1n } as const;
  assert.match(
    formatMove(0, move, 0.1, events, plain, plain),
    /within 1 s of overrun events were lost$/,
  );
});
