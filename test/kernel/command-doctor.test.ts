/** `netlink-xfrm doctor`, run as a user does: as root, without privileges, and in a user namespace. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { probe } from '../../lib/testing/index.ts';
import { NetworkNamespace } from '../../lib/testing/network-namespace.ts';
import { checkLine } from '../schema.ts';
import { runCommand } from '../warm-command.ts';
import { run } from './command.ts';
import { ip, withoutEsp, words } from './support.ts';

type Found = { id: string; severity: string; found: string; meaning: string; remedy?: string };

function findings({ stdout, stderr }: { stdout: string; stderr: string }) {
  assert.equal(stderr, '');
  const lines = stdout.trimEnd().split('\n');
  const kinds = lines.map(checkLine);
  assert.equal(kinds.pop(), 'diagnosis');
  assert(kinds.every((kind) => kind === 'finding'));
  const all = lines.map((line) => JSON.parse(line));
  const diagnosis = all.pop() as { severity: string; findings: Record<string, number> };
  const ids = new Set(all.map(({ id }: Found) => id));
  assert.equal(ids.size, all.length, 'each check reports once');
  const of = (id: string): Found => all.find((one: Found) => one.id === id) ?? assert.fail(id);
  return { all: all as Found[], of, diagnosis };
}

const STATUS: Readonly<Record<string, number>> = { ok: 0, note: 0, warning: 1, error: 3 };

test('as root: what the kernel has, the same as the testing kit finds; the status is that of the worst', async () => {
  const outcome = run('doctor', '-o', 'json');
  const { all, of, diagnosis } = findings(outcome);
  assert.equal(outcome.status, STATUS[diagnosis.severity]);
  for (const [severity, count] of Object.entries(diagnosis.findings)) {
    assert.equal(all.filter((one) => one.severity === severity).length, count);
  }
  for (const { id, severity, remedy } of all) {
    if (severity === 'warning' || severity === 'error') assert(remedy, id);
  }
  const { features } = await probe();
  for (const [protocol, feature] of [
    ['esp4', 'esp'],
    ['esp6', 'esp6'],
    ['ah4', 'ah'],
    ['ipcomp4', 'ipcomp'],
  ] as const) {
    assert.equal(of(`protocol.${protocol}`).severity === 'ok', features[feature].ok, protocol);
  }
  assert.equal(of('protocol.esp4').severity, withoutEsp ? 'error' : 'ok');
  assert.match(of('addon.file').found, /netlink\.node; Node\.js \d+\.\d+\.\d+ with Node-API \d+$/);
  assert.equal(of('permission.events').severity, 'ok');
  assert.equal(of('permission.namespaces').found, 'a network namespace was made');
});

test('nothing is changed in the namespace that is examined', () => {
  const before = ['state', 'policy', 'state count'].map((what) => ip(...words(`xfrm ${what}`)));
  const links = ip('-o', 'link');
  run('doctor');
  assert.deepEqual(
    ['state', 'policy', 'state count'].map((what) => ip(...words(`xfrm ${what}`))),
    before,
  );
  assert.equal(ip('-o', 'link'), links);
});

test('settings, policies and listeners of another namespace', async () => {
  await using host = await NetworkNamespace.make('sick');
  await host.ip('link add eth0 type veth peer name eth1');
  await host.sysctl('net/ipv4/conf/eth0/disable_xfrm', 1);
  await host.sysctl('net/ipv4/conf/all/rp_filter', 1);
  const template = 'tmpl src 192.0.2.1 dst 192.0.2.2 proto esp reqid 1 mode tunnel';
  await host.ip(`xfrm policy add dir out src 10.0.0.0/24 dst 10.1.0.0/24 ${template}`);
  await host.ip(`xfrm policy add dir fwd src 10.1.0.0/24 dst 10.0.0.0/24 ${template}`);
  await host.ip('xfrm policy add dir out src 10.0.0.0/24 dst 10.3.0.0/24 action block');
  const { of } = findings(run('doctor', '--netns', host.path, '--json'));
  assert.match(of('sysctl.disable-xfrm').found, /^net\.ipv4\.conf\.eth0\.disable_xfrm = 1$/);
  assert.match(of('sysctl.rp-filter').found, /^strict on .*eth0/);
  assert.match(of('sysctl.forwarding').remedy ?? '', /ip_forward=1/);
  assert.equal(of('object.count').found, '0 SAs, 3 policies');
  assert.match(of('object.block').found, /out 10\.0\.0\.0\/24 > 10\.3\.0\.0\/24/);
  assert.match(of('listener.key-managers').found, /^none, and 1 outbound policy needs SAs$/);
  // A key manager hears who needs an SA.
  const manager = host.spawn('ip', ['xfrm', 'monitor', 'acquire']);
  const listening = async () => {
    for (;;) {
      const { of } = findings(run('doctor', '--netns', host.path, '--json'));
      const { found } = of('listener.key-managers');
      if (!found.startsWith('none')) return found;
    }
  };
  assert.equal(await listening(), `ip[${manager.pid}] (acquire)`);
});

const BARE = ['setpriv', '--inh-caps', '-all', '--bounding-set', '-all'];

test('without capabilities: what is lacking and how to get it; SAs are tried in a user namespace', () => {
  const outcome = runCommand(['doctor', '--json'], BARE);
  assert.equal(outcome.status, 3);
  const { of } = findings(outcome);
  const events = of('permission.events');
  assert.equal(events.severity, 'error');
  assert.match(events.found, /EPERM/);
  assert.match(events.remedy ?? '', /CAP_NET_ADMIN.*sudo/);
  assert.match(of('permission.capabilities').meaning, /without CAP_NET_ADMIN/);
  const { severity, found } = of('protocol.esp4');
  if (/^not tried/.test(found)) assert.match(of('permission.namespaces').found, /user namespace: /);
  else {
    assert.equal(severity, withoutEsp ? 'error' : 'ok');
    assert.match(of('permission.namespaces').found, /in a user namespace/);
  }
});

test('in a user namespace: the kernel is the same, the receive buffer is limited', {
  skip: !canMakeUsers(),
}, () => {
  const inside = runCommand(
    ['doctor', '--json'],
    ['unshare', '--user', '--map-root-user', '--net'],
  );
  const { of } = findings(inside);
  const outside = findings(run('doctor', '--json'));
  for (const { id, severity } of outside.all.filter(({ id }) =>
    /^(protocol|algorithm)\./.test(id),
  )) {
    assert.equal(of(id).severity, severity, id);
  }
  assert.match(of('permission.capabilities').found, /^user 0 in a user namespace/);
  assert.equal(of('permission.events').severity, 'ok');
  const most = Number(readFileSync('/proc/sys/net/core/rmem_max', 'latin1'));
  assert.equal(of('limit.receive-buffer').severity, most < 64 * 2 ** 20 ? 'note' : 'ok');
});

/** Whether this kernel lets root make user namespaces. */
function canMakeUsers(): boolean {
  try {
    return (
      readdirSync('/proc/self/ns').includes('user') &&
      runCommand(['--version'], ['unshare', '--user', '--map-root-user', '--net']).status === 0
    );
  } catch {
    return false;
  }
}

test('the text fits 80 columns, and ends with the numbers', () => {
  const { stdout } = run('doctor', '--color', 'never');
  const lines = stdout.trimEnd().split('\n');
  assert.match(lines.pop() ?? '', /^\d+ errors?, \d+ warnings?, \d+ notes?; \d+ in order$/);
  for (const line of lines) {
    assert.match(line, /^(ok|note|warning|error) +[a-z]+\.[a-z0-9-]+: | {8,}\S/);
    assert(line.length <= 80 || !line.trim().includes(' '), line);
  }
});

test('a namespace that does not exist is an error', () => {
  const { status, stderr } = run('doctor', '--netns', 'no-such');
  assert.equal(status, 1);
  assert.match(stderr, /\/run\/netns\/no-such does not exist/);
});
