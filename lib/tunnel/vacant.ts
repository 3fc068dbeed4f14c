/** Expected tunnels without contents, by the peers that they name. @module */
import type { NamedExpectedTunnel } from './expected.ts';
import type { TunnelRecord } from './tunnel-record.ts';

/** A record of an expected tunnel. */
type Expected = TunnelRecord & { readonly expected: NamedExpectedTunnel };

/** In the order in which they became vacant. */
export class VacantTunnels implements Iterable<TunnelRecord> {
  readonly #all = new Map<TunnelRecord, string | undefined>();
  readonly #byRemote = new Map<string | undefined, Set<TunnelRecord>>();

  [Symbol.iterator](): Iterator<TunnelRecord> {
    return this.#all.keys();
  }

  add(record: TunnelRecord, { remote }: NamedExpectedTunnel): void {
    if (this.#all.has(record) && this.#all.get(record) === remote) return;
    this.delete(record);
    this.#all.set(record, remote);
    const same = this.#byRemote.get(remote) ?? new Set();
    this.#byRemote.set(remote, same.add(record));
  }

  has(record: TunnelRecord): boolean {
    return this.#all.has(record);
  }

  delete(record: TunnelRecord): void {
    if (!this.#all.has(record)) return;
    const remote = this.#all.get(record);
    this.#all.delete(record);
    const same = this.#byRemote.get(remote);
    same?.delete(record);
    if (same?.size === 0) this.#byRemote.delete(remote);
  }

  /** The first that fits a tunnel between two endpoints, found without a look at all of them. */
  find(
    { local, remote }: { readonly local: string; readonly remote: string },
    fits: (expected: NamedExpectedTunnel) => boolean,
  ): TunnelRecord | undefined {
    if (this.#all.size === 0) return undefined;
    const found = new Set<TunnelRecord>();
    for (const peer of new Set([local, remote, undefined])) {
      for (const record of this.#byRemote.get(peer) ?? []) {
        if (fits((record as Expected).expected)) found.add(record);
      }
    }
    if (found.size < 2) return found.values().next().value;
    for (const record of this.#all.keys()) if (found.has(record)) return record;
    return undefined;
  }
}
