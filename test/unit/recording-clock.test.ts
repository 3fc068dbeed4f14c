/** Recordings in which the wall clock was set say the same as ones in which it was not. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { LookBack } from '../../lib/cli/look-back.ts';
import { NETLINK_XFRM } from '../../lib/netlink/constants.ts';
import { BlockWriter } from '../../lib/recording/block-writer.ts';
import { checksumOf } from '../../lib/recording/format.ts';
import { Recording } from '../../lib/recording/recording.ts';
import type { SnapshotNote } from '../../lib/recording/records.ts';
import { MessageWriter } from '../../lib/wire/message-writer.ts';
import { encodeXfrm } from '../../lib/xfrm/encode.ts';
import type { XfrmMessage } from '../../lib/xfrm/requests.ts';
import { messagesOf } from './messages.ts';
import { HOST, strongswan } from './recordings.ts';

const root = join(import.meta.dirname, '../../..');
const folder = mkdtempSync(join(tmpdir(), 'netlink-xfrm-clock-'));
after(() => rmSync(folder, { recursive: true }));

const NOON = Date.UTC(2026, 10, 29, 12);
const SECOND = 1000;
const HOUR = 3600 * SECOND;

const encoded = (message: XfrmMessage): Uint8Array => {
  const writer = new MessageWriter();
  encodeXfrm(writer, message);
  return writer.written().slice();
};

/** What strongSwan did, one message each second, until everything is gone. */
const MESSAGES = [
  ...messagesOf(strongswan(), { keys: true })
    .slice(0, 30)
    .map(([bytes]) => bytes),
  encoded({ kind: 'FLUSHSA', proto: 'any' } as unknown as XfrmMessage),
  encoded({ kind: 'FLUSHPOLICY' } as unknown as XfrmMessage),
];
const LAST = MESSAGES.length + 8;

/** What the clock is ahead, from a second on. */
type Step = readonly [second: number, by: number];

const aheadAt = (steps: readonly Step[], second: number): number =>
  steps.findLast(([from]) => from <= second)?.[1] ?? 0;

async function blocksOf(write: (writer: BlockWriter) => void, host = HOST): Promise<Uint8Array[]> {
  const blocks: Uint8Array[] = [];
  const store = { blockSize: 2 ** 18, write: async (one: Uint8Array) => void blocks.push(one) };
  const writer = new BlockWriter(store, () => host, { origin: 0 });
  write(writer);
  await writer.end();
  return blocks;
}

/** One session of a recorder. @param every seconds after which a block ends anyway */
const session = (steps: readonly Step[], every: number) =>
  blocksOf((writer) => {
    for (let second = 0; second <= LAST; second++) {
      const [at, by] = [second * SECOND, aheadAt(steps, second)];
      writer.at(NOON + at + by, 1e6 + at);
      if (second === 0)
        for (const protocol of ['xfrm', 'route'] as const) snapshot(writer, protocol);
      const message = MESSAGES[second - 1];
      if (message) writer.datagram('datagram', NETLINK_XFRM, 0, message, 0, message.length);
      else writer.note(0, { kind: 'xfrm-stat', counters: { XfrmInError: `${second}` } });
      if (second % every === 0) writer.flush();
    }
  });

const WHOLE = ['begin', 'dumped', 'settled'] as const;
function snapshot(
  writer: BlockWriter,
  protocol: SnapshotNote['protocol'],
  phases: readonly SnapshotNote['phase'][] = WHOLE,
  netns = 0,
): void {
  for (const phase of phases) writer.note(netns, { kind: 'snapshot', protocol, phase });
}

/** What is said where a time is ambiguous. */
const BACK = /^.*the clock was set back past it.*\n/gm;

let count = 0;
function fileOf(blocks: readonly Uint8Array[]): string {
  const path = join(folder, `${count++}.nxr`);
  writeFileSync(path, Buffer.concat(blocks));
  return path;
}

function run(...args: string[]) {
  const env = { ...process.env, TZ: 'UTC', NO_COLOR: '1' };
  const program = join(root, 'bin/netlink-xfrm.js');
  return spawnSync(process.execPath, [program, ...args], { encoding: 'utf8', env });
}

