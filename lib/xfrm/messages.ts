/**
 * Every XFRM message, once (`linux/xfrm.h`): what it concerns, and its body as an event, as an
 * answer that no group delivers, and as a request. Decoders, the encoder, filters, traces and the
 * JSON Schema are driven by this table.
 * @module
 */
import { NLM_F_DUMP, NLM_F_REQUEST } from '../netlink/constants.ts';
import { DecodeError } from '../wire/error.ts';
import type { Body, Said } from './bodies.ts';
import * as bodies from './bodies.ts';
import * as X from './constants.ts';
import type { XfrmEvent } from './events.ts';
import type { XfrmMessage, XfrmRequest } from './requests.ts';

type Constant = Extract<keyof typeof X, `XFRM_MSG_${string}`>;
/** The kernel's name of a message type, without `XFRM_MSG_`. */
export type MessageName = Exclude<Constant extends `XFRM_MSG_${infer Name}` ? Name : never, 'BASE'>;

/** The name of a message that a group delivers. */
export type EventName = Exclude<XfrmEvent['kind'], 'unknown'>;
export type AnswerName = Exclude<XfrmMessage['kind'], XfrmEvent['kind'] | 'request'>;
export type RequestName = XfrmRequest['message'];

type OneOf<Message, Name> = Message extends { readonly message: infer Names }
  ? Name extends Names
    ? Message
    : never
  : never;

/** The forms a message has, under that name. */
type If<Names, Name, Part> = Name extends Names ? Part : { [Key in keyof Part]?: never };

/** A message, in all its forms. */
type Row<Name> = {
  /** FLUSHSA and EXPIRE concern SAs, although they can affect how policies work. */
  readonly about: 'state' | 'policy' | 'both';
} & If<EventName, Name, { readonly event: Body<Said<Extract<XfrmEvent, { kind: Name }>>> }> &
  If<AnswerName, Name, { readonly answer: Body<Said<Extract<XfrmMessage, { kind: Name }>>> }> &
  If<RequestName, Name, { readonly request: Body<Said<OneOf<XfrmRequest, Name>>> }> & {
    /** The dump request, with NLM_F_DUMP. */
    readonly dump?: Body<Said<OneOf<XfrmRequest, Name>>>;
  };

export const messages: { readonly [Name in MessageName]: Row<Name> } = {
  NEWSA: { about: 'state', event: bodies.state, request: bodies.state },
  DELSA: { about: 'state', event: bodies.deletedState, request: bodies.stateId },
  GETSA: { about: 'state', request: bodies.stateId, dump: bodies.allStates },
  NEWPOLICY: { about: 'policy', event: bodies.policy, request: bodies.policy },
  DELPOLICY: { about: 'policy', event: bodies.deletedPolicy, request: bodies.policyId },
  GETPOLICY: { about: 'policy', request: bodies.policyId, dump: bodies.allPolicies },
  ALLOCSPI: { about: 'state', request: bodies.allocation },
  ACQUIRE: { about: 'state', event: bodies.acquire, request: bodies.acquire },
  EXPIRE: { about: 'state', event: bodies.expire, request: bodies.expire },
  UPDPOLICY: { about: 'policy', event: bodies.policy, request: bodies.policy },
  UPDSA: { about: 'state', event: bodies.state, request: bodies.state },
  POLEXPIRE: { about: 'policy', event: bodies.policyExpire, request: bodies.policyExpire },
  FLUSHSA: { about: 'state', event: bodies.flushStates, request: bodies.flushStates },
  FLUSHPOLICY: { about: 'policy', event: bodies.flushPolicies, request: bodies.flushPolicies },
  NEWAE: { about: 'state', event: bodies.aevent, request: bodies.aevent },
  GETAE: { about: 'state', request: bodies.aeventQuery },
  REPORT: { about: 'both', event: bodies.report },
  MIGRATE: { about: 'both', event: bodies.migrate, request: bodies.migrateRequest },
  NEWSADINFO: { about: 'state', answer: bodies.sadInfo },
  GETSADINFO: { about: 'state', request: bodies.sadInfoRequest },
  NEWSPDINFO: { about: 'policy', answer: bodies.spdInfo, request: bodies.spdInfo },
  GETSPDINFO: { about: 'policy', request: bodies.spdInfoRequest },
  MAPPING: { about: 'state', event: bodies.mapping },
  SETDEFAULT: { about: 'policy', request: bodies.defaults },
  GETDEFAULT: { about: 'policy', event: bodies.defaults, request: bodies.defaults },
  MIGRATE_STATE: { about: 'state', event: bodies.migrateState, request: bodies.migrateState },
};

/** A row as seen by code that looks messages up by names and numbers from the wire. */
export interface Message {
  readonly name: MessageName;
  readonly type: number;
  readonly about: 'state' | 'policy' | 'both';
  readonly event?: Body<object>;
  readonly answer?: Body<object>;
  readonly request?: Body<object>;
  readonly dump?: Body<object>;
}

const byName = new Map<string, Message>();
const byType: (Message | undefined)[] = [];
for (const [name, row] of Object.entries(messages)) {
  const type = X[`XFRM_MSG_${name as MessageName}`];
  const message = { ...(row as Omit<Message, 'name' | 'type'>), name: name as MessageName, type };
  byName.set(name, message);
  byType[type] = message;
}

/** The message of a type, or of a name without `XFRM_MSG_`; undefined if unknown. */
export const messageOf = (which: number | string): Message | undefined =>
  typeof which === 'number' ? byType[which] : byName.get(which);

/** The kernel's name of a message type, without `XFRM_MSG_`; undefined if it has none. */
export const messageName = (type: number): MessageName | undefined => byType[type]?.name;

/** The type of a message of that name. */
export const messageTypeOf = (name: MessageName): number => X[`XFRM_MSG_${name}`];

/** The body of a message with these flags: only requests have NLM_F_REQUEST. */
export function bodyOnWire(type: number, flags: number): Body<object> | undefined {
  const message = byType[type];
  if ((flags & NLM_F_REQUEST) === 0) return message?.event ?? message?.answer;
  return (flags & NLM_F_DUMP ? message?.dump : undefined) ?? message?.request;
}

/** The body of a message; of the dump request if the request identifies nothing. */
export function bodyOf(message: {
  readonly kind: string;
  readonly message?: string;
  readonly id?: unknown;
}): Body<object> | undefined {
  if (message.kind !== 'request') {
    const row = byName.get(message.kind);
    return row?.event ?? row?.answer;
  }
  const row = byName.get(message.message ?? '');
  return row?.dump !== undefined && message.id === undefined ? row.dump : row?.request;
}

/** For the catch of a message decoder: the same error with the message's name in its path. */
export function inMessage(error: unknown, type: number): unknown {
  if (!(error instanceof DecodeError)) return error;
  return error.within(messageName(type) ?? `message ${type}`);
}
