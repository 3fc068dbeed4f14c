/**
 * Small worlds of tunnels between two hosts, of the shapes that key managers, orchestrators and people make, and what
 * becomes of them; made from a seed. The right host has what the shape needs; what goes wrong does so on the left one,
 * which is looked at, unless it is said to be the peer's. @module
 */

import type { XfrmPolicy, XfrmState } from '../../lib/index.ts';
import type { Encodable } from '../../lib/wire/encodable.ts';
import type { SpiAllocation } from '../../lib/xfrm/objects.ts';
import type { XfrmMigration } from '../../lib/xfrm/types.ts';
import type { Random } from '../unit/random.ts';
import { Life } from './oracle-changes.ts';
import type { Ability, Side, Where } from './oracle-hosts.ts';
import { connect } from './oracle-shapes.ts';

export type Sa = Encodable<XfrmState>;
export type Policy = Encodable<XfrmPolicy>;

/** What one host has of a world. */
export interface HostHas {
  readonly sas: Sa[];
  readonly policies: Policy[];
}

export type Operation =
  | { readonly do: 'addSa' | 'updateSa' | 'deleteSa'; readonly side: Side; readonly sa: Sa }
  | {
      readonly do: 'addPolicy' | 'replacePolicy' | 'deletePolicy';
      readonly side: Side;
      readonly policy: Policy;
    }
  | {
      readonly do: 'migrate';
      readonly side: Side;
      readonly policy: Policy;
      readonly migrations: readonly Encodable<XfrmMigration>[];
    }
  /** From now on there is a listener, of whom the kernel requests SAs. */
  | { readonly do: 'listen' }
  | { readonly do: 'allocate'; readonly side: Side; readonly request: Encodable<SpiAllocation> }
  /** Lines of `ip`, and those that undo them in the end. */
  | { readonly do: 'ip'; readonly side: Side; readonly lines: readonly string[] }
  /** Packets of all connections, whatever becomes of them. */
  | { readonly do: 'traffic' };

/** Packets both ways, of hosts at both ends. */
export interface Probe {
  readonly from: Where;
  readonly ends: { readonly left: string; readonly right: string };
}

/** What one tunnel is said to be of: those of its peer that have one of its reqids. */
export interface Connection {
  readonly remote: string;
  /** Its reqids are from here on, up to before `end`, or 0. */
  readonly base: number;
  readonly end: number;
  readonly probes: readonly Probe[];
}

export interface World {
  readonly words: string;
  readonly connections: readonly Connection[];
  /** How it comes to be, and what happens to it then. */
  readonly operations: readonly Operation[];
  /** `ip` commands on each host that undo changes other than SAs and policies; failures are ignored. */
  readonly undo: Readonly<Record<Side, readonly string[]>>;
  /** Whether something happens at the peer, or inside of packets: only the counters can tell. */
  readonly hidden: boolean;
}

/**
 * @param can what the kernel can do
 * @param more for kinds that were added later: without it, a seed makes the same as before them
 */
export function worldOf(random: Random, can: ReadonlySet<Ability>, more?: Random): World {
  const life = new Life(random);
  const connections: Connection[] = [];
  const words: string[] = [];
  const count = random.pick([1, 1, 2, 3]);
  const all = Array.from({ length: count }, (_, i) => connect(random, i, can, more));
  life.prepare(all);
  for (const [i, made] of all.entries()) {
    connections.push(...made.connections);
    life.begin(made);
    words.push(`[${i}] ${made.words.join(', ')}`);
  }
  life.goOn();
  if (more) life.goWrong(more);
  return {
    words: [...words, ...life.words.map((text) => `then ${text}`)].join('; '),
    connections: connections.map((one) => ({ ...one, remote: life.whereIs(one.remote) })),
    operations: life.operations,
    undo: life.undo,
    hidden: life.hidden,
  };
}
