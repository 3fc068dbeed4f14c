/** Recordings made of captures: what is an event, and which dumps make a snapshot. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { endianness, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import fc from 'fast-check';
import { CaptureReader } from '../../lib/recording/capture.ts';
import { CaptureRecorder } from '../../lib/recording/capture-recorder.ts';
import { RecordReader } from '../../lib/recording/read-blocks.ts';
import { RecordingError } from '../../lib/recording/recorded.ts';
import type { RecordingRecord } from '../../lib/recording/records.ts';
import { capture } from './captures.ts';
import { cooked, pcap, pcapng } from './pcap.ts';

const root = join(import.meta.dirname, '../../..');
const folder = mkdtempSync(join(tmpdir(), 'netlink-xfrm-capture-'));
after(() => rmSync(folder, { recursive: true }));

const run = (...args: string[]) =>
  spawnSync(process.execPath, [join(root, 'bin/netlink-xfrm.js'), ...args], { encoding: 'utf8' });

const LITTLE = endianness() === 'LE';
const [REQUEST, MULTI, INTERRUPTED, DUMP] = [1, 2, 0x10, 0x300];
const [NEWSA, GETSA, NEWPOLICY, GETPOLICY, DONE] = [16, 18, 19, 21, 3];
const PORT = 77;

/** A message with another header. */
function message(type: number, flags: number, seq: number, portId: number, body: Uint8Array) {
  const bytes = new Uint8Array(16 + body.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length, LITTLE);
  view.setUint16(4, type, LITTLE);
  view.setUint16(6, flags, LITTLE);
  view.setUint32(8, seq, LITTLE);
  view.setUint32(12, portId, LITTLE);
  bytes.set(body, 16);
  return bytes;
}

const SA = capture('uml-6.1/newsa_m.event0').slice(16);
const POLICY = capture('uml-6.1/newpolicy_m.event0').slice(16);
const NOTHING = new Uint8Array(0);
const ask = (type: number, seq: number, body = NOTHING) =>
  message(type, REQUEST | DUMP, seq, 0, body);
const part = (type: number, seq: number, body: Uint8Array, more = 0) =>
  message(type, MULTI | more, seq, PORT, body);
const done = (seq: number, result = 0, more = 0) =>
  part(DONE, seq, new Uint8Array(Int32Array.of(result).buffer), more);
const event = message(NEWSA, 0, 5, 99, SA);

/** Whole dumps of SAs and policies, with an event during the first. */
const WHOLE = [
  ask(GETSA, 1),
  part(NEWSA, 1, SA),
  event,
  done(1),
  ask(GETPOLICY, 2),
  part(NEWPOLICY, 2, POLICY),
  done(2),
];

const fileOf = (messages: readonly Uint8Array[]) => pcap(messages.map((one) => cooked(6, one)));

interface Made {
  readonly file: Uint8Array;
  readonly records: RecordingRecord[];
  readonly snapshots: number;
  readonly error: unknown;
}

/** Makes a recording of a capture, as far as it can be read. */
async function record(bytes: Uint8Array, keys = false): Promise<Made> {
  const blocks: Uint8Array[] = [];
  const store = {
    blockSize: 4096,
    write(block: Uint8Array) {
      blocks.push(block.slice());
      return Promise.resolve();
    },
  };
  const recorder = new CaptureRecorder(store, { version: 'test', keys });
  const reader = new CaptureReader(6);
  let error: unknown;
  try {
    for (const one of reader.push(bytes)) recorder.take(one);
    for (const one of reader.end()) recorder.take(one);
  } catch (caught) {
    error = caught;
  }
  await recorder.end();
  const file = Buffer.concat(blocks);
  const recording = new RecordReader();
  const records: RecordingRecord[] = [];
  for (const one of [recording.push(file), recording.end()]) {
    for (const each of one) {
      records.push(each.kind === 'datagram' ? { ...each, bytes: each.bytes.slice() } : each);
    }
  }
  return { file, records, snapshots: recorder.snapshots, error };
}

/** In short: `begin`, `dumped NEWSA` … */
async function story(messages: readonly Uint8Array[]): Promise<string[]> {
  const { records, error } = await record(fileOf(messages));
  assert.equal(error, undefined);
  return records.flatMap((one) => {
    if (one.kind === 'note') return one.note.kind === 'snapshot' ? [one.note.phase] : [];
    if (one.kind !== 'datagram') return [];
    return [`${one.dumped ? 'part' : 'event'} ${Buffer.from(one.bytes).readUInt16LE(4)}`];
  });
}

