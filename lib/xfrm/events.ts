/**
 * The messages of the eight XFRM multicast groups, as one union: switch over `kind`.
 * net/xfrm/xfrm_user.c decides which message is sent to which group (docs/events.md).
 * @module
 */
import type { EventTime } from '../netlink/event.ts';
import type { MessageHeader } from '../wire/message.ts';
import type { KernelBool } from '../wire/names.ts';
import type { OpaqueBytes } from '../wire/opaque.ts';
import type * as messageAttributes from './message-attributes.ts';
import type { IpsecProto } from './names.ts';
import type {
  AttributesOf,
  XfrmAcquire,
  XfrmAevent,
  XfrmPolicy,
  XfrmState,
  XfrmStateMigration,
} from './objects.ts';
import type {
  MappingInfo,
  PolicyDefaults,
  PolicyId,
  ReportInfo,
  StateId,
  XfrmAttributes,
  XfrmMigration,
} from './types.ts';

interface Base<Kind extends string> {
  readonly kind: Kind;
  readonly protocol: 'xfrm';
  /** The message's header. Its `seq` and `portId` are claims of the requester. */
  readonly header: MessageHeader;
  readonly time: EventTime;
}

/** An SA was added. */
export interface NewSaEvent extends Base<'NEWSA'> {
  readonly state: XfrmState;
}
/**
 * An SA was changed, or a larval one (from an SPI allocation) got its keys. If the SA was already
 * complete, `state` is what was requested, not what the SA is now: the kernel applies only the
 * limits, encap, coaddr, setMark and ifId (net/xfrm/xfrm_state.c, xfrm_state_update; measured on
 * 7.2). Use XfrmClient.getState for the rest.
 */
export interface UpdSaEvent extends Base<'UPDSA'> {
  readonly state: XfrmState;
}
/** An SA was deleted on request. Not sent for SAs that reach a hard limit or are flushed. */
export interface DelSaEvent extends Base<'DELSA'> {
  /** The kernel's identifier of the SA. */
  readonly id: StateId;
  /** The SA as it was when deleted. */
  readonly state: XfrmState;
}
/** An SA reached a limit. */
export interface ExpireEvent extends Base<'EXPIRE'> {
  /** true: a hard limit, and the SA is gone. false: a soft one, time to rekey. */
  readonly hard: KernelBool;
  readonly state: XfrmState;
}
/** All SAs of a protocol were deleted; no DELSA is sent for any of them. */
export interface FlushSaEvent extends Base<'FLUSHSA'>, Readonly<Pick<XfrmAttributes, 'unknown'>> {
  readonly proto: IpsecProto;
}
/** A policy was added. */
export interface NewPolicyEvent extends Base<'NEWPOLICY'> {
  readonly policy: XfrmPolicy;
}
/** A policy was added, or replaced one with the same selector. */
export interface UpdPolicyEvent extends Base<'UPDPOLICY'> {
  readonly policy: XfrmPolicy;
}
/** A policy was deleted on request. */
export interface DelPolicyEvent extends Base<'DELPOLICY'> {
  /**
   * The identifier in the request: either the index alone (the rest zero), or the selector with
   * index 0.
   */
  readonly id: PolicyId;
  /** The policy as it was when deleted. */
  readonly policy: XfrmPolicy;
}
/** A policy reached a limit. */
export interface PolicyExpireEvent extends Base<'POLEXPIRE'> {
  /** true: a hard limit, the policy is gone and no DELPOLICY follows. */
  readonly hard: KernelBool;
  readonly policy: XfrmPolicy;
}
/** All policies of a type were deleted. */
export interface FlushPolicyEvent
  extends Base<'FLUSHPOLICY'>,
    Readonly<AttributesOf<typeof messageAttributes.FLUSHPOLICY>> {}
/** The defaults for packets that match no policy were set. */
export interface PolicyDefaultEvent
  extends Base<'GETDEFAULT'>,
    Readonly<Pick<XfrmAttributes, 'unknown'>> {
  readonly defaults: PolicyDefaults;
}
/** A packet needs an SA that does not exist. */
export interface AcquireEvent extends Base<'ACQUIRE'> {
  readonly acquire: XfrmAcquire;
}
/**
 * An SA's counters: on request, by traffic or by timer. In the last two cases, `header` is garbage.
 */
export interface NewAeEvent extends Base<'NEWAE'> {
  readonly aevent: XfrmAevent;
}
/** A Mobile IPv6 packet was rejected. */
export interface ReportEvent extends Base<'REPORT'> {
  readonly report: ReportInfo & AttributesOf<typeof messageAttributes.REPORT>;
}
/** SAs and policies are moved to other addresses. */
export interface MigrateEvent extends Base<'MIGRATE'> {
  readonly id: PolicyId;
  readonly migrations: readonly XfrmMigration[];
  readonly attributes: Omit<AttributesOf<typeof messageAttributes.MIGRATE>, 'migrations'>;
}
/** One SA is moved to other addresses (kernel 7.2). */
export interface MigrateStateEvent extends Base<'MIGRATE_STATE'> {
  readonly migration: XfrmStateMigration;
}
/** The peer's address or port behind NAT changed. */
export interface MappingEvent extends Base<'MAPPING'> {
  readonly mapping: MappingInfo & Pick<XfrmAttributes, 'unknown'>;
}
/** A message this library has no decoder for. */
export interface UnknownXfrmEvent extends Base<'unknown'> {
  /** The bytes after the header: their length, and their content only with `keys: true`. */
  readonly payload: OpaqueBytes;
}

/** The events the kernel announces for XFRM, discriminated by `kind`. */
export type XfrmEvent =
  | NewSaEvent
  | UpdSaEvent
  | DelSaEvent
  | ExpireEvent
  | FlushSaEvent
  | NewPolicyEvent
  | UpdPolicyEvent
  | DelPolicyEvent
  | PolicyExpireEvent
  | FlushPolicyEvent
  | PolicyDefaultEvent
  | AcquireEvent
  | NewAeEvent
  | ReportEvent
  | MigrateEvent
  | MigrateStateEvent
  | MappingEvent
  | UnknownXfrmEvent;
