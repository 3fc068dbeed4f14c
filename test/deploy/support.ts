/** What the tests of contrib/ share. @module */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const root = join(import.meta.dirname, '../../..');

/** A directory that is removed when the tests end. */
export function temporary(): string {
  const folder = mkdtempSync(join(tmpdir(), 'netlink-xfrm-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
