/**
 * What a message concerns: the SAs and policies it names, in one form for all kinds.
 * @module
 */

import type { MappingEvent, MigrateEvent, ReportEvent } from './events.ts';
import type { IpsecProto } from './names.ts';
import type {
  SpiAllocation,
  XfrmAcquire,
  XfrmAevent,
  XfrmPolicy,
  XfrmState,
  XfrmStateMigration,
} from './objects.ts';
import type { PolicyId, StateId, XfrmMark, XfrmSelector } from './types.ts';

/** An address or a network. */
export interface SubjectAddress {
  readonly address: string;
  readonly bits?: number;
}

/** What is known of an SA; for a policy, what it requires of one. */
interface Sa {
  readonly saddr?: string;
  readonly daddr?: string;
  readonly spi?: number;
  readonly proto?: IpsecProto;
  readonly reqid?: number;
}

/** Mark and interface id, which restrict the packets it applies to. */
interface Marked {
  readonly mark?: XfrmMark;
  readonly ifId?: number;
}

/** The SAs and the policy that a message concerns. */
export interface FilterSubject {
  readonly sas: readonly Sa[];
  readonly sources: readonly SubjectAddress[];
  readonly destinations: readonly SubjectAddress[];
  /** What may have a mark and an interface id; undefined if the message does not carry them. */
  readonly marked?: Marked;
  readonly dir?: string | number;
  /** It concerns all SAs or all policies: a flush. */
  readonly all?: true;
}

const places = (...addresses: readonly string[]): SubjectAddress[] =>
  addresses.map((address) => ({ address }));

const between = ({ saddr, daddr }: { readonly saddr: string; readonly daddr: string }) => ({
  sources: places(saddr),
  destinations: places(daddr),
});

const selected = ({ saddr, prefixlenS, daddr, prefixlenD }: XfrmSelector) => ({
  sources: [{ address: saddr, bits: prefixlenS }],
  destinations: [{ address: daddr, bits: prefixlenD }],
});

const inDirection = (dir: string | number | undefined) => (dir === undefined ? {} : { dir });

export const ofState = (state: XfrmState): FilterSubject => ({
  sas: [state],
  ...between(state),
  marked: state,
  ...inDirection(state.dir),
});

export const ofStateId = (id: Pick<StateId, 'daddr' | 'spi'>, marked: Marked): FilterSubject => ({
  sas: [id],
  sources: [],
  destinations: places(id.daddr),
  marked,
});

export const ofPolicy = (policy: XfrmPolicy): FilterSubject => ({
  sas: policy.templates ?? [],
  ...selected(policy.selector),
  marked: policy,
  dir: policy.dir,
});

export const ofPolicyId = ({ selector, dir }: PolicyId, marked: Marked): FilterSubject => ({
  sas: [],
  ...selected(selector),
  marked,
  dir,
});

export const ofAll = (sas: readonly Sa[]): FilterSubject => ({
  sas,
  sources: [],
  destinations: [],
  all: true,
});

export const ofAcquire = (acquire: XfrmAcquire): FilterSubject => ({
  sas: [acquire, ...(acquire.templates ?? [])],
  ...between(acquire),
  marked: acquire,
  dir: acquire.policy.dir,
});

export const ofAevent = (aevent: XfrmAevent): FilterSubject => ({
  sas: [aevent],
  ...between(aevent),
  marked: aevent,
  ...inDirection(aevent.dir),
});

export const ofAllocation = (allocation: SpiAllocation): FilterSubject => ({
  sas: [allocation],
  ...between(allocation),
  marked: allocation,
});

export const ofReport = (report: ReportEvent['report']): FilterSubject => ({
  sas: [report],
  ...selected(report.selector),
});

export function ofMigrations({
  id,
  migrations,
}: Pick<MigrateEvent, 'id' | 'migrations'>): FilterSubject {
  const inner = selected(id.selector);
  return {
    sas: migrations,
    sources: [...migrations.flatMap((one) => places(one.oldSaddr, one.newSaddr)), ...inner.sources],
    destinations: [
      ...migrations.flatMap((one) => places(one.oldDaddr, one.newDaddr)),
      ...inner.destinations,
    ],
    dir: id.dir,
  };
}

export const ofStateMigration = (migration: XfrmStateMigration): FilterSubject => ({
  sas: [{ ...migration.id, reqid: migration.newReqid }],
  sources: places(migration.newSaddr),
  destinations: places(migration.id.daddr, migration.newDaddr),
});

export const ofMapping = (mapping: MappingEvent['mapping']): FilterSubject => ({
  sas: [mapping],
  sources: places(mapping.oldSaddr, mapping.newSaddr),
  destinations: places(mapping.daddr),
});
