/**
 * The bodies of XFRM messages, from objects to bytes: the mirror image of decode-objects.ts.
 * @module
 */
import type { Part } from '../wire/attribute-table.ts';
import { LE } from '../wire/endian.ts';
import { within } from '../wire/error.ts';
import type { Input } from '../wire/input.ts';
import { u32 } from '../wire/integer.ts';
import type { Truth } from '../wire/names.ts';
import type { MessageWriter } from '../wire/writer.ts';
import * as codec from './codec.ts';
import * as X from './constants.ts';
import type { Mapping, Report } from './events.ts';
import {
  ACQUIRE_SELECTOR,
  INFO_FLAGS,
  REPORT_SELECTOR,
  selectorFamily,
  stateFamily,
  stateIdFamily,
} from './messages.ts';
import type {
  Acquire,
  Aevent,
  SpiAllocation,
  StateMigration,
  XfrmPolicy,
  XfrmState,
} from './objects.ts';
import { parts } from './parts.ts';
import * as S from './structs.ts';

/** Where a message is written, and what stands for keys that are not there. */
export interface Target {
  readonly w: MessageWriter;
  /** Whether zeros do. */
  readonly zeroKeys: boolean;
}

/** Writes the attributes of an object that belong to a kind of message. */
export function writeAttributes(
  { w, zeroKeys }: Target,
  { order }: Part,
  family: number,
  from: object | undefined,
): void {
  // The part decides which properties are looked at: those of the type the object has.
  if (from !== undefined) codec.writeXfrmAttributes(w, from, order, family, zeroKeys);
}

export function writeState(to: Target, state: Input<XfrmState> = {}): void {
  const { w } = to;
  const at = w.reserve(S.xfrm_usersa_info.size);
  codec.writeStateInfo(w.view, w.bytes, at, state, 0);
  writeAttributes(to, parts.state, stateFamily(w.view, at), state);
}

interface Hard {
  readonly hard?: Truth | undefined;
}

export function writeExpire(
  to: Target,
  { hard, state = {} }: Hard & { readonly state?: Input<XfrmState> | undefined },
): void {
  const { w } = to;
  const at = w.reserve(S.xfrm_user_expire.size);
  codec.writeExpireInfo(w.view, w.bytes, at, { hard, state });
  writeAttributes(to, parts.state, stateFamily(w.view, at), state);
}

export function writePolicy(to: Target, policy: Input<XfrmPolicy> = {}): void {
  const { w } = to;
  const at = w.reserve(S.xfrm_userpolicy_info.size);
  codec.writePolicyInfo(w.view, w.bytes, at, policy);
  writeAttributes(to, parts.policy, selectorFamily(w.view, at), policy);
}

export function writePolicyExpire(
  to: Target,
  { hard, policy = {} }: Hard & { readonly policy?: Input<XfrmPolicy> | undefined },
): void {
  const { w } = to;
  const at = w.reserve(S.xfrm_user_polexpire.size);
  codec.writePolicyExpireInfo(w.view, w.bytes, at, { hard, policy });
  writeAttributes(to, parts.policy, selectorFamily(w.view, at), policy);
}

interface NamedState {
  readonly id?: Input<codec.StateId> | undefined;
}

/** struct xfrm_usersa_id. Gives its address family. */
function writeStateId({ w }: Target, id: Input<codec.StateId> = {}): number {
  const at = w.reserve(S.xfrm_usersa_id.size);
  try {
    codec.writeStateId(w.view, w.bytes, at, id, 0);
  } catch (error) {
    throw within(error, 'id');
  }
  return stateIdFamily(w.view, at);
}

interface NamedPolicy {
  readonly id?: Input<codec.PolicyId> | undefined;
}

/** struct xfrm_userpolicy_id. Gives its address family. */
function writePolicyId({ w }: Target, id: Input<codec.PolicyId> = {}): number {
  const at = w.reserve(S.xfrm_userpolicy_id.size);
  try {
    codec.writePolicyId(w.view, w.bytes, at, id);
  } catch (error) {
    throw within(error, 'id');
  }
  return selectorFamily(w.view, at);
}

/** DELSA as an event: the SA is in an attribute. */
export function writeDeletedState(
  to: Target,
  { id, state = {} }: NamedState & { readonly state?: Input<XfrmState> | undefined },
): void {
  const { w } = to;
  writeStateId(to, id);
  const at = w.attribute(X.XFRMA_SA, S.xfrm_usersa_info.size);
  codec.writeStateInfo(w.view, w.bytes, at, state, 0);
  writeAttributes(to, parts.state, stateFamily(w.view, at), state);
}

/** DELPOLICY as an event: the policy is in an attribute. */
export function writeDeletedPolicy(
  to: Target,
  { id, policy = {} }: NamedPolicy & { readonly policy?: Input<XfrmPolicy> | undefined },
): void {
  const { w } = to;
  writePolicyId(to, id);
  const at = w.attribute(X.XFRMA_POLICY, S.xfrm_userpolicy_info.size);
  codec.writePolicyInfo(w.view, w.bytes, at, policy);
  writeAttributes(to, parts.policy, selectorFamily(w.view, at), policy);
}

