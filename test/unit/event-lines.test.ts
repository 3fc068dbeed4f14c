/** Lines of JSON from the bytes of events: the same as of the decoded events, or none. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { JSON_ROOM, jsonKind, writeEventLine } from '../../lib/json/event-lines.ts';
import { JsonWriter } from '../../lib/json/json-writer.ts';
import { formatLine } from '../../lib/json/line.ts';
import { jsonLine } from '../../lib/json/to-json.ts';
import { NLM_F_REQUEST } from '../../lib/netlink/constants.ts';
import { readHeader } from '../../lib/wire/message.ts';
import { decodeXfrm } from '../../lib/xfrm/decode.ts';
import { captures } from './captures.ts';
import { events, type Limits, messageBytes } from './generate.ts';
import { often, RUNS } from './often.ts';
import { inputOf, KEY_SHOWN, ordinaryMessage } from './ordinary.ts';

const out = Buffer.alloc(2 * JSON_ROOM);
const view = new DataView(out.buffer, out.byteOffset);
const MARGIN = 0xa5;
const margin = Buffer.alloc(out.length, MARGIN);

/** The line that the bytes of a message have; undefined if they are refused. */
function written(message: Uint8Array, wall?: number): string | undefined {
  const input = inputOf(message, wall);
  if (jsonKind(input.view, 0) === undefined) return undefined;
  out.fill(MARGIN);
  const line = new JsonWriter(view, 1);
  const done = writeEventLine(input, 0, message.length, line);
  const { at } = line;
  assert.equal(out[0], MARGIN);
  const beyond = done ? at + 7 : 1 + JSON_ROOM;
  assert(out.subarray(beyond).equals(margin.subarray(beyond)));
  if (!done) assert.equal(at, 1);
  return done ? out.toString('latin1', 1, at) : undefined;
}

/** The line, the same as decoded, which it must be; undefined if it is refused. */
function check(message: Uint8Array): string | undefined {
  const line = written(message);
  if (line !== undefined) {
    const event = decodeXfrm(inputOf(message), 0, message.length);
    assert.equal(line, `${formatLine(event, false)}\n`);
    assert.equal(line, `${jsonLine(event)}\n`);
  }
  return line;
}

/** Recorded events of the kinds that are written from their bytes. */
const recorded = captures('xfrm').filter(({ bytes, messages }) => {
  const { view } = inputOf(bytes);
  if (messages.length !== 1 || jsonKind(view, 0) === undefined) return false;
  return (readHeader(view, 0).flags & NLM_F_REQUEST) === 0;
});

test('recorded events are written from their bytes, all of them', () => {
  assert(recorded.length > 60, `${recorded.length}`);
  const refused = recorded.filter(({ bytes }) => check(bytes) === undefined);
  assert.deepEqual(
    refused.map(({ name }) => name),
    [],
  );
});

test('ordinary events are written, all of them, without their keys', () => {
  const lines = often((random) => check(ordinaryMessage(random)));
  assert.equal(lines.length, RUNS);
  for (const line of lines) assert.doesNotMatch(line, KEY_SHOWN);
});

/** What lines consist of; all of it is to be seen. */
const PARTS = [
  ...['NEWSA', 'UPDSA', 'DELSA', 'EXPIRE', 'NEWPOLICY', 'UPDPOLICY', 'DELPOLICY', 'POLEXPIRE'].map(
    (kind) => new RegExp(`"kind":"${kind}"`),
  ),
  /"hard":(true|false|\d+)/,
  /"softBytes":"\d{11,}"/,
  /"hardAddSeconds":\d{9,}/,
  /"bitmap":\[\d+,\d+/,
  /"ifindex":-\d+/,
  /"lastUsedAt":\d+/,
  /"templates":\[\{[^[\]]*\},\{/,
  /"names":\["/,
  /"iptfsDontFrag":true/,
  /"coaddr":"/,
  /"daddr":"[0-9a-f]{32}"/,
  /"daddr":"any"/,
];

/** Without what is always refused: unknown attributes, labels, names that need escapes, huge times. */
const PLAIN: Limits = {
  unknown: false,
  timeBits: 32,
  character: (random) => 65 + random.below(26),
  without: ['securityContext'],
};
const kinds = events.filter(({ name }) =>
  PARTS.some((part) => part.test(`"kind":"${name.slice(9)}"`)),
);

test('events of any content are written as the decoded ones are, or left to be decoded', () => {
  const lines = often((random) => check(messageBytes(random.pick(kinds), random)));
  assert(lines.length < RUNS / 10, `${lines.length}`);
  const plain = often((random) => check(messageBytes(random.pick(kinds), random, PLAIN)));
  assert(plain.length > RUNS / 2, `${plain.length}`);
  for (const part of PARTS)
    assert(
      plain.some((line) => part.test(line)),
      String(part),
    );
});

test('malformed events are written as they are decoded, or not at all', () => {
  let changed = 0;
  const lines = often((random) => {
    const whole = random.chance(1, 2) ? random.pick(recorded).bytes : ordinaryMessage(random);
    const message = random.chance(1, 4)
      ? whole.slice(0, 16 + random.below(whole.length - 15))
      : whole.slice();
    for (let i = random.below(4); i > 0; i--) {
      message[16 + random.below(message.length - 16)] = random.number(8);
    }
    changed++;
    return check(message);
  });
  assert(lines.length > changed / 10 && lines.length < changed / 1.1, `${lines.length}`);
});

test('each line has the time of its batch', () => {
  const [{ bytes } = { bytes: Buffer.alloc(0) }] = recorded;
  for (const wall of [0, 1_700_000_000_000, 1_700_000_000_000, 5]) {
    const line = JSON.parse(written(bytes, wall) ?? '');
    assert.equal(line.time, new Date(wall).toISOString());
  }
});
