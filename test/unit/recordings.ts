/**
 * Streams of events, recorded; and what must hold for any.
 * @module
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import type { HostInfo } from '../../lib/recording/records.ts';
import { MessageWriter } from '../../lib/wire/message-writer.ts';
import { encodeXfrm } from '../../lib/xfrm/encode.ts';
import type { XfrmMessage } from '../../lib/xfrm/requests.ts';
import { messagesOf } from './messages.ts';

/** A host that is recorded. */
export const HOST: HostInfo = {
  session: 'one',
  hostname: 'gate',
  kernel: { release: '6.1.0', version: '#1', machine: 'x86_64' },
  version: '0.2.0',
  bootId: 'boot',
  utcOffset: 0,
  keys: false,
  namespaces: [null],
};

/** What two strongSwan daemons made a kernel announce (test/fixtures/README.md). */
export const strongswan = (): Uint8Array =>
  readFileSync(
    join(import.meta.dirname, '../../../test/fixtures/recordings/strongswan-uml-6.1.nl'),
  );

/** Decodes a recording, encodes it again and checks that nothing is lost; gives the messages. */
export function roundTrip(recording: Uint8Array): XfrmMessage[] {
  const writer = new MessageWriter();
  return messagesOf(recording, { keys: true }).map(([bytes, message]) => {
    assert(message.kind !== 'malformed' && message.kind !== 'unknown', inspect(message));
    writer.wipe();
    encodeXfrm(writer, message);
    const [[, again] = []] = messagesOf(writer.written(), { keys: true });
    assert.deepEqual(again, message);
    // Some kernels align 64-bit numbers by an empty attribute more (XFRMA_PAD, 27).
    const hex = Buffer.from(bytes).toString('hex').slice(8);
    const encoded = Buffer.from(writer.written()).toString('hex').slice(8);
    assert(encoded === hex || encoded === hex.replace('04001b00', ''), message.kind);
    return message;
  });
}

/** What a negotiation by traffic with rekeying amounts to, whoever does it. */
export function checkNegotiation(messages: readonly XfrmMessage[]): void {
  const kinds = messages.map(({ kind }) => kind);
  for (const kind of ['ACQUIRE', 'NEWSA', 'UPDSA', 'NEWAE', 'EXPIRE', 'DELSA'] as const) {
    assert(kinds.includes(kind), `${kind} in ${[...new Set(kinds)]}`);
  }
  assert(kinds.includes('NEWPOLICY') || kinds.includes('UPDPOLICY'));
  // The inbound SA was larval (ALLOCSPI) and got its keys; only the outbound one is new.
  const added = (kind: 'NEWSA' | 'UPDSA') =>
    messages.flatMap((one) => (one.kind === kind ? [one.state] : []));
  assert(added('UPDSA').every(({ daddr }) => daddr === '192.0.2.1'));
  assert(added('NEWSA').every(({ daddr }) => daddr === '192.0.2.2'));
  for (const { aead } of [...added('NEWSA'), ...added('UPDSA')]) {
    assert.deepEqual([aead?.name, aead?.keyBits], ['rfc4106(gcm(aes))', 160]);
    assert.equal(aead?.key?.length, 20);
  }
  // A rekey: the second outbound SA comes before the first one goes.
  const outbound = messages.flatMap((one) =>
    (one.kind === 'NEWSA' || one.kind === 'DELSA') && one.state.daddr === '192.0.2.2' ? [one] : [],
  );
  const [first, second] = outbound;
  assert(first?.kind === 'NEWSA' && second?.kind === 'NEWSA');
  const gone = outbound.find(
    ({ kind, state }) => kind === 'DELSA' && state.spi === first.state.spi,
  );
  assert(gone !== undefined && gone.state.current.packets > 0n);
  assert(messages.some((one) => one.kind === 'EXPIRE' && one.hard === false));
}
