/**
 * netlink-xfrm/testing: integration tests with real IPsec, for any runner of tests. docs/testing.md teaches it.
 * @module
 */
export { Daemon, type Settings } from './daemon.ts';
export { TestingError, type TestingErrorCode } from './error.ts';
export {
  type EncryptedOptions,
  type EncryptedTraffic,
  expectEncrypted,
  expectMirrored,
  expectNoLeaks,
  expectNoXfrmErrors,
  type MirroredOptions,
} from './expect.ts';
export {
  corruptPacket,
  cutLink,
  deleteSas,
  expireSas,
  flush,
  type Impairment,
  impairLink,
  loseEvents,
  moveAddress,
  replayPacket,
  turnClockBack,
  type Undo,
} from './faults.ts';
export { cable, Host, type HostOptions } from './host.ts';
export {
  type AlgorithmName,
  freshSa,
  type KeyedTunnel,
  type KeyedTunnelOptions,
  keyedTunnel,
  policyFor,
  type SaPair,
} from './keyed-tunnel.ts';
export { type LibreswanOptions, type LibreswanPair, libreswan, Pluto } from './libreswan.ts';
export { type Matched, type XfrmMatchers, xfrmMatchers } from './matchers.ts';
export { Nat } from './nat.ts';
export { NetworkNamespace } from './network-namespace.ts';
export { FEATURES, type Feature, type Finding, type Probe, probe } from './probe.ts';
export type { Printed, ProgramOptions } from './program.ts';
export { Charon, type StrongswanOptions, type StrongswanPair, strongswan } from './strongswan.ts';
export {
  type Gateways,
  gateways,
  type RoadWarriors,
  roadWarriors,
  type TwoHosts,
  twoHosts,
} from './topologies.ts';
export { type Echoes, ping, type TrafficOptions, tcp } from './traffic.ts';
export {
  describeEvent,
  type Events,
  listen,
  type PatienceOptions,
  type WaitForTunnelOptions,
  waitForEvent,
  waitForTunnel,
} from './wait.ts';
export { type Frame, type FrameKind, Wire } from './wire.ts';
