/** The page's pure parts: histories, order, search, addresses, words. The rest is tested in a browser (test/browser/). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toJson } from '../../lib/index.ts';
import type { TunnelState } from '../../lib/tunnel/tunnel.ts';
import {
  availability,
  downsOf,
  merged,
  NO_HISTORY,
  rateNow,
  ratesOf,
  since,
  spansOf,
  upTo,
  withRekey,
  withState,
} from '../../page/history.ts';
import { limitsOf } from '../../page/limits.ts';
import { keyOf, Model } from '../../page/model.ts';
import { hrefOf, type View, viewOf } from '../../page/route.ts';
import {
  countStates,
  hasWords,
  ordered,
  queryOf,
  statesOf,
  withStates,
} from '../../page/select.ts';
import type { PageChange, PageSa, PageTunnel } from '../../page/wire.ts';
import { ageOf, changeText, clock, endsOf, expiryOf, historyText, rate } from '../../page/words.ts';
import { ago, NOW, sa, tunnel as sample } from './tunnel-samples.ts';

type Sample = NonNullable<Parameters<typeof sample>[0]>;
/** A tunnel as the daemon sends it. */
const tunnel = (more: Sample = {}, netns?: string): PageTunnel =>
  ({
    ...(toJson(sample(more)) as unknown as PageTunnel),
    ...(netns === undefined ? {} : { netns }),
  }) as PageTunnel;
const change = (rest: object): PageChange =>
  ({ time: new Date(NOW).toISOString(), netns: null, ...rest }) as PageChange;

const MINUTE = 60_000;
const history = {
  states: [
    [NOW - 10 * MINUTE, 'up', 'SAs in both directions'],
    [NOW - 5 * MINUTE, 'blocked', 'policies, but no SAs'],
    [NOW - 4 * MINUTE, 'up', 'SAs in both directions'],
  ],
  rekeys: [NOW - 8 * MINUTE, NOW - 2 * MINUTE],
  traffic: [
    [NOW - 60_000, 1000, 0],
    [NOW - 30_000, 4000, 300],
    [NOW, 7000, 300],
  ],
} as const;

test('states of a history are clipped to the window, and the last one extends to its end', () => {
  const spans = spansOf(history, NOW - 6 * MINUTE, NOW);
  assert.deepEqual(
    spans.map(({ from, to, state }) => [NOW - from, NOW - to, state]),
    [
      [6 * MINUTE, 5 * MINUTE, 'up'],
      [5 * MINUTE, 4 * MINUTE, 'blocked'],
      [4 * MINUTE, 0, 'up'],
    ],
  );
  assert.deepEqual(downsOf(history, NOW - 6 * MINUTE, NOW), [NOW - 5 * MINUTE]);
  assert.deepEqual(downsOf(history, NOW - 3 * MINUTE, NOW), []);
  assert.equal(availability(history, NOW - 10 * MINUTE, NOW), 0.9);
  assert.equal(availability(NO_HISTORY, 0, NOW), undefined);
});

test('a state that existed from the start does not count as a down', () => {
  const only = { ...NO_HISTORY, states: [[NOW - MINUTE, 'down', 'no SAs or policies']] as const };
  assert.deepEqual(downsOf(only, 0, NOW), []);
  assert.equal(availability(only, 0, NOW), 0);
});

test('a tunnel is down when it passes packets in no direction; available when in both', () => {
  const states = (...all: TunnelState[]) => ({
    ...NO_HISTORY,
    states: all.map((state, i) => [NOW + i * MINUTE, state] as const),
  });
  const end = NOW + 4 * MINUTE;
  const downs = (...all: TunnelState[]) => downsOf(states(...all), NOW, end);
  assert.deepEqual(downs('up', 'acquiring'), [NOW + MINUTE]);
  assert.deepEqual(downs('up', 'one-way', 'blocked'), [NOW + 2 * MINUTE]);
  assert.deepEqual(downs('acquiring', 'blocked', 'one-way', 'up'), []);
  assert.deepEqual(downs('expiring', 'down', 'one-way', 'orphan'), [
    NOW + MINUTE,
    NOW + 3 * MINUTE,
  ]);
  assert.equal(availability(states('up', 'acquiring', 'one-way', 'expiring'), NOW, end), 0.5);
});

