/** Filters: which words make one, and what passes it. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Filter } from '../../lib/monitor/filter.ts';
import { FilterError } from '../../lib/monitor/filter-error.ts';
import { type FilterInput, subjectOf } from '../../lib/monitor/filter-input.ts';
import { filterHelp } from '../../lib/monitor/filter-keys.ts';
import { type DecodeInput, decodeDatagram } from '../../lib/netlink/event.ts';
import { contains, parseNetwork } from '../../lib/wire/network.ts';
import { decodeXfrmMessage } from '../../lib/xfrm/decode-message.ts';
import type { XfrmMessage } from '../../lib/xfrm/requests.ts';
import { schemaKinds } from '../schema.ts';
import { capture } from './captures.ts';
import { answers, events, messageBytes, requests } from './generate.ts';
import { Random, runSeed } from './random.ts';

const time = { wall: 0, monotonic: 0 };

function event(bytes: Uint8Array): XfrmMessage {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const input: DecodeInput = { view, bytes, time, keys: false };
  let found: XfrmMessage | undefined;
  decodeDatagram<XfrmMessage>(input, 0, bytes.length, false, decodeXfrmMessage, (one) => {
    if (one.kind !== 'malformed') found = one;
  });
  assert(found);
  return found;
}

const passes = (terms: string, item: FilterInput) => new Filter(terms.split(' ')).matches(item);

/** Asserts which of some terms an item passes. */
function check(item: FilterInput, yes: string[], no: string[]): void {
  for (const terms of yes) assert(passes(terms, item), `${terms} should pass`);
  for (const terms of no) assert(!passes(terms, item), `${terms} should not pass`);
}

const newSa = event(capture('uml-6.1/newsa_m.event0'));
assert(newSa.kind === 'NEWSA');
const sa = {
  ...newSa.state,
  saddr: '192.0.2.1',
  daddr: '198.51.100.7',
  proto: 'esp' as const,
  spi: 0x1001,
  reqid: 7,
  mark: { value: 0x10, mask: 0xff },
  ifId: 5,
  dir: 'out' as const,
};

test('SAs, and events about them', () => {
  const yes = [
    'peer=192.0.2.0/24',
    'peer=198.51.100.7',
    'peer=10.0.0.0/8,192.0.2.1',
    'src=192.0.2.1',
    'dst=198.51.100.0/25',
    'src!=198.51.100.7',
    'proto=esp',
    'proto=50',
    'proto=ah,esp',
    'spi=0x1001',
    'spi=4097',
    'spi!=1,2',
    'reqid=7',
    'mark=0x10',
    'mark=16/255',
    'if_id=0x5',
    'dir=out',
    'peer=192.0.2.1 proto=esp spi=0x1001 spi!=5',
  ];
  const no = [
    'peer=192.0.3.0/24',
    'peer=2001:db8::/32',
    'peer!=198.51.100.0/24',
    'src=198.51.100.7',
    'dst=198.51.100.128/25',
    'proto=ah',
    'proto!=esp,ah',
    'spi=1,2',
    'reqid=8',
    'mark=0x10/0xf',
    'mark=0',
    'if_id=0',
    'dir=in',
    'peer=192.0.2.1 proto=ah',
  ];
  check({ kind: 'state', state: sa }, yes, no);
  check({ ...newSa, state: sa }, [...yes, 'kind=NEWSA', 'kind=newsa,expire', 'kind!=DELSA'], no);
  check({ ...newSa, state: sa }, [], ['kind=DELSA', 'kind!=NEWSA', 'kind=NEWSA proto=ah']);
  check({ ...newSa, kind: 'EXPIRE', hard: true, state: sa }, ['kind=EXPIRE', ...yes], no);
  const { mark: _, ifId: __, dir: ___, ...plain } = sa;
  check({ kind: 'state', state: plain }, ['mark=0', 'if_id=0', 'dir!=in'], ['mark=1', 'dir=in']);
  check({ kind: 'state', state: sa }, ['kind=DELSA'], []);
});

