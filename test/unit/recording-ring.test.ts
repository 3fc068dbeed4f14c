/** The files of a ring. */
import assert from 'node:assert/strict';
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { BlockWriter } from '../../lib/recording/block-writer.ts';
import { RecordingFile, RecordingRing } from '../../lib/recording/files.ts';
import { RecordingError } from '../../lib/recording/recorded.ts';
import { Recording } from '../../lib/recording/recording.ts';
import { HOST } from './recordings.ts';

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

test('a block that could not be brought to the disk is not there twice', async (t) => {
  const path = join(folder, 'once.nxr');
  const file = await RecordingFile.open(path);
  const probe = await open(path);
  const prototype = Object.getPrototypeOf(probe) as FileHandle;
  await probe.close();
  const later = performance.now() + 60_000;
  t.mock.method(performance, 'now', () => later);
  const full = () => Promise.reject(Object.assign(new Error('of a test'), { code: 'EIO' }));
  const sync = t.mock.method(prototype, 'datasync', full, { times: 1 });
  await assert.rejects(file.write(blockOf(1)), { code: 'EIO' });
  await file.write(blockOf(1));
  sync.mock.restore();
  await file.close();
  assert.equal(file.size, blockOf(1).length);
  assert.deepEqual(readFileSync(path), Buffer.from(blockOf(1)));
});

test('a ring can be opened while its oldest file is deleted', async () => {
  const ring = join(folder, 'rotating');
  const store = await RecordingRing.open(ring, SIZE);
  const writer = new BlockWriter(store, () => HOST, { origin: 0 });
  writer.at(1, 1);
  writer.note(0, { kind: 'end' });
  await writer.end();
  await store.close();
  // In the list of its files, and gone when it is opened.
  symlinkSync('nowhere', join(ring, '0000000000.nxr'));
  assert.equal([...new Recording(ring).records()].at(-1)?.kind, 'note');
  unlinkSync(join(ring, '0000000001.nxr'));
  assert.throws(() => new Recording(ring), RecordingError);
  assert.throws(() => new Recording(join(ring, '0000000000.nxr')), { code: 'ENOENT' });
});
