/** `netlink-xfrm state` and `netlink-xfrm policy`, run as a user does. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { checkLine } from '../schema.ts';
import { env, program, run, runWithoutPrivilege, start } from './command.ts';
import { addState, ip, ipBatch, KEY_HEX, withoutEsp, words } from './support.ts';

const policy = (what: string, more: string) => ip(...words(`xfrm policy ${what} ${more}`));

/** Makes a larval SA, as every kernel can. @returns its SPI */
function larval(ends: string, spi: number): void {
  const range = `min ${spi} max ${spi}`;
  ip(...words(`xfrm state allocspi ${ends} proto esp mode tunnel ${range}`));
}

test('policies are listed as lines, filtered, in the order of the kernel', () => {
  policy('add', 'src 10.0.0.0/24 dst 10.1.0.0/24 dir out action block priority 7');
  policy(
    'add',
    'src 10.0.0.0/24 dst 10.2.0.0/24 dir in mark 1 if_id 5 limit time-hard 1000 ' +
      'tmpl src 192.0.2.1 dst 192.0.2.2 proto esp reqid 4 mode tunnel',
  );
  const block = /^out 10\.0\.0\.0\/24 > 10\.1\.0\.0\/24 block priority 7 index \d+\n$/;
  const tunnel =
    /^in 10\.0\.0\.0\/24 > 10\.2\.0\.0\/24 allow priority 0 index \d+ mark 0x1\/0xffffffff if_id 0x5 \[esp tunnel 192\.0\.2\.1 > 192\.0\.2\.2 reqid 4\] time -\/1000s\n$/;
  const both = run('policy');
  assert.equal(both.status, 0);
  assert.equal(both.stderr, '');
  assert.equal(both.stdout.trimEnd().split('\n').length, 2);
  const cases: [filter: string[], lines: RegExp][] = [
    [['dir=out'], block],
    [['mark=1'], tunnel],
    [['mark=0', 'peer=10.1.0.0/16'], block],
    [['peer=192.0.2.2'], tunnel],
    [['proto=esp', 'reqid=4', 'if_id=5'], tunnel],
    [['proto!=esp'], block],
    [['dst=10.2.0.0/24'], tunnel],
    [['dir=fwd'], /^$/],
  ];
  for (const [filter, lines] of cases) {
    const { stdout, status } = run('policy', ...filter);
    assert.equal(status, 0);
    assert.match(stdout, lines, filter.join(' '));
  }
  const { stdout } = run('policy', '--json', 'dir=in');
  assert.equal(checkLine(stdout), 'policy');
  const listed = JSON.parse(stdout);
  assert.equal(listed.schema, 'netlink-xfrm/event/2');
  assert.equal(listed.policy.ifId, 5);
  assert.equal(listed.policy.lifetime.hardAddSeconds, 1000);
  assert.equal(listed.policy.lifetime.softBytes, null);
  policy('flush', '');
  assert.equal(run('policy').stdout, '');
});

test('SAs are listed as lines, filtered by the kernel and here', () => {
  larval('src 192.0.2.1 dst 192.0.2.2', 0x1001);
  larval('src 192.0.2.2 dst 192.0.2.1', 0x1002);
  larval('src 2001:db8::1 dst 2001:db8::2', 0x1003);
  const spis = (...filter: string[]) =>
    run('state', ...filter)
      .stdout.split('\n')
      .flatMap((line) => /esp (0x\w+)/.exec(line)?.[1] ?? [])
      .map(Number)
      .sort();
  const first = run('state', 'spi=0x1001');
  assert.match(
    first.stdout,
    /^192\.0\.2\.1 > 192\.0\.2\.2 esp 0x00001001 tunnel reqid 0 time -\/\d+s\n$/,
  );
  assert.deepEqual(spis(), [0x1001, 0x1002, 0x1003]);
  assert.deepEqual(spis('src=192.0.2.1'), [0x1001]);
  assert.deepEqual(spis('src!=192.0.2.1'), [0x1002, 0x1003]);
  assert.deepEqual(spis('dst=192.0.2.0/24', 'src=192.0.2.2/32'), [0x1002]);
  assert.deepEqual(spis('peer=192.0.2.1'), [0x1001, 0x1002]);
  assert.deepEqual(spis('peer=2001:db8::/32', 'proto=esp'), [0x1003]);
  assert.deepEqual(spis('src=0.0.0.0/0'), [0x1001, 0x1002]);
  assert.deepEqual(spis('src=192.0.2.1', 'dst=2001:db8::2'), []);
  assert.deepEqual(spis('proto=ah'), []);
  const records = run('state', '--json').stdout.trimEnd().split('\n');
  assert.deepEqual(records.map(checkLine), ['state', 'state', 'state']);
  ip('xfrm', 'state', 'flush');
});

