/**
 * The body (what follows the header) of each kind of XFRM message, from bytes to objects and back;
 * shared by events, answers and requests. Attributes are written in the kernel's order
 * (message-attributes.ts), followed by unknown ones; padding is zero.
 * @module
 */
import { once } from '../base/once.ts';
import type { DecodeInput } from '../netlink/event.ts';
import { addressFamily, readAddress, writeAddress } from '../wire/address.ts';
import { align4, findAttribute, NLA_HDRLEN } from '../wire/attribute.ts';
import type { AttributeTable, MessageAttributes } from '../wire/attribute-table.ts';
import type { Encodable } from '../wire/encodable.ts';
import { LE } from '../wire/endian.ts';
import { DecodeError, tooShort, within } from '../wire/error.ts';
import { evened } from '../wire/evened.ts';
import { u32 } from '../wire/integer.ts';
import type { MessageWriter } from '../wire/message-writer.ts';
import { disclosed, type OpaqueBytes, opaque } from '../wire/opaque.ts';
import { offsetOf, type Struct } from '../wire/struct.ts';
import { attributes, sadAttributes, spdAttributes } from './attributes.ts';
import * as codec from './codec.ts';
import * as X from './constants.ts';
import type * as events from './events.ts';
import * as subject from './filter-subject.ts';
import { parts } from './message-attributes.ts';
import { XfrmFamily } from './names.ts';
import type {
  SpiAllocation,
  XfrmAcquire,
  XfrmAevent,
  XfrmPolicy,
  XfrmState,
  XfrmStateMigration,
} from './objects.ts';
import type * as requests from './requests.ts';
import * as S from './structs.ts';
import type * as types from './types.ts';

/** The content of a message: everything except its kind, header and time. */
export type Said<Message> = Omit<Message, 'kind' | 'message' | 'protocol' | 'header' | 'time'>;

/** Where a message is written, and how missing keys are handled. */
export interface Target {
  readonly w: MessageWriter;
  /** Whether missing keys are written as zeros. */
  readonly zeroKeys: boolean;
  /** Where the message ends, unless it ends at the padding. */
  end?: number;
}

/** How the body of a message is read and written. */
export interface Body<T extends object> {
  /** Bytes before the attributes. */
  readonly size: number;
  /** The names of its attributes. */
  readonly table: AttributeTable;
  /** Which of them belong in the message: {@link MessageAttributes.use}. Default: all. */
  readonly use?: Uint8Array;
  /** The SAs and policies it concerns; absent if it names none. */
  subject?(said: T): subject.FilterSubject | undefined;
  /**
   * Reads the bytes between two offsets, after the message's header. Fills an existing message,
   * which is faster than merging two objects.
   * @throws DecodeError
   */
  read(input: DecodeInput, from: number, end: number, into: Writable<T>): void;
  /**
   * Writes the body.
   * @throws EncodeError
   */
  write(to: Target, said: Encodable<T>): void;
}

type Writable<T> = { -readonly [Key in keyof T]: T[Key] };

// The message kind decides which properties are read: those declared by the type of the object.
function readAttributes<Into extends object>(
  { view, bytes, keys }: DecodeInput,
  from: number,
  end: number,
  { use }: MessageAttributes,
  family: number,
  into: Into,
): Into {
  codec.readXfrmAttributes(view, bytes, from, end, use, family, keys, into);
  return into;
}
function writeAttributes(
  to: Target,
  { order }: MessageAttributes,
  family: number,
  from: object = {},
): void {
  codec.writeXfrmAttributes(to.w, from, order, family, to.zeroKeys);
}

/**
 * Checks that the struct before the attributes is complete; returns the offset of the first
 * attribute.
 */
function attributesAfter(header: Struct, from: number, end: number): number {
  if (end - from < header.size) tooShort(`struct ${header.kernel}`, from, header.size, end - from);
  return from + align4(header.size);
}

