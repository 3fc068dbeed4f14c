/**
 * netlink-xfrm: the IPsec state of a Linux host, live. Monitors, events, clients, filters, errors,
 * and the types in their signatures. Anything not exported by an entry point in package.json is
 * private.
 * @module
 */
import './monitor/trace.ts';

export {
  type JsonLinesInput,
  type JsonOptions,
  type JsonValue,
  jsonLine,
  jsonLines,
  jsonReplacer,
  toJson,
} from './json/to-json.ts';
export type {
  NamespaceGone,
  ObjectAdded,
  ObjectChange,
  ObjectExpiring,
  ObjectRemoved,
  ObjectUpdated,
  RemovalReason,
  SyncReport,
} from './monitor/changes.ts';
export type { EventCount } from './monitor/event-counts.ts';
export type { IteratorOptions } from './monitor/event-hub.ts';
export { Filter } from './monitor/filter.ts';
export { FilterError } from './monitor/filter-error.ts';
export type { FilterInput, ListedObject } from './monitor/filter-input.ts';
export type {
  AddNamespaceOptions,
  MultiNamespaceOptions,
} from './monitor/multi-namespace-monitor.ts';
export {
  MultiNamespaceXfrmMonitor,
  type MultiNamespaceXfrmMonitorListeners,
  type MultiNamespaceXfrmMonitorOptions,
  type XfrmNamespaceChange,
} from './monitor/multi-namespace-xfrm-monitor.ts';
export {
  type EventProtocol,
  type MulticastGroupName,
  multicastGroupNames,
} from './monitor/multicast-groups.ts';
export type { NamespaceClosed } from './monitor/namespace-loop.ts';
export type { OverrunEvent } from './monitor/overrun.ts';
export {
  type MalformedEvent,
  type SocketStatus,
  type Subscription,
  type SubscriptionEvent,
  type SubscriptionListeners,
  subscribe,
} from './monitor/subscribe.ts';
export type { SubscribeOptions } from './monitor/subscribe-options.ts';
export type { TableEntry } from './monitor/table.ts';
export type { WaitOptions } from './monitor/wait-for.ts';
export {
  type KeyManagerRequest,
  type XfrmChange,
  XfrmMonitor,
  type XfrmMonitorListeners,
  type XfrmSynced,
} from './monitor/xfrm-monitor.ts';
export type { RefreshOptions, XfrmMonitorOptions } from './monitor/xfrm-monitor-options.ts';
export { isIpcompHelper, isLarval, type XfrmObjectTypes } from './monitor/xfrm-objects.ts';
export { readXfrmStat, type XfrmStat } from './monitor/xfrm-stat.ts';
export {
  type EntryIndex,
  type PoliciesView,
  type PolicyEntry,
  type SpiOptions,
  type StateEntry,
  type StateRate,
  type StatesView,
  stateRates,
  type XfrmSnapshot,
} from './monitor/xfrm-views.ts';
export { Dump } from './netlink/dump.ts';
export type { EventTime } from './netlink/event.ts';
export { KernelError } from './netlink/kernel-error.ts';
export { RouteClient } from './route/client.ts';
export type { RouteEvent } from './route/events.ts';
export {
  AddonError,
  type AddonErrorCode,
  errnoName,
  type NetnsReference,
  StateError,
  type StateErrorCode,
  SystemError,
} from './socket/index.ts';
export type { ExpectedTunnel, NamedExpectedTunnel } from './tunnel/expected.ts';
export {
  MultiNamespaceTunnelMonitor,
  type MultiNamespaceTunnelMonitorListeners,
  type MultiNamespaceTunnelMonitorOptions,
  type TunnelNamespaceChange,
} from './tunnel/multi-namespace-tunnel-monitor.ts';
export { THRESHOLDS as TUNNEL_THRESHOLDS, type TunnelThresholds } from './tunnel/thresholds.ts';
export {
  isUpState,
  type PerDirection,
  type TrafficDirection,
  type TrafficSelector,
  TUNNEL_STATES,
  type Tunnel,
  type TunnelExpiry,
  type TunnelPart,
  type TunnelState,
  type TunnelTraffic,
  type TunnelWarning,
} from './tunnel/tunnel.ts';
export type * from './tunnel/tunnel-changes.ts';
export * from './tunnel/tunnel-monitor.ts';
export type { Encodable } from './wire/encodable.ts';
export { DecodeError, type DecodeErrorDetails, EncodeError } from './wire/error.ts';
export { printable } from './wire/text.ts';
export { NO_LIMIT } from './wire/time.ts';
export * from './xfrm/client.ts';
export type { XfrmEvent } from './xfrm/events.ts';
export { KeyMaterial } from './xfrm/key-material.ts';
export type { XfrmAcquire, XfrmPolicy, XfrmState } from './xfrm/objects.ts';
