/** What the command says of tunnels, as text and as JSON. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import pc from 'picocolors';
import { formatJson, type JsonRecord } from '../../lib/cli/json.ts';
import { formatTunnelChange } from '../../lib/cli/tunnels/change-text.ts';
import { RateMeter } from '../../lib/cli/tunnels/rate-meter.ts';
import { rowsOf, screenTable, tunnelTable } from '../../lib/cli/tunnels/tunnel-table.ts';
import { describePart, describeTunnel, sayTunnel } from '../../lib/cli/tunnels/tunnel-text.ts';
import type { Tunnel, TunnelChange, TunnelDownReason, TunnelPart } from '../../lib/index.ts';
import { changeJson, tunnelJson, warningJson } from '../../lib/json/tunnel.ts';
import { checkLine, schemaKinds } from '../schema.ts';
import { ago, leak, missing, NOW, piling, sa, tunnel } from './tunnel-samples.ts';

const plain = pc.createColors(false);
const claimant = { portId: 812, pid: 812, process: 'char\x1bon' };
const time = ago(0);

test('a tunnel in a pipe is one line, with absolute times', () => {
  assert.equal(
    describeTunnel(tunnel(), plain),
    'up 192.0.2.1 > 198.51.100.7 esp tunnel reqid 7 since 2026-01-02T11:59:00Z ' +
      'up-since 2026-01-02T08:48:00Z sas 1 in 1 out in 1572864B/1200p out 0B/0p ' +
      'installed 2026-01-02T11:56:00Z rekey-by 2026-01-02T12:30:00Z expires 2026-01-02T12:56:00Z ' +
      'rekeys 2 reason "SAs in both directions"',
  );
  assert.equal(
    describeTunnel(missing({ warnings: [piling] }), plain),
    'down rome any > 198.51.100.8 since 2026-01-02T11:58:30Z sas 0 in 0 out in 0B/0p out 0B/0p ' +
      'reason "no SAs or policies" warning "piling-up out: 5 SAs where 1 is expected"',
  );
});

test('marks and interface ids are shown, per direction if they differ', () => {
  const mark = { value: 0x10, mask: 0xff };
  const line = (more: Partial<Tunnel>) => describeTunnel(tunnel(more), plain);
  assert.match(line({ ifId: { in: 5, out: 5 } }), / reqid 7 if_id 0x5 since/);
  assert.match(line({ ifId: { in: 5, out: 6 } }), / if_id 0x5 in if_id 0x6 out since/);
  assert.match(line({ mark: { in: undefined, out: mark } }), / mark 0x10\/0xff out since/);
  const encap = { type: 'espinudp', sport: 4500, dport: 4501, oa: '0.0.0.0' } as const;
  assert.match(line({ encap }), / espinudp 4500>4501 since/);
  assert.match(line({ directed: false }), /^up 192\.0\.2\.1 <> 198\.51\.100\.7 /);
  assert.match(line({ larval: [sa('out', 0)] }), / out 1 larval in /);
});

test('durations are shown for people', () => {
  assert.equal(
    sayTunnel(tunnel(), plain, NOW),
    '192.0.2.1 > 198.51.100.7 reqid 7 up 3h 12m, rekeyed 4m ago, expires in 56m',
  );
  assert.equal(
    sayTunnel(tunnel({ state: 'idle', reason: 'never used', rekeys: 0 }), plain, NOW),
    '192.0.2.1 > 198.51.100.7 reqid 7 idle 1m, up 3h 12m, installed 4m ago, expires in 56m, never used',
  );
  assert.equal(
    sayTunnel(missing(), plain, NOW),
    'rome any > 198.51.100.8 down 1m 30s, no SAs or policies',
  );
});

test('unknown start times are not shown as exact', () => {
  const found = tunnel({ state: 'blocked', reason: 'no SA', since: ago(400), sinceKnown: false });
  const later = { ...found, since: ago(61_000) };
  assert.match(describeTunnel(found, plain), / since-before 2026-01-02T11:59:59Z /);
  assert.match(sayTunnel(found, plain, NOW), / blocked, installed 4m|blocked, rekeyed 4m/);
  assert.match(sayTunnel(later, plain, NOW), / blocked >1m 1s, /);
  assert.match(tunnelTable(rowsOf([found]), plain, NOW)[1] ?? '', /^blocked {2}\? /);
  assert.match(tunnelTable(rowsOf([later]), plain, NOW)[1] ?? '', /^blocked {2}>1m 1s /);
});

test('a table has no column without content, and rates where there are some', () => {
  const table = (tunnels: Tunnel[], rates = () => undefined as never) =>
    screenTable(rowsOf(tunnels), plain, NOW, 200, rates).lines;
  assert.deepEqual(table([missing()]), tunnelTable(rowsOf([missing()]), plain, NOW));
  assert.deepEqual(table([missing()]), [
    'STATE  FOR     TUNNEL                   WHY',
    'down   1m 30s  rome any > 198.51.100.8  no SAs or policies',
  ]);
  assert.deepEqual(
    table([tunnel({ warnings: [piling] })], () => ({ in: 2048, out: 0 }) as never),
    [
      'STATE  FOR     TUNNEL                    ID  IN                  KEYED   EXPIRES  WHY',
      'up     3h 12m  192.0.2.1 > 198.51.100.7  #7  1.5 MiB  2.0 KiB/s  4m ago  in 56m   piling-up out: 5 SAs where 1 is expected',
    ],
  );
  assert.match(table([])[0] ?? '', /^STATE {2}FOR {2}TUNNEL {2}ID {2}IN {2}OUT {2}KEYED/);
});

test('tunnels of several namespaces have the column NETNS', () => {
  const labels = [null, 'b\x1blue'] as const;
  const all = [missing(), tunnel({ parts: [part] })];
  const rows = rowsOf(all, (one) => labels[all.indexOf(one)]);
  const [head = '', first = '', second = '', third = ''] = tunnelTable(rows, plain, NOW);
  assert.match(head, /^NETNS {5}STATE /);
  assert.match(first, /^\(own\) {5}down /);
  assert.match(second, /^b\\x1blue {2}up /);
  assert.match(third, /^ +comp /);
});

test('on a narrow terminal a tunnel has several lines, on a narrow screen fewer columns', () => {
  const ends = { local: '2001:db8:1:2:3:4:5:6', remote: '2001:db8:7:8:9:a:b:c' };
  const all = [missing(), tunnel({ ...ends, name: 'long', warnings: [piling] })];
  assert.deepEqual(tunnelTable(rowsOf(all), plain, NOW, 80), [
    'STATE  FOR     TUNNEL                                            ID  IN',
    'down   1m 30s  rome any > 198.51.100.8                           -   -',
    '    no SAs or policies',
    'up     3h 12m  long 2001:db8:1:2:3:4:5:6 > 2001:db8:7:8:9:a:b:c  #7  1.5 MiB',
    '    keyed 4m ago, expires in 56m, piling-up out: 5 SAs where 1 is expected',
  ]);
  const screen = screenTable(rowsOf(all), plain, NOW, 100, () => undefined);
  assert.deepEqual(screen.hidden, ['KEYED', 'ID', 'EXPIRES']);
  assert.deepEqual(screen.lines, [
    'STATE  FOR     TUNNEL                                            IN       WHY',
    'down   1m 30s  rome any > 198.51.100.8                           -        no SAs or policies',
    'up     3h 12m  long 2001:db8:1:2:3:4:5:6 > 2001:db8:7:8:9:a:b:c  1.5 MiB  piling-up out: 5 SAs where 1 is expected',
  ]);
});

const part: TunnelPart = {
  reqid: 16390,
  protocol: 'comp',
  sas: { in: [sa('in', 1)], out: [] },
  policies: [],
  traffic: tunnel().traffic,
};

test('the parts of a tunnel by reqid are listed below it', () => {
  const [, , line] = tunnelTable(rowsOf([tunnel({ parts: [part] })]), plain, NOW);
  assert.match(line ?? '', /^ +comp +#16390 +1\.5 MiB/);
  assert.match(describePart(part), /^ {2}reqid 16390 comp sas 1 in 0 out in \d+B\/\d+p out /);
});

test('rates come from two readings of the counters, and from nothing less', () => {
  const meter = new RateMeter();
  const of = (bytes: bigint, at: number, id = 'a') => {
    const traffic = {
      in: { bytes, packets: 1n, lastUsedAt: undefined },
      out: tunnel().traffic.out,
    };
    meter.update({
      tunnels: [tunnel({ id, traffic })],
      countersReadAt: { wall: 0, monotonic: at },
    });
    return meter.of(id);
  };
  assert.equal(of(1000n, 5000), undefined);
  assert.deepEqual(of(5000n, 7000), { in: 2000, out: 0 });
  // The same reading again, whatever the tunnels say.
  assert.deepEqual(of(9000n, 7000), { in: 2000, out: 0 });
  assert.deepEqual(of(0n, 8000), { in: 0, out: 0 });
  assert.equal(of(1n, 9000, 'b'), undefined);
});

const causes: [TunnelDownReason, string][] = [
  [{ kind: 'deleted', by: claimant }, 'deleted, claimed by char\\x1bon[812]'],
  [
    { kind: 'flushed', by: { ...claimant, pid: undefined, process: undefined } },
    'flushed, claims port 812',
  ],
  [{ kind: 'deleted', by: { portId: 0, pid: undefined, process: undefined } }, 'deleted'],
  [
    { kind: 'policy-gone', by: claimant },
    'no outbound policy uses its SAs, claimed by char\\x1bon[812]',
  ],
  [{ kind: 'policy-gone', by: undefined }, 'no outbound policy uses its SAs'],
  [{ kind: 'expired' }, 'expired without a successor'],
  [{ kind: 'address-gone', address: '192.0.2.1' }, 'address 192.0.2.1 is gone'],
  [
    { kind: 'link-gone', address: '192.0.2.1', link: 'e\x9b0' },
    'link e\\x9b0 of 192.0.2.1 is gone or down',
  ],
  [{ kind: 'migrated', to: 'paris' }, 'moved to paris'],
  [{ kind: 'migrated', to: undefined }, 'moved'],
  [{ kind: 'found-missing' }, 'found without SAs by a resync'],
  [{ kind: 'unknown' }, 'cause unknown'],
];

const up = tunnel();
const compared = {
  added: 1,
  updated: 0,
  removed: 2,
  rounds: 1,
  overruns: 1,
  malformed: 0,
  durationMs: 12.6,
  time,
};
const changes: [TunnelChange, string][] = [
  [{ kind: 'added', tunnel: up, time }, 'added     TITLE: up, SAs in both directions'],
  [{ kind: 'up', tunnel: up, before: 'blocked', time }, 'up        TITLE: up, was blocked'],
  [{ kind: 'up', tunnel: up, before: undefined, time }, 'up        TITLE: up, new'],
  ...causes.map(([cause, text]): [TunnelChange, string] => [
    { kind: 'down', tunnel: tunnel({ state: 'blocked' }), before: 'up', reason: cause, time },
    `down      TITLE: blocked, ${text}, was up`,
  ]),
  [
    {
      kind: 'rekeyed',
      tunnel: up,
      out: [{ protocol: 'esp', from: 1, to: 2, gapMs: 4.6 }],
      in: [
        { protocol: 'esp', from: 0x1001, to: 0x1002, gapMs: 0 },
        { protocol: 'ah', from: 3, to: 4, gapMs: undefined },
      ],
      time,
    },
    'rekeyed   TITLE: out esp 0x00000001 > 0x00000002 (gap 5 ms), ' +
      'in esp 0x00001001 > 0x00001002, in ah 0x00000003 > 0x00000004 (found by a resync)',
  ],
  [
    {
      kind: 'replaced',
      tunnel: up,
      direction: 'in',
      protocol: 'esp',
      from: 0x1001,
      to: 0x1002,
      gapMs: 0,
      time,
    },
    'replaced  TITLE: in esp 0x00001001 > 0x00001002',
  ],
  [
    {
      kind: 'stalled',
      tunnel: tunnel({ state: 'one-way', reason: 'none \x1b come' }),
      before: 'up',
      time,
    },
    'stalled   TITLE: one-way, none \\x1b come, was up',
  ],
  [
    {
      kind: 'state',
      tunnel: tunnel({ state: 'idle', reason: 'quiet' }),
      before: 'up',
      rekey: false,
      time,
    },
    'state     TITLE: idle, quiet, was up',
  ],
  [
    { kind: 'warning', raised: true, warning: piling, tunnel: up, time },
    'warning   TITLE: piling-up out: 5 SAs where 1 is expected',
  ],
  [
    { kind: 'warning', raised: false, warning: leak, tunnel: undefined, time },
    'warning   host: cleared: leak policies: they grow',
  ],
  [{ kind: 'removed', tunnel: up, time }, 'removed   TITLE: up, SAs in both directions'],
  [
    { kind: 'overrun', protocol: 'xfrm', code: 'ENOBUFS', count: 1, slowConsumer: false, time },
    'overrun   events were lost before this line (ENOBUFS); a resync is under way',
  ],
  [
    {
      kind: 'overrun',
      protocol: 'xfrm',
      code: 'SLOW_CONSUMER',
      count: 1,
      slowConsumer: true,
      time,
    },
    'overrun   changes were lost before this line: output was not read fast enough (SLOW_CONSUMER)',
  ],
  [
    { kind: 'resynced', ...compared },
    'resynced  SAs and policies: 1 added, 0 updated, 2 removed, took 13 ms',
  ],
  [
    { kind: 'refreshed', ...compared },
    'refreshed SAs and policies: 1 added, 0 updated, 2 removed, took 13 ms',
  ],
  [
    { kind: 'namespace-gone', path: '/run/netns/r\x07d', time },
    'namespace-gone /run/netns/r\\x07d no longer names this namespace, which is still watched',
  ],
  [
    { kind: 'malformed', protocol: 'xfrm', reason: 'od\x07d', path: ['NEWSA'], offset: 4, time },
    'malformed NEWSA › od\\x07d (offset 4)',
  ],
];

test('each change is one line', () => {
  for (const [change, text] of changes) {
    const expected = text.replace('TITLE', '192.0.2.1 > 198.51.100.7 reqid 7');
    assert.match(formatTunnelChange(change, plain), /^\d\d:\d\d:\d\d\.\d{3} /);
    assert.equal(formatTunnelChange(change, plain).slice(13), expected);
    assert.equal(formatTunnelChange(change, plain, 'blue').slice(13), `blue ${expected}`);
  }
  const [[added] = []] = changes;
  assert(added);
  const colored = formatTunnelChange(added, pc.createColors(true));
  assert(colored.includes('\x1b[32madded    \x1b[39m'));
});

test('foreign text never reaches the terminal unescaped', () => {
  const foul = '\x1b]0;x\x07"|\u009b31m';
  const one = tunnel({ name: foul, reason: foul, warnings: [{ ...piling, text: foul }] });
  const texts = [
    describeTunnel(one, plain),
    sayTunnel({ ...one, state: 'idle' }, plain, NOW),
    ...tunnelTable(rowsOf([{ ...one, state: 'idle' }]), plain, NOW),
    formatTunnelChange({ kind: 'state', tunnel: one, before: 'up', rekey: false, time }, plain),
  ];
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they must not be there
  for (const text of texts) assert.doesNotMatch(text, /[\x00-\x1f\x7f-\x9f]/);
  assert.match(texts[0] ?? '', /reason "\\x1b\]0;x\\x07\\"\|\\x9b31m"/);
});

test('JSON of tunnels and their changes conforms to the schema, with absolute times', () => {
  const records: JsonRecord[] = [
    { kind: 'tunnel', time, tunnel: tunnelJson(up) },
    { kind: 'tunnel', time, tunnel: tunnelJson(missing({ warnings: [piling] })) },
    {
      kind: 'tunnel',
      time,
      tunnel: tunnelJson(
        tunnel({
          ifId: { in: 5, out: undefined },
          mark: { in: undefined, out: { value: 1, mask: 2 } },
          encap: { type: 'espinudp', sport: 4500, dport: 4500, oa: '0.0.0.0' },
          larval: [sa('out', 0)],
        }),
      ),
    },
    { kind: 'tunnel', time, tunnel: tunnelJson(tunnel({ parts: [part] })) },
    { kind: 'host-warning', time, warning: warningJson(leak) },
    ...changes.map(([change]) => changeJson(change)),
  ];
  const lines = records.map((one) => formatJson(one, false));
  const seen = new Set(lines.map(checkLine));
  const ours = schemaKinds.filter((kind) => /^(tunnel|host-warning)/.test(kind));
  assert.deepEqual(
    ours.filter((kind) => !seen.has(kind)),
    [],
  );
  const [first = ''] = lines;
  const { tunnel: one } = JSON.parse(first);
  assert.equal(one.since, Date.parse('2026-01-02T11:59:00Z'));
  assert.equal(one.traffic.in.bytes, '1572864');
  assert.equal(one.expiry.out.hardAt, Date.parse('2026-01-02T12:56:00Z'));
  assert.deepEqual(one.sas.in[0], {
    saddr: '198.51.100.7',
    daddr: '192.0.2.1',
    proto: 'esp',
    spi: 0x2001,
    addedAt: Date.parse('2026-01-02T11:56:00Z'),
    bytes: '1200',
    packets: '3',
  });
  for (const line of lines) assert(!/key/i.test(line.replaceAll('rekey', '')), line);
});
