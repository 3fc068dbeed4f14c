/**
 * What may be told of XFRM messages while debugging: everything but keys.
 * @module
 */
import { NLM_F_DUMP } from '../netlink/constants.ts';
import type { Family } from '../netlink/trace.ts';
import type { AttributeTable } from '../wire/attribute-table.ts';
import { attributes, sadAttributes, spdAttributes } from './attributes.ts';
import * as X from './constants.ts';
import { fixedSize, messageName } from './messages.ts';
import * as S from './structs.ts';

const WITH_KEYS: ReadonlySet<object> = new Set([S.xfrm_algo, S.xfrm_algo_auth, S.xfrm_algo_aead]);

const TABLES = new Map<number, AttributeTable>([
  [X.XFRM_MSG_NEWSADINFO, sadAttributes],
  [X.XFRM_MSG_GETSADINFO, sadAttributes],
  [X.XFRM_MSG_NEWSPDINFO, spdAttributes],
  [X.XFRM_MSG_GETSPDINFO, spdAttributes],
]);

function find(messageType: number, type: number) {
  const table = TABLES.get(messageType) ?? attributes;
  return table.attributes.find(({ number }) => number === type);
}

export const xfrmFamily: Family = {
  messageName: (type) => {
    const name = messageName(type);
    return name === undefined ? undefined : `XFRM_MSG_${name}`;
  },
  fixedSize: (type, flags) => {
    const name = messageName(type);
    // What asks for all names none (net/xfrm/xfrm_user.c, xfrm_dump_sa).
    if ((flags & NLM_F_DUMP) !== 0 && (name === 'GETSA' || name === 'GETPOLICY')) return 0;
    return name === undefined ? undefined : fixedSize(name);
  },
  attributeName: (messageType, type) => find(messageType, type)?.kernel,
  // An attribute nobody knows yet may hold a key.
  showable: (messageType, type) => {
    const known = find(messageType, type);
    return known !== undefined && !(known.type === 'struct' && WITH_KEYS.has(known.struct));
  },
};