const iso = (time: number) => new Date(time).toISOString();
/** Without the times of day, and the dates. */
const untimed = (text: string) =>
  text.replace(/(\d{4}-\d\d-\d\dT)?\d\d:\d\d:\d\d(\.\d+)?Z?/g, 'TIME');

/** How many SAs and policies there were. */
function seen(path: string, at: string, netns?: string): string {
  const look = new LookBack(path, { at, netns });
  const { states, policies } = look.play({}, true).namespace;
  return `${[...states].length} ${[...policies].length}`;
}

const CLOCKS: Readonly<Record<string, readonly Step[]>> = {
  'forward and back': [
    [5, HOUR],
    [20, 0],
  ],
  'back before the beginning': [[20, -HOUR]],
  'back by seconds': [[20, -5 * SECOND]],
  'back twice': [
    [10, -HOUR],
    [25, -2 * HOUR],
  ],
};

const plain = fileOf(await session([], 1));

describe('a recording in which the clock was set', () => {
  for (const [name, steps] of Object.entries(CLOCKS)) {
    for (const every of [1, 100]) {
      it(`${name}: says of each moment what one without says (blocks of ${every} s)`, async () => {
        const path = fileOf(await session(steps, every));
        const moments = new Map<number, number>();
        // The last of moments at which the clock showed the same.
        for (let second = 0; second <= LAST; second++) {
          moments.set(NOON + second * SECOND + aheadAt(steps, second), second);
        }
        for (const [wall, second] of moments) {
          const then = seen(plain, iso(NOON + second * SECOND));
          assert.equal(seen(path, iso(wall)), then, `${second}`);
        }
        for (const time of ['start', 'end']) assert.equal(seen(path, time), seen(plain, time));
        assert.equal(seen(path, 'end'), '0 0');
        assert.equal(new Recording(path).runs.length, steps.filter(([, by]) => by <= 0).length + 1);
      });
    }
  }

  const answers = new Map<string, string>();
  for (const name of ['forward and back', 'back before the beginning']) {
    it(`${name}: timeline, tunnels, diff, check and replay say the same`, async () => {
      const steps = CLOCKS[name] ?? [];
      const path = fileOf(await session(steps, 1));
      const wall = (second: number) => iso(NOON + second * SECOND + aheadAt(steps, second));
      const same = (of: (file: string, at: (second: number) => string) => string[]) => {
        const answer = (args: string[]) => {
          const { stdout, stderr, status } = run(...args);
          return `${untimed(stdout)}${stderr.replace(BACK, '')}${status}`;
        };
        const asked = of(plain, (second) => iso(NOON + second * SECOND));
        const expected = answers.get(`${asked}`) ?? answer(asked);
        answers.set(`${asked}`, expected);
        assert.equal(answer(of(path, wall)), expected);
        return expected;
      };
      const told = same((file) => ['timeline', file, '--threshold', 'remember=2s']);
      assert.match(told, /rekeyed .*\n.*removed /s);
      same((file, at) => ['tunnels', '--recording', file, '--at', at(28)]);
      same((file, at) => ['tunnels', '--recording', file, '--from', at(3), '--to', at(35)]);
      same((file) => ['state', '--recording', file, '--from', 'start']);
      same((file, at) => ['diff', `${file}@${at(3)}`, `${file}@${at(38)}`]);
      same((file, at) => ['check', '--recording', file, '--from', at(2), '--to', at(38)]);
      same((file, at) => ['replay', file, '--from', at(2), '--to', at(38)]);
      same((file) => ['replay', file, '--at', 'end']);
    });
  }

  it('says which of several moments is meant, and where there is none', async () => {
    const seconds = fileOf(await session(CLOCKS['back by seconds'] ?? [], 1));
    const twice = run('state', '--recording', seconds, '--at', iso(NOON + 17 * SECOND));
    assert.match(
      twice.stderr,
      /^netlink-xfrm: --at \S+: the clock was set back past it; this is about the last time .*\n$/,
    );
    const hour = fileOf(await session(CLOCKS['back before the beginning'] ?? [], 1));
    assert.throws(
      () => seen(hour, iso(NOON - HOUR / 2)),
      /nothing of this time, because the clock/,
    );
    assert.throws(() => seen(hour, iso(NOON + HOUR)), /is outside of the recording/);
    const part = { from: iso(NOON - HOUR + 30 * SECOND), to: iso(NOON + 5 * SECOND) };
    assert.throws(() => new LookBack(hour, part), /is after --to \S+: the clock was set back/);
  });

  for (const name of Object.keys(CLOCKS)) {
    it(`${name}: is the same on the way through a capture`, async () => {
      const file = fileOf(await session(CLOCKS[name] ?? [], 1));
      const [capture, back] = [`${file}.pcapng`, `${file}.back.nxr`];
      assert.equal(run('convert', file, capture).status, 0);
      assert.equal(run('convert', capture, back).status, 0);
      const told = (path: string) => run('timeline', path, '--threshold', 'remember=2s').stdout;
      assert.equal(told(back), told(file));
      assert.deepEqual(new Recording(back).runs, new Recording(file).runs);
    });
  }

  it('says of what a time is that the clock never showed', async () => {
    // From 12:00:04 to 13:00:05.
    const path = fileOf(await session(CLOCKS['forward and back'] ?? [], 1));
    const between = iso(NOON + HOUR / 2);
    const just = iso(NOON + 4 * SECOND);
    const said = (...args: string[]) => run(...args).stderr;
    const skipped = `${between}: the clock was set forward past it, and never showed it`;
    const told = `netlink-xfrm: --at ${skipped}; this is what was just before\n`;
    const told2 = told.replace('--at', '--from');
    for (const list of ['state', 'policy', 'tunnels']) {
      const of = (...args: string[]) => run(list, '--recording', path, ...args);
      assert.equal(of('--at', between).stderr, told);
      assert.equal(of('--at', between).stdout, of('--at', just).stdout);
      assert(of('--from', between).stderr.startsWith(told2));
    }
    assert.equal(said('check', '--recording', path, '--at', between), told);
    assert.equal(said('why', '10.0.0.1 > 10.0.0.2', '--recording', path, '--at', between), told);
    assert.equal(said('timeline', path, '--from', between), told2);
    assert.equal(said('diff', `${path}@${between}`, '@end'), told.replace('--at ', '@'));
    assert.equal(said('replay', path, '--at', between), `netlink-xfrm: --at ${skipped}\n`);
    // Times around it are not.
    for (const second of [3, 4, 5, 6]) {
      const at = iso(NOON + second * SECOND + aheadAt(CLOCKS['forward and back'] ?? [], second));
      assert.equal(said('state', '--recording', path, '--at', at), '');
      assert.equal(said('replay', path, '--at', at), '');
    }
  });

  it('is one of runs wherever reading begins, and whatever is damaged', async () => {
    const blocks = await session(CLOCKS['back twice'] ?? [], 1);
    const damaged = Buffer.from(blocks[25] as Uint8Array);
    damaged[damaged.length - 1] = (damaged.at(-1) as number) ^ 1;
    const path = fileOf([...blocks.slice(0, 25), damaged, ...blocks.slice(26)]);
    assert.equal(new Recording(path).runs.length, 3);
    assert.equal(seen(path, 'end'), '0 0');
  });
});