/** A request that names an SA, or (without id) a dump of SAs. */
export function writeNamedState(
  to: Target,
  { id, attributes }: NamedState & { readonly attributes?: object | undefined },
): void {
  const family = id === undefined ? 0 : writeStateId(to, id);
  writeAttributes(to, parts.stateId, family, attributes);
}

/** A request that names a policy, or (without id) a dump of policies. */
export function writeNamedPolicy(
  to: Target,
  { id, attributes }: NamedPolicy & { readonly attributes?: object | undefined },
): void {
  const family = id === undefined ? 0 : writePolicyId(to, id);
  writeAttributes(to, parts.policyId, family, attributes);
}

export function writeSpiAllocation(to: Target, allocation: Input<SpiAllocation> = {}): void {
  const { w } = to;
  const at = w.reserve(S.xfrm_userspi_info.size);
  codec.writeSpiRequest(w.view, w.bytes, at, allocation, 0);
  writeAttributes(to, parts.allocSpi, stateFamily(w.view, at), allocation);
}

export function writeAcquire(to: Target, acquire: Input<Acquire> = {}): void {
  const { w } = to;
  const at = w.reserve(S.xfrm_user_acquire.size);
  codec.writeAcquireInfo(w.view, w.bytes, at, acquire, 0);
  writeAttributes(to, parts.acquire, selectorFamily(w.view, at + ACQUIRE_SELECTOR), acquire);
}

export function writeAevent(to: Target, aevent: Input<Aevent> = {}): void {
  const { w } = to;
  const at = w.reserve(S.xfrm_aevent_id.size);
  codec.writeAeventId(w.view, w.bytes, at, aevent, 0);
  writeAttributes(to, parts.aevent, stateIdFamily(w.view, at), aevent);
}

export function writeReport(to: Target, report: Input<Report['report']> = {}): void {
  const { w } = to;
  const at = w.reserve(S.xfrm_user_report.size);
  codec.writeReportInfo(w.view, w.bytes, at, report);
  writeAttributes(to, parts.report, selectorFamily(w.view, at + REPORT_SELECTOR), report);
}

export function writeMapping(to: Target, mapping: Input<Mapping['mapping']> = {}): void {
  const { w } = to;
  const at = w.reserve(S.xfrm_user_mapping.size);
  codec.writeMappingInfo(w.view, w.bytes, at, mapping, 0);
  writeAttributes(to, parts.none, stateIdFamily(w.view, at), mapping);
}

export function writeMigrateState(to: Target, migration: Input<StateMigration> = {}): void {
  const { w } = to;
  const at = w.reserve(S.xfrm_user_migrate_state.size);
  codec.writeMigrateStateInfo(w.view, w.bytes, at, migration);
  writeAttributes(to, parts.migrateState, stateIdFamily(w.view, at), migration);
}

/**
 * MIGRATE: the kernel announces each migration in an attribute of its own, and takes them all in
 * one (net/xfrm/xfrm_user.c, build_migrate and copy_from_user_migrate).
 */
export function writeMigrate(
  to: Target,
  {
    id,
    migrations = [],
    attributes,
  }: NamedPolicy & {
    readonly migrations?: readonly Input<codec.Migration>[] | undefined;
    readonly attributes?: object | undefined;
  },
  request: boolean,
): void {
  const { w } = to;
  const family = writePolicyId(to, id);
  if (!request) {
    writeAttributes(to, parts.migrate, family, { ...attributes, migrations });
    return;
  }
  if (migrations.length > 0) {
    const { size } = S.xfrm_user_migrate;
    const at = w.attribute(X.XFRMA_MIGRATE, size * migrations.length);
    for (const [i, one] of migrations.entries()) {
      try {
        codec.writeMigration(w.view, w.bytes, at + size * i, one);
      } catch (error) {
        throw within(within(error, `[${i}]`), 'XFRMA_MIGRATE');
      }
    }
  }
  writeAttributes(to, parts.migrate, family, attributes);
}

export function writeFlushState(to: Target, flush: Input<codec.FlushInfo>): void {
  const { w } = to;
  const at = w.reserve(S.xfrm_usersa_flush.size);
  codec.writeFlushInfo(w.view, w.bytes, at, flush);
  writeAttributes(to, parts.none, 0, flush);
}

export function writeDefaults(
  to: Target,
  message: { readonly defaults?: Input<codec.PolicyDefaults> | undefined },
): void {
  const { w } = to;
  const at = w.reserve(S.xfrm_userpolicy_default.size);
  codec.writePolicyDefaults(w.view, w.bytes, at, message.defaults ?? {});
  writeAttributes(to, parts.none, 0, message);
}

/** The number before the attributes of the statistics. */
export function writeInfoFlags({ w }: Target, flags: number | undefined): void {
  const at = w.reserve(INFO_FLAGS);
  w.view.setUint32(at, u32(flags, 'flags'), LE);
}