test('an SA is listed with its algorithms, and its key only when asked for', {
  skip: withoutEsp,
}, () => {
  addState(0x1005, ...words('limit time-soft 60 limit time-hard 90 mark 1 if_id 2'));
  const line =
    /^192\.0\.2\.1 > 192\.0\.2\.2 esp 0x00001005 tunnel reqid 7 rfc4106\(gcm\(aes\)\)\/160 mark 0x1\/0xffffffff if_id 0x2 time 60\/90s\n$/;
  assert.match(run('state', 'mark=1/0xffffffff', 'if_id=2', 'reqid=7').stdout, line);
  const plain = run('state', '-o', 'json').stdout;
  assert.equal(checkLine(plain), 'state');
  assert(!plain.includes(KEY_HEX));
  const shown = run('state', '--json', '--show-keys').stdout;
  assert.equal(checkLine(shown), 'state');
  assert.equal(JSON.parse(shown).state.aead.key, KEY_HEX);
  ip('xfrm', 'state', 'flush');
});

test('on a terminal there is a table, coloured, with durations', () => {
  larval('src 192.0.2.1 dst 192.0.2.2', 0x1001);
  larval('src 192.0.2.10 dst 192.0.2.2', 0x1002);
  const terminal = (command: string, more: NodeJS.ProcessEnv = {}) => {
    const line = `${process.execPath} ${program} ${command}`;
    const { stdout, status } = spawnSync('script', ['-qec', line, '/dev/null'], {
      encoding: 'utf8',
      env: { ...env, TERM: 'xterm', ...more },
    });
    assert.equal(status, 0, stdout);
    return stdout.replaceAll('\r', '');
  };
  assert(terminal('state').includes('\x1b[36m192.0.2.1\x1b[39m'));
  const plain = terminal('state', { NO_COLOR: '1' }).split('\n');
  assert.match(plain[0] ?? '', /^SOURCE {6}DESTINATION {2}PROTO {2}SPI {9}MODE {4}REQID {2}/);
  const rows = plain.slice(1, 3).sort();
  assert.match(
    rows[0] ?? '',
    /^192\.0\.2\.1 {3}192\.0\.2\.2 {4}esp {4}0x00001001 {2}tunnel {2}0 {6}- {11}\ds {3}- {8}expires in \d+s$/,
  );
  assert.match(rows[1] ?? '', /^192\.0\.2\.10 {2}192\.0\.2\.2 {4}esp/);
  assert.equal(JSON.parse(terminal('state --json spi=0x1001')).state.spi, 0x1001);
  assert.match(
    terminal('state spi=7'),
    /\nno SAs match the filter in this network namespace\n\(without filters: .*--all-netns: .*\)\n$/,
  );
  ip('xfrm', 'state', 'flush');
  const look = '--all-netns: other namespaces; netlink-xfrm doctor: whether IPsec works here';
  for (const [command, what] of [
    ['state', 'SAs'],
    ['policy', 'policies'],
    ['tunnels', 'tunnels'],
  ] as const) {
    const shown = terminal(command).split('\n').slice(1, 3);
    assert.deepEqual(shown, [`no ${what} in this network namespace`, `(${look})`]);
  }
  // A pipe gets nothing.
  assert.deepEqual(run('state'), { status: 0, stdout: '', stderr: '' });
});

