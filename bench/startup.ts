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
  /** Median beyond Node alone. */
  readonly more: number;
  /** What {@link more} may be. */
  readonly most?: number | undefined;
  /** Bytes resident at its end, where they were asked for: the median beyond Node alone. */
  readonly resident?: number | undefined;
}

const root = join(import.meta.dirname, '../..');
/** The package as it is published, where the tests of it have made it. */
const PACKED = join(root, 'build/package/unpacked/package');

interface Case {
  readonly title: string;
  readonly args: readonly string[];
  readonly most?: number;
  /** Whether it prints how many bytes are resident. */
  readonly resident?: true;
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
    { title: `an idle subscription${label}`, args: script(idle), resident: true },
  ];
}

export function startup(rounds: number, progress: (text: string) => void): Startup[] {
  const cases = [NODE, IDLE_NODE, ...casesOf(root, '', false)];
  if (existsSync(PACKED)) cases.push(...casesOf(PACKED, ', as published', true));
  const all = cases.map((one) => ({ ...one, times: [] as number[], bytes: [] as number[] }));
  progress('startup');
  // The first round is for the file cache.
  for (let round = -1; round < rounds; round++) {
    for (const { args, times, title, resident, bytes } of all) {
      const begun = performance.now();
      const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
      if (status !== 0) throw new Error(`${title}: ${stderr}`);
      if (round < 0) continue;
      times.push(performance.now() - begun);
      if (resident) bytes.push(Number(stdout));
    }
  }
  const base = median(all[0]?.times ?? []);
  const idle = median(all[1]?.bytes ?? []);
  return all.map(({ title, times, most, resident, bytes }) => ({
    title,
    times,
    more: median(times) - base,
    most,
    resident: resident && median(bytes) - idle,
  }));
}
