/** Effects of events on a table of SAs and policies: rules that random histories rarely exercise. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { Filter, type XfrmEvent, type XfrmPolicy, type XfrmState } from '../../lib/index.ts';
import type { TableChange } from '../../lib/monitor/changes.ts';
import { Reconciler } from '../../lib/monitor/reconciler.ts';
import type { XfrmObjectTypes } from '../../lib/monitor/xfrm-objects.ts';
import { xfrmModel } from '../../lib/monitor/xfrm-table.ts';
import { StatesView, stateRates, type XfrmSnapshot } from '../../lib/monitor/xfrm-views.ts';
import { NO_LIMIT } from '../../lib/wire/time.ts';

const current = (addTime: number, packets = 0) => ({
  bytes: BigInt(packets) * 100n,
  packets: BigInt(packets),
  addedAt: addTime * 1000,
  firstUsedAt: undefined,
});
const lifetime = { softBytes: NO_LIMIT, hardBytes: NO_LIMIT };

/** An SA added at a given second, without fields that no rule uses. */
const sa = (addTime: number, more: object = {}) =>
  ({
    saddr: '192.0.2.1',
    daddr: '192.0.2.2',
    proto: 'esp',
    spi: 256,
    mode: 'tunnel',
    reqid: 0,
    seq: 0,
    lifetime,
    current: current(addTime),
    stats: { replayWindow: 0, replay: 0, integrityFailed: 0 },
    aead: { name: 'rfc4106(gcm(aes))', keyBits: 160, icvBits: 128 },
    ...more,
  }) as unknown as XfrmState;
const larval = (addTime: number, more: object = {}): XfrmState => {
  const { aead: _, ...rest } = sa(addTime, more);
  return rest;
};
const policy = (addTime: number, more: object = {}) =>
  ({
    selector: { saddr: '10.0.0.0', daddr: '10.1.0.0' },
    index: 8,
    dir: 'out',
    lifetime,
    current: current(addTime),
    priority: 0,
    ...more,
  }) as unknown as XfrmPolicy;

/** An event read at a given second; by default after a long quiet period. */
const event = (kind: XfrmEvent['kind'], more: object, second = 5000) =>
  ({
    kind,
    header: { portId: 0 },
    ...more,
    time: { wall: second * 1000, monotonic: 0 },
  }) as unknown as XfrmEvent;

/** A table opened with these objects, and its reported changes. */
function opened(states: XfrmState[], policies: XfrmPolicy[] = []) {
  const changes: TableChange<XfrmObjectTypes>[] = [];
  const time = { wall: 0, monotonic: 0 };
  const table = new Reconciler<XfrmObjectTypes, XfrmEvent>(
    xfrmModel,
    {
      now: () => time,
      wakeAfter: () => {},
      mayProceed: () => true,
      dump: () => {},
      emit: (change) => changes.push(change),
    },
    { least: 0, most: 0 },
  );
  const listed = (states: XfrmState[], policies: XfrmPolicy[] = []) => {
    for (const state of states) table.dumped('state', state);
    for (const policy of policies) table.dumped('policy', policy);
    table.dumpEnded();
    table.empty();
  };
  table.wake();
  table.empty();
  listed(states, policies);
  changes.length = 0;
  return {
    table,
    /** A comparison during which these events arrive. */
    compare(during: XfrmEvent[], states: XfrmState[], policies: XfrmPolicy[] = []) {
      table.refresh();
      table.empty();
      for (const one of during) table.event(one);
      listed(states, policies);
    },
    /** The reported changes, and whether another comparison is due. */
    told(): [string[], 'right' | 'in doubt'] {
      const brief = changes.splice(0).map((change) => {
        const more =
          'reason' in change ? change.reason : 'fields' in change ? change.fields.join() : '';
        return `${change.kind} ${more}`.trim();
      });
      return [brief, table.busy ? 'in doubt' : 'right'];
    },
    states: () => Array.from(table.tables.state, ({ value }) => value),
    policies: () => Array.from(table.tables.policy, ({ value }) => value),
  };
}

test('an EXPIRE is for the SA with its add time, also if that is gone', () => {
  const { table, told, states } = opened([sa(2000)]);
  table.event(event('EXPIRE', { hard: false, state: larval(1000, { current: current(1000, 9) }) }));
  assert.deepEqual(told(), [[], 'right']);
  table.event(event('EXPIRE', { hard: true, state: larval(1000) }));
  assert.deepEqual(told(), [[], 'in doubt']);
  assert.deepEqual(states(), [sa(2000)]);
});

