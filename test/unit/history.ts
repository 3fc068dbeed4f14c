/**
 * One history of a table and a simulated kernel, generated from a seed, with its invariants.
 * @module
 */
import assert from 'node:assert/strict';
import type { XfrmEvent } from '../../lib/index.ts';
import type { TableChange } from '../../lib/monitor/changes.ts';
import {
  isIpcompHelper,
  isLarval,
  policyDifferences,
  stateDifferences,
  type XfrmObjectTypes,
} from '../../lib/monitor/xfrm-objects.ts';
import { xfrmModel } from '../../lib/monitor/xfrm-table.ts';
import type { XfrmPolicy, XfrmState } from '../../lib/xfrm/objects.ts';
import { Program } from './program.ts';
import { Random } from './random.ts';
import { SimulatedKernel } from './simulated-kernel.ts';

type Change = TableChange<XfrmObjectTypes>;
type Any = XfrmState | XfrmPolicy;

/** A program that keeps tables of a kernel's SAs and policies. */
export class History extends Program<XfrmObjectTypes, XfrmEvent> {
  readonly random: Random;
  readonly kernel: SimulatedKernel;
  readonly changes: Change[] = [];

  constructor(seed: number) {
    const random = new Random(seed);
    const kernel = new SimulatedKernel(random, random.pick([2, 5, 20, 1000]));
    for (let i = random.below(12); i > 0; i--) kernel.step(true);
    super(random, kernel, xfrmModel, (change) => this.#told(change));
    this.random = random;
    this.kernel = kernel;
  }

  /** Right after a comparison the table is right, except for events still in flight. */
  #told(change: Change): void {
    this.changes.push(change);
    const compared = change.kind === 'resynced' || change.kind === 'refreshed';
    if (compared && !this.kernel.late) assertRight(this);
  }
}

const COUNTERS = new Set(['current', 'stats', 'replay', 'lastUsedAt']);
/** Objects are immutable, so their texts can be cached. */
const textOf = new WeakMap<Any, string>();

function text(value: Any): string {
  let known = textOf.get(value);
  if (known === undefined) {
    const sorted = Object.entries(value).filter(([name]) => !COUNTERS.has(name));
    sorted.sort(([a], [b]) => (a < b ? -1 : 1));
    known = JSON.stringify(sorted, (_, one) => (typeof one === 'bigint' ? `${one}n` : one));
    textOf.set(value, known);
  }
  return known;
}

/** Objects without events: for these the table is as of the last comparison. */
const unannounced = (value: Any): boolean =>
  value.offload !== undefined ||
  ('spi' in value ? isLarval(value) || isIpcompHelper(value) : (value.index & 7) >= 3);

const nothing = () => false;

/** Asserts that the table is right, except for unannounced changes since the last dump. */
function assertRight(history: History, leaveOut?: (value: Any) => boolean): void {
  const { kernel, table, listedAt } = history;
  const left = leaveOut ?? (kernel.silentAt <= listedAt ? nothing : unannounced);
  const values = <T>(entries: Iterable<{ value: T }>) => Array.from(entries, ({ value }) => value);
  const { state, policy } = table.tables;
  assertSame(values(state), kernel.states, left, 'states');
  assertSame(values(policy), kernel.policies, left, 'policies');
  if (left === unannounced) assertLarvalAreThere(values(state), kernel.states);
}

/** Neither the creation of a larval SA nor its SPI is announced; its removal is. */
export function assertLarvalAreThere(
  shown: readonly XfrmState[],
  there: readonly XfrmState[],
): void {
  const ends = ({ daddr, saddr, proto, mode, reqid, mark }: XfrmState) =>
    `${saddr} ${daddr} ${proto} ${mode} ${reqid} ${mark?.value}/${mark?.mask}`;
  const left = there.filter(isLarval).map(ends);
  for (const one of shown.filter(isLarval)) {
    const at = left.indexOf(ends(one));
    assert(at >= 0, `a larval SA that is gone: ${text(one)}`);
    left.splice(at, 1);
  }
}

