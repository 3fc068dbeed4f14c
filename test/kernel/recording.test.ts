/** Recording and watching at once: a recording says afterwards what was said live. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { TunnelMonitor } from '../../lib/index.ts';
import { RecordingFile } from '../../lib/recording/files.ts';
import { Recorder } from '../../lib/recording/recorder.ts';
import { Recording } from '../../lib/recording/recording.ts';
import { checkLine } from '../schema.ts';
import { allRead, env, program, run, start } from './command.ts';
import { Story } from './story.ts';
import { GCM, ip, KEY_HEX, withoutEsp, words } from './support.ts';
import { addHere, addPolicies, deleteHere, FAR, flush, HERE, lines } from './tunnel-peers.ts';

const folder = mkdtempSync(join(tmpdir(), 'netlink-xfrm-recording-'));
before(() => addHere());
after(() => {
  flush();
  deleteHere();
  rmSync(folder, { recursive: true });
});

/**
 * What does not depend on how many events are read at once: between two of them, a tunnel may be one-way
 * for a moment.
 */
const certain = (line: string): string[] =>
  line.startsWith('state:') ? [] : [line.replace(/(: |, )was [\w-]+/, '')];

/** What is compared of a line of JSON: not when it was said, and no counters. */
function essence(text: string): string[] {
  const all = lines(text)
    .filter(Boolean)
    .map((line) => {
      checkLine(line);
      const { time: _, monotonic: __, ...rest } = JSON.parse(line);
      return JSON.stringify(rest, (key, value) => {
        if (HISTORY.has(key)) return undefined;
        // The order in which they were added, or in which the kernel dumps them.
        const isList = Array.isArray(value) && typeof value[0] === 'object';
        return isList ? value.map((one) => JSON.stringify(one)).sort() : value;
      });
    });
  return all.sort();
}

/** What a monitor that was opened just then cannot know. */
const HISTORY = new Set(['since', 'upSince', 'sinceKnown', 'rekeys', 'installedAt', 'lastUsedAt']);

const LISTS = ['state', 'policy', 'tunnels'] as const;

const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

/** A moment, and what the command said about it. */
interface Said {
  readonly at: string;
  readonly of: Readonly<Record<(typeof LISTS)[number] | 'check', string>>;
}

/** Asks the command, when the recorder has read everything before. */
async function ask(): Promise<Said> {
  await allRead();
  const of = (...args: string[]) => {
    const { status, stderr, stdout } = run(...args, '--json');
    assert.equal(status, 0, stderr);
    return stdout;
  };
  const said = { state: of('state'), policy: of('policy'), tunnels: of('tunnels') };
  const check = run('check', '--none', 'ok').stdout.replace(/\d+[sm].*/, '');
  return { at: new Date().toISOString(), of: { ...said, check } };
}

/** What a story of a tunnel does, in steps; with SAs where the kernel has ESP. */
const STEPS: readonly (() => void)[] = [
  () => {},
  () => addPolicies(7),
  ...(withoutEsp
    ? []
    : [
        () => addSas(0x1000),
        () => {
          addSas(0x2000);
          deleteSas(0x1000);
        },
        () => deleteSas(0x2000),
        () => addSas(0x3000),
      ]),
  deleteHere,
  () => addHere(),
  flush,
];

const ends = [
  [HERE, FAR],
  [FAR, HERE],
] as const;
const esp = (i: 0 | 1, spi: number) =>
  words(`src ${ends[i][0]} dst ${ends[i][1]} proto esp spi ${spi + i} reqid 7 mode tunnel`);
function addSas(spi: number): void {
  for (const i of [0, 1] as const) ip('xfrm', 'state', 'add', ...esp(i, spi), ...GCM);
}
function deleteSas(spi: number): void {
  for (const i of [0, 1] as const) {
    ip(...words(`xfrm state delete src ${ends[i][0]} dst ${ends[i][1]} proto esp spi ${spi + i}`));
  }
}

