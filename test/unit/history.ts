/**
 * One history of a table and a simulated kernel, made from a seed, and what must hold at its end.
 * @module
 */
import assert from 'node:assert/strict';
import type { XfrmEvent } from '../../lib/index.ts';
import type { TableChange } from '../../lib/monitor/changes.ts';
import { Reconciler } from '../../lib/monitor/reconciler.ts';
import {
  isHelper,
  isLarval,
  policyDifferences,
  stateDifferences,
  type XfrmKinds,
} from '../../lib/monitor/xfrm-objects.ts';
import { xfrmFamily } from '../../lib/monitor/xfrm-table.ts';
import type { XfrmPolicy, XfrmState } from '../../lib/xfrm/objects.ts';
import { Random } from './random.ts';
import { SimulatedKernel } from './simulated-kernel.ts';

type Change = TableChange<XfrmKinds>;
type Any = XfrmState | XfrmPolicy;

/** A program that follows a kernel, each at its own pace. */
export class History {
  readonly random: Random;
  readonly kernel: SimulatedKernel;
  readonly table: Reconciler<XfrmKinds, XfrmEvent>;
  readonly changes: Change[] = [];
  now = 0;
  /** When the last list began: when the kernel was asked, in its steps. */
  listedAt = 0;
  #wakeAt = 0;
  #drops = 0;
  #dump: ReturnType<SimulatedKernel['dump']> | undefined;
  #asked = false;
  /** Whether the program clears the congestion of its socket after a loss. */
  readonly clears: boolean;

  constructor(seed: number) {
    this.random = new Random(seed);
    this.clears = this.random.chance(1, 2);
    this.kernel = new SimulatedKernel(this.random, this.random.pick([2, 5, 20, 1000]));
    for (let i = this.random.below(12); i > 0; i--) this.kernel.step(true);
    this.table = new Reconciler<XfrmKinds, XfrmEvent>(
      xfrmFamily,
      {
        now: () => ({ wall: this.now, monotonic: this.now }),
        wakeAfter: (wait) => {
          this.#wakeAt = this.now + wait;
        },
        list: () => {
          this.#dump = this.kernel.dump(1 + this.random.below(4));
        },
        emit: (change) => this.#told(change),
      },
      { least: 1, most: 8 },
    );
    this.table.wake();
  }

  /** Right after a comparison the table is right, but for events that are still on their way. */
  #told(change: Change): void {
    this.changes.push(change);
    const compared = change.kind === 'repaired' || change.kind === 'refreshed';
    if (compared && !this.kernel.late) assertRight(this);
  }

  /** The program does something. */
  program(): void {
    const read = this.kernel.read(1 + this.random.below(8));
    if (read === 'ENOBUFS') this.#lost();
    else for (const event of read) this.table.event(event);
    this.check();
  }

  /** Whether the table has been told of everything, and thinks that it is right. */
  get quiet(): boolean {
    const { events, drops } = this.kernel.queue;
    const told = events.length === 0 && drops === this.#drops && !this.kernel.late;
    return told && !this.#dump && this.table.synced && !this.table.busy;
  }

  #lost(): void {
    if (this.clears) this.kernel.clearCongestion();
    const { drops } = this.kernel.queue;
    if (drops === this.#drops) return;
    this.#drops = drops;
    this.table.lost('ENOBUFS');
  }

  check(): void {
    if (!this.table.waitsForEmpty || this.kernel.queue.events.length > 0) return;
    if (this.kernel.queue.drops !== this.#drops) this.#lost();
    if (this.table.waitsForEmpty) this.table.empty();
  }

  list(): void {
    if (!this.#dump) return;
    if (!this.#asked) this.listedAt = this.kernel.steps;
    this.#asked = true;
    const { value, done } = this.#dump.next();
    if (done) {
      this.#dump = undefined;
      this.#asked = false;
      this.table.listEnded();
    } else {
      for (const item of value) {
        if (item[0] === 'state') this.table.listed('state', item[1]);
        else this.table.listed('policy', item[1]);
      }
    }
    this.check();
  }

  tick(): void {
    this.now++;
    if (this.now >= this.#wakeAt) this.table.wake();
    this.check();
  }

  /** Until nothing more happens; the kernel changes nothing meanwhile. */
  settle(): void {
    for (let i = 0; i < 2000; i++) {
      this.program();
      this.list();
      this.tick();
      if (this.quiet) return;
    }
    assert.fail('it does not settle');
  }
}

const COUNTERS = new Set(['current', 'stats', 'replay', 'lastUsed']);
/** Objects never change, so neither do their texts. */
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

/** Objects as texts without what moves by itself, sorted. */
function texts(values: Iterable<Any>, leaveOut: (value: Any) => boolean): string[] {
  const all: string[] = [];
  for (const value of values) if (!leaveOut(value)) all.push(text(value));
  return all.sort();
}

/** Objects that no event announces: of those the table is as of the last comparison. */
const unannounced = (value: Any): boolean =>
  value.offload !== undefined ||
  ('spi' in value ? isLarval(value) || isHelper(value) : (value.index & 7) >= 3);

const nothing = () => false;

/** That the table is right, but for what no event told of since the list before it. */
function assertRight(history: History, leaveOut?: (value: Any) => boolean): void {
  const { table, kernel } = history;
  const left = leaveOut ?? (kernel.silentAt <= history.listedAt ? nothing : unannounced);
  const values = <T>(entries: Iterable<{ value: T }>) => Array.from(entries, ({ value }) => value);
  const { state, policy } = table.tables;
  assertSame(texts(values(state), left), texts(kernel.states, left), 'states');
  assertSame(texts(values(policy), left), texts(kernel.policies, left), 'policies');
  if (left === unannounced) assertLarvalAreThere(values(state), kernel.states);
}

/** A larval SA that is made is not told of, nor what SPI it gets; that one goes is told. */
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

/** Much faster than deepEqual where they are. */
function assertSame(actual: string[], expected: string[], what: string): void {
  const same = actual.length === expected.length && actual.every((one, i) => one === expected[i]);
  if (!same) assert.deepEqual(actual, expected, what);
}

/** Does to a copy of the first snapshot what the changes say. */
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

/** The steps of a history of which only the seed is named. */
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
  // In the last part of many histories everything is announced, in some way.
  const untold = random.below(2 * steps);
  // How many steps until the program reads, lists, and asks for a comparison.
  const [reads, lists] = [random.pick([1, 3, 10]), random.pick([1, 3, 10])];
  const refreshes = random.pick([4, 12, 100]);
  for (let i = 0; i < steps; i++) {
    // Storms and calm: the kernel may be far quicker than the program, or hardly change.
    const speed = random.pick([1, 4, 16]);
    if (random.chance(speed, 16)) kernel.step(i < untold);
    if (history.clears && random.chance(1, 200)) kernel.cloneFails();
    if (random.chance(1, reads)) history.program();
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
  // What no event announces is found by a comparison. One under way may have begun too early.
  for (let i = 0; i < 2; i++) {
    table.refresh();
    history.settle();
  }
  assertRight(history, nothing);
  replay(snapshot, history.changes);
  const last = copyOf(history);
  assert.deepEqual([...snapshot.keys()].sort(), [...last.keys()].sort(), 'replayed');
  assert.deepEqual(
    texts(snapshot.values(), nothing),
    texts(last.values(), nothing),
    'replayed, each field',
  );
}
