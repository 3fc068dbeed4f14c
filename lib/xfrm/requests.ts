/**
 * Requests to the kernel, and answers other than the objects themselves: the statistics. The answer
 * to GETSA is a NEWSA, to GETPOLICY a NEWPOLICY, and so on; these have the same types as the events
 * (events.ts).
 * @module
 */
import type { EventTime } from '../netlink/event.ts';
import type { MessageHeader } from '../wire/message.ts';
import type { KernelBool } from '../wire/names.ts';
import type { OpaqueBytes } from '../wire/opaque.ts';
import type { XfrmEvent } from './events.ts';
import type * as messageAttributes from './message-attributes.ts';
import type { IpsecProto } from './names.ts';
import type {
  AttributesOf,
  SpiAllocation,
  XfrmAcquire,
  XfrmAevent,
  XfrmPolicy,
  XfrmState,
  XfrmStateMigration,
} from './objects.ts';
import type {
  PolicyDefaults,
  PolicyId,
  SadAttributes,
  SpdAttributes,
  StateId,
  XfrmAttributes,
  XfrmMigration,
} from './types.ts';

interface Base<Name extends string> {
  readonly kind: 'request';
  /** The kernel's name of the message type, without `XFRM_MSG_`. */
  readonly message: Name;
  readonly protocol: 'xfrm';
  /** The message's header; its flags have NLM_F_REQUEST. */
  readonly header: MessageHeader;
  readonly time: EventTime;
}

type Unknown = Pick<XfrmAttributes, 'unknown'>;

/** Add or change an SA. */
export interface StateRequest extends Base<'NEWSA' | 'UPDSA'> {
  readonly state: XfrmState;
}
/** Delete an SA. */
export interface DelSaRequest extends Base<'DELSA'> {
  readonly id: StateId;
  readonly attributes: AttributesOf<typeof messageAttributes.STATE_ID>;
}
/** Get an SA, or dump all (NLM_F_DUMP, no id). */
export interface GetSaRequest extends Base<'GETSA'> {
  /** Absent in a dump, where the attributes follow the header directly. */
  readonly id?: StateId;
  readonly attributes: AttributesOf<typeof messageAttributes.STATE_ID>;
  /** In a dump request: bytes that the kernel ignores. */
  readonly ignored?: OpaqueBytes;
}
/** Allocate a free SPI, and create a larval SA with it. */
export interface AllocSpiRequest extends Base<'ALLOCSPI'> {
  readonly allocation: SpiAllocation;
}
/** Report that an SA reached a limit; at a hard limit, the kernel deletes it. */
export interface ExpireRequest extends Base<'EXPIRE'> {
  readonly hard: KernelBool;
  readonly state: XfrmState;
}
/** Delete all SAs of a protocol. */
export interface FlushSaRequest extends Base<'FLUSHSA'>, Readonly<Unknown> {
  readonly proto: IpsecProto;
}
/** Add or replace a policy. */
export interface PolicyRequest extends Base<'NEWPOLICY' | 'UPDPOLICY'> {
  readonly policy: XfrmPolicy;
}
/** Delete a policy. */
export interface DelPolicyRequest extends Base<'DELPOLICY'> {
  readonly id: PolicyId;
  readonly attributes: AttributesOf<typeof messageAttributes.POLICY_ID>;
}
/** Get a policy, or dump all (NLM_F_DUMP). */
export interface GetPolicyRequest extends Base<'GETPOLICY'> {
  /** May be absent in a dump. */
  readonly id?: PolicyId;
  readonly attributes: AttributesOf<typeof messageAttributes.POLICY_ID>;
  /** In a dump request: bytes that the kernel ignores. */
  readonly ignored?: OpaqueBytes;
}
/** Report that a policy reached a limit; at a hard limit, the kernel deletes it. */
export interface PolicyExpireRequest extends Base<'POLEXPIRE'> {
  readonly hard: KernelBool;
  readonly policy: XfrmPolicy;
}
/** Delete all policies of a type. */
export interface FlushPolicyRequest
  extends Base<'FLUSHPOLICY'>,
    Readonly<AttributesOf<typeof messageAttributes.FLUSHPOLICY>> {}
/** Make the kernel announce that an SA is needed. */
export interface AcquireRequest extends Base<'ACQUIRE'> {
  readonly acquire: XfrmAcquire;
}
/** Set (with NLM_F_REPLACE) or get an SA's counters. */
export interface AeventRequest extends Base<'NEWAE' | 'GETAE'> {
  readonly aevent: XfrmAevent;
}
/** Move SAs and a policy to other addresses. */
export interface MigrateRequest extends Base<'MIGRATE'> {
  readonly id: PolicyId;
  readonly migrations: readonly XfrmMigration[];
  readonly attributes: Omit<AttributesOf<typeof messageAttributes.MIGRATE>, 'migrations'>;
}
/** Move one SA to other addresses (kernel 7.2). */
export interface MigrateStateRequest extends Base<'MIGRATE_STATE'> {
  readonly migration: XfrmStateMigration;
}
/** Get the statistics of the SAs or of the policies. */
export interface DatabaseInfoRequest extends Base<'GETSADINFO' | 'GETSPDINFO'>, Readonly<Unknown> {
  /** Echoed in the answer; the kernel does not interpret them. */
  readonly flags: number;
}
/** Set the prefix lengths from which policies are hashed. */
export interface SpdInfoRequest extends Base<'NEWSPDINFO'> {
  readonly flags: number;
  readonly spd: SpdAttributes;
}
/** Set or get the default for packets that match no policy. */
export interface PolicyDefaultRequest extends Base<'SETDEFAULT' | 'GETDEFAULT'>, Readonly<Unknown> {
  readonly defaults: PolicyDefaults;
}

/** Requests that programs send to the kernel, discriminated by `message`. */
export type XfrmRequest =
  | StateRequest
  | DelSaRequest
  | GetSaRequest
  | AllocSpiRequest
  | ExpireRequest
  | FlushSaRequest
  | PolicyRequest
  | DelPolicyRequest
  | GetPolicyRequest
  | PolicyExpireRequest
  | FlushPolicyRequest
  | AcquireRequest
  | AeventRequest
  | MigrateRequest
  | MigrateStateRequest
  | DatabaseInfoRequest
  | SpdInfoRequest
  | PolicyDefaultRequest;

interface AnswerBase<Kind extends string> {
  readonly kind: Kind;
  readonly protocol: 'xfrm';
  readonly header: MessageHeader;
  readonly time: EventTime;
  /** Those of the request. */
  readonly flags: number;
}

/** Statistics of the SAs. */
export interface SadInfo extends AnswerBase<'NEWSADINFO'> {
  readonly sad: SadAttributes;
}
/** Statistics of the policies. */
export interface SpdInfo extends AnswerBase<'NEWSPDINFO'> {
  readonly spd: SpdAttributes;
}

/** Any XFRM message: an event, an answer or a request. */
export type XfrmMessage = XfrmEvent | SadInfo | SpdInfo | XfrmRequest;
