/**
 * What it costs to start: Node alone, Node with the library, the command; and to be subscribed.
 * @module
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { median } from './stats.ts';

/** Of processes, from start to end. */
export interface Startup {
  readonly title: string;
  /** Milliseconds. */
  readonly times: number[];
  /** Milliseconds of a processor, of all its threads. */
  readonly cpu: number[];
  /** Median of {@link cpu} beyond Node alone: what other processes do counts least there. */
  readonly more: number;
  /** What {@link more} may be. */
  readonly most?: number | undefined;
  /** Bytes resident at its end, where they were asked for: the median beyond Node alone. */
  readonly resident?: number | undefined;
  /** What {@link resident} may be. */
  readonly mostResident?: number | undefined;
}

const root = join(import.meta.dirname, '../..');
/** The package as it is published, where `npm test -- --all --only package` has made it. */
const PACKED = join(root, 'build/package/unpacked/package');

interface Case {
  readonly title: string;
  readonly args: readonly string[];
  readonly most?: number;
  /** Whether it prints how many bytes are resident. */
  readonly resident?: true;
  readonly mostResident?: number;
}

const NODE: Case = { title: 'node --eval 0', args: ['--eval', '0'] };
const RESIDENT = 'console.log(process.memoryUsage.rss())';
const IDLE_NODE: Case = {
  title: 'node, idle',
  args: ['--input-type=module', '--eval', RESIDENT],
  resident: true,
};

/** The cases of one layout. @param label what titles end with */
function casesOf(folder: string, label: string, required: boolean): Case[] {
  const library = pathToFileURL(join(folder, 'dist/lib/index.js')).href;
  const command = join(folder, 'bin/netlink-xfrm.js');
  const idle = `import { subscribe } from '${library}';
    const events = subscribe({ groups: ['sa'] }).on('event', () => {});
    setImmediate(() => { ${RESIDENT}; events.close(); });`;
  const script = (text: string) => ['--input-type=module', '--eval', text];
  const most = (milliseconds: number) => (required ? { most: milliseconds } : {});
  return [
    { title: `import netlink-xfrm${label}`, args: script(`import '${library}'`), ...most(25) },
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
      resident: true,
      ...(required && { mostResident: 12 * 2 ** 20 }),
    },
  ];
}

/** bash says to a millisecond what its children took of a processor. */
const TIMED = 'exec 3>&2; { TIMEFORMAT="%U %S"; time "$@" 2>&3; } 2>&1 >&4';

/** Runs Node to its end. @returns what it printed, and its milliseconds of a processor */
function timed(title: string, args: readonly string[]): { printed: string; cpu: number } {
  const { status, stdout, stderr, output } = spawnSync(
    'bash',
    ['-c', TIMED, 'bash', process.execPath, ...args],
    { stdio: ['ignore', 'pipe', 'pipe', 'ignore', 'pipe'], encoding: 'utf8' },
  );
  if (status !== 0) throw new Error(`${title}: ${stderr}`);
  const [user = Number.NaN, system = Number.NaN] = stdout.split(' ').map(Number);
  return { printed: output[4] ?? '', cpu: (user + system) * 1000 };
}

export function startup(rounds: number, progress: (text: string) => void): Startup[] {
  const cases = [NODE, IDLE_NODE, ...casesOf(root, '', false)];
  if (existsSync(PACKED)) cases.push(...casesOf(PACKED, ', as published', true));
  const lists = () => ({ times: [] as number[], cpu: [] as number[], bytes: [] as number[] });
  const all = cases.map((one) => ({ ...one, ...lists() }));
  progress('startup');
  // The first round is for the file cache.
  for (let round = -1; round < rounds; round++) {
    for (const { args, times, cpu, title, resident, bytes } of all) {
      const begun = performance.now();
      const ended = timed(title, args);
      if (round < 0) continue;
      times.push(performance.now() - begun);
      cpu.push(ended.cpu);
      if (resident) bytes.push(Number(ended.printed));
    }
  }
  const base = median(all[0]?.cpu ?? []);
  const idle = median(all[1]?.bytes ?? []);
  return all.map(({ title, times, cpu, most, mostResident, resident, bytes }) => ({
    title,
    times,
    cpu,
    more: median(cpu) - base,
    most,
    mostResident,
    resident: resident && median(bytes) - idle,
  }));
}
