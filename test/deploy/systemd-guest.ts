/**
 * Runs in the lab: starts a systemd as process 1 of namespaces of its own, and in it the service of
 * contrib/. Its exit status is that of its assertions.
 *
 *   node systemd-guest.js ROOT SHARE
 * @module
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

const [root = '', share = ''] = process.argv.slice(2);
const clone = join(import.meta.dirname, '../../..');
const UNIT = 'netlink-xfrm.service';
const ADDRESS = 'http://127.0.0.1:9786';

const boot = spawn(
  'unshare',
  [
    ...['--mount', '--pid', '--fork', '--cgroup', '--uts', '--ipc'],
    ...['sh', join(clone, 'test/deploy/systemd-boot.sh'), root, process.execPath, clone, share],
  ],
  { stdio: ['ignore', 'inherit', 'inherit'] },
);

/** Process 1 of the namespaces, as this one numbers it. */
let manager = '';

/** Runs a command where systemd is. */
function inside(...command: string[]) {
  const enter = ['-t', manager, '-m', '-p', '-u', '-i', '-C', '--', ...command];
  const { status, stdout, stderr } = spawnSync('nsenter', enter, { encoding: 'utf8' });
  return { status, stdout, stderr };
}

/** The output of a command, which must succeed. */
function succeed(...command: string[]): string {
  const { status, stdout, stderr } = inside(...command);
  assert.equal(status, 0, `${command.join(' ')}: ${stdout}${stderr}\n${journal().slice(-3000)}`);
  return stdout;
}

const systemctl = (...args: string[]) => succeed('systemctl', ...args);
const journal = () => inside('journalctl', '-u', UNIT, '--no-pager', '-o', 'short-iso').stdout;
const property = (name: string) => systemctl('show', UNIT, '--property', name, '--value').trim();
const ip = (line: string) => succeed('ip', ...line.split(' '));

/** Repeats until `attempt` returns something. */
async function until<T>(
  what: string,
  attempt: () => T | undefined | Promise<T | undefined>,
): Promise<T> {
  for (let i = 0; i < 300; i++) {
    const result = await attempt();
    if (result !== undefined) return result;
    await pause(100);
  }
  throw new Error(`${what}: not within 30 seconds\n${journal().slice(-4000)}`);
}

/** Settings besides those of the unit; the service is restarted with them. @returns its result */
function restartWith(settings: readonly string[]): string {
  const folder = `/run/systemd/system/${UNIT}.d`;
  writeFileSync(join(share, 'drop-in'), ['[Service]', ...settings, ''].join('\n'));
  succeed('sh', '-c', `mkdir -p ${folder} && cp /host/drop-in ${folder}/test.conf`);
  systemctl('daemon-reload');
  inside('systemctl', 'reset-failed', UNIT);
  const { status } = inside('systemctl', 'restart', UNIT);
  const result = status === 0 ? 'success' : property('Result');
  console.log(`${settings.join(', ')}: ${result}`);
  if (status !== 0) console.log(journal().split('\n').slice(-8).join('\n'));
  return result;
}

/** Settings of processes that the kernel shows. */
function processStatus(pid: string): Record<string, string> {
  const lines = succeed('cat', `/proc/${pid}/status`).split('\n');
  return Object.fromEntries(
    lines
      .map((line) => line.split(':\t', 2) as [string, string | undefined])
      .map(([name, value]) => [name, value ?? '']),
  );
}

/** Lines of the service in the journal, with their priorities. */
const lines = () =>
  inside('journalctl', '-u', UNIT, '--no-pager', '-o', 'json')
    .stdout.split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as { MESSAGE: string; PRIORITY: string; _PID: string });

/** Status and text of an answer, over a connection of its own: the service is restarted all the time. */
async function ask(path: string, headers = {}): Promise<{ status: number; text: string }> {
  const asked = request(`${ADDRESS}${path}`, { agent: false, headers }).end();
  const [answer] = (await once(asked, 'response')) as [IncomingMessage];
  let text = '';
  for await (const piece of answer.setEncoding('utf8')) text += piece;
  return { status: answer.statusCode ?? 0, text };
}

