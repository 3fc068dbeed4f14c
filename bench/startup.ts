/**
 * Startup cost: Node alone, Node with the library, the command; and until subscribed.
 * @module
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { median } from './stats.ts';

/** Results for processes, from start to exit. */
export interface Startup {
  readonly title: string;
  /** Milliseconds. */
  readonly times: number[];
  /** Milliseconds of CPU time, all threads. */
  readonly cpu: number[];
  /** Median of {@link cpu} above that of Node alone: the figure least affected by other processes. */
  readonly more: number;
  /** Median of {@link cpu}, as a multiple of that of Node alone. Depends least on the machine. */
  readonly ratio: number;
  /** Limit for {@link more}. */
  readonly most?: number | undefined;
  /** Resident bytes at exit, if measured: median above Node alone. */
  readonly resident?: number | undefined;
  /** Limit for {@link resident}. */
  readonly mostResident?: number | undefined;
}

const root = join(import.meta.dirname, '../..');
/** The package as published, if `npm test -- --all --only package` has built it. */
const PACKED = join(root, 'build/package/unpacked/package');

interface Case {
  readonly title: string;
  readonly args: readonly string[];
  /** What it is compared with: `NODE` unless given. */
  readonly base?: Case;
  readonly most?: number;
  /** Whether it prints its resident bytes. */
  readonly resident?: true;
  readonly mostResident?: number;
}

const NODE: Case = { title: 'node --eval 0', args: ['--eval', '0'] };
/** Running an ES module costs Node something in itself, which is not the library's. */
const MODULE: Case = {
  title: 'node, an empty ES module',
  args: ['--input-type=module', '--eval', '0'],
};
const RESIDENT = 'console.log(process.memoryUsage.rss())';
const IDLE_NODE: Case = {
  title: 'node, idle',
  args: ['--input-type=module', '--eval', RESIDENT],
  resident: true,
};

/** The cases for one layout. @param label suffix of their titles */
function casesOf(folder: string, label: string, required: boolean): Case[] {
  const library = pathToFileURL(join(folder, 'dist/lib/index.js')).href;
  const command = join(folder, 'bin/netlink-xfrm.js');
  const idle = `import { subscribe } from '${library}';
    const events = subscribe({ groups: ['sa'] }).on('event', () => {});
    setImmediate(() => { ${RESIDENT}; events.close(); });`;
  const script = (text: string) => ['--input-type=module', '--eval', text];
  const most = (milliseconds: number) => (required ? { most: milliseconds } : {});
  return [
    {
      title: `import netlink-xfrm, beyond an empty ES module${label}`,
      args: script(`import '${library}'`),
      base: MODULE,
      ...most(25),
    },
    { title: `netlink-xfrm --help${label}`, args: [command, '--help'], ...most(40) },
    { title: `netlink-xfrm --version${label}`, args: [command, '--version'], ...most(40) },
    {
      title: `netlink-xfrm state, in an empty namespace${label}`,
      args: [command, 'state'],
      ...most(60),
    },
    {
      title: `an idle subscription${label}`,
      args: script(idle),
      base: MODULE,
      resident: true,
      ...(required && { mostResident: 12 * 2 ** 20 }),
    },
  ];
}

/** bash reports its children's CPU time to the millisecond. */
const TIMED = 'exec 3>&2; { TIMEFORMAT="%U %S"; time "$@" 2>&3; } 2>&1 >&4';

/** Runs a command to completion. @returns its output, and its CPU time in milliseconds */
export function timed(title: string, command: readonly string[]): { printed: string; cpu: number } {
  const { status, stdout, stderr, output } = spawnSync('bash', ['-c', TIMED, 'bash', ...command], {
    stdio: ['ignore', 'pipe', 'pipe', 'ignore', 'pipe'],
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`${title}: ${stderr}`);
  const [user = Number.NaN, system = Number.NaN] = stdout.split(' ').map(Number);
  return { printed: output[4] ?? '', cpu: (user + system) * 1000 };
}

export function startup(rounds: number, progress: (text: string) => void): Startup[] {
  const cases = [NODE, MODULE, IDLE_NODE, ...casesOf(root, '', false)];
  if (existsSync(PACKED)) cases.push(...casesOf(PACKED, ', as published', true));
  const lists = () => ({ times: [] as number[], cpu: [] as number[], bytes: [] as number[] });
  const all = cases.map((one) => ({ ...one, ...lists() }));
  progress('startup');
  // The first round warms the file cache.
  for (let round = -1; round < rounds; round++) {
    for (const { args, times, cpu, title, resident, bytes } of all) {
      const begun = performance.now();
      const ended = timed(title, [process.execPath, ...args]);
      if (round < 0) continue;
      times.push(performance.now() - begun);
      cpu.push(ended.cpu);
      if (resident) bytes.push(Number(ended.printed));
    }
  }
  const of = (wanted: Case) => all.find(({ title }) => title === wanted.title);
  const idle = median(of(IDLE_NODE)?.bytes ?? []);
  return all.map(({ title, times, cpu, base = NODE, most, mostResident, resident, bytes }) => ({
    title,
    times,
    cpu,
    more: median(cpu) - median(of(base)?.cpu ?? []),
    ratio: median(cpu) / median(of(base)?.cpu ?? []),
    most,
    mostResident,
    resident: resident && median(bytes) - idle,
  }));
}
