/** The checker of reported changes finds false and missing ones. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { judgeLines, judgeTestimony, readIp, toldByOne, wasCutShort } from './verdict.ts';
import type { ToldLine } from './witness.ts';

const [HERE, THERE] = ['192.0.2.1', '192.0.2.2'];
const START = Date.parse('2026-01-02T03:04:05Z');
const stamp = (ms: number) => `[${new Date(START + ms).toISOString().slice(0, -1)}000] `;

/** A line of `ip -ts xfrm monitor` of an SA, as iproute2 6.1 prints it. */
const sa = (ms: number, verb: string, spi: number, src = HERE, dst = THERE) =>
  `${stamp(ms)}${verb}src ${src} dst ${dst}
\tproto esp spi 0x${spi.toString(16).padStart(8, '0')} reqid 7 mode tunnel
\treplay-window 0 flag af-unspec
${verb === 'Expired ' ? '\thard 1\n' : ''}`;
const both = (ms: number, verb: string, spi: number) =>
  sa(ms, verb, spi) + sa(ms, verb, spi + 1, THERE, HERE);
const policy = (ms: number, verb: string) =>
  `${stamp(ms)}${verb}src 10.0.1.1/32 dst 10.0.2.1/32 
\tdir out priority 367231 ptype main 
\ttmpl src ${HERE} dst ${THERE}
\t\tproto esp spi 0x00000001 reqid 7 mode tunnel
`;

const line = (ms: number, kind: string, more: Partial<ToldLine> = {}): ToldLine => ({
  kind,
  time: START + ms,
  id: 'the tunnel',
  local: HERE,
  remote: THERE,
  reqid: 7,
  state: kind,
  ...more,
});
const rekeyed = (ms: number, from: number, to: number): ToldLine[] => [
  line(ms, 'rekeyed', { direction: 'out', from, to }),
  line(ms, 'rekeyed', { direction: 'in', from: from + 1, to: to + 1 }),
];
const down = (ms: number, reason = 'deleted') => line(ms, 'down', { before: 'up', reason });

/** A tunnel that comes, is rekeyed, and ends. */
const IP = [
  policy(0, ''),
  both(10, '', 0x10),
  both(10_000, '', 0x20),
  both(11_000, 'Deleted ', 0x10),
  both(20_000, 'Deleted ', 0x20),
  policy(30_000, 'Deleted '),
].join('');
const TOLD = [line(20, 'up'), ...rekeyed(11_050, 0x10, 0x20), down(20_100)];

test('what ip prints is read', () => {
  const { sas, policies, first, last } = readIp(IP);
  assert.deepEqual(
    sas.map(({ src, spi, came, gone, end }) => [src, spi, came - START, gone - START, end]),
    [
      [HERE, 0x10, 10, 11_000, 'deleted'],
      [THERE, 0x11, 10, 11_000, 'deleted'],
      [HERE, 0x20, 10_000, 20_000, 'deleted'],
      [THERE, 0x21, 10_000, 20_000, 'deleted'],
    ],
  );
  assert.deepEqual(
    policies.map(({ src, dst, reqid, came, gone }) => [
      src,
      dst,
      reqid,
      came - START,
      gone - START,
    ]),
    [[HERE, THERE, 7, 0, 30_000]],
  );
  assert.deepEqual([first - START, last - START], [0, 30_000]);
  const [expired] = readIp(sa(0, '', 1) + sa(5, 'Expired ', 1)).sas;
  assert.equal(expired?.end, 'expired');
});

test('a rekey is cut short where both SAs end together', () => {
  const cut = IP.replace(both(11_000, 'Deleted ', 0x10), '') + both(20_010, 'Deleted ', 0x10);
  const testimony = (ip: string) => ({ ip, sas: [], tunnels: [], command: [], ended: 0 });
  const succession = 'out 0x00000010 > 0x00000020';
  assert.equal(wasCutShort(succession, testimony(cut)), true);
  assert.equal(wasCutShort(succession, testimony(IP)), false);
  assert.equal(wasCutShort('out 0x00000010 > 0x00000030', testimony(cut)), false);
  const unended = both(10, '', 0x10) + both(10_000, '', 0x20);
  assert.equal(wasCutShort(succession, testimony(unended)), false);
});

test('both ends tell of each rekey, but one may end before the other', () => {
  const rekey = (time: number, direction: 'out' | 'in', from: number, to: number) =>
    ({ kind: 'rekeyed', time, direction, from, to }) as ToldLine;
  const host = (ended: number, tunnels: readonly ToldLine[]) => {
    return { ip: '', sas: [], tunnels, command: [], ended };
  };
  const left = host(9000, [rekey(1000, 'out', 1, 2), rekey(8000, 'in', 5, 6)]);
  assert.deepEqual(toldByOne(left, host(9500, [rekey(1100, 'in', 1, 2)])), []);
  assert.deepEqual(toldByOne(left, host(9500, [])), ['out 0x00000001 > 0x00000002']);
  const more = [rekey(1100, 'in', 1, 2), rekey(3000, 'out', 7, 8)];
  assert.deepEqual(toldByOne(left, host(9500, more)), ['in 0x00000007 > 0x00000008']);
  const twice = [rekey(1100, 'in', 1, 2), rekey(1200, 'in', 1, 2)];
  assert.deepEqual(toldByOne(left, host(9500, twice)), ['out 0x00000001 > 0x00000002']);
});