const STORY = [
  'begin',
  `part ${NEWSA}`,
  `event ${NEWSA}`,
  `part ${NEWPOLICY}`,
  'dumped',
  'settled',
];

describe('a recording of a capture', () => {
  it('has events, and a snapshot of whole dumps', async () => {
    assert.deepEqual(await story(WHOLE), STORY);
  });

  it('has the times of the capture, and no keys unless they are asked for', async () => {
    const quiet = await record(fileOf(WHOLE));
    const [first] = quiet.records.filter(({ kind }) => kind === 'datagram');
    // The second packet.
    assert.equal(first?.time.wall, 1_000_001_250);
    const bytesOf = ({ records }: Made) =>
      records.flatMap((one) => (one.kind === 'datagram' && one.dumped ? [one.bytes] : []))[0];
    const loud = bytesOf(await record(fileOf(WHOLE), true)) as Uint8Array;
    assert.deepEqual([...loud.subarray(16)], [...SA]);
    const zeros = loud.filter((byte, i) => bytesOf(quiet)?.[i] !== byte).length;
    assert(zeros > 10);
  });

  // As iproute2 6.1 asks for SAs: a filter of zeros, without a struct before it.
  const filter = (...bytes: number[]) =>
    WHOLE.with(
      0,
      ask(
        GETSA,
        1,
        Uint8Array.from({ length: 40 }, (_, i) => bytes[i] ?? 0),
      ),
    );
  it('has a snapshot of a dump with a filter for all', async () => {
    const said = await story(filter(40, 0, 26, 0));
    assert(said.includes('dumped') && said.includes('settled'), `${said}`);
  });

  it('has a snapshot if a request is followed by zeros, as programs send their whole buffer', async () => {
    const whole = new Uint8Array(120);
    whole.set(ask(GETSA, 1));
    const said = await story(WHOLE.with(0, whole));
    assert(said.includes('dumped') && said.includes('settled'), `${said}`);
  });

  const broken: Record<string, readonly Uint8Array[]> = {
    'has no request': WHOLE.slice(1),
    'has no end': WHOLE.filter((_, i) => i !== 3),
    'was interrupted': WHOLE.with(1, part(NEWSA, 1, SA, INTERRUPTED)),
    'was interrupted at its end': WHOLE.with(3, done(1, 0, INTERRUPTED)),
    failed: WHOLE.with(3, done(1, -4)),
    'has a filter': filter(40, 0, 26, 0, 192),
    'is of one protocol': filter(5, 0, 30, 0, 50),
    'may be that of another requester': [ask(GETSA, 1), ...WHOLE],
    'lacks policies': WHOLE.slice(0, 4),
  };
  for (const [what, messages] of Object.entries(broken)) {
    it(`has no snapshot if a dump ${what}`, async () => {
      const said = await story(messages);
      assert(!said.includes('dumped') && !said.includes('settled'), `${said}`);
      assert.equal(said.filter((one) => one.startsWith('event')).length, 1, `${said}`);
    });
  }

  it('has a snapshot of dumps that follow one that is not whole', async () => {
    const again = [ask(GETSA, 1), part(NEWSA, 1, SA), done(1), ...WHOLE];
    assert.deepEqual(await story(again), ['begin', `part ${NEWSA}`, ...STORY]);
    const failed = WHOLE.slice(0, 3).concat(done(1, -4), WHOLE);
    assert.deepEqual((await story(failed)).slice(-STORY.length), STORY);
  });

  it('does not take the answer to a question for an event', async () => {
    const question = message(GETSA, REQUEST, 8, 0, new Uint8Array(24));
    assert.deepEqual(await story([question, message(NEWSA, 0, 8, PORT, SA), event]), [
      `event ${NEWSA}`,
    ]);
  });

  it('is what can be read of one that is cut anywhere, and never a snapshot that is not whole', async () => {
    const whole = fileOf(WHOLE);
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), async (length) => {
        const { snapshots, records, error } = await record(whole.subarray(0, length));
        assert.equal(snapshots, 0);
        assert(error === undefined || error instanceof RecordingError);
        assert(records.every(({ kind }) => kind !== 'unreadable'));
      }),
      { numRuns: 50 },
    );
  });

  it('is readable whatever the messages are', async () => {
    const bytes = fc.uint8Array({ maxLength: 120 });
    const any = fc.oneof(bytes, fc.constantFrom(...WHOLE));
    await fc.assert(
      fc.asyncProperty(fc.array(any, { maxLength: 20 }), async (messages) => {
        const file = pcapng(messages.map((one) => cooked(6, one)));
        const { records, error } = await record(file);
        assert.equal(error, undefined);
        assert(records.every(({ kind }) => kind !== 'unreadable'));
      }),
      { numRuns: 100 },
    );
  });
});

