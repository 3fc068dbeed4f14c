/** The published JSON Schema: it is current, and it describes what the command prints. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { formatJson, type JsonRecord } from '../../lib/cli/json.ts';
import { type DecodeInput, type DecodeMessage, decodeDatagram } from '../../lib/netlink/event.ts';
import { decodeRouteMessage } from '../../lib/route/decode-message.ts';
import type { RouteMessage } from '../../lib/route/requests.ts';
import { decodeXfrmMessage } from '../../lib/xfrm/decode-message.ts';
import type { XfrmMessage } from '../../lib/xfrm/requests.ts';
import { schemaText } from '../../tools/generate-schema.ts';
import { checkLine, schemaFile, schemaKinds, validate } from '../schema.ts';
import { capture, captures } from './captures.ts';
import { answers, events, messageBytes, requests } from './generate.ts';
import { kinds, routeBytes } from './generate-route.ts';
import { generated, Random, runSeed } from './random.ts';

const time = { wall: 1_700_000_000_000, monotonic: 5 };

/** The lines of JSON that a datagram comes to. */
function lines(bytes: Uint8Array, protocol: 'xfrm' | 'route', keys: boolean): string[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const input: DecodeInput = { view, bytes, time, keys };
  const all: string[] = [];
  const decode: DecodeMessage<XfrmMessage | RouteMessage> =
    protocol === 'xfrm' ? decodeXfrmMessage : decodeRouteMessage;
  decodeDatagram(input, 0, bytes.length, false, decode, (event) => {
    all.push(formatJson(event.kind === 'malformed' ? { ...event, protocol } : event, keys));
  });
  return all;
}

/** Those of tunnels and recordings have their own tests (tunnel-text, tunnel-command, kernel/command-tunnel-life). */
const kernelKinds = schemaKinds.filter(
  (kind) =>
    !/^(tunnel|host-warning|check|counter|finding|diagnosis|recording|difference|why)/.test(kind),
);

test('the schema matches the tables', () => {
  assert.equal(schemaFile, schemaText(), 'run "npm run generate"');
  const published = new URL(import.meta.resolve('netlink-xfrm/schema/event-2.json'));
  assert.equal(readFileSync(published, 'utf8'), schemaFile);
});

test('every kind of recorded message conforms to it, with and without keys', () => {
  const seen = new Set<string>();
  for (const protocol of ['xfrm', 'route'] as const) {
    for (const { bytes } of captures(protocol)) {
      for (const keys of [false, true]) {
        for (const line of lines(bytes, protocol, keys)) seen.add(checkLine(line));
      }
    }
  }
  // Not recorded; generated ones are below.
  const elsewhere =
    /^(MIGRATE_STATE|namespace|overrun|policy|state|summary|synced|rtnetlink|NEWPORT|NEWPREFIX|(NEW|DEL)(ANYCAST|NEXTHOP)|DELIFINFO)$/;
  const missing = kernelKinds.filter((kind) => !seen.has(kind) && !kind.startsWith('request'));
  assert.deepEqual(
    missing.filter((kind) => !elsewhere.test(kind)),
    [],
  );
});

test('generated messages of all kinds conform to it', () => {
  const seed = runSeed();
  console.log(`seed ${seed}`);
  const random = new Random(seed);
  const seen = new Set<string>();
  for (let i = 0; i < generated(500); i++) {
    for (const kind of [...events, ...answers, ...requests]) {
      const bytes = messageBytes(kind, random);
      for (const line of lines(bytes, 'xfrm', random.chance(1, 2))) seen.add(checkLine(line));
      if (i % 100 > 0) continue;
      // A type that no kernel has yet, and a message cut short.
      const other = bytes.slice();
      new DataView(other.buffer).setUint16(4, 60_000, true);
      for (const line of lines(other, 'xfrm', true)) seen.add(checkLine(line));
      for (const line of lines(bytes.slice(0, -4), 'xfrm', true)) seen.add(checkLine(line));
    }
  }
  for (let i = 0; i < generated(100); i++) {
    for (const kind of kinds) {
      for (const line of lines(routeBytes(kind, random), 'route', false)) seen.add(checkLine(line));
    }
  }
  const missing = kernelKinds.filter((kind) => !seen.has(kind));
  const elsewhere = ['namespace', 'overrun', 'policy', 'state', 'summary', 'synced'];
  assert.deepEqual(missing.sort(), elsewhere);
});

test('lines between events conform to it', () => {
  const totals = { events: 2, kinds: { NEWSA: 2 }, overruns: 0, rejected: 1 };
  const records: JsonRecord[] = [
    { kind: 'overrun', protocol: 'xfrm', code: 'ENOBUFS', count: 1, slowConsumer: false, time },
    { kind: 'malformed', protocol: 'xfrm', reason: 'odd', path: ['NEWSA'], offset: 4, time },
    { kind: 'synced', protocol: 'xfrm', listed: 4, time },
    { kind: 'summary', ...totals, time },
    { kind: 'namespace', netns: 'blue', state: 'removed', time },
    { kind: 'namespace', netns: null, state: 'added', error: 'setns EPERM', time },
  ];
  for (const record of records) {
    const line = formatJson(record, false);
    assert.equal(checkLine(line), record.kind);
    assert(validate(JSON.parse(line)));
  }
});

test('the origin and the claimed requester of an event conform to it', () => {
  const [bytes = ''] = lines(capture('uml-6.1/newsa_m.event0'), 'xfrm', false);
  const event = JSON.parse(bytes);
  for (const netns of ['blue', null]) assert(validate({ ...event, netns }));
  for (const claimedBy of [{ pid: 812, name: 'charon' }, null]) {
    assert(validate({ ...event, claimedBy }));
  }
  for (const wrong of [{ netns: 5 }, { claimedBy: 'charon[812]' }, { claimedBy: { pid: 812 } }]) {
    assert(!validate({ ...event, ...wrong }), JSON.stringify(wrong));
  }
});

test('it rejects invalid lines, and accepts members of later versions', () => {
  const [line = ''] = lines(capture('uml-6.1/newsa_m.event0'), 'xfrm', false);
  const event = () => structuredClone(JSON.parse(line));
  assert(validate(event()));
  assert(validate({ ...event(), more: 1 }));
  const wrong: [path: string, value: unknown][] = [
    ['state', undefined],
    ['state.lifetime.hardBytes', undefined],
    ['kind', 'NEWSTATE'],
    ['schema', 'netlink-xfrm/event/1'],
    ['state.spi', '0x1001'],
    ['state.spi', 2 ** 32],
    ['state.mode', 'tunel'],
    ['state.current.bytes', 5],
    ['state.lifetime.hardBytes', 'unlimited'],
    ['state.lifetime.hardBytes', 5],
    ['state.current.bytes', null],
    ['state.current.addedAt', '1795292496'],
    ['state.flags.names', ['nothing']],
  ];
  for (const [path, value] of wrong) {
    const changed = event();
    const names = path.split('.');
    const last = names.pop() ?? '';
    const holder = names.reduce((all, name) => all[name], changed);
    assert(last in holder, path);
    holder[last] = value;
    assert(!validate(changed), path);
  }
});
