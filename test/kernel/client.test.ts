/** XfrmClient against real kernels: what it sets is what the kernel has, and what `ip` shows. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import {
  KernelError,
  KeyMaterial,
  type PolicyFilter,
  subscribe,
  XfrmClient,
  type XfrmPolicy,
  type XfrmState,
} from '../../lib/index.ts';
import { NO_LIMIT } from '../../lib/wire/time.ts';
import { addState, ip, ipBatch, KEY_HEX, next, ofKind, withoutEsp, words } from './support.ts';

const key = (hex: string) => Uint8Array.from(Buffer.from(hex, 'hex'));
const GCM = { name: 'rfc4106(gcm(aes))', icvBits: 128, key: key(KEY_HEX) };
const ENDS = { saddr: '192.0.2.1', daddr: '192.0.2.2' } as const;

async function all<T>(list: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of list) items.push(item);
  return items;
}

/** Whether an error is a KernelError that says this. */
const refused =
  (code: string, hint: RegExp, more: Partial<KernelError> = {}) =>
  (error: unknown) => {
    assert(error instanceof KernelError, String(error));
    assert.equal(error.code, code);
    assert.match(error.hint ?? '', hint);
    for (const [name, value] of Object.entries(more)) {
      assert.deepEqual(error[name as keyof KernelError], value);
    }
    return true;
  };

test("an error's stack starts where the client was called", async () => {
  await using client = new XfrmClient();
  async function provision() {
    await client.deletePolicy({ dir: 'in', index: 8 });
  }
  async function inventory() {
    for await (const _ of client.listStates({ proto: 'esp' })) assert.fail('there are none');
    await client.getState({ daddr: '192.0.2.1', spi: 1 });
  }
  for (const ask of [provision, inventory]) {
    const error = await ask().catch((one: Error) => one);
    assert(error instanceof KernelError);
    const [first, ...frames] = error.stack?.split('\n') ?? [];
    assert.equal(first, `KernelError: ${error.message}`);
    assert.match(frames[0] ?? '', new RegExp(`${ask.name} .*client\\.test\\.js`));
  }
});

test('CIDR notation', async () => {
  await using client = new XfrmClient();
  const selector = { saddr: '10.0.0.0/24', daddr: '2001:db8::/32' };
  const path = ['NEWPOLICY', 'selector'];
  const wrong: [more: object, error: { path: string[]; reason: RegExp }][] = [
    [
      { saddr: '10.0.0.0/33' },
      {
        path: [...path, 'saddr'],
        reason: /^invalid value "10\.0\.0\.0\/33": expected an address or a network/,
      },
    ],
    [
      { prefixlenS: 8 },
      { path: [...path, 'prefixlenS'], reason: /is 8, but saddr is "10\.0\.0\.0\/24"/ },
    ],
    [{}, { path: [...path, 'saddr'], reason: /famil/ }],
  ];
  for (const [more, error] of wrong) {
    const policy = { dir: 'out', selector: { ...selector, ...more } } as const;
    await assert.rejects(client.addPolicy(policy), error);
  }
  const given = { saddr: '2001:db8:1::/48', prefixlenS: 48, daddr: '2001:db8::/32' };
  await client.addPolicy({ dir: 'out', selector: given });
  const got = await client.getPolicy({ dir: 'out', selector: given });
  assert.equal(got.selector.prefixlenD, 32);
  assert.match(ip('xfrm', 'policy'), /src 2001:db8:1::\/48 dst 2001:db8::\/32/);
  assert.equal(given.daddr, '2001:db8::/32');
  await client.deletePolicy({ dir: 'out', selector: given });
});