test('what a recording says of each moment equals what the command said then', async () => {
  const file = join(folder, 'all.nxr');
  const recorder = await start('record', '-o', file, '--snapshots', '200ms');
  await using monitor = await TunnelMonitor.open();
  const live = new Story(monitor);
  const told = new Promise<void>((resolve) => {
    monitor.on('removed', () => resolve());
  });
  const said: Said[] = [];
  for (const step of STEPS) {
    step();
    await monitor.refresh();
    // A tunnel that lacks something is not reported at once (the threshold `settle`).
    const isSettled = ({ of }: Said) => {
      const states = lines(of.tunnels)
        .filter(Boolean)
        .map((line) => JSON.parse(line).tunnel.state);
      return `${[...monitor.tunnels].map(({ state }) => state)}` === `${states}`;
    };
    let answer = await ask();
    while (!isSettled(answer)) answer = await ask();
    said.push(answer);
  }
  if (withoutEsp) await told;
  const { err, status } = await recorder.end();
  assert.match(err, /\d+ events recorded, nothing lost/);
  assert.equal(status, 0);
  for (const [step, { at, of }] of said.entries()) {
    for (const list of LISTS) {
      const then = run(list, '--recording', file, '--at', at, '--json');
      assert.equal(then.stderr, '');
      assert.deepEqual(essence(then.stdout), essence(of[list]), `${list}, step ${step}`);
    }
    const then = run('check', '--none', 'ok', '--recording', file, '--at', at).stdout;
    assert.equal(then.replace(/\d+[sm].*/, ''), of.check, `check, step ${step}`);
  }
  // Nor is anything of that lost on the way through a capture.
  const [capture, back] = [join(folder, 'all.pcapng'), join(folder, 'back.nxr')];
  assert.equal(run('convert', file, capture).status, 0);
  assert.equal(run('convert', capture, back).status, 0);
  assert.equal(run('replay', capture).status, 0);
  for (const [step, { at }] of said.entries()) {
    for (const list of LISTS) {
      const of = (path: string) => run(list, '--recording', path, '--at', at, '--json').stdout;
      // Times are those of packets: the monotonic clock is right to a millisecond.
      assert.deepEqual(essence(of(back)), essence(of(file)), `${list}, step ${step}`);
    }
  }
  // Its times are right to a millisecond, so durations may be rounded differently.
  const tale = (path: string) =>
    run('timeline', path).stdout.replaceAll(/[\d:.]{12}|(\d+[smhd] ?)+|[\d.]+ %/g, '#');
  assert.equal(tale(back), tale(file));
  const essences = (path: string) => lines(run('timeline', path, '--json').stdout).map(essence);
  assert.deepEqual(essences(back), essences(file));
  const story = run('tunnels', '--recording', file, '--from', 'start', '--json').stdout;
  const replayed = new Story({
    on: (_: 'change', listener: (change: never) => void) => {
      for (const line of lines(story)) {
        const { kind, change, ...rest } = JSON.parse(line);
        if (kind === 'tunnel-change') listener({ ...rest, kind: change } as never);
      }
    },
  } as unknown as TunnelMonitor);
  assert.deepEqual(replayed.lines.flatMap(certain), live.lines.flatMap(certain));
  assert(live.lines.length > 3, `${live.lines}`);

  // The same by other subcommands.
  const timeline = run('timeline', file, '--svg', join(folder, 'all.svg')).stdout;
  // What completion offers.
  const nobody = run('timeline', file, '203.0.113.99');
  assert.equal(nobody.status, 0, nobody.stderr);
  assert.doesNotMatch(nobody.stdout, /203\.0/);
  for (const word of ['blocked', ...(withoutEsp ? [] : ['rekeyed', 'down'])]) {
    assert.match(timeline, new RegExp(word));
  }
  assert.match(readFileSync(join(folder, 'all.svg'), 'utf8'), /^<svg .*blocked.*<\/svg>\n$/s);
  for (const line of lines(run('timeline', file, '--json').stdout)) checkLine(line);
  const [first, second] = said as [Said, Said];
  const diff = run('diff', `${file}@${first.at}`, `@${second.at}`);
  assert.match(diff.stdout, /^\+ policy out 10\.0\.0\.0\/16 > 10\.7\.0\.0\/16/m);
  assert.match(diff.stdout, /^\+ tunnel .*blocked/m);
  assert.equal(diff.status, 1);
  const json = run('diff', `${file}@${first.at}`, `@${second.at}`, '--json').stdout;
  for (const line of lines(json)) checkLine(line);
  assert.deepEqual(run('diff', `${file}@${second.at}`, `@${second.at}`).status, 0);
  for (const place of [`${file}@25:00`, join(folder, 'none')]) {
    assert.equal(run('diff', place, file).status, 2, place);
  }

  // A span is judged by its worst moment, whose time it names.
  const judged = (...args: string[]) => {
    const { stdout } = run('check', '--none', 'ok', '--recording', file, ...args, '--json');
    const { time, monotonic: _, ...rest } = JSON.parse(stdout);
    return { time, rest };
  };
  const worst = judged('--from', 'start', '--to', 'end');
  assert.deepEqual(judged('--at', worst.time).rest, worst.rest);
  const problems = said.map(({ at }) => judged('--at', at).rest.problems.length);
  assert(worst.rest.problems.length >= Math.max(1, ...problems));
  const line = run('check', '--recording', file, '--from', 'start').stdout;
  assert.match(line, /^TUNNELS CRITICAL - .* with problems: .*, at \d{4}-\d\d-\d\d [\d:.]{12} \|/);
  const last = run('check', '--none', 'ok', '--recording', file, '--from', 'end').stdout;
  const atEnd = run('check', '--none', 'ok', '--recording', file).stdout;
  assert.equal(last.replace(/, at [^|]*/, ' '), atEnd);
  const replay = run('replay', file).stdout;
  assert.match(replay, /recording started: on .*NEWPOLICY out.*recording ended\n$/s);
  for (const line of lines(run('replay', file, '--json').stdout)) checkLine(line);
  assert.doesNotMatch(readFileSync(file, 'latin1'), new RegExp(KEY_HEX, 'i'));
  assert.equal(statSync(file).mode & 0o777, 0o600);
});

