/**
 * JSON Schema of the command's output: events, list entries, and the lines between them. The members
 * of each kind are defined here, and checked against its type by the compiler.
 * @module
 */
import type { JsonRecord } from '../../lib/cli/json.ts';
import { EVENT_SCHEMA } from '../../lib/json/line.ts';
import type { RouteEvent } from '../../lib/route/events.ts';
import type { AttributeTable } from '../../lib/wire/attribute-table.ts';
import type { Struct } from '../../lib/wire/struct.ts';
import { attributes, sadAttributes, spdAttributes } from '../../lib/xfrm/attributes.ts';
import type { Body } from '../../lib/xfrm/bodies.ts';
import * as bodies from '../../lib/xfrm/bodies.ts';
import * as messageAttributes from '../../lib/xfrm/message-attributes.ts';
import {
  type AnswerName,
  type EventName,
  type MessageName,
  messages,
  type RequestName,
} from '../../lib/xfrm/messages.ts';
import * as structs from '../../lib/xfrm/structs.ts';
import { counterKinds } from './counter.ts';
import { findingKinds } from './finding.ts';
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
  optionalOf,
  reference,
  type Schema,
  scalarDefinitions,
  string,
  struct,
  truth,
  unknownAttributes,
} from './types.ts';
import { whyKinds } from './why.ts';

const count: Schema = { type: 'integer', minimum: 0 };

/** An object composed of a struct and attributes. */
function objectOf(
  of: Struct | undefined,
  names: readonly string[],
  doc: string,
  table: AttributeTable = attributes,
): Schema {
  const fixed = of ? members(of) : {};
  const more = optional(table, names);
  return {
    description: doc,
    ...object({ ...fixed, ...more }, [...(of ? optionalOf(of) : []), ...Object.keys(more)]),
  };
}

const namesOf = ({ attributes }: AttributeTable) => attributes.map(({ name }) => name);

const objects = {
  State: objectOf(
    structs.xfrm_usersa_info,
    messageAttributes.STATE,
    'A security association (SA).',
  ),
  Policy: objectOf(structs.xfrm_userpolicy_info, messageAttributes.POLICY, 'A policy.'),
  Acquire: objectOf(
    structs.xfrm_user_acquire,
    messageAttributes.ACQUIRE,
    'A packet that needs an SA.',
  ),
  Aevent: objectOf(structs.xfrm_aevent_id, messageAttributes.AEVENT, "News of an SA's counters."),
  Report: objectOf(
    structs.xfrm_user_report,
    messageAttributes.REPORT,
    'A refused Mobile IPv6 packet.',
  ),
  Mapping: objectOf(structs.xfrm_user_mapping, [], "News of a peer's address or port."),
  StateMigration: objectOf(
    structs.xfrm_user_migrate_state,
    messageAttributes.MIGRATE_STATE,
    "An SA's move.",
  ),
  MigrateAttributes: objectOf(
    undefined,
    messageAttributes.MIGRATE.filter((name) => name !== 'migrations'),
    'What else a MIGRATE says.',
  ),
  StateNaming: objectOf(undefined, messageAttributes.STATE_ID, 'What else names an SA.'),
  PolicyNaming: objectOf(undefined, messageAttributes.POLICY_ID, 'What else names a policy.'),
  Allocation: objectOf(
    structs.xfrm_userspi_info,
    messageAttributes.ALLOCSPI,
    'An SPI that is asked for.',
  ),
  SadInfo: objectOf(undefined, namesOf(sadAttributes), 'Statistics of the SAs.', sadAttributes),
  SpdInfo: objectOf(undefined, namesOf(spdAttributes), 'Statistics of policies.', spdAttributes),
  Header: {
    description:
      "The message's header. seq and portId are what the requester wrote there: claims, no proof " +
      'of who it was. In a NEWAE that traffic or a timer caused, all of it is garbage.',
    ...object({ type: count, flags: count, seq: count, portId: count }),
  },
  UnknownAttributes: unknownAttributes(),
  Time: { description: 'When it was read, or printed.', type: 'string', format: 'date-time' },
  Monotonic: { description: 'The same, in ms on a clock that never jumps.', type: 'number' },
  Namespace: {
    description: "The network namespace it comes from, where there are several; null is one's own.",
    type: ['string', 'null'],
  },
  ClaimedBy: {
    description:
      'The process whose port id the header holds, if that was asked for; null if there is none ' +
      'that can be seen. A claim, no proof.',
    oneOf: [object({ pid: count, name: string }), { type: 'null' }],
  },
};

type ObjectName = keyof typeof objects;
const the = (name: ObjectName): Schema => reference(name);
const structOf = (of: Struct): Schema => reference(of.name);