test('a soft EXPIRE brings the counters, a hard one takes the SA away without a round', () => {
  const { table, told, states } = opened([sa(1000)]);
  table.event(event('EXPIRE', { hard: false, state: larval(1000, { current: current(1000, 9) }) }));
  assert.deepEqual(told(), [['expiring'], 'right']);
  assert.deepEqual(states(), [sa(1000, { current: current(1000, 9) })]);
  table.event(event('EXPIRE', { hard: true, state: larval(1000) }));
  assert.deepEqual(told(), [['removed hard-expired'], 'right']);
});

test('a hard EXPIRE of an SA less than a second old may be for its predecessor', () => {
  const { table, told } = opened([sa(1000)]);
  table.event(event('EXPIRE', { hard: true, state: larval(1000) }, 1001));
  assert.deepEqual(told(), [['removed hard-expired'], 'in doubt']);
});

test('a hard EXPIRE may be of an SA to whose place one of the same second was migrated', () => {
  for (const other of [{ saddr: '192.0.2.9' }, { seq: 1 }, { reqid: 1 }, { mode: 'transport' }]) {
    const expired = event('EXPIRE', { hard: true, state: larval(1000) });
    const moved = sa(1000, other);
    const later = opened([moved]);
    later.table.event(expired);
    assert.deepEqual(later.told(), [[], 'in doubt']);
    assert.deepEqual(later.states(), [moved]);
    const { compare, told, states } = opened([sa(1000)]);
    compare([expired], [moved]);
    assert.deepEqual(told(), [['removed hard-expired', 'added'], 'in doubt']);
    assert.deepEqual(states(), [moved]);
  }
});

test('a hard EXPIRE during a dump removes the dumped SA', () => {
  const { compare, told, states } = opened([sa(1000)]);
  compare([event('EXPIRE', { hard: true, state: larval(1000) })], [sa(1000)]);
  assert.deepEqual(told(), [['removed hard-expired', 'refreshed'], 'right']);
  assert.deepEqual(states(), []);
});

test('POLEXPIRE likewise', () => {
  const { table, told, policies } = opened([], [policy(2000)]);
  const soft = event('POLEXPIRE', {
    hard: false,
    policy: policy(2000, { current: current(2000, 9) }),
  });
  table.event(event('POLEXPIRE', { hard: false, policy: policy(1000) }));
  assert.deepEqual(told(), [[], 'right']);
  table.event(soft);
  assert.deepEqual(told(), [['expiring'], 'right']);
  assert.equal(policies()[0]?.current.packets, 9n);
  table.event(event('POLEXPIRE', { hard: true, policy: policy(2000) }));
  assert.deepEqual(told(), [['removed hard-expired'], 'right']);
  const other = opened([], [policy(2000)]);
  other.table.event(event('POLEXPIRE', { hard: true, policy: policy(1000) }));
  assert.deepEqual(other.told(), [[], 'in doubt']);
  assert.equal(other.policies().length, 1);
});

const MARKED = { mark: { value: 1, mask: 1 } };

test('an UPDSA may have been for an SA of another mark that a late EXPIRE takes away', () => {
  // The UPDSA named a mark, the SA had none, and was gone when the list was made.
  const { table, compare, told, states } = opened([]);
  compare([event('UPDSA', { state: sa(1000, MARKED) })], []);
  assert.deepEqual(told(), [['added', 'refreshed'], 'right']);
  table.event(event('EXPIRE', { hard: true, state: larval(990) }));
  assert.deepEqual(told(), [[], 'in doubt']);
  table.empty();
  table.dumpEnded();
  table.empty();
  assert.deepEqual(states(), []);
});

test('the same if a DELSA follows during the dump', () => {
  const { compare, told } = opened([sa(990)]);
  const during = [event('UPDSA', { state: sa(1000, MARKED) }), event('DELSA', { state: sa(990) })];
  compare(during, []);
  assert.deepEqual(told()[1], 'in doubt');
});

test('DELSA, FLUSHSA and EXPIRE of an SA listed as larval may be for its predecessor', () => {
  for (const gone of [
    event('DELSA', { state: larval(900) }),
    event('FLUSHSA', { proto: 'any' }),
    // A larval SA keeps its add time when it gets an SPI, which another may have had.
    event('EXPIRE', { hard: true, state: larval(1000) }),
  ]) {
    const { compare, told } = opened([]);
    compare([gone], [larval(1000)]);
    assert.deepEqual(told(), [[], 'in doubt']);
  }
});