/** A struct and attributes that make one object. */
interface Object<T extends object> extends Pick<Body<T>, 'size' | 'table' | 'use' | 'write'> {
  /**
   * The address family of the struct at `at`, which also applies to addresses in the attributes.
   */
  family(view: DataView, at: number): number;
  read(input: DecodeInput, from: number, end: number): T;
}

/** Names of the members of an object. */
function membersOf(header: Struct, { order }: MessageAttributes): string[] {
  const fieldsOf = ({ fields }: Struct): string[] =>
    fields.flatMap((field) =>
      field.type === 'struct' && field.inline ? fieldsOf(field.struct) : field.name,
    );
  const names = new Map(attributes.attributes.map(({ number, name }) => [number, name]));
  const nameOf = (type: number): string => {
    const name = names.get(type);
    if (name === undefined) throw new Error(`attribute ${type} is not in the table`);
    return name;
  };
  return [...fieldsOf(header), ...order.map(nameOf), 'exact', 'unknown'];
}

/**
 * @param where the struct's field with the address family; omit if no attribute holds an address
 */
function object<Header extends object, T extends Header>(
  header: Struct,
  part: MessageAttributes,
  readHeader: (v: DataView, b: Uint8Array, at: number, family: number) => Header,
  writeHeader: (
    v: DataView,
    b: Uint8Array,
    at: number,
    x: Encodable<Header>,
    family: number,
  ) => void,
  where?: string,
): Object<T> {
  const offset = where === undefined ? 0 : offsetOf(header, where);
  const even = once(() => evened(membersOf(header, part)));
  const family = (view: DataView, at: number) =>
    where === undefined ? 0 : view.getUint16(at + offset, LE);
  return {
    size: header.size,
    table: attributes,
    use: part.use,
    family,
    read(input, from, end) {
      const first = attributesAfter(header, from, end);
      // All attributes are optional, so the header alone is already a complete value.
      const value = readHeader(input.view, input.bytes, from, 0) as T;
      return readAttributes(input, first, end, part, family(input.view, from), value);
    },
    write(to, given) {
      const value = even()(given as object);
      const at = to.w.reserve(header.size);
      writeHeader(to.w.view, to.w.bytes, at, value as Encodable<Header>, 0);
      writeAttributes(to, part, family(to.w.view, at), value as object);
    },
  };
}

const states = object<types.StateInfo, XfrmState>(
  S.xfrm_usersa_info,
  parts.state,
  codec.readStateInfo,
  codec.writeStateInfo,
  'family',
);
const policies = object<types.PolicyInfo, XfrmPolicy>(
  S.xfrm_userpolicy_info,
  parts.policy,
  codec.readPolicyInfo,
  codec.writePolicyInfo,
  'sel.family',
);
const acquiresOfPackets = object<types.AcquireInfo, XfrmAcquire>(
  S.xfrm_user_acquire,
  parts.acquire,
  codec.readAcquireInfo,
  codec.writeAcquireInfo,
  'sel.family',
);
const ACQUIRE_SADDR = offsetOf(S.xfrm_user_acquire, 'saddr');
/**
 * The family of an SA may be another than that of its packets. The message has it in the templates
 * only (net/xfrm/xfrm_user.c, build_acquire).
 */
