/** What the subpaths export, called with wrong arguments: a call that fails ends in a documented error (docs/errors.md). */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { after, test } from 'node:test';
import {
  NETLINK_GENERIC,
  NETLINK_ROUTE,
  NETLINK_XFRM,
  XFRM_MSG_GETSADINFO,
  XFRM_MSG_NEWSADINFO,
} from '../../lib/constants.ts';
import * as root from '../../lib/index.ts';
import * as lab from '../../lib/lab/index.ts';
import * as route from '../../lib/route.ts';
import * as socket from '../../lib/socket.ts';
import * as testing from '../../lib/testing/index.ts';
import * as xfrm from '../../lib/xfrm.ts';
import { METHODS, OPENERS } from './sample-arguments.ts';
import { checkCalls, documentedErrors, exportedCalls } from './wrong-arguments.ts';

/** Valid arguments, and what to call with others in their place. */
type Calls = Readonly<
  Record<string, readonly [args: readonly unknown[], call: (...args: never[]) => unknown]>
>;

function kernel(): socket.FakeKernel {
  const made = new socket.FakeKernel();
  for (const protocol of [NETLINK_ROUTE, NETLINK_GENERIC]) made.answer(protocol, () => ({}));
  // Requests of a monitor other than dumps.
  return made.answer(NETLINK_XFRM, ({ type }) => {
    if (type !== XFRM_MSG_GETSADINFO) return {};
    return { messages: [{ type: XFRM_MSG_NEWSADINFO, header: new Uint8Array(4) }] };
  });
}

const open: Partial<AsyncDisposable>[] = [];
after(() => Promise.all(open.map((one) => one[Symbol.asyncDispose]?.())));

/** Makes an object when it is first needed, and again when it has been closed. */
function shared<Owner extends object>(make: () => Owner | Promise<Owner>): () => Promise<Owner> {
  let made: (Owner & { readonly closed?: boolean }) | undefined;
  return async () => {
    if (made === undefined || made.closed) {
      made = await make();
      open.push(made as Partial<AsyncDisposable>);
    }
    return made;
  };
}

type Method = (...args: unknown[]) => unknown;

/** Methods that are called on an object of their own. */
const ENDS = new Set(['close', 'iterator']);

/** Calls a method, which there must be. */
function invoke(owner: object, method: string, args: unknown[]): unknown {
  const methods = owner as Record<string, Method>;
  assert.equal(typeof methods[method], 'function', `${method} is not a method`);
  return methods[method]?.(...args);
}

/** A method of what `make` makes. */
const of =
  (make: () => object | Promise<object>, method: string): Method =>
  async (...args) =>
    invoke(await make(), method, args);

/** The same, of an object that is closed afterwards: a loop over it would go on. */
const alone =
  (make: () => object | Promise<object>, method: string): Method =>
  async (...args) => {
    const owner = await make();
    try {
      return await of(() => owner, method)(...args);
    } finally {
      await (owner as Partial<AsyncDisposable>)[Symbol.asyncDispose]?.();
    }
  };

/** The methods of one class, by name, with their valid arguments. */
const methods = (
  name: string,
  make: () => object | Promise<object>,
  args: Readonly<Record<string, readonly unknown[]>>,
): Calls =>
  Object.fromEntries(
    Object.entries(args).map(([method, args]) => [
      `${name}.${method}`,
      [args, ENDS.has(method) ? alone(make, method) : of(shared(make), method)],
    ]),
  );

const request = { timeout: 1000, keys: false, signal: undefined };
const netns = () => ({ netns: kernel() });
const requests = (name: 'XfrmClient' | 'RouteClient') =>
  Object.fromEntries(
    Object.entries(METHODS[name]).map(([method, args]) => [method, [...args, request]]),
  );
const wait = [() => true, { timeout: 1, heldFor: 1, signal: undefined }];
const { netns: _own, ...opened } = OPENERS.XfrmMonitor;
const { netns: _namespace, ...tunnels } = OPENERS.TunnelMonitor;
const { netns: _1, ...several } = { ...OPENERS.MultiNamespaceXfrmMonitor, namespaces: {} };
const { netns: _2, ...severalTunnels } = { ...OPENERS.MultiNamespaceTunnelMonitor, namespaces: {} };