test('policies are added, got, listed, updated, deleted and flushed', async () => {
  await using client = new XfrmClient();
  const selector = {
    saddr: '10.0.0.0',
    prefixlenS: 24,
    daddr: '10.1.0.0',
    prefixlenD: 16,
    proto: 6,
    dport: 443,
    dportMask: 0xffff,
  };
  const template = { ...ENDS, proto: 'esp', mode: 'tunnel', reqid: 7 } as const;
  await client.addPolicy({
    dir: 'out',
    selector,
    priority: 100,
    templates: [template],
    mark: { value: 1, mask: 0xff },
    ifId: 5,
    lifetime: { hardAddSeconds: 3600, softBytes: 10n },
  });
  assert.match(
    ip('xfrm', 'policy'),
    /src 10\.0\.0\.0\/24 dst 10\.1\.0\.0\/16 proto tcp dport 443 \n\tdir out priority 100 (ptype main )?\n\tmark 0x1\/0xff \n\ttmpl src 192\.0\.2\.1 dst 192\.0\.2\.2\n\t\tproto esp reqid 7 mode tunnel\n\tif_id 0x5/,
  );
  const id = { dir: 'out', mark: { value: 1, mask: 0xff }, ifId: 5 } as const;
  const policy = await client.getPolicy({ ...id, selector });
  assert.equal(policy.selector.family, 'inet');
  assert.equal(policy.lifetime.softBytes, 10n);
  assert.equal(policy.lifetime.hardBytes, NO_LIMIT);
  assert.equal(policy.templates?.[0]?.daddr, '192.0.2.2');
  assert.deepEqual(await client.getPolicy({ ...id, index: policy.index }), policy);
  assert.deepEqual(await all(client.listPolicies()), [policy]);
  const found = async (filter: PolicyFilter) => (await client.listPolicies(filter)).items;
  assert.deepEqual(await found({ dir: policy.dir, type: 'main' }), [policy]);
  assert.deepEqual(await found({ saddr: '10.0.0.0/8' }), [policy]);
  assert.deepEqual(await found({ dir: 'fwd' }), []);
  assert.deepEqual(await found({ daddr: '203.0.113.0/24' }), []);
  const batches: XfrmPolicy[][] = [];
  for await (const batch of client.listPolicies().batches()) batches.push(batch);
  assert.deepEqual(batches, [[policy]]);

  assert.deepEqual((await client.getSpdInfo()).counts?.out, 1);
  await assert.rejects(
    client.addPolicy({ ...id, selector }),
    refused(
      'EEXIST',
      /^already exists: policy out 10\.0\.0\.0\/24 → 10\.1\.0\.0\/16 mark 0x1\/0xff, priority 100; update it$/,
      {
        request: 'XFRM_MSG_NEWPOLICY',
        object: 'policy out 10.0.0.0/24 → 10.1.0.0/16 mark 0x1/0xff',
        syscall: undefined,
      },
    ),
  );
  // What was read can be sent: the same types in both directions.
  await client.replacePolicy({ ...policy, priority: 200 });
  assert.equal((await client.getPolicy({ ...id, selector })).priority, 200);
  await client.deletePolicy({ ...id, index: policy.index });
  await assert.rejects(
    client.deletePolicy({ ...id, selector }),
    refused('ENOENT', /no policy has/),
  );
  await client.addPolicy({ dir: 'in', selector: { family: 'inet6' }, action: 'block' });
  await client.flushPolicies();
  assert.deepEqual(await all(client.listPolicies()), []);
});

test('defaults and hash thresholds are set and read', async () => {
  await using client = new XfrmClient();
  const before = await client.getDefaults();
  await client.setDefaults({ in: 'block', out: 'block' });
  assert.deepEqual(await client.getDefaults(), { ...before, in: 'block', out: 'block' });
  await client.setDefaults({ in: 'accept', out: 'accept' });
  assert.deepEqual(await client.getDefaults(), { ...before, in: 'accept', out: 'accept' });
  await client.setSpdThresholds({ ipv4Threshold: { local: 24, remote: 16 } });
  assert.deepEqual((await client.getSpdInfo()).ipv4Threshold, { local: 24, remote: 16 });
  await client.setSpdThresholds({ ipv4Threshold: { local: 32, remote: 32 } });
});

