/**
 * Many objects added and deleted through XfrmClient, each acknowledged, and with `ip -batch`, which
 * also waits for each acknowledgement. SAs; policies if the kernel has no ESP.
 * @module
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { XfrmClient } from '../lib/index.ts';
import { addOne, changeUnread, HOST, peer, spiOf } from '../test/kernel/many.ts';

export type RequestTask = 'add' | 'add with ip' | 'delete' | 'delete with ip';

/** Milliseconds per round. */
export interface Requests {
  readonly of: 'SAs' | 'policies';
  readonly entries: number;
  readonly times: Readonly<Partial<Record<RequestTask, number[]>>>;
}

/** Requests that are made at the same time. */
const AT_ONCE = 500;

const selector = (i: number) => ({ saddr: `${HOST}/32`, daddr: `${peer(i)}/32` });
const template = {
  saddr: HOST,
  daddr: '192.0.2.2',
  proto: 'esp',
  mode: 'tunnel',
  reqid: 1,
} as const;

/** What is added and deleted: by the client one at a time, by `ip` all. */
interface Kind {
  readonly of: Requests['of'];
  add(i: number): Promise<unknown>;
  remove(i: number): Promise<unknown>;
  ip(verb: 'add' | 'delete', numbers: readonly number[]): void;
}

const states = (client: XfrmClient): Kind => ({
  of: 'SAs',
  add: (i) => addOne(client, i),
  remove: (i) => client.deleteState({ daddr: peer(i), proto: 'esp', spi: spiOf(i) }),
  ip: (verb, numbers) => {
    const nothing = { updated: [], deleted: [], added: [] };
    changeUnread({ ...nothing, [verb === 'add' ? 'added' : 'deleted']: numbers }, 1);
  },
});

const policies = (client: XfrmClient): Kind => ({
  of: 'policies',
  add: (i) => client.addPolicy({ dir: 'out', selector: selector(i), templates: [template] }),
  remove: (i) => client.deletePolicy({ dir: 'out', selector: selector(i) }),
  ip: (verb, numbers) => {
    const { saddr, daddr, proto, mode, reqid } = template;
    const more =
      verb === 'add'
        ? ` tmpl src ${saddr} dst ${daddr} proto ${proto} mode ${mode} reqid ${reqid}`
        : '';
    const lines = numbers.map((i) => {
      const { saddr: from, daddr: to } = selector(i);
      return `xfrm policy ${verb} src ${from} dst ${to} dir out${more}\n`;
    });
    const { status, stderr } = spawnSync('ip', ['-batch', '-'], {
      input: lines.join(''),
      encoding: 'utf8',
    });
    assert.equal(status, 0, stderr);
  },
});

/** Adds and deletes, by turns with `ip`. */
export async function requests(
  { entries, rounds }: { entries: number; rounds: number },
  progress: (text: string) => void,
): Promise<Requests> {
  await using client = new XfrmClient();
  const kind = await addOne(client, 0).then(
    async () => {
      await client.flushStates();
      return states(client);
    },
    () => policies(client),
  );
  const numbers = Array.from({ length: entries }, (_, i) => i);
  const times: Partial<Record<RequestTask, number[]>> = {};
  const time = async (what: RequestTask, work: () => unknown) => {
    const begun = performance.now();
    await work();
    times[what] = [...(times[what] ?? []), performance.now() - begun];
  };
  const all = async (one: (i: number) => Promise<unknown>) => {
    for (let i = 0; i < entries; i += AT_ONCE) {
      await Promise.all(numbers.slice(i, i + AT_ONCE).map(one));
    }
  };
  for (let round = 0; round < rounds; round++) {
    progress(`requests: round ${round + 1} of ${rounds}`);
    await time('add', () => all(kind.add));
    await time('delete', () => all(kind.remove));
    await time('add with ip', () => kind.ip('add', numbers));
    await time('delete with ip', () => kind.ip('delete', numbers));
  }
  return { of: kind.of, entries, times };
}
