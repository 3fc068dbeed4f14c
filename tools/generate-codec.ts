/**
 * Turns the tables of structs and attributes into codecs: types, straight-line readers and writers.
 * (A reader that walks the tables at run time is 3 to 6 times slower: docs/performance.md.) The
 * results are committed; a unit test compares them with the tables.
 *
 *   npm run generate
 * @module
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as attributes from '../lib/xfrm/attributes.ts';
import * as names from '../lib/xfrm/names.ts';
import * as structs from '../lib/xfrm/structs.ts';
import * as toy from '../test/codec/tables.ts';
import { generate, type Protocol } from './codec/module.ts';

/** All protocols whose codec is generated. */
export const protocols: readonly Protocol[] = [
  {
    name: 'XFRM',
    file: 'lib/xfrm/codec.ts',
    wire: '../wire/',
    sources: 'structs.ts and attributes.ts',
    structs: Object.values(structs),
    tables: [attributes.attributes, attributes.sadAttributes, attributes.spdAttributes],
    imports: { key: ['KeyMaterial'], names: Object.keys(names) },
  },
  {
    name: 'a toy',
    file: 'test/codec/codec.ts',
    wire: '../../lib/wire/',
    sources: 'tables.ts',
    structs: [],
    tables: [toy.inner, toy.outer, toy.toy],
    imports: {},
  },
];

if (process.argv[1] === import.meta.filename) {
  for (const protocol of protocols) {
    writeFileSync(join(import.meta.dirname, '../..', protocol.file), generate(protocol));
  }
}