test('a history as it was', () => {
  assert.equal(upTo(history, NOW), history);
  assert.equal(upTo(NO_HISTORY, NOW), NO_HISTORY);
  assert.deepEqual(upTo(history, NOW - 4.5 * MINUTE), {
    states: history.states.slice(0, 2),
    rekeys: history.rekeys.slice(0, 1),
    traffic: [],
  });
});

test('rates are computed between two samples; a total that decreased has none', () => {
  assert.deepEqual(ratesOf(history), {
    at: [NOW - 60_000, NOW - 30_000, NOW],
    in: [null, 100, 100],
    out: [null, 10, 0],
  });
  assert.deepEqual(rateNow(history), { in: 100, out: 0 });
  const restarted = { traffic: [...history.traffic, [NOW + 30_000, 0, 0]] as const };
  assert.deepEqual(ratesOf(restarted).in.at(-1), null);
  assert.equal(rateNow({ ...NO_HISTORY, traffic: history.traffic.slice(0, 1) }), undefined);
});

test('a gap in the samples is a gap in the rates', () => {
  const traffic = [...history.traffic, [NOW + 10 * MINUTE, 8000, 400]] as const;
  const { at, in: into } = ratesOf({ traffic });
  assert.deepEqual(at.slice(-2), [NOW, NOW + 10 * MINUTE]);
  assert.deepEqual(into.slice(-2), [null, 1000 / 600]);
});

test('a response replaces the period it covers, and keeps the rest', () => {
  const fresh = {
    states: [
      [NOW - 4 * MINUTE, 'up', 'SAs in both directions'],
      [NOW - MINUTE, 'idle', 'not used recently'],
    ],
    rekeys: [NOW - 2 * MINUTE],
    traffic: [[NOW, 7000, 300]],
  } as const;
  const all = merged(history, fresh, NOW - 3 * MINUTE, NOW);
  assert.deepEqual(
    all.states.map(([, state]) => state),
    ['up', 'blocked', 'up', 'idle'],
  );
  assert.deepEqual(all.rekeys, history.rekeys);
  assert.deepEqual(merged(all, fresh, NOW - 3 * MINUTE, NOW), all);
  // What happened while it was under way stays.
  const rekeyed = withRekey(all, NOW + 5);
  assert.deepEqual(merged(rekeyed, fresh, NOW - 3 * MINUTE, NOW), rekeyed);
});

test('states that ended before a given time are dropped', () => {
  const rest = since(history, NOW - 3 * MINUTE);
  assert.deepEqual(rest.states, [history.states[2]]);
  assert.deepEqual(rest.rekeys, [NOW - 2 * MINUTE]);
});

test('events continue a history', () => {
  const down = withState(history, [NOW, 'down', 'no SAs or policies']);
  assert.deepEqual(down.states.at(-1), [NOW, 'down', 'no SAs or policies']);
  assert.equal(withState(down, [NOW + 1, 'down', 'no SAs or policies']), down);
  // It began earlier than it was heard of.
  const earlier = withState(down, [NOW - 4.5 * MINUTE, 'one-way', 'no inbound SA']);
  assert.deepEqual(
    earlier.states.map(([, state]) => state),
    ['up', 'blocked', 'one-way'],
  );
  assert.deepEqual(withRekey(history, NOW).rekeys.at(-1), NOW);
  assert.equal(withRekey(history, NOW - 2 * MINUTE), history);
});

