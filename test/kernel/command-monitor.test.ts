/** `netlink-xfrm monitor`, run as a user does. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { test } from 'node:test';
import { checkLine } from '../schema.ts';
import { env, program, run, runWithoutPrivilege, start } from './command.ts';
import { addState, deleteLarval, ip, ipBatch, KEY_HEX, withoutEsp, words } from './support.ts';

const monitor = (...args: string[]) => start('monitor', ...args);

test('an event is one line, and Ctrl-C ends with a summary', async () => {
  const running = await monitor();
  ip(...words('xfrm policy add src 10.0.0.0/24 dst 10.1.0.0/24 dir out action block'));
  ip(...words('xfrm policy flush'));
  await running.printed('FLUSHPOLICY');
  const { out, err, status } = await running.end();
  assert.equal(status, 0);
  const lines = out.trimEnd().split('\n');
  assert.equal(lines.length, 2);
  assert.match(
    lines[0] ?? '',
    /^\d\d:\d\d:\d\d\.\d{3} NEWPOLICY out 10\.0\.0\.0\/24 > 10\.1\.0\.0\/24 block priority 0 index \d+$/,
  );
  assert.match(lines[1] ?? '', /^\S+ FLUSHPOLICY all policies of type main$/);
  assert.match(err, /^listening to sa expire policy aevents report migrate mapping \(/);
  assert.match(err, /\n2 events \(NEWPOLICY 1, FLUSHPOLICY 1\), nothing lost\n$/);
});

test('an SA is printed with addresses, SPI, algorithms and limits, without its key', {
  skip: withoutEsp,
}, async () => {
  const text = await monitor('sa');
  const json = await monitor('sa', '-o', 'json');
  const withKeys = await monitor('sa', '--json', '--show-keys');
  addState(0x1005, ...words('limit time-soft 60 limit time-hard 90 mark 1 if_id 2'));
  ip(...words('xfrm state flush'));
  for (const one of [text, json, withKeys]) await one.printed('FLUSHSA');
  const lines = (await text.end()).out;
  assert.match(
    lines,
    /NEWSA {5}192\.0\.2\.1 > 192\.0\.2\.2 esp 0x00001005 tunnel reqid 7 rfc4106\(gcm\(aes\)\)\/160 mark 0x1\/0xffffffff if_id 0x2 time 60\/90s\n/,
  );
  const plain = (await json.end()).out;
  for (const line of plain.trimEnd().split('\n')) checkLine(line);
  for (const output of [lines, plain]) assert(!output.includes(KEY_HEX));
  assert((await withKeys.end()).out.includes(`"key":"${KEY_HEX}"`));
});

test('JSON is one object per line, ending with a summary', async () => {
  const running = await monitor('--json');
  const spi = deleteLarval();
  await running.printed('DELSA');
  const { out, status } = await running.end();
  assert.equal(status, 0);
  assert.deepEqual(out.trimEnd().split('\n').map(checkLine), ['DELSA', 'summary']);
  const [event, summary, ...more] = out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.deepEqual(more, []);
  assert.equal(event.schema, 'netlink-xfrm/event/2');
  assert.equal(event.kind, 'DELSA');
  assert.equal(event.protocol, 'xfrm');
  assert(Math.abs(Date.parse(event.time) - Date.now()) < 600_000);
  assert.deepEqual(event.id, { daddr: '192.0.2.2', spi, family: 'inet', proto: 'esp' });
  assert.equal(event.state.lifetime.softBytes, null);
  assert.equal(event.state.current.bytes, '0');
  const { kind, events, kinds, overruns, rejected } = summary;
  assert.deepEqual(
    { kind, events, kinds, overruns, rejected },
    { kind: 'summary', events: 1, kinds: { DELSA: 1 }, overruns: 0, rejected: 0 },
  );
});

test('simultaneous signals do not truncate the summary', async () => {
  const monitor = spawn(process.execPath, [program, 'monitor'], {
    env,
    stdio: ['ignore', 'inherit', 'pipe'],
  });
  let err = '';
  monitor.stderr.setEncoding('utf8').on('data', (text) => {
    err += text;
  });
  while (!err.includes('listening')) await once(monitor.stderr, 'data');
  const kill = setInterval(() => monitor.kill('SIGTERM'), 1);
  await once(monitor, 'close');
  clearInterval(kill);
  // Not how it ended: when all is done, and Node ends, a signal can still kill it.
  assert.match(err, /0 events, nothing lost\n$/);
});

test('a slow reader gets whole lines in order, and every event not reported as lost', async () => {
  // In its own session, so that its processes can be signalled together; the reader waits for a line.
  const shell = `"$0" "$1" monitor policy | (trap '' INT; read go <&3; exec cat)`;
  const child = spawn('sh', ['-c', shell, process.execPath, program], {
    env,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  });
  const closed = once(child, 'close');
  const { stdout, stderr } = child as { stdout: Readable; stderr: Readable };
  const go = child.stdio[3] as Writable;
  let out = '';
  let err = '';
  stdout.setEncoding('utf8').on('data', (text) => {
    out += text;
  });
  stderr.setEncoding('utf8').on('data', (text) => {
    err += text;
  });
  while (!err.includes('listening')) await once(stderr, 'data');
  // Far more than a pipe holds; every 97th line is made of a decoded event, and a third is long.
  const expected: string[] = [];
  const orders: string[] = [];
  for (let n = 1; n <= 3000; n++) {
    const [from, to] =
      n % 3 === 0
        ? [`fd12:3456:789a:${n.toString(16)}::/64`, 'fd98:7654:3210:fedc:ba98:7654:3210:fedc/128']
        : [`10.${n >> 8}.${n & 255}.0/24`, '10.255.0.0/16'];
    orders.push(`xfrm policy add src ${from} dst ${to} dir out priority ${n}`);
    expected.push(`NEWPOLICY out ${from} > ${to} allow priority ${n}`);
    if (n % 97 > 0) continue;
    orders.push('xfrm policy setdefault in accept');
    expected.push('GETDEFAULT in accept fwd accept out accept');
  }
  ipBatch(orders);
  go.end('go\n');
  // The last event; it is lost too where the buffer is small, as long as the rest is not read.
  while (!out.includes('GETDEFAULT in block')) {
    ip(...words('xfrm policy setdefault in block'));
    await once(stdout, 'data');
  }
  process.kill(-(child.pid as number), 'SIGINT');
  await closed;
  const lines = out.trimEnd().split('\n');
  let at = 0;
  let lost = false;
  for (const line of lines) {
    const [, what] = /^\d\d:\d\d:\d\d\.\d{3} (.*?)(?: index \d+)?$/.exec(line) ?? [];
    if (what?.startsWith('GETDEFAULT in block')) continue;
    if (what?.startsWith('overrun')) {
      lost = true;
      continue;
    }
    const found = expected.indexOf(what ?? line, at);
    assert(found >= at && (lost || found === at), `${line} comes after ${expected[at - 1]}`);
    at = found + 1;
  }
  assert(lost || at === expected.length, `${at} of ${expected.length}`);
  ip(...words('xfrm policy setdefault in accept'));
  ip(...words('xfrm policy flush'));
});

test('what happened before the signal is printed', async () => {
  const running = await monitor('policy');
  running.child.kill('SIGSTOP');
  // More than are read at once.
  ipBatch(
    Array.from(
      { length: 100 },
      (_, n) => `xfrm policy add src 10.0.${n}.0/24 dst 10.1.0.0/16 dir out priority ${n}`,
    ),
  );
  running.child.kill('SIGINT');
  running.child.kill('SIGCONT');
  await running.exited;
  const { out, err } = await running.end();
  assert.equal(out.match(/ NEWPOLICY /g)?.length, 100);
  assert.match(err, /\n100 events \(NEWPOLICY 100\), nothing lost\n$/);
  ip(...words('xfrm policy flush'));
});

test('filtered events are neither printed nor counted', async () => {
  const text = await monitor('policy', 'dir=in', 'kind=newpolicy,flushpolicy');
  const json = await monitor('policy', 'peer=10.2.0.0/16', 'kind!=DELPOLICY', '--json');
  ip(...words('xfrm policy add src 10.0.0.0/24 dst 10.1.0.0/24 dir out'));
  ip(...words('xfrm policy add src 10.0.0.0/24 dst 10.2.0.0/24 dir in'));
  ip(...words('xfrm policy delete src 10.0.0.0/24 dst 10.2.0.0/24 dir in'));
  ip(...words('xfrm policy flush'));
  for (const one of [text, json]) await one.printed('FLUSHPOLICY');
  const { out, err } = await text.end();
  assert.match(out, /^\S+ NEWPOLICY in 10\.0\.0\.0\/24 > 10\.2.*\n\S+ FLUSHPOLICY .*\n$/);
  assert.match(err, /\n2 events \(NEWPOLICY 1, FLUSHPOLICY 1\), nothing lost\n$/);
  const lines = (await json.end()).out.trimEnd().split('\n');
  assert.deepEqual(lines.map(checkLine), ['NEWPOLICY', 'FLUSHPOLICY', 'summary']);
  assert.equal(JSON.parse(lines[2] ?? '').events, 2);
});

test('a filter does not hide that events were lost', { timeout: 600_000 }, async () => {
  const running = await monitor('policy', 'kind=POLEXPIRE', '--buffer', '1');
  running.child.kill('SIGSTOP');
  // 1280 bytes of buffer each: more than fit into 2 MiB.
  const change = (what: string) => `xfrm policy ${what} src 10.0.0.0/24 dst 10.1.0.0/24 dir out`;
  ipBatch(Array.from({ length: 4000 }, (_, i) => change(i % 2 === 0 ? 'add' : 'delete')));
  running.child.kill('SIGCONT');
  await running.printed('events were lost');
  const { out, err } = await running.end();
  assert.match(out, /^\S+ overrun {3}xfrm events were lost before this line .*\n$/);
  assert.match(err, /\n0 events, events lost in 1 overrun .*\n$/);
});

test('--route adds rtnetlink events to the stream, as text and as JSON', async () => {
  const text = await monitor('--route');
  const json = await monitor('--route', '--json');
  const name = 'm\u009b31m';
  ip('link', 'add', 'm0', 'type', 'veth', 'peer', 'name', 'm1');
  ip('link', 'set', 'm0', 'alias', 'x');
  ip(...words('link set m1 up'));
  ip('link', 'set', 'm0', 'name', name);
  ip(...words('address add 10.1.0.1/24 dev m1'));
  ip(...words('route add 10.9.0.0/16 via 10.1.0.9'));
  deleteLarval();
  ip(...words('link del m1'));
  for (const one of [text, json]) await one.printed('DELLINK');
  const { out, err } = await text.end();
  assert.match(err, /mapping link ipv4-ifaddr ipv6-ifaddr ipv4-route ipv6-route ipv4-rule/);
  assert.match(out, /NEWLINK {3}m1 index \d+ veth up operstate \S+ mtu 1500 address /);
  assert.match(out, /NEWADDR {3}10\.1\.0\.1\/24 ifindex \d+ label m1 scope universe permanent/);
  assert.match(
    out,
    /NEWROUTE {2}10\.9\.0\.0\/16 via 10\.1\.0\.9 ifindex \d+ table 254 protocol boot/,
  );
  assert.match(out, /DELSA {5}/);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they must not be there
  assert(!/[\x00-\x09\x0b-\x1f\x7f-\x9f]/.test(out));
  const kinds = (await json.end()).out.trimEnd().split('\n').map(checkLine);
  for (const kind of ['NEWLINK', 'NEWADDR', 'NEWROUTE', 'DELSA', 'DELLINK', 'summary']) {
    assert(kinds.includes(kind), `${kind} in ${kinds}`);
  }
});

test('it ends after --count events', async () => {
  const running = await monitor('policy', '--count', '2');
  ip(...words('xfrm policy add src 10.0.0.0/24 dst 10.1.0.0/24 dir out'));
  ip(...words('xfrm policy flush'));
  const [status] = await running.exited;
  assert.equal(status, 0);
});

test('colours on request', async () => {
  const running = await monitor('--color', 'always');
  deleteLarval();
  await running.printed('DELSA');
  assert((await running.end()).out.includes('\x1b[31mDELSA'));
});

test('it ends quietly when its reader is gone', async () => {
  const running = await monitor();
  const { child } = running;
  (child.stdout as NodeJS.ReadableStream & { destroy(): void }).destroy();
  let ended = false;
  running.exited.then(() => {
    ended = true;
  });
  while (!ended) {
    deleteLarval();
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(child.exitCode, 0);
});

test('a slow reader never loses lines silently', {
  timeout: 600_000,
}, async () => {
  const child = spawn(process.execPath, [program, 'monitor', 'policy'], { env });
  await once(child.stderr, 'data');
  try {
    // The pipe is not read until all has happened: it fills, and reading the socket stops.
    const script = Array.from({ length: 20_000 }, (_, i) =>
      i % 2 === 0
        ? 'xfrm policy add src 10.0.0.0/24 dst 10.1.0.0/24 dir out'
        : 'xfrm policy delete src 10.0.0.0/24 dst 10.1.0.0/24 dir out',
    );
    const batch = spawn('ip', ['-batch', '-'], { stdio: ['pipe', 'inherit', 'inherit'] });
    batch.stdin.end(`${script.join('\n')}\n`);
    await once(batch, 'close');
    let count = 0;
    let lost = 0;
    for await (const line of createInterface(child.stdout)) {
      if (/ (NEW|DEL)POLICY /.test(line)) count++;
      if (line.includes('events were lost')) lost++;
      if (count === script.length || lost > 0) break;
    }
    assert(count === script.length || lost > 0, `${count} lines, ${lost} losses told`);
  } finally {
    child.kill('SIGKILL');
  }
});

test('without CAP_NET_ADMIN it names the missing capability and exits with 3', () => {
  const { stdout, stderr, status } = runWithoutPrivilege('monitor');
  assert.equal(status, 3);
  assert.equal(stdout, '');
  assert.match(stderr, /^netlink-xfrm: setsockopt EPERM/);
  assert.match(stderr, /CAP_NET_ADMIN: run it with sudo/);
});

test('invalid usage exits with 2 and names the mistake', () => {
  const cases: [args: string[], message: RegExp][] = [
    [['monitor', 'sas'], /unknown group 'sas': expected sa, expire/],
    [['monitor', '--output', 'xml'], /'xml' is invalid/],
    [['monitor', '--count', '0'], /integer from 1/],
    [['monitor', '--show-keys'], /'--show-keys' needs '-o json'/],
    [
      ['monitor', 'sa', 'sas'],
      /unknown group 'sas': expected sa, expire.*\n {2}sa sas\n {5}\^\^\^\n/,
    ],
    [['monitor', 'sa', 'spi=1,x'], /invalid value 'x' for spi.*\n {2}spi=1,x\n {8}\^\n/],
    [['monitor', '--nonsense'], /unknown option '--nonsense'/],
    [['watch'], /unknown command 'watch'/],
    [['nosuch', '--help'], /unknown command 'nosuch'/],
    [['montior', '-h'], /unknown command 'montior'\n\(Did you mean monitor\?\)/],
    [['help', 'tunels'], /unknown command 'tunels'\n\(Did you mean tunnels\?\)/],
    [['--color', 'stat'], /unknown option '--color'|unknown command 'stat'/],
  ];
  for (const [args, message] of cases) {
    const { stderr, status } = run(...args);
    assert.equal(status, 2, args.join(' '));
    assert.match(stderr, message);
  }
  assert.equal(run('monitor', '--help').status, 0);
  const { stdout, status } = run('--version');
  const manifest = readFileSync(join(import.meta.dirname, '../../../package.json'), 'utf8');
  assert.deepEqual([stdout.trim(), status], [JSON.parse(manifest).version, 0]);
});