const acquires: typeof acquiresOfPackets = {
  ...acquiresOfPackets,
  read(input, from, end) {
    const acquire = acquiresOfPackets.read(input, from, end);
    const family = acquire.templates?.find(({ proto }) => proto === acquire.proto)?.family;
    if (family === acquire.selector.family) return acquire;
    const places = [from, from + ACQUIRE_SADDR] as const;
    const isIPv4 = (at: number) => {
      return input.bytes.subarray(at + 4, at + 16).every((byte) => byte === 0);
    };
    if (family !== 'inet6' && !(family === 'inet' && places.every(isIPv4))) return acquire;
    const number = XfrmFamily.numbers[family];
    acquire.daddr = readAddress(input.bytes, places[0], number);
    acquire.saddr = readAddress(input.bytes, places[1], number);
    return acquire;
  },
  write(to, given) {
    const { daddr, saddr, ...others } = given;
    const family = addressFamily(String(daddr));
    const ofPackets = XfrmFamily.number(given.selector?.family ?? 0, 'family');
    if (family === undefined || family === ofPackets) {
      return acquiresOfPackets.write(to, given);
    }
    const at = to.w.length;
    acquiresOfPackets.write(to, others);
    writeAddress(to.w.bytes, at, daddr, family, 'daddr');
    writeAddress(to.w.bytes, at + ACQUIRE_SADDR, saddr, family, 'saddr');
  },
};
const aevents = object<types.AeventId, XfrmAevent>(
  S.xfrm_aevent_id,
  parts.aevent,
  codec.readAeventId,
  codec.writeAeventId,
  'sa_id.family',
);
const reports = object<types.ReportInfo, events.ReportEvent['report']>(
  S.xfrm_user_report,
  parts.report,
  codec.readReportInfo,
  codec.writeReportInfo,
  'sel.family',
);
const mappings = object<types.MappingInfo, events.MappingEvent['mapping']>(
  S.xfrm_user_mapping,
  parts.none,
  codec.readMappingInfo,
  codec.writeMappingInfo,
);
const migratedStates = object<types.MigrateStateInfo, XfrmStateMigration>(
  S.xfrm_user_migrate_state,
  parts.migrateState,
  codec.readMigrateStateInfo,
  codec.writeMigrateStateInfo,
  'id.family',
);
const allocations = object<types.SpiRequest, SpiAllocation>(
  S.xfrm_userspi_info,
  parts.allocSpi,
  codec.readSpiRequest,
  codec.writeSpiRequest,
  'info.family',
);

/** NEWSA, UPDSA. */
export const state: Body<Said<events.NewSaEvent>> = {
  ...states,
  subject: ({ state }) => subject.ofState(state),
  read(input, from, end, into) {
    into.state = states.read(input, from, end);
  },
  write: (to, { state = {} }) => states.write(to, state),
};

/** NEWPOLICY, UPDPOLICY. */
export const policy: Body<Said<events.NewPolicyEvent>> = {
  ...policies,
  subject: ({ policy }) => subject.ofPolicy(policy),
  read(input, from, end, into) {
    into.policy = policies.read(input, from, end);
  },
  write: (to, { policy = {} }) => policies.write(to, policy),
};

/** The SA, or the policy, comes first in the struct. */
export const expire: Body<Said<events.ExpireEvent>> = {
  ...state,
  size: S.xfrm_user_expire.size,
  read(input, from, end, into) {
    const first = attributesAfter(S.xfrm_user_expire, from, end);
    const { hard, state } = codec.readExpireInfo(input.view, input.bytes, from);
    into.hard = hard;
    into.state = state;
    readAttributes(input, first, end, parts.state, states.family(input.view, from), state);
  },
  write(to, { hard, state = {} }) {
    const at = to.w.reserve(S.xfrm_user_expire.size);
    codec.writeExpireInfo(to.w.view, to.w.bytes, at, { hard, state });
    writeAttributes(to, parts.state, states.family(to.w.view, at), state);
  },
};
export const policyExpire: Body<Said<events.PolicyExpireEvent>> = {
  ...policy,
  size: S.xfrm_user_polexpire.size,
  read(input, from, end, into) {
    const first = attributesAfter(S.xfrm_user_polexpire, from, end);
    const { hard, policy } = codec.readPolicyExpireInfo(input.view, input.bytes, from);
    into.hard = hard;
    into.policy = policy;
    readAttributes(input, first, end, parts.policy, policies.family(input.view, from), policy);
  },
  write(to, { hard, policy = {} }) {
    const at = to.w.reserve(S.xfrm_user_polexpire.size);
    codec.writePolicyExpireInfo(to.w.view, to.w.bytes, at, { hard, policy });
    writeAttributes(to, parts.policy, policies.family(to.w.view, at), policy);
  },
};

