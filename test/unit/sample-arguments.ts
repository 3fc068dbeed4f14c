/**
 * Valid arguments with all their properties, parts of which tests then replace.
 * @module
 */

const ENDS = { saddr: '192.0.2.1', daddr: '192.0.2.2' };
const MARK = { value: 1, mask: 1 };
const SELECTOR = {
  ...{ family: 'inet', saddr: '10.0.0.0', daddr: '10.1.0.0', prefixlenS: 24, prefixlenD: 24 },
  ...{ proto: 17, sport: 1, sportMask: 1, dport: 2, dportMask: 3, ifindex: 0, user: 0 },
};
const LIFETIME = { softBytes: 1n, hardPackets: 2n, hardAddSeconds: 9 };
const KEY = { ...ENDS, proto: 'esp', spi: 0x1001, mark: MARK };
const STATE = {
  ...{ ...KEY, family: 'inet', mode: 'tunnel', reqid: 1, replayWindow: 0, flags: ['noecn'] },
  ...{
    lifetime: LIFETIME,
    selector: SELECTOR,
    ifId: 1,
    coaddr: '192.0.2.3',
    tfcPad: 1,
    dir: 'out',
  },
  aead: { name: 'rfc4106(gcm(aes))', icvBits: 128, key: new Uint8Array(20) },
  encap: { type: 'espinudp', sport: 4500, dport: 4500, oa: '192.0.2.9' },
  replayEsn: { bitmap: [0], replayWindow: 32, seq: 1 },
  securityContext: { label: 'x' },
  offload: { ifindex: 1, flags: ['inbound'] },
  extraFlags: ['dont-encap-dscp'],
  unknown: [{ type: 200, bytes: new Uint8Array(1) }],
};
const POLICY = {
  ...{ dir: 'out', selector: SELECTOR, action: 'allow', priority: 7, index: 0, flags: ['icmp'] },
  ...{ lifetime: LIFETIME, mark: MARK, ifId: 1, policyType: { type: 'main' }, share: 'any' },
  templates: [{ ...ENDS, proto: 'esp', mode: 'tunnel', reqid: 1, spi: 1, optional: true }],
};
const AEVENT = {
  ...{
    daddr: ENDS.daddr,
    spi: 1,
    proto: 'esp',
    saddr: ENDS.saddr,
    reqid: 1,
    flags: ['replay-value'],
  },
};
const MIGRATION = {
  ...{ oldDaddr: '192.0.2.2', oldSaddr: '192.0.2.1', newDaddr: '192.0.2.4', newSaddr: '192.0.2.3' },
  ...{ proto: 'esp', mode: 'tunnel', reqid: 1, oldFamily: 'inet', newFamily: 'inet' },
};
const LINK = {
  ...{ name: 'torture', mtu: 1400, address: '02:00:00:00:00:01', group: 1, alias: 'x', master: 1 },
  ...{
    flags: ['up'],
    info: { kind: 'gre', gre: { local: '192.0.2.1', remote: '192.0.2.2', ttl: 3 } },
  },
};
const ADDRESS = {
  ...{ index: 1, local: '192.0.2.1', prefixLength: 24, family: 'inet', label: 'lo' },
  ...{ broadcast: '192.0.2.255', flags: ['permanent'], scope: 'host' },
};
const ROUTE = {
  ...{ family: 'inet', dst: '198.51.100.0', dstLength: 24, oif: 1, table: 254, type: 'unicast' },
  ...{
    protocol: 'static',
    scope: 'link',
    gateway: '192.0.2.1',
    priority: 3,
    metrics: { mtu: 1400 },
  },
  nexthops: [{ index: 1, gateway: '192.0.2.1', hops: 1, flags: [] }],
  via: { family: 'inet6', address: '::1' },
};
const RULE = {
  ...{ family: 'inet', table: 100, priority: 10, src: '10.0.0.0', srcLength: 8, mark: 1 },
  ...{ action: 'to-table', iifName: 'lo', uidRange: { start: 0, end: 1 } },
};

