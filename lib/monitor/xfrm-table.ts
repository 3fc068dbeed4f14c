/** How XFRM events change the tables; docs/events.md and docs/consistency.md say why. @module */
import type { EventTime } from '../netlink/event.ts';
import type { XfrmEvent } from '../xfrm/events.ts';
import type { IpsecProto } from '../xfrm/names.ts';
import type { XfrmPolicy, XfrmState } from '../xfrm/objects.ts';
import type { ObjectModel, Rows } from './object-model.ts';
import type { Lookup, RowKey } from './table.ts';
import {
  countedAs,
  hasSpi,
  isIpcompHelper,
  isLarval,
  isPolicyCounter,
  isStateCounter,
  location,
  policyDifferences,
  policyId,
  policyRowKey,
  stateDifferences,
  stateRowKey,
  withCounters,
  type XfrmObjectTypes,
} from './xfrm-objects.ts';

type XfrmRows = Rows<XfrmObjectTypes>;

/** The text of all helpers in their index. */
const HELPER = 'helper';

const peers = ({ saddr, daddr }: XfrmState): string => `${saddr} ${daddr}`;

/**
 * Whether an SA has a helper, which is created and removed with the SAs between its endpoints,
 * without events.
 */
const hasHelper = ({ proto, mode }: XfrmState): boolean => proto === 'comp' && mode === 'tunnel';

/** Texts for {@link Table.find}; user lookups have functions of their own (xfrm-views.ts). */
const stateIndexes = {
  // Of most SAs it is the key: see rowsAt. Rows of SAs that cannot be told apart have a number at
  // their end (staging-tables.ts).
  location: (state: XfrmState, key: RowKey) =>
    state.mark || (state.spi === 0 && hasSpi(state.proto)) || `${key}`.endsWith(')')
      ? location(state)
      : undefined,
  spi: ({ spi }: XfrmState) => String(spi),
  destination: ({ daddr }: XfrmState) => daddr,
  peers,
  reqid: ({ reqid }: XfrmState) => String(reqid),
  mark: ({ mark }: XfrmState) => `${mark?.value ?? 0}/${mark?.mask ?? 0}`,
  ifId: ({ ifId }: XfrmState) => String(ifId ?? 0),
  larvalSeq: (state: XfrmState) =>
    isLarval(state) && state.seq !== 0 ? String(state.seq) : undefined,
  larvalEnds: (state: XfrmState) =>
    isLarval(state) && state.spi === 0 ? larvalEnds(state) : undefined,
  helper: (state: XfrmState) => (isIpcompHelper(state) ? HELPER : undefined),
};

const policyIndexes = {
  id: policyId,
  peers: ({ templates }: XfrmPolicy) => {
    const template = templates?.find(({ daddr }) => daddr !== '0.0.0.0' && daddr !== '::');
    return template && `${template.saddr} ${template.daddr}`;
  },
  reqid: ({ templates }: XfrmPolicy) => templates?.[0] && String(templates[0].reqid),
  mark: ({ mark }: XfrmPolicy) => `${mark?.value ?? 0}/${mark?.mask ?? 0}`,
  ifId: ({ ifId }: XfrmPolicy) => String(ifId ?? 0),
};

/** The rows at a location. */
function rowsAt(table: Lookup<XfrmState>, at: string): [RowKey, XfrmState][] {
  const others = table.isUnused('location') ? [] : table.findRows('location', at);
  const state = table.value(at);
  return state === undefined ? others : [[at, state], ...others];
}

/** What __find_acq_core compares, except the mark. */
const larvalEnds = ({ daddr, saddr, proto, mode, reqid, pcpu }: XfrmState): string =>
  `${saddr} ${daddr} ${proto} ${mode} ${reqid} ${pcpu ?? ''}`;

/** Whether a lookup with the mark of one finds the other (__xfrm_state_lookup). */
function markFinds({ mark }: XfrmState, { mark: its }: XfrmState): boolean {
  const sought = mark ? mark.value & mark.mask : 0;
  return its === undefined || (sought & its.mask) >>> 0 === its.value;
}

type Apply<Event> = (event: Event, rows: XfrmRows) => void;

