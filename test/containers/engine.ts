/**
 * A container engine with storage of its own, which is gone when the tests are: podman from PATH, else Debian's, fetched
 * as the lab fetches its kernels; nothing is installed.
 * @module
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fetchLabTools, type LabTools } from '../../lib/lab/index.ts';
import { type Ended, run } from '../package/packed.ts';
import { debian } from './base.ts';

/** Debian's packages of the engine. */
const PACKAGES = ['podman', 'runc', 'conmon', 'golang-github-containers-common'];

/** Programs that are started through a script that tells them where their libraries are. */
const PROGRAMS = ['podman', 'conmon', 'runc'];

const PREFIX = 'netlink-xfrm-containers-';

/** Seconds after which a container is ended, whatever became of the test that started it. */
export const LIFETIME = 900;

/**
 * A limit of containers: this process's (proc(5)), for it may not be raised everywhere, but at most `most`, for on its
 * way to a container it is lowered here and there.
 */
function limit(name: string, most: number): string {
  const line = new RegExp(`^${name} +\\S+ +(\\S+)`, 'm');
  const [, hard] = line.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
  const value = Math.min(most, hard === 'unlimited' ? most : Number(hard));
  return `${value}:${value}`;
}

/** The folder of an engine, and how it is started. */
interface Place {
  readonly folder: string;
  readonly program: string;
  readonly env: NodeJS.ProcessEnv;
}

/** Unmounts what is mounted in a folder (proc_pid_mountinfo(5)): an engine that was killed leaves its storage mounted. */
function unmount(folder: string): void {
  const points = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((point) => point.startsWith(`${folder}/`));
  // The last mounted comes first: mounts may lie in each other.
  for (const point of points.reverse()) spawnSync('umount', [point], { stdio: 'ignore' });
}

/** Ends the containers of a folder, and removes all that it holds. */
function remove({ folder, program, env }: Place): void {
  for (const args of [
    ['rm', '--all', '--force', '--time', '0'],
    ['image', 'umount', '--all'],
  ]) {
    // An engine that does not run has left nothing.
    spawnSync(program, args, { env, stdio: 'ignore' });
  }
  unmount(folder);
  rmSync(folder, { recursive: true, force: true });
}

function placeOf(folder: string, program = join(folder, 'bin/podman')): Place {
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    HOME: join(folder, 'home'),
    PATH: [join(folder, 'bin'), process.env.PATH].join(delimiter),
    CONTAINERS_CONF: join(folder, 'containers.conf'),
    CONTAINERS_STORAGE_CONF: join(folder, 'storage.conf'),
    NODE_TEST_CONTEXT: undefined,
  };
  return { folder, program, env };
}

/** Removes what tests left that were killed. */
function removeStale(): void {
  for (const name of readdirSync(tmpdir())) {
    const [, pid] = new RegExp(`^${PREFIX}(\\d+)-`).exec(name) ?? [];
    if (pid === undefined || existsSync(`/proc/${pid}`)) continue;
    const folder = join(tmpdir(), name);
    remove(placeOf(folder, existsSync(join(folder, 'bin/podman')) ? undefined : 'podman'));
  }
}

/** Makes programs of the fetched tools start with the libraries that were fetched with them. */
function installLaunchers(folder: string, { path, libraries }: LabTools): void {
  for (const name of PROGRAMS) {
    const program = path
      .split(delimiter)
      .map((one) => join(one, name))
      .find((one) => existsSync(one));
    const text = `#!/bin/sh\nLD_LIBRARY_PATH=${libraries.join(':')} exec ${program} "$@"\n`;
    writeFileSync(join(folder, 'bin', name), text, { mode: 0o755 });
  }
}

/**
 * containers.conf(5), containers-storage.conf(5), containers-policy.json(5). Fetched programs are configured with the paths of their parts
 * are; an engine of the machine keeps its own settings for that.
 */