test('a history in words', () => {
  assert.equal(
    historyText(history, NOW - 10 * MINUTE, NOW),
    'passed packets 90.0 % of the time, went down once, 2 rekeys, now 0 B/s out, 100 B/s in',
  );
  assert.equal(historyText(NO_HISTORY, 0, NOW), 'no data for this period');
});

const host = [
  tunnel({ id: 'b', name: 'b10' }),
  tunnel({ id: 'a', name: 'b9' }),
  tunnel({
    id: 'c',
    name: 'c',
    state: 'blocked',
    since: ago(5000),
    reason: 'policies, but no SAs',
  }),
  tunnel({ id: 'd', name: 'd', state: 'down', since: ago(60_000) }),
  tunnel({ id: 'e', name: 'e', state: 'blocked', since: ago(1000) }),
];
const idsBy = (order: Parameters<typeof ordered>[1]) => ordered(host, order).map(({ id }) => id);

test('tunnels in their orders; equal ones by name, with numbers as numbers', () => {
  assert.deepEqual(idsBy('worst'), ['d', 'e', 'c', 'a', 'b']);
  assert.deepEqual(idsBy('changed').slice(0, 2), ['e', 'c']);
  assert.deepEqual(idsBy('name'), ['a', 'b', 'c', 'd', 'e']);
});

test('states are counted, worst first', () => {
  assert.deepEqual(countStates(host), [
    ['down', 1],
    ['blocked', 2],
    ['up', 2],
  ]);
});

test('a query has words and terms; terms about states are evaluated on the page', () => {
  const { terms, words, passesState } = queryOf(' paris  peer=10.0.0.0/8 state!=up,idle ');
  assert.deepEqual(terms, ['peer=10.0.0.0/8']);
  assert.deepEqual(words, ['paris']);
  assert.equal(passesState('up'), false);
  assert.equal(passesState('down'), true);
  // What is wrong is left to the daemon, which says what.
  assert.deepEqual(queryOf('state=upp').terms, ['state=upp']);
  const [paris] = [tunnel({ name: 'paris' })];
  assert(hasWords(paris, ['PARIS', '198.51']));
  assert(hasWords(paris, ['reqid', '7']));
  assert(!hasWords(paris, ['rome']));
});

test('states are added to a query and taken from it', () => {
  const query = withStates('paris state=up', ['down', 'blocked']);
  assert.equal(query, 'paris state=down,blocked');
  assert.deepEqual(statesOf(query), ['down', 'blocked']);
  assert.equal(withStates(query, []), 'paris');
  assert.deepEqual(statesOf('state!=up'), []);
});

test('views and addresses', () => {
  const views: View[] = [
    { name: 'list', query: '', order: 'worst', page: 1 },
    { name: 'list', query: 'a&b=c #1 ', order: 'name', page: 3 },
    { name: 'tunnel', key: 'vpn: 192.0.2.1 > 2001:db8::1 reqid 7/?#%' },
    { name: 'log', query: 'down' },
  ];
  for (const view of views) assert.deepEqual(viewOf(hrefOf(view)), view);
  assert.deepEqual(viewOf('#/tunnel/100%'), { name: 'tunnel', key: '100%' });
  assert.deepEqual(viewOf('#/?order=constructor&page=-1'), views[0]);
});

test('the model follows events, and keeps a log that does not grow', () => {
  const model = new Model();
  const paris = tunnel({ id: 'paris', name: 'paris' });
  model.reset([paris]);
  const down = tunnel({ id: 'paris', name: 'paris', state: 'down', since: ago(200) });
  model.apply(change({ change: 'down', before: 'up', reason: { kind: 'expired' }, tunnel: down }));
  assert.equal(model.tunnels.get('paris')?.state, 'down');
  assert.deepEqual(model.history('paris').states.at(-1)?.slice(0, 2), [NOW - 200, 'down']);
  assert.equal(model.log[0]?.text, 'down: expired without a successor, was up');
  assert.match(model.takeNews(), /^paris down: /);
  assert.equal(model.takeNews(), '');
  for (let i = 0; i < 3000; i++) model.apply(change({ change: 'added', tunnel: paris }));
  assert.equal(model.log.length, 1000);
  model.apply(change({ change: 'removed', tunnel: paris }));
  assert.equal(model.tunnels.size, 0);
});

