/** What the library gives as JSON: as the command prints it, without keys, and in units that the names say. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { formatJson } from '../../lib/cli/json.ts';
import {
  EncodeError,
  jsonLine,
  jsonLines,
  jsonReplacer,
  KernelError,
  NO_LIMIT,
  type StateEntry,
  type TunnelChange,
  toJson,
  type XfrmSnapshot,
} from '../../lib/index.ts';
import { changeJson } from '../../lib/json/tunnel.ts';
import type { XfrmPolicy } from '../../lib/xfrm/objects.ts';
import { checkLine, schemaFile } from '../schema.ts';
import { captures } from './captures.ts';
import { messagesOf } from './messages.ts';
import { ago, NOW, piling, sa, tunnel } from './tunnel-samples.ts';

const hexOf = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const recorded = (keys: boolean) =>
  captures('xfrm').flatMap(({ bytes }) => messagesOf(bytes, { keys }).map(([, one]) => one));

test('an event converts to what the command prints, as a line and as data', () => {
  let count = 0;
  for (const keys of [false, true]) {
    for (const message of recorded(keys)) {
      if (message.kind === 'malformed') continue;
      const line = formatJson(message, keys);
      assert.equal(jsonLine(message, { keys }), line);
      assert.deepEqual(toJson(message, { keys }), JSON.parse(line));
      checkLine(line);
      count++;
    }
  }
  assert(count > 100, `${count} messages`);
});

test('keys are shown only on explicit request', () => {
  let count = 0;
  for (const message of recorded(true)) {
    if (message.kind !== 'NEWSA' || message.state.aead?.key === undefined) continue;
    const key = hexOf(message.state.aead.key.bytes() as Uint8Array);
    const entry = { id: 'x', uid: 'x #1', value: message.state, countersReadAt: message.time };
    for (const value of [message, message.state, entry]) {
      assert(!JSON.stringify(toJson(value)).includes(key));
      assert(!JSON.stringify(value, jsonReplacer).includes(key));
      assert(JSON.stringify(toJson(value, { keys: true })).includes(key));
    }
    count++;
  }
  assert(count > 3, `${count} SAs with keys`);
});

test('JSON.stringify takes everything with the replacer', () => {
  for (const message of recorded(true)) {
    const parsed = JSON.parse(JSON.stringify(message, jsonReplacer));
    assert.equal(parsed.kind, message.kind);
  }
  const text = JSON.stringify(
    { count: 5n, bytes: Uint8Array.of(1, 2), none: NO_LIMIT },
    jsonReplacer,
  );
  assert.equal(text, '{"count":"5","bytes":"[2 bytes]","none":null}');
  const error = JSON.parse(JSON.stringify(new EncodeError('odd', ['NEWSA']), jsonReplacer));
  assert.equal(error.message, 'NEWSA › odd');
});

test('no limit is null, moments are numbers, counters are digits', () => {
  const { value } = sa('in', 0x2001);
  const limits = { ...value.lifetime, hardBytes: NO_LIMIT, softAddSeconds: 60 };
  const json = toJson({ ...value, lifetime: limits, lastUsedAt: NOW }) as {
    [Name in string]?: Record<string, unknown>;
  };
  assert.deepEqual(
    [json.lifetime?.hardBytes, json.lifetime?.softAddSeconds, json.lastUsedAt],
    [null, 60, NOW],
  );
  assert.deepEqual([json.current?.addedAt, json.current?.bytes], [NOW - 240_000, '1200']);
  assert(NO_LIMIT > 2n ** 64n && NO_LIMIT > Number.MAX_VALUE);
});

test('tunnels, their changes and snapshots are as the command prints them', () => {
  const one = tunnel();
  const up: TunnelChange = { kind: 'up', before: 'down', tunnel: one, time: ago(5) };
  assert.equal(jsonLine(up), formatJson(changeJson(up), false));
  checkLine(jsonLine(up));
  const snapshot = {
    label: undefined,
    tunnels: [one],
    warnings: [piling],
    synced: true,
    countersReadAt: ago(0),
  };
  const lines = [...jsonLines(snapshot)];
  assert.deepEqual(lines.map(checkLine), ['tunnel', 'host-warning']);
  const { tunnel: shown } = JSON.parse(lines[0] ?? '');
  assert.deepEqual(toJson(one), shown);
  const whole = toJson(snapshot) as { tunnels: unknown[]; countersReadAt: number };
  assert.deepEqual(whole.tunnels, [shown]);
  assert.equal(whole.countersReadAt, NOW);
  // Of several namespaces, each has its label.
  const labelled = jsonLine({ ...up, label: 'red' });
  assert.equal(labelled, formatJson(changeJson(up), false, { netns: 'red' }));
  const [line = ''] = jsonLines({ ...snapshot, label: 'red' });
  assert.equal(checkLine(line), 'tunnel');
  assert.equal(JSON.parse(line).netns, 'red');
  assert.deepEqual(toJson([one, up]), [shown, JSON.parse(jsonLine(up))]);
  const closed = { kind: 'closed', label: 'red', error: new Error('gone') };
  assert.deepEqual(toJson(closed), {
    kind: 'closed',
    label: 'red',
    error: { name: 'Error', message: 'gone' },
  });
  assert.deepEqual((toJson({ kind: 'synced', snapshot }) as { snapshot: unknown }).snapshot, whole);
});

test('a snapshot of tables is a line for each entry, made one by one', () => {
  let read = 0;
  const states: StateEntry[] = [];
  for (let spi = 256; spi < 300; spi++) {
    const entry = { ...sa('in', spi), countersReadAt: ago(0) };
    states.push(
      Object.defineProperty(entry, 'value', {
        get: () => {
          read++;
          return sa('in', spi).value;
        },
      }),
    );
  }
  const message = recorded(false).find(({ kind }) => kind === 'NEWPOLICY');
  const { policy } = message as unknown as { policy: XfrmPolicy };
  const policies = [{ id: 'p', uid: 'p #1', value: policy, countersReadAt: ago(0) }];
  const snapshot = {
    states,
    policies,
    synced: true,
    countersReadAt: ago(0),
  } as unknown as XfrmSnapshot;
  const lines = jsonLines(snapshot);
  assert.equal(checkLine(lines.next().value ?? ''), 'state');
  assert.equal(read, 1);
  const rest = [...lines].map(checkLine);
  assert.deepEqual([rest.length, rest.at(-1)], [states.length, 'policy']);
  assert.equal([...jsonLines(states)].length, states.length);
});

test('an error is its members, and what caused it', () => {
  const refused = new KernelError({
    request: 'XFRM_MSG_NEWSA',
    object: 'SA esp 192.0.2.1 → 192.0.2.2 spi 0x00000101',
    ack: { errno: 17 } as never,
  });
  const json = toJson(refused) as Record<string, unknown>;
  assert.deepEqual(
    [json.name, json.code, json.request],
    ['KernelError', 'EEXIST', 'XFRM_MSG_NEWSA'],
  );
  assert.match(String(json.message), /EEXIST/);
  const outer = toJson(new Error('no', { cause: refused })) as { cause: { code: string } };
  assert.equal(outer.cause.code, 'EEXIST');
  assert.throws(
    () => toJson(() => 1),
    /value must be something with a JSON form; received a function/,
  );
});

/** Each member of the schema, with its name. */
function membersOf(schema: unknown, found: [string, Record<string, unknown>][] = []) {
  if (typeof schema !== 'object' || schema === null) return found;
  const { properties } = schema as { properties?: Record<string, Record<string, unknown>> };
  if (properties && !Array.isArray(properties)) found.push(...Object.entries(properties));
  for (const inner of Object.values(schema)) membersOf(inner, found);
  return found;
}

