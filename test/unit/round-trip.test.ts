/** XFRM messages to bytes and back: generated ones, and each field of them changed in turn. */
import assert from 'node:assert/strict';
import { isIPv4 } from 'node:net';
import { test } from 'node:test';
import { inspect, isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { MessageWriter } from '../../lib/wire/message-writer.ts';
import { OpaqueBytes } from '../../lib/wire/opaque.ts';
import { textSize } from '../../lib/wire/text.ts';
import { NO_LIMIT } from '../../lib/wire/time.ts';
import { type EncodableXfrmMessage, encodeXfrm } from '../../lib/xfrm/encode.ts';
import { KeyMaterial } from '../../lib/xfrm/key-material.ts';
import type { XfrmMessage } from '../../lib/xfrm/requests.ts';
import { captures } from './captures.ts';
import { answers, events, type Kind, messageBytes, requests } from './generate.ts';
import { messagesOf } from './messages.ts';
import { generated, Random, runSeed } from './random.ts';

const kinds = [...events, ...answers, ...requests];
const writer = new MessageWriter();

function encode(message: EncodableXfrmMessage): Uint8Array {
  writer.wipe();
  encodeXfrm(writer, message);
  return writer.written();
}

function decode(bytes: Uint8Array, keys = true): XfrmMessage {
  const [[, message] = [], ...more] = messagesOf(bytes, { keys });
  assert(message !== undefined && message.kind !== 'malformed', inspect(message));
  assert.equal(more.length, 0);
  return message;
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

/** Runs a property over messages of all kinds. The seed is printed; NETLINK_XFRM_SEED repeats it. */
function forMessages(numRuns: number, check: (bytes: Uint8Array, kind: Kind) => void): void {
  const seed = runSeed();
  console.log(`seed ${seed}`);
  const property = fc.property(fc.nat(kinds.length - 1), fc.noBias(fc.integer()), (index, one) => {
    const kind = kinds[index] as Kind;
    check(messageBytes(kind, new Random(one)), kind);
  });
  fc.assert(property, { numRuns: generated(numRuns), seed, includeErrorInReport: true });
}

test('a generated message decodes, and encodes to the same bytes', () => {
  const seen = new Set<Kind>();
  forMessages(6000, (bytes, kind) => {
    const message = decode(bytes);
    assert.notEqual(message.kind, 'unknown');
    assert.equal(hex(encode(message)), hex(bytes));
    seen.add(kind);
  });
  assert.equal(seen.size, kinds.length);
});

test('any decodable message survives a round trip', () => {
  const recorded = captures('xfrm').map(({ bytes }) => bytes);
  const mutation = fc.tuple(fc.nat(), fc.nat(255));
  let count = 0;
  const seed = runSeed();
  console.log(`seed ${seed}`);
  fc.assert(
    fc.property(
      fc.constantFrom(...recorded),
      fc.array(mutation, { maxLength: 4 }),
      (bytes, mutations) => {
        const mutated = bytes.slice();
        for (const [at, value] of mutations) mutated[at % mutated.length] = value;
        for (const [, message] of messagesOf(mutated, { keys: true })) {
          if (message.kind === 'malformed') continue;
          const again = decode(encode(message));
          assert.deepEqual(again, message);
          assert.deepEqual(values(again), values(message));
          count++;
        }
      },
    ),
    { numRuns: generated(4000), seed, includeErrorInReport: true },
  );
  assert(count > generated(2000), `${count} messages`);
});

type Path = readonly (string | number)[];
type Leaf = readonly [path: Path, value: unknown];

const isFlags = (value: object): value is { mask: number } => 'mask' in value && 'names' in value;

/** The primitive values of a decoded message, with their paths. */
function leaves(value: unknown, path: Path = []): Leaf[] {
  if (typeof value !== 'object' || value === null) return [[path, value]];
  if (value instanceof OpaqueBytes || value instanceof Uint8Array || isFlags(value)) {
    return [[path, value]];
  }
  const entries = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
  return entries.flatMap(([key, item]) => leaves(item, [...path, key]));
}

/** A value as deepEqual can compare it: two keys of one length look the same to it. */
const shown = (value: unknown) =>
  value instanceof OpaqueBytes ? hex(value.bytes() ?? new Uint8Array()) : value;

/** All values of a message by their paths, comparable. */
const values = (message: unknown) =>
  new Map(leaves(message).map(([path, value]) => [path.join('.'), shown(value)]));

/** A copy with the value at a path replaced. */
function replaced(value: unknown, [key, ...rest]: Path, by: unknown): unknown {
  if (key === undefined) return by;
  const inner = (value as Record<string | number, unknown>)[key];
  const changed = replaced(inner, rest, by);
  if (Array.isArray(value)) return value.with(key as number, changed);
  return { ...(value as object), [key]: changed };
}

/** Properties that are not fields: the kind of the message and when it was read. */
const NO_FIELD = new Set([
  'kind',
  'message',
  'protocol',
  'header.type',
  'time.wall',
  'time.monotonic',
  // The family of the SA's addresses is that of the template of its protocol.
  'acquire.proto',
  'acquire.templates.[].proto',
  'acquire.templates.[].family',
]);

const flip = (bytes: Uint8Array) => bytes.map((byte, i) => (i === 0 ? byte ^ 1 : byte));

/** Another value in place of one; undefined where there is none that leaves the rest as it is. */
function another([path, value]: Leaf, holder: Record<string, unknown>): unknown {
  const name = String(path.at(-1));
  if (value instanceof KeyMaterial) {
    return value.length === 0 ? undefined : new KeyMaterial(flip(value.bytes()));
  }
  if (value instanceof OpaqueBytes) {
    return value.length === 0 ? undefined : new OpaqueBytes(flip(value.bytes() as Uint8Array));
  }
  if (value instanceof Uint8Array) return value.length === 0 ? undefined : flip(value);
  if (typeof value === 'object' && value !== null)
    return ((value as { mask: number }).mask ^ 2) >>> 0;
  if (/At$/.test(name)) return ((value as number | undefined) ?? 0) + 1000;
  if (value === NO_LIMIT) return name.endsWith('Seconds') ? 7 : 7n;
  if (/(Add|Use)Seconds$/.test(name)) return (value as number) + 1;
  if (typeof value === 'bigint') return value ^ 1n;
  if (typeof value === 'boolean') return !value;
  if (/^(family|oldFamily|newFamily)$/.test(name)) {
    // A known family decides how addresses are written; of unknown ones, one is like the other.
    return typeof value !== 'number' ? undefined : value === 98 ? 99 : 98;
  }
  if (typeof value === 'number') {
    // Keys need whole bytes, labels have a NUL at the end or none.
    if (name === 'keyBits')
      return value % 8 > 1 || (value > 0 && value % 8 === 0) ? value - 1 : undefined;
    if (name === 'labelLength') {
      const length = textSize(holder.label as string);
      return value === length ? length + 1 : length;
    }
    if (name === 'flags' && path[0] === 'header') return value ^ 0x800;
    if (name === 'flags' && path.includes('unknown')) return value ^ 0x4000;
    return value % 2 === 0 ? value + 1 : value - 1;
  }
  if (typeof value !== 'string') return undefined;
  if (name === 'name') return value === 'x' ? 'y' : 'x';
  if (name === 'label') {
    // As many bytes.
    const [first] = value;
    if (first === undefined) return undefined;
    const by = first === 'x' ? 'y' : 'x'.repeat(textSize(first));
    return `${by}${value.slice(first.length)}`;
  }
  if (/addr|local|remote|^oa$/i.test(name)) {
    if (isIPv4(value)) return value === '192.0.2.9' ? '192.0.2.8' : '192.0.2.9';
    if (value.includes(':')) return value === '2001:db8::9' ? '::' : '2001:db8::9';
    return value === 'f'.repeat(32) ? 'any' : 'f'.repeat(32);
  }
  return 9; // an enumeration, whose numbers may have no name
}

/** What is too large to be exact has its digits elsewhere: two fields of one number. */
function isInTwo(message: unknown, path: Path): boolean {
  const { exact } = valueAt(message, path.slice(0, -1)) as { exact?: object };
  return path.includes('exact') || (exact !== undefined && String(path.at(-1)) in exact);
}

const valueAt = (message: unknown, path: Path): unknown =>
  path.reduce((object, key) => (object as Record<string | number, unknown>)[key], message);

test('changing a field changes only that field', () => {
  const changed = new Set<string>();
  const seen = new Map<string, number>();
  forMessages(1200, (bytes) => {
    const message = decode(bytes);
    const before = values(message);
    for (const leaf of leaves(message)) {
      const [path, value] = leaf;
      const place = path.map((key) => (typeof key === 'number' ? '[]' : key)).join('.');
      if (NO_FIELD.has(place) || isInTwo(message, path)) continue;
      const kind = message.kind === 'request' ? `request ${message.message}` : message.kind;
      // What is empty can't be changed and stay as long as it is.
      if ((value as { length?: number } | undefined)?.length !== 0) {
        const field = `${kind}.${place}`;
        seen.set(field, (seen.get(field) ?? 0) + 1);
      }
      const by = another(leaf, valueAt(message, path.slice(0, -1)) as Record<string, unknown>);
      if (by === undefined) continue;
      const again = decode(encode(replaced(message, path, by) as XfrmMessage));
      const after = values(again);
      const differing = [...new Set([...before.keys(), ...after.keys()])].filter(
        (one) => !isDeepStrictEqual(before.get(one), after.get(one)),
      );
      assert.deepEqual(
        differing,
        [path.join('.')],
        `${place}: ${inspect(value)} to ${inspect(by)}`,
      );
      // A number may come back as the name it has, and an attribute without payload not at all.
      const now = after.get(path.join('.'));
      if (now !== undefined && typeof now === typeof by) assert.deepEqual(now, shown(by), place);
      changed.add(`${kind}.${place}`);
    }
  });
  assert(changed.size > generated(1500), `${changed.size} fields changed`);
  // All that were seen often, but for families that happened to be known ones each time.
  const rest = [...seen].filter(
    ([field, times]) => times > 4 && !changed.has(field) && !/family$/i.test(field),
  );
  assert.deepEqual(rest, []);
});