test('so may NEWSA and DELSA of an SA that had its place', () => {
  const { compare, told } = opened([]);
  compare([event('NEWSA', { state: sa(900) }), event('DELSA', { state: sa(900) })], [larval(1000)]);
  assert.deepEqual(told(), [['added', 'removed deleted'], 'in doubt']);
});

test('an SA both dumped and announced has the counters of the dump', () => {
  const { compare, told, states } = opened([]);
  compare([event('NEWSA', { state: sa(1000) })], [sa(1000, { current: current(1000, 5) })]);
  assert.deepEqual(told(), [['added', 'refreshed'], 'right']);
  assert.equal(states()[0]?.current.packets, 5n);
});

test('a comparison detects a new incarnation by add time, counters or keys', () => {
  for (const [before, after] of [
    [sa(1000), sa(1001)],
    [sa(1000, { current: { ...current(1000), bytes: 9n } }), sa(1000)],
    [sa(1000, { current: { ...current(1000), packets: 9n } }), sa(1000)],
    [larval(1000), sa(1000)],
  ] as const) {
    const { compare, told } = opened([before]);
    compare([], [after]);
    assert.deepEqual(told(), [['removed replaced', 'added', 'refreshed'], 'right']);
  }
  const { compare, told } = opened([sa(1000)]);
  compare([], [sa(1000, { current: current(1000, 5), reqid: 3 })]);
  assert.deepEqual(told(), [['updated reqid', 'refreshed'], 'right']);
});

test('a policy with the index of another is a different policy', () => {
  const { table, told } = opened([], [policy(1000)]);
  const selector = { saddr: '10.0.0.0', daddr: '10.2.0.0' };
  table.event(event('UPDPOLICY', { policy: policy(2000, { selector }) }));
  assert.deepEqual(told(), [['removed replaced', 'added'], 'right']);
});

test('an UPDPOLICY, which never has the security label, leaves it as listed', () => {
  const label = { securityContext: { doi: 1, alg: 1, context: 'ipsec' } };
  const { table, told, policies } = opened([], [policy(1000, label)]);
  table.event(event('UPDPOLICY', { policy: policy(2000, { priority: 7 }) }));
  assert.deepEqual(told(), [['updated current,priority'], 'right']);
  assert.deepEqual(policies(), [policy(2000, { priority: 7, ...label })]);
});

test('a policy that an event gives a device may have gone with it', () => {
  const { compare, told } = opened([]);
  const given = policy(1000, { offload: { ifindex: 2, flags: 0 } });
  const during = [policy(1000), given].map((one) => event('UPDPOLICY', { policy: one }));
  compare(during, []);
  assert.deepEqual(told(), [['added', 'updated offload'], 'in doubt']);
});

test('values of an UPDSA apply only if the SA also had them', () => {
  const encap = { type: 'espinudp', sport: 4500, dport: 4500, oa: '0.0.0.0' };
  const { table, told, states } = opened([sa(1000)]);
  table.event(event('UPDSA', { state: sa(2000, { encap, ifId: 5 }) }));
  assert.deepEqual(told(), [['updated ifId'], 'right']);
  assert.deepEqual(states(), [sa(1000, { ifId: 5 })]);
});

test('an SA with the sequence number of two larval SAs replaces one of them; a dump tells which', () => {
  const more = { spi: 0, seq: 3 };
  const { table, told } = opened([
    larval(900, { ...more, reqid: 1 }),
    larval(901, { ...more, reqid: 2 }),
  ]);
  table.event(event('NEWSA', { state: sa(1000, { seq: 3, reqid: 1 }) }));
  assert.deepEqual(told()[1], 'in doubt');
});

test('the table waits for the removal of an unused IP-in-IP state of IPComp, but not for ever', () => {
  const comp = sa(1000, { proto: 'comp', mode: 'tunnel' });
  const helper = larval(1000, { proto: 4, spi: 0xc0000201 });
  const { table, told, states, compare } = opened([comp, helper]);
  table.event(event('DELSA', { state: comp }));
  compare([], [helper]);
  assert.equal(told()[1], 'in doubt');
  compare([], []);
  assert.deepEqual([told()[1], states()], ['right', []]);

  const other = opened([comp, helper]);
  other.table.event(event('DELSA', { state: comp }));
  let rounds = 0;
  do {
    other.compare([], [helper]);
    rounds++;
  } while (other.told()[1] === 'in doubt');
  assert.equal(rounds, 9);
  assert.deepEqual(other.states(), [helper]);
});

