/** Totals and names of tunnels' series: across rekeys, successors, restarts and limits. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Tunnel } from '../../lib/index.ts';
import { OTHER, TunnelBook, type TunnelSeries } from '../../lib/metrics/tunnel-series.ts';
import { AT, type CounterName, TunnelTotals } from '../../lib/metrics/tunnel-totals.ts';

const NOW = Date.now() - 3_600_000;

interface Wish {
  readonly id?: string;
  readonly name?: string;
  readonly remote?: string;
  readonly reqid?: number;
  readonly state?: Tunnel['state'];
  readonly since?: number;
  /** Bytes of each outbound SA, by SPI. */
  readonly sas?: Readonly<Record<number, number>>;
  /** The monitor's total, where that is not the sum over the SAs. */
  readonly bytes?: number;
  readonly net?: string;
}

/** A tunnel as a monitor shows it, as far as series look at it. */
function tunnel(wish: Wish = {}): Tunnel {
  const { remote = '192.0.2.2', reqid = 7, sas = {}, name, net } = wish;
  const out = Object.entries(sas).map(([spi, bytes]) => ({
    id: `${remote} esp ${spi}`,
    value: {
      spi: Number(spi),
      proto: 'esp',
      current: { bytes: BigInt(bytes), packets: 1n, addedAt: NOW },
      stats: { integrityFailed: 0, replay: 0, replayWindow: 0 },
    },
  }));
  const sum = Object.values(sas).reduce((all, one) => all + one, 0);
  const traffic = {
    bytes: BigInt(wish.bytes ?? sum),
    packets: BigInt(out.length),
    lastUsedAt: NOW,
  };
  const selector = { saddr: '10.0.0.0', prefixlenS: 24, daddr: net, prefixlenD: 24 };
  return {
    id: wish.id ?? name ?? `192.0.2.1 > ${remote} reqid ${reqid}`,
    name,
    expected: name !== undefined,
    local: '192.0.2.1',
    remote,
    reqid,
    ifId: {},
    mark: {},
    protocol: 'esp',
    state: wish.state ?? 'up',
    reason: 'as it is',
    since: { wall: wish.since ?? NOW, monotonic: 0 },
    sinceKnown: false,
    upSince: wish.state === 'down' ? undefined : { wall: wish.since ?? NOW, monotonic: 0 },
    selectors: net === undefined ? [] : [{ dir: 'out', selector }],
    sas: { out, in: [] },
    larval: [],
    policies: wish.state === 'down' ? [] : [{}],
    traffic: { out: traffic, in: { bytes: 0n, packets: 0n, lastUsedAt: undefined } },
    refused: { integrity: 0n, replay: 0n, replayWindow: 0n },
    rekeys: 0,
    unreplaced: 0,
    acquires: 0,
    natMappings: 0,
  } as unknown as Tunnel;
}

const sumOf = ({ totals }: { readonly totals: TunnelTotals }, name: CounterName = 'bytesOut') =>
  totals.sums[AT[name]];
const labels = (book: TunnelBook) => Array.from(book, ({ label }) => label);
const seriesOf = (book: TunnelBook, label: string): TunnelSeries => {
  const found = [...book].find((one) => one.label === label);
  assert(found, `${label} is not among ${labels(book)}`);
  return found;
};

/** A book that has been watching from before any tunnel came. */
function watching(limit = 100): TunnelBook {
  const book = new TunnelBook(limit, NOW);
  book.retain(new Set());
  return book;
}

test('a total follows the monitor, but never decreases', () => {
  const totals = new TunnelTotals();
  for (const [bytes, expected] of [
    [100, 100],
    [250, 250],
    // An SA that served this tunnel too is gone.
    [60, 250],
    [70, 260],
  ] as const) {
    totals.add(tunnel({ bytes }));
    assert.equal(sumOf({ totals }), expected);
  }
});

test('what SAs counted before they were watched is not included', () => {
  const book = new TunnelBook(10, NOW);
  book.read([tunnel({ sas: { 1: 5000 } })], NOW);
  book.retain(new Set());
  const [series] = [...book];
  assert(series);
  assert.equal(sumOf(series), 0);
  book.read([tunnel({ sas: { 1: 5600 } })], NOW);
  assert.equal(sumOf(series), 600);
});

