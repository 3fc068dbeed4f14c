/** The tables of lib/ against the newest kernel headers that Debian has. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import * as constants from '../../lib/constants.ts';
import { checkConstants, checkRawStructs, checkStructs, namesIn } from '../unit/layout.ts';
import { fetchPackages } from './fetch.ts';

let folder = '';
let include = '';

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'netlink-xfrm-'));
  include = join(await fetchPackages(folder, 'sid', ['linux-libc-dev']), 'usr/include');
});
after(() => rmSync(folder, { recursive: true, force: true }));

const folders = () => [include, join(include, 'x86_64-linux-gnu')];

test('every struct is that of the newest header', () => {
  assert.deepEqual(checkStructs(folders()), []);
  checkRawStructs(folders());
});

test('every constant is in the newest headers, with its value', () => {
  // These came with 7.3, whose headers sid may not have yet.
  const newer = ['IFA_MC_USERS', 'RTA_DEL_REASON'];
  assert.deepEqual(
    checkConstants(folders()).filter((name) => !newer.includes(name)),
    [],
  );
});

test('no number of the newest headers is missing', () => {
  // Not for programs: ends of enumerations, which move, and what is gone from the kernel or private.
  const left =
    /_MAX$|_NR_MSGTYPES$|^NL_MMAP_|^NL_ATTR_TYPE_|^NL_POLICY_TYPE_|^MAX_LINKS$|^NET_MAJOR$|_UNUSED$|CONNECTED$/;
  for (const header of ['xfrm.h', 'netlink.h']) {
    const names = namesIn(include, header).filter(
      (name) => !/^_|_H$/.test(name) && !left.test(name),
    );
    assert(names.length > 50, header);
    assert.deepEqual(
      names.filter((name) => !(name in constants)),
      [],
      header,
    );
  }
});