/** A struct before the attributes that identifies an SA or a policy. Returns the address family. */
function naming<Id>(
  struct: Struct,
  readId: (v: DataView, b: Uint8Array, at: number, family: number) => Id,
  writeId: (v: DataView, b: Uint8Array, at: number, x: Encodable<Id>, family: number) => void,
  where: string,
) {
  const offset = offsetOf(struct, where);
  return {
    size: struct.size,
    read(input: DecodeInput, from: number, end: number): { id: Id; first: number; family: number } {
      const first = attributesAfter(struct, from, end);
      const id = readId(input.view, input.bytes, from, 0);
      return { id, first, family: input.view.getUint16(from + offset, LE) };
    },
    write({ w }: Target, id: Encodable<Id>): number {
      const at = w.reserve(struct.size);
      try {
        writeId(w.view, w.bytes, at, id, 0);
      } catch (error) {
        throw within(error, 'id');
      }
      return w.view.getUint16(at + offset, LE);
    },
  };
}

const stateIds = naming(S.xfrm_usersa_id, codec.readStateId, codec.writeStateId, 'family');
const policyIds = naming(
  S.xfrm_userpolicy_id,
  codec.readPolicyId,
  codec.writePolicyId,
  'sel.family',
);

/** The offset of the payload of a required attribute. */
function payloadOf(view: DataView, from: number, end: number, type: number, of: Struct): number {
  const name = type === X.XFRMA_SA ? 'XFRMA_SA' : 'XFRMA_POLICY';
  const found = findAttribute(view, from, end, type);
  if (found === undefined) throw new DecodeError('is missing', { path: [name], offset: end });
  const at = found - NLA_HDRLEN;
  const length = view.getUint16(at, LE) - NLA_HDRLEN;
  if (length < of.size) tooShort(name, at, of.size, length);
  return found;
}

/** DELSA and DELPOLICY as events: the deleted object is in an attribute. */
export const deletedState: Body<Said<events.DelSaEvent>> = {
  ...state,
  size: stateIds.size,
  use: parts.deletedState.use,
  read(input, from, end, into) {
    const { id, first } = stateIds.read(input, from, end);
    const at = payloadOf(input.view, first, end, X.XFRMA_SA, S.xfrm_usersa_info);
    into.id = id;
    into.state = codec.readStateInfo(input.view, input.bytes, at, 0);
    const family = states.family(input.view, at);
    readAttributes(input, first, end, parts.deletedState, family, into.state);
  },
  write(to, { id = {}, state = {} }) {
    stateIds.write(to, id);
    const at = to.w.attribute(X.XFRMA_SA, S.xfrm_usersa_info.size);
    codec.writeStateInfo(to.w.view, to.w.bytes, at, state, 0);
    writeAttributes(to, parts.state, states.family(to.w.view, at), state);
  },
};
export const deletedPolicy: Body<Said<events.DelPolicyEvent>> = {
  ...policy,
  size: policyIds.size,
  use: parts.deletedPolicy.use,
  read(input, from, end, into) {
    const { id, first } = policyIds.read(input, from, end);
    const at = payloadOf(input.view, first, end, X.XFRMA_POLICY, S.xfrm_userpolicy_info);
    into.id = id;
    into.policy = codec.readPolicyInfo(input.view, input.bytes, at);
    const family = policies.family(input.view, at);
    readAttributes(input, first, end, parts.deletedPolicy, family, into.policy);
  },
  write(to, { id = {}, policy = {} }) {
    policyIds.write(to, id);
    const at = to.w.attribute(X.XFRMA_POLICY, S.xfrm_userpolicy_info.size);
    codec.writePolicyInfo(to.w.view, to.w.bytes, at, policy);
    writeAttributes(to, parts.policy, policies.family(to.w.view, at), policy);
  },
};