function configure(folder: string, driver: string, fetched: LabTools | undefined): void {
  mkdirSync(join(folder, 'home/.config/containers'), { recursive: true });
  const policy = { default: [{ type: 'insecureAcceptAnything' }] };
  writeFileSync(join(folder, 'home/.config/containers/policy.json'), JSON.stringify(policy));
  const [seccomp, engine] =
    fetched === undefined
      ? ['', '']
      : [
          `seccomp_profile = "${fetched.root}/usr/share/containers/seccomp.json"`,
          `conmon_path = ["${folder}/bin/conmon"]
runtime = "runc"
[engine.runtimes]
runc = ["${folder}/bin/runc"]`,
        ];
  writeFileSync(
    join(folder, 'containers.conf'),
    `[containers]
default_ulimits = ["nofile=${limit('Max open files', 20_000)}", "nproc=${limit('Max processes', 4096)}"]
${seccomp}
[network]
network_config_dir = "${folder}/networks"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
tmp_dir = "${folder}/tmp"
${engine}
`,
  );
  writeFileSync(
    join(folder, 'storage.conf'),
    `[storage]\ndriver = "${driver}"\ngraphroot = "${folder}/store"\nrunroot = "${folder}/run"\n`,
  );
}

/** Runs podman to its end. */
export type Podman = (...args: readonly string[]) => Promise<Ended>;

const podmanOf =
  ({ program, env, folder }: Place): Podman =>
  (...args) =>
    run([program, ...args], folder, env);

/** Makes an image of a folder. */
export async function makeImage(
  { program, env }: Place,
  image: string,
  folder: string,
): Promise<void> {
  const tar = spawn('tar', ['-c', '-C', folder, '.'], { stdio: ['ignore', 'pipe', 2] });
  const path = 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
  const child = spawn(program, ['import', '--quiet', '--change', path, '-', image], {
    env,
    stdio: [tar.stdout, 'ignore', 'pipe'],
  });
  let text = '';
  child.stderr?.on('data', (data) => {
    text += data;
  });
  // With no reader it would wait for ever.
  child.once('error', () => tar.kill());
  const [status] = await once(child, 'close');
  if (status !== 0) throw new Error(`podman import: ${text.trim()}`);
}

/** Why the engine of a folder runs no container; undefined where it does. */
async function whyNot(place: Place): Promise<string | undefined> {
  try {
    await makeImage(place, 'docker.io/library/debian:bookworm-slim', await debian());
  } catch (error) {
    return (error as Error).message;
  }
  const args = ['run', '--rm', '--network=none', `--timeout=${LIFETIME}`, 'debian:bookworm-slim'];
  const { status, stderr } = await podmanOf(place)(...args, 'sh', '-c', ':');
  return status === 0 ? undefined : stderr.trim().split('\n').at(-1);
}

/** Thrown where no engine can be had. */
export class NoEngine extends Error {}

/** An engine, or why it can't be had. */
async function attempt(driver: string, fetched: LabTools | undefined): Promise<Place | string> {
  const folder = mkdtempSync(join(tmpdir(), `${PREFIX}${process.pid}-`));
  // Users of containers pass through it.
  chmodSync(folder, 0o755);
  mkdirSync(join(folder, 'bin'));
  if (fetched !== undefined) installLaunchers(folder, fetched);
  configure(folder, driver, fetched);
  const place = placeOf(folder, fetched === undefined ? 'podman' : undefined);
  const reason = await whyNot(place);
  if (reason === undefined) return place;
  remove(place);
  return reason;
}

async function start(): Promise<Place> {
  if (process.arch !== 'x64') throw new NoEngine('the images of the tests are for x64');
  if (process.getuid?.() !== 0) throw new NoEngine('it takes root');
  removeStale();
  const reasons: string[] = [];
  const ways = [
    ['podman', async () => undefined],
    ["Debian's podman", () => fetchLabTools(PACKAGES)],
  ] as const;
  for (const [name, get] of ways) {
    for (const driver of ['overlay', 'vfs']) {
      const found = await attempt(driver, await get());
      if (typeof found !== 'string') return found;
      reasons.push(`${name}, ${driver}: ${found}`);
    }
  }
  throw new NoEngine(`no container engine runs here (${reasons.join('; ')})`);
}

/** @throws NoEngine where none can be had */
export async function probe(): Promise<void> {
  remove(await start());
}

let started: Promise<Place> | undefined;

/** The engine; it is started once, and all that it holds is removed when this process ends. */
export function engine(): Promise<Place> {
  started ??= start().then((place) => {
    process.on('exit', () => remove(place));
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1));
    return place;
  });
  return started;
}

/** Runs podman to its end. */
export const podman: Podman = async (...args) => podmanOf(await engine())(...args);
