/** What came with kernels newer than 6.1; run where at least one lab kernel has it. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { KernelError, XfrmClient } from '../../lib/index.ts';
import { caused } from '../kernel/caused.ts';
import { KEY_HEX, ofKind, withoutEsp } from '../kernel/support.ts';

const key = Uint8Array.from(Buffer.from(KEY_HEX, 'hex'));
const aead = { name: 'rfc4106(gcm(aes))', icvBits: 128, key };
const LEFT = '192.0.2.1';
const RIGHT = '192.0.2.2';
const OUT = { saddr: LEFT, daddr: RIGHT, proto: 'esp', mode: 'transport', reqid: 70 } as const;
const IN = { saddr: RIGHT, daddr: LEFT, proto: 'esp', mode: 'transport', reqid: 70 } as const;
const patience = { timeout: 600_000 };

const client = new XfrmClient();
after(() => client.close());

test('one SA that moves makes a MIGRATE_STATE', { ...patience, skip: withoutEsp }, async (t) => {
  await client.addState({ ...OUT, mode: 'tunnel', spi: 0x7004, aead });
  const id = { daddr: RIGHT, spi: 0x7004, proto: 'esp' } as const;
  const moved = { newSaddr: LEFT, newDaddr: '192.0.2.4', newReqid: 72 };
  try {
    const event = await caused(
      () => client.migrateState({ id, ...moved }),
      ofKind('MIGRATE_STATE'),
    );
    const { newSaddr, newDaddr, newReqid } = event.migration;
    assert.deepEqual({ newSaddr, newDaddr, newReqid }, moved);
    assert.deepEqual(event.migration.id, { ...id, family: 'inet' });
    assert.equal((await client.getState({ daddr: '192.0.2.4', spi: 0x7004 })).reqid, 72);
  } catch (error) {
    if (!(error instanceof KernelError && error.code === 'EINVAL')) throw error;
    t.skip('this kernel has no MIGRATE_STATE (it came with 7.2)');
  } finally {
    await client.flushStates();
  }
});

test('SAs of one direction say which', { ...patience, skip: withoutEsp }, async (t) => {
  try {
    const { ignoredAttributes } = await client.addState({ ...OUT, spi: 0x7005, aead, dir: 'out' });
    if (ignoredAttributes?.includes('XFRMA_SA_DIR')) {
      t.skip('this kernel has no directions (they came with 6.10)');
      return;
    }
    const inbound = await caused(
      () => client.addState({ ...IN, spi: 0x7006, aead, dir: 'in', replayWindow: 32 }),
      ofKind('NEWSA'),
    );
    assert.equal(inbound.state.dir, 'in');
    const gone = await caused(
      () => client.deleteState({ daddr: RIGHT, spi: 0x7005 }),
      ofKind('DELSA'),
    );
    assert.equal(gone.state.dir, 'out');
    const expired = await caused(
      () => client.expireState({ daddr: LEFT, spi: 0x7006 }, true),
      ofKind('EXPIRE'),
    );
    assert.deepEqual([expired.hard, expired.state.dir], [true, 'in']);
  } finally {
    await client.flushStates();
  }
});
