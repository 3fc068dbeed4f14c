/**
 * The JSON Schema of what the command prints: events, entries of lists, and what is said between
 * them. Which members a kind has is stated here, and held to its type by the compiler.
 * @module
 */
import { EVENT_SCHEMA, type JsonRecord } from '../../lib/cli/json.ts';
import type { RouteEvent } from '../../lib/route/events.ts';
import type { AttributeTable } from '../../lib/wire/attribute-table.ts';
import type { Struct } from '../../lib/wire/struct.ts';
import { attributes, sadAttributes, spdAttributes } from '../../lib/xfrm/attributes.ts';
import * as parts from '../../lib/xfrm/parts.ts';
import type { XfrmRequest } from '../../lib/xfrm/requests.ts';
import * as structs from '../../lib/xfrm/structs.ts';
import { routeDefinitions, routeKinds, routeRequests } from './route.ts';
import { tunnelChanges, tunnelDefinitions, tunnelKinds } from './tunnel.ts';
import {
  type AnyMembers,
  array,
  bytes,
  type Members,
  members,
  object,
  optional,
  reference,
  type Schema,
  string,
  struct,
  truth,
} from './types.ts';

const count: Schema = { type: 'integer', minimum: 0 };

/** An object made of a struct and of attributes. */
function objectOf(
  of: Struct | undefined,
  names: readonly string[],
  doc: string,
  table: AttributeTable = attributes,
): Schema {
  const fixed = of ? members(of) : {};
  const more = optional(table, names);
  return { description: doc, ...object({ ...fixed, ...more }, Object.keys(more)) };
}

const namesOf = ({ attributes }: AttributeTable) => attributes.map(({ name }) => name);

const objects = {
  State: objectOf(structs.xfrm_usersa_info, parts.STATE, 'A security association (SA).'),
  Policy: objectOf(structs.xfrm_userpolicy_info, parts.POLICY, 'A policy.'),
  Acquire: objectOf(structs.xfrm_user_acquire, parts.ACQUIRE, 'A packet that needs an SA.'),
  Aevent: objectOf(structs.xfrm_aevent_id, parts.AEVENT, "News of an SA's counters."),
  Report: objectOf(structs.xfrm_user_report, parts.REPORT, 'A refused Mobile IPv6 packet.'),
  Mapping: objectOf(structs.xfrm_user_mapping, [], "News of a peer's address or port."),
  StateMigration: objectOf(structs.xfrm_user_migrate_state, parts.MIGRATE_STATE, "An SA's move."),
  MigrateAttributes: objectOf(
    undefined,
    parts.MIGRATE.filter((name) => name !== 'migrations'),
    'What else a MIGRATE says.',
  ),
  StateNaming: objectOf(undefined, parts.STATE_ID, 'What else names an SA.'),
  PolicyNaming: objectOf(undefined, parts.POLICY_ID, 'What else names a policy.'),
  Allocation: objectOf(structs.xfrm_userspi_info, parts.ALLOCSPI, 'An SPI that is asked for.'),
  SadInfo: objectOf(undefined, namesOf(sadAttributes), 'Statistics of the SAs.', sadAttributes),
  SpdInfo: objectOf(undefined, namesOf(spdAttributes), 'Statistics of policies.', spdAttributes),
  Header: {
    description:
      "The message's header. seq and portId are what the requester wrote there: claims, no proof " +
      'of who it was. In a NEWAE that traffic or a timer caused, all of it is garbage.',
    ...object({ type: count, flags: count, seq: count, portId: count }),
  },
};

const netns: Schema = {
  description: "The network namespace it comes from, where there are several; null is one's own.",
  type: ['string', 'null'],
};
const claimedBy: Schema = {
  description:
    'The process whose port id the header holds, if that was asked for; null if there is none ' +
    'that can be seen. A claim, no proof.',
  oneOf: [object({ pid: count, name: string }), { type: 'null' }],
};

type ObjectName = keyof typeof objects;
const the = (name: ObjectName): Schema => reference(name);
const structOf = (of: Struct): Schema => reference(of.name);

const header = the('Header');
const state = the('State');
const policy = the('Policy');
const { unknown = {} } = optional(attributes, []);
const flushed = optional(attributes, parts.FLUSHPOLICY) as Record<'policyType' | 'unknown', Schema>;