test('an SPI is allocated, listed by filter, and deleted', async () => {
  await using client = new XfrmClient();
  const request = { ...ENDS, proto: 'esp', mode: 'tunnel', reqid: 3 } as const;
  const state = await client.allocateSpi({ ...request, min: 0x5000, max: 0x5000 });
  assert.equal(state.spi, 0x5000);
  await assert.rejects(
    client.allocateSpi({ ...request, min: 0x5000, max: 0x5000 }),
    refused('ENOENT', /no free SPI/),
  );
  const other = { saddr: '2001:db8::1', daddr: '2001:db8::2', proto: 'ah' } as const;
  const { spi } = await client.allocateSpi({ ...other, min: 0x100, max: 0xffff });
  const spis = async (filter: Parameters<XfrmClient['listStates']>[0]) =>
    (await all(client.listStates(filter))).map((one) => one.spi);
  // The refused request left a larval SA without SPI.
  assert.deepEqual((await spis({})).sort(), [0, spi, 0x5000].sort());
  assert.deepEqual(await spis({ proto: 'ah' }), [spi]);
  assert.deepEqual((await spis({ daddr: '192.0.2.0/24' })).sort(), [0, 0x5000]);
  assert.deepEqual(await spis({ saddr: '2001:db8::/32', proto: 'ah' }), [spi]);
  assert.deepEqual(await spis({ daddr: '192.0.3.0/24' }), []);
  assert.equal((await client.getSadInfo()).count, 3);
  assert.deepEqual(await client.getState({ daddr: '192.0.2.2', spi: 0x5000 }), state);
  await client.deleteState({ daddr: '192.0.2.2', spi: 0x5000 });
  await assert.rejects(
    client.getState({ daddr: '192.0.2.2', spi: 0x5000 }),
    refused('ESRCH', /no SA has/),
  );
  await client.flushStates('ah');
  assert.deepEqual(await spis({}), [0]);
  await client.flushStates();
  assert.deepEqual(await spis({}), []);
});

test('missing kernel features are reported', async () => {
  await using client = new XfrmClient();
  // A kernel without ESP lacks that; one with ESP still lacks an algorithm nobody has.
  const aead = withoutEsp ? GCM : { ...GCM, name: 'rfc4106(gcm(nothing))' };
  await assert.rejects(
    client.addState({ ...ENDS, proto: 'esp', spi: 0x6000, mode: 'tunnel', aead }),
    (error) => {
      assert(error instanceof KernelError && /^(EPROTONOSUPPORT|ENOSYS)$/.test(error.code));
      assert.match(error.kernelMessage ?? '', /not found/);
      assert.match(error.hint ?? '', /modprobe esp4|\/proc\/crypto/);
      return true;
    },
  );
});

test('an error says what to do', async () => {
  await using client = new XfrmClient();
  const none = { ...ENDS, spi: 0x7777, proto: 'esp' } as const;
  const noSa = /no SA has this destination, protocol, SPI and mark/;
  await assert.rejects(client.getState(none), refused('ESRCH', noSa));
  await assert.rejects(client.deleteState(none), refused('ESRCH', noSa));
  await assert.rejects(client.getAevent(none), refused('ESRCH', noSa));
  await assert.rejects(client.expireState(none, true), refused('ENOENT', noSa));
  const noPolicy = refused('ENOENT', /no policy has this selector or index/);
  await assert.rejects(client.getPolicy({ dir: 'in', index: 8 }), noPolicy);
  await assert.rejects(client.deletePolicy({ dir: 'in', selector: { family: 'inet' } }), noPolicy);
  // An SPI that is taken, on every kernel: by a larval SA.
  const range = { ...ENDS, proto: 'esp', min: 0x7000, max: 0x7000 } as const;
  await client.allocateSpi(range);
  await assert.rejects(client.allocateSpi(range), refused('ENOENT', /no free SPI/));
  await client.flushStates();
});