const header = the('Header');
const netns = the('Namespace');
const state = the('State');
const policy = the('Policy');
const { unknown = {} } = optional(attributes, []);
const migrate = {
  id: structOf(structs.xfrm_userpolicy_id),
  migrations: array(structOf(structs.xfrm_user_migrate)),
  attributes: the('MigrateAttributes'),
};
const flushed = optional(attributes, messageAttributes.FLUSHPOLICY) as Record<
  'policyType' | 'unknown',
  Schema
>;

type Bodies = typeof bodies;
type SaidBy<One> = One extends Body<infer Said> ? Said : never;

/** The members of each body, checked against its type by the compiler. */
const said: { [Name in keyof Bodies]: Omit<Members<SaidBy<Bodies[Name]>>, 'doc'> } = {
  state: { always: { state } },
  policy: { always: { policy } },
  expire: { always: { hard: truth, state } },
  policyExpire: { always: { hard: truth, policy } },
  deletedState: { always: { id: structOf(structs.xfrm_usersa_id), state } },
  deletedPolicy: { always: { id: structOf(structs.xfrm_userpolicy_id), policy } },
  stateId: {
    always: { id: structOf(structs.xfrm_usersa_id), attributes: the('StateNaming') },
  },
  policyId: {
    always: { id: structOf(structs.xfrm_userpolicy_id), attributes: the('PolicyNaming') },
  },
  allStates: {
    always: { attributes: the('StateNaming') },
    sometimes: { id: structOf(structs.xfrm_usersa_id), ignored: bytes },
  },
  allPolicies: {
    always: { attributes: the('PolicyNaming') },
    sometimes: { id: structOf(structs.xfrm_userpolicy_id), ignored: bytes },
  },
  flushStates: {
    always: { proto: members(structs.xfrm_usersa_flush).proto ?? {} },
    sometimes: { unknown },
  },
  flushPolicies: { always: {}, sometimes: flushed },
  defaults: {
    always: { defaults: structOf(structs.xfrm_userpolicy_default) },
    sometimes: { unknown },
  },
  acquire: { always: { acquire: the('Acquire') } },
  aevent: { always: { aevent: the('Aevent') } },
  aeventQuery: { always: { aevent: the('Aevent') } },
  report: { always: { report: the('Report') } },
  mapping: { always: { mapping: the('Mapping') } },
  allocation: { always: { allocation: the('Allocation') } },
  migrateState: { always: { migration: the('StateMigration') } },
  migrate: { always: migrate },
  migrateRequest: { always: migrate },
  sadInfo: { always: { flags: count, sad: the('SadInfo') } },
  spdInfo: { always: { flags: count, spd: the('SpdInfo') } },
  sadInfoRequest: { always: { flags: count }, sometimes: { unknown } },
  spdInfoRequest: { always: { flags: count }, sometimes: { unknown } },
};

const bodyNames = new Map<object, keyof Bodies>(
  Object.entries(bodies).map(([name, body]) => [body, name as keyof Bodies]),
);

/** The members of a message: its header and body. */
function membersOf(body: object, doc: string): AnyMembers {
  const { always, sometimes = {} }: Omit<AnyMembers, 'doc'> =
    said[bodyNames.get(body) as keyof Bodies];
  return { doc, always: { header, ...always }, sometimes };
}

/** Descriptions of events and answers. */
const EVENTS: Readonly<Record<EventName | AnswerName, string>> = {
  NEWSA: 'An SA was added.',
  UPDSA: 'An SA was changed.',
  DELSA: 'An SA was deleted on request.',
  EXPIRE: 'An SA reached a limit; a hard one ends it.',
  FLUSHSA: 'All SAs of a protocol were deleted.',
  NEWPOLICY: 'A policy was added.',
  UPDPOLICY: 'A policy was added or replaced.',
  DELPOLICY: 'A policy was deleted on request.',
  POLEXPIRE: 'A policy reached a limit; a hard one ends it.',
  FLUSHPOLICY: 'All policies of a type were deleted.',
  GETDEFAULT: 'What happens to packets that no policy matches was set.',
  ACQUIRE: 'A packet needs an SA.',
  NEWAE: "An SA's counters.",
  REPORT: 'A Mobile IPv6 packet was refused.',
  MIGRATE: 'SAs and policies move to other addresses.',
  MIGRATE_STATE: 'One SA moves to other addresses.',
  MAPPING: "The peer's address or port behind address translation changed.",
  NEWSADINFO: 'Statistics of the SAs.',
  NEWSPDINFO: 'Statistics of the policies.',
};

