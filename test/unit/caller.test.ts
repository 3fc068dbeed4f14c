/** An error of a request shows who made it: the first frame of its stack is the caller's, for every method. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NETLINK_GENERIC, NETLINK_ROUTE, NETLINK_XFRM } from '../../lib/constants.ts';
import { KernelError, RouteClient, XfrmClient } from '../../lib/index.ts';
import { FakeKernel, NetlinkConnection } from '../../lib/socket.ts';
import { METHODS } from './sample-arguments.ts';

/** Refuses everything. */
function refusing(): FakeKernel {
  const kernel = new FakeKernel();
  for (const protocol of [NETLINK_XFRM, NETLINK_ROUTE, NETLINK_GENERIC]) {
    kernel.answer(protocol, () => ({ refusal: { code: 'EPERM' } }));
  }
  return kernel;
}

type Methods = Record<string, (...args: unknown[]) => unknown>;

const call = (owner: Methods, method: string, args: readonly unknown[]) =>
  (owner[method] as Methods[string]).apply(owner, [...args]);

/** How a program waits for a request or a dump. The name of each function is what a stack must begin with. */
const WAYS = {
  async awaits(owner: Methods, method: string, args: readonly unknown[]) {
    await call(owner, method, args);
  },
  async returnsIt(owner: Methods, method: string, args: readonly unknown[]) {
    return await call(owner, method, args);
  },
  async iterates(owner: Methods, method: string, args: readonly unknown[]) {
    for await (const _ of call(owner, method, args) as AsyncIterable<unknown>);
  },
  async readsBatches(owner: Methods, method: string, args: readonly unknown[]) {
    const dump = call(owner, method, args) as { batches(): AsyncIterable<unknown> };
    for await (const _ of dump.batches());
  },
  async takesTheNext(owner: Methods, method: string, args: readonly unknown[]) {
    await (call(owner, method, args) as AsyncIterator<unknown>).next();
  },
};

const CLIENTS = {
  XfrmClient: {
    make: (netns: FakeKernel) => new XfrmClient({ netns }),
    methods: METHODS.XfrmClient,
  },
  RouteClient: {
    make: (netns: FakeKernel) => new RouteClient({ netns }),
    methods: METHODS.RouteClient,
  },
  NetlinkConnection: {
    make: (netns: FakeKernel) => new NetlinkConnection(NETLINK_GENERIC, { netns }),
    methods: { request: [{ type: 16 }], dump: [{ type: 16 }] },
  },
};

for (const [name, { make, methods }] of Object.entries(CLIENTS)) {
  test(`the stack of an error of ${name} begins where the program called it`, async () => {
    await using client = make(refusing());
    const wrong: string[] = [];
    for (const [method, args] of Object.entries(methods)) {
      for (const [way, wait] of Object.entries(WAYS)) {
        const dumps = method.startsWith('list') || method === 'dump';
        if (!dumps && !['awaits', 'returnsIt'].includes(way)) continue;
        const failure: unknown = await wait(client as unknown as Methods, method, args).then(
          () => undefined,
          (error) => error,
        );
        assert(failure instanceof KernelError, `${method}: ${failure}`);
        const { stack = '', request, code, object } = failure;
        assert.equal(code, 'EPERM');
        assert.match(request, /^(XFRM_MSG_|RTM_|message 16)/);
        const [, first = ''] = stack.slice(`${failure}`.length).split('\n');
        // An object method appears as Object.name.
        if (!new RegExp(`^    at (async )?(Object\\.)?${way} \\(.*caller\\.test`).test(first)) {
          wrong.push(`${method}, ${way}: ${first}`);
        }
        const all =
          /^(list|flush|getAddress|get(Sad|Spd)Info|getDefaults|setDefaults|setSpdThresholds|dump|request)/;
        if (object === undefined && !all.test(method)) wrong.push(`${method}: names no object`);
      }
    }
    assert.deepEqual(wrong, []);
  });
}
