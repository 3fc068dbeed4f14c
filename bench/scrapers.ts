/**
 * Numbers of IPsec for Prometheus, in the ways people get them: the daemon, node_exporter's xfrm
 * collector, and a script around `ip -s xfrm state` whose file node_exporter passes on. By turns, on
 * the same SAs of the kernel.
 * @module
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { RouteClient, XfrmClient } from '../lib/index.ts';
import { answer } from './http.ts';
import { program } from './native.ts';
import { cpuTime } from './proc.ts';
import { timed } from './startup.ts';
import { median } from './stats.ts';
import { withHubAddress } from './tunnels.ts';
import { connect } from './verdicts.ts';

/** Milliseconds and bytes; medians. */
export interface Scraper {
  readonly title: string;
  readonly ms: number;
  /** Of a processor: all threads, and all programs that were started. */
  readonly cpu: number;
  /** Resident afterwards; of programs that end, the most, of all that run at the same time. */
  readonly resident: number;
  readonly bytes: number;
  /** What the numbers are about. */
  readonly knows: string;
}

export interface Scrapers {
  readonly tunnels: number;
  readonly all: readonly Scraper[];
}

/** What one scrape took. */
type Scrape = Pick<Scraper, 'ms' | 'cpu' | 'bytes'>;

interface Contestant {
  readonly title: string;
  readonly knows: string;
  scrape(): Promise<Scrape>;
  resident(): Promise<number>;
}

const root = join(import.meta.dirname, '../..');
const SCRIPT = join(root, 'bench/ip-xfrm.sh');
const SERVE = 9786;
export const SERVE_TITLE = 'netlink-xfrm serve';
const XFRM = 9101;
const TEXT = 9102;

/** Bytes of a field of /proc/PID/status (proc_pid_status(5)); 0 if the process is gone. */
function memory(pid: number | string, field: 'VmRSS' | 'VmHWM'): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return 1024 * Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1] ?? 0);
  } catch {
    return 0;
  }
}

/** Processes of a process group. */
function membersOf(group: number): string[] {
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      // The name in parentheses may contain anything.
      const [, , its] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return Number(its) === group;
    } catch {
      return false;
    }
  });
}

/** The most memory of the programs of a command, together. */
async function mostMemory([file = '', ...args]: readonly string[]): Promise<number> {
  const child = spawn(file, args, { stdio: 'ignore', detached: true });
  const most = new Map<string, number>();
  while (child.exitCode === null && child.signalCode === null) {
    for (const pid of membersOf(child.pid as number)) {
      most.set(pid, Math.max(most.get(pid) ?? 0, memory(pid, 'VmHWM')));
    }
    await pause(5);
  }
  return [...most.values()].reduce((sum, one) => sum + one, 0);
}

/** The environment of a daemon, with Node set as in the systemd unit. */
export function unitEnvironment(): NodeJS.ProcessEnv {
  const unit = readFileSync(join(root, 'contrib/netlink-xfrm.service'), 'utf8');
  const [, options] = /^Environment=NODE_OPTIONS=(.*)$/m.exec(unit) ?? [];
  if (options === undefined) throw new Error('the unit does not set NODE_OPTIONS');
  return { ...process.env, NODE_OPTIONS: options };
}

/** A program that answers scrapes. Ends with `ended`. */
async function listening(
  title: string,
  knows: string,
  port: number,
  [file = '', ...args]: readonly string[],
  ended: AbortSignal,
): Promise<Contestant> {
  const child: ChildProcess = spawn(file, args, {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: unitEnvironment(),
  });
  let said = '';
  child.stderr?.on('data', (text) => {
    said = `${said}${text}`.slice(-1000);
  });
  ended.addEventListener('abort', () => child.kill());
  const pid = child.pid as number;
  const isReady = () => answer(port, '/metrics').then(Boolean, () => false);
  while (!(await isReady())) {
    if (child.exitCode !== null) throw new Error(`${title} has ended: ${said}`);
    await pause(100);
  }
  return {
    title,
    knows,
    async scrape() {
      const before = cpuTime(pid);
      const { ms, bytes } = await answer(port, '/metrics');
      return { ms, bytes, cpu: (cpuTime(pid) - before) / 1e6 };
    },
    resident: async () => memory(pid, 'VmRSS'),
  };
}