const openXfrm = () => root.XfrmMonitor.open(netns());
const openTunnels = () => root.TunnelMonitor.open(netns());
const openSeveral = () => root.MultiNamespaceXfrmMonitor.open({ namespaces: {} });
const openSeveralTunnels = () => root.MultiNamespaceTunnelMonitor.open({ namespaces: {} });
const view =
  <Owner extends object>(make: () => Owner | Promise<Owner>, of: (owner: Owner) => object) =>
  (method: string): Method =>
  async (...args) =>
    invoke(of(await make()), method, args);
const xfrmMonitor = shared(openXfrm);
const states = view(xfrmMonitor, ({ states }) => states);
const policies = view(xfrmMonitor, ({ policies }) => policies);
const listed = view(shared(openTunnels), ({ tunnels }) => tunnels);
// A dump is also a promise: awaited, it would be its list.
const dump = view(
  shared(() => new root.XfrmClient(netns())),
  (client) => client.listStates(),
);
const common = {
  filter: [() => true],
  get: ['x'],
  byUid: ['x #1'],
  indexBy: [() => 1],
  byPeers: ['192.0.2.1', '192.0.2.2'],
  byReqid: [1],
  byMark: [{ value: 1, mask: 1 }],
  byIfId: [1],
};
const each = (
  name: string,
  of: (method: string) => (...args: unknown[]) => unknown,
  args: object,
): Calls =>
  Object.fromEntries(
    Object.entries(args).map(([method, args]) => [`${name}.${method}`, [args, of(method)]]),
  );

const state = METHODS.XfrmClient.addState[0];
const time = { wall: 0, monotonic: 0 };
const snapshot = {
  label: 'x',
  states: [],
  policies: [],
  synced: true,
  countersReadAt: time,
  xfrmStat: undefined,
};
const none: readonly unknown[] = [];
const life = { close: none, iterator: [{ signal: undefined }], snapshot: none };
/** Methods of a monitor of one namespace, and of one of several. */
const single = {
  ...life,
  refresh: [{ signal: undefined }],
  waitFor: wait,
  ref: none,
  unref: none,
};
const many = {
  ...life,
  get: ['x'],
  remove: ['x'],
  add: ['x', '/none', { signal: undefined }],
};

const OF_ROOT: Calls = {
  toJson: [[{ spi: 1, key: new root.KeyMaterial(new Uint8Array(3)) }, { keys: true }], root.toJson],
  jsonLine: [[{ kind: 'NEWSA' }, { keys: true }], root.jsonLine],
  jsonLines: [
    [[{ id: 'x', uid: 'x #1', value: { spi: 1 }, countersReadAt: time }], { keys: true }],
    root.jsonLines,
  ],
  jsonReplacer: [['key', 1n], root.jsonReplacer],
  Filter: [[['spi=1']], (terms: never) => new root.Filter(terms)],
  ...methods('Filter', () => new root.Filter(['peer=192.0.2.1', 'kind!=NEWSA']), {
    matches: [{ kind: 'state', state }],
  }),
  subscribe: [[{ ...OPENERS.subscribe, netns: kernel() }], root.subscribe],
  'XfrmMonitor.open': [[{ ...opened, netns: kernel() }], root.XfrmMonitor.open],
  ...methods('XfrmMonitor', openXfrm, single),
  'TunnelMonitor.open': [[{ ...tunnels, netns: kernel() }], root.TunnelMonitor.open],
  ...methods('TunnelMonitor', openTunnels, {
    ...single,
    forget: ['x'],
    setExpected: [tunnels.expected],
    addExpected: [tunnels.expected[0]],
    removeExpected: ['x'],
  }),
  'MultiNamespaceXfrmMonitor.open': [[several], root.MultiNamespaceXfrmMonitor.open],
  ...methods('MultiNamespaceXfrmMonitor', openSeveral, many),
  'MultiNamespaceTunnelMonitor.open': [[severalTunnels], root.MultiNamespaceTunnelMonitor.open],
  ...methods('MultiNamespaceTunnelMonitor', openSeveralTunnels, many),
  XfrmClient: [[{ netns: kernel() }], (options: never) => new root.XfrmClient(options)],
  ...methods('XfrmClient', () => new root.XfrmClient(netns()), {
    ...requests('XfrmClient'),
    close: none,
  }),
  isIpcompHelper: [[state], root.isIpcompHelper],
  isLarval: [[state], root.isLarval],
  isUpState: [['up'], root.isUpState],
  printable: [['x'], root.printable],
  readXfrmStat: [[{ netns: '/proc/self/ns/net' }], root.readXfrmStat],
  stateRates: [[snapshot, snapshot], root.stateRates],
  worstTunnelFirst: [[{ state: 'up' }, { state: 'down' }], root.worstTunnelFirst],
  errnoName: [[1], root.errnoName],
  KeyMaterial: [[new Uint8Array(3)], (bytes: never) => new root.KeyMaterial(bytes)],
  ...methods('KeyMaterial', () => new root.KeyMaterial(new Uint8Array(3)), {
    bytes: none,
    wipe: none,
    toString: none,
    toJSON: none,
  }),
  ...each('Dump', dump, { batches: none, next: none, return: [{ interrupted: true }] }),
};
const OF_VIEWS: Calls = {
  ...each('StatesView', states, {
    ...common,
    bySpi: [1, { daddr: '192.0.2.1', proto: 'esp' }],
    byDestination: ['::1'],
  }),
  ...each('PoliciesView', policies, { ...common, byIndex: [1] }),
  ...each('TunnelsView', listed, { get: ['x'], filter: [() => true], byRemote: ['192.0.2.1'] }),
};