test('lists fit a terminal of 80 columns, and nothing of them is cut', () => {
  const long = '2001:db8:1111:2222:3333:4444:5555:6666';
  const peer = '2001:db8:7777:8888:9999:aaaa:bbbb:cccc';
  policy(
    'add',
    `src 2001:db8:1::/64 dst 2001:db8:2::/64 dir out mark 1 if_id 5 tmpl src ${long} dst ${peer} proto esp reqid 4 mode tunnel`,
  );
  larval(`src ${long} dst ${peer}`, 0x1003);
  const expected = `--expect a-name-that-is-long-enough-for-two-lines=${peer}`;
  for (const command of ['state', 'policy', 'tunnels', `tunnels ${expected}`]) {
    const line = `stty cols 80; ${process.execPath} ${program} ${command} --color never`;
    const { stdout, status } = spawnSync('script', ['-qec', line, '/dev/null'], {
      encoding: 'utf8',
      env: { ...env, TERM: 'xterm' },
    });
    assert.equal(status, 0, stdout);
    const lines = stdout.replaceAll('\r', '').trimEnd().split('\n');
    assert.deepEqual(
      lines.filter((one) => one.length > 80),
      [],
    );
    const all = lines.join(' ').replace(/\s+/g, ' ');
    for (const part of [long, peer, ...(command.includes('name') ? ['for-two-lines'] : [])]) {
      assert(all.includes(part), `${command}: ${stdout}`);
    }
  }
  ip('xfrm', 'state', 'flush');
  policy('flush', '');
});

test('--watch lists, prints synced, and follows', async () => {
  policy('add', 'src 10.0.0.0/24 dst 10.1.0.0/24 dir out');
  const text = await start('policy', '--watch', 'dir=out');
  const json = await start('policy', '-w', '--json', '--count', '2');
  for (const one of [text, json]) await one.printed('synced');
  policy('add', 'src 10.0.0.0/24 dst 10.3.0.0/24 dir in');
  larval('src 192.0.2.1 dst 192.0.2.2', 0x1001);
  ip('xfrm', 'state', 'flush');
  policy('flush', '');
  await text.printed('FLUSHPOLICY');
  const { out, err, status } = await text.end();
  assert.equal(status, 0);
  assert.match(
    out,
    /^out 10.*\n\d\d:\d\d:\d\d\.\d{3} synced {4}1 policies listed\n\S+ FLUSHPOLICY .*\n$/,
  );
  assert.match(
    err,
    /^listening to policy expire migrate .*\n1 event \(FLUSHPOLICY 1\), nothing lost\n$/,
  );
  const [ended] = await json.exited;
  assert.equal(ended, 0);
  const lines = (await json.end()).out.trimEnd().split('\n');
  assert.deepEqual(lines.map(checkLine), [
    'policy',
    'synced',
    'NEWPOLICY',
    'FLUSHPOLICY',
    'summary',
  ]);
});

test('--watch on SAs reports only SAs', async () => {
  larval('src 192.0.2.1 dst 192.0.2.2', 0x1001);
  const running = await start('state', '-w', '--json');
  await running.printed('synced');
  policy('add', 'src 10.0.0.0/24 dst 10.3.0.0/24 dir in limit time-hard 1');
  policy('flush', '');
  ip('xfrm', 'state', 'flush');
  await running.printed('FLUSHSA');
  const lines = (await running.end()).out.trimEnd().split('\n');
  assert.deepEqual(lines.map(checkLine), ['state', 'synced', 'FLUSHSA', 'summary']);
});

