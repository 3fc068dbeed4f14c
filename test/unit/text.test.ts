/** What the command shows people: units, tables, rows, and whom an event's header claims. */
import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { test } from 'node:test';
import pc from 'picocolors';
import { formatJson } from '../../lib/cli/json.ts';
import { reportError } from '../../lib/cli/report-error.ts';
import { Table } from '../../lib/cli/terminal/text-table.ts';
import { width } from '../../lib/cli/terminal/width.ts';
import { policyRow, stateRow } from '../../lib/cli/text/columns.ts';
import { formatEvent } from '../../lib/cli/text/event.ts';
import { formatBytes, formatDuration } from '../../lib/cli/text/units.ts';
import { XFRM_INF } from '../../lib/constants.ts';
import { KernelError, type SubscriptionEvent } from '../../lib/index.ts';
import { capture } from './captures.ts';
import { messagesOf } from './messages.ts';

const colors = pc.createColors(false);

test('durations have their two largest units', () => {
  const cases: [seconds: number, text: string][] = [
    [-5, '0s'],
    [0.9, '0s'],
    [12, '12s'],
    [60, '1m'],
    [200, '3m 20s'],
    [3600, '1h'],
    [3605, '1h'],
    [7500, '2h 5m'],
    [4 * 86_400 + 7 * 3600 + 59, '4d 7h'],
  ];
  for (const [seconds, text] of cases) assert.equal(formatDuration(seconds), text);
});

test('numbers of bytes have one decimal', () => {
  const cases: [bytes: bigint, text: string][] = [
    [0n, '0 B'],
    [1023n, '1023 B'],
    [1536n, '1.5 KiB'],
    [200n * 2n ** 20n, '200 MiB'],
    [XFRM_INF, '16.0 EiB'],
  ];
  for (const [bytes, text] of cases) assert.equal(formatBytes(bytes), text);
});

const plain = (text: string) => text;
const tableOf = (heads: readonly string[], write: (line: string) => void) =>
  new Table(
    heads.map((heading) => [heading, '']),
    plain,
    write,
  );

test('where a terminal is too narrow for a row, its last cells are below it, and nothing is cut', () => {
  const rows = [
    ['esp', '192.0.2.1', '7', 'rfc4106(gcm(aes))/160', 'flag esn, rekey in 5m, expires in 10m'],
    ['ah', '2001:db8::1', '-', '-', ''],
  ];
  const shown = (columns: number) => {
    const lines: string[] = [];
    const heads = [
      ['PROTO', ''],
      ['SOURCE', 'from '],
      ['REQID', 'reqid '],
      ['ALGORITHMS', ''],
      ['MORE', ''],
    ] as const;
    const table = new Table(heads, plain, (line) => lines.push(line), columns);
    for (const row of rows) table.row(row);
    table.flush();
    return lines;
  };
  assert.equal(shown(90).length, 3);
  assert.deepEqual(shown(60), [
    'PROTO  SOURCE       REQID  ALGORITHMS',
    'esp    192.0.2.1    7      rfc4106(gcm(aes))/160',
    '    flag esn, rekey in 5m, expires in 10m',
    'ah     2001:db8::1  -      -',
  ]);
  assert.deepEqual(shown(40), [
    'PROTO  SOURCE       REQID',
    'esp    192.0.2.1    7',
    '    rfc4106(gcm(aes))/160, flag esn,',
    '    rekey in 5m, expires in 10m',
    'ah     2001:db8::1  -',
  ]);
  for (const line of shown(40)) assert(line.length <= 40, line);
  assert.deepEqual(shown(12).slice(0, 2), ['PROTO', 'esp']);
  assert.equal(shown(12).at(-1), '    from 2001:db8::1');
});

test('a table is aligned, page by page, and colours take no room', () => {
  const lines: string[] = [];
  const table = tableOf(['A', 'LONG', 'C'], (line) => lines.push(line));
  const red = pc.createColors(true).red('x');
  table.row([red, '1', 'end']);
  table.row(['wide', '22222', '']);
  assert.deepEqual(lines, []);
  table.flush();
  assert.deepEqual(lines, ['A     LONG   C', `${red}     1      end`, 'wide  22222']);
  for (let i = 0; i < 1000; i++) table.row(['b', '', 'c']);
  assert(lines.length > 900);
  table.flush();
  assert.equal(lines.length, 1003);
  assert.equal(lines[1002], 'b            c');
});

test('a table is aligned where characters are wide, or take no room', () => {
  for (const [text, columns] of [
    ['', 0],
    ['東京', 4],
    ['ソウル 서울', 11],
    ['ｱ', 1],
    ['😀é', 3],
    ['e\u0301\u200d', 1],
    ['Ω…', 2],
    [pc.createColors(true).red('東'), 2],
  ] as const) {
    assert.equal(width(text), columns, JSON.stringify(text));
  }
  const lines: string[] = [];
  const table = tableOf(['A', 'B'], (line) => lines.push(line));
  table.row(['東京', '1']);
  table.row(['e\u0301', '2']);
  table.flush();
  assert.deepEqual(lines, ['A     B', '東京  1', 'e\u0301     2']);
});

