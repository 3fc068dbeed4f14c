/** Events printed from their bytes: the same lines as of the decoded events, or none. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import pc from 'picocolors';
import { LINE_ROOM, printEvent, printedKind } from '../../lib/cli/printer/event-printer.ts';
import { formatEvent } from '../../lib/cli/text/event.ts';
import { NLM_F_REQUEST } from '../../lib/netlink/constants.ts';
import { AsciiWriter } from '../../lib/wire/ascii.ts';
import { align4 } from '../../lib/wire/attribute.ts';
import { NLMSG_HDRLEN, readHeader } from '../../lib/wire/message.ts';
import { decodeXfrm } from '../../lib/xfrm/decode.ts';
import { messages } from '../../lib/xfrm/messages.ts';
import { type EncodableXfrmMessage, encodeXfrm, MessageWriter } from '../../lib/xfrm.ts';
import { captures } from './captures.ts';
import { events, messageBytes } from './generate.ts';
import { often, RUNS } from './often.ts';
import { inputOf, KEY_SHOWN, ordinaryMessage } from './ordinary.ts';

const colors = pc.createColors(false);
const out = Buffer.alloc(2 * LINE_ROOM);
const view = new DataView(out.buffer, out.byteOffset);
const MARGIN = 0xa5;
const margin = Buffer.alloc(out.length, MARGIN);

/** The line that the bytes of a message have; undefined if they are refused. */
function printed(message: Uint8Array): string | undefined {
  const input = inputOf(message);
  if (printedKind(input.view, 0) === undefined) return undefined;
  out.fill(MARGIN);
  const line = new AsciiWriter(view, 1);
  const done = printEvent(input, 0, message.length, line);
  const { at } = line;
  assert.equal(out[0], MARGIN);
  // Whole words are stored.
  const beyond = done ? at + 7 : 1 + LINE_ROOM;
  assert(out.subarray(beyond).equals(margin.subarray(beyond)));
  if (!done) assert.equal(at, 1);
  return done ? out.toString('latin1', 1, at) : undefined;
}

const decoded = (message: Uint8Array) =>
  `${formatEvent(decodeXfrm(inputOf(message), 0, message.length), colors)}\n`;

/** The line, the same as decoded, which it must be; undefined if it is refused. */
function check(message: Uint8Array): string | undefined {
  const line = printed(message);
  if (line !== undefined) assert.equal(line, decoded(message));
  return line;
}

/** Recorded events of the kinds that are printed from their bytes. */
const recorded = captures('xfrm').filter(({ bytes, messages }) => {
  const { view } = inputOf(bytes);
  if (messages.length !== 1 || printedKind(view, 0) === undefined) return false;
  return (readHeader(view, 0).flags & NLM_F_REQUEST) === 0;
});

test('recorded events of SAs and policies are printed, as the decoded ones are', () => {
  const refused = recorded.filter(({ bytes }) => check(bytes) === undefined);
  assert.deepEqual(
    refused.map(({ name }) => name),
    [],
  );
  assert(recorded.length > 50, `${recorded.length}`);
});

/** What lines are made of, beyond what each has: all of it is to be seen. */
const PARTS = [
  / UPDSA /,
  / DELSA /,
  / UPDPOLICY /,
  / DELPOLICY /,
  / transport reqid /,
  / 77 0x[0-9a-f]{8} 9 reqid /,
  / rfc4106\(gcm\(aes\)\)\/160/,
  / hmac\(sha1\)\/128/,
  / hmac\(sha256\)\/\d+/,
  / cbc\(aes\)\/\d+/,
  / deflate/,
  / dir (in|out)/,
  / dir 7/,
  / espinudp \d+>\d+/,
  / 3 \d+>\d+/,
  / mark 0x[0-9a-f]+\/0x[0-9a-f]+/,
  / if_id 0x[0-9a-f]+/,
  / cpu \d+/,
  / offload ifindex \d+/,
  / time \d+\/\d+s/,
  / time -\/\d+s/,
  / use \d+\/-s/,
  / bytes \d+\/-/,
  / bytes -\/\d+/,
  / packets \d+\/\d+/,
  / used \d+B\/\d+p/,
  / outside-window \d+/,
  / replayed \d+/,
  / integrity-failed \d+/,
  /::/,
  / \d+\.\d+\.\d+\.\d+\/\d+:\d+ > \d+\.\d+\.\d+\.\d+\/\d+:\d+ /,
  / proto \d+ ifindex \d+ (allow|block|2) /,
  / type sub/,
  / type 4/,
  / fwd /,
  / 5 [0-9a-f.:]+\/\d+/,
  / \[esp transport reqid \d+\]/,
  / \[77 9 [0-9a-f:.]+ > [0-9a-f:.]+ reqid \d+ spi 0x[0-9a-f]{8} optional\]/,
  /(\[[^\]]+\] ?){6}/,
  / claims port \d+\n$/,
];

test('ordinary events are printed, all of them, as the decoded ones are', () => {
  const lines = often((random) => check(ordinaryMessage(random)));
  assert.equal(lines.length, RUNS);
  for (const part of PARTS)
    assert(
      lines.some((line) => part.test(line)),
      String(part),
    );
  for (const line of lines) assert.doesNotMatch(line, KEY_SHOWN);
});

test('events of any content are printed as the decoded ones are, or left to be decoded', () => {
  const lines = often((random) => check(messageBytes(random.pick(events), random)));
  assert(lines.length < RUNS / 10);
});

test('the last one of a repeated attribute counts; unknown ones are skipped', () => {
  const lines = often((random) => {
    const message = ordinaryMessage(random);
    const other = ordinaryMessage(random);
    const kind = printedKind(inputOf(other).view, 0);
    assert(kind);
    const more = other.subarray(NLMSG_HDRLEN + align4(messages[kind].event.size));
    return check(new Uint8Array(Buffer.concat([message, more])));
  });
  assert.equal(lines.length, RUNS);
});

test('more templates than the kernel takes, and words that are not there, are not printed', () => {
  const of = (message: EncodableXfrmMessage) => {
    const writer = new MessageWriter();
    encodeXfrm(writer, message);
    return writer.written().slice();
  };
  const policy = (templates: number): EncodableXfrmMessage => ({
    kind: 'NEWPOLICY',
    policy: {
      selector: { family: 'inet' },
      templates: Array(templates).fill({ family: 'inet6' }),
    },
  });
  assert(check(of(policy(6))));
  assert.equal(check(of(policy(7))), undefined);
  const state = of({
    kind: 'NEWSA',
    state: { family: 'inet', replayEsn: { bitmap: [0x55555555, 2] } },
  });
  assert(check(state));
  const words = Buffer.from(state).indexOf((0x55555555).toString(16), 'hex') - 24;
  assert.equal(state[words], 2);
  state[words] = 3;
  assert.equal(check(state), undefined);
});

test('malformed messages are not printed', () => {
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
