/** What torture found (npm run torture) stays mended. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { checkDatagram } from '../../torture/decoders/datagrams.ts';
import { checkWork } from '../../torture/decoders/effort.ts';
import { checkRecording } from '../../torture/decoders/recordings.ts';

const folder = join(import.meta.dirname, '../../../test/fixtures/torture');

for (const file of readdirSync(folder)) {
  const [kind = '', ...words] = file.replace('.hex', '').split('-');
  test(`${kind}: ${words.join(' ')}`, () => {
    const hex = readFileSync(join(folder, file), 'latin1').trim();
    const bytes = new Uint8Array(Buffer.from(hex, 'hex'));
    if (kind === 'recording') assert(checkRecording(bytes) > 0);
    else assert(checkDatagram(kind as 'xfrm' | 'route', bytes) > 0);
  });
}

test('work grows as the input does', () => {
  assert(checkWork() > 8);
});