test('the table waits for the removal of an IP-in-IP state of IPComp that no SA can use', () => {
  const comp = sa(1000, { proto: 'comp', mode: 'tunnel', mark: { value: 1, mask: 0xff } });
  const helper = larval(1000, { proto: 4, spi: 0xc0000201, mark: comp.mark });
  const unmarked = larval(1000, { proto: 4, spi: 0xc0000202 });
  const others = larval(1000, { proto: 4, spi: 0xc0000203, mark: { value: 2, mask: 0xff } });
  const transport = sa(1000, { proto: 'comp', mode: 'transport', spi: 0x101 });
  for (const [states, verdict] of [
    [[comp, helper], 'right'],
    [[comp, unmarked], 'right'],
    [[comp, others], 'in doubt'],
    [[comp, transport, helper, unmarked], 'in doubt'],
    [[comp, larval(1000, { ...comp }), helper, unmarked], 'in doubt'],
    [[comp, sa(1000, { ...comp, spi: 0x102 }), helper, unmarked], 'right'],
  ] as const) {
    const { told, compare } = opened([]);
    compare([], [...states]);
    assert.equal(told()[1], verdict, states.map(({ spi }) => spi).join(' '));
  }
});

test('lookups accept any spelling of an address', () => {
  const ends = { saddr: '2001:db8::1', daddr: '2001:db8::2', family: 'inet6' } as const;
  const states = new StatesView(opened([sa(1000, ends)]).table.tables.state);
  const [found] = states.bySpi(256, { daddr: '2001:DB8:0::2' });
  assert.equal(found?.value.daddr, ends.daddr);
  assert.deepEqual(states.byPeers('2001:db8:0:0::1', '2001:db8::0:2'), [found]);
});

test('lookups by id, uid, SPI, destination, filter and custom index', async () => {
  const { table, ...rest } = opened([sa(1000), sa(1000, { spi: 300, mode: 'transport' })]);
  const states = new StatesView(table.tables.state);
  const [first, second] = [...states];
  assert(first && second);
  assert.equal(states.get(first.id), first);
  assert.equal(states.byUid(second.uid), second);
  assert.deepEqual(states.bySpi(300), [second]);
  assert.deepEqual(states.bySpi(300, { proto: 'ah' }), []);
  assert.deepEqual(states.byDestination(first.value.daddr), [first, second]);
  assert.deepEqual(
    states.filter(({ value }) => value.spi === 300),
    [second],
  );
  assert.deepEqual(states.filter(new Filter(['spi=300', 'proto=esp'])), [second]);
  assert.throws(() => states.filter({} as never), /by must be a function or a Filter/);
  assert.throws(() => states.indexBy('mode' as never), /of must be a function/);

  const byMode = states.indexBy(({ mode }) => mode);
  const thrown: unknown[] = [];
  const caught = (error: unknown) => thrown.push(error);
  const others = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException').on('uncaughtException', caught);
  const failing = states.indexBy(({ mode }): string => assert.fail(mode as string));
  await turn();
  process.off('uncaughtException', caught);
  for (const other of others) process.on('uncaughtException', other);
  assert.equal(thrown.length, 2);
  assert.deepEqual(failing.get('tunnel'), []);
  failing[Symbol.dispose]();

  assert.deepEqual(byMode.get('transport'), [second]);
  table.event(event('DELSA', { state: second.value }));
  assert.deepEqual(byMode.get('transport'), []);
  assert.equal(states.get(second.id), undefined);
  table.event(event('NEWSA', { state: sa(1001, { spi: 300, mode: 'transport' }) }));
  const [again] = byMode.get('transport');
  assert(again && again.uid !== second.uid);
  assert.equal(states.byUid(second.uid), undefined);
  assert.equal(states.get(second.id), again);
  byMode[Symbol.dispose]();
  assert.deepEqual(byMode.get('transport'), [again]);
  assert.deepEqual(rest.told()[1], 'right');
});

