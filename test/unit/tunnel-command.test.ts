/** The subcommands about tunnels, as far as they need no kernel: words, filters, verdicts, screens. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import pc from 'picocolors';
import { formatThreshold, parseDuration } from '../../lib/base/duration.ts';
import { formatJson } from '../../lib/cli/json.ts';
import { hearKeys } from '../../lib/cli/terminal/keyboard.ts';
import { Screen } from '../../lib/cli/terminal/screen.ts';
import { clip } from '../../lib/cli/terminal/width.ts';
import {
  checkTunnels,
  DEFAULT_SEVERITIES,
  formatCheck,
  type Severities,
} from '../../lib/cli/tunnels/check-result.ts';
import { readExpected } from '../../lib/cli/tunnels/expect.ts';
import {
  frameLines,
  mostAbove,
  type TunnelFrame,
  viewStateOf,
} from '../../lib/cli/tunnels/frame.ts';
import { statesOf } from '../../lib/cli/wait.ts';
import type { SubscriptionEvent, Tunnel, TunnelChange } from '../../lib/index.ts';
import { TunnelFilter, type TunnelFilterScope } from '../../lib/tunnel/tunnel-filter.ts';
import { checkLine } from '../schema.ts';
import { runCommand } from '../warm-command.ts';
import { capture } from './captures.ts';
import { messagesOf } from './messages.ts';
import { ago, leak, missing, NOW, piling, tunnel } from './tunnel-samples.ts';

const plain = pc.createColors(false);
const run = (...args: string[]) => runCommand(args);
const time = ago(0);

test('durations are read in all units, and nothing else', () => {
  const cases: [text: string, milliseconds: number | undefined][] = [
    ['500ms', 500],
    ['30s', 30_000],
    ['5m', 300_000],
    ['1h', 3_600_000],
    ['1h30m', 5_400_000],
    ['2d', 172_800_000],
    ['0', 0],
    ['0s', 0],
    ['24d', 2_073_600_000],
    ['25d', undefined],
    ['999999999d', undefined],
    ['', undefined],
    ['30', undefined],
    ['s', undefined],
    ['-5s', undefined],
    ['1.5h', undefined],
    ['5 m', undefined],
    ['5M', undefined],
  ];
  for (const [text, expected] of cases) assert.equal(parseDuration(text), expected, text);
  for (const text of ['500ms', '30s', '5m', '90m', '1h', '2d', '1001ms', '0']) {
    assert.equal(formatThreshold(parseDuration(text) ?? -1), text);
  }
});

test('expected tunnels are read from words and from files', () => {
  assert.deepEqual(readExpected(['paris=198.51.100.7']), [
    { name: 'paris', remote: '198.51.100.7' },
  ]);
  assert.deepEqual(readExpected(['a=2001:db8::1,reqid=7,if_id=0x5', 'b=local=192.0.2.1,mark=3']), [
    { name: 'a', remote: '2001:db8::1', reqid: 7, ifId: 5 },
    { name: 'b', local: '192.0.2.1', mark: 3 },
  ]);
  const folder = mkdtempSync(join(tmpdir(), 'expect-'));
  try {
    const file = join(folder, 'tunnels.json');
    const write = (value: unknown) => writeFileSync(file, JSON.stringify(value));
    write([{ name: 'rome', remote: '192.0.2.9' }, { reqid: 3 }]);
    assert.deepEqual(readExpected([file, 'c=192.0.2.8']), [
      { name: 'rome', remote: '192.0.2.9' },
      { reqid: 3 },
      { name: 'c', remote: '192.0.2.8' },
    ]);
    const bad: [value: unknown, message: RegExp][] = [
      [{ name: 'x' }, /^--expect \S+: the file must be an array of objects with name, remote/],
      [
        [{ name: 'x', remot: '::1' }],
        /: unknown option entry \[0\]\.remot; valid options: name, local/,
      ],
      [
        [{ reqid: 1 }, { remote: 'x' }],
        /: entry \[1\]\.remote must be an IP address; received "x"/,
      ],
      [[{ name: 'x' }], /: entry \[0\] identifies no tunnel: give remote/],
      [[null], /: entry \[0\] must be an object/],
    ];
    for (const [value, message] of bad) {
      write(value);
      assert.throws(() => readExpected([file]), { message });
    }
    writeFileSync(file, '[] '.padEnd(2 ** 20 + 1));
    assert.throws(() => readExpected([file]), /^Error: --expect \S+: larger than 1 MiB$/);
    writeFileSync(file, '[]'.padEnd(2 ** 20));
    assert.deepEqual(readExpected([file]), []);
    for (const other of ['/dev/zero', folder]) {
      assert.throws(() => readExpected([other]), /^Error: --expect \S+: not a regular file$/);
    }
    writeFileSync(file, '{');
    assert.throws(() => readExpected([file]), /^Error: --expect \S+: invalid JSON: /);
  } finally {
    rmSync(folder, { recursive: true });
  }
  const wrong: [word: string, message: RegExp][] = [
    ['paris', /no such file; expected a file or NAME=PEER$/],
    ['./none.json', /no such file$/],
    ['=1.2.3.4', /the name before '=' is missing: .*\n {2}=1\.2\.3\.4\n {2}\^$/],
    [
      'a=1.2.3',
      /invalid value '1\.2\.3' for remote: expected an IP address\n {2}a=1\.2\.3\n {4}\^{5}$/,
    ],
    [
      'p=192.0.2.2,local=::1',
      /invalid value '::1' for local: expected the address family of the peer \(IPv4\)\n {2}p=192\.0\.2\.2,local=::1\n {20}\^{3}$/,
    ],
    [
      'p=local=192.0.2.1,remote=::2,reqid=1',
      /invalid value '192\.0\.2\.1' for local: expected the address family of the peer \(IPv6\)\n.*\n {10}\^{9}$/,
    ],
    ['a=', /invalid value '' for remote: expected an IP address\n {2}a=\n {4}\^$/],
    ['a=1.2.3.4,id=5', /unknown key 'id': expected NAME=PEER, .*\n.*\n {12}\^{4}$/],
    ['a=1.2.3.4,reqid=x', /invalid value 'x' for reqid: expected a number\n.*\n {18}\^$/],
    ['a=reqid=4294967296', /invalid value '4294967296' for reqid: expected a number/],
    ['a=mark=1/0xff', /invalid value '1\/0xff' for mark: expected a mark without a mask/],
    ['a=reqid=7,reqid=8', /duplicate key 'reqid'\n {2}a=reqid=7,reqid=8\n {12}\^{7}$/],
    ['a=1.2.3.4,remote=1.2.3.5', /duplicate key 'remote'\n.*\n {12}\^{14}$/],
    ['a=constructor=1', /unknown key 'constructor'/],
    [
      'a\x1b=x\x1b',
      /invalid value 'x\\x1b' for remote: expected an IP address\n {2}a\\x1b=x\\x1b\n/,
    ],
  ];
  for (const [word, message] of wrong) assert.throws(() => readExpected([word]), { message });
  assert.throws(
    () => readExpected(['a=::1', 'a=::2']),
    /--expect: entry \[1\]\.name: "a" is a duplicate/,
  );
});

const passes = (terms: string, one: Tunnel, scope: TunnelFilterScope = 'tunnels') =>
  new TunnelFilter(terms.split(' '), scope).matches(one);

test('filters select tunnels by their SAs and policies, and by their state', () => {
  const one = tunnel({
    name: 'paris',
    warnings: [piling],
    ifId: { in: 5, out: undefined },
    mark: { in: undefined, out: { value: 1, mask: 0xff } },
  });
  const yes = [
    'peer=198.51.100.0/24',
    'peer=10.1.0.0/16',
    'src=192.0.2.1 dst=198.51.100.7',
    'dst=10.0.0.0/8',
    'proto=esp',
    'spi=0x2001',
    'spi=1,0x1001',
    'reqid=7',
    'reqid!=8',
    'if_id=5',
    'if_id=0',
    'mark=1/0xff',
    'dir=in',
    'dir!=fwd',
    'state=up',
    'state!=down,blocked',
    'name=paris',
    'warning=piling-up',
    'warning=any',
    'warning!=leak',
  ];
  const no = [
    'peer=203.0.113.0/24',
    'src=198.51.100.7',
    'proto=ah',
    'spi=3',
    'reqid!=7',
    'if_id=6',
    'mark!=1',
    'dir=fwd',
    'state=down',
    'state!=up',
    'name=rome',
    'warning=leak',
    'warning!=any',
  ];
  for (const terms of yes) assert(passes(terms, one), terms);
  for (const terms of no) assert(!passes(terms, one), terms);
  assert(passes('name=rome state=down peer=198.51.100.8 warning!=any reqid!=7', missing()));
  assert(!passes('reqid=7', missing()));
  // Entries of a list have neither.
  for (const terms of ['kind!=NEWSA', 'kind=NEWSA', 'change=up', 'change!=up']) {
    assert(passes(terms, one, 'events'), terms);
  }
});

test('filters select tunnel changes and kernel events', () => {
  const filter = (terms: string) => new TunnelFilter(terms.split(' '), 'events');
  const down: TunnelChange = {
    kind: 'down',
    tunnel: missing({ warnings: [piling] }),
    before: 'up',
    reason: { kind: 'expired' },
    time,
  };
  const warning: TunnelChange = {
    kind: 'warning',
    raised: true,
    warning: leak,
    tunnel: undefined,
    time,
  };
  const lost: TunnelChange = {
    kind: 'overrun',
    protocol: 'xfrm',
    code: 'ENOBUFS',
    count: 1,
    slowConsumer: false,
    time,
  };
  const [[, newSa] = []] = messagesOf(capture('uml-6.1/newsa_m.event0'));
  const event = newSa as SubscriptionEvent;
  const cases: [terms: string, down: boolean, warning: boolean, event: boolean][] = [
    ['change=down,up', true, false, false],
    ['change!=down', false, true, true],
    ['state=down', true, false, false],
    ['peer=198.51.100.8', true, true, false],
    ['kind=NEWSA', false, false, true],
    ['kind!=DELSA', true, true, true],
    ['warning=leak', false, true, false],
    ['warning=piling-up', true, false, false],
    ['proto=esp', false, true, true],
  ];
  for (const [terms, ...expected] of cases) {
    const one = filter(terms);
    const got: boolean[] = [
      one.matchesChange(down),
      one.matchesChange(warning),
      one.matchesEvent(event),
    ];
    assert.deepEqual(got, expected, terms);
    assert(one.matchesChange(lost), terms);
    const overrun = {
      kind: 'overrun',
      protocol: 'xfrm',
      code: 'ENOBUFS',
      count: 1,
      slowConsumer: false,
      time,
    } as const;
    assert(one.matchesEvent(overrun), terms);
  }
});

test('the parts of a rekey are shown with --details or by a filter', () => {
  const one = tunnel({ state: 'rekeying' });
  const spis = { protocol: 'esp', from: 1, to: 2, gapMs: 0 } as const;
  const parts: TunnelChange[] = [
    { kind: 'replaced', tunnel: one, direction: 'in', ...spis, time },
    { kind: 'state', tunnel: one, before: 'up', rekey: true, time },
  ];
  const whole: TunnelChange[] = [
    { kind: 'rekeyed', tunnel: one, out: [spis], in: [spis], time },
    { kind: 'state', tunnel: one, before: 'up', rekey: false, time },
  ];
  const passed = (words: string[], details?: boolean) => {
    const filter = new TunnelFilter(words, 'changes', details);
    return [parts, whole].map((all) => all.map((change) => filter.matchesChange(change)));
  };
  const [yes, no] = [
    [true, true],
    [false, false],
  ];
  assert.deepEqual(passed([]), [no, yes]);
  assert.deepEqual(passed(['reqid=7', 'change!=up', 'state!=down']), [no, yes]);
  assert.deepEqual(passed([], true), [yes, yes]);
  assert.deepEqual(passed(['state=rekeying']), [yes, yes]);
  assert.deepEqual(passed(['change=replaced,state']), [yes, [false, true]]);
  assert.deepEqual(passed(['change=rekeyed']), [no, [true, false]]);
});

test('invalid usage exits with 2 (check: 3) and points at the mistake', () => {
  const cases: [args: string, message: RegExp][] = [
    [
      'tunnels reqid=7 state=upp',
      /invalid value 'upp' for state: expected one of down, .*\n {2}reqid=7 state=upp\n {16}\^{3}\n/,
    ],
    ['tunnels change=up', /'change' is not a filter key: use peer, /],
    ['tunnels kind=NEWSA', /'kind' is not a filter key/],
    ['tunnels paris', /'paris' is not a filter key/],
    ['tunnels --idle 5', /'--idle <duration>' argument '5' is invalid\. It must be a duration/],
    ['tunnels --threshold idel=5m', /must be NAME=VALUE, where NAME is one of settle, idle/],
    ['tunnels --threshold pile=0', /The value of pile must be an integer/],
    ['tunnels --threshold lifetime=1.5', /The value of lifetime must be a number above 0/],
    ['tunnels --threshold overlap=5', /The value of overlap must be a duration/],
    [
      'tunnels --expect paris=x',
      /--expect: invalid value 'x' for remote: expected an IP address\n {2}paris=x\n {8}\^\n/,
    ],
    ['tunnels --count 2', /'--count' needs '--watch'/],
    ['tunnels --refresh 2s', /'--refresh' needs '--watch'/],
    ['tunnels --details', /'--details' needs '--watch'/],
    ['monitor --details', /'--details' needs '--tunnels'/],
    ['tunnels --show-keys', /unknown option '--show-keys'/],
    ['monitor --expect a=::1', /'--expect' needs '--tunnels'/],
    ['monitor --tunnels state=upp', /invalid value 'upp' for state/],
    ['monitor state=up', /'state' is not a filter key/],
    ['wait 192.0.2.1', /required option '--for <states>' not specified/],
    ['wait --for up', /missing required argument 'tunnel'/],
    ['wait --for up,upp ::1', /Expected any of down, .*; received 'upp'/],
    ['wait --for up paris', /'paris' is not an address, a filter \(reqid=7\), a tunnel id/],
    ['wait --for up reqid=x', /invalid value 'x' for reqid.*\n {2}reqid=x\n {8}\^\n/],
    ['wait --for up ::1 --timeout never', /must be a duration/],
  ];
  for (const [args, message] of cases) {
    const { stdout, stderr, status } = run(...args.split(' '));
    assert.equal(status, 2, args);
    assert.equal(stdout, '');
    assert.match(stderr, message);
  }
  for (const [args, message] of [
    ['check reqid=x', /^TUNNELS UNKNOWN - invalid value 'x' for reqid/],
    ['check --critical down,dwn', /^TUNNELS UNKNOWN - .*Expected any of down.*'dwn'/],
    ['check --none fine', /^TUNNELS UNKNOWN - /],
    ['check --nonsense', /^TUNNELS UNKNOWN - unknown option '--nonsense'\n/],
  ] as const) {
    const { stdout, status } = run(...args.split(' '));
    assert.equal(status, 3, args);
    assert.match(stdout, message);
  }
  for (const command of ['tunnels', 'wait', 'check', 'monitor']) {
    const { stdout, status } = run(command, '--help');
    assert.equal(status, 0);
    assert.match(stdout, /\n {2}state +state: down, blocked, /);
  }
});

test('what --for means', () => {
  assert.deepEqual(statesOf('up'), ['expiring', 'rekeying', 'idle', 'up']);
  assert.deepEqual(statesOf('down'), ['down', 'blocked', 'orphan', 'acquiring']);
  assert.deepEqual(statesOf('one-way'), ['one-way']);
  assert.equal(statesOf('upp'), undefined);
});

const verdict = (
  tunnels: Tunnel[],
  severities: Partial<Severities> = {},
  warnings = [] as never[],
) => checkTunnels(tunnels, warnings, { ...DEFAULT_SEVERITIES, ...severities });

test('check: what is critical or a warning, and its messages', () => {
  const states = (state: Tunnel['state'], severities: Partial<Severities> = {}) =>
    verdict([tunnel({ state })], severities).status;
  for (const state of ['down', 'blocked', 'orphan', 'one-way'] as const)
    assert.equal(states(state), 'CRITICAL');
  for (const state of ['acquiring', 'expiring'] as const) {
    assert.equal(states(state), 'WARNING');
  }
  for (const state of ['rekeying', 'idle', 'up'] as const) assert.equal(states(state), 'OK');
  assert.equal(states('idle', { warning: ['idle'] }), 'WARNING');
  assert.equal(states('down', { critical: [], warning: [] }), 'OK');
  assert.equal(states('down', { critical: [], warning: ['down'] }), 'WARNING');
  const warned = [tunnel({ warnings: [piling] })];
  assert.equal(verdict(warned).status, 'WARNING');
  assert.equal(verdict(warned, { critical: ['warnings'], warning: [] }).status, 'CRITICAL');
  assert.equal(
    verdict(warned, { critical: ['warnings'], warning: ['piling-up'] }).status,
    'WARNING',
  );
  assert.equal(verdict(warned, { critical: ['piling-up'] }).status, 'CRITICAL');
  assert.equal(verdict(warned, { warning: ['leak'] }).status, 'OK');
  assert.equal(verdict([]).status, 'UNKNOWN');
  assert.equal(verdict([], { none: 'OK' }).status, 'OK');
  assert.equal(checkTunnels([tunnel()], [leak], DEFAULT_SEVERITIES).status, 'WARNING');
});

test('check: one line with performance data, then a line for each problem', () => {
  const odd = tunnel({ id: 'a|b', state: 'orphan', reason: 'no | policy' });
  const all = [missing(), odd, tunnel({ warnings: [piling] })];
  const result = checkTunnels(all, [leak], DEFAULT_SEVERITIES);
  assert.deepEqual(formatCheck(result).split('\n'), [
    'TUNNELS CRITICAL - 3 of 3 tunnels with problems: rome down, a\\x7cb orphan, ' +
      '192.0.2.1 > 198.51.100.7 reqid 7 piling-up, 1 more | tunnels=3 up=1;;;0;3 idle=0;;;0;3 ' +
      'rekeying=0;;;0;3 expiring=0;;;0;3 acquiring=0;;;0;3 one-way=0;;;0;3 orphan=1;;;0;3 ' +
      'blocked=0;;;0;3 down=1;;;0;3 problems=4',
    'CRITICAL rome down: no SAs or policies',
    'CRITICAL a\\x7cb orphan: no \\x7c policy',
    'WARNING 192.0.2.1 > 198.51.100.7 reqid 7 piling-up: 5 SAs where 1 is expected',
    'WARNING host leak: they grow',
  ]);
  assert.match(
    formatCheck(verdict([tunnel()])),
    /^TUNNELS OK - 1 tunnel, all OK \| tunnels=1 up=1;/,
  );
  assert.match(formatCheck(verdict([])), /^TUNNELS UNKNOWN - no tunnels to check \|/);
  // A part of the last millisecond of a second.
  assert.equal(formatCheck(verdict([]), 1999.5), formatCheck(verdict([]), 2000));
  for (const one of [result, verdict([]), verdict([tunnel()])]) {
    const line = formatJson({ kind: 'check', time, ...one }, false);
    assert.equal(checkLine(line), 'check');
  }
});

test('the badge: how reliable the picture is', () => {
  assert.deepEqual(viewStateOf(undefined, undefined, NOW), { badge: 'SYNCED' });
  assert.deepEqual(viewStateOf(NOW - 4999, undefined, NOW), { badge: 'RESYNCING' });
  assert.equal(viewStateOf(NOW - 5000, undefined, NOW).badge, 'BLIND');
  const failed = { message: 'bad \x1b', at: NOW - 1000 };
  assert.deepEqual(viewStateOf(undefined, failed, NOW), {
    badge: 'BLIND',
    reason: 'bad \x1b',
    since: NOW - 1000,
  });
});

const frame = (more: Partial<TunnelFrame> = {}): TunnelFrame => ({
  tunnels: [missing(), tunnel()],
  warnings: [],
  countersReadAt: NOW - 2000,
  view: { badge: 'SYNCED' },
  rates: () => undefined,
  labelOf: () => undefined,
  above: 0,
  columns: 120,
  rows: 24,
  now: NOW,
  ...more,
});

test('a frame has a badge, counts, the worst tunnels, and the number not shown', () => {
  const lines = frameLines(frame(), plain);
  assert.equal(lines[0], '[SYNCED]  2 tunnels: 1 down, 1 up  counters of 2s ago');
  assert.match(lines[1] ?? '', /^STATE /);
  assert.match(lines[2] ?? '', /^down {3}1m 30s {2}rome/);
  assert.match(lines[3] ?? '', /^up /);
  assert.equal(lines[4], 'q quits');
  assert.equal(
    frameLines(frame({ tunnels: [] }), plain)[0],
    '[SYNCED]  0 tunnels  counters of 2s ago',
  );
  const blind = frame({
    view: viewStateOf(undefined, { message: 'no \x1b', at: NOW - 61_000 }, NOW),
  });
  assert.match(frameLines(blind, plain)[0] ?? '', /^\[BLIND for 1m 1s: no \\x1b\] /);
  assert.equal(
    frameLines(frame({ warnings: [leak] }), plain)[1],
    'warning leak policies: they grow',
  );
  const many = Array.from({ length: 10 }, (_, i) => tunnel({ name: `t${i}` }));
  const names = (more: Partial<TunnelFrame>) => {
    const all = frameLines(frame({ tunnels: many, rows: 7, ...more }), plain);
    assert.equal(all.length, 7);
    return [...all.slice(2, 6).map((line) => /t\d/.exec(line)?.[0]), all[6]];
  };
  assert.deepEqual(names({}), ['t0', 't1', 't2', 't3', '6 below; arrows scroll, q quits']);
  const middle = '3 above, 3 below; arrows scroll, q quits';
  assert.deepEqual(names({ above: 3 }), ['t3', 't4', 't5', 't6', middle]);
  assert.deepEqual(names({ above: 99 }), [
    't6',
    't7',
    't8',
    't9',
    '6 above; arrows scroll, q quits',
  ]);
  const narrow = frameLines(frame({ columns: 60 }), plain);
  assert.equal(narrow.at(-1), 'q quits; no room for KEYED, ID, EXPIRES, IN');
  assert.equal(mostAbove(10, 0, 7), 6);
  assert.equal(mostAbove(10, 1, 2), 9);
  assert.equal(mostAbove(2, 0, 24), 0);
});

test('a screen writes only differences, a frame in one write, without erasing', () => {
  const written: string[] = [];
  const out = { columns: 10, rows: 3, write: (text: string) => written.push(text) > 0 };
  const screen = new Screen(out as never);
  const draw = (...lines: string[]) => {
    written.length = 0;
    screen.draw(lines);
    return written.join('').replaceAll('\x1b', 'E');
  };
  assert.equal(draw('before it is open'), '');
  screen.open();
  assert.equal(draw('one', 'two'), 'E[?2026hE[1;1HoneE[KE[2;1HtwoE[KE[3;1HE[JE[?2026l');
  assert.equal(draw('one', 'two'), '');
  assert.equal(draw('one', '2', 'three', 'four'), 'E[?2026hE[2;1H2E[KE[3;1HthreeE[KE[?2026l');
  assert.equal(draw('one', '2'), 'E[?2026hE[3;1HE[JE[?2026l');
  // As wide as the screen: erasing to the right would take the last character.
  assert.equal(draw('0123456789', '2'), 'E[?2026hE[1;1H0123456789E[?2026l');
  assert.equal(draw('0123456789abc', '2'), 'E[?2026hE[1;1H012345678…E[?2026l');
  out.rows = 4;
  assert.match(draw('one', '2'), /1;1Hone.*2;1H2.*3;1HE\[J/);
  written.length = 0;
  screen.close();
  screen.close();
  assert.deepEqual(written, ['\x1b[?7h\x1b[?25h\x1b[?1049l']);
  assert.equal(draw('after'), '');
});

test('lines are cut by visible width and marked, keeping all colour codes', () => {
  const red = pc.createColors(true).red('abc');
  assert.equal(clip(`${red}def`, 5), `${red}d…`);
  assert.equal(clip(`${red}def`, 6), `${red}def`);
  assert.equal(clip(red, 2), '\x1b[31ma…\x1b[39m');
  assert.equal(clip('äöü😀x', 6), 'äöü😀x');
  // A wide one is not cut in two, and what stands over another goes with it.
  assert.equal(clip('äöü😀xy', 5), 'äöü…');
  assert.equal(clip('e\u0301e\u0301e', 2), 'e\u0301…');
  assert.equal(clip('abc', 1), '…');
});

test('keys have names, also those that arrive in several reads', async () => {
  const terminal = Object.assign(new PassThrough(), { isTTY: true, setRawMode: () => terminal });
  const heard: string[] = [];
  const stop = hearKeys((key) => heard.push(key), terminal as unknown as typeof process.stdin);
  for (const piece of ['q\x03\x1b[A\x1bOBj\x1a\x1b', '[6', '~\x1b[5~\x1b[H\x1b[FkG']) {
    terminal.write(piece);
    await new Promise(setImmediate);
  }
  const keys = [
    'q',
    'ctrl-c',
    'up',
    'down',
    'j',
    'ctrl-z',
    'pagedown',
    'pageup',
    'home',
    'end',
    'k',
  ];
  assert.deepEqual(heard, [...keys, 'G']);
  stop();
  terminal.write('q');
  await new Promise(setImmediate);
  assert.equal(heard.length, keys.length + 1);
});
