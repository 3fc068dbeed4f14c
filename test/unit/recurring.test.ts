/** Decoding for tables, which shares what recurs: the same values as otherwise. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sharingParts } from '../../lib/wire/recurring.ts';
import { decodeXfrm } from '../../lib/xfrm/decode.ts';
import type { NewSaEvent } from '../../lib/xfrm/events.ts';
import { capture, captures } from './captures.ts';
import { events, type Kind, messageBytes } from './generate.ts';
import { often } from './often.ts';
import { inputOf, ordinaryMessage } from './ordinary.ts';

const decodeShared = sharingParts(decodeXfrm);

/** What decoding returns or throws. */
function outcome(decode: typeof decodeXfrm, message: Uint8Array): unknown {
  try {
    return decode(inputOf(message), 0, message.length);
  } catch (error) {
    return error;
  }
}

/** Twice: once what recurs may be new, once it is known. */
function check(message: Uint8Array): void {
  const plain = outcome(decodeXfrm, message);
  assert.deepEqual(outcome(decodeShared, message), plain);
  assert.deepEqual(outcome(decodeShared, message), plain);
}

test('recorded events', () => {
  for (const { bytes, messages } of captures('xfrm')) if (messages.length === 1) check(bytes);
});

test('any events', () => {
  often((random) => {
    check(ordinaryMessage(random));
    check(messageBytes(events[random.below(events.length)] as Kind, random));
    return undefined;
  });
});

test('a single bit makes another value', () => {
  often((random) => {
    const message = ordinaryMessage(random);
    check(message);
    // Behind the type and the flags.
    const at = random.below(message.length - 16) + 16;
    message[at] = (message[at] as number) ^ (1 << random.below(8));
    check(message);
    return undefined;
  });
});

test('what recurs is one object for tables, and for nobody else', () => {
  const message = capture('uml-6.1/newsa_v4_tunnel_aead.event0');
  const decode = (how: typeof decodeXfrm) => outcome(how, message) as NewSaEvent;
  // After many that did not recur, as in the tests before, only each sixteenth is looked for.
  for (let i = 0; i < 16; i++) decode(decodeShared);
  const [first, second, own] = [decode(decodeShared), decode(decodeShared), decode(decodeXfrm)];
  for (const part of ['lifetime', 'current', 'stats', 'selector', 'aead', 'replay'] as const) {
    assert(first.state[part] !== undefined);
    assert.equal(first.state[part], second.state[part]);
    assert.notEqual(first.state[part], own.state[part]);
  }
  assert.notEqual(first.state, second.state);
});

test('an error ends sharing', () => {
  const message = capture('uml-6.1/newsa_v4_tunnel_aead.event0');
  const known = outcome(decodeShared, message) as NewSaEvent;
  assert(outcome(decodeShared, message.subarray(0, 40)) instanceof Error);
  assert.notEqual(
    (outcome(decodeXfrm, message) as NewSaEvent).state.lifetime,
    known.state.lifetime,
  );
});

test('keys are never shared', () => {
  const message = capture('uml-6.1/newsa_v4_tunnel_aead.event0');
  const withKeys = { ...inputOf(message), keys: true };
  const withKey = decodeShared(withKeys, 0, message.length) as NewSaEvent;
  assert(withKey.state.aead?.key !== undefined);
  assert.equal((outcome(decodeShared, message) as NewSaEvent).state.aead?.key, undefined);
});