const newSa = { kind: 'NEWSA', state, header: { flags: 1, seq: 1, portId: 0, type: 1 } };
const written = () => {
  const writer = new xfrm.MessageWriter();
  writer.beginMessage({ type: 1, flags: 0, seq: 1, portId: 0 });
  return writer;
};
const bytes = new Uint8Array(64);
const input = { bytes, view: new DataView(bytes.buffer), keys: false };

const OF_XFRM: Calls = {
  encodeXfrm: [[written(), newSa], xfrm.encodeXfrm],
  decodeXfrmMessage: [[input, 0, 64], xfrm.decodeXfrmMessage],
  MessageWriter: [[], () => new xfrm.MessageWriter()],
  ...methods('MessageWriter', written, {
    ...{
      written: none,
      reserve: [4],
      beginMessage: [{ type: 1, flags: 0, seq: 1, portId: 0 }],
      endMessage: [0],
    },
    ...{
      attribute: [1, 4],
      beginNest: [1],
      endNest: [12],
      raw: [{ type: 1, flags: 0, bytes }],
      cut: [16],
      wipe: none,
    },
  }),
  OpaqueBytes: [[bytes], (bytes: never) => new xfrm.OpaqueBytes(bytes)],
  ...methods('OpaqueBytes', () => new xfrm.OpaqueBytes(bytes.slice()), {
    bytes: none,
    wipe: none,
    toString: none,
    toJSON: none,
  }),
};

const OF_ROUTE: Calls = {
  RouteClient: [[{ netns: kernel() }], (options: never) => new route.RouteClient(options)],
  ...methods('RouteClient', () => new route.RouteClient(netns()), {
    ...requests('RouteClient'),
    close: none,
  }),
};

const asked = {
  type: 16,
  flags: 0,
  header: new Uint8Array(4),
  attributes: () => {},
  name: 'x',
  attributeNames: { 1: 'A', 2: { name: 'B', inside: {} } },
};
const answer = {
  messages: [{ type: 16, flags: 0, header: new Uint8Array(4), attributes: () => {} }],
  refusal: { code: 'ENOENT', message: 'x', offset: 16, missingType: 1 },
  ...{ warning: 'x', interrupted: false, end: undefined },
};
const attribute = Uint8Array.of(8, 0, 1, 0, 1, 2, 3, 4);
const message = () =>
  new socket.NetlinkMessage({ type: 1, flags: 0, seq: 1, portId: 0 }, attribute);
const first = () => message().attributes(0).get(1) as socket.NetlinkAttribute;
const numbers = ['u8', 'u16', 'u32', 's8', 's16', 's32', 'be16', 'be32'];
const longs = ['u64', 's64', 'uint', 'sint', 'be64'];
const readers = [...numbers, ...longs, 'u32s', 'string', 'ip'];
const opener = (kernel: socket.FakeKernel) =>
  new socket.NetlinkSocket({ protocol: NETLINK_XFRM, netns: kernel });
