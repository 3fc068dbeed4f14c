/**
 * netlink-xfrm/testing: integration tests with real IPsec, for any runner of tests. docs/testing.md teaches it.
 * @module
 */
export { TestingError, type TestingErrorCode } from './error.ts';
export {
  type EncryptedOptions,
  type EncryptedTraffic,
  expectEncrypted,
  expectMirrored,
  expectNoLeaks,
  expectNoXfrmErrors,
} from './expect.ts';
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
export { type Matched, xfrmMatchers } from './matchers.ts';
export { Nat } from './nat.ts';
export { NetworkNamespace } from './network-namespace.ts';
export type { Printed, ProgramOptions } from './program.ts';
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