test('listed objects can be deleted as they are', async () => {
  await using client = new XfrmClient();
  await client.allocateSpi({ ...ENDS, proto: 'esp', min: 0x7001, max: 0x7001 });
  for await (const state of client.listStates()) await client.deleteState(state);
  assert.deepEqual(await all(client.listStates()), []);
  const selector = { daddr: '10.0.0.0', prefixlenD: 8 };
  await client.addPolicy({ dir: 'out', selector, mark: { value: 1, mask: 1 }, ifId: 4 });
  for await (const policy of client.listPolicies()) await client.deletePolicy(policy);
  assert.deepEqual(await all(client.listPolicies()), []);
});

test('policy attributes that the kernel ignores are reported', async () => {
  await using client = new XfrmClient();
  const policy = { dir: 'out', selector: { daddr: '10.0.0.0', prefixlenD: 8 } } as const;
  const unknown = [{ type: 200, flags: 0, bytes: Uint8Array.of(1, 2, 3, 4) }];
  assert.deepEqual((await client.addPolicy({ ...policy, unknown })).ignoredAttributes, [
    'attribute 200',
  ]);
  // The loopback device offloads no policy: a kernel that knows offload says so, others are silent.
  const offload = { ifindex: 1, flags: ['packet'] } as const;
  try {
    const { ignoredAttributes } = await client.replacePolicy({ ...policy, offload });
    assert.deepEqual(ignoredAttributes, ['XFRMA_OFFLOAD_DEV']);
  } catch (error) {
    refused('EINVAL', /^/)(error);
  }
  await client.flushPolicies();
});

test('every field of an SA is set, and read back equal', { skip: withoutEsp }, async () => {
  await using client = new XfrmClient();
  const state = {
    ...ENDS,
    proto: 'esp',
    spi: 0x6001,
    mode: 'tunnel',
    reqid: 9,
    seq: 4,
    replayWindow: 0,
    flags: ['esn', 'decap-dscp', 'nopmtudisc'],
    selector: { saddr: '10.0.0.0', prefixlenS: 8, daddr: '10.9.0.0', prefixlenD: 16, proto: 17 },
    lifetime: {
      softBytes: 1_000n,
      hardBytes: 2n ** 40n,
      softPackets: 5n,
      hardPackets: 7n,
      softAddSeconds: 100,
      hardAddSeconds: 200,
      softUseSeconds: 300,
      hardUseSeconds: 400,
    },
    aead: GCM,
    encap: { type: 'espinudp', sport: 4500, dport: 4501 },
    tfcPad: 400,
    mark: { value: 0x12, mask: 0xff },
    setMark: 7,
    setMarkMask: 0xf,
    replayEsn: { replayWindow: 128, bitmap: [0, 0, 0, 0] },
    ifId: 11,
    extraFlags: ['dont-encap-dscp'],
  } as const;
  const { ignoredAttributes } = await client.addState(state);
  assert.deepEqual(ignoredAttributes, []);
  const id = { daddr: ENDS.daddr, spi: 0x6001, mark: state.mark };
  const found = await client.getState(id, { keys: true });
  assert.deepEqual(found.aead?.key?.bytes(), GCM.key);
  const { selector, lifetime, current: _, stats: __, ...rest } = await client.getState(id);
  assert.deepEqual(lifetime, {
    ...state.lifetime,
    softAddSeconds: 100,
    hardAddSeconds: 200,
    softUseSeconds: 300,
    hardUseSeconds: 400,
  });
  const { saddr, prefixlenS, daddr, prefixlenD, proto } = selector;
  assert.deepEqual({ saddr, prefixlenS, daddr, prefixlenD, proto }, state.selector);
  assert.deepEqual(rest, {
    ...ENDS,
    spi: 0x6001,
    proto: 'esp',
    seq: 4,
    reqid: 9,
    family: 'inet',
    mode: 'tunnel',
    replayWindow: 0,
    flags: { mask: 0x86, names: ['decap-dscp', 'nopmtudisc', 'esn'] },
    aead: { name: GCM.name, keyBits: 160, icvBits: 128 },
    encap: { ...state.encap, oa: '0.0.0.0' },
    tfcPad: 400,
    mark: state.mark,
    setMark: 7,
    setMarkMask: 0xf,
    replayEsn: { ...state.replayEsn, oseq: 0, seq: 0, oseqHi: 0, seqHi: 0 },
    ifId: 11,
    extraFlags: { mask: 1, names: ['dont-encap-dscp'] },
  });
  const shown = ip('xfrm', 'state');
  for (const text of [
    'proto esp spi 0x00006001 reqid 9 mode tunnel',
    'mark 0x12/0xff',
    'output-mark 0x7/0xf',
    `aead rfc4106(gcm(aes)) 0x${KEY_HEX} 128`,
    'encap type espinudp sport 4500 dport 4501',
    'if_id 0xb',
  ]) {
    assert(shown.includes(text), `${text} in ${shown}`);
  }
  const place = 'SA esp 192.0.2.1 → 192.0.2.2 spi 0x00006001 mark 0x12/0xff';
  await assert.rejects(
    client.addState({ ...state, saddr: '192.0.2.3' }),
    refused(
      'EEXIST',
      new RegExp(`^already exists: ${place}, tunnel, reqid 9; update it, or use another SPI$`),
      { object: place.replace('192.0.2.1', '192.0.2.3') },
    ),
  );
  await client.deleteState(id);
});