/** By class and method; common call options are appended to them. */
export const METHODS = {
  XfrmClient: {
    listStates: [{ proto: 'esp', saddr: '192.0.2.1', daddr: '192.0.2.0/24' }],
    getState: [KEY],
    addState: [STATE],
    updateState: [STATE],
    deleteState: [KEY],
    flushStates: ['esp'],
    allocateSpi: [{ ...ENDS, proto: 'esp', mode: 'tunnel', reqid: 1, min: 1, max: 2 }],
    expireState: [KEY, true],
    listPolicies: [{ dir: 'out', type: 'main', saddr: '192.0.2.0/24', daddr: '192.0.2.1' }],
    getPolicy: [POLICY],
    addPolicy: [POLICY],
    replacePolicy: [POLICY],
    deletePolicy: [POLICY],
    flushPolicies: ['main'],
    getAevent: [AEVENT],
    setAevent: [AEVENT],
    migrate: [POLICY, [MIGRATION], { policyType: { type: 'main' } }],
    migrateState: [{ id: { daddr: ENDS.daddr, spi: 1, proto: 'esp' } }],
    getSadInfo: [],
    getSpdInfo: [],
    setSpdThresholds: [{ ipv4Threshold: { local: 1, remote: 2 } }],
    getDefaults: [],
    setDefaults: [{ in: 'accept', out: 'accept', fwd: 'accept' }],
  },
  RouteClient: {
    listLinks: [{ kind: 'veth', master: 1 }],
    getLink: [{ name: 'lo' }],
    addLink: [LINK],
    updateLink: [{ index: 1 }, LINK],
    addLinkAltNames: [{ index: 1 }, ['a', 'b']],
    deleteLinkAltNames: [{ index: 1 }, ['a']],
    setLinkUp: [{ name: 'lo' }],
    setLinkDown: [{ name: 'lo' }],
    moveLink: [{ name: 'none' }, { pid: 1 }],
    deleteLink: [{ name: 'none' }],
    listBridgePorts: [],
    listAddresses: [{ family: 'inet', index: 1 }],
    getAddress: [1, '127.0.0.1'],
    addAddress: [ADDRESS],
    replaceAddress: [ADDRESS],
    deleteAddress: [ADDRESS],
    listRoutes: [{ family: 'inet', table: 254, protocol: 'static', type: 'unicast', oif: 1 }],
    getRoute: [{ dst: '198.51.100.1', src: '192.0.2.1', oif: 1, mark: 1 }],
    addRoute: [ROUTE],
    replaceRoute: [ROUTE],
    deleteRoute: [ROUTE],
    listNeighbours: [{ family: 'inet', index: 1, proxy: true }],
    getNeighbour: [1, '192.0.2.1'],
    listRules: [{ family: 'inet' }],
    getRule: ['inet', 1],
    addRule: [RULE],
    deleteRule: [RULE],
    listNexthops: [{ oif: 1 }],
    getNexthop: [1],
    listNamespaceIds: [],
    getNamespaceId: [{ pid: 1 }],
    listNetconfs: [{ family: 'inet' }],
    getNetconf: ['inet', 1],
  },
} as const;

const BUFFER = { netns: '/proc/self/ns/net', signal: undefined };
const MONITOR = {
  ...BUFFER,
  receiveBufferSize: 65_536,
  readAhead: 1,
  refreshInterval: 1000,
  acquires: false,
};

/** By the class that opens with them. */
export const OPENERS = {
  subscribe: {
    ...{
      ...BUFFER,
      groups: ['sa', 'RTMGRP_LINK'],
      keys: true,
      receiveBufferSize: 65_536,
      readAhead: 1,
    },
    ...{ highWaterMark: 10, coalesce: 1 },
  },
  XfrmClient: BUFFER,
  RouteClient: BUFFER,
  XfrmMonitor: { ...MONITOR, label: 'x', highWaterMark: 10 },
  MultiNamespaceXfrmMonitor: {
    ...MONITOR,
    netns: undefined,
    namespaces: { own: undefined },
    named: false,
  },
  MultiNamespaceTunnelMonitor: {
    ...MONITOR,
    ...{ netns: undefined, namespaces: { own: undefined }, named: false },
    expected: () => [{ remote: '192.0.2.2' }],
  },
  TunnelMonitor: {
    ...{ ...MONITOR, label: 'x', highWaterMark: 10, thresholds: { settle: 100, idle: 1 } },
    expected: [{ name: 'x', remote: '192.0.2.2', local: '192.0.2.1', reqid: 1, ifId: 1, mark: 1 }],
  },
} as const;
