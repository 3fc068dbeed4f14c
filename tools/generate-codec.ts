/**
 * Generates codecs from the tables of structs and attributes: types, straight-line readers and writers.
 * (A reader that interprets the tables at run time would do so for every message.) The
 * results are committed; a unit test checks that they are up to date.
 *
 *   npm run generate
 * @module
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as route from '../lib/route/attributes.ts';
import * as links from '../lib/route/link-attributes.ts';
import * as routeNames from '../lib/route/names.ts';
import * as routeStructs from '../lib/route/structs.ts';
import * as attributes from '../lib/xfrm/attributes.ts';
import * as messageAttributes from '../lib/xfrm/message-attributes.ts';
import * as names from '../lib/xfrm/names.ts';
import * as structs from '../lib/xfrm/structs.ts';
import * as toy from '../test/codec/tables.ts';
import { generate, type Protocol } from './codec/module.ts';
import { withNested } from './codec/shape.ts';

/** All protocols with generated codecs. */
export const protocols: readonly Protocol[] = [
  {
    name: 'XFRM',
    folder: 'lib/xfrm',
    wire: '../wire/',
    sources: 'structs.ts and attributes.ts',
    // xfrm_id occurs only inside other structs, whose types include its fields.
    structs: Object.values(structs).filter((one) => one !== structs.xfrm_id),
    tables: [attributes.attributes, attributes.sadAttributes, attributes.spdAttributes],
    imports: { 'key-material': ['KeyMaterial'], names: Object.keys(names) },
    json: {
      file: 'lib/json/xfrm-members.ts',
      wire: '../wire/',
      protocol: '../xfrm/',
      structs: [
        structs.xfrm_usersa_info,
        structs.xfrm_userpolicy_info,
        structs.xfrm_usersa_id,
        structs.xfrm_userpolicy_id,
      ],
      table: attributes.attributes,
      attributes: new Set<string>([...messageAttributes.STATE, ...messageAttributes.POLICY]),
    },
  },
  {
    name: 'a toy',
    folder: 'test/codec',
    wire: '../../lib/wire/',
    sources: 'tables.ts',
    structs: [],
    tables: [toy.inner, toy.outer, toy.toy],
    imports: {},
  },
  {
    name: 'rtnetlink',
    folder: 'lib/route',
    wire: '../wire/',
    sources: 'structs.ts, attributes.ts, link-attributes.ts and link-kinds.ts',
    structs: Object.values(routeStructs),
    tables: withNested([...Object.values(links), ...Object.values(route)]),
    imports: { names: Object.keys(routeNames) },
  },
];

if (process.argv[1] === import.meta.filename) {
  for (const protocol of protocols) {
    for (const [file, text] of Object.entries(generate(protocol))) {
      writeFileSync(join(import.meta.dirname, '../..', file), text);
    }
  }
}
