/** The files of a ring. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { RecordingRing } from '../../lib/recording/files.ts';
import { RecordingError } from '../../lib/recording/recorded.ts';

const folder = mkdtempSync(join(tmpdir(), 'netlink-xfrm-ring-'));
after(() => rmSync(folder, { recursive: true }));

const SIZE = 128 * 1024;
const blockOf = (byte: number) => new Uint8Array(60 * 1024).fill(byte);

test('two recorders do not replace each other’s files', async () => {
  const ring = join(folder, 'shared');
  const [first, second] = [
    await RecordingRing.open(ring, SIZE),
    await RecordingRing.open(ring, SIZE),
  ];
  await first.write(blockOf(1));
  await assert.rejects(
    second.write(blockOf(2)),
    new RecordingError(`another recorder writes to ${ring}: give each a directory of its own`),
  );
  assert.deepEqual(readdirSync(ring), ['0000000001.nxr']);
  assert(readFileSync(join(ring, '0000000001.nxr')).includes(Buffer.from(blockOf(1))));
  // The one that was first goes on.
  await first.write(blockOf(3));
  assert.deepEqual(readdirSync(ring).sort(), ['0000000001.nxr', '0000000002.nxr']);
  await Promise.all([first.close(), second.close()]);
});

test('what a killed recorder left half written is removed, what a running one writes is not', async () => {
  const ring = join(folder, 'left');
  await (await RecordingRing.open(ring, SIZE)).close();
  const running = `0000000002.nxr.${process.pid}.new`;
  // No process has this number (the limit of pid_max is 2^22, proc(5)).
  for (const name of [`0000000001.nxr.${2 ** 22 + 1}.new`, running]) {
    writeFileSync(join(ring, name), 'half');
  }
  await (await RecordingRing.open(ring, SIZE)).close();
  assert.deepEqual(readdirSync(ring), [running]);
});