test('names of times state their unit, and values have that unit', () => {
  const all = membersOf(JSON.parse(schemaFile));
  const isNumber = (of: unknown): boolean =>
    ['number', 'integer', 'null'].includes((of as { type: string }).type) ||
    /U(8|16|32)$/.test(String((of as { $ref?: string }).$ref)) ||
    ((of as { anyOf?: unknown[] }).anyOf ?? []).some(isNumber);
  const isTime = /(Seconds|Ms|Us|[a-z]At)$/;
  let times = 0;
  for (const [name, of] of all) {
    const digits = JSON.stringify(of).includes('#/$defs/U64"');
    const doc = String(of.description ?? '');
    if (isTime.test(name)) {
      // Those that are too large for a number have their digits in `exact`.
      assert(digits || isNumber(of), `${name} is no number`);
      times++;
    } else if (/\b(seconds|ms|µs|1\/100 s)\b/i.test(doc)) {
      const known = ['monotonic', 'timerThreshold', 'timePerUnit'];
      assert(known.includes(name), `${name}: ${doc}`);
    }
  }
  assert(times > 60, `${times} times`);
  const page = readFileSync(join(import.meta.dirname, '../../../docs/values.md'), 'utf8');
  for (const suffix of ['…Seconds', '…Ms', '…Us', '…At', 'timerThreshold'])
    assert(page.includes(suffix));
});