/** Descriptions of requests, if different from that of the event they cause. */
const REQUESTS: Readonly<Partial<Record<RequestName, string>>> = {
  DELSA: 'Delete an SA.',
  GETSA: 'Show an SA; without id, all.',
  ALLOCSPI: 'Choose an SPI.',
  DELPOLICY: 'Delete a policy.',
  GETPOLICY: 'Show a policy; without id, all.',
  GETAE: "Show an SA's counters.",
  GETSADINFO: 'Show statistics of the SAs.',
  GETSPDINFO: 'Show statistics of the policies.',
  SETDEFAULT: 'Set what happens to packets that no policy matches.',
};

/** The table without the distinction between the forms of a message. */
const rows: Readonly<
  Record<MessageName, { [Form in 'event' | 'answer' | 'request' | 'dump']?: object }>
> = messages;
const events: Record<string, AnyMembers> = {};
const requests: Record<string, AnyMembers> = {};
for (const [name, { event, answer, request, dump }] of Object.entries(rows)) {
  const doc = EVENTS[name as EventName];
  const body = event ?? answer;
  if (body) events[name] = membersOf(body, doc);
  if (request) requests[name] = membersOf(dump ?? request, REQUESTS[name as RequestName] ?? doc);
}

type OneKind = Exclude<
  JsonRecord['kind'],
  'request' | 'tunnel-change' | EventName | AnswerName | RouteEvent['kind']
>;
const kinds: { [Kind in OneKind]: Members<Extract<JsonRecord, { kind: Kind }>> } = {
  state: { doc: 'An SA, in a list.', always: { state } },
  policy: { doc: 'A policy, in a list.', always: { policy } },
  synced: {
    doc: 'The list, with the events before this, is what the kernel has; what follows is news.',
    always: { listed: { description: 'Entries of the list.', ...count } },
  },
  unknown: { doc: 'A message this version does not know.', always: { header, payload: bytes } },
  overrun: {
    doc: 'Events were lost before this line.',
    always: {
      code: string,
      count,
      slowConsumer: { description: 'It was this reader.', type: 'boolean' },
    },
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
  recording: {
    doc: 'What a recording says about itself, between its events.',
    always: {
      what: {
        enum: [
          'started',
          'resumed',
          'ended',
          'clock-set',
          'unwritten',
          'unreadable',
          'namespace-added',
          'namespace-removed',
          'namespace-failed',
        ],
      },
      text: { description: 'The same in words.', ...string },
    },
    sometimes: {
      bytes: { description: 'Bytes that are missing.', ...count },
      byMs: { description: 'ms by which the clock was set.', type: 'integer' },
    },
  },
  difference: {
    doc: 'A difference between two times of recordings.',
    always: {
      object: { enum: ['state', 'policy', 'tunnel'] },
      difference: { enum: ['added', 'removed', 'changed'] },
      id: string,
      fields: { description: 'Those that differ, except counters.', ...array(string) },
      text: { description: 'The object in words, as it is in the second.', ...string },
    },
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
  ...whyKinds,
  ...counterKinds,
  ...findingKinds,
};

/** Kinds that belong to no protocol, or to any. */
const PROTOCOLS: Readonly<Record<string, Schema | undefined>> = {
  tunnel: undefined,
  'host-warning': undefined,
  check: undefined,
  why: undefined,
  finding: undefined,
  diagnosis: undefined,
  summary: undefined,
  namespace: undefined,
  recording: undefined,
  difference: undefined,
  overrun: { enum: ['xfrm', 'route'] },
  malformed: { enum: ['xfrm', 'route'] },
};

function record(
  tag: { readonly kind: Schema; readonly message?: Schema; readonly change?: Schema },
  protocol: Schema | undefined,
  { doc, always, sometimes = {} }: AnyMembers,
): Schema {
  const time = { time: the('Time'), monotonic: the('Monotonic') };
  const additions: Record<string, Schema> =
    'header' in always || 'header' in sometimes
      ? { netns, claimedBy: the('ClaimedBy') }
      : protocol ||
          'what' in always ||
          'change' in tag ||
          'tunnel' in always ||
          'warning' in always ||
          'severity' in always ||
          'flow' in always
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
    // A recording may have no time.
    [...Object.keys(time), ...Object.keys(additions), ...Object.keys(sometimes)],
  );
  return { description: doc, ...schema };
}

/** The alternatives for a line. */
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
    ...kindsOf({ ...kinds, ...events }, xfrm),
    ...kindsOf(routeKinds, route),
    ...requestsOf(requests, xfrm),
    ...requestsOf(routeRequests, route),
    ...Object.entries(tunnelChanges).map(([change, of]) =>
      record({ kind: { const: 'tunnel-change' }, change: { const: change } }, undefined, of),
    ),
  ];
}

/** The definitions reachable from the first. */
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

/** The complete schema. */
export function eventSchema(): Schema {
  const oneOf = lines();
  const all = {
    ...Object.fromEntries(Object.values(structs).map((one) => [one.name, struct(one)])),
    ...objects,
    ...scalarDefinitions,
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