/** What each event does; the others change no table. */
const APPLY: {
  readonly [Kind in XfrmEvent['kind']]?: Apply<Extract<XfrmEvent, { kind: Kind }>>;
} = {
  NEWSA: ({ state }, rows) => {
    replaceLarval(state, rows);
    add(state, rows);
  },
  UPDSA: ({ state }, rows) => updateState(state, rows),
  DELSA: ({ state }, rows) => deleteState(state, rows),
  EXPIRE: ({ state, hard, time }, rows) => expireState(state, Boolean(hard), time, rows),
  FLUSHSA: ({ proto }, rows) => flushStates(proto, rows),
  NEWPOLICY: ({ policy }, rows) => setPolicy(policy, 'new', rows),
  UPDPOLICY: ({ policy }, rows) => setPolicy(policy, 'same', rows),
  DELPOLICY: ({ policy }, rows) => rows.remove('policy', policyRowKey(policy), 'deleted', policy),
  POLEXPIRE: ({ policy, hard, time }, rows) => expirePolicy(policy, Boolean(hard), time, rows),
  FLUSHPOLICY: ({ policyType }, rows) => flushPolicies(policyType?.type ?? 'main', rows),
  // It holds the request, not which SAs were found (net/xfrm/xfrm_policy.c, xfrm_migrate).
  MIGRATE: (_, rows) => rows.markUncertain(),
  MIGRATE_STATE: (_, rows) => rows.markUncertain(),
  // From a newer kernel: what it changed is unknown.
  unknown: (_, rows) => rows.markUncertain(),
};

/** IPsec objects, fed by the groups SA, POLICY, EXPIRE and MIGRATE. */
export const xfrmModel: ObjectModel<XfrmObjectTypes, XfrmEvent> = {
  kinds: {
    state: {
      indexes: stateIndexes,
      // net/xfrm/xfrm_state.c: state_all; xfrm_policy.c: policy_all.
      newestFirst: true,
      key: stateRowKey,
      // An UPDSA adds the new SA next to the larval one, then removes that (xfrm_state_update).
      supersedes: (first, second) => isLarval(first) && !isLarval(second),
      unannounced: isLarval,
      // An SA keeps its add time in seconds, and its counters do not decrease.
      sameIncarnation: (before, after) =>
        before.current.addedAt === after.current.addedAt &&
        before.current.bytes <= after.current.bytes &&
        before.current.packets <= after.current.packets &&
        isLarval(before) === isLarval(after),
      differences: stateDifferences,
      isCounter: isStateCounter,
      missing: (state, since) =>
        since.some((event) => moved(event, state)) ? 'migrated' : 'found-missing',
    },
    policy: {
      indexes: policyIndexes,
      shared: ['templates'],
      newestFirst: true,
      key: policyRowKey,
      id: policyId,
      sameIncarnation: (before, after) => policyId(before) === policyId(after),
      differences: policyDifferences,
      isCounter: isPolicyCounter,
    },
  },
  awaitsSilentRemoval: ({ state }) => hasLeftOver(state),
  explains: ({ kind }) => kind === 'MIGRATE' || kind === 'MIGRATE_STATE',
  apply: (event, rows) => (APPLY[event.kind] as Apply<XfrmEvent> | undefined)?.(event, rows),
};

function hasLeftOver(states: Lookup<XfrmState>): boolean {
  // Usually there is none, and then `peers` need not be indexed.
  if (states.isUnused('helper')) return false;
  return states.findRows('helper', HELPER).some(([, helper]) => {
    const between = states.findRows('peers', peers(helper));
    return isLeftOver(
      helper,
      between.map(([, state]) => state),
    );
  });
}

/**
 * Whether a helper serves none of the SAs between its endpoints. The kernel removes it some time
 * after the last of its SAs (ipcomp_destroy, called by a worker), and briefly creates one for a
 * request that it then rejects, or only takes numbers from (ipcomp_tunnel_attach).
 */
function isLeftOver(helper: XfrmState, between: readonly XfrmState[]): boolean {
  const served = between.filter((state) => hasHelper(state) && !isLarval(state));
  const helpers = between.filter((state) => isIpcompHelper(state));
  return helpers.length > served.length || !served.some((state) => markFinds(state, helper));
}

function moved(event: XfrmEvent, { daddr, saddr, proto, spi }: XfrmState): boolean {
  if (event.kind === 'MIGRATE') {
    return event.migrations.some(
      (one) => one.oldDaddr === daddr && one.oldSaddr === saddr && one.proto === proto,
    );
  }
  if (event.kind !== 'MIGRATE_STATE') return false;
  const { id } = event.migration;
  return id.daddr === daddr && id.spi === spi && id.proto === proto;
}

/** An added SA replaces a larval one, which is removed without an event (xfrm_state_add). */
function replaceLarval(state: XfrmState, rows: XfrmRows): void {
  if (!hasSpi(state.proto)) return;
  const { state: table } = rows.tables;
  // Usually there is none.
  if (table.isUnused('larvalSeq') && table.isUnused('larvalEnds')) return;
  const found = (index: string, text: string) =>
    table.findRows(index, text).filter(([, one]) => markFinds(state, one));
  // The kernel takes the first match by sequence number, unless it belongs to another SA; then it
  // looks by endpoints. The first match may be one that the table does not have.
  const asked = found('larvalSeq', String(state.seq));
  const { daddr, proto } = state;
  const own = asked.filter(([, one]) => one.daddr === daddr && one.proto === proto);
  const fitting = new Map([...own, ...found('larvalEnds', larvalEnds(state))]);
  for (const key of fitting.keys()) {
    // At most one is removed.
    if (asked.length > 1 || fitting.size > 1) rows.markUncertain('state', key);
    else rows.remove('state', key, 'replaced');
  }
}