test('attributes that an older kernel ignores are reported', { skip: withoutEsp }, async () => {
  await using client = new XfrmClient();
  const state = { ...ENDS, proto: 'esp', spi: 0x6002, mode: 'tunnel', aead: GCM } as const;
  const { ignoredAttributes } = await client.addState({ ...state, dir: 'in', replayWindow: 32 });
  const found = await client.getState({ daddr: ENDS.daddr, spi: 0x6002 });
  assert.deepEqual(ignoredAttributes, found.dir === undefined ? ['XFRMA_SA_DIR'] : []);
  // What no kernel has, and an offload that the loopback device can't do.
  const unknown = [{ type: 200, flags: 0, bytes: Uint8Array.of(1, 2, 3, 4) }];
  const more = { ...state, spi: 0x6012, offload: { ifindex: 1 }, unknown };
  assert.deepEqual((await client.addState(more)).ignoredAttributes, [
    'XFRMA_OFFLOAD_DEV',
    'attribute 200',
  ]);
  await assert.rejects(client.addState(more), refused('EEXIST', /use another SPI/));
  await client.flushStates();
});

test('an SA of an independent program comes back through the client', {
  skip: withoutEsp,
}, async () => {
  await using client = new XfrmClient();
  await using subscription = subscribe({ groups: ['XFRMNLGRP_SA'] });
  addState(0x6003, ...words('mark 1 if_id 2'));
  const event = await next(subscription[Symbol.asyncIterator](), ofKind('NEWSA'));
  const [listed] = await all(client.listStates());
  assert.deepEqual(listed, event.state);
  // What was heard can be sent, but for the key: that was not asked for.
  await assert.rejects(client.updateState(listed as XfrmState), /NEWSA|UPDSA/);
  const keyed = await client.getState(
    { daddr: ENDS.daddr, spi: 0x6003, mark: { value: 1, mask: 0xffffffff } },
    { keys: true },
  );
  assert(keyed.aead?.key instanceof KeyMaterial);
  await client.updateState({ ...keyed, lifetime: { ...keyed.lifetime, hardAddSeconds: 50 } });
  const [changed] = await all(client.listStates());
  assert.equal(changed?.lifetime.hardAddSeconds, 50);
  await client.flushStates();
});