test('a label consists of the endpoints, more only if necessary, and never an SPI', () => {
  const book = watching();
  const all = [
    tunnel({ remote: '192.0.2.9', reqid: 1, sas: { 4242: 1 } }),
    tunnel({ remote: '192.0.2.2', reqid: 1, net: '10.1.0.0' }),
    tunnel({ remote: '192.0.2.2', reqid: 2, net: '10.2.0.0' }),
    tunnel({ remote: '192.0.2.2', reqid: 3, net: '10.2.0.0' }),
    tunnel({ name: 'paris', remote: '192.0.2.5' }),
  ];
  book.read(all, NOW);
  const expected = [
    'paris',
    '192.0.2.1 > 192.0.2.2 for 10.0.0.0/24 > 10.1.0.0/24',
    '192.0.2.1 > 192.0.2.2 for 10.0.0.0/24 > 10.2.0.0/24',
    '192.0.2.1 > 192.0.2.2 reqid 3',
    '192.0.2.1 > 192.0.2.9',
  ];
  assert.deepEqual(labels(book), expected);
  const reversed = watching();
  reversed.read(all.toReversed(), NOW);
  assert.deepEqual(labels(reversed), expected);
});

test('a tunnel that reappears with another reqid continues its series', () => {
  const book = watching();
  const label = '192.0.2.1 > 192.0.2.2';
  book.read([tunnel({ reqid: 1, sas: { 1: 100 } })], NOW);
  const down = tunnel({ reqid: 1, state: 'down', bytes: 100 });
  book.read([down], NOW);
  book.read([down, tunnel({ reqid: 2, sas: { 2: 30 } })], NOW);
  assert.deepEqual(labels(book), [label]);
  const series = seriesOf(book, label);
  assert.equal(sumOf(series), 130);
  assert.equal(series.tunnel?.reqid, 2);
  // The old one is forgotten: that does not end the series.
  book.remove(down.id);
  assert.deepEqual(labels(book), [label]);
});

test('while another monitor opens, nothing is counted twice or lost', () => {
  const book = watching();
  book.read([tunnel({ sas: { 1: 100, 2: 50 } })], NOW);
  book.suspend();
  const [series] = [...book];
  assert(series);
  assert.equal(series.current, false);
  // One SA counted on, one is gone, one is new.
  const missed = book.read([tunnel({ sas: { 1: 140, 3: 7 } })], NOW);
  assert.equal(missed, 1);
  assert.equal(sumOf(series), 150 + 40 + 7);
});

test('totals, start times and causes survive a restart', () => {
  const book = watching();
  const before = tunnel({ sas: { 1: 100 }, since: NOW - 5000 });
  book.read([before], NOW);
  book.down(before, 'expired');
  const next = new TunnelBook(100, NOW + 1000);
  next.restore(JSON.parse(JSON.stringify([...book.save()])), false);
  next.read([tunnel({ sas: { 1: 130 }, since: NOW + 1000 })], NOW + 1000);
  const [series] = [...next];
  assert(series);
  assert.equal(sumOf(series), 130);
  assert.equal(series.since, NOW - 5000);
  assert.equal(series.countingSince, NOW);
  assert.deepEqual([...series.totals.downs].filter(Boolean), [1]);
  assert.equal(series.reason, 'as it is');
});

test('the reason of a tunnel after a restart is not that from before, unless it is down', () => {
  for (const state of ['down', 'one-way'] as const) {
    const book = watching();
    book.read([{ ...tunnel({ state }), reason: 'before' }], NOW);
    const next = new TunnelBook(100, NOW + 1000);
    next.restore([...book.save()], false);
    next.read([{ ...tunnel({ state }), reason: 'now' }], NOW + 1000);
    assert.equal([...next][0]?.reason, state === 'down' ? 'before' : 'now');
  }
});