test('events during the dump are applied before synced', {
  timeout: 600_000,
}, async () => {
  const COUNT = 4000;
  const network = (i: number) => `10.${i >> 8}.${i & 255}.0/24`;
  const line = (what: string, i: number) =>
    `xfrm policy ${what} src ${network(i)} dst 10.255.0.0/16 dir out`;
  const numbers = Array.from({ length: COUNT }, (_, i) => i);
  ipBatch(numbers.map((i) => line('add', i)));
  const child = spawn(process.execPath, [program, 'policy', '--watch', '--json'], { env });
  // Nobody reads, so listing stops in its middle when the pipe is full.
  await once(child.stdout, 'readable');
  ipBatch([
    ...numbers.filter((i) => i % 2 === 0).map((i) => line('delete', i)),
    ...numbers.map((i) => line('add', COUNT + i)).slice(0, 1000),
  ]);
  const known = new Set<string>();
  const kinds: Record<string, number> = {};
  for await (const text of createInterface(child.stdout)) {
    const { kind, policy: one, ...rest } = JSON.parse(text);
    kinds[kind] = (kinds[kind] ?? 0) + 1;
    const id = one && `${one.selector.saddr}/${one.selector.prefixlenS}`;
    if (kind === 'policy' || kind === 'NEWPOLICY') known.add(id);
    if (kind === 'DELPOLICY') known.delete(id);
    if (kind === 'synced') {
      assert.equal(rest.listed, kinds.policy);
      break;
    }
  }
  child.kill('SIGKILL');
  assert.equal(kinds.DELPOLICY, COUNT / 2);
  assert.equal(kinds.NEWPOLICY, 1000);
  const there = [...ip('xfrm', 'policy').matchAll(/src (\S+) dst/g)].map(([, id]) => id);
  assert.deepEqual([...known].sort(), there.sort());
  policy('flush', '');
});

test('without CAP_NET_ADMIN it names the missing capability and exits with 3', () => {
  for (const args of [['state'], ['policy'], ['state', '--watch']]) {
    const { stdout, stderr, status } = runWithoutPrivilege(...args);
    assert.equal(status, 3);
    assert.equal(stdout, '');
    assert.match(stderr, /^netlink-xfrm: .*EPERM.*\n.*CAP_NET_ADMIN/);
  }
});

test('invalid usage exits with 2 and points at the mistake', () => {
  const cases: [args: string[], message: RegExp][] = [
    [['state', 'proto=esp', 'spi=x'], /\n {2}proto=esp spi=x\n {16}\^\n/],
    [['policy', 'dri=in'], /'dri' is not a filter key: use peer/],
    [['state', 'kind=NEWSA'], /needs '--watch'\n {2}kind=NEWSA\n/],
    [['state', '--count', '1'], /'--count' needs '--watch'/],
    [['policy', '--show-keys'], /needs '-o json'/],
    [['state', '-o', 'xml'], /'xml' is invalid/],
  ];
  for (const [args, message] of cases) {
    const { stderr, status } = run(...args);
    assert.equal(status, 2, args.join(' '));
    assert.match(stderr, message);
  }
  for (const command of ['state', 'policy', 'monitor']) {
    const { stdout, status } = run(command, '--help');
    assert.equal(status, 0);
    assert.match(stdout, /\n {2}peer {3}network of either end/);
  }
});

test('a list ends quietly when its reader is gone', async () => {
  ipBatch(
    Array.from(
      { length: 3000 },
      (_, i) => `xfrm policy add src 10.${i >> 8}.${i & 255}.0/24 dst 10.255.0.0/16 dir out`,
    ),
  );
  const child = spawn(process.execPath, [program, 'policy', '--json'], { env });
  await once(child.stdout, 'readable');
  child.stdout.destroy();
  const [status] = await once(child, 'close');
  assert.equal(status, 0);
  policy('flush', '');
});
