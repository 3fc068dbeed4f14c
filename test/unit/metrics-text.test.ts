/** Metrics as text: both formats, what is preferred, escaping, and that kept lines are the same. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Tunnel, TunnelMonitor } from '../../lib/index.ts';
import { familyText, formatFor, metricsText } from '../../lib/metrics/exposition.ts';
import { MetricsSource } from '../../lib/metrics/source.ts';
import { METRICS, NAMESPACE_METRICS } from '../../lib/metrics/table.ts';
import { TunnelRecord } from '../../lib/tunnel/tunnel-record.ts';
import { readExposition } from '../exposition.ts';
import { HERE, World } from './tunnel-world.ts';

test('the format is the one that Accept prefers', () => {
  const prometheus =
    'application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2';
  assert.equal(formatFor(prometheus), 'openmetrics');
  assert.equal(formatFor('application/openmetrics-text'), 'openmetrics');
  for (const accept of [
    undefined,
    '',
    '*/*',
    'text/html,application/xhtml+xml,*/*;q=0.8',
    'text/plain;version=0.0.4',
    'text/plain;q=1,application/openmetrics-text;q=0.5',
    'application/openmetrics-text;q=0',
    'application/openmetrics-text;version=2.0.0',
    ','.repeat(100_000),
  ]) {
    assert.equal(formatFor(accept), 'classic', accept?.slice(0, 80));
  }
});

test('labels are escaped, and an empty label is left out', () => {
  const metric = {
    name: 'xfrm_x',
    type: 'gauge',
    help: 'A \\ and\na "line".',
    labels: [],
  } as const;
  const samples = [{ labels: { netns: '', tunnel: 'a"b\\c\nd é' }, value: 1.5 }];
  for (const format of ['classic', 'openmetrics'] as const) {
    const text = [...familyText(metric, samples, format)].join('');
    const { families, value } = readExposition(
      format === 'classic' ? text : `${text}# EOF\n`,
      format,
    );
    assert.deepEqual(families.get('xfrm_x')?.samples[0]?.labels, { tunnel: 'a"b\\c\nd é' });
    assert.equal(value('xfrm_x'), 1.5);
    assert(text.includes('A \\\\ and\\na'));
  }
  assert.equal([...familyText(metric, [], 'classic')].join(''), '');
});

/** What a source says, in a format. */
function read(source: MetricsSource, format: 'classic' | 'openmetrics') {
  // Each piece takes the place of the one before.
  const text = Array.from(metricsText([source], format), String).join('');
  return { text, ...readExposition(format === 'classic' ? text : `${text}# EOF\n`, format) };
}

function sourceOf(world: World, limit = 100): MetricsSource {
  const source = new MetricsSource('red', limit);
  source.tunnels.retain(new Set());
  source.tunnels.read(world.tunnels as Iterable<Tunnel>, Date.now());
  return source;
}

/** Two tunnels, of which one carried packets. */
function twoTunnels(): World {
  const world = new World({ expected: [{ name: 'pa"ris', remote: '192.0.2.2' }] }).open();
  world.addPair(1, { hard: 3600, soft: 3000 });
  world.addPolicies();
  world.addPair(2, { daddr: '192.0.2.3', reqid: 2 });
  world.addPolicies({ remote: '192.0.2.3', reqid: 2 });
  world.carry(1, 3);
  return world.pass(1000).refresh();
}

test('scrapes at the same time, one of them cut off, do not share memory', () => {
  const busier = twoTunnels();
  busier.carry(1, 5);
  const [one, other] = [sourceOf(twoTunnels()), sourceOf(busier.pass(1000).refresh())];
  const text = (source: MetricsSource) => read(source, 'classic').text;
  const expected = [text(one), text(other)];
  assert.notEqual(expected[0], expected[1]);
  for (let round = 0; round < 3; round++) {
    const [first, second, third] = [one, other, one].map((source) =>
      metricsText([source], 'classic'),
    );
    assert(first && second && third);
    const texts = ['', ''];
    for (let done = 0, i = 0; done < 2; i++) {
      if (i === 5) third.next();
      if (i === 10) third.return(undefined);
      done = 0;
      for (const [at, pieces] of [first, second].entries()) {
        const { value, done: isDone } = pieces.next();
        if (isDone) done++;
        else texts[at] += `${value instanceof Uint8Array ? Buffer.from(value) : value}`;
      }
    }
    assert.deepEqual(texts, expected);
  }
});