test('of tunnels between the same endpoints, each has its label and totals after a restart', () => {
  const book = watching();
  const first = (bytes: number) => tunnel({ reqid: 1, net: '10.1.0.0', sas: { 1: bytes } });
  const second = (bytes: number) => tunnel({ reqid: 2, net: '10.2.0.0', sas: { 2: bytes } });
  // The first was alone when it got its label.
  book.read([second(100)], NOW);
  book.read([first(10)], NOW);
  const before = labels(book);
  for (const both of [
    [first(11), second(101)],
    [second(101), first(11)],
  ]) {
    const next = new TunnelBook(100, NOW + 1000);
    next.restore([...book.save()], false);
    next.read(both, NOW + 1000);
    next.retain(new Set(both.map(({ id }) => id)));
    assert.deepEqual(labels(next), before);
    assert.deepEqual(
      Array.from(next, (one) => sumOf(one)),
      [101, 11],
    );
  }
  // One that has got a name has that as its label.
  const named = new TunnelBook(100, NOW + 1000);
  named.restore([...book.save()], false);
  named.read([tunnel({ name: 'paris', reqid: 1, sas: { 1: 11 } })], NOW);
  assert.equal(seriesOf(named, 'paris').tunnel?.name, 'paris');
});

test('saved start times are ignored without a matching SA, or in another state', () => {
  const book = watching();
  book.read([tunnel({ sas: { 1: 100 }, since: NOW - 5000 })], NOW);
  const saved = [...book.save()];
  for (const now of [tunnel({ sas: { 2: 1 } }), tunnel({ sas: { 1: 100 }, state: 'one-way' })]) {
    const next = new TunnelBook(100, NOW);
    next.restore(saved, false);
    next.read([now], NOW);
    assert.equal([...next][0]?.since, NOW);
  }
});

test('after a crash a counter that might decrease is reset, visibly', () => {
  const book = watching();
  book.read([tunnel({ sas: { 1: 100, 2: 100 } })], NOW);
  const saved = [...book.save()];
  const restarted = (sas: NonNullable<Wish['sas']>) => {
    const next = new TunnelBook(100, NOW);
    next.restore(saved, true);
    next.read([tunnel({ sas })], NOW);
    return [...next][0] as TunnelSeries;
  };
  // All that was saved is still known.
  const whole = restarted({ 1: 110, 2: 100 });
  assert.equal(sumOf(whole), 210);
  assert.equal(whole.countingSince, NOW);
  // Higher values may have been exported for the SA that is gone.
  const part = restarted({ 1: 110, 3: 5 });
  assert.equal(sumOf(part), 15);
  assert(part.countingSince > NOW);
});

test('tunnels beyond the limit are summed, and the sum never decreases', () => {
  const book = watching(2);
  const all = (bytes: number) =>
    [1, 2, 3, 4].map((i) => tunnel({ remote: `192.0.2.${i}`, sas: { [i]: bytes } }));
  book.read(all(10), NOW);
  assert.equal(book.size, 2);
  assert.equal(book.unlabelled, 2);
  assert.equal(sumOf(book.others), 20);
  book.read(all(15), NOW);
  assert.equal(sumOf(book.others), 30);
  for (const { id } of all(0)) book.remove(id);
  assert.deepEqual([book.size, book.unlabelled, sumOf(book.others)], [0, 0, 30]);
  assert.equal(book.others.label, OTHER);
});

test('the sum over tunnels beyond the limit is the same after a restart', () => {
  const all = (bytes: number) =>
    [1, 2, 3, 4].map((i) => tunnel({ remote: `192.0.2.${i}`, sas: { [i]: bytes } }));
  let book = watching(2);
  book.read(all(10), NOW);
  for (const bytes of [10, 10, 15]) {
    const next = new TunnelBook(2, NOW);
    next.restore([...book.save()], false);
    next.read(all(bytes), NOW);
    next.retain(new Set(all(0).map(({ id }) => id)));
    assert.equal(sumOf(next.others), 20);
    book = next;
  }
  // What they gain from then on is counted, and so is one that is new.
  book.read([...all(16), tunnel({ remote: '192.0.2.5', sas: { 5: 3 } })], NOW);
  assert.equal(sumOf(book.others), 25);
});

test('expected tunnels take precedence under the limit', () => {
  const book = watching(1);
  book.read(
    [tunnel({ remote: '192.0.2.1' }), tunnel({ name: 'zurich', remote: '192.0.2.9' })],
    NOW,
  );
  assert.deepEqual(labels(book), ['zurich']);
  // One that is expected from now on has a series in any case.
  book.read([tunnel({ name: 'rome', remote: '192.0.2.8' })], NOW);
  assert.deepEqual(labels(book), ['zurich', 'rome']);
});
