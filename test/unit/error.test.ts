/** Errors: their names, and that docs/errors.md has all of them. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import * as library from '../../lib/index.ts';
import { errnoName } from '../../lib/index.ts';
import * as lab from '../../lib/lab/index.ts';
import * as testing from '../../lib/testing/index.ts';
import { describeRequest } from '../../lib/xfrm/text.ts';

test('errno names include those libuv does not know', () => {
  assert.equal(errnoName(constants.errno.ENOBUFS), 'ENOBUFS');
  assert.equal(errnoName(-constants.errno.ENOBUFS), 'ENOBUFS');
  assert.equal(errnoName(constants.errno.EINPROGRESS), 'EINPROGRESS');
  assert.equal(errnoName(99_999), 'Unknown system error -99999');
});

const root = join(import.meta.dirname, '../../..');
const page = readFileSync(join(root, 'docs/errors.md'), 'utf8');
/** The code of some folders of lib/. */
const sources = (...folders: string[]): string =>
  folders
    .flatMap((folder) => readdirSync(join(root, 'lib', folder)).map((name) => join(folder, name)))
    .map((name) => readFileSync(join(root, 'lib', name), 'utf8'))
    .join('\n');
const FOLDERS = ['netlink', 'socket', 'xfrm', 'route', 'monitor', 'tunnel'];
const SOURCES = sources('base', 'wire', 'lab', 'testing', ...FOLDERS);

test('the page lists exactly the exported error classes', () => {
  const classes = Array.from(
    SOURCES.matchAll(/^export class (\w+) extends (?:Error|SystemError)\b/gm),
    ([, name]) => name as string,
  ).sort();
  const exported = [library, lab, testing]
    .flatMap((entry) => Object.entries(entry))
    .filter(([, value]) => typeof value === 'function' && value.prototype instanceof Error)
    .map(([name]) => name)
    .sort();
  assert(classes.length >= 8);
  assert.deepEqual(exported, classes);
  const named = [...page.matchAll(/^\| `(\w+Error)`/gm)].map(([, name]) => name);
  assert.deepEqual(named.sort(), [...classes, 'RangeError', 'TypeError'].sort());
});

test('each code is on the page', () => {
  // What Node says itself is only compared.
  const own = [...SOURCES.matchAll(/'(ERR_\w+)'/g)].map(([, code]) => code as string);
  const codes = new Set(
    own.filter((code) => !/^ERR_(ACCESS_DENIED|DLOPEN_DISABLED|ADDON)$/.test(code)),
  );
  assert.deepEqual(
    [...codes].filter((code) => !page.includes(`\`${code}\``)),
    [],
  );
  const stated = new Set([...page.matchAll(/`(ERR_\w+)`/g)].map(([, code]) => code as string));
  assert.deepEqual(
    [...stated].filter((code) => !codes.has(code)),
    [],
  );
});

test('messages quoted in docs/troubleshooting.md are those of the library', () => {
  const text = readFileSync(join(root, 'docs/troubleshooting.md'), 'utf8');
  const quoted = [...text.matchAll(/^### `.+`: (.+)$/gm)].map(([, words]) => words as string);
  assert(quoted.length > 5);
  const said = SOURCES.replace(/['`] \+\n\s*['`]/g, '');
  assert.deepEqual(
    quoted.filter((words) => !said.includes(words)),
    [],
  );
});

test('no error of the library is without a code', () => {
  const thrown = sources(...FOLDERS, 'json').match(/throw new (?:Type|Range)?Error\(.*/g) ?? [];
  // Slips of the library's own.
  assert.deepEqual(
    thrown.filter((one) => !/unknown index|not in the table|attributes of its own/.test(one)),
    [],
  );
  assert.throws(() => library.jsonLine(() => 1), {
    code: 'ERR_INVALID_ARG_TYPE',
    message: 'value must be something with a JSON form; received a function',
  });
  assert.throws(() => new library.Filter(['spi=1', 5] as never), {
    code: 'ERR_INVALID_ARG_TYPE',
    message: 'terms[1] must be a string; received 5',
  });
});

test('a request is described by the one object that it names', () => {
  const ends = { saddr: '192.0.2.1', daddr: '192.0.2.2' };
  const selector = { saddr: '10.0.0.0', prefixlenS: 8, daddr: '10.1.0.0', prefixlenD: 16 };
  const cases: [Parameters<typeof describeRequest>[0], string | undefined][] = [
    [
      { kind: 'request', message: 'NEWSA', state: { ...ends, proto: 'ah', spi: 257 } },
      'SA ah 192.0.2.1 → 192.0.2.2 spi 0x00000101',
    ],
    [
      { kind: 'request', message: 'ALLOCSPI', allocation: { ...ends, proto: 'esp' } },
      'SA esp 192.0.2.1 → 192.0.2.2',
    ],
    [
      {
        kind: 'request',
        message: 'DELSA',
        id: { daddr: 'fe80::1', spi: 1, proto: 'esp' },
        attributes: { mark: { value: 1, mask: 255 } },
      },
      'SA esp to fe80::1 spi 0x00000001 mark 0x1/0xff',
    ],
    [
      { kind: 'request', message: 'NEWPOLICY', policy: { dir: 'out', selector } },
      'policy out 10.0.0.0/8 → 10.1.0.0/16',
    ],
    [
      { kind: 'request', message: 'GETPOLICY', id: { dir: 'fwd', index: 26 }, attributes: {} },
      'policy fwd index 26',
    ],
    [{ kind: 'request', message: 'GETSA', attributes: {} }, undefined],
    [{ kind: 'request', message: 'FLUSHSA', proto: 'any' }, undefined],
  ];
  for (const [message, text] of cases) assert.equal(describeRequest(message), text);
});