/** Requests that identify an SA or a policy. */
export const stateId: Body<Said<requests.DelSaRequest>> = {
  size: stateIds.size,
  table: attributes,
  use: parts.stateId.use,
  subject: ({ id, attributes }) => subject.ofStateId(id, attributes),
  read(input, from, end, into) {
    const { id, first, family } = stateIds.read(input, from, end);
    into.id = id;
    into.attributes = readAttributes(input, first, end, parts.stateId, family, {});
  },
  write: (to, { id = {}, attributes }) =>
    writeAttributes(to, parts.stateId, stateIds.write(to, id), attributes),
};
export const policyId: Body<Said<requests.DelPolicyRequest>> = {
  size: policyIds.size,
  table: attributes,
  use: parts.policyId.use,
  subject: ({ id, attributes }) => subject.ofPolicyId(id, attributes),
  read(input, from, end, into) {
    const { id, first, family } = policyIds.read(input, from, end);
    into.id = id;
    into.attributes = readAttributes(input, first, end, parts.policyId, family, {});
  },
  write(to, { id = {}, attributes, ...request }) {
    writeAttributes(to, parts.policyId, policyIds.write(to, id), attributes);
    // In a dump request that carries the struct of a single-object request.
    if ('ignored' in request) writeIgnored(to, request.ignored as OpaqueBytes | undefined);
  },
};

/**
 * Where the attributes of a dump request end. The kernel starts the dump whatever follows the
 * header: for SAs it parses attributes up to the first invalid one, for policies none
 * (net/xfrm/xfrm_user.c, xfrm_user_rcv_msg). Many programs send the struct of another request or
 * family; it is kept as `ignored`.
 */
function ignoredFrom({ view }: DecodeInput, from: number, end: number): number {
  let at = from;
  while (end - at >= NLA_HDRLEN) {
    const length = view.getUint16(at, LE);
    if (length < NLA_HDRLEN || length > end - at) break;
    at += align4(length);
  }
  return Math.min(at, end);
}

type Listing = Writable<Pick<requests.GetSaRequest, 'ignored'>>;

function noteIgnored({ bytes, keys }: DecodeInput, from: number, end: number, into: Listing): void {
  if (from < end) into.ignored = opaque(bytes, from, end - from, keys);
}

function writeIgnored(to: Target, ignored: OpaqueBytes | Uint8Array | undefined): void {
  if (ignored === undefined) return;
  const { w, zeroKeys } = to;
  const at = w.reserve(ignored.length);
  to.end = at + ignored.length;
  const bytes = disclosed(ignored, zeroKeys);
  if (bytes) w.bytes.set(bytes, at);
}

/** Dump requests for SAs and policies: no identifier, the attributes follow the header directly. */
export const allStates: Body<Said<requests.GetSaRequest>> = {
  size: 0,
  table: attributes,
  use: parts.stateId.use,
  read(input, from, end, into) {
    const last = ignoredFrom(input, from, end);
    into.attributes = readAttributes(input, from, last, parts.stateId, 0, {});
    noteIgnored(input, last, end, into);
  },
  write(to, { attributes, ignored }) {
    writeAttributes(to, parts.stateId, 0, attributes);
    writeIgnored(to, ignored);
  },
};
export const allPolicies: Body<Said<requests.GetPolicyRequest>> = {
  size: 0,
  table: attributes,
  use: parts.policyId.use,
  read(input, from, end, into) {
    if (end - from < policyIds.size) {
      into.attributes = {};
      noteIgnored(input, from, end, into);
      return;
    }
    const last = ignoredFrom(input, from + policyIds.size, end);
    policyId.read(input, from, last, into as Writable<Said<requests.DelPolicyRequest>>);
    noteIgnored(input, last, end, into);
  },
  write(to, { attributes, ignored }) {
    writeAttributes(to, parts.policyId, 0, attributes);
    writeIgnored(to, ignored);
  },
};

