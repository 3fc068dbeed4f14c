/** `--mirror`: SAs whose both ends are at hand, and that do not match. Keys are not compared. @module */
import { readFileSync, statSync } from 'node:fs';
import { namespacePath } from '../../monitor/namespace-path.ts';
import { stateDifferences } from '../../monitor/state-differences.ts';
import { isLarval } from '../../monitor/xfrm-objects.ts';
import type { NetnsReference } from '../../socket/index.ts';
import { printable } from '../../wire/text.ts';
import { XfrmClient } from '../../xfrm/client.ts';
import type { XfrmState } from '../../xfrm/objects.ts';
import { formatSpi } from '../../xfrm/text.ts';
import { describeSelector } from '../text/event.ts';
import type { Drift } from './drift.ts';

/** The SAs of a host. */
type States = readonly XfrmState[];

const keyOf = ({ proto, spi, daddr }: XfrmState) => `${proto} ${formatSpi(spi)} to ${daddr}`;
const pairOf = ({ saddr, daddr }: XfrmState) => [saddr, daddr].sort().join(' ');

/** The last sequence number sent and the highest received. */
function sequence({ replay, replayEsn }: XfrmState): { sent: bigint; received: bigint } {
  const { oseq, seq, oseqHi = 0, seqHi = 0 } = { ...(replay ?? { oseq: 0, seq: 0 }), ...replayEsn };
  const whole = (high: number, low: number) => (BigInt(high) << 32n) + BigInt(low);
  return { sent: whole(oseqHi, oseq), received: whole(seqHi, seq) };
}

/**
 * The SAs between two hosts that are on one of them only, or differ. Those between are of the pairs
 * of addresses that both have SAs for.
 */
export function mirrorDrift(ours: States, theirs: States, peer: string): Drift[] {
  const here = ours.filter((one) => !isLarval(one) && one.spi !== 0);
  const there = new Map(
    theirs.filter((one) => !isLarval(one) && one.spi !== 0).map((one) => [keyOf(one), one]),
  );
  const known = new Set(here.map(keyOf));
  const pairs = new Set(here.map(pairOf));
  const shared = new Set([...there.values()].map(pairOf).filter((pair) => pairs.has(pair)));
  const drift = (text: string): Drift => ({ what: 'unmatched', text });
  const found = here.flatMap((one) => {
    const other = there.get(keyOf(one));
    if (other === undefined) {
      return shared.has(pairOf(one)) ? [drift(`${keyOf(one)} is here, and not in ${peer}`)] : [];
    }
    const differences = stateDifferences(one, other);
    const [mine, yours] = [one, other].map(({ selector }) => describeSelector(selector));
    if (mine !== yours) differences.push(`selectors ${mine} and ${yours}`);
    return differences.length === 0
      ? []
      : [drift(`${keyOf(one)} here and in ${peer}: ${differences.join(', ')}`)];
  });
  const missing = [...there].filter(([key, one]) => !known.has(key) && shared.has(pairOf(one)));
  return [...found, ...missing.map(([key]) => drift(`${key} is in ${peer}, and not here`))];
}

/**
 * SAs whose receiver has seen higher sequence numbers than the sender has sent: it drops what comes
 * next as replayed. The sender must have been read after the receiver.
 */
export function sequenceDrift(receiver: States, sender: States): Drift[] {
  const senders = new Map(sender.map((one) => [keyOf(one), one]));
  return receiver.flatMap((one): Drift[] => {
    const other = senders.get(keyOf(one));
    // A device that does the work reports its numbers late.
    if (other === undefined || one.offload || other.offload) return [];
    const { received } = sequence(one);
    const { sent } = sequence(other);
    if (received <= sent) return [];
    const text = `${keyOf(one)}: ${received} was received, and the sender is at ${sent}: packets are dropped as replayed`;
    return [{ what: 'unmatched', text }];
  });
}

/** The SAs in the output of `state -o json`. @throws Error that names the file and the line */
export function parseStates(text: string, name: string): XfrmState[] {
  return text.split('\n').flatMap((line, index) => {
    if (line.trim() === '') return [];
    let record: { kind?: string; state?: XfrmState } | null = null;
    try {
      record = JSON.parse(line);
    } catch {
      // What is not JSON has no kind either.
    }
    const { kind, state } = record ?? {};
    if (kind === 'state' && typeof state?.spi === 'number' && typeof state.daddr === 'string') {
      return state;
    }
    throw new Error(`${name}: line ${index + 1} is not an SA of "netlink-xfrm state -o json"`);
  });
}

/** Whether it is a file with content: that of a namespace has none. */
function isSnapshot(path: string): boolean {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat?.isFile() === true && stat.size > 0;
}

const list = async (client: XfrmClient): Promise<States> => (await client.listStates()).items;

/**
 * Compares with another namespace, or with a file of another host's SAs.
 *
 * @param mirror a name or path of a namespace, or of a file
 */
export async function compareMirrored(
  netns: NetnsReference | undefined,
  mirror: string,
): Promise<Drift[]> {
  const peer = printable(mirror);
  await using own = new XfrmClient({ netns });
  if (isSnapshot(mirror)) {
    const theirs = parseStates(readFileSync(mirror, 'utf8'), peer);
    const ours = await list(own);
    return [...mirrorDrift(ours, theirs, peer), ...sequenceDrift(theirs, ours)];
  }
  await using other = new XfrmClient({ netns: namespacePath(mirror) });
  const before = await list(own);
  const theirs = await list(other);
  const ours = await list(own);
  return [
    ...mirrorDrift(ours, theirs, peer),
    ...sequenceDrift(before, theirs),
    ...sequenceDrift(theirs, ours),
  ];
}
