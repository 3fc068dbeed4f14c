/**
 * What may be told of XFRM messages while debugging: everything but keys.
 * @module
 */
import { NLM_F_DUMP } from '../netlink/constants.ts';
import type { Family } from '../netlink/trace.ts';
import { attributesByNumber } from '../wire/attribute-table.ts';
import { attributesOf } from './attributes.ts';
import { fixedSize, messageName } from './messages.ts';
import * as S from './structs.ts';

const WITH_KEYS: ReadonlySet<object> = new Set([S.xfrm_algo, S.xfrm_algo_auth, S.xfrm_algo_aead]);

const find = (messageType: number, type: number) =>
  attributesByNumber(attributesOf(messageName(messageType))).get(type);

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
