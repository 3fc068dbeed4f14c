/**
 * Runs in the lab: a Prometheus scrapes a daemon through rekeys, restarts and a dead peer,
 * with the rules of contrib/. Whatever takes minutes there takes seconds here.
 *
 *   node prometheus-guest.js PROMETHEUS SHARE
 * @module
 */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { stringify } from 'yaml';
import { deleteSas, keyedTunnel, ping, twoHosts } from '../../lib/testing/index.ts';
import { QUERIES } from '../../tools/dashboard.ts';
import { type Rule, readRules } from './prometheus.ts';
import { root } from './support.ts';

const [prometheus = '', share = ''] = process.argv.slice(2);
const SERVE = 9786;
const PROMETHEUS = 9090;

await using hosts = await twoHosts();
const { left, right } = hosts;
const folder = left.folder();

/** The alerts with seconds for minutes. The windows of rates and increases stay: they are only shorter at first. */
const hurried = ({ for: wait, ...rule }: Rule): Rule =>
  wait === undefined ? rule : { ...rule, for: wait.replace(/m$|h$/, 's') };
const groups = readRules().groups.map((group) => ({ ...group, rules: group.rules.map(hurried) }));
writeFileSync(join(folder, 'rules.yml'), stringify({ groups }));
writeFileSync(
  join(folder, 'prometheus.yml'),
  stringify({
    global: { scrape_interval: '2s', scrape_timeout: '2s', evaluation_interval: '1s' },
    rule_files: [join(folder, 'rules.yml')],
    scrape_configs: [
      { job_name: 'netlink-xfrm', static_configs: [{ targets: [`127.0.0.1:${SERVE}`] }] },
    ],
  }),
);
writeFileSync(
  join(folder, 'serve.json'),
  JSON.stringify({
    refresh: '1s',
    thresholds: { stalled: '2s' },
    expected: [
      { name: 'paris', remote: right.address },
      { name: 'rome', remote: '198.51.100.7' },
    ],
  }),
);

let errors = '';
function serve(): ChildProcess {
  const command = join(root, 'bin/netlink-xfrm.js');
  const config = ['--config', join(folder, 'serve.json'), '--state-dir', join(folder, 'state')];
  const child = left.spawn(process.execPath, [command, 'serve', ...config]);
  child.stderr?.on('data', (text) => {
    errors += text;
  });
  return child;
}

/** The body of an answer; `path` on a port of the left host. */
async function get(port: number, path: string, headers = {}): Promise<string> {
  const createConnection = () => left.tcp('127.0.0.1', '127.0.0.1', port);
  const asked = request({
    path,
    headers: { host: `127.0.0.1:${port}`, ...headers },
    createConnection,
  }).end();
  const [answer] = (await once(asked, 'response')) as [IncomingMessage];
  let text = '';
  for await (const piece of answer.setEncoding('utf8')) text += piece;
  assert.equal(answer.statusCode, 200, `${path}: ${text}`);
  return text;
}

interface Result {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [time: number, value: string];
}

async function query(expression: string): Promise<readonly Result[]> {
  const path = `/api/v1/query?query=${encodeURIComponent(expression)}`;
  return JSON.parse(await get(PROMETHEUS, path)).data.result;
}

/** The value of an expression that has one. */
async function value(expression: string): Promise<number | undefined> {
  const results = await query(expression);
  assert(results.length <= 1, `${expression}: ${JSON.stringify(results)}`);
  return results[0] && Number(results[0].value[1]);
}

async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  let last: unknown;
  for (let i = 0; i < 300; i++) {
    try {
      if (await isSo()) return;
      last = undefined;
    } catch (error) {
      last = error;
    }
    await pause(100);
  }
  throw new Error(`${what}: not within 30 seconds\n${last ?? ''}\n${errors.slice(-3000)}`);
}

async function reaches(expression: string, wanted: number): Promise<void> {
  let found: number | undefined;
  const isRight = async () => {
    found = await value(expression);
    return found === wanted;
  };
  await until(expression, isRight).catch(({ message }) => {
    throw new Error(`${found} in place of ${wanted}: ${message}`);
  });
}

const isFiring = async (alert: string, tunnel?: string) => {
  const labels = `alertname="${alert}",alertstate="firing"${tunnel ? `,tunnel="${tunnel}"` : ''}`;
  return (await query(`ALERTS{${labels}}`)).length > 0;
};
const fires = (alert: string, tunnel?: string) =>
  until(`${alert} of ${tunnel ?? 'the host'}`, () => isFiring(alert, tunnel));

const classic = { accept: 'text/plain' };

let daemon = serve();
const scraper = left.spawn(join(prometheus, 'prometheus'), [
  `--config.file=${join(folder, 'prometheus.yml')}`,
  `--storage.tsdb.path=${join(folder, 'data')}`,
  `--web.listen-address=127.0.0.1:${PROMETHEUS}`,
  '--log.level=warn',
]);
scraper.stderr?.on('data', (text) => {
  errors += text;
});

