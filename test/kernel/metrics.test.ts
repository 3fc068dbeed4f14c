/** Metrics of a real monitor, in the registries of others; and totals through rekeys. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AggregationTemporality, MeterProvider, MetricReader } from '@opentelemetry/sdk-metrics';
import { Registry } from 'prom-client';
import { TunnelMonitor, XfrmClient } from '../../lib/index.ts';
import { collectTunnelMetrics, observeMetrics, registerMetrics } from '../../lib/metrics.ts';
import { addPair, deletePair, exchange, type Spis, setPolicies } from './by-hand.ts';
import { hostsHere, type TwoHosts } from './here.ts';
import { withoutEsp } from './support.ts';
import { addHere, addPolicies, deleteHere, FAR, HERE } from './tunnel-peers.ts';

const EXPECTED = [
  { name: 'paris', remote: FAR },
  { name: 'gone', remote: '203.0.113.9' },
];

/** Of OpenTelemetry's SDK: reads when it is asked to. */
class Reader extends MetricReader {
  protected async onForceFlush(): Promise<void> {}
  protected async onShutdown(): Promise<void> {}
  override selectAggregationTemporality = () => AggregationTemporality.CUMULATIVE;
}

test('a registry of prom-client and a meter of OpenTelemetry have the same numbers', async () => {
  addHere();
  addPolicies(7);
  await using monitor = await TunnelMonitor.open({ expected: EXPECTED });
  const families = new Map(collectTunnelMetrics(monitor).map((one) => [one.name, one]));
  for (const contentType of [
    Registry.PROMETHEUS_CONTENT_TYPE,
    Registry.OPENMETRICS_CONTENT_TYPE,
  ] as const) {
    const registry = new Registry();
    registry.setContentType(contentType as never);
    registerMetrics(registry, monitor);
    // Twice: what one scrape leaves must not disturb the next.
    await registry.metrics();
    const text = await registry.metrics();
    const up = /^xfrm_tunnel_up\{netns="",tunnel="(paris|gone)"\} ([01])$/gm;
    assert.deepEqual([...text.matchAll(up)].map(([, ...found]) => found.join(' ')).sort(), [
      'gone 0',
      'paris 0',
    ]);
    assert.match(text, /^xfrm_tunnel_bytes_total\{netns="",tunnel="paris",direction="out"\} 0$/m);
    assert.match(text, /^xfrm_tunnel_state\{netns="",tunnel="paris",state="blocked"\} 1$/m);
    assert.throws(() => registerMetrics(registry, monitor), /already been registered/);
  }

  const reader = new Reader();
  const provider = new MeterProvider({ readers: [reader] });
  const observation = observeMetrics(provider.getMeter('tunnels'), monitor);
  const collected = async () => {
    const { resourceMetrics, errors } = await reader.collect();
    assert.deepEqual(errors, []);
    return resourceMetrics.scopeMetrics.flatMap(({ metrics }) => metrics);
  };
  const metrics = new Map((await collected()).map((one) => [one.descriptor.name, one]));
  const points = metrics
    .get('xfrm.tunnel.up')
    ?.dataPoints.map(({ attributes, value }) => [attributes, value]);
  assert.deepEqual(
    points,
    families
      .get('xfrm_tunnel_up')
      ?.samples.map(({ labels: { tunnel }, value }) => [{ tunnel }, value]),
  );
  assert.equal(metrics.get('xfrm.tunnel.bytes')?.descriptor.unit, 'By');
  assert.equal(metrics.get('xfrm.tunnel.state_since_timestamp')?.descriptor.unit, 's');
  assert.equal(metrics.get('xfrm.policies')?.dataPoints.length, 3);
  observation[Symbol.dispose]();
  monitor.addExpected({ name: 'later', remote: '203.0.113.10' });
  // The reader shows the values it received before.
  const still = (await collected()).find(({ descriptor }) => descriptor.name === 'xfrm.tunnel.up');
  assert.deepEqual(
    still?.dataPoints.map(({ attributes }) => attributes),
    points?.map(([attributes]) => attributes),
  );
  await provider.shutdown();
  deleteHere();
});

test('objects without metrics are rejected', () => {
  assert.throws(
    () => collectTunnelMetrics({} as never),
    /^TypeError: monitor must be a TunnelMonitor/,
  );
});

test('an unexpected tunnel is named by its ends', async () => {
  addHere();
  addPolicies(7);
  await using monitor = await TunnelMonitor.open();
  const up = collectTunnelMetrics(monitor).find(({ name }) => name === 'xfrm_tunnel_up');
  assert.deepEqual(up?.samples, [{ labels: { netns: '', tunnel: `${HERE} > ${FAR}` }, value: 0 }]);
  deleteHere();
});

const pair = (n: number): Spis => ({ out: 0x10000 + n, in: 0x20000 + n });
const REKEYS = 5;
const PACKETS = 3;

test('each packet is counted once, through rekeys', { skip: withoutEsp }, async () => {
  const hosts: TwoHosts = await hostsHere();
  const left = new XfrmClient();
  const right = new XfrmClient({ netns: hosts.right.netns });
  await setPolicies(left, 'left');
  await setPolicies(right, 'right');
  const both = async (work: typeof addPair | typeof deletePair, n: number) => {
    const { out, in: inbound } = pair(n);
    await work(left, 'left', { out, in: inbound });
    await work(right, 'right', { out: inbound, in: out });
  };
  await both(addPair, 0);
  await using monitor = await TunnelMonitor.open({ refreshInterval: 0 });
  const counted = () => {
    const families = collectTunnelMetrics(monitor);
    const values = (name: string) =>
      families.find((one) => one.name === name)?.samples.map(({ value }) => value);
    return { packets: values('xfrm_tunnel_packets'), rekeys: values('xfrm_tunnel_rekeys') };
  };
  assert.deepEqual(counted().packets, [0, 0]);
  let before = [0, 0];
  for (let n = 0; n < REKEYS; n++) {
    await exchange(PACKETS);
    // Nobody reads the counters before the SAs go: the kernel's messages have the last ones.
    await both(addPair, n + 1);
    await both(deletePair, n);
    const rekeyed = ({ tunnels }: TunnelMonitor) => [...tunnels].every(({ rekeys }) => rekeys > n);
    await monitor.waitFor(rekeyed, { timeout: 60_000 });
    const { packets = [] } = counted();
    assert(
      packets.every((value, i) => value >= (before[i] ?? 0)),
      `${packets} after ${before}`,
    );
    before = packets;
  }
  await monitor.refresh();
  assert.deepEqual(counted(), {
    packets: [REKEYS * PACKETS, REKEYS * PACKETS],
    rekeys: [REKEYS],
  });
  const gaps = collectTunnelMetrics(monitor).find(({ name }) => name === 'xfrm_watch_gaps');
  assert(gaps?.samples.every(({ value }) => value === 0));
  await left.close();
  await right.close();
  await hosts[Symbol.asyncDispose]();
});
