/**
 * netlink-xfrm/testing: integration tests with real IPsec, for any test runner. Guide: docs/testing.md.
 * @module
 */
export { Daemon, type DaemonSettings } from './daemon.ts';
export { TestingError, type TestingErrorCode } from './error.ts';
export {
  type EncryptedOptions,
  type EncryptedTraffic,
  expectEncrypted,
  expectMirrored,
  expectNoLeaks,
  expectNoXfrmErrors,
  type MirroredOptions,
  type NoXfrmErrorsOptions,
} from './expect.ts';
export {
  corruptPacket,
  cutLink,
  deleteSas,
  expireSas,
  flush,
  impairLink,
  type LinkImpairment,
  loseEvents,
  moveAddress,
  replayPacket,
  turnClockBack,
  type UndoFault,
} from './faults.ts';
export { cable, Host, type HostOptions } from './host.ts';
export {
  freshSa,
  type KeyedTunnel,
  type KeyedTunnelAlgorithm,
  type KeyedTunnelOptions,
  keyedTunnel,
  policyFor,
  type SaPair,
} from './keyed-tunnel.ts';
export { type LibreswanOptions, type LibreswanPair, libreswan, Pluto } from './libreswan.ts';
export { type MatcherResult, type XfrmMatchers, xfrmMatchers } from './matchers.ts';
export { Nat } from './nat.ts';
export { NetworkNamespace } from './network-namespace.ts';
export {
  KERNEL_FEATURES,
  type KernelFeature,
  type KernelFeatureFinding,
  type KernelProbe,
  probe,
} from './probe.ts';
export type { ProgramOptions, ProgramOutput } from './program.ts';
export { Charon, type StrongswanOptions, type StrongswanPair, strongswan } from './strongswan.ts';
export {
  type Gateways,
  gateways,
  type RoadWarriors,
  roadWarriors,
  type TwoHosts,
  twoHosts,
} from './topologies.ts';
export { type PingResult, ping, type TrafficOptions, tcp } from './traffic.ts';
export {
  describeEvent,
  listen,
  type RecordedEvents,
  type WaitForTunnelOptions,
  type WaitTimeOptions,
  waitForEvent,
  waitForTunnel,
} from './wait.ts';
export { Wire, type WireFrame, type WireFrameKind } from './wire.ts';