const bound = () => {
  const made = opener(kernel());
  made.bind();
  return made;
};
const write =
  (method: string) =>
  (...args: unknown[]) =>
    new socket.NetlinkConnection(NETLINK_GENERIC, netns()).request({
      type: 16,
      attributes: (write) => invoke(write, method, args),
    });

const OF_SOCKET: Calls = {
  FakeKernel: [[], () => new socket.FakeKernel()],
  ...methods('FakeKernel', kernel, {
    answer: [16, () => ({})],
    multicast: [16, 1, answer.messages[0]],
    overrun: [16, 'ENOBUFS'],
  }),
  // What a handler returns.
  'handler of FakeKernel': [
    [answer],
    (given: never) => {
      const made = kernel().answer(NETLINK_GENERIC, () => given);
      return new socket.NetlinkConnection(NETLINK_GENERIC, { netns: made }).request(
        { type: 16 },
        { timeout: 50 },
      );
    },
  ],
  NetlinkConnection: [
    [16, { netns: kernel(), strictCheck: true }],
    (...args: [never, never]) => new socket.NetlinkConnection(...args),
  ],
  ...methods('NetlinkConnection', () => new socket.NetlinkConnection(NETLINK_GENERIC, netns()), {
    request: [asked, request],
    dump: [asked, request],
    close: none,
  }),
  NetlinkMessage: [
    [{ type: 1, flags: 0, seq: 1, portId: 0 }, attribute, {}],
    (...args: [never, never]) => new socket.NetlinkMessage(...args),
  ],
  ...methods('NetlinkMessage', message, { attributes: [0] }),
  NetlinkAttributes: [
    [attribute, { base: 0, names: {}, path: [] }],
    (...args: [never]) => new socket.NetlinkAttributes(...args),
  ],
  ...methods('NetlinkAttributes', () => message().attributes(0), { get: [1], has: [1] }),
  ...methods('NetlinkAttribute', first, {
    ...Object.fromEntries(readers.map((name) => [name, none])),
    nest: [0],
  }),
  AttributeWriter: [
    [written(), {}],
    (...args: [never, never]) => new socket.AttributeWriter(...args),
  ],
  ...each('AttributeWriter', write, {
    ...Object.fromEntries(numbers.map((name) => [name, [1, 1]])),
    ...Object.fromEntries(longs.map((name) => [name, [1, 1n]])),
    ...{
      u32s: [1, [1, 2]],
      string: [1, 'x'],
      bytes: [1, bytes],
      ip: [1, '::1'],
      flag: [1],
      nest: [1, () => {}],
    },
  }),
  NetlinkSocket: [
    [{ protocol: 16, netns: kernel(), batch: 8, kernelOnly: true }],
    (options: never) => new socket.NetlinkSocket(options),
  ],
  ...methods('NetlinkSocket', bound, {
    ...{
      bind: [{ portId: 1, groups: 1 }],
      connect: [{ portId: 1, groups: 1 }],
      disconnect: none,
    },
    ...{
      joinGroup: [1],
      leaveGroup: [1],
      setReceiveBufferSize: [4096, { force: true }],
      setReadAheadRest: [1],
    },
    ...{
      clearCongestion: none,
      setSendBufferSize: [4096, { force: true }],
      setOption: ['extAck', true],
      getOption: ['extAck'],
    },
    ...{
      attachFilter: [[{ code: 6, jt: 0, jf: 0, k: 1 }]],
      detachFilter: none,
      send: [bytes, { portId: 0, groups: 0 }],
      receive: [() => {}, () => {}],
    },
    ...{
      pause: none,
      resume: none,
      ref: none,
      unref: none,
      close: none,
    },
  }),
  SocketOwners: [
    [{ netns: '/proc/self/ns/net' }],
    (options: never) => new socket.SocketOwners(options),
  ],
  ...methods('SocketOwners', () => new socket.SocketOwners(), { find: [16, 1, 1] }),
  formatIp: [[bytes.subarray(0, 4)], socket.formatIp],
  readMessages: [[bytes, {}], socket.readMessages],
};

/**
 * Nothing starts and nothing is fetched: two of the arguments are wrong before any is replaced, and so is the suite that
 * is used without one.
 */