export const flushStates: Body<Said<events.FlushSaEvent>> = {
  size: S.xfrm_usersa_flush.size,
  table: attributes,
  use: parts.none.use,
  subject: ({ proto }) => subject.ofAll(proto === 'any' ? [] : [{ proto }]),
  read(input, from, end, into) {
    const first = attributesAfter(S.xfrm_usersa_flush, from, end);
    into.proto = codec.readFlushInfo(input.view, input.bytes, from).proto;
    readAttributes(input, first, end, parts.none, 0, into);
  },
  write(to, said) {
    const at = to.w.reserve(S.xfrm_usersa_flush.size);
    codec.writeFlushInfo(to.w.view, to.w.bytes, at, said);
    writeAttributes(to, parts.none, 0, said);
  },
};
export const flushPolicies: Body<Said<events.FlushPolicyEvent>> = {
  size: 0,
  table: attributes,
  use: parts.flushPolicy.use,
  subject: () => subject.ofAll([]),
  read(input, from, end, into) {
    readAttributes(input, from, end, parts.flushPolicy, 0, into);
  },
  write: (to, said) => writeAttributes(to, parts.flushPolicy, 0, said),
};

export const defaults: Body<Said<events.PolicyDefaultEvent>> = {
  size: S.xfrm_userpolicy_default.size,
  table: attributes,
  use: parts.none.use,
  read(input, from, end, into) {
    const first = attributesAfter(S.xfrm_userpolicy_default, from, end);
    into.defaults = codec.readPolicyDefaults(input.view, input.bytes, from);
    readAttributes(input, first, end, parts.none, 0, into);
  },
  write(to, said) {
    const at = to.w.reserve(S.xfrm_userpolicy_default.size);
    codec.writePolicyDefaults(to.w.view, to.w.bytes, at, said.defaults ?? {});
    writeAttributes(to, parts.none, 0, said);
  },
};

export const acquire: Body<Said<events.AcquireEvent>> = {
  ...acquires,
  subject: ({ acquire }) => subject.ofAcquire(acquire),
  read(input, from, end, into) {
    into.acquire = acquires.read(input, from, end);
  },
  write: (to, { acquire = {} }) => acquires.write(to, acquire),
};
/** NEWAE. */
export const aevent: Body<Said<events.NewAeEvent>> = {
  ...aevents,
  subject: ({ aevent }) => subject.ofAevent(aevent),
  read(input, from, end, into) {
    into.aevent = aevents.read(input, from, end);
  },
  write: (to, { aevent = {} }) => aevents.write(to, aevent),
};
/** GETAE: the kernel ignores the source address. */
export const aeventQuery: Body<Said<events.NewAeEvent>> = {
  ...aevent,
  subject: ({ aevent }) => subject.ofStateId(aevent, aevent),
};
export const report: Body<Said<events.ReportEvent>> = {
  ...reports,
  subject: ({ report }) => subject.ofReport(report),
  read(input, from, end, into) {
    into.report = reports.read(input, from, end);
  },
  write: (to, { report = {} }) => reports.write(to, report),
};
export const mapping: Body<Said<events.MappingEvent>> = {
  ...mappings,
  subject: ({ mapping }) => subject.ofMapping(mapping),
  read(input, from, end, into) {
    into.mapping = mappings.read(input, from, end);
  },
  write: (to, { mapping = {} }) => mappings.write(to, mapping),
};
export const allocation: Body<Said<requests.AllocSpiRequest>> = {
  ...allocations,
  subject: ({ allocation }) => subject.ofAllocation(allocation),
  read(input, from, end, into) {
    into.allocation = allocations.read(input, from, end);
  },
  write: (to, { allocation = {} }) => allocations.write(to, allocation),
};
export const migrateState: Body<Said<events.MigrateStateEvent>> = {
  ...migratedStates,
  subject: ({ migration }) => subject.ofStateMigration(migration),
  read(input, from, end, into) {
    into.migration = migratedStates.read(input, from, end);
  },
  write: (to, { migration = {} }) => migratedStates.write(to, migration),
};