test('async events of an SA are queried and set', { skip: withoutEsp }, async () => {
  await using client = new XfrmClient();
  addState(0x6004, ...words('replay-window 32'));
  const id = { ...ENDS, spi: 0x6004, proto: 'esp' } as const;
  await client.setAevent({ ...id, replay: { seq: 100, oseq: 50, bitmap: 1 } });
  const aevent = await client.getAevent({ ...id, flags: ['replay-threshold', 'timer-threshold'] });
  assert.deepEqual(aevent.replay, { seq: 100, oseq: 50, bitmap: 1 });
  assert.equal(typeof aevent.replayThreshold, 'number');
  assert.equal(aevent.lifetimeCurrent?.bytes, 0n);
  await client.expireState(id, true);
  await assert.rejects(client.getState(id), refused('ESRCH', /no SA has/));
});

test('a long dump is read in batches', { timeout: 600_000 }, async () => {
  const COUNT = 3000;
  ipBatch(
    Array.from(
      { length: COUNT },
      (_, i) =>
        `xfrm policy add src 10.${i >> 8}.${i & 255}.0/24 dst 10.255.0.0/16 dir out priority ${i}`,
    ),
  );
  await using client = new XfrmClient();
  const seen = new Set<number>();
  const { gc } = globalThis;
  assert(gc, 'needs --expose-gc');
  const heap = () => {
    gc();
    return process.memoryUsage().heapUsed;
  };
  let before = 0;
  for await (const policy of client.listPolicies()) {
    seen.add(policy.priority);
    // The first ones compile code, which stays. Kept, policies would take about 1.5 KiB each.
    if (seen.size === 500) before = heap();
    if (seen.size % 1000 === 0) assert(heap() - before < 2 ** 20, `${seen.size} policies`);
  }
  assert.equal(seen.size, COUNT);
  // Leaving early is fine, and other requests go on meanwhile.
  const list = client.listPolicies();
  const first = (await list.next()).value as XfrmPolicy;
  assert.equal((await client.getSpdInfo()).counts?.out, COUNT);
  assert.equal((await client.getPolicy({ dir: 'out', index: first.index })).index, first.index);
  await list.return({ interrupted: false });
  await client.flushPolicies();
});

test('many requests at a time each get their own answer', async () => {
  await using client = new XfrmClient();
  const results = await Promise.allSettled(
    Array.from({ length: 200 }, (_, i) =>
      i % 2 === 0 ? client.getSadInfo() : client.getPolicy({ dir: 'in', index: 8 * i }),
    ),
  );
  for (const [i, { status }] of results.entries()) {
    assert.equal(status, i % 2 === 0 ? 'fulfilled' : 'rejected', `request ${i}`);
  }
});

test('aborting, timing out and closing end a request', async () => {
  const client = new XfrmClient();
  const reason = new Error('enough');
  await assert.rejects(client.getSadInfo({ signal: AbortSignal.abort(reason) }), reason);
  const controller = new AbortController();
  const waiting = client.getSadInfo({ signal: controller.signal });
  controller.abort(reason);
  await assert.rejects(waiting, reason);
  const late = client.getSadInfo();
  const closing = client.close();
  await assert.rejects(late, { code: 'ERR_SOCKET_CLOSED' });
  await closing;
  await client.close();
  await assert.rejects(client.getSadInfo(), { code: 'ERR_SOCKET_CLOSED' });
});

