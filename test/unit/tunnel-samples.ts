/**
 * Tunnels made by hand, for the tests of what the command says of them.
 * @module
 */

import type { Tunnel, TunnelWarning } from '../../lib/index.ts';
import type { PolicyEntry, StateEntry } from '../../lib/monitor/xfrm-views.ts';
import { NO_LIMIT } from '../../lib/wire/time.ts';
import { capture } from './captures.ts';
import { messagesOf } from './messages.ts';

/** A moment that all samples share, in milliseconds since 1970. */
export const NOW = Date.UTC(2026, 0, 2, 12, 0, 0);
/** So many milliseconds before it. */
export const ago = (milliseconds: number) => ({
  wall: NOW - milliseconds,
  monotonic: -milliseconds,
});

const [[, message] = []] = messagesOf(capture('uml-6.1/newsa_m.event0'));
if (message?.kind !== 'NEWSA') throw new Error('the capture holds no NEWSA');
const { state } = message;

/** An SA between the ends of the sample. */
export function sa(direction: 'in' | 'out', spi: number): StateEntry {
  const ends = { saddr: '192.0.2.1', daddr: '198.51.100.7' };
  const [saddr, daddr] = direction === 'out' ? [ends.saddr, ends.daddr] : [ends.daddr, ends.saddr];
  const current = {
    ...state.current,
    addedAt: NOW - 240_000,
    bytes: 1200n,
    packets: 3n,
  };
  const value = { ...state, saddr, daddr, spi, reqid: 7, proto: 'esp' as const, current };
  return { id: `${daddr} esp ${spi}`, uid: `${spi}`, value, seen: ago(0) } as unknown as StateEntry;
}

const selector = {
  ...state.selector,
  family: 'inet' as const,
  saddr: '10.0.0.0',
  prefixlenS: 16,
  daddr: '10.1.0.0',
  prefixlenD: 16,
};
const limits = { softBytes: NO_LIMIT, softPackets: NO_LIMIT, hardBytes: NO_LIMIT };
const policy = {
  id: '1',
  uid: '1',
  value: {
    index: 1,
    dir: 'out',
    action: 'allow',
    priority: 5,
    selector,
    templates: [{ saddr: '192.0.2.1', daddr: '198.51.100.7', proto: 'esp', spi: 0, reqid: 7 }],
    lifetime: limits,
  },
} as unknown as PolicyEntry;

const none = { in: undefined, out: undefined };

/** A tunnel that is up, but for what is given. */
export const tunnel = (more: Partial<Tunnel> = {}): Tunnel => ({
  id: '192.0.2.1 > 198.51.100.7 reqid 7',
  name: undefined,
  expected: false,
  local: '192.0.2.1',
  remote: '198.51.100.7',
  directed: true,
  reqid: 7,
  ifId: none,
  mark: none,
  mode: 'tunnel',
  protocol: 'esp',
  encap: undefined,
  state: 'up',
  reason: 'SAs in both directions',
  since: ago(60_000),
  sinceKnown: true,
  upSince: ago(3 * 3_600_000 + 12 * 60_000),
  selectors: [{ dir: 'out', selector }],
  sas: { in: [sa('in', 0x2001)], out: [sa('out', 0x1001)] },
  larval: [],
  policies: [policy],
  traffic: {
    in: { bytes: 1_572_864n, packets: 1200n, lastUsedAt: NOW - 1000 },
    out: { bytes: 0n, packets: 0n, lastUsedAt: undefined },
  },
  installedAt: NOW - 240_000,
  expiry: {
    in: { softAt: NOW + 1_800_000, hardAt: NOW + 3_400_000 },
    out: { softAt: undefined, hardAt: NOW + 3_360_000 },
  },
  rekeys: 2,
  unreplaced: 0,
  refused: { integrity: 0n, replay: 0n, replayWindow: 0n },
  acquires: 0,
  natMappings: 0,
  parts: undefined,
  warnings: [],
  ...more,
});

/** One that --expect names, and of which nothing is there. */
export const missing = (more: Partial<Tunnel> = {}): Tunnel =>
  tunnel({
    id: 'rome',
    name: 'rome',
    expected: true,
    local: undefined,
    remote: '198.51.100.8',
    reqid: undefined,
    mode: undefined,
    protocol: undefined,
    state: 'down',
    reason: 'no SAs or policies',
    since: ago(90_000),
    upSince: undefined,
    selectors: [],
    sas: { in: [], out: [] },
    policies: [],
    traffic: {
      in: { bytes: 0n, packets: 0n, lastUsedAt: undefined },
      out: { bytes: 0n, packets: 0n, lastUsedAt: undefined },
    },
    installedAt: undefined,
    expiry: {
      in: { softAt: undefined, hardAt: undefined },
      out: { softAt: undefined, hardAt: undefined },
    },
    rekeys: 0,
    ...more,
  });

export const piling: TunnelWarning = {
  kind: 'piling-up',
  what: 'out',
  text: '5 SAs where 1 is expected',
  value: 5,
  limit: 2,
  since: ago(5000),
};
export const leak: TunnelWarning = { ...piling, kind: 'leak', what: 'policies', text: 'they grow' };
