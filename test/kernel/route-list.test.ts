/** Lists that the kernel says changed while it made them (NLM_F_DUMP_INTR), on the real kernel. */
import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { after, before, test } from 'node:test';
import { type DumpResult, RouteClient } from '../../lib/index.ts';
import type { SocketMessageRecord, TracedMessage } from '../../lib/socket.ts';
import { ip, ipBatch, words } from './support.ts';

const LINKS = 60;
const OTHERS = 2000;
const client = new RouteClient();

const times = (count: number, line: (number: number) => string) =>
  Array.from({ length: count }, (_, number) => line(number));

before(() => {
  ipBatch(times(LINKS, (number) => `link add l${number} type bridge`));
  ipBatch([
    'link add v0 type veth peer name v1',
    ...['v0', 'v1'].map((name) => `link set ${name} up`),
  ]);
  ipBatch(times(OTHERS, (n) => `addr add 10.7.${n >> 8}.${n & 255}/32 dev v0`));
  ipBatch(times(OTHERS, (n) => `nexthop add id ${n + 1} dev v0`));
});

after(async () => {
  await client.close();
  ipBatch(['link del v0', ...times(LINKS, (number) => `link del l${number}`)]);
});

let added = 0;
const cases: Record<string, { list: () => Promise<DumpResult<unknown>>; add: () => string }> = {
  links: { list: () => client.listLinks(), add: () => `link add x${added} type bridge` },
  addresses: {
    list: () => client.listAddresses({ family: 'inet' }),
    add: () => `addr add 10.8.0.${added}/32 dev v0`,
  },
  'next hops': {
    list: () => client.listNexthops(),
    add: () => `nexthop add id ${9000 + added} dev v0`,
  },
};

/**
 * Lists, and adds one more after the first piece of each of the first `interruptions` attempts. The
 * kernel makes the second piece as the first is read, and the third one then sees the change.
 */
async function listInterrupted(
  { list, add }: { list: () => Promise<DumpResult<unknown>>; add: () => string },
  interruptions: number,
) {
  let attempts = 0;
  let flagged = 0;
  let first = false;
  const look = (message: unknown) => {
    const { direction, messages } = message as SocketMessageRecord;
    if (direction === 'sent') {
      attempts++;
      first = true;
      return;
    }
    // NLM_F_DUMP_INTR, linux/netlink.h.
    if ((messages as TracedMessage[]).some(({ header }) => header.flags & 0x10)) flagged++;
    if (!first || attempts > interruptions) return;
    first = false;
    added++;
    ip(...words(add()));
  };
  subscribe('netlink-xfrm:message', look);
  try {
    return { ...(await list()), attempts, flagged };
  } finally {
    unsubscribe('netlink-xfrm:message', look);
  }
}

for (const [name, one] of Object.entries(cases)) {
  test(`${name}: an interrupted list is made again, until it is whole`, async () => {
    const whole = await listInterrupted(one, 0);
    assert.deepEqual([whole.interrupted, whole.attempts, whole.flagged], [false, 1, 0]);
    const again = await listInterrupted(one, 2);
    assert.deepEqual([again.interrupted, again.attempts], [false, 3]);
    assert(again.flagged >= 2, `${again.flagged}`);
    assert.equal(again.items.length, whole.items.length + 2);
    assert.equal(again.items.length, (await one.list()).items.length);
  });

  test(`${name}: a list that is interrupted each time says so`, async () => {
    const { interrupted, attempts, items } = await listInterrupted(one, Number.POSITIVE_INFINITY);
    assert.deepEqual([interrupted, attempts], [true, 5]);
    assert(items.length > 0);
  });
}

test('repeating an interrupted dump stops when aborted', async () => {
  const abort = new AbortController();
  const list = () => client.listLinks({}, { signal: abort.signal });
  const add = () => {
    if (added % 2 === 0) abort.abort(new Error('enough'));
    return cases.links?.add() ?? '';
  };
  await assert.rejects(listInterrupted({ list, add }, 5), { message: 'enough' });
});