function add(state: XfrmState, rows: XfrmRows): void {
  const key = stateRowKey(state);
  const known = rows.tables.state.value(key);
  if (known && mayHaveTwins(known)) {
    rows.markUncertain();
    return;
  }
  // The dump may already have it, with newer counters.
  const listed = rows.overlap && known?.current.addedAt === state.current.addedAt;
  rows.put('state', key, listed && known ? countedAs(state, known) : state, 'new');
  // An offloaded SA is removed with its device, without an event (net/xfrm/xfrm_device.c,
  // xfrm_dev_down).
  if (rows.overlap && state.offload && !known?.offload) rows.markUncertain('state', key);
  if (hasHelper(state)) rows.markUncertain();
}

/**
 * No request finds an SA with keys but no SPI, so the kernel accepts duplicates (xfrm_state_add;
 * seen on 6.1).
 */
const mayHaveTwins = (state: XfrmState): boolean =>
  state.spi === 0 && hasSpi(state.proto) && !isLarval(state);

function updateState(request: XfrmState, rows: XfrmRows): void {
  const place = location(request);
  const key = stateRowKey(request, place);
  const [at, known] = found(request, place, key, rows);
  if (known === undefined || isLarval(known)) {
    // It had no keys: the event holds the SA as it is now.
    if (known !== undefined) rows.remove('state', at, 'replaced');
    else mayHaveBeenNamed(request, rows);
    add(request, rows);
  } else {
    rows.put('state', at, updated(known, request), 'same');
    // If a timer had removed the SA before, with its EXPIRE still to come, the UPDSA was for a
    // larval SA with the same SPI that no event announced.
    rows.tables.state.doubt(at);
    // An offloaded SA may have been removed with its device, and this event be about a later larval
    // one.
    if (known.offload) rows.markUncertain('state', at);
  }
}

/** The row that an update is for, and its SA if there is one. */
function found(
  request: XfrmState,
  place: string,
  key: string,
  rows: XfrmRows,
): [RowKey, XfrmState | undefined] {
  const { state: table } = rows.tables;
  // Most have no mark, nor has any other SA one.
  if (key === place && table.isUnused('location')) return [key, table.value(key)];
  const located = rowsAt(table, place).filter(([, one]) => markFinds(request, one));
  const [at, known] = located.find(([one]) => one === key) ?? located[0] ?? [key];
  // If marks overlap, the kernel finds the SA that was added last.
  if (located.length > 1) rows.markUncertain('state', at);
  return [at, known];
}

/**
 * A valid SA after an UPDSA. The event repeats the request, of which the kernel uses only these
 * fields (net/xfrm/xfrm_state.c, xfrm_state_update; measured on 7.2).
 */
function updated(state: XfrmState, request: XfrmState): XfrmState {
  const { encap, coaddr, setMark, setMarkMask, ifId, lifetime, selector } = request;
  const isNew = lifetime !== state.lifetime || setMark || setMarkMask || !hasSpi(state.proto);
  const moved = (encap && encap !== state.encap) || (coaddr && coaddr !== state.coaddr);
  if (!isNew && !moved && (!ifId || ifId === state.ifId)) return state;
  const after = { ...state };
  after.lifetime = lifetime;
  if (encap && state.encap) after.encap = encap;
  if (coaddr && state.coaddr) after.coaddr = coaddr;
  if (!hasSpi(state.proto)) after.selector = selector;
  if (setMark || setMarkMask) {
    if (setMark !== undefined) after.setMark = setMark;
    if (setMarkMask !== undefined) after.setMarkMask = setMarkMask;
  }
  if (ifId) after.ifId = ifId;
  return after;
}

function deleteState(state: XfrmState, rows: XfrmRows): void {
  const key = stateRowKey(state);
  const known = rows.tables.state.value(key);
  if (known === undefined || !isTold(known, state)) mayHaveBeenNamed(state, rows);
  rows.remove('state', key, 'deleted', state);
  if (rows.overlap) neighbours(state, key, rows);
  if (hasHelper(state)) rows.markUncertain();
}

/**
 * A larval SA gets its SPI without an event (xfrm_alloc_spi): an event about an SA that is not in
 * the table may concern one that is there without its SPI. So may one about an SA that only has the
 * place of the one in the table.
 */
