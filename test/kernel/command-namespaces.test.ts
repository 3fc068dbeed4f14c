/** `netlink-xfrm monitor` in several network namespaces, and who events claim to be of. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { RouteClient } from '../../lib/index.ts';
import { NetlinkSocket } from '../../lib/socket/index.ts';
import { NetworkNamespace } from '../../lib/testing/index.ts';
import { checkLine } from '../schema.ts';
import { runCommand } from '../warm-command.ts';
import { env, program, run } from './command.ts';
import { processApart } from './here.ts';
import { NETLINK_XFRM } from './socket-support.ts';
import { TestTerminal } from './terminal.ts';

/** Runs the monitor, and `ip` alongside it, with a private, empty /run. */
async function apart(...args: string[]) {
  // The shell carries out a line at a time; the monitor's own lines come in between.
  const script = `mount -t tmpfs tmpfs /run && exec 3<&0 && ${args[0]?.startsWith('--netns') ? 'ip netns add red && ' : ''}
    ln -s /run/netns/red /run/link && { "$@" </dev/null & } && MONITOR=$! && while read -r line <&3; do eval "$line" || { kill -INT $MONITOR; exit 9; }; done; wait $MONITOR`;
  const monitor = [process.execPath, program, 'monitor', ...args];
  const child = spawn('unshare', ['--mount', '--net', 'sh', '-c', script, 'sh', ...monitor], {
    env,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const exited = once(child, 'close');
  let err = '';
  child.stderr.setEncoding('utf8').on('data', (text) => {
    err += text;
  });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  while (!err.includes('listening')) {
    await Promise.race([once(child.stderr, 'data'), exited.then(() => assert.fail(err))]);
  }
  return {
    run: (command: string) => child.stdin.write(`${command}\n`),
    next: async () => (await lines.next()).value as string,
    end: async () => {
      child.stdin.end('kill -INT $MONITOR\n');
      const [status] = await exited;
      return { status: status as number, err };
    },
  };
}

const add = 'xfrm policy add src 10.0.0.0/24 dst 10.1.0.0/24 dir out';

test('--all-netns follows its own and named namespaces as they come and go, with labelled lines', async () => {
  const running = await apart('--all-netns');
  running.run(`ip ${add}`);
  assert.match(await running.next(), /^\S+ \(own\) NEWPOLICY out 10\.0\.0\.0\/24/);
  running.run('ip netns add blue');
  assert.match(await running.next(), /^\S+ blue namespace added$/);
  running.run(`ip -n blue ${add}`);
  assert.match(await running.next(), /^\S+ blue NEWPOLICY out/);
  running.run('ip netns del blue');
  assert.match(await running.next(), /^\S+ blue namespace removed$/);
  running.run('ip netns add blue');
  assert.match(await running.next(), /^\S+ blue namespace added$/, 'another of that name');
  running.run(`ip -n blue ${add}`);
  assert.match(await running.next(), /^\S+ blue NEWPOLICY out/);
  const { status, err } = await running.end();
  assert.equal(status, 0, err);
  assert.match(err, /3 events \(NEWPOLICY 3\), nothing lost/);
});

test('--netns follows only the named ones, reports removal of a name, and resumes when it reappears', async () => {
  const running = await apart('--netns', 'red', '--json');
  running.run(`ip ${add} && ip -n red ${add}`);
  const next = async () => {
    const line = await running.next();
    checkLine(line);
    return JSON.parse(line);
  };
  const event = await next();
  assert.deepEqual([event.kind, event.netns, event.claimedBy], ['NEWPOLICY', 'red', undefined]);
  running.run('ip netns add other && ip netns del red');
  const gone = await next();
  assert.deepEqual([gone.kind, gone.netns, gone.state], ['namespace', 'red', 'removed']);
  running.run('ip netns add red');
  assert.equal((await next()).state, 'added');
  running.run(`ip -n red ${add}`);
  assert.equal((await next()).kind, 'NEWPOLICY');
  assert.equal((await running.end()).status, 0);
});

test('policies of another namespace are listed, and followed', async () => {
  await using other = await NetworkNamespace.make();
  const inOther = (command: string) =>
    spawnSync('nsenter', [`--net=${other.path}`, 'ip', ...command.split(' ')]);
  inOther(add);
  const args = [program, 'policy', '--netns', other.path];
  const { stdout, stderr } = spawnSync(process.execPath, args, { env, encoding: 'utf8' });
  assert.match(stdout, /^out 10\.0\.0\.0\/24 > 10\.1\.0\.0\/24 allow .*\n$/, stderr);
  const json = [...args, '--json', '--watch', '-c', '1'];
  const watch = spawn(process.execPath, json, { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const kinds: string[] = [];
  for await (const line of createInterface(watch.stdout)) {
    kinds.push(checkLine(line));
    if (kinds.length <= 3) assert.equal(JSON.parse(line).netns, other.path);
    if (kinds.at(-1) === 'synced') inOther('xfrm policy flush');
  }
  assert.deepEqual(kinds, ['policy', 'synced', 'FLUSHPOLICY', 'summary']);
  const here = run('policy');
  assert.deepEqual([here.stdout, here.status], ['', 0]);
});

test('--netns: a path is watched like a name, also through a link', async () => {
  const running = await apart('--netns', '/run/link');
  running.run('ip netns add other && ip netns del red');
  assert.match(await running.next(), /^\S+ \/run\/link namespace removed$/);
  running.run('ip netns add red');
  assert.match(await running.next(), /^\S+ \/run\/link namespace added$/, 'another of that name');
  running.run(`ip -n red ${add}`);
  assert.match(await running.next(), /^\S+ \/run\/link NEWPOLICY out/);
  assert.equal((await running.end()).status, 0);
});

test('queued events of a namespace are printed before its removal', async () => {
  const running = await apart('--netns', 'red');
  const count = 500;
  const batch = `for i in $(seq ${count}); do echo "${add.replace('10.1.0.0/24', '10.1.$((i / 256)).$((i % 256))/32')}"; done`;
  running.run(
    `kill -STOP $MONITOR; ${batch} | ip -n red -batch -; ip netns del red; ip netns add red`,
  );
  running.run('kill -CONT $MONITOR');
  const told: string[] = [];
  do told.push((await running.next()).replace(/^\S+ red (namespace \w+|\w+).*$/, '$1'));
  while (told.at(-1) !== 'namespace added');
  assert.deepEqual(told.slice(-2), ['namespace removed', 'namespace added']);
  assert.equal(told.filter((one) => one === 'NEWPOLICY').length, count);
  assert.equal((await running.end()).status, 0);
});

test('--all-netns: a name is removed by unmounting and added by mounting', async () => {
  const running = await apart('--all-netns');
  running.run('ip netns add blue');
  assert.match(await running.next(), /^\S+ blue namespace added$/);
  running.run('umount /run/netns/blue');
  assert.match(await running.next(), /^\S+ blue namespace removed$/, 'inotify does not tell');
  running.run(`unshare --net=/run/netns/blue ip ${add}`);
  assert.match(await running.next(), /^\S+ blue namespace added$/);
  assert.equal((await running.end()).status, 0);
});

test('the namespace of a process ends with it, and so does the monitor', async () => {
  const other = await processApart();
  const args = [program, 'monitor', '--netns', other.path];
  const monitor = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const [out, err] = [monitor.stdout, monitor.stderr].map((stream) => text(stream));
  await once(monitor.stderr, 'data');
  await other[Symbol.asyncDispose]();
  const [status] = await once(monitor, 'close');
  assert.match((await out) ?? '', /^\S+ \/proc\/\d+\/ns\/net namespace removed\n$/);
  assert.match((await err) ?? '', /0 events, nothing lost\n$/);
  assert.equal(status, 0);
});

test('--all-netns: a named namespace that cannot be watched at the start ends the monitor with the reason', () => {
  const script = `mount -t tmpfs tmpfs /run && mkdir /run/netns && touch /run/netns/odd &&
    mount --bind /proc/self/ns/uts /run/netns/odd && exec "$@"`;
  const monitor = [process.execPath, program, 'monitor', '--all-netns'];
  const args = ['--mount', '--net', 'sh', '-c', script, 'sh', ...monitor];
  const { status, stderr } = spawnSync('unshare', args, {
    encoding: 'utf8',
    env,
    timeout: 600_000,
  });
  assert.match(stderr, /setns EINVAL.*\n\/run\/netns\/odd is not a network namespace/);
  assert.equal(status, 1);
});

test('--all-netns: a new namespace that cannot be watched is reported with the reason, and the rest continues', async () => {
  const running = await apart('--all-netns');
  running.run(
    'mkdir /run/netns; touch /run/netns/odd && mount --bind /proc/self/ns/uts /run/netns/odd',
  );
  const odd = /^\S+ odd namespace added, cannot listen: setns EINVAL.* is not a network namespace/;
  assert.match(await running.next(), odd);
  running.run('ip netns add blue');
  assert.match(await running.next(), /^\S+ blue namespace added$/);
  assert.equal((await running.end()).status, 0);
});

test('missing, invalid and forbidden namespaces have different errors', async () => {
  await using other = await NetworkNamespace.make();
  const watch = (netns: string, ...before: string[]) =>
    runCommand(['monitor', '--netns', netns], before);
  const missing = watch('/none/such');
  assert.deepEqual(missing.status, 1);
  assert.match(missing.stderr, /open ENOENT.*\n\/none\/such does not exist/);
  const escaped = /^\/run\/netns\/\\x1b\[1m does not exist: /m;
  assert.match(watch('\x1b[1m').stderr, escaped, 'what the name says is not done');
  assert.match(watch(program).stderr, /setns EINVAL.*\n.* is not a network namespace/);
  const drop = ['setpriv', '--bounding-set=-sys_admin', '--inh-caps=-sys_admin'];
  const refused = watch(other.path, ...drop);
  assert.equal(refused.status, 3);
  assert.match(refused.stderr, /setns EPERM.*\nentering .* needs CAP_SYS_ADMIN/);
});

test('--who names the process whose port id the header claims, escaped, or unknown', async () => {
  const monitor = spawn(process.execPath, [program, 'monitor', '--who', 'policy'], { env });
  const lines = createInterface(monitor.stdout)[Symbol.asyncIterator]();
  await once(monitor.stderr, 'data');
  await using socket = new NetlinkSocket({ protocol: NETLINK_XFRM });
  socket.bind();
  const title = process.title;
  process.title = 'char\x1b[1mon';
  const flush = (portId: number) => {
    spawnSync('ip', add.split(' '));
    const request = new Uint8Array(16);
    const view = new DataView(request.buffer);
    view.setUint32(0, 16, true);
    view.setUint16(4, 0x1d, true);
    view.setUint16(6, 1, true);
    view.setUint32(12, portId, true);
    socket.send(request);
  };
  const claim = async () => {
    for (;;) {
      const { value } = await lines.next();
      const claimed = /FLUSHPOLICY .* claimed by (.*)$/.exec(value as string);
      if (claimed) return claimed[1];
    }
  };
  flush(socket.portId);
  assert.equal(await claim(), `char\\x1b[1mon[${process.pid}]`);
  flush(0);
  assert.equal(await claim(), 'unknown');
  flush(4_000_000);
  assert.equal(await claim(), 'unknown');
  process.title = title;
  monitor.kill('SIGINT');
  await once(monitor, 'close');
});

test('--who looks in the namespace of the event, also when its name is another’s by now', async () => {
  const index = new URL('../../lib/socket.js', import.meta.url).href;
  const script = (name: string) => `
    const { writeFileSync } = await import('node:fs');
    const { NetlinkSocket } = await import('${index}');
    writeFileSync('/proc/self/comm', '${name}');
    globalThis.socket = new NetlinkSocket({ protocol: ${NETLINK_XFRM} });
    socket.bind({ portId: 600_005 });
    const request = new Uint32Array([16, 0x1001d, 0, 600_005]);
    socket.send(new Uint8Array(request.buffer));
    writeFileSync('/run/${name}', '');
    setTimeout(() => {}, 600_000);`;
  const flush = (name: string) =>
    `ip -n red ${add}; ip netns exec red ${process.execPath} --input-type=module -e "${script(name).replaceAll('\n', ' ')}" & until [ -e /run/${name} ]; do sleep 0.02; done`;
  const running = await apart('--netns', 'red', '--who', 'policy', 'kind=FLUSHPOLICY');
  running.run('kill -STOP $MONITOR');
  running.run(`${flush('before')}; OLD=$!`);
  running.run('ip netns del red; ip netns add red');
  running.run(`${flush('after')}; kill -CONT $MONITOR`);
  assert.match(await running.next(), /FLUSHPOLICY .* claimed by before\[\d+\]$/);
  assert.match(await running.next(), /namespace removed$/);
  assert.match(await running.next(), /namespace added$/);
  running.run('kill $OLD $!');
  assert.equal((await running.end()).status, 0);
});

test('--who names the process of an event of rtnetlink, too', async () => {
  const args = ['--who', '--json', '--count', '2', 'ipv4-ifaddr', 'kind=NEWADDR'];
  const monitor = spawn(process.execPath, [program, 'monitor', ...args], { env });
  const out = text(monitor.stdout);
  await once(monitor.stderr, 'data');
  await using client = new RouteClient();
  const address = { index: 1, local: '127.7.7.7', prefixLength: 32 };
  await client.addAddress(address);
  // ip is gone by the time anybody looks.
  monitor.kill('SIGSTOP');
  spawnSync('ip', ['address', 'add', '127.7.7.8/32', 'dev', 'lo']);
  monitor.kill('SIGCONT');
  await once(monitor, 'close');
  await client.deleteAddress(address);
  await client.deleteAddress({ ...address, local: '127.7.7.8' });
  const lines = (await out).trim().split('\n');
  for (const line of lines) checkLine(line);
  const [ours, gone] = lines.map((line) => JSON.parse(line).claimedBy);
  assert.equal(ours.pid, process.pid);
  assert.equal(gone, null);
});

test('invalid usage is reported', () => {
  for (const [args, message] of [
    [['--netns', 'a', '--all-netns'], /'--all-netns' cannot be used with option '--netns/],
    [['--netns', ''], /'--netns <name>' argument '' is invalid\. It must be a name or a path/],
  ] as [string[], RegExp][]) {
    const { stderr, status } = run('monitor', ...args);
    assert.equal(status, 2);
    assert.match(stderr, message);
  }
});

/** What the command prints in a namespace with two others, `red` and `blue`, of which `own` is another name. */
function everywhere(...commands: string[]): string[] {
  const named = (name: string, dir: string) =>
    `ip netns add ${name} && ip -n ${name} ${add.replace('dir out', `dir ${dir}`)}`;
  const script = [
    'mount -t tmpfs tmpfs /run',
    named('red', 'in'),
    named('blue', 'fwd'),
    `ip netns attach own $$ && ip ${add}`,
    `command() { ${process.execPath} ${program} "$@"; }`,
    ...commands.map((one) => `echo; ${one}`),
  ].join('\n');
  const { stdout, stderr, status } = spawnSync(
    'unshare',
    ['--mount', '--net', 'sh', '-e', '-c', script],
    {
      env,
      encoding: 'utf8',
    },
  );
  assert.equal(status, 0, stderr);
  return stdout.split(/^\n/m).slice(1);
}

test('--all-netns lists SAs, policies and tunnels of this namespace and of named ones, once each', () => {
  const policies = (label: string, dir: string) =>
    `${label} ${dir} 10.0.0.0/24 > 10.1.0.0/24 allow priority 0 index`;
  const [states, lines = '', filtered = '', json = '', watched = '', tunnels = ''] = everywhere(
    'command state --all-netns',
    'command policy --all-netns',
    'command policy --all-netns dir=in',
    'command policy --all-netns --json',
    // It ends by itself after an event, which comes when the list is complete.
    `command policy --all-netns --watch --count 1 > /run/watched 2>&1 &
     until grep -q synced /run/watched; do sleep 0.1; done
     ip -n blue ${add}; wait $!; cat /run/watched`,
    'command tunnels --all-netns --expect paris=203.0.113.1',
  );
  assert.equal(states, '');
  const expected = [policies('(own)', 'out'), policies('blue', 'fwd'), policies('red', 'in')];
  const heads = (text: string) =>
    text.split('\n').flatMap((line) => (line === '' ? [] : [line.replace(/ \d+$/, '')]));
  assert.deepEqual(heads(lines), expected);
  assert.deepEqual(heads(filtered), expected.slice(2));
  const records = json.trimEnd().split('\n');
  assert.deepEqual(records.map(checkLine), ['policy', 'policy', 'policy']);
  assert.deepEqual(
    records.map((line) => JSON.parse(line).netns),
    [null, 'blue', 'red'],
  );
  const [listening = '', ...followed] = heads(watched);
  assert.match(listening, /^listening to policy expire migrate in \(own\) blue red /);
  assert.deepEqual(followed.slice(0, 3).sort(), [...expected].sort());
  assert.match(followed[3] ?? '', /^\S+ synced {4}3 policies listed$/);
  assert.match(followed[4] ?? '', /^\S+ blue NEWPOLICY out 10\.0\.0\.0\/24 > /);
  assert.equal(followed[5], '1 event (NEWPOLICY 1), nothing lost');
  // It is missing in three namespaces, and is listed once.
  assert.match(tunnels, /^\(own\) down paris any > 203\.0\.113\.1 .*\n$/);
});

test('the screen of tunnels --watch --all-netns shows namespaces as they come and go', async () => {
  const steps = mkdtempSync(join(tmpdir(), 'netlink-xfrm-steps-'));
  const script = `mount -t tmpfs tmpfs /run
    begin() {
      ip netns add $1; ip -n $1 link set lo up; ip -n $1 address add 192.0.2.1/32 dev lo
      ip -n $1 xfrm policy add src 10.0.0.0/16 dst 10.7.0.0/16 dir out tmpl src 192.0.2.1 dst 198.51.100.7 proto esp mode tunnel reqid 7
    }
    at() { until [ -e ${steps}/$1 ]; do sleep 0.1; done; }
    begin red
    (at 1; begin green; at 2; ip netns del red) > /dev/null 2>&1 &
    exec "$@"`;
  const terminal = new TestTerminal(['tunnels', '--watch', '--all-netns'], {
    by: ['unshare', '--mount', '--net', 'sh', '-c', script, 'sh'],
    more: { NO_COLOR: '1' },
  });
  const [head = '', columns = '', red = ''] = await terminal.shows(/^red +blocked/m);
  assert.match(head, /^\[SYNCED\] {2}1 tunnel: 1 blocked/);
  assert.match(columns, /^NETNS {2}STATE {4}FOR {2}TUNNEL +ID {2}WHY$/);
  assert.match(
    red,
    /^red {4}blocked {2}\S+ +192\.0\.2\.1 > 198\.51\.100\.7 +#7 {2}policies, but no SAs/,
  );
  writeFileSync(join(steps, '1'), '');
  const both = await terminal.shows(/^green +blocked/m);
  assert.match(both[0] ?? '', /^\[SYNCED\] {2}2 tunnels: 2 blocked/);
  assert(both.some((line) => line.startsWith('red ')));
  writeFileSync(join(steps, '2'), '');
  const left = await terminal.shows(/^\[SYNCED\] {2}1 tunnel:/);
  assert(!left.some((line) => line.startsWith('red ')));
  assert(left.some((line) => line.startsWith('green ')));
  // A narrow window: the namespace stays.
  terminal.resize(44, 6);
  const narrow = await terminal.shows(/no room for ID, FOR/);
  assert(narrow.some((line) => line.startsWith('green ')));
  terminal.press('q');
  assert.equal(await terminal.ended(), 0);
  rmSync(steps, { recursive: true });
});

test('--until ends a stream by itself; --since and -n', () => {
  const [summary = '', tunnels = ''] = everywhere(
    'command monitor --until +100ms 2>&1',
    'command tunnels --watch --until +3s 2>&1',
  );
  assert.match(summary, /^listening to .*\n0 events, nothing lost\n$/);
  assert.match(tunnels, /\n?0 events, nothing lost\n$/);
  const { status, stderr } = run('monitor', '--since', '5m');
  assert.equal(status, 2);
  assert.match(
    stderr,
    /'--since <time>' argument '5m' is invalid\. The kernel keeps no past events/,
  );
  assert.match(run('state', '-n', '3').stderr, /'--count' needs '--watch'/);
  assert.match(run('state', '--until', '+3m').stderr, /'--until' needs '--watch'/);
});