test('a ring survives being killed, is readable meanwhile, and stays within its size', async () => {
  const ring = join(folder, 'ring');
  const recorder = await start('record', '--ring', '128KiB', '-o', ring, '--snapshots', '100ms');
  const replayed = () => run('replay', ring, '--json').stdout;
  addPolicies(7);
  const isThere = () => readdirSync(ring).length > 0 && replayed().includes('"NEWPOLICY"');
  while (!isThere()) await nextTurn();
  recorder.child.kill('SIGKILL');
  await recorder.exited;
  flush();
  assert.match(run('policy', '--recording', ring).stdout, /10\.7\.0\.0\/16/);
  // Another one continues it, and says that something is missing.
  const next = await start('record', '--ring', '128KiB', '-o', ring, '--snapshots', '100ms');
  const policies = () => run('policy', '--recording', ring).stdout;
  while (policies() !== '') await nextTurn();
  await next.end();
  assert.match(replayed(), /"what":"resumed"/);
  assert.equal(policies(), '');
  const size = readdirSync(ring).reduce((sum, name) => sum + statSync(join(ring, name)).size, 0);
  assert(size <= 128 * 1024, `${size} bytes`);
});

/** Sizes of a file system that a test fills. */
const SMALL = 512 * 1024;

/** A small file system of its own, and how it is filled and emptied again. */
function smallDisk(name: string) {
  const mount = join(folder, name);
  mkdirSync(mount);
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${SMALL}`, 'tmpfs', mount]);
  const filler = join(mount, 'filler');
  return {
    mount,
    fill() {
      for (let size = SMALL; size >= 1; size /= 2) {
        try {
          appendFileSync(filler, new Uint8Array(size));
        } catch (error) {
          assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC');
        }
      }
    },
    empty: () => rmSync(filler),
    [Symbol.dispose]: () => execFileSync('umount', [mount]),
  };
}

test('a full disk is said, costs what was not written, and recording goes on', async () => {
  using disk = smallDisk('full-file');
  const file = join(disk.mount, 'all.nxr');
  const recorder = await start('record', '-o', file, '--snapshots', '200ms');
  const recorded = () => run('policy', '--recording', file).stdout;
  addPolicies(7);
  while (!recorded().includes('10.7.0.0/16')) await nextTurn();
  // Snapshots alone need more room than is left in the last page.
  disk.fill();
  await recorder.said('not written: ENOSPC');
  // What was written before can be read, and nothing of what was not remains.
  const whole = run('replay', file);
  assert.equal(whole.status, 0, whole.stderr);
  assert.match(whole.stdout, /10\.7\.0\.0\/16/);
  flush();
  disk.empty();
  await recorder.said('written again');
  addPolicies(9);
  while (!recorded().includes('10.9.0.0/16')) await nextTurn();
  // A snapshot followed: the tables are right although events are missing.
  assert.doesNotMatch(recorded(), /10\.7\./);
  const { status, err } = await recorder.end();
  assert.equal(status, 1);
  assert.match(err, /\d+ events received, not all of them written/);
  assert.match(run('replay', file).stdout, /recording \d+ bytes were not written: ENOSPC/);
  flush();
});

test('a ring on a full disk gives up its oldest files', async () => {
  using disk = smallDisk('full-ring');
  const ring = join(disk.mount, 'ring');
  const recorder = await start('record', '--ring', '8MiB', '-o', ring, '--snapshots', '100ms');
  const files = () => readdirSync(ring).filter((name) => name.endsWith('.nxr'));
  while (files().length < 1) await nextTurn();
  recorder.child.kill('SIGKILL');
  await recorder.exited;
  // A second file, after which the first may go.
  const next = await start('record', '--ring', '8MiB', '-o', ring, '--snapshots', '100ms');
  while (files().length < 2) await nextTurn();
  const [oldest] = files();
  disk.fill();
  addPolicies(7);
  while (files().includes(oldest as string)) await nextTurn();
  while (!run('policy', '--recording', ring).stdout.includes('10.7.0.0/16')) await nextTurn();
  await next.end();
  flush();
});

test('a recording of several namespaces says which it is asked about, and which are gone', () => {
  const file = join(folder, 'several.nxr');
  // With a private, empty /run.
  const script = `
    mount -t tmpfs tmpfs /run && ip netns add blue && ip netns add red || exit 9
    "$@" record -o ${file} --all-netns --snapshots 100ms 2>/run/err & recorder=$!
    until grep -qs listening /run/err; do kill -0 $recorder || exit 8; sleep 0.1; done
    add() { ip -n "$1" xfrm policy add src "$2" dst 10.1.0.0/24 dir out || exit 7; }
    ip xfrm policy add src 10.0.0.0/24 dst 10.1.0.0/24 dir out || exit 7
    add blue 10.0.1.0/24; add red 10.0.2.0/24
    until "$@" policy --recording ${file} --netns blue | grep -q 10.0.1; do sleep 0.1; done
    date +%s%3N
    ip netns del blue
    until "$@" replay ${file} | grep -q 'blue removed'; do sleep 0.1; done
    kill -INT $recorder; wait $recorder`;
  const at = execFileSync(
    'unshare',
    ['--mount', '--net', 'sh', '-c', script, 'sh', process.execPath, program],
    { env, encoding: 'utf8' },
  );
  const then = new Date(Number(at)).toISOString();
  const policies = (...args: string[]) => run('policy', '--recording', file, ...args);
  const own = policies();
  assert.match(own.stdout, /^out 10\.0\.0\.0\/24 /);
  assert.match(
    own.stderr,
    /this is about \(own\); --netns chooses another .*: (blue, red|red, blue)/,
  );
  assert.match(policies('--netns', 'red').stdout, /^out 10\.0\.2\.0\/24 /);
  assert.equal(policies('--netns', 'red').stderr, '');
  assert.match(policies('--netns', 'blue', '--at', then).stdout, /^out 10\.0\.1\.0\/24 /);
  const gone = policies('--netns', 'blue');
  assert.match(gone.stderr, /blue did not exist, or was not recorded, at /);
  assert.equal(gone.status, 1);
  assert.match(policies('--netns', 'no').stderr, /has no network namespace 'no', only .*red/);
  assert.match(policies('--all-netns').stderr, /'--all-netns' does not work with '--recording'/);
});

test('wrong uses are errors that say what to do', () => {
  const other = join(folder, 'other');
  writeFileSync(other, 'text of someone else');
  assert.match(run('tunnels', '--at', '-5m').stderr, /'--at' needs '--recording'/);
  assert.match(run('record', '-o', folder).stderr, /is a directory: it needs '--ring'/);
  assert.match(run('record', '--ring', '1MiB', '-o', other).stderr, /other' is not a directory/);
  assert.match(run('state', '--recording', join(folder, 'none')).stderr, /ENOENT/);
  assert.match(run('state', '--recording', other).stderr, /is not a recording/);
  assert.match(run('record', '-o', other).stderr, /exists and is not a recording/);
  assert.match(run('convert', other, 'back.nxr').stderr, /neither a file of netlink messages/);
  assert.match(run('record', '-o', '/dev/null').stderr, /\/dev\/null is not a regular file/);
  assert.match(run('record', '-o', '/proc/version').stderr, /\/proc\/version stores nothing/);
});

test('places of namespaces that are gone are for others', async () => {
  const path = join(folder, 'places.nxr');
  const store = await RecordingFile.open(path);
  const failures: unknown[] = [];
  const recorder = new Recorder(store, {
    version: '0',
    keys: false,
    acquires: false,
    receiveBufferSize: 2 ** 20,
    interval: 3_600_000,
    failed: (error) => failures.push(error),
    unwritten: () => {},
  });
  recorder.add(null, undefined);
  const names = Array.from({ length: 10 }, (_, i) => `space ${i}`);
  for (const name of names) {
    recorder.add(name, '/proc/self/ns/net');
    await recorder.remove(name);
  }
  await recorder.close();
  await store.close();
  const added: (string | null)[] = [];
  for (const one of new Recording(path).records()) {
    if (one.kind !== 'note' || one.note.kind !== 'namespace') continue;
    if (one.note.state === 'added') added.push(one.netns);
    else assert.equal(one.netns, added.at(-1));
  }
  assert.deepEqual(added, [null, ...names]);
  assert.deepEqual(new Recording(path).host?.namespaces, [null, 'space 9']);
  assert.deepEqual(failures, []);
});

test('a namespace that cannot be opened at first is recorded when it can', async () => {
  const name = `late${process.pid}`;
  const path = join(folder, 'late.nxr');
  const program = `
    import { closeSync, openSync } from 'node:fs';
    import { recordHere } from ${JSON.stringify(import.meta.resolve('../../lib/recording/record-here.js'))};
    const told = [];
    let open = [];
    const here = await recordHere({
      path: ${JSON.stringify(path)}, ring: undefined, netns: [], allNetns: true,
      version: '0', keys: false, acquires: false, receiveBufferSize: 2 ** 20,
      interval: 3_600_000, unwritten() {},
      failed(error, netns) {
        told.push(netns);
        for (const fd of open.splice(0)) closeSync(fd);
      },
    });
    await here.ready();
    // Room to look for it, and not to record it.
    try {
      for (;;) open.push(openSync('/dev/null'));
    } catch {}
    for (let i = 0; i < 2; i++) closeSync(open.pop());
    console.log('full');
    process.stdin.once('end', async () => {
      await here.close();
      console.log(told.join());
    }).resume();
  `;
  const node = [process.execPath, '--input-type=module', '-e', program];
  const child = spawn('sh', ['-c', 'ulimit -n 128; exec "$@"', '-', ...node], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (part) => {
    output += part;
  });
  await once(child.stdout, 'data');
  ip('netns', 'add', name);
  try {
    const isThere = () =>
      statSync(path).size > 0 &&
      [...new Recording(path).records()].some(
        (one) => one.kind === 'note' && one.note.kind === 'namespace' && one.netns === name,
      );
    while (!isThere()) await new Promise((resolve) => setTimeout(resolve, 100));
  } finally {
    ip('netns', 'del', name);
    child.stdin.end();
  }
  await once(child, 'close');
  assert.equal(output, `full\n${name}\n`);
});