describe('a recording of several sessions', () => {
  it('is in the order of the file', async () => {
    const [a, b] = [await session([], 1), await session([[0, -HOUR]], 1)];
    assert.deepEqual(new Recording(fileOf([...a, ...b])).runs, [
      { from: NOON, to: NOON + LAST * SECOND },
      { from: NOON - HOUR, to: NOON - HOUR + LAST * SECOND },
    ]);
  });
});

describe('reading from a snapshot', () => {
  const SAS = messagesOf(strongswan(), { keys: true }).flatMap(([bytes, { kind }]) =>
    kind === 'NEWSA' ? [bytes] : [],
  );
  const [FIRST, SECOND_SA] = SAS as [Uint8Array, Uint8Array];

  /** Each step is a block of its own, a second after the one before. */
  const stepped = (steps: readonly ((writer: BlockWriter) => void)[], host = HOST) =>
    blocksOf((writer) => {
      for (const [second, step] of steps.entries()) {
        writer.at(NOON + second * SECOND, 1e6 + second * SECOND);
        step(writer);
        writer.flush();
      }
    }, host);
  const add = (bytes: Uint8Array, netns: number) => (writer: BlockWriter) => {
    writer.datagram('datagram', NETLINK_XFRM, netns, bytes, 0, bytes.length);
  };

  it('begins before a whole one, however many failed', async () => {
    const failed = (writer: BlockWriter) => snapshot(writer, 'xfrm', ['begin', 'failed']);
    for (const failures of [0, 1, 2, 3, 7]) {
      const blocks = await stepped([
        (writer) => snapshot(writer, 'xfrm'),
        add(FIRST, 0),
        ...Array.from({ length: failures }, () => failed),
        add(SECOND_SA, 0),
      ]);
      assert.equal(seen(fileOf(blocks), 'end'), '2 0', `${failures}`);
    }
  });

  it('lists the newest first, as the kernel does', async () => {
    const [older, old, late] = SAS as [Uint8Array, Uint8Array, Uint8Array];
    const blocks = await stepped([
      (writer) => {
        snapshot(writer, 'xfrm', ['begin']);
        for (const one of [old, older]) {
          writer.datagram('dumped', NETLINK_XFRM, 0, one, 0, one.length);
        }
        snapshot(writer, 'xfrm', ['dumped', 'settled']);
      },
      add(late, 0),
    ]);
    const listed = run('state', '--recording', fileOf(blocks), '--json').stdout;
    const spis = listed
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).state.spi);
    const told = messagesOf(strongswan(), { keys: true }).flatMap(([, one]) =>
      one.kind === 'NEWSA' ? [one.state.spi] : [],
    );
    assert.deepEqual(spis, told.slice(0, 3).reverse());
  });

  it('begins before one of the namespace that is meant', async () => {
    const namespaces = [null, ...Array.from({ length: 9 }, (_, i) => `blue${i}`)];
    const blocks = await stepped(
      [
        ...namespaces.map((_, netns) => (writer: BlockWriter) => {
          snapshot(writer, 'xfrm', WHOLE, netns);
          add(FIRST, netns)(writer);
        }),
        add(SECOND_SA, 0),
      ],
      { ...HOST, namespaces },
    );
    const path = fileOf(blocks);
    for (const netns of namespaces) {
      assert.equal(seen(path, 'end', netns ?? undefined), netns ? '1 0' : '2 0');
    }
    const records = new Recording(path).records({
      moment: new Recording(path).end,
      protocols: ['xfrm'],
      netns: 'blue8',
    });
    assert([...records].length < [...new Recording(path).records()].length);
  });
});