type OneKind = Exclude<JsonRecord['kind'], 'request' | 'tunnel-change' | RouteEvent['kind']>;
const kinds: { [Kind in OneKind]: Members<Extract<JsonRecord, { kind: Kind }>> } = {
  state: { doc: 'An SA, in a list.', always: { state } },
  policy: { doc: 'A policy, in a list.', always: { policy } },
  synced: {
    doc: 'The list, with the events before this, is what the kernel has; what follows is news.',
    always: { listed: { description: 'Entries of the list.', ...count } },
  },
  NEWSA: { doc: 'An SA was added.', always: { header, state } },
  UPDSA: { doc: 'An SA was changed.', always: { header, state } },
  DELSA: {
    doc: 'An SA was deleted on request.',
    always: { header, id: structOf(structs.xfrm_usersa_id), state },
  },
  EXPIRE: {
    doc: 'An SA reached a limit; a hard one ends it.',
    always: { header, hard: truth, state },
  },
  FLUSHSA: {
    doc: 'All SAs of a protocol were deleted.',
    always: { header, proto: members(structs.xfrm_usersa_flush).proto ?? {} },
    sometimes: { unknown },
  },
  NEWPOLICY: { doc: 'A policy was added.', always: { header, policy } },
  UPDPOLICY: { doc: 'A policy was added or replaced.', always: { header, policy } },
  DELPOLICY: {
    doc: 'A policy was deleted on request.',
    always: { header, id: structOf(structs.xfrm_userpolicy_id), policy },
  },
  POLEXPIRE: {
    doc: 'A policy reached a limit; a hard one ends it.',
    always: { header, hard: truth, policy },
  },
  FLUSHPOLICY: {
    doc: 'All policies of a type were deleted.',
    always: { header },
    sometimes: flushed,
  },
  GETDEFAULT: {
    doc: 'What happens to packets that no policy matches was set.',
    always: { header, defaults: structOf(structs.xfrm_userpolicy_default) },
    sometimes: { unknown },
  },
  ACQUIRE: { doc: 'A packet needs an SA.', always: { header, acquire: the('Acquire') } },
  NEWAE: { doc: "An SA's counters.", always: { header, aevent: the('Aevent') } },
  REPORT: { doc: 'A Mobile IPv6 packet was refused.', always: { header, report: the('Report') } },
  MIGRATE: {
    doc: 'SAs and policies move to other addresses.',
    always: {
      header,
      id: structOf(structs.xfrm_userpolicy_id),
      migrations: array(structOf(structs.xfrm_user_migrate)),
      attributes: the('MigrateAttributes'),
    },
  },
  MIGRATE_STATE: {
    doc: 'One SA moves to other addresses.',
    always: { header, migration: the('StateMigration') },
  },
  MAPPING: {
    doc: "The peer's address or port behind address translation changed.",
    always: { header, mapping: the('Mapping') },
  },
  unknown: { doc: 'A message this version does not know.', always: { header, payload: bytes } },
  NEWSADINFO: {
    doc: 'Statistics of the SAs.',
    always: { header, flags: count, sad: the('SadInfo') },
  },
  NEWSPDINFO: {
    doc: 'Statistics of the policies.',
    always: { header, flags: count, spd: the('SpdInfo') },
  },
  overrun: {
    doc: 'Events were lost before this line.',
    always: { code: string, count },
  },
  malformed: {
    doc: 'A datagram, or a part of one, that does not hold together.',
    always: { reason: string, path: array(string), offset: { type: 'integer' } },
    sometimes: { expected: count, found: { type: 'integer' }, header },
  },
  namespace: {
    doc: 'A network namespace came or went while it was listened to.',
    always: { netns, state: { enum: ['added', 'removed'] } },
    sometimes: { error: string },
  },
  summary: {
    doc: 'The end of a stream.',
    always: {
      events: count,
      kinds: { type: 'object', additionalProperties: count },
      overruns: count,
    },
    sometimes: { rejected: count },
  },
  ...tunnelKinds,
};

type Message = XfrmRequest['message'];
type RequestOf<Name, R = XfrmRequest> = R extends { message: infer Names }
  ? Name extends Names
    ? R
    : never
  : never;

/** What requests hold, in recordings; most the same as the event that they cause. */
const requests: { [Name in Message]: Members<RequestOf<Name>> } = {
  NEWSA: kinds.NEWSA,
  UPDSA: kinds.UPDSA,
  EXPIRE: kinds.EXPIRE,
  FLUSHSA: kinds.FLUSHSA,
  NEWPOLICY: kinds.NEWPOLICY,
  UPDPOLICY: kinds.UPDPOLICY,
  POLEXPIRE: kinds.POLEXPIRE,
  FLUSHPOLICY: kinds.FLUSHPOLICY,
  ACQUIRE: kinds.ACQUIRE,
  NEWAE: kinds.NEWAE,
  MIGRATE: kinds.MIGRATE,
  MIGRATE_STATE: kinds.MIGRATE_STATE,
  GETDEFAULT: kinds.GETDEFAULT,
  NEWSPDINFO: kinds.NEWSPDINFO,
  DELSA: {
    doc: 'Delete an SA.',
    always: { header, id: structOf(structs.xfrm_usersa_id), attributes: the('StateNaming') },
  },
  GETSA: {
    doc: 'Show an SA; without id, all.',
    always: { header, attributes: the('StateNaming') },
    sometimes: { id: structOf(structs.xfrm_usersa_id) },
  },
  ALLOCSPI: { doc: 'Choose an SPI.', always: { header, allocation: the('Allocation') } },
  DELPOLICY: {
    doc: 'Delete a policy.',
    always: { header, id: structOf(structs.xfrm_userpolicy_id), attributes: the('PolicyNaming') },
  },
  GETPOLICY: {
    doc: 'Show a policy; without id, all.',
    always: { header, attributes: the('PolicyNaming') },
    sometimes: { id: structOf(structs.xfrm_userpolicy_id) },
  },
  GETAE: { doc: "Show an SA's counters.", always: { header, aevent: the('Aevent') } },
  GETSADINFO: {
    doc: 'Show statistics of the SAs.',
    always: { header, flags: count },
    sometimes: { unknown },
  },
  GETSPDINFO: {
    doc: 'Show statistics of the policies.',
    always: { header, flags: count },
    sometimes: { unknown },
  },
  SETDEFAULT: { ...kinds.GETDEFAULT, doc: 'Set what happens to packets that no policy matches.' },
};