/**
 * MIGRATE: the kernel announces each migration in an attribute of its own, but accepts them all in
 * one (net/xfrm/xfrm_user.c, build_migrate and copy_from_user_migrate).
 */
export const migrate: Body<Said<events.MigrateEvent>> = {
  size: policyIds.size,
  table: attributes,
  use: parts.migrate.use,
  subject: subject.ofMigrations,
  read(input, from, end, into) {
    const { id, first, family } = policyIds.read(input, from, end);
    const read: types.XfrmAttributes = {};
    const { migrations = [], ...attributes } = readAttributes(
      input,
      first,
      end,
      parts.migrate,
      family,
      read,
    );
    into.id = id;
    into.migrations = migrations;
    into.attributes = attributes;
  },
  write: (to, { id = {}, migrations, attributes }) =>
    writeAttributes(to, parts.migrate, policyIds.write(to, id), { ...attributes, migrations }),
};
export const migrateRequest: Body<Said<requests.MigrateRequest>> = {
  ...migrate,
  write(to, { id = {}, migrations = [], attributes }) {
    const { w } = to;
    const family = policyIds.write(to, id);
    if (migrations.length > 0) {
      const { size } = S.xfrm_user_migrate;
      const at = w.attribute(X.XFRMA_MIGRATE, size * migrations.length);
      for (const [i, one] of migrations.entries()) {
        try {
          codec.writeXfrmMigration(w.view, w.bytes, at + size * i, one);
        } catch (error) {
          throw within(within(error, `[${i}]`), 'XFRMA_MIGRATE');
        }
      }
    }
    writeAttributes(to, parts.migrate, family, attributes);
  },
};

/** The statistics have a number before their attributes: flags, echoed by the kernel. */
const FLAGS_SIZE = 4;

function readFlags({ view }: DecodeInput, from: number, end: number): number {
  if (end - from < FLAGS_SIZE) tooShort('flags', from, FLAGS_SIZE, end - from);
  return view.getUint32(from, LE);
}
function writeFlags({ w }: Target, flags: number | undefined): void {
  const at = w.reserve(FLAGS_SIZE);
  w.view.setUint32(at, u32(flags, 'flags'), LE);
}

export const sadInfo: Body<Said<requests.SadInfo>> = {
  size: FLAGS_SIZE,
  table: sadAttributes,
  read(input, from, end, into) {
    into.flags = readFlags(input, from, end);
    into.sad = {};
    const { view, bytes, keys } = input;
    codec.readSadAttributes(view, bytes, from + FLAGS_SIZE, end, keys, into.sad);
  },
  write(to, { flags, sad = {} }) {
    writeFlags(to, flags);
    codec.writeSadAttributes(to.w, sad, to.zeroKeys);
  },
};
export const spdInfo: Body<Said<requests.SpdInfo>> = {
  size: FLAGS_SIZE,
  table: spdAttributes,
  read(input, from, end, into) {
    into.flags = readFlags(input, from, end);
    into.spd = {};
    const { view, bytes, keys } = input;
    codec.readSpdAttributes(view, bytes, from + FLAGS_SIZE, end, keys, into.spd);
  },
  write(to, { flags, spd = {} }) {
    writeFlags(to, flags);
    codec.writeSpdAttributes(to.w, spd, to.zeroKeys);
  },
};
/** Requests for statistics, which have no attributes of their own. */
const infoRequest: Body<Said<requests.DatabaseInfoRequest>> = {
  size: FLAGS_SIZE,
  table: attributes,
  use: parts.none.use,
  read(input, from, end, into) {
    into.flags = readFlags(input, from, end);
    readAttributes(input, from + FLAGS_SIZE, end, parts.none, 0, into);
  },
  write(to, said) {
    writeFlags(to, said.flags);
    writeAttributes(to, parts.none, 0, said);
  },
};
export const sadInfoRequest = { ...infoRequest, table: sadAttributes };
export const spdInfoRequest = { ...infoRequest, table: spdAttributes };