/** Asserts that two lists hold equal objects in any order, except for excluded fields and those that change without events. */
function assertSame(
  actual: readonly Any[],
  expected: readonly Any[],
  leftOut: (value: Any) => boolean,
  what: string,
): void {
  // Most are identical objects and need no comparison. Indistinguishable ones are interchangeable.
  const shown = new Set<Any>();
  const rest: Any[] = [];
  for (const one of actual) {
    if (leftOut(one)) continue;
    if (shown.has(one)) rest.push(one);
    else shown.add(one);
  }
  const missing = expected.filter((one) => !shown.delete(one) && !leftOut(one));
  if (shown.size + rest.length + missing.length === 0) return;
  assert.deepEqual([...shown, ...rest].map(text).sort(), missing.map(text).sort(), what);
}

/** Applies the changes to a copy of the first snapshot. */
function replay(copy: Map<string, Any>, changes: readonly Change[]): void {
  for (const change of changes) {
    if (!('object' in change)) continue;
    const uid = `${change.object} ${change.uid}`;
    if (change.kind === 'added') {
      assert(!copy.has(uid), `added twice: ${uid}`);
      copy.set(uid, change.value);
      continue;
    }
    assert(copy.has(uid), `${change.kind} without being there: ${uid}`);
    if (change.kind === 'removed') copy.delete(uid);
    else {
      if (change.kind === 'updated') {
        assert(change.fields.length > 0);
        const before = copy.get(uid) as Any;
        const differences =
          'spi' in before
            ? stateDifferences(before, change.before as XfrmState)
            : policyDifferences(before, change.before as XfrmPolicy);
        assert.deepEqual(differences, [], 'before is what was there');
      }
      copy.set(uid, change.value);
    }
  }
}

function copyOf(history: History): Map<string, Any> {
  const copy = new Map<string, Any>();
  for (const { uid, value } of history.table.tables.state) copy.set(`state ${uid}`, value);
  for (const { uid, value } of history.table.tables.policy) copy.set(`policy ${uid}`, value);
  return copy;
}

/** The default number of steps. */
export const stepsOf = (seed: number): number => Math.abs(seed - 1) % 40;

/**
 * Runs a history of `steps` and checks it.
 *
 * @throws AssertionError
 */
export function runHistory(seed: number, steps: number): void {
  const history = new History(seed);
  const { random, kernel, table } = history;
  let snapshot: Map<string, Any> | undefined;
  // In the last part of many histories every change is announced.
  const untold = random.below(2 * steps);
  // How many steps until the program reads, dumps, and requests a comparison.
  const [reads, lists] = [random.pick([1, 3, 10]), random.pick([1, 3, 10])];
  const refreshes = random.pick([4, 12, 100]);
  for (let i = 0; i < steps; i++) {
    // Storms and calm: the kernel may be much faster than the program, or nearly idle.
    const speed = random.pick([1, 4, 16]);
    if (random.chance(speed, 16)) kernel.step(i < untold);
    if (random.chance(1, 200)) kernel.queue.cloneFails();
    if (random.chance(1, reads)) history.read();
    if (random.chance(1, lists)) history.list();
    if (random.chance(1, 4)) history.tick();
    if (random.chance(1, refreshes)) table.refresh();
    if (history.quiet) assertRight(history);
    if (snapshot === undefined && table.synced) {
      snapshot = copyOf(history);
      history.changes.length = 0;
    }
  }
  kernel.quiet();
  history.settle();
  if (snapshot === undefined) {
    snapshot = copyOf(history);
    history.changes.length = 0;
  }
  assertRight(history);
  // A comparison finds unannounced changes. One in progress may have started too early.
  for (let i = 0; i < 2; i++) {
    table.refresh();
    history.settle();
  }
  assertRight(history, nothing);
  replay(snapshot, history.changes);
  const last = copyOf(history);
  assert.equal(snapshot.size, last.size, 'replayed');
  for (const [uid, value] of last) {
    const told = snapshot.get(uid);
    if (told !== value) assert.equal(told && text(told), text(value), `replayed: ${uid}`);
  }
}