test('a policy is found by its selector and its templates', () => {
  const newPolicy = event(capture('uml-6.1/tr_newpolicy.event0'));
  assert(newPolicy.kind === 'NEWPOLICY');
  const { templates: [template] = [], selector } = newPolicy.policy;
  assert(template);
  const policy = {
    ...newPolicy.policy,
    dir: 'in' as const,
    selector: { ...selector, saddr: '10.0.0.0', prefixlenS: 16, daddr: '0.0.0.0', prefixlenD: 0 },
    templates: [{ ...template, saddr: '192.0.2.1', daddr: '192.0.2.2', spi: 0, reqid: 3 }],
  };
  check(
    { kind: 'policy', policy },
    [
      'peer=192.0.2.2',
      'peer=10.0.0.0/8',
      'src=10.0.0.0/16',
      'reqid=3',
      'dir=in,fwd',
      'dst=0.0.0.0/0',
    ],
    ['peer=10.0.0.0/24', 'peer=10.0.0.0', 'src=192.0.2.1', 'dst=10.0.0.0/8', 'reqid=0', 'dir=out'],
  );
});

test('a flush passes unless it cannot concern the filtered objects', () => {
  const header = { type: 0, flags: 0, seq: 0, portId: 0 };
  const flush = (proto: 'any' | 'esp') =>
    ({ kind: 'FLUSHSA', protocol: 'xfrm', header, time, proto }) as const;
  check(flush('any'), ['proto=ah', 'peer=10.0.0.1', 'spi!=4', 'kind=FLUSHSA'], ['kind=NEWSA']);
  check(flush('esp'), ['proto=esp', 'peer=10.0.0.1 proto=esp'], ['proto=ah', 'proto!=esp']);
  const policies = { kind: 'FLUSHPOLICY', protocol: 'xfrm', header, time } as const;
  check(policies, ['dir=in', 'if_id=5'], ['kind!=FLUSHPOLICY']);
});

test('lost and malformed events always pass', () => {
  const lost = {
    kind: 'overrun',
    protocol: 'xfrm',
    code: 'ENOBUFS',
    count: 1,
    slowConsumer: false,
    time,
  } as const;
  const broken = {
    kind: 'malformed',
    protocol: 'xfrm',
    reason: '',
    path: [],
    offset: 0,
    time,
  } as const;
  for (const one of [lost, broken]) check(one, ['spi=1', 'kind=NEWSA', 'proto!=esp'], []);
});

test('every term can be evaluated for every kind of message', () => {
  const values: Record<string, string> = {
    peer: '::/0',
    src: '0.0.0.0/0',
    dst: '0.0.0.0/0',
    proto: 'esp',
    spi: '0',
    reqid: '0',
    mark: '0',
    if_id: '0',
    dir: 'in',
    kind: 'unknown',
  };
  const seed = runSeed();
  console.log(`seed ${seed}`);
  const random = new Random(seed);
  for (const kind of [...events, ...answers, ...requests]) {
    for (let i = 0; i < 30; i++) {
      const one = event(messageBytes(kind, random));
      for (const [key] of filterHelp) {
        const found = passes(`${key}=${values[key]}`, one);
        const not = passes(`${key}!=${values[key]}`, one);
        // One of the two, unless it is about no SA or policy, or (a flush) about all.
        const subject = subjectOf(one);
        if (subject === undefined && key !== 'kind') assert(!found && !not);
        else if (subject?.all && key !== 'kind') assert(found || not);
        else assert.notEqual(found, not, `${one.kind} ${key}`);
      }
    }
  }
});