describe('convert to a recording', () => {
  it('answers state and policy afterwards, and knows nothing before the first snapshot', () => {
    const [file, output] = [join(folder, 'all.pcap'), join(folder, 'all.nxr')];
    writeFileSync(file, fileOf(WHOLE));
    const { status, stderr } = run('convert', file, output);
    assert.deepEqual([status, stderr], [0, '7 datagrams, 1 snapshots\n']);
    assert.match(run('state', '--recording', output).stdout, / esp 0x00006001 /);
    assert.notEqual(run('policy', '--recording', output).stdout, '');
    const first = run('state', '--recording', output, '--at', 'start');
    assert.match(first.stdout, / esp 0x00006001 /);
    const early = run('state', '--recording', output, '--at', '+0s');
    assert.match(early.stderr, /nothing is known about .*: no snapshot was complete by then/);
    assert.notEqual(early.status, 0);
    assert.match(run('convert', output, join(folder, 'b.nxr')).stderr, /a recording already/);
    const again = run('convert', file, output);
    assert.notEqual(again.status, 0);
  });

  it('takes each snapshot, whatever the time since the last one', () => {
    const [file, output] = [join(folder, 'two.pcap'), join(folder, 'two.nxr')];
    const without = [ask(GETSA, 3), done(3), ask(GETPOLICY, 4), done(4)];
    writeFileSync(file, fileOf([...WHOLE, ...without]));
    assert.match(run('convert', file, output).stderr, / 2 snapshots/);
    const said = run('state', '--recording', output);
    assert.deepEqual([said.status, said.stdout], [0, '']);
  });

  it('refuses what is no capture of netlink, and what has no times', () => {
    const [file, output] = [join(folder, 'other.pcap'), join(folder, 'other.nxr')];
    writeFileSync(file, pcap([cooked(6, event)], { link: 1 }));
    assert.match(run('convert', file, output).stderr, /link type 1, not netlink/);
    writeFileSync(file, event);
    assert.match(run('convert', file, output).stderr, /it has no times/);
    writeFileSync(file, pcap([cooked(16, event)]));
    assert.match(run('convert', file, output).stderr, /no messages of XFRM or rtnetlink/);
    assert(!existsSync(output));
  });

  it('gives back what a capture was made of, and a capture has no key of a recording', async () => {
    const [made, capturing, back] = ['made.nxr', 'made.pcapng', 'back.nxr'].map((name) =>
      join(folder, name),
    ) as [string, string, string];
    const { file, records } = await record(fileOf(WHOLE), true);
    writeFileSync(made, file);
    assert.equal(run('convert', made, capturing, '--with-keys').status, 0);
    assert.equal(run('convert', capturing, back, '--with-keys').status, 0);
    const reader = new RecordReader();
    const again = [reader.push(readFileSync(back)), reader.end()].flatMap((some) =>
      Array.from(some, (one) => JSON.stringify({ ...one, at: 0 })),
    );
    assert.deepEqual(
      again,
      records.map((one) => JSON.stringify({ ...one, at: 0 })),
    );
    rmSync(capturing);
    assert.equal(run('convert', made, capturing).status, 0);
    const packets = new CaptureReader(6);
    const sas = Array.from(packets.push(readFileSync(capturing)), ({ bytes }) => bytes.slice(16));
    const [quiet] = sas;
    assert.equal(quiet?.length, SA.length);
    assert(quiet?.every((byte, i) => [0, byte].includes(SA[i] as number) || byte === 0));
    assert(SA.filter((byte, i) => quiet?.[i] !== byte).length > 10);
    assert.equal(quiet?.[0], SA[0]);
  });
});
