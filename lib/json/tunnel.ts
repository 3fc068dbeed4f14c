/**
 * Tunnels and their changes as JSON: times in ms since 1970, SAs and policies by their identifiers,
 * no keys.
 * @module
 */
import type { OverrunEvent } from '../monitor/overrun.ts';
import type { PolicyEntry, StateEntry } from '../monitor/xfrm-views.ts';
import type { EventTime } from '../netlink/event.ts';
import type {
  PerDirection,
  TrafficDirection,
  Tunnel,
  TunnelPart,
  TunnelWarning,
} from '../tunnel/tunnel.ts';
import type { SaSuccession, TunnelChange, TunnelDownReason } from '../tunnel/tunnel-changes.ts';

type Optional<T> = T | undefined;

/** An SA of a tunnel: `state --json spi=…` shows the rest. */
interface JsonSa {
  readonly saddr: string;
  readonly daddr: string;
  readonly proto: string | number;
  readonly spi: number;
  /** When it was added. */
  readonly addedAt: number;
  readonly bytes: bigint;
  readonly packets: bigint;
}

interface JsonTunnelPolicy {
  readonly index: number;
  readonly dir: PolicyEntry['value']['dir'];
  readonly action: PolicyEntry['value']['action'];
  readonly priority: number;
  readonly selector: PolicyEntry['value']['selector'];
}

/** Members that are the same in both forms. */
type Kept =
  | 'id'
  | 'name'
  | 'expected'
  | 'local'
  | 'remote'
  | 'directed'
  | 'reqid'
  | 'ifId'
  | 'mark'
  | 'mode'
  | 'protocol'
  | 'encap'
  | 'state'
  | 'reason'
  | 'sinceKnown'
  | 'rekeys'
  | 'unreplaced'
  | 'refused'
  | 'acquires'
  | 'traffic'
  | 'installedAt'
  | 'expiry'
  | 'natMappings';

/** A warning. */
export interface JsonWarning extends Omit<TunnelWarning, 'since'> {
  readonly since: number;
}

interface JsonPart extends Pick<TunnelPart, 'reqid' | 'protocol' | 'traffic'> {
  readonly sas: PerDirection<readonly JsonSa[]>;
  readonly policies: readonly JsonTunnelPolicy[];
}

/** A tunnel. */
export interface JsonTunnel extends Pick<Tunnel, Kept> {
  readonly since: number;
  readonly upSince: Optional<number>;
  readonly sas: PerDirection<readonly JsonSa[]>;
  readonly larval: readonly JsonSa[];
  readonly policies: readonly JsonTunnelPolicy[];
  readonly parts: Optional<readonly JsonPart[]>;
  readonly warnings: readonly JsonWarning[];
}

function saOf({ value: { saddr, daddr, proto, spi, current } }: StateEntry): JsonSa {
  const { bytes, packets, addedAt } = current;
  return { saddr, daddr, proto, spi, addedAt, bytes, packets };
}

function policyOf({ value }: PolicyEntry): JsonTunnelPolicy {
  const { index, dir, action, priority, selector } = value;
  return { index, dir, action, priority, selector };
}

/** A warning as JSON. */
export const warningJson = ({ since, ...rest }: TunnelWarning): JsonWarning => ({
  ...rest,
  since: since.wall,
});

const both = <From, To>({ in: inbound, out }: PerDirection<From>, map: (from: From) => To) => ({
  in: map(inbound),
  out: map(out),
});

const partOf = ({ sas, policies, ...kept }: TunnelPart): JsonPart => ({
  ...kept,
  sas: both(sas, (all) => all.map(saOf)),
  policies: policies.map(policyOf),
});

/** A tunnel as JSON. */
export function tunnelJson(tunnel: Tunnel): JsonTunnel {
  const { selectors: _, since, upSince, sas, larval, policies, ...rest } = tunnel;
  const { parts, warnings, ...kept } = rest;
  return {
    ...kept,
    since: since.wall,
    upSince: upSince?.wall,
    sas: both(sas, (all) => all.map(saOf)),
    larval: larval.map(saOf),
    policies: policies.map(policyOf),
    parts: parts?.map(partOf),
    warnings: warnings.map(warningJson),
  };
}

/** An SA and its predecessor. */
interface JsonSuccession extends Pick<SaSuccession, 'from' | 'to' | 'gapMs'> {
  readonly proto: SaSuccession['protocol'];
}