async function withoutSuite(work: () => Promise<void>): Promise<void> {
  const { NETLINK_XFRM_SUITE } = process.env;
  process.env.NETLINK_XFRM_SUITE = '!';
  try {
    await work();
  } finally {
    if (NETLINK_XFRM_SUITE === undefined) delete process.env.NETLINK_XFRM_SUITE;
    else process.env.NETLINK_XFRM_SUITE = NETLINK_XFRM_SUITE;
  }
}
const command = {
  memory: 1,
  timeout: 1,
  env: {},
  cwd: '/none',
  isolated: true,
  stdin: 'ignore',
  stdout: 'ignore',
};
const guest = {
  kernel: 'user-mode',
  suite: '!',
  refresh: false,
  progress: () => {},
  share: '/none',
  keep: false,
};
const OF_LAB: Calls = {
  runInLab: [[[], { ...guest, ...command, signal: undefined }], lab.runInLab],
  openLab: [[{ ...guest, memory: 1, timeout: 1, signal: undefined }], lab.openLab],
  prepareLab: [[{ kernel: 'user-mode', suite: '!', signal: undefined }], lab.prepareLab],
  fetchLabTools: [[[], { suite: '!', signal: undefined }], lab.fetchLabTools],
};

/** Without arguments, made by the library only, or passing on what the caller gives, as a promise does. */
const NOT_CALLED = new Set([
  ...['XfrmMonitor', 'TunnelMonitor', 'MultiNamespaceXfrmMonitor', 'MultiNamespaceTunnelMonitor'],
  ...['MultiNamespaceXfrmMonitor.openAll', 'MultiNamespaceTunnelMonitor.openAll'],
  ...['NetlinkAttribute', 'AttributeWriter.within', 'FakeKernel.openSocket', 'Dump'],
  ...['Dump.throw', 'Dump.then', 'Dump.catch', 'Dump.finally'],
  ...['DecodeError.within', 'KernelError.withHint'],
  ...['listLabKernels', 'listLabGuests', 'stopLabGuests'],
]);
const ALL: Calls = { ...OF_ROOT, ...OF_VIEWS, ...OF_XFRM, ...OF_ROUTE, ...OF_SOCKET, ...OF_LAB };

for (const [name, module] of Object.entries({ root, xfrm, route, socket, lab })) {
  test(`every function and method of ${name} is called`, () => {
    const missing = exportedCalls(module).filter((one) => !(one in ALL || NOT_CALLED.has(one)));
    assert.deepEqual(missing, []);
  });
}

for (const [name, [args, call]] of Object.entries(ALL)) {
  test(`calls of ${name} with wrong arguments that fail end in documented errors`, () =>
    withoutSuite(() => checkCalls(name, args, call as (...args: unknown[]) => unknown)));
}

/** Source text of the library, without the command. */
function* sources(): Generator<[path: string, text: string]> {
  const lib = new URL('../../../lib/', import.meta.url);
  for (const path of readdirSync(lib, { recursive: true, encoding: 'utf8' })) {
    if (path.endsWith('.ts') && !/^(cli|serve)\//.test(path)) {
      yield [path, readFileSync(new URL(path, lib), 'utf8')];
    }
  }
}

test('docs/errors.md lists the classes and codes that exist, and no others', () => {
  const documented = documentedErrors();
  const exported = { ...root, ...xfrm, ...route, ...socket, ...lab, ...testing };
  const classes = Object.entries(exported)
    .filter(([, one]) => typeof one === 'function' && one.prototype instanceof Error)
    .map(([name]) => name);
  assert.deepEqual([...documented.keys()].sort(), [...classes, 'RangeError', 'TypeError'].sort());

  // Node's own codes that the library looks for.
  const handled = ['ERR_ACCESS_DENIED', 'ERR_DLOPEN_DISABLED'];
  const used = new Set<string>();
  for (const [, text] of sources()) {
    for (const [code] of text.matchAll(/(?<=')(?:ERR|LAB)_[A-Z_]+(?=')/g)) used.add(code);
  }
  const codes = new Set([...documented.values()].flatMap((one) => [...one]));
  assert.deepEqual([...codes].sort(), [...used].filter((one) => !handled.includes(one)).sort());
});