/** node_exporter with nothing but one collector. */
const exporter = (port: number, ...collector: readonly string[]) => [
  program('node_exporter'),
  `--web.listen-address=127.0.0.1:${port}`,
  '--web.disable-exporter-metrics',
  '--collector.disable-defaults',
  ...collector,
];

export const COUNTERS = 'the kernel’s counters of errors; no SA, no tunnel';

/** node_exporter's xfrm collector; undefined if there is no node_exporter. */
export const xfrmCollector = async (ended: AbortSignal): Promise<Contestant | undefined> =>
  existsSync(program('node_exporter'))
    ? listening(
        'node_exporter, xfrm collector',
        COUNTERS,
        XFRM,
        exporter(XFRM, '--collector.xfrm'),
        ended,
      )
    : undefined;

function script(file: string): Contestant {
  const command = ['sh', SCRIPT, file];
  const title = 'a script around ip -s xfrm state, to a file';
  return {
    title,
    knows: 'SAs that exist; counters end at each rekey, and what is down is not there',
    async scrape() {
      const begun = performance.now();
      const { cpu } = timed(title, command);
      return { ms: performance.now() - begun, cpu, bytes: statSync(file).size };
    },
    resident: () => mostMemory(command),
  };
}

/** Measures contestants by turns. */
export async function compareScrapers(
  all: readonly Contestant[],
  rounds: number,
): Promise<Scraper[]> {
  const scrapes = all.map(() => [] as Scrape[]);
  // The first rounds warm caches and compilers.
  for (let round = -3; round < rounds; round++) {
    for (const [i, one] of all.entries()) {
      const scrape = await one.scrape();
      if (round >= 0) scrapes[i]?.push(scrape);
    }
  }
  const results: Scraper[] = [];
  for (const [i, { title, knows, resident }] of all.entries()) {
    const of = (field: keyof Scrape) => median((scrapes[i] ?? []).map((one) => one[field]));
    const numbers = { ms: of('ms'), cpu: of('cpu'), bytes: of('bytes') };
    results.push({ title, knows, ...numbers, resident: await resident() });
  }
  return results;
}

/** Needs a kernel with ESP. */
export async function scrapers(
  { tunnels, rounds }: { tunnels: number; rounds: number },
  progress: (text: string) => void,
): Promise<Scrapers> {
  await using client = new XfrmClient();
  await using route = new RouteClient();
  await route.setLinkUp({ name: 'lo' });
  await using _ = await withHubAddress();
  progress(`scrapers: ${tunnels} tunnels are made`);
  await connect(client, 1, tunnels);
  const ended = new AbortController();
  const folder = mkdtempSync(join(tmpdir(), 'netlink-xfrm-'));
  try {
    const file = join(folder, 'ipsec.prom');
    progress('scrapers: the daemon and others, by turns');
    const command = [process.execPath, join(root, 'bin/netlink-xfrm.js'), 'serve'];
    const all = [
      await listening(
        SERVE_TITLE,
        'tunnels, also those that are down; totals over rekeys; the kernel’s counters',
        SERVE,
        command,
        ended.signal,
      ),
      await xfrmCollector(ended.signal),
      script(file),
    ].filter((one) => one !== undefined);
    await compareScrapers([script(file)], 1);
    if (existsSync(program('node_exporter'))) {
      const collector = [`--collector.textfile.directory=${folder}`, '--collector.textfile'];
      const passing = await listening(
        'node_exporter, which passes that file on',
        'the same, as of when the script ran',
        TEXT,
        exporter(TEXT, ...collector),
        ended.signal,
      );
      all.push(passing);
    }
    return { tunnels, all: await compareScrapers(all, rounds) };
  } finally {
    ended.abort();
    rmSync(folder, { recursive: true });
    await client.flushStates();
    await client.flushPolicies();
  }
}
