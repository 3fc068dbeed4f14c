/** What the daemon sends, as types: docs/serve.md describes it. @module */
import type { JsonChange, JsonTunnel, JsonWarning } from '../lib/json/tunnel.ts';
import type { WatchState } from '../lib/metrics/source.ts';
import type { PolicyEntry, StateEntry } from '../lib/monitor/xfrm-views.ts';
import type { EventTime } from '../lib/netlink/event.ts';
import type { OpaqueBytes } from '../lib/wire/opaque.ts';

/** A value after JSON: bigints and bytes are strings, times milliseconds since 1970. */
export type Wire<T> = T extends bigint | OpaqueBytes | Uint8Array
  ? string
  : T extends EventTime
    ? number
    : T extends object
      ? { readonly [Name in keyof T]: Wire<T[Name]> }
      : T;

/** A tunnel, and the network namespace that it is in if the daemon watches several. */
export type PageTunnel = Wire<JsonTunnel> & { readonly netns?: string | null };
export type PageWarning = Wire<JsonWarning>;
export type PageSa = Wire<StateEntry['value']>;
export type PagePolicy = Wire<PolicyEntry['value']>;
/** A line of the schema has its time as text. */
type Line<T> = T extends unknown
  ? Omit<Wire<T>, 'time'> & { readonly time: string; readonly netns?: string | null }
  : never;
/** A change of a tunnel, or of what is known. */
export type PageChange = Line<JsonChange>;

/** A namespace became synced, repairing or blind: the event `state`. */
export interface WatchChange {
  readonly netns: string | null;
  readonly state: WatchState;
  readonly reason?: string;
  readonly at: number;
}

/** How far the daemon's picture of a namespace can be relied on. */
export interface HostNamespace {
  /** null: the daemon's own. */
  readonly name: string | null;
  readonly state: WatchState;
  readonly syncedAt: number | null;
  readonly reason?: string;
  readonly overruns: number;
  readonly repairs: number;
  /** About the namespace, not one tunnel. */
  readonly warnings?: readonly PageWarning[];
}

/** `GET /api/host` */
export interface Host {
  readonly version: string;
  readonly host: string;
  readonly startedAt: number;
  readonly at: number;
  readonly refreshSeconds: number;
  readonly namespaces: readonly HostNamespace[];
}
