/** Recordings in which the wall clock was set: a moment is a place, and time goes on. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { LookBack, partOfRecording, rest } from '../../lib/cli/look-back.ts';
import { NETLINK_XFRM } from '../../lib/netlink/constants.ts';
import { BlockWriter } from '../../lib/recording/block-writer.ts';
import { checksumOf } from '../../lib/recording/format.ts';
import { Recording } from '../../lib/recording/recording.ts';
import type { HostInfo } from '../../lib/recording/records.ts';
import { capture } from './captures.ts';

const folder = mkdtempSync(join(tmpdir(), 'netlink-xfrm-clock-'));
after(() => rmSync(folder, { recursive: true }));

const HOST: HostInfo = {
  session: 'one',
  hostname: 'gate',
  kernel: { release: '6.1.0', version: '#1', machine: 'x86_64' },
  version: '0.2.0',
  bootId: 'boot',
  utcOffset: 0,
  keys: false,
  namespaces: [null],
};
const NOON = Date.UTC(2026, 10, 29, 12);
const SECOND = 1000;
const HOUR = 3600 * SECOND;
const SA = capture('uml-6.1/newsa_m.event0');

/** An offset of the clock from a second on. */
type Step = readonly [second: number, offset: number];

/** The blocks of a recording of 30 s, one each second: a snapshot after one second, an SA after 12. */
async function blocks(steps: readonly Step[], host = HOST, begin = 0): Promise<Uint8Array[]> {
  const all: Uint8Array[] = [];
  const store = { blockSize: 2 ** 14, write: async (one: Uint8Array) => void all.push(one) };
  const writer = new BlockWriter(store, () => host, { origin: 0 });
  for (let second = 0; second <= 30; second++) {
    const [, offset] = steps.findLast(([from]) => from <= second) ?? [0, 0];
    const monotonic = 1e6 + (begin + second) * SECOND;
    writer.at(NOON + (begin + second) * SECOND + offset, monotonic);
    if (steps.some(([from]) => from === second)) writer.note(0, { kind: 'clock-set', by: offset });
    if (second === 1) {
      for (const phase of ['begin', 'dumped', 'settled'] as const) {
        writer.note(0, { kind: 'snapshot', protocol: 'xfrm', phase });
      }
    } else if (second === 12) writer.datagram('datagram', NETLINK_XFRM, 0, SA, 0, SA.length);
    else writer.note(0, { kind: 'xfrm-stat', counters: { second: `${begin + second}` } });
    writer.flush();
  }
  await writer.end();
  return all;
}

let count = 0;
function fileOf(all: readonly Uint8Array[]): string {
  const path = join(folder, `${count++}.nxr`);
  writeFileSync(path, Buffer.concat(all));
  return path;
}

const iso = (offset: number) => new Date(NOON + offset).toISOString();

/** How many SAs there were, and which second it was. */
function seen(path: string, at: string): [sas: number, second: string | undefined] {
  const { namespace } = new LookBack(path, { at }).play({}, true);
  return [[...namespace.states].length, namespace.xfrmStat?.second];
}