const isReady = () =>
  ask('/readyz').then(
    ({ status }) => status === 200,
    () => false,
  );

/** The first sample of a metric. */
async function metric(start: string): Promise<string | undefined> {
  const { text } = await ask('/metrics');
  return text.split('\n').find((line) => line.startsWith(start));
}

manager = await until('process 1', () => {
  const children = readFileSync(`/proc/${boot.pid}/task/${boot.pid}/children`, 'utf8').trim();
  return children === '' ? undefined : children;
});
await until('systemd', () => {
  const { stdout } = inside('systemctl', 'is-active', 'test.target');
  return stdout === 'active\n' ? true : undefined;
});
console.log(succeed('systemctl', '--version').split('\n')[0]);

// Ready, in words, and with no right but one.
ip('link set lo up');
ip(
  'xfrm policy add src 10.1.0.0/16 dst 10.2.0.0/16 dir out tmpl src 192.0.2.1 dst 192.0.2.2 proto esp mode tunnel',
);
assert(!(await isReady()));
systemctl('start', UNIT);
assert(await isReady());
const pid = property('MainPID');
assert.equal(property('ActiveState'), 'active');
await until('a status', () =>
  /^1 tunnels?: 0 up/.test(property('StatusText')) ? true : undefined,
);
const { Uid, CapEff, CapPrm, CapBnd, NoNewPrivs, Seccomp } = processStatus(pid);
assert.match(Uid ?? '', /^6\d{4}\t/);
// CAP_NET_ADMIN is capability 12.
for (const set of [CapEff, CapPrm, CapBnd]) assert.equal(set, '0000000000001000');
assert.equal(NoNewPrivs, '1');
assert.equal(Seccomp, '2');
// /proc/net/xfrm_stat is read although ProcSubset=pid hides most of /proc.
assert.match((await metric('xfrm_stat_packets_total')) ?? '', /counter="Xfrm/);
assert.match(succeed('ls', '-ld', '/var/lib/private/netlink-xfrm'), /^drwx------/);

// What happens is in the journal, by its importance.
const KEY = '0x0123456789012345678901234567890123456789';
for (const [src, dst, spi] of [
  ['192.0.2.1', '192.0.2.2', 1],
  ['192.0.2.2', '192.0.2.1', 2],
] as const) {
  ip(
    `xfrm state add src ${src} dst ${dst} proto esp spi ${spi} mode tunnel aead rfc4106(gcm(aes)) ${KEY} 128`,
  );
}
ip('addr add 192.0.2.1/32 dev lo');
ip(
  'xfrm policy add src 10.2.0.0/16 dst 10.1.0.0/16 dir in tmpl src 192.0.2.2 dst 192.0.2.1 proto esp mode tunnel',
);
const said = (text: RegExp, priority: string) =>
  until(`${text} with priority ${priority}`, () =>
    lines().find(({ MESSAGE, PRIORITY }) => text.test(MESSAGE) && PRIORITY === priority),
  );
await said(/is up: .*event=tunnel-up/, '6');
ip('xfrm state flush');
await said(/is blocked: .*event=tunnel-down .*cause=flushed/, '4');
assert.doesNotMatch(journal(), /0123456789/);

// A reload keeps the process; a configuration that is wrong, too.
writeFileSync(
  join(share, 'serve.json'),
  '{"expected": [{"name": "rome", "remote": "198.51.100.9"}]}',
);
const options = 'Environment=OPTIONS=--config=/host/serve.json';
assert.equal(restartWith([options]), 'success');
const served = property('MainPID');
assert.notEqual(served, pid);
assert.match((await metric('xfrm_tunnel_up{tunnel="rome"}')) ?? '', / 0$/);
writeFileSync(
  join(share, 'serve.json'),
  '{"expected": [{"name": "oslo", "remote": "198.51.100.9"}]}',
);
systemctl('reload', UNIT);
await until('a new name', async () => await metric('xfrm_tunnel_up{tunnel="oslo"}'));
writeFileSync(join(share, 'serve.json'), '{"expected": [{"name": ]}');
systemctl('reload', UNIT);
await said(/serve\.json:1:.*event=reload-failed/, '3');
assert.equal(property('MainPID'), served);
assert.equal(property('ActiveState'), 'active');

// A token and certificates that only root may read come as credentials.
writeFileSync(join(share, 'token'), 'a-token-of-many-characters\n', { mode: 0o600 });
assert.equal(
  restartWith(['LoadCredential=token:/host/token', 'Environment=OPTIONS=--token-file=%d/token']),
  'success',
);
assert.equal((await ask('/metrics')).status, 401);
const headers = { authorization: 'Bearer a-token-of-many-characters' };
assert.equal((await ask('/metrics', headers)).status, 200);

// A process that hangs is restarted by the watchdog.
assert.equal(restartWith(['WatchdogSec=2s']), 'success');
const hung = property('MainPID');
const answers = new Set<string>();
await until('three answers', () =>
  answers.add(property('WatchdogTimestampMonotonic')).size >= 3 ? true : undefined,
);
assert.equal(property('MainPID'), hung);
succeed('kill', '-STOP', hung);
await until('a restart', () => (property('NRestarts') === '1' ? true : undefined));
await until('the next process', async () => ((await isReady()) ? true : undefined));
assert.notEqual(property('MainPID'), hung);
assert.match(journal() + inside('journalctl', '--no-pager').stdout, /Watchdog timeout/);

/** It ends with the status for a missing permission or kernel feature, and is not started again. */
async function lacks(settings: readonly string[], reason: RegExp): Promise<void> {
  assert.equal(restartWith(settings), 'exit-code');
  assert.equal(property('ExecMainStatus'), '3');
  assert.equal(property('ActiveState'), 'failed');
  // Earlier runs failed with similar words.
  const process = property('ExecMainPID');
  await until(`${reason}`, () =>
    lines().find(({ MESSAGE, _PID }) => _PID === process && reason.test(MESSAGE)),
  );
}

// Other namespaces: what docs/deploying.md adds for them, without and with it.
succeed('ip', 'netns', 'add', 'red');
const netns = 'Environment=OPTIONS=--netns=red';
await lacks([netns], /setns EPERM/);
const more = [
  'CapabilityBoundingSet=CAP_SYS_ADMIN',
  'AmbientCapabilities=CAP_SYS_ADMIN',
  'RestrictNamespaces=net',
];
assert.equal(restartWith([netns, ...more]), 'success');
assert.match((await metric('xfrm_watch_synced{netns="red"}')) ?? '', / 1$/);

// Settings that break it, as docs/deploying.md says.
assert.match(restartWith(['MemoryDenyWriteExecute=yes']), /^(core-dump|signal)$/);
await lacks(['PrivateUsers=yes'], /EPERM/);
await lacks(['AmbientCapabilities='], /EPERM/);
const families = 'RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6';
await lacks(['RestrictAddressFamilies=', families], /EAFNOSUPPORT/);
// It starts, in a namespace that has no tunnels and that nobody can connect to.
assert.equal(restartWith(['PrivateNetwork=yes']), 'success');
assert(!(await isReady()));

assert.equal(restartWith([]), 'success');
systemctl('stop', UNIT);
assert.equal(property('Result'), 'success');
assert.equal(property('ExecMainStatus'), '0');

const security = inside('systemd-analyze', 'security', '--no-pager', UNIT).stdout;
const [, exposure = '10'] = /Overall exposure level for \S+: ([\d.]+)/.exec(security) ?? [];
console.log(`exposure ${exposure}`);
assert(Number(exposure) < 2, security);
assert.equal(inside('systemd-analyze', 'verify', UNIT).stderr, '');

process.kill(Number(manager), 'SIGKILL');
