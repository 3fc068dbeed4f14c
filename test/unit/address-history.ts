/**
 * One history of the addresses of a host and of a program that follows them, and what must hold.
 * @module
 */
import assert from 'node:assert/strict';
import { type AddressKinds, addressModel } from '../../lib/monitor/address-table.ts';
import type { TableChange } from '../../lib/monitor/changes.ts';
import type { RouteEvent } from '../../lib/route/events.ts';
import { LocalAddresses } from '../../lib/tunnel/addresses.ts';
import { Program } from './program.ts';
import { Random } from './random.ts';
import { ADDRESSES, SimulatedLinks } from './simulated-links.ts';

/** What is said of an address: whether packets can be sent from it. */
const usable = (local: LocalAddresses, address: string): boolean =>
  local.isLocal(address) && local.lost(address) === undefined;

class AddressHistory extends Program<AddressKinds, RouteEvent> {
  readonly random: Random;
  readonly kernel: SimulatedLinks;
  local: LocalAddresses | undefined;
  /** As known to an observer who checks only addresses for which a change was reported. */
  readonly told = new Map<string, boolean>();

  constructor(seed: number) {
    const random = new Random(seed);
    const kernel = new SimulatedLinks(random, random.pick([2, 5, 20, 1000]));
    for (let i = random.below(12); i > 0; i--) kernel.step();
    super(random, kernel, addressModel, (change) => this.#changed(change));
    this.random = random;
    this.kernel = kernel;
  }

  #changed(change: TableChange<AddressKinds>): void {
    if (this.local === undefined) {
      assert.equal(change.kind, 'refreshed');
      this.local = new LocalAddresses(this.table.tables);
      for (const address of ADDRESSES) this.told.set(address, usable(this.local, address));
    } else if ('object' in change) {
      const { local, told } = this;
      for (const address of local.change(change)) told.set(address, usable(local, address));
    }
    const compared = change.kind === 'resynced' || change.kind === 'refreshed';
    if (compared && !this.kernel.late) this.assertRight();
  }

  assertRight(): void {
    const { table, kernel, local } = this;
    for (const name of ['link', 'address'] as const) {
      const shown = [...table.tables[name]].map(({ value }) => JSON.stringify(value)).sort();
      const there = kernel.texts(name);
      // Much faster than deepEqual where they are equal.
      if (shown.join() !== there.join()) assert.deepEqual(shown, there, name);
    }
    assert(local);
    for (const address of ADDRESSES) {
      assert.equal(usable(local, address), kernel.usable(address), address);
      assert.equal(this.told.get(address), kernel.usable(address), `${address}, as told`);
    }
  }
}

/** @throws AssertionError */
export function runAddressHistory(seed: number, steps: number): void {
  const history = new AddressHistory(seed);
  const { random, kernel, table } = history;
  const [reads, lists] = [random.pick([1, 3, 10]), random.pick([1, 3, 10])];
  for (let i = 0; i < steps; i++) {
    if (random.chance(random.pick([1, 4, 16]), 16)) kernel.step();
    if (random.chance(1, 200)) kernel.queue.cloneFails();
    if (random.chance(1, reads)) history.read();
    if (random.chance(1, lists)) history.list();
    if (random.chance(1, 4)) history.tick();
    if (random.chance(1, 50)) table.refresh();
    if (history.quiet) history.assertRight();
  }
  kernel.quiet();
  history.settle();
  history.assertRight();
}