describe('a recording in which the clock was set', () => {
  it('forward and back: has all moments of both clocks', async () => {
    const path = fileOf(
      await blocks([
        [5, HOUR],
        [8, 0],
      ]),
    );
    assert.deepEqual(seen(path, 'end'), [1, '30']);
    assert.deepEqual(seen(path, '+6s'), [0, '6']);
    assert.deepEqual(seen(path, '+20s'), [1, '20']);
    assert.deepEqual(seen(path, '-20s'), [0, '10']);
    assert.deepEqual(seen(path, iso(20 * SECOND)), [1, '20']);
    assert.deepEqual(seen(path, iso(HOUR + 6 * SECOND)), [0, '6']);
    const look = new LookBack(path, { from: 'start', to: 'end' });
    const times = [...rest(look.play({}), look.span.to)].map(({ time }) => time.monotonic);
    assert.equal(times.at(-1), 1e6 + 30 * SECOND);
  });

  it('back before its beginning: has all moments', async () => {
    const path = fileOf(await blocks([[10, -HOUR]]));
    assert.deepEqual(new Recording(path).span, {
      from: NOON + 10 * SECOND - HOUR,
      to: NOON + 9 * SECOND,
    });
    assert.deepEqual(seen(path, 'end'), [1, '30']);
    assert.deepEqual(seen(path, iso(9 * SECOND)), [0, '9']);
    assert.deepEqual(seen(path, iso(15 * SECOND - HOUR)), [1, '15']);
    assert.deepEqual(seen(path, '+15s'), [1, '15']);
    assert.throws(() => seen(path, iso(-HOUR / 2)), /nothing of this time/);
    assert.throws(() => seen(path, iso(HOUR)), /outside of the recording/);
  });

  it('back by seconds: a time that was twice is the last one', async () => {
    const path = fileOf(await blocks([[10, -5 * SECOND]]));
    const moments = new Recording(path).at(NOON + 7 * SECOND);
    assert.equal(moments.length, 2);
    assert.deepEqual(seen(path, iso(7 * SECOND)), [1, '11']);
    assert.deepEqual(seen(path, iso(8 * SECOND)), [1, '13']);
  });

  it('in one block: has all moments', async () => {
    const all: Uint8Array[] = [];
    const store = { blockSize: 2 ** 14, write: async (one: Uint8Array) => void all.push(one) };
    const writer = new BlockWriter(store, () => HOST, { origin: 0 });
    for (const [i, wall] of [0, 1, 2, 60, 61, 3, 4].entries()) {
      writer.at(NOON + wall * SECOND, 1e6 + i * SECOND);
      writer.note(0, { kind: 'xfrm-stat', counters: { second: `${i}` } });
    }
    await writer.end();
    const recording = new Recording(fileOf(all));
    const moment = (wall: number) => recording.at(NOON + wall * SECOND).map(({ after }) => after);
    assert.deepEqual([moment(1.5), moment(60.5), moment(3.5)], [[500], [500], [1500, 500]]);
    assert.deepEqual(recording.end.wall, NOON + 4 * SECOND);
  });

  it('concatenated with an earlier one: what comes later in the file is later', async () => {
    const earlier = await blocks([]);
    const later = await blocks([], { ...HOST, session: 'two' }, 1000);
    const path = fileOf([...later, ...earlier]);
    assert.deepEqual(seen(path, 'end'), [1, '30']);
    assert.deepEqual(seen(path, iso(1005 * SECOND)), [0, '1005']);
    assert.deepEqual(seen(path, iso(20 * SECOND)), [1, '20']);
  });
});

describe('moments of a recording', () => {
  it('begin when something is known', async () => {
    const path = fileOf(await blocks([]));
    assert.deepEqual(seen(path, 'start'), [0, '0']);
    assert.throws(
      () => seen(path, iso(500)),
      new RegExp(`no snapshot was complete by then, the first was at ${iso(SECOND)}`),
    );
    const look = new LookBack(path, { at: 'start' });
    look.play({});
    assert.equal(look.span.from.wall, NOON + SECOND);
  });

  it('are in order', async () => {
    const recording = new Recording(fileOf(await blocks([])));
    const part = { from: iso(20 * SECOND), to: iso(10 * SECOND) };
    assert.throws(() => partOfRecording(recording, part), { code: 'ERR_USAGE' });
  });

  it('are right if the last block has an impossible time', async () => {
    for (const wall of [Number.NaN, 0, -1, Number.POSITIVE_INFINITY]) {
      const all = await blocks([]);
      const last = Buffer.from(all.at(-1) as Uint8Array);
      last.writeDoubleLE(wall, 16);
      last.writeUInt32LE(checksumOf(last.subarray(0, 32), last.subarray(32)), 28);
      const path = fileOf([...all.slice(0, -1), last]);
      assert.deepEqual(seen(path, 'end'), [1, '29']);
      const reasons = [...new Recording(path).records()].flatMap((one) =>
        one.kind === 'unreadable' ? [one.reason] : [],
      );
      assert.deepEqual(reasons, ['the header of a block is damaged: its time is impossible']);
    }
  });

  it('are none where nothing can be read: it says why', async () => {
    const [first] = await blocks([]);
    const cut = fileOf([(first as Uint8Array).subarray(0, 50)]);
    assert.throws(() => seen(cut, 'end'), /nothing of it can be read: .* at 0 are skipped/);
    const newer = Buffer.from(first as Uint8Array);
    newer[7] = 9;
    newer.writeUInt32LE(checksumOf(newer.subarray(0, 32), newer.subarray(32)), 28);
    assert.throws(() => seen(fileOf([newer]), 'end'), /version 9 of the format/);
  });
});