/** Kinds that are of no protocol, or of any. */
const PROTOCOLS: Readonly<Record<string, Schema | undefined>> = {
  tunnel: undefined,
  'host-warning': undefined,
  check: undefined,
  summary: undefined,
  namespace: undefined,
  overrun: { enum: ['xfrm', 'route'] },
  malformed: { enum: ['xfrm', 'route'] },
};

function record(
  tag: { readonly kind: Schema; readonly message?: Schema; readonly change?: Schema },
  protocol: Schema | undefined,
  { doc, always, sometimes = {} }: AnyMembers,
): Schema {
  const time = {
    time: { description: 'When it was read, or printed.', type: 'string', format: 'date-time' },
    monotonic: { description: 'The same, in ms on a clock that never jumps.', type: 'number' },
  };
  const additions: Record<string, Schema> =
    'header' in always || 'header' in sometimes
      ? { netns, claimedBy }
      : protocol || 'change' in tag || 'tunnel' in always || 'warning' in always
        ? { netns }
        : {};
  const schema = object(
    {
      schema: { const: EVENT_SCHEMA },
      ...tag,
      ...(protocol ? { protocol } : {}),
      ...time,
      ...additions,
      ...always,
      ...sometimes,
    },
    // A recording may not say when.
    [...Object.keys(time), ...Object.keys(additions), ...Object.keys(sometimes)],
  );
  return { description: doc, ...schema };
}

/** What each line is one of. */
function lines(): Schema[] {
  const xfrm = { const: 'xfrm' };
  const route = { const: 'route' };
  const kindsOf = (all: Readonly<Record<string, AnyMembers>>, protocol: Schema) =>
    Object.entries(all).map(([kind, of]) =>
      record({ kind: { const: kind } }, kind in PROTOCOLS ? PROTOCOLS[kind] : protocol, of),
    );
  const requestsOf = (all: Readonly<Record<string, AnyMembers>>, protocol: Schema) =>
    Object.entries(all).map(([name, of]) =>
      record({ kind: { const: 'request' }, message: { const: name } }, protocol, of),
    );
  return [
    ...kindsOf(kinds, xfrm),
    ...kindsOf(routeKinds, route),
    ...requestsOf(requests, xfrm),
    ...requestsOf(routeRequests, route),
    ...Object.entries(tunnelChanges).map(([change, of]) =>
      record({ kind: { const: 'tunnel-change' }, change: { const: change } }, undefined, of),
    ),
  ];
}

/** The definitions that others refer to, from the first on. */
function reachable(from: Schema, all: Readonly<Record<string, Schema>>): Record<string, Schema> {
  const found: Record<string, Schema> = {};
  const visit = (schema: Schema) => {
    for (const [, name = ''] of JSON.stringify(schema).matchAll(/"#\/\$defs\/(\w+)"/g)) {
      const one = all[name];
      if (one === undefined) throw new Error(`no definition is called ${name}`);
      if (name in found) continue;
      found[name] = one;
      visit(one);
    }
  };
  visit(from);
  return Object.fromEntries(Object.entries(found).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** The whole schema. */
export function eventSchema(): Schema {
  const oneOf = lines();
  const all = {
    ...Object.fromEntries(Object.values(structs).map((one) => [one.name, struct(one)])),
    ...objects,
    ...routeDefinitions,
    ...tunnelDefinitions,
  };
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    $id: `urn:${EVENT_SCHEMA.replaceAll('/', ':')}`,
    title: EVENT_SCHEMA,
    description:
      'A line of JSON of netlink-xfrm. Within this version members are only ever added: accept ' +
      'those you do not know.',
    oneOf,
    $defs: reachable({ oneOf }, all),
  };
}