test('invalid arguments are rejected by name, and nothing is sent', async () => {
  await using client = new XfrmClient();
  const state = { ...ENDS, proto: 'esp', spi: 0x6005, mode: 'tunnel', aead: GCM } as const;
  const cases: [value: object, message: RegExp][] = [
    [
      { ...state, spi: -1 },
      /NEWSA › spi › invalid value -1: expected an integer from 0 to 4294967295/,
    ],
    [{ ...state, spi: 2 ** 32 }, /NEWSA › spi/],
    [{ ...state, reqid: 1.5 }, /NEWSA › reqid/],
    [{ ...state, lifetime: { hardBytes: -1n } }, /NEWSA › lifetime › hardBytes/],
    [{ ...state, lifetime: { hardBytes: 2n ** 64n } }, /NEWSA › lifetime › hardBytes/],
    [
      { ...state, lifetime: { hard: 1n } },
      /NEWSA › lifetime › hard › unknown property; valid properties: softBytes/,
    ],
    [{ ...state, liftime: {} }, /NEWSA › liftime › unknown property; did you mean lifetime\?/],
    [
      { ...state, colour: 1 },
      /NEWSA › colour › unknown property; valid properties: selector, daddr,/,
    ],
    [
      { ...state, mode: 'tunel' },
      /NEWSA › mode › invalid value "tunel": expected one of transport, tunnel/,
    ],
    [
      { ...state, saddr: '2001:db8::1' },
      /NEWSA › saddr › is IPv6, daddr is IPv4: the address families must match/,
    ],
    [
      { ...state, family: 'inet6' },
      /NEWSA › daddr › invalid value "192.0.2.2": expected an IPv6 address/,
    ],
    [
      { ...state, selector: { saddr: '10.0.0.0', daddr: '::' } },
      /NEWSA › selector › saddr › is IPv4, daddr is IPv6/,
    ],
    [{ ...state, daddr: '192.0.2.256' }, /NEWSA › /],
    [
      { ...state, aead: { ...GCM, key: key(KEY_HEX.slice(8)) } },
      /NEWSA › aead › key › rfc4106\(gcm\(aes\)\) takes a key of 160, 224, 288 bits \(salt included\), not 128/,
    ],
    [
      { ...state, aead: { ...GCM, icvBits: 100 } },
      /icvBits › .* takes an ICV of 64, 96, 128 bits, not 100/,
    ],
    [{ ...state, aead: { name: GCM.name, keyBits: 160, icvBits: 128 } }, /key/],
    [
      { ...state, flags: [Symbol('esn')] },
      /NEWSA › flags › invalid value Symbol\(esn\): expected one of/,
    ],
    [{ ...state, flags: [[]] }, /NEWSA › flags › invalid value an array: expected one of/],
    [{ ...state, flags: ['esm'] }, /NEWSA › flags › invalid value "esm": expected one of/],
    [{ ...state, mark: 5 }, /NEWSA › mark › must be an object/],
    [{ ...state, mark: { value: 1 } }, /NEWSA › mark › mask › is missing/],
    [{ ...state, daddr: undefined }, /NEWSA › daddr › is missing/],
    [{ ...state, spi: '0x6005' }, /NEWSA › spi › invalid value "0x6005": expected an integer/],
    [{ ...state, saddr: 5 }, /NEWSA › saddr › must be a string/],
    [{ ...state, flags: 'esn' }, /NEWSA › flags › invalid value "esn": expected an array of names/],
    [{ ...state, lifetime: 5 }, /NEWSA › lifetime › must be an object/],
    [{ ...state, aead: { ...GCM, name: 5 } }, /NEWSA › aead › name › must be a string/],
    [
      { ...state, aead: { ...GCM, key: KEY_HEX } },
      /NEWSA › aead › key › must be a Uint8Array or a KeyMaterial/,
    ],
    [{ ...state, replayEsn: { bitmap: 5 } }, /NEWSA › replayEsn › bitmap › must be an array/],
    [{ ...state, unknown: 5 }, /NEWSA › unknown › must be an array/],
    [
      { ...state, unknown: [{ type: 'x', bytes: key('') }] },
      /unknown\[0\] › type › must be an integer/,
    ],
    [
      { ...state, unknown: [{ type: 2, bytes: 'x' }] },
      /unknown\[0\] › bytes › must be a Uint8Array/,
    ],
    [{ ...state, unknown: [{ type: 200 }] }, /NEWSA › unknown\[0\] › bytes › is missing/],
    [[state], /NEWSA › must be an object/],
    [
      { ...state, aead: { ...GCM, name: '__proto__' }, mode: 5.5 },
      /NEWSA › mode › invalid value 5.5: expected an integer/,
    ],
  ];
  for (const [value, message] of cases) {
    await assert.rejects(client.addState(value as never), (error: Error & { code?: string }) => {
      assert.match(error.message, message);
      assert.equal(error.code, 'ERR_NETLINK_ENCODE');
      assert(!error.message.includes(KEY_HEX.slice(0, 12)));
      return true;
    });
  }
  const other: [call: () => unknown, message: RegExp][] = [
    [() => client.addState(undefined as never), /NEWSA › must be an object/],
    [
      () => client.listStates({ daddr: '10.0.0.0/33' }),
      /filter › daddr › invalid value "10.0.0.0\/33": expected an address or a network/,
    ],
    [() => client.listStates({ prto: 'esp' } as never), /filter › prto › unknown property/],
    [() => client.listStates(5 as never), /filter › must be an object/],
    [() => client.listPolicies([] as never).next(), /filter › must be an object/],
    [() => client.listPolicies({ dir: 'up' } as never), /filter › dir › invalid value "up"/],
    [() => client.getPolicy({ dir: 'in' }), /give the selector or the index/],
    [() => client.getPolicy({ index: 8 } as never), /policy › dir › is missing/],
    [() => client.getState({ daddr: '192.0.2.2' } as never), /key › spi › is missing/],
    [() => client.deleteState({ dadr: '192.0.2.2' } as never), /key › dadr › unknown property/],
    [() => client.addPolicy({ selector: { family: 'inet' } }), /NEWPOLICY › dir › is missing/],
    [
      () => client.addPolicy({ dir: 'in', selector: {}, templates: {} as never }),
      /NEWPOLICY › templates › must be an array/,
    ],
    [
      () => client.addPolicy({ dir: 'in', selector: {}, templates: [{ ...ENDS, saddr: '::1' }] }),
      /NEWPOLICY › templates\[0\] › saddr › is IPv6, daddr is IPv4/,
    ],
    [() => client.allocateSpi({ ...ENDS, proto: 'esp' }), /ALLOCSPI › min › is missing/],
    [() => client.setDefaults({ inn: 'block' } as never), /SETDEFAULT › inn › unknown property/],
    [
      () => client.flushStates('foo' as never),
      /invalid value "foo": expected one of any, routing, esp/,
    ],
    [() => client.migrate({ dir: 'in', index: 1 }, [{ oldSadr: '' } as never]), /migrations\[0\]/],
    [() => client.migrate({ dir: 'in', index: 1 }, undefined as never), /migrations › is missing/],
    [() => client.migrate({ dir: 'in', index: 1 }, 'x' as never), /migrations › must be an array/],
    [
      () => client.migrate({ dir: 'in', index: 1 }, [], { policyType: null } as never),
      /MIGRATE › policyType › must be an object/,
    ],
    [() => client.getSadInfo({ timeout: 0 }), /options\.timeout must be an integer from 1/],
    [() => client.getSadInfo({ signal: {} as never }), /options\.signal must be an AbortSignal/],
  ];
  for (const [call, message] of other) {
    await assert.rejects(async () => call(), message);
  }
  assert.deepEqual(await all(client.listStates()), []);
});

test('without CAP_NET_ADMIN a request fails with a remedy', () => {
  const program = `
    import { XfrmClient } from ${JSON.stringify(new URL('../../lib/index.js', import.meta.url).href)};
    const client = new XfrmClient();
    for await (const _ of client.listStates());`;
  const { stderr, status } = spawnSync(
    'setpriv',
    [
      '--bounding-set=-net_admin',
      '--inh-caps=-net_admin',
      process.execPath,
      '--input-type=module',
      '-e',
      program,
    ],
    { encoding: 'utf8' },
  );
  assert.equal(status, 1);
  assert.match(stderr, /KernelError: XFRM_MSG_GETSA EPERM.*CAP_NET_ADMIN/);
});