function mayHaveBeenNamed(state: XfrmState, rows: XfrmRows): void {
  if (!hasSpi(state.proto) || state.spi === 0) return;
  if (rows.tables.state.isUnused('location')) return;
  for (const [key] of rowsAt(rows.tables.state, location({ ...state, spi: 0 }))) {
    rows.markUncertain('state', key);
  }
}

/**
 * An UPDSA during the dump may have been for the removed SA, found by a mark other than its own: it
 * then left a row of its own, or changed another SA's.
 */
function neighbours(state: XfrmState, key: string, rows: XfrmRows): void {
  for (const [other] of rowsAt(rows.tables.state, location(state))) {
    if (other !== key) rows.markUncertain('state', other);
  }
}

function expireState(event: XfrmState, hard: boolean, time: EventTime, rows: XfrmRows): void {
  const key = stateRowKey(event);
  const known = rows.tables.state.value(key);
  if (hard && hasHelper(event)) rows.markUncertain();
  if (known === undefined) {
    // Often it is already gone: a timer removes the SA before it sends the event, perhaps a round
    // later.
    if (hard) neighbours(event, key, rows);
    if (hard) mayHaveBeenNamed(event, rows);
    return;
  }
  const it = isTold(known, event);
  const mayStay =
    !it ||
    mayBeLater(known, event, time) ||
    mayHaveTwins(known) ||
    rows.tables.state.isDoubted(key);
  if (hard && mayStay) rows.markUncertain('state', key);
  if (!it) return;
  if (hard) rows.remove('state', key, 'hard-expired', withCounters(known, event));
  else rows.expiring('state', key, withCounters(known, event));
}

/**
 * Whether an event is about the SA in the table, judged by what an SA keeps for life. An SA that
 * was migrated into the reported one's place keeps its old add time (xfrm_state_clone_and_setup).
 */
function isTold(known: XfrmState, told: XfrmState): boolean {
  return (
    known.current.addedAt === told.current.addedAt &&
    known.saddr === told.saddr &&
    known.seq === told.seq &&
    known.reqid === told.reqid &&
    known.mode === told.mode
  );
}

/**
 * Whether the object in the table may be newer than the expired one: timers do not wait for
 * requests. Incarnations created within the same second cannot be distinguished.
 */
function mayBeLater(known: Aging, expired: Aging, { wall }: EventTime): boolean {
  const { addedAt } = expired.current;
  return known.current.addedAt !== addedAt || wall - addedAt < 2000;
}

type Aging = Pick<XfrmState | XfrmPolicy, 'current'>;

function flushStates(proto: IpsecProto, rows: XfrmRows): void {
  for (const [key, value] of [...rows.tables.state.rows()]) {
    // 255 is IPSEC_PROTO_ANY (include/net/xfrm.h, xfrm_id_proto_match).
    const meant =
      proto === 'any' || proto === value.proto || (proto === 255 && hasSpi(value.proto));
    if (isIpcompHelper(value)) rows.markUncertain();
    else if (meant) rows.remove('state', key, 'flushed');
  }
}

function setPolicy(policy: XfrmPolicy, as: 'new' | 'same', rows: XfrmRows): void {
  const key = policyRowKey(policy);
  const known = rows.tables.policy.value(key);
  // Events omit the security label, dumps include it (xfrm_notify_policy, dump_one_policy).
  const label = known?.securityContext;
  const value = label && as === 'same' ? { ...policy, securityContext: label } : policy;
  const same = as === 'same' && known !== undefined && policyId(known) === policyId(value);
  rows.put('policy', key, value, same ? 'same' : 'new');
  if (rows.overlap && policy.offload && !known?.offload) rows.markUncertain('policy', key);
}

function expirePolicy(event: XfrmPolicy, hard: boolean, time: EventTime, rows: XfrmRows): void {
  const key = policyRowKey(event);
  const known = rows.tables.policy.value(key);
  if (known === undefined) return;
  if (hard && mayBeLater(known, event, time)) rows.markUncertain('policy', key);
  if (known.current.addedAt !== event.current.addedAt) return;
  if (hard) rows.remove('policy', key, 'hard-expired', event);
  else rows.expiring('policy', key, { ...known, current: event.current });
}

function flushPolicies(type: string | number, rows: XfrmRows): void {
  for (const [key, value] of [...rows.tables.policy.rows()]) {
    // Per-socket policies, with directions above 2, are not flushed (xfrm_policy_flush).
    if ((value.index & 7) < 3 && (value.policyType?.type ?? 'main') === type) {
      rows.remove('policy', key, 'flushed');
    }
  }
}
