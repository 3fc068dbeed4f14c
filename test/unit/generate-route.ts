/**
 * rtnetlink messages made of bytes: of attributes that are given, and random ones of every kind from
 * the tables of structs and attributes. Nothing of the encoder is used.
 * @module
 */
import * as R from '../../lib/constants.ts';
import * as bodies from '../../lib/route/bodies.ts';
import { attributesBytes, structBytes } from './generate.ts';
import type { Random } from './random.ts';

/** Bytes of an attribute. */
export function attribute(type: number, ...payload: (number | Uint8Array)[]): number[] {
  const bytes = payload.flatMap((one) => (typeof one === 'number' ? [one] : [...one]));
  const length = bytes.length + 4;
  while (bytes.length % 4 !== 0) bytes.push(0);
  return [length & 0xff, length >> 8, type & 0xff, type >> 8, ...bytes];
}

/** A message of a struct and attributes. */
export function message(type: number, fixed: number[], ...attributes: number[][]): Uint8Array {
  while (fixed.length % 4 !== 0) fixed.push(0);
  const body = [...fixed, ...attributes.flat()];
  const length = 16 + body.length;
  return Uint8Array.from([
    ...[length & 0xff, length >> 8, 0, 0, type, 0, 0, 0, 7, 0, 0, 0, 9, 0, 0, 0],
    ...body,
  ]);
}

/** A kind of message: its type, its flags, its object, and the families that may have. */
export interface Kind {
  readonly type: number;
  readonly request: boolean;
  /** Undefined for a message that stays raw. */
  readonly body: bodies.Body<object> | undefined;
  readonly families: readonly number[];
}

const IP = [2, 10];

/** Each object, with the families it may have and the types of messages about it: events, requests. */
const OBJECTS: [bodies.Body<object>, families: number[], events: number[], requests: number[]][] = [
  [
    bodies.link,
    [0],
    [R.RTM_NEWLINK, R.RTM_DELLINK],
    [
      R.RTM_NEWLINK,
      R.RTM_DELLINK,
      R.RTM_GETLINK,
      R.RTM_SETLINK,
      R.RTM_NEWLINKPROP,
      R.RTM_DELLINKPROP,
      R.RTM_GETLINKPROP,
    ],
  ],
  [bodies.port, [7], [R.RTM_NEWLINK, R.RTM_DELLINK], [R.RTM_SETLINK, R.RTM_GETLINK]],
  [bodies.inet6, [10], [R.RTM_NEWLINK, R.RTM_DELLINK], [R.RTM_GETLINK]],
  [
    bodies.address,
    IP,
    [
      R.RTM_NEWADDR,
      R.RTM_DELADDR,
      R.RTM_NEWMULTICAST,
      R.RTM_DELMULTICAST,
      R.RTM_NEWANYCAST,
      R.RTM_DELANYCAST,
    ],
    [R.RTM_NEWADDR, R.RTM_DELADDR, R.RTM_GETADDR, R.RTM_GETMULTICAST, R.RTM_GETANYCAST],
  ],
  [
    bodies.route,
    [2, 10, 28, 128, 129],
    [R.RTM_NEWROUTE, R.RTM_DELROUTE],
    [R.RTM_NEWROUTE, R.RTM_DELROUTE, R.RTM_GETROUTE],
  ],
  [
    bodies.neighbour,
    [2, 10, 7],
    [R.RTM_NEWNEIGH, R.RTM_DELNEIGH],
    [R.RTM_NEWNEIGH, R.RTM_DELNEIGH, R.RTM_GETNEIGH],
  ],
  [
    bodies.rule,
    [2, 10, 128],
    [R.RTM_NEWRULE, R.RTM_DELRULE],
    [R.RTM_NEWRULE, R.RTM_DELRULE, R.RTM_GETRULE],
  ],
  [
    bodies.nexthop,
    [0, 2, 10],
    [R.RTM_NEWNEXTHOP, R.RTM_DELNEXTHOP],
    [R.RTM_NEWNEXTHOP, R.RTM_DELNEXTHOP, R.RTM_GETNEXTHOP],
  ],
  [bodies.nsid, [0], [R.RTM_NEWNSID, R.RTM_DELNSID], [R.RTM_NEWNSID, R.RTM_GETNSID]],
  [bodies.netconf, [2, 10, 28], [R.RTM_NEWNETCONF, R.RTM_DELNETCONF], [R.RTM_GETNETCONF]],
  [bodies.prefix, [10], [R.RTM_NEWPREFIX], []],
];

const ofTypes = (types: number[], request: boolean, body: Kind['body'], families: number[]) =>
  types.map((type): Kind => ({ type, request, body, families }));

/** All kinds of messages. */
export const kinds: readonly Kind[] = [
  ...OBJECTS.flatMap(([body, families, events, requests]) => [
    ...ofTypes(events, false, body, families),
    ...ofTypes(requests, true, body, families),
  ]),
  { type: R.RTM_NEWQDISC, request: false, body: undefined, families: [0] },
  { type: R.RTM_NEWLINK, request: false, body: undefined, families: [45] },
];

/** In what family the addresses of a message are; -1 for either. */
const addressFamily: Readonly<Record<number, number>> = { 0: -1, 7: -1, 128: 2, 129: 10 };

/** A message of a kind. */
export function routeBytes({ type, request, body, families }: Kind, random: Random): Uint8Array {
  const family = random.pick(families);
  const raw = type === R.RTM_NEWLINK ? 16 : 20;
  const fixed = body === undefined ? random.bytes(raw) : structBytes(body.header, random);
  fixed[0] = family;
  const outer = addressFamily[family] ?? family;
  const attributes =
    body === undefined
      ? Array.from({ length: random.below(4) }, () =>
          Uint8Array.from(attribute(1 + random.below(99), random.bytes(random.below(9)))),
        )
      : attributesBytes(body.table, random, {}, outer);
  const bytes = message(type, [...fixed], ...attributes.map((one) => [...one]));
  if (request) bytes[6] = 1; // NLM_F_REQUEST
  return bytes;
}