const tunnel = await keyedTunnel(left, right);
/** Packets each way. */
let packets = 0;
async function talk(count: number): Promise<void> {
  const { received } = await ping(left, right, { count });
  assert.equal(received, count);
  packets += count;
}
const counted = async () => {
  for (const direction of ['in', 'out']) {
    await reaches(`xfrm_tunnel_packets_total{tunnel="paris",direction="${direction}"}`, packets);
  }
};

await reaches('up{job="netlink-xfrm"}', 1);
await reaches('xfrm_tunnel_up{tunnel="paris"}', 1);
// Expected and never there: it has a series, and an alert.
await fires('IpsecTunnelDown', 'rome');

// A storm of rekeys: no packet is lost from the totals, no counter goes back, and it is never down.
const REKEYS = 50;
const rekeys = 'xfrm_tunnel_rekeys_total{tunnel="paris"}';
for (let i = 1; i <= REKEYS; i++) {
  await talk(3);
  await tunnel.rekey();
  // Those within `settle` (docs/tunnels.md) would count as one.
  const line = `\n${rekeys} ${i}\n`;
  await until(line, async () => (await get(SERVE, '/metrics', classic)).includes(line));
}
await counted();
await reaches(rekeys, REKEYS);
const increase = (await value(`increase(${rekeys}[5m])`)) ?? 0;
// Prometheus extrapolates to the ends of the window, here by less than two intervals.
assert(increase >= REKEYS - 5 && increase <= REKEYS * 1.2, `increase ${increase}`);
const rate = (await value('sum(rate(xfrm_tunnel_packets_total{tunnel="paris"}[5m]))')) ?? 0;
assert(rate > 0);
const STEADY = ['xfrm_tunnel_bytes_total', 'xfrm_tunnel_packets_total', 'xfrm_tunnel_rekeys_total'];
async function assertSteady(): Promise<void> {
  assert.equal(await value('min_over_time(xfrm_tunnel_up{tunnel="paris"}[5m])'), 1);
  for (const name of STEADY) {
    const resets = await query(`resets(${name}{tunnel="paris"}[5m])`);
    assert.notEqual(resets.length, 0, name);
    for (const { value: found } of resets) assert.equal(found[1], '0', name);
  }
  assert.deepEqual(await query('ALERTS{tunnel="paris",alertstate="firing"}'), []);
}
await assertSteady();

// What it says is what promtool accepts; and every query of the dashboard is one.
writeFileSync(join(share, 'metrics.txt'), await get(SERVE, '/metrics', classic));
for (const expression of QUERIES) {
  const plain = expression.replaceAll(/=~"\$\w+"/g, '=~".*"').replaceAll('$__rate_interval', '1m');
  await query(plain);
}
for (const { record } of groups.flatMap((group) => group.rules)) {
  if (record === undefined || record.includes('1d')) continue;
  await until(record, async () => (await query(record)).length > 0);
}

// A restart: totals go on, and what was sent meanwhile is in them.
daemon.kill('SIGTERM');
assert.deepEqual(await once(daemon, 'exit'), [0, null]);
await talk(5);
daemon = serve();
await reaches('changes(process_start_time_seconds[5m])', 1);
await talk(2);
await counted();
await assertSteady();
assert.equal(await value('sum(xfrm_watch_gaps_total)'), 0);

// A dead peer: packets go out, none comes in; then the SAs expire.
await deleteSas(right);
const silent = ping(left, right, { count: 1, timeout: 1 });
await silent;
const knocking = setInterval(() => {
  void ping(left, right, { count: 1, timeout: 1 }).catch(() => {});
}, 500);
await fires('IpsecTunnelOneWay', 'paris');
clearInterval(knocking);
assert(!(await isFiring('IpsecTunnelDown', 'paris')));
await tunnel.expire({ on: left });
await fires('IpsecTunnelDown', 'paris');
await fires('IpsecRekeyFailed', 'paris');
assert.equal(await value('sum(increase(xfrm_tunnel_downs_total{tunnel="paris"}[5m])) > bool 0'), 1);
// It is back.
await tunnel.remove();
await keyedTunnel(left, right);
await reaches('xfrm_tunnel_up{tunnel="paris"}', 1);
await until('the end of the alert', async () => !(await isFiring('IpsecTunnelDown', 'paris')));

const { alerts } = JSON.parse(await get(PROMETHEUS, '/api/v1/alerts')).data;
for (const { annotations } of alerts)
  assert.doesNotMatch(JSON.stringify(annotations), /error|<no value>/);

// Nobody watches.
daemon.kill('SIGKILL');
await fires('NetlinkXfrmDown');
scraper.kill();
console.log('done');