const successionOf = ({ protocol, from, to, gapMs }: SaSuccession): JsonSuccession => ({
  proto: protocol,
  from,
  to,
  gapMs,
});

/** The members of a change other than the tunnel. */
type Told = { readonly kind: 'tunnel-change'; readonly time: EventTime };
type WithTunnel = Told & { readonly tunnel: JsonTunnel };
type Before = Pick<JsonTunnel, 'state'>['state'];

/** A change of a tunnel, or of what is known about tunnels. */
export type JsonChange =
  | (WithTunnel & { readonly change: 'added' | 'removed' })
  | (WithTunnel & { readonly change: 'up'; readonly before: Optional<Before> })
  | (WithTunnel & {
      readonly change: 'down';
      readonly before: Before;
      readonly reason: TunnelDownReason;
    })
  | (WithTunnel & { readonly change: 'stalled'; readonly before: Before })
  | (WithTunnel & { readonly change: 'state'; readonly before: Before; readonly rekey: boolean })
  | (WithTunnel & { readonly change: 'rekeyed' } & PerDirection<readonly JsonSuccession[]>)
  | (WithTunnel & {
      readonly change: 'replaced';
      readonly direction: TrafficDirection;
    } & JsonSuccession)
  | (Told & {
      readonly change: 'warning';
      readonly raised: boolean;
      readonly warning: JsonWarning;
      readonly tunnel: Optional<JsonTunnel>;
    })
  | (Told & { readonly change: 'overrun' } & Pick<OverrunEvent, 'code' | 'count' | 'slowConsumer'>)
  | (Told & {
      readonly change: 'resynced' | 'refreshed';
      readonly added: number;
      readonly updated: number;
      readonly removed: number;
      readonly rounds: number;
      readonly overruns: number;
      readonly malformed: number;
      readonly durationMs: number;
    })
  | (Told & { readonly change: 'namespace-gone'; readonly namespacePath: string })
  | (Told & {
      readonly change: 'malformed';
      readonly reason: string;
      readonly path: readonly string[];
      readonly offset: number;
    });

/** A change as JSON. */
export function changeJson(change: TunnelChange): JsonChange {
  const told = { kind: 'tunnel-change', time: change.time } as const;
  switch (change.kind) {
    case 'added':
    case 'removed':
      return { ...told, change: change.kind, tunnel: tunnelJson(change.tunnel) };
    case 'up':
      return { ...told, change: 'up', before: change.before, tunnel: tunnelJson(change.tunnel) };
    case 'down': {
      const { before, reason, tunnel } = change;
      return { ...told, change: 'down', before, reason, tunnel: tunnelJson(tunnel) };
    }
    case 'stalled': {
      const { before, tunnel } = change;
      return { ...told, change: 'stalled', before, tunnel: tunnelJson(tunnel) };
    }
    case 'state': {
      const { before, rekey, tunnel } = change;
      return { ...told, change: 'state', before, rekey, tunnel: tunnelJson(tunnel) };
    }
    case 'rekeyed': {
      const spis = both<readonly SaSuccession[], readonly JsonSuccession[]>(change, (all) =>
        all.map(successionOf),
      );
      return { ...told, change: 'rekeyed', ...spis, tunnel: tunnelJson(change.tunnel) };
    }
    case 'replaced': {
      const { direction, tunnel } = change;
      const spis = { direction, ...successionOf(change) };
      return { ...told, change: 'replaced', ...spis, tunnel: tunnelJson(tunnel) };
    }
    case 'warning':
      return {
        ...told,
        change: 'warning',
        raised: change.raised,
        warning: warningJson(change.warning),
        tunnel: change.tunnel && tunnelJson(change.tunnel),
      };
    case 'overrun': {
      const { code, count, slowConsumer } = change;
      return { ...told, change: 'overrun', code, count, slowConsumer };
    }
    case 'resynced':
    case 'refreshed': {
      const { added, updated, removed, rounds, overruns, malformed, durationMs } = change;
      const found = { added, updated, removed, rounds, overruns, malformed, durationMs };
      return { ...told, change: change.kind, ...found };
    }
    case 'namespace-gone':
      return { ...told, change: 'namespace-gone', namespacePath: change.path };
    case 'malformed': {
      const { reason, path, offset } = change;
      return { ...told, change: 'malformed', reason, path, offset };
    }
  }
}