test('a scrape after a reading in which nothing moved makes no tunnels', (t) => {
  const world = twoTunnels();
  const source = sourceOf(world);
  const { text } = read(source, 'classic');
  world.pass(1000).refresh();
  const counted = NAMESPACE_METRICS.find(({ name }) => name === 'xfrm_tunnels');
  assert(counted);
  const looked = t.mock.getter(TunnelRecord.prototype, 'tunnel');
  assert.equal(read(source, 'classic').text, text);
  // Of the namespace's own metrics, the one about tunnels.
  source.monitor = { tunnels: world.tunnels } as unknown as TunnelMonitor;
  const samples = [...counted.samples(source)];
  assert.equal(looked.mock.callCount(), 0);
  const states = Array.from(world.tunnels, ({ state }) => state);
  assert.equal(states.length, 2);
  assert(looked.mock.callCount() > 0);
  for (const { labels, value } of samples) {
    assert.equal(value, states.filter((state) => state === labels.state).length, labels.state);
  }
});

test('both formats say the same of tunnels, and a scrape would take them', () => {
  const world = twoTunnels();
  const source = sourceOf(world);
  const classic = read(source, 'classic');
  const open = read(source, 'openmetrics');
  const samples = ({ families }: typeof classic) =>
    [...families.values()].flatMap((one) => one.samples.map((sample) => JSON.stringify(sample)));
  assert.deepEqual(samples(open), samples(classic));
  const paris = { netns: 'red', tunnel: 'pa"ris' };
  const other = { netns: 'red', tunnel: `${HERE} > 192.0.2.3` };
  assert.equal(classic.value('xfrm_tunnel_up', paris), 1);
  assert.equal(classic.value('xfrm_tunnel_expected', other), 0);
  assert.equal(classic.value('xfrm_tunnel_bytes_total', { ...paris, direction: 'out' }), 300);
  assert.equal(classic.value('xfrm_tunnel_state', { ...other, state: 'up' }), 1);
  assert.equal(classic.value('xfrm_tunnel_state', { ...other, state: 'down' }), undefined);
  const hard = { direction: 'in', limit: 'hard' };
  assert.equal(
    classic.value('xfrm_tunnel_expiry_timestamp_seconds', { ...paris, ...hard }),
    1_003_600,
  );
  assert.equal(
    classic.value('xfrm_tunnel_expiry_timestamp_seconds', { ...other, ...hard }),
    undefined,
  );
  assert.equal(
    classic.value('xfrm_tunnel_info', { ...paris, remote: '192.0.2.2', protocol: 'esp' }),
    1,
  );
  // Each is in the list, in its order, with the labels that it says.
  const order = METRICS.map(({ name }) => name);
  const found = [...open.families.keys()];
  assert.deepEqual(
    found,
    order.filter((name) => found.includes(name)),
  );
  for (const { name, labels } of METRICS) {
    for (const sample of open.families.get(name)?.samples ?? []) {
      const own = Object.keys(sample.labels).filter(
        (label) => !['netns', 'tunnel'].includes(label),
      );
      assert(
        own.every((label) => labels.includes(label)),
        `${name} has ${own}`,
      );
    }
  }
});

test('no SPI and no key is in any of it', () => {
  const world = new World().open();
  world.addPair(0x7a7a7a, { more: { aead: { name: 'gcm', key: 'c0ffee' } } });
  world.addPolicies();
  const { text } = read(sourceOf(world.pass(1000).refresh()), 'classic');
  assert(text.includes('xfrm_tunnel_up'));
  assert.doesNotMatch(text, /7a7a7a|8026746|7afa7a|8059514|c0ffee/);
});

test('lines that are kept are those that would be made anew', () => {
  const world = twoTunnels();
  const kept = sourceOf(world);
  for (const change of [
    () => {},
    () => world.carry(1, 5),
    () => world.removePair(2),
    () => world.addPair(3, { daddr: '192.0.2.4', reqid: 3 }),
    () => world.expire(1, false),
  ]) {
    change();
    world.pass(1000).refresh();
    kept.tunnels.read(world.tunnels as Iterable<Tunnel>, Date.now());
    const anew = new MetricsSource('red', 100);
    anew.tunnels.restore([...kept.tunnels.save()], false);
    anew.tunnels.read(world.tunnels as Iterable<Tunnel>, Date.now());
    const lines = (source: MetricsSource) => read(source, 'classic').text.split('\n').sort();
    assert.deepEqual(lines(kept), lines(anew));
  }
});

test('while unwatched, tunnels have no state and keep their counters', () => {
  const source = sourceOf(twoTunnels());
  source.detach('the privilege is gone');
  const { value } = read(source, 'classic');
  const paris = { tunnel: 'pa"ris' };
  assert.equal(value('xfrm_tunnel_up', paris), undefined);
  assert.equal(value('xfrm_tunnel_bytes_total', { ...paris, direction: 'out' }), 300);
  assert.deepEqual([value('xfrm_watch_blind'), value('xfrm_watch_synced')], [1, 0]);
});