test('an error names the mistake and its position', () => {
  const cases: [terms: string[], message: string][] = [
    [
      ['proto=esp', 'sip=1'],
      "'sip' is not a filter key: use peer, src, dst, proto, spi, reqid, mark, if_id, dir, kind\n  proto=esp sip=1\n            ^^^",
    ],
    [
      ['peer=10.0.0.0/33'],
      "invalid value '10.0.0.0/33' for peer: expected a network (10.0.0.0/8, 2001:db8::/32) or an address\n  peer=10.0.0.0/33\n       ^^^^^^^^^^^",
    ],
    [
      ['spi!=1,2,x,4'],
      "invalid value 'x' for spi: expected an SPI (0x1001 or 4097)\n  spi!=1,2,x,4\n           ^",
    ],
    [
      ['spi=4294967296'],
      "invalid value '4294967296' for spi: expected an SPI (0x1001 or 4097)\n  spi=4294967296\n      ^^^^^^^^^^",
    ],
    [
      ['mark=1/'],
      "invalid value '1/' for mark: expected a mark (0x10 or 0x10/0xff)\n  mark=1/\n       ^^",
    ],
    [['reqid'], "'reqid' must be followed by = or !=, and a number\n  reqid\n       ^"],
    [['dir='], "invalid value '' for dir: expected one of in, out, fwd\n  dir=\n      ^"],
    [
      ['\x1b[2J=1'],
      "'\\x1b[2J' is not a filter key: use peer, src, dst, proto, spi, reqid, mark, if_id, dir, kind\n  \\x1b[2J=1\n  ^^^^^^^",
    ],
    [
      [`spi=${'x'.repeat(5000)}`],
      `invalid value '${'x'.repeat(100)}…' for spi: expected an SPI (0x1001 or 4097)`,
    ],
    // Somebody may paste a key: nothing of it is repeated.
    [
      ['proto=esp', 'key=0x00112233445566778899'],
      "'key' is not a filter key: use peer, src, dst, proto, spi, reqid, mark, if_id, dir, kind",
    ],
    [
      ['spi=0x00112233445566778899'],
      "invalid value 'a string of 22 characters' for spi: expected an SPI (0x1001 or 4097)",
    ],
  ];
  for (const [terms, message] of cases) {
    assert.throws(
      () => new Filter(terms),
      (error) => {
        assert(error instanceof FilterError);
        assert.equal(error.message, message);
        assert.equal(error.code, 'ERR_FILTER');
        return true;
      },
    );
  }
  for (const term of [
    'kind=NEWS',
    'toString=1',
    '',
    '=',
    'mark=1/2/3',
    'peer=1.2.3',
    'peer=1.2.3.4/08x',
    'dir=3',
  ]) {
    assert.throws(() => new Filter([term]), FilterError, term);
  }
  for (const wrong of ['spi=1', [1], undefined]) {
    assert.throws(
      () => new Filter(wrong as unknown as string[]),
      /^TypeError: terms(\[0\] must be a string| must be an array of strings)/,
    );
  }
});

test('every key and every kind of record is in docs/command.md', () => {
  const file = join(import.meta.dirname, '../../../docs/command.md');
  const [, filters = '', json = ''] = readFileSync(file, 'utf8').split(/^## (?=Filters|JSON)/m);
  for (const [key] of filterHelp) assert(filters.includes(`\`${key}\``), key);
  for (const kind of schemaKinds.filter((name) => /^[a-z]+$/.test(name))) {
    if (kind !== 'unknown' && kind !== 'rtnetlink') assert(json.includes(`\`${kind}\``), kind);
  }
});

test('filters that the kernel supports are passed to it', () => {
  const asked = (terms: string) => new Filter(terms.split(' ')).states;
  assert.deepEqual(asked('proto=esp src=10.0.0.0/8 dst=10.1.2.3 spi=4'), {
    proto: 'esp',
    saddr: '10.0.0.0/8',
    daddr: '10.1.2.3/32',
  });
  for (const terms of [
    'proto=esp,ah',
    'proto!=esp',
    'src!=10.0.0.1',
    'peer=10.0.0.1',
    'proto=any',
  ]) {
    assert.deepEqual(asked(terms), {}, terms);
  }
  assert.deepEqual(asked('src=10.0.0.1 dst=2001:db8::1'), { saddr: '10.0.0.1/32' });
});

test('a network contains the addresses with its prefix', () => {
  const holds = (network: string, address: string, length?: number) => {
    const parsed = parseNetwork(network);
    assert(parsed, network);
    return contains(parsed, address, length);
  };
  assert(holds('10.0.0.0/8', '10.255.0.1'));
  assert(!holds('10.0.0.0/8', '11.0.0.0'));
  assert(holds('10.128.0.0/9', '10.129.0.0'));
  assert(!holds('10.128.0.0/9', '10.127.0.0'));
  assert(holds('0.0.0.0/0', '1.2.3.4'));
  assert(!holds('0.0.0.0/0', '::1'));
  assert(!holds('0.0.0.0/0', 'any'));
  assert(holds('2001:db8::/33', '2001:db8:7fff::1'));
  assert(!holds('2001:db8::/33', '2001:db8:8000::1'));
  assert(holds('10.0.0.0/8', '10.0.0.0', 8));
  assert(!holds('10.0.0.0/8', '10.0.0.0', 7));
  for (const text of [
    '',
    '10.0.0.0/',
    '10.0.0/8',
    '10.0.0.0/33',
    '::/129',
    '10.0.0.0/8/8',
    '10.0.0.0/ 8',
  ]) {
    assert.equal(parseNetwork(text), undefined, text);
  }
});