test('a row shows times as durations', () => {
  const [[, event] = []] = messagesOf(capture('uml-6.1/newsa_m.event0'));
  assert(event?.kind === 'NEWSA');
  const state = {
    ...event.state,
    lifetime: {
      ...event.state.lifetime,
      softAddSeconds: 3000,
      hardAddSeconds: 3600,
      hardUseSeconds: 100,
      softBytes: 2n ** 20n,
      hardPackets: 9n,
    },
    current: { bytes: 5000n, packets: 3n, addedAt: 1000_000, firstUsedAt: undefined },
    stats: { replayWindow: 0, replay: 2, integrityFailed: 1 },
  };
  const row = stateRow(state, colors, 1012);
  assert.deepEqual(row.slice(7, 9), ['12s', '4.9 KiB in 3']);
  assert.match(
    row[9] ?? '',
    /rekey in 49m 48s, rekey at 1\.0 MiB, expires in 59m 48s, expires at 9 packets, replayed 2, integrity-failed 1$/,
  );
  // Once used, the nearer of the two limits counts; a soft limit in the past is not shown again.
  const used = { ...state, current: { ...state.current, firstUsedAt: 4005_000 } };
  assert.match(stateRow(used, colors, 4010)[9] ?? '', /rekey at .*expires in 1m 35s/);
  assert(!(stateRow(used, colors, 4010)[9] ?? '').includes('rekey in'));
});

test('a policy is a row with its templates', () => {
  const [[, event] = []] = messagesOf(capture('uml-6.1/tr_newpolicy.event0'));
  assert(event?.kind === 'NEWPOLICY');
  const { policy } = event;
  const current = { ...policy.current, addedAt: 1000_000 };
  const row = policyRow({ ...policy, current }, colors, 1060);
  assert.equal(row[0], policy.dir);
  assert.equal(row[5], '1m');
  assert.match(row[6] ?? '', /\[esp transport reqid \d+\]/);
});

test('the port id in the header is shown as a claim, where it can be one', () => {
  const [[, event] = []] = messagesOf(capture('uml-6.1/newsa_m.event0'));
  assert(event?.kind === 'NEWSA');
  const text = (portId: number) =>
    formatEvent({ ...event, header: { ...event.header, portId } }, colors);
  assert(text(4242).endsWith(' claims port 4242'));
  assert(!text(0).includes('claims'));
});

test('an error determines the exit status, and its hint is on a separate line', (t) => {
  const write = t.mock.method(process.stderr, 'write', () => true);
  const status = (errno: number, hint?: string) =>
    reportError(new KernelError({ request: 'XFRM_MSG_GETSA', ack: { errno }, hint }));
  const { EPERM, EPROTONOSUPPORT, ESRCH, ETIMEDOUT } = constants.errno;
  assert.equal(status(EPERM, 'ask root'), 'unavailable');
  const printed = write.mock.calls.map(({ arguments: [text] }) => text).join('');
  assert.equal(printed, 'netlink-xfrm: XFRM_MSG_GETSA EPERM\nask root\n');
  assert.equal(status(EPROTONOSUPPORT), 'unavailable');
  assert.equal(status(ETIMEDOUT), 'timeout');
  assert.equal(status(ESRCH), 'conditionNotMet');
});

test('line breaks of an error are kept, and its content is escaped', (t) => {
  const write = t.mock.method(process.stderr, 'write', () => true);
  const hint = 'Run \x1b[2J\nnpm rebuild\u202e';
  reportError(Object.assign(new Error('not found; looked for:\n  /a\rb'), { hint }));
  const printed = write.mock.calls.map(({ arguments: [text] }) => text).join('');
  assert.equal(
    printed,
    'netlink-xfrm: not found; looked for:\n  /a\\x0db\nRun \\x1b[2J\nnpm rebuild\\u202e\n',
  );
});

test('JSON holds no character that acts on a terminal or hides, whatever an interface is called', () => {
  const name = 'e\x1b[31m\x07\x7f\x9b2J\r\n\xff\u202e\u061c\u3164\u{e0041}\u2028';
  const event = {
    kind: 'DELLINK',
    protocol: 'route',
    header: { type: 17, flags: 0, seq: 0, portId: 0 },
    time: { wall: 0, monotonic: 0 },
    link: { name },
  } as unknown as SubscriptionEvent;
  const line = formatJson(event, false);
  assert.doesNotMatch(line, /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\u3164]/u);
  assert.ok(line.includes('\\u202e\\u061c\\u3164\\udb40\\udc41\\u2028'), line);
  assert.equal(JSON.parse(line).link.name, name);
});