const cases: Record<string, [ip: string, lines: readonly ToldLine[], RegExp[]]> = {
  'what is true': [IP, TOLD, []],
  'an up without SAs': [policy(0, ''), [line(10, 'up')], [/no outbound SA/, /no inbound SA/]],
  'a down while a successor was there': [
    IP,
    [...TOLD, down(11_100), line(11_110, 'up')],
    [/SAs all the time/],
  ],
  'a down in a moment between two SAs': [
    both(0, '', 0x10) + both(9000, 'Deleted ', 0x10) + both(9044, '', 0x20),
    [line(10, 'up'), down(9030), line(9050, 'up')],
    [/no SA for 44 ms only/],
  ],
  'another reason': [IP, [...TOLD.slice(0, -1), down(20_100, 'expired')], [/SAs deleted/]],
  'an end that is not told': [IP, TOLD.slice(0, -1), [/no down/]],
  'a rekey of which one direction is not told': [
    IP,
    TOLD.filter(({ direction }) => direction !== 'in'),
    [/^missing: .* in 0x00000011 went/],
  ],
  'a rekey that is not told, of SAs that all stay': [
    policy(0, '') + both(10, '', 0x10) + both(10_000, '', 0x20) + policy(30_000, ''),
    [line(20, 'up')],
    [/out 0x00000010 stayed, 0x00000020 was there/, /in 0x00000011 stayed/],
  ],
  'a rekey at the very end that is not told': [
    policy(0, '') + both(10, '', 0x10) + both(10_000, '', 0x20),
    [line(20, 'up')],
    [],
  ],
  'a rekey that never was': [
    IP,
    [...TOLD, line(12_000, 'rekeyed', { direction: 'out', from: 0x30, to: 0x40 })],
    [/never saw that SA/],
  ],
  'a rekey whose old SAs stay': [
    policy(0, '') + both(10, '', 0x10) + both(10_000, '', 0x20) + both(40_000, 'Deleted ', 0x10),
    [line(20, 'up'), ...rekeyed(10_050, 0x10, 0x20)],
    [],
  ],
  'a rekey of SAs that were gone': [
    both(0, '', 0x10) + both(1000, 'Deleted ', 0x10) + both(9000, '', 0x20),
    [line(10, 'up'), down(1100), line(9010, 'up'), ...rekeyed(9020, 0x10, 0x20)],
    [/go at 03:04:06/, /go at 03:04:06/],
  ],
  'a rekey the wrong way round': [
    IP,
    [...TOLD, ...rekeyed(11_060, 0x20, 0x10)],
    [/after/, /after/],
  ],
  'a rekey that is told twice': [
    IP,
    [...TOLD, ...rekeyed(11_060, 0x10, 0x20)],
    [/told before/, /told before/],
  ],
  'an orphan whose policy was there': [
    IP,
    [...TOLD, line(15_000, 'state', { state: 'orphan', before: 'up' })],
    [/no outbound policy for 0 ms/],
  ],
  'an orphan at first whose policy came with its SAs': [
    IP,
    [line(15, 'added', { state: 'orphan' }), ...TOLD],
    [/policy come -10 ms after/],
  ],
  'an orphan at first whose policy came late': [
    both(10, '', 0x10) + policy(310, ''),
    [line(150, 'added', { state: 'orphan' }), line(320, 'up')],
    [],
  ],
  'an orphan at first of which ip saw nothing': [
    '',
    [line(150, 'added', { state: 'orphan' })],
    [/policy come NaN ms after/],
  ],
  'stalled with SAs that have just come': [
    IP,
    [line(15, 'stalled', { before: 'down', state: 'one-way' }), ...TOLD],
    [/had just come/],
  ],
};
for (const [name, [ip, lines, expected]] of Object.entries(cases)) {
  test(`judged: ${name}`, () => {
    const wrong = judgeLines(lines, readIp(ip));
    assert.equal(wrong.length, expected.length, wrong.join('\n'));
    for (const [i, pattern] of expected.entries()) assert.match(wrong[i] ?? '', pattern);
  });
}

test('judged: SAs of the live table', () => {
  const sas = [
    { kind: 'added', time: START, sa: `esp 16 ${THERE}` },
    { kind: 'added', time: START, sa: `esp 17 ${HERE}` },
    { kind: 'removed', time: START, sa: `esp 17 ${HERE}` },
    { kind: 'removed', time: START, sa: `esp 18 ${HERE}` },
  ] as const;
  const ip = both(0, '', 0x10) + both(5, 'Deleted ', 0x10);
  assert.deepEqual(judgeTestimony('left', { ip, sas, tunnels: [], command: [], ended: 0 }), [
    'left: live table: removed esp 18 192.0.2.1: told 1 times, ip saw it 0 times',
    'left: live table: removed esp 16 192.0.2.2: told 0 times, ip saw it 1 times',
  ]);
});
