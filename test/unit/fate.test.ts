/** What becomes of a packet, from tables made by hand. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import pc from 'picocolors';
import { formatJson } from '../../lib/cli/json.ts';
import { whyLines } from '../../lib/cli/why/lines.ts';
import { whyMembers } from '../../lib/cli/why/record.ts';
import { type Fate, fateOf, type Question } from '../../lib/fate/fate.ts';
import { describeFlow, FlowError, parseFlow } from '../../lib/fate/flow.ts';
import { lookUpPolicy } from '../../lib/fate/policy-lookup.ts';
import { arrive, receive } from '../../lib/fate/receive.ts';
import { send } from '../../lib/fate/send.ts';
import type { Tables } from '../../lib/fate/tables.ts';
import type { XfrmPolicy, XfrmState } from '../../lib/index.ts';
import { NO_LIMIT } from '../../lib/wire/time.ts';
import { checkLine } from '../schema.ts';

const NOW = Date.UTC(2026, 0, 2);
const plain = pc.createColors(false);
const limits = {
  softBytes: NO_LIMIT,
  hardBytes: NO_LIMIT,
  softPackets: NO_LIMIT,
  hardPackets: NO_LIMIT,
  softAddSeconds: NO_LIMIT,
  hardAddSeconds: NO_LIMIT,
  softUseSeconds: NO_LIMIT,
  hardUseSeconds: NO_LIMIT,
};
const current = { bytes: 0n, packets: 0n, addedAt: NOW - 60_000, firstUsedAt: undefined };
const ANY = {
  saddr: '0.0.0.0',
  daddr: '0.0.0.0',
  prefixlenS: 0,
  prefixlenD: 0,
  family: 'inet',
  proto: 0,
  sport: 0,
  sportMask: 0,
  dport: 0,
  dportMask: 0,
  ifindex: 0,
  user: 0,
} as const;
const NETS = { ...ANY, saddr: '10.1.0.0', prefixlenS: 16, daddr: '10.2.0.0', prefixlenD: 16 };
const BACK = { ...ANY, saddr: '10.2.0.0', prefixlenS: 16, daddr: '10.1.0.0', prefixlenD: 16 };

const template = {
  saddr: '192.0.2.1',
  daddr: '192.0.2.2',
  family: 'inet',
  proto: 'esp',
  mode: 'tunnel',
  reqid: 1,
  spi: 0,
  optional: false,
  share: 'any',
  aalgos: 0xffff_ffff,
  ealgos: 0xffff_ffff,
  calgos: 0xffff_ffff,
} as const;
const reversed = { ...template, saddr: '192.0.2.2', daddr: '192.0.2.1' };

const policy = (more: object = {}) =>
  ({
    dir: 'out',
    index: 9,
    priority: 100,
    action: 'allow',
    selector: NETS,
    templates: [template],
    lifetime: limits,
    current,
    ...more,
  }) as unknown as XfrmPolicy;

const sa = (more: object = {}) =>
  ({
    saddr: '192.0.2.1',
    daddr: '192.0.2.2',
    family: 'inet',
    proto: 'esp',
    spi: 0x1001,
    mode: 'tunnel',
    reqid: 1,
    selector: ANY,
    lifetime: limits,
    current,
    stats: { replayWindow: 0, replay: 0, integrityFailed: 0 },
    flags: { mask: 0, names: [] },
    aead: { name: 'rfc4106(gcm(aes))', keyBits: 160, icvBits: 128 },
    ...more,
  }) as unknown as XfrmState;
const inbound = (more: object = {}) =>
  sa({ saddr: '192.0.2.2', daddr: '192.0.2.1', spi: 0x2001, ...more });

const tables = (
  policies: readonly XfrmPolicy[],
  states: readonly XfrmState[] = [],
  more: Partial<Tables> = {},
): Tables => ({
  policies,
  states,
  defaults: { in: 'accept', fwd: 'accept', out: 'accept' },
  now: NOW,
  sourceFor: () => undefined,
  isLocal: (address) => address === '192.0.2.1' || address.startsWith('10.1.'),
  ...more,
});
const flow = parseFlow(['10.1.0.5 > 10.2.0.7 tcp 443']);
const packet = { flow, mark: 0, ifId: 0, ifindex: 2 };
const back = { ...packet, flow: parseFlow(['10.2.0.7 > 10.1.0.5 tcp 443']) };

const question: Question = {
  flow,
  direction: 'out',
  mark: 0,
  route: {
    type: 'unicast',
    device: 'eth0',
    ifindex: 2,
    gateway: undefined,
    source: undefined,
    ifId: undefined,
    noXfrm: false,
  },
  isBound: false,
  from: undefined,
  through: undefined,
};

test('a flow is read from words', () => {
  const cases: [words: string, text: string][] = [
    ['10.1.0.5 > 10.2.0.7 tcp 443', '10.1.0.5 > 10.2.0.7:443 tcp'],
    ['10.1.0.5 -> 10.2.0.7 udp 53', '10.1.0.5 > 10.2.0.7:53 udp'],
    ['10.1.0.5>10.2.0.7', '10.1.0.5 > 10.2.0.7'],
    ['10.1.0.5 to 10.2.0.7 icmp', '10.1.0.5 > 10.2.0.7 icmp 8/0'],
    ['10.1.0.5 10.2.0.7 icmp 3/1', '10.1.0.5 > 10.2.0.7 icmp 3/1'],
    ['10.1.0.5:5000 > 10.2.0.7:53 udp', '10.1.0.5:5000 > 10.2.0.7:53 udp'],
    ['[2001:DB8::1]:5000 > 2001:db8::2 udp 53', '[2001:db8::1]:5000 > [2001:db8::2]:53 udp'],
    ['2001:db8::1 > 2001:db8::2 icmp', '2001:db8::1 > 2001:db8::2 icmpv6 128/0'],
    ['10.1.0.5 > 10.2.0.7 112', '10.1.0.5 > 10.2.0.7 protocol 112'],
  ];
  for (const [words, text] of cases) {
    assert.equal(describeFlow(parseFlow([words])), text);
    assert.equal(describeFlow(parseFlow(words.split(' '))), text);
  }
});

test('a flow that makes no sense is refused with what is wrong', () => {
  const cases: [words: string, reason: RegExp][] = [
    ['', /^a flow is missing, such as '10\.1\.0\.5 > 10\.2\.0\.7 tcp 443'$/],
    ['10.1.0.5', /second address is missing.*redirection$/],
    ['10.1.0.5 tcp 443', /second address is missing.*redirection$/],
    ['host > 10.2.0.7', /^'host' is not an IP address/],
    ['10.1.0.5 > 10.2.0.700', /^'10\.2\.0\.700' is not an IP address/],
    ['10.1.0.5 > 2001:db8::1', /are not of one family$/],
    ['10.1.0.5 > 10.2.0.7 tcp x', /^'x' is not a port: a number from 0 to 65535$/],
    ['10.1.0.5 > 10.2.0.7 tcp 65536', /^'65536' is not a port/],
    ['10.1.0.5 > 10.2.0.7 tcp 1 2', /^unexpected '1 2': one port, after tcp$/],
    ['10.1.0.5 > 10.2.0.7 gre 1', /^unexpected '1': gre has no ports$/],
    ['10.1.0.5 > 10.2.0.7 http', /^'http' is not a protocol: icmp, tcp/],
    ['10.1.0.5 > 10.2.0.7 constructor', /is not a protocol/],
    ['10.1.0.5 > 10.2.0.7 256', /^'256' is not a protocol/],
    ['10.1.0.5 > 10.2.0.7 icmp6', /^icmp6 is not for IPv4$/],
    ['10.1.0.5:1 > 10.2.0.7', /^a port needs a protocol that has ports/],
    ['10.1.0.5 > 10.2.0.7:1 tcp 2', /^the destination port is given twice: 1 and 2$/],
    ['10.1.0.5 > 10.2.0.7 \u001b[31m', /^'\\x1b\[31m' is not a protocol/],
  ];
  for (const [words, reason] of cases) {
    assert.throws(
      () => parseFlow(words === '' ? [] : [words]),
      (error) => error instanceof FlowError && reason.test(error.message),
      words,
    );
  }
});

test('the policy of the lowest priority catches a packet, of equal ones that of the lowest index', () => {
  const low = policy({ index: 1, priority: 200 });
  const first = policy({ index: 9 });
  const second = policy({ index: 17, action: 'block' });
  const {
    policy: found,
    near,
    rival,
  } = lookUpPolicy({ policies: [second, first, low] }, 'out', packet);
  assert.equal(found, first);
  assert.equal(rival, undefined);
  assert.deepEqual(near, [
    { policy: second, but: ['priority'] },
    { policy: low, but: ['priority'] },
  ]);
  // Listed as the newest, with the lowest index: it was replaced.
  assert.equal(lookUpPolicy({ policies: [first, second] }, 'out', packet).rival, second);
});

test('what keeps a policy from catching a packet is named', () => {
  const cases: [more: object, but: string][] = [
    [{ mark: { value: 5, mask: 0xff } }, 'mark'],
    [{ ifId: 7 }, 'if_id'],
    [{ selector: { ...NETS, proto: 17 } }, 'protocol'],
    [{ selector: { ...NETS, dport: 80, dportMask: 0xffff } }, 'destination port'],
    // The source port of this flow is unknown.
    [{ selector: { ...NETS, sport: 0, sportMask: 0xffff } }, 'source port'],
    [{ selector: { ...NETS, ifindex: 3 } }, 'interface'],
    [{ selector: { ...NETS, saddr: '10.3.0.0' } }, 'source'],
    [{ selector: { ...NETS, daddr: '10.3.0.0' } }, 'destination'],
  ];
  for (const [more, but] of cases) {
    const one = policy(more);
    const { policy: found, near } = lookUpPolicy({ policies: [one] }, 'out', packet);
    assert.equal(found, undefined);
    assert.deepEqual(near, [{ policy: one, but: [but] }]);
  }
  const in6 = policy({ selector: { ...ANY, family: 'inet6', saddr: '::', daddr: '::' } });
  assert.deepEqual(lookUpPolicy({ policies: [in6] }, 'out', packet).near, []);
  const other = policy({ dir: 'fwd' });
  assert.deepEqual(lookUpPolicy({ policies: [other] }, 'out', packet).near, []);
});

test('the default for packets that leave is not for those that stay on this host', () => {
  const block = { in: 'accept', fwd: 'accept', out: 'block' } as const;
  const none = tables([], [], { defaults: block });
  assert.equal(send(none, packet, true).outcome, 'clear');
  const blocked = tables([policy({ action: 'block' })], [], { defaults: block });
  assert.equal(send(blocked, packet, true).outcome, 'dropped');
});

test('what becomes of a packet that leaves, and what counts it', () => {
  const block = { in: 'accept', fwd: 'accept', out: 'block' } as const;
  const optional = policy({ templates: [{ ...template, optional: true }] });
  const cases: [name: string, tables: Tables, outcome: string, counters: string[]][] = [
    ['no policy', tables([]), 'clear', []],
    ['default', tables([], [], { defaults: block }), 'dropped', []],
    ['block', tables([policy({ action: 'block' })], [sa()]), 'dropped', ['XfrmOutPolBlock']],
    ['no template', tables([policy({ templates: undefined })]), 'clear', []],
    ['optional', tables([optional]), 'clear', []],
    ['optional with an SA', tables([optional], [sa()]), 'protected', []],
    ['no SA', tables([policy()]), 'dropped', ['XfrmOutNoStates']],
    ['larval', tables([policy()], [sa({ aead: undefined })]), 'dropped', ['XfrmOutNoStates']],
    ['an SA', tables([policy()], [sa()]), 'protected', []],
    [
      'of the wrong direction',
      tables([policy()], [sa({ dir: 'in' })]),
      'dropped',
      ['XfrmOutStateDirError', 'XfrmOutPolError'],
    ],
    [
      'past its limit',
      tables(
        [policy()],
        [sa({ lifetime: { ...limits, hardPackets: 3n }, current: { ...current, packets: 3n } })],
      ),
      'dropped',
      ['XfrmOutStateExpired'],
    ],
    [
      'out of sequence numbers',
      tables([policy()], [sa({ replay: { oseq: 0xffff_ffff, seq: 0, bitmap: 0 } })]),
      'dropped',
      ['XfrmOutStateSeqError'],
    ],
    [
      'no source',
      tables([policy({ templates: [{ ...template, saddr: '0.0.0.0' }] })], [sa()]),
      'dropped',
      ['XfrmOutPolError'],
    ],
  ];
  for (const [name, of, outcome, counters] of cases) {
    const found = send(of, packet);
    assert.deepEqual([found.outcome, found.counters], [outcome, counters], name);
  }
  const chosen = tables([policy({ templates: [{ ...template, saddr: '0.0.0.0' }] })], [sa()], {
    sourceFor: () => '192.0.2.1',
  });
  assert.equal(send(chosen, packet).outcome, 'protected');
});

test('what keeps an SA from carrying a packet is named', () => {
  const cases: [more: object, but: string][] = [
    [{ reqid: 2 }, 'reqid'],
    [{ mode: 'transport' }, 'mode'],
    [{ proto: 'ah' }, 'protocol'],
    [{ mark: { value: 5, mask: 0xff } }, 'mark'],
    [{ ifId: 7 }, 'if_id'],
    [{ selector: BACK }, 'selector'],
    [{ daddr: '192.0.2.3' }, 'destination'],
    [{ saddr: '192.0.2.9' }, 'source'],
  ];
  for (const [more, but] of cases) {
    const one = sa(more);
    const { templates, outcome } = send(tables([policy()], [one]), packet);
    assert.equal(outcome, 'dropped');
    assert.deepEqual(templates[0]?.near, [{ sa: one, but: [but] }], but);
  }
  // Where the source differs, the kernel's hash table decides.
  assert.equal(send(tables([policy()], [sa({ saddr: '192.0.2.9' })]), packet).doubts.length, 1);
});

test('of several SAs the kernel takes the one added last, one past a soft limit last, one from any source after all', () => {
  const at = (seconds: number) => ({ ...current, addedAt: NOW - seconds * 1000 });
  const old = sa({ spi: 1, current: at(90) });
  const young = sa({ spi: 2, current: at(10) });
  const soft = sa({ spi: 3, current: at(5), lifetime: { ...limits, softAddSeconds: 4 } });
  const open = sa({ spi: 4, saddr: '0.0.0.0', current: at(1) });
  const { through, templates } = send(tables([policy()], [open, soft, old, young]), packet);
  assert.deepEqual(through, [young]);
  assert.deepEqual(templates[0]?.others, [old, soft, open]);
  // While one is negotiated, those from any source do not count.
  const larval = sa({ spi: 7, aead: undefined });
  assert.equal(send(tables([policy()], [larval, open]), packet).outcome, 'dropped');
  // In the same second: the first of the list.
  const [a, b] = [sa({ spi: 5 }), sa({ spi: 6 })];
  assert.deepEqual(send(tables([policy()], [b, a]), packet).through, [b]);
});

test('the templates of a bundle find SAs between the ends of the tunnel', () => {
  const ah = { ...template, proto: 'ah', mode: 'transport', saddr: '0.0.0.0', daddr: '0.0.0.0' };
  const outer = sa({ proto: 'ah', mode: 'transport', spi: 0x3001 });
  const inner = sa();
  const of = tables([policy({ templates: [template, ah] })], [outer, inner]);
  assert.deepEqual(send(of, packet).through, [inner, outer]);
});

test('what becomes of a packet that arrives, and what counts it', () => {
  const accepting = (more: object = {}) =>
    policy({ dir: 'in', selector: BACK, templates: [reversed], ...more });
  const marking = inbound({ setMark: 7, setMarkMask: 0xff });
  const transport = inbound({ mode: 'transport' });
  const block = { in: 'block', fwd: 'accept', out: 'accept' } as const;
  const cases: [
    name: string,
    policies: XfrmPolicy[],
    through: XfrmState[],
    outcome: string,
    counters: string[],
  ][] = [
    ['in clear, no policy', [], [], 'clear', []],
    ['from a tunnel, no policy', [], [inbound()], 'dropped', ['XfrmInNoPols']],
    ['in transport mode, no policy', [], [transport], 'protected', []],
    ['accepted', [accepting()], [inbound()], 'protected', []],
    ['in clear, but required', [accepting()], [], 'dropped', ['XfrmInTmplMismatch']],
    ['another reqid', [accepting()], [inbound({ reqid: 2 })], 'dropped', ['XfrmInTmplMismatch']],
    [
      'any reqid',
      [accepting({ templates: [{ ...reversed, reqid: 0 }] })],
      [inbound({ reqid: 2 })],
      'protected',
      [],
    ],
    [
      'another source',
      [accepting()],
      [inbound({ saddr: '192.0.2.9' })],
      'dropped',
      ['XfrmInTmplMismatch'],
    ],
    [
      'its selector',
      [accepting()],
      [inbound({ selector: NETS })],
      'dropped',
      ['XfrmInStateMismatch'],
    ],
    ['blocked', [accepting({ action: 'block' })], [inbound()], 'dropped', ['XfrmInPolBlock']],
    [
      'an outbound SA',
      [accepting()],
      [inbound({ dir: 'out' })],
      'dropped',
      ['XfrmInStateDirError'],
    ],
    ['no keys', [accepting()], [inbound({ aead: undefined })], 'dropped', ['XfrmAcquireError']],
    ['more than asked for', [accepting()], [transport, inbound()], 'protected', []],
    [
      'a tunnel more than asked for',
      [accepting()],
      [inbound(), inbound({ spi: 1, reqid: 2 })],
      'dropped',
      ['XfrmInTmplMismatch'],
    ],
    [
      'optional, in clear',
      [accepting({ templates: [{ ...reversed, optional: true }] })],
      [],
      'clear',
      [],
    ],
    ['by its mark', [accepting({ mark: { value: 7, mask: 0xff } })], [marking], 'protected', []],
    [
      'without the mark',
      [accepting({ mark: { value: 7, mask: 0xff } })],
      [inbound()],
      'dropped',
      ['XfrmInNoPols'],
    ],
  ];
  for (const [name, policies, through, outcome, counters] of cases) {
    const found = arrive(tables(policies, through), 'in', back, through);
    assert.deepEqual([found.outcome, found.counters], [outcome, counters], name);
  }
  const nothing = arrive(tables([], [], { defaults: block }), 'in', back, []);
  assert.deepEqual(nothing.counters, ['XfrmInNoPols']);
});

test('how a packet arrives is the way in which it is accepted', () => {
  const accepting = policy({ dir: 'in', selector: BACK, templates: [reversed] });
  const wanted = inbound();
  const found = receive(
    tables([accepting], [wanted, inbound({ spi: 3, reqid: 9 }), sa()]),
    'in',
    back,
  );
  assert.equal(found.outcome, 'protected');
  assert.deepEqual(found.arrival?.through, [wanted]);
  assert.deepEqual(
    found.others.map(({ through, counters }) => [through.length, ...counters]),
    [
      [0, 'XfrmInTmplMismatch'],
      [1, 'XfrmInTmplMismatch'],
    ],
  );
  const without = receive(tables([accepting], [inbound({ reqid: 9 })]), 'in', back);
  assert.deepEqual(without.counters, ['XfrmInTmplMismatch']);
  assert.deepEqual(without.templates[0]?.near[0]?.but, ['reqid']);
  assert.deepEqual(receive(tables([accepting]), 'in', back).counters, ['XfrmInNoStates']);
});

test('a forwarded packet meets a policy of direction fwd, then one of direction out', () => {
  const through = { ...question, direction: 'fwd' } as const;
  const block = policy({ dir: 'fwd', action: 'block', templates: undefined });
  const stopped = fateOf(tables([block, policy()], [sa()]), through);
  assert.deepEqual([stopped.outcome, stopped.counters], ['dropped', ['XfrmInPolBlock']]);
  const passed = fateOf(tables([policy()], [sa()]), through);
  assert.equal(passed.outcome, 'protected');
  assert.deepEqual(
    passed.stages.map(({ stage }) => stage),
    ['forward', 'send'],
  );
});

test('an xfrm interface sends nothing without an SA; disable_xfrm and disable_policy switch policies off', () => {
  const route = { ...(question.route as object), ifId: 7, device: 'ipsec0' } as Question['route'];
  const its = policy({ ifId: 7 });
  const of = (policies: XfrmPolicy[], states: XfrmState[], more: Partial<Question>): Fate =>
    fateOf(tables(policies, states), { ...question, ...more });
  assert.equal(of([its], [sa({ ifId: 7 })], { route }).outcome, 'protected');
  assert.deepEqual(of([its], [sa()], { route }).counters, ['XfrmOutNoStates']);
  const nothing = of([policy({ ifId: 8 })], [], { route });
  assert.deepEqual([nothing.outcome, nothing.counters], ['dropped', []]);
  // In transport mode its route leads back to the interface; ESP of a first look-up is looked up again.
  const ends = { saddr: undefined, daddr: undefined, family: 'inet' } as const;
  const plain = { proto: 'esp', mode: 'transport', reqid: 1 } as const;
  const between = { saddr: question.flow.saddr, daddr: question.flow.daddr };
  const transport = policy({ ifId: 7, templates: [{ ...reversed, ...ends, ...plain } as never] });
  const there = sa({ ...between, mode: 'transport', ifId: 7 });
  const looped = of([transport], [there], { route });
  assert.deepEqual([looped.outcome, looped.counters], ['dropped', []]);
  assert.match(looped.because, /sends nothing in transport mode, whose route leads back to it/);
  // It is dropped before the SA is used.
  const last = looped.stages.at(-1);
  assert.deepEqual([last?.outcome, last && 'through' in last && last.through], ['dropped', []]);
  const used = { lifetime: { ...limits, hardPackets: 3n }, current: { ...current, packets: 3n } };
  const past = sa({ ...between, mode: 'transport', ifId: 7, ...used });
  assert.deepEqual(of([transport], [past], { route }).because, looped.because);
  const passed = of([its], [sa({ ifId: 7, ...used })], { route });
  assert.deepEqual(passed.counters, ['XfrmOutStateExpired']);
  // The second look-up is as if it left by the device below.
  const below = { ...route, ifindex: 9, under: 2 } as Question['route'];
  const chosen = policy({ ifId: 7, selector: { ...its.selector, ifindex: 2 } });
  assert.equal(of([chosen], [sa({ ifId: 7 })], { route: below }).outcome, 'protected');
  const vti = { ...(question.route as object), device: 'vti5', vtiMark: 5 } as Question['route'];
  assert.match(of([], [], { route: vti }).doubts.join(), /vti5 is a VTI, .* the mark 5;/);

  const off = { ...(question.route as object), noXfrm: true } as Question['route'];
  assert.equal(of([policy({ action: 'block' })], [], { route: off }).outcome, 'clear');
  const from = { device: 'lo', ifId: undefined, noPolicy: true };
  const local = of([policy({ dir: 'in', action: 'block' })], [], { direction: 'in', from });
  assert.equal(local.outcome, 'clear');
  assert.equal(of([], [], { route: { error: 'no route' } }).because, 'no route');
});

test('a verdict is told in lines, and in JSON that conforms to the schema, without keys', () => {
  const key = { ...sa().aead, key: 'deadbeef' };
  const accepting = policy({ dir: 'in', selector: BACK, templates: [reversed] });
  const all = tables(
    [policy({ mark: { value: 5, mask: 0xff }, index: 17 }), policy(), accepting],
    [sa({ reqid: 2 }), inbound({ aead: key })],
  );
  const asked: Question[] = [
    question,
    { ...question, route: { error: 'no route to 10.2.0.7 (ENETUNREACH)' } },
    { ...question, direction: 'in', flow: back.flow },
    { ...question, direction: 'fwd', mark: 5 },
  ];
  for (const one of asked) {
    const fate = fateOf(all, one);
    const time = { wall: NOW, monotonic: 1 };
    const line = formatJson({ kind: 'why', time, ...whyMembers(fate) }, false);
    assert.equal(checkLine(line), 'why');
    assert(!/deadbeef/.test(line + whyLines(fate, plain).join()));
  }
  assert.deepEqual(whyLines(fateOf(all, question), plain), [
    '10.1.0.5 > 10.2.0.7:443 tcp, from this host: dropped, no SA fits its template',
    '  counted   as XfrmOutNoStates',
    '  route     unicast by eth0',
    '  out       10.1.0.0/16 > 10.2.0.0/16 allow priority 100 index 9 [esp tunnel 192.0.2.1 > 192.0.2.2 reqid 1]',
    '  template  [esp tunnel 192.0.2.1 > 192.0.2.2 reqid 1] 192.0.2.1 > 192.0.2.2',
    '  SA        none',
    '  nearly    192.0.2.1 > 192.0.2.2 esp 0x00001001 tunnel reqid 2 rfc4106(gcm(aes))/160: but for its reqid',
    '  nearly    out 10.1.0.0/16 > 10.2.0.0/16 allow priority 100 index 17 mark 0x5/0xff [esp tunnel 192.0.2.1 > 192.0.2.2 reqid 1]: but for its mark',
  ]);
});