test('events older than the list appear only in the log', () => {
  const model = new Model();
  const paris = tunnel({ id: 'paris', name: 'paris' });
  model.reset([paris]);
  const down = tunnel({ id: 'paris', name: 'paris', state: 'down' });
  const past = { change: 'down', before: 'up', reason: { kind: 'unknown' }, tunnel: down };
  model.apply(change(past), true);
  model.applyWatch({ netns: null, state: 'repairing', at: NOW }, true);
  assert.equal(model.tunnels.get('paris'), paris);
  assert.deepEqual(model.history('paris'), NO_HISTORY);
  assert.deepEqual(
    model.log.map(({ what }) => what),
    ['repairing', 'down'],
  );
  assert.equal(model.takeNews(), '');
});

test('a screen reader announces only the number of many changes', () => {
  const model = new Model();
  for (let i = 0; i < 40; i++) {
    const one = tunnel({ id: `t${i}`, state: 'blocked' });
    model.apply(change({ change: 'down', before: 'up', reason: { kind: 'unknown' }, tunnel: one }));
  }
  assert.equal(model.takeNews(), '40 changes, 40 of them bad');
});

test('a cached history is not requested again', () => {
  const model = new Model();
  assert.equal(model.missingFrom('paris', NOW - MINUTE), NOW - MINUTE);
  model.addHistory('paris', history, NOW - MINUTE, NOW);
  assert.equal(model.missingFrom('paris', NOW - MINUTE / 2), NOW);
  assert.equal(model.missingFrom('paris', NOW - 2 * MINUTE), NOW - 2 * MINUTE);
  model.reset([tunnel({ id: 'paris' })]);
  assert.equal(model.missingFrom('paris', NOW - MINUTE / 2), NOW - MINUTE / 2);
});

test('histories reach back as far as the longest window, and end with their tunnels', () => {
  const model = new Model();
  const paris = tunnel({ id: 'paris' });
  model.reset([paris]);
  model.addHistory('paris', { ...history, rekeys: [NOW - 90 * MINUTE, NOW] }, 0, NOW);
  assert.deepEqual(model.history('paris').rekeys, [NOW]);
  const rekeyed = { change: 'rekeyed', tunnel: paris, out: [], in: [] };
  const at = (minutes: number) => ({ time: new Date(NOW + minutes * MINUTE).toISOString() });
  model.apply(change({ ...rekeyed, ...at(40) }));
  assert.deepEqual(model.history('paris').rekeys, [NOW, NOW + 40 * MINUTE]);
  model.apply(change({ ...rekeyed, ...at(70) }));
  assert.deepEqual(model.history('paris').rekeys, [NOW + 40 * MINUTE, NOW + 70 * MINUTE]);
  // What a paused page shows stays.
  model.keepHistories(NOW + 70 * MINUTE);
  model.apply(change({ ...rekeyed, ...at(140) }));
  model.apply(change({ change: 'removed', tunnel: paris, ...at(141) }));
  assert.equal(model.history('paris').rekeys.length, 3);
  model.keepHistories(undefined);
  assert.equal(model.history('paris'), NO_HISTORY);
  model.reset([paris]);
  model.addHistory('paris', history, NOW - MINUTE, NOW);
  model.apply(change({ change: 'removed', tunnel: paris }));
  assert.equal(model.history('paris'), NO_HISTORY);
  assert.equal(model.missingFrom('paris', NOW - MINUTE), NOW - MINUTE);
});