test('a larval SA gets its SPI without an event, so an event about an unknown SA may concern it', () => {
  const named = { spi: 300, seq: 3 };
  for (const [kind, more] of [
    ['DELSA', { state: larval(900, named) }],
    ['EXPIRE', { hard: true, state: larval(900, named) }],
    ['UPDSA', { state: sa(1000, named) }],
  ] as const) {
    const { table, told } = opened([larval(900, { spi: 0, seq: 3 })]);
    table.event(event(kind, more));
    assert.deepEqual(told()[1], 'in doubt', kind);
  }
});

test('the kernel accepts duplicates of SAs with keys and no SPI; a dump tells how many', () => {
  const { table, told, states } = opened([sa(1000, { spi: 0 })]);
  table.event(event('NEWSA', { state: sa(1001, { spi: 0 }) }));
  assert.deepEqual(told(), [[], 'in doubt']);
  table.empty();
  for (const addTime of [1001, 1000]) table.dumped('state', sa(addTime, { spi: 0 }));
  table.dumpEnded();
  table.empty();
  assert.equal(states().length, 2);
  table.event(event('EXPIRE', { hard: true, state: larval(1001, { spi: 0 }) }));
  assert.deepEqual(told()[1], 'in doubt');
});

test('a message of a newer kernel may have changed anything', () => {
  const { table, told } = opened([sa(1000)]);
  table.event(event('unknown', { payload: new Uint8Array(4) }));
  assert.deepEqual(told(), [[], 'in doubt']);
});

test('an UPDSA gives a care-of address to an SA that has one, and to no other', () => {
  for (const coaddr of ['192.0.2.7', undefined]) {
    const { table, states } = opened([sa(1000, coaddr ? { coaddr } : {})]);
    table.event(event('UPDSA', { state: sa(2000, { coaddr: '192.0.2.9' }) }));
    assert.equal(states()[0]?.coaddr, coaddr && '192.0.2.9');
  }
});

test('an SA that answers an ACQUIRE may leave the larval SA of its number, where two have it', () => {
  // The kernel may find the other one first, and then takes neither.
  const more = { spi: 0, seq: 3 };
  const { table, told } = opened([
    larval(900, { ...more, reqid: 1 }),
    larval(901, { ...more, daddr: '192.0.2.3' }),
  ]);
  table.event(event('NEWSA', { state: sa(1000, { seq: 3 }) }));
  assert.deepEqual(told(), [['added'], 'in doubt']);
});

test('so may an SA that fits one larval SA by its number, and another by its ends', () => {
  const { table, told } = opened([
    larval(900, { spi: 0, seq: 1 }),
    larval(901, { spi: 0, seq: 2, reqid: 1 }),
  ]);
  table.event(event('NEWSA', { state: sa(1000, { seq: 1, reqid: 1 }) }));
  assert.deepEqual(told(), [['added'], 'in doubt']);
});

test('rates are those of one incarnation, of the time between two readings', () => {
  const at = (monotonic: number) => ({ wall: 0, monotonic });
  const entry = (uid: string, bytes: bigint, monotonic: number) => {
    const value = sa(1000, { current: { ...current(1000), bytes, packets: bytes / 100n } });
    return { id: 'x', uid, value, countersReadAt: at(monotonic) };
  };
  const snapshot = (...states: ReturnType<typeof entry>[]) =>
    ({ states }) as unknown as XfrmSnapshot;
  const many = 2n ** 63n;
  const before = snapshot(entry('x #1', 5000n, 0), entry('y #1', many, 500), entry('z #1', 0n, 0));
  const after = snapshot(
    entry('x #2', 0n, 2000),
    entry('y #1', many + 3000n, 2000),
    entry('z #1', 0n, 0),
  );
  assert.deepEqual(stateRates(before, after), [
    { id: 'x', uid: 'y #1', seconds: 1.5, bytesPerSecond: 2000, packetsPerSecond: 20 },
  ]);
});

test('an entry has the time at which its counters were read', () => {
  const { table } = opened([sa(1000)]);
  const counted = () => Array.from(table.tables.state, ({ countersReadAt: { wall } }) => wall)[0];
  assert.equal(counted(), 0);
  table.event(event('UPDSA', { state: sa(5000, { ifId: 3 }) }));
  assert.equal(counted(), 0);
  table.event(event('EXPIRE', { hard: false, state: larval(1000, { current: current(1000, 9) }) }));
  assert.equal(counted(), 5000_000);
});