it('a recording can begin with the block at which the clock was set back', async () => {
  const blocks = await session([[20, -HOUR]], 5);
  // As in a ring, of which the oldest blocks are deleted.
  for (let first = 0; first < blocks.length; first++) {
    const { runs, span } = new Recording(fileOf(blocks.slice(first)));
    assert(runs.every(Boolean) && span.from <= span.to, `${first}: ${JSON.stringify(span)}`);
  }
});

describe('a damaged recording', () => {
  it('can be read if its last block has an impossible time', async () => {
    const blocks = await session([], 1);
    for (const wall of [Number.NaN, -1, Number.POSITIVE_INFINITY]) {
      const last = Buffer.from(blocks.at(-1) as Uint8Array);
      last.writeDoubleLE(wall, 16);
      last.writeUInt32LE(checksumOf(last.subarray(0, 32), last.subarray(32)), 28);
      const path = fileOf([...blocks.slice(0, -1), last]);
      assert.equal(seen(path, 'end'), '0 0');
      const reasons = [...new Recording(path).records()].flatMap((one) =>
        one.kind === 'unreadable' ? [one.reason] : [],
      );
      assert.deepEqual(reasons, ['the header of a block is damaged: its time is impossible']);
    }
  });

  it('says why nothing of it can be read', async () => {
    const [first] = (await session([], 1)) as [Uint8Array];
    const cut = fileOf([first.subarray(0, 50)]);
    assert.throws(() => seen(cut, 'end'), /nothing of it can be read: .* at 0 are skipped/);
    const newer = Buffer.from(first);
    newer[7] = 9;
    newer.writeUInt32LE(checksumOf(newer.subarray(0, 32), newer.subarray(32)), 28);
    assert.throws(() => seen(fileOf([newer]), 'end'), /version 9 of the format/);
  });
});