test('the badge follows its events', () => {
  const model = new Model();
  const one = { name: null, state: 'synced', syncedAt: 1, overruns: 0, repairs: 0 } as const;
  model.host = {
    ...{ version: '1', host: 'gw', startedAt: 0, at: 0, refreshSeconds: 10 },
    namespaces: [one, { ...one, name: 'vpn' }],
  };
  const reason = 'events were lost';
  model.applyWatch({ netns: null, state: 'repairing', reason, at: NOW });
  assert.deepEqual(model.host.namespaces[0], { ...one, state: 'repairing', reason });
  assert.equal(model.host.namespaces[1]?.state, 'synced');
  model.applyWatch({ netns: null, state: 'synced', at: NOW });
  assert.deepEqual(model.host.namespaces[0], one);
});

test('ids are unique within a namespace only', () => {
  assert.equal(keyOf(tunnel({ id: 'x' })), 'x');
  assert.notEqual(keyOf(tunnel({ id: 'x' }, 'vpn')), keyOf(tunnel({ id: 'x' }, 'lab')));
});

test('times, ends and ages', () => {
  const local = new Date(2026, 0, 2, 3, 4, 5, 6).getTime();
  assert.equal(clock(local, local + 1000), '03:04:05');
  assert.equal(clock(local, local, true), '03:04:05.006');
  assert.equal(clock(local, local + 24 * 3600_000), '2026-01-02 03:04:05');
  assert.equal(endsOf(tunnel()), '192.0.2.1 → 198.51.100.7');
  assert.equal(endsOf(tunnel({ directed: false })), '192.0.2.1 ↔ 198.51.100.7');
  assert.equal(
    ageOf(tunnel({ state: 'down', since: ago(65_000), sinceKnown: false }), NOW),
    '>1m 5s',
  );
  assert.equal(rate(1536), '1.5 KiB/s');
});

test('the soonest hard limit of both directions', () => {
  const limit = (hardAt?: number) => ({ softAt: undefined, hardAt });
  assert.equal(expiryOf(tunnel({ expiry: { in: limit(5), out: limit(3) } })), 3);
  assert.equal(expiryOf(tunnel({ expiry: { in: limit(), out: limit() } })), undefined);
});

test('changes in words', () => {
  const of = { tunnel: tunnel() };
  const succession = { proto: 'esp', from: 0x1001, to: 0x1002 };
  assert.equal(
    changeText(change({ change: 'rekeyed', ...of, out: [{ ...succession, gapMs: 0 }], in: [] })),
    'out esp 0x00001001 → 0x00001002',
  );
  assert.equal(
    changeText(change({ change: 'replaced', ...of, direction: 'in', ...succession })),
    'in esp 0x00001001 → 0x00001002 (found by a resync)',
  );
  const by = { portId: 812, pid: 812, process: 'charon' };
  assert.equal(
    changeText(change({ change: 'down', before: 'up', ...of, reason: { kind: 'deleted', by } })),
    'up: deleted, claimed by charon[812], was up',
  );
  assert.match(changeText(change({ change: 'overrun', code: 'ENOBUFS' })), /dropped events/);
});

test('limits of an SA, from its JSON', () => {
  const entry = toJson(sa('out', 0x1001).value) as unknown as PageSa;
  const limited = {
    ...entry,
    lifetime: {
      ...entry.lifetime,
      softBytes: '600',
      hardBytes: '2400',
      softAddSeconds: 300,
      hardAddSeconds: 400,
    },
  };
  const limits = limitsOf(limited, 'out', NOW);
  assert.deepEqual(limits.slice(0, 2), [
    { what: 'time', used: 0.6, soft: 0.75, text: '2m 40s left of 6m 40s' },
    { what: 'bytes', used: 0.5, soft: 0.25, text: '1.2 KiB of 2.3 KiB' },
  ]);
  // null stands for no limit.
  assert(!limits.some(({ what }) => what === 'packets'));
  assert.equal(limits.at(-1)?.what, 'sequence numbers');
});
