/**
 * The images of the repository, a network namespace to listen in, and containers that do.
 * @module
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Ended, packed, root, temporary } from '../package/packed.ts';
import { alpine, alpineNode, debianNode } from './base.ts';
import { engine, LIFETIME, makeImage, podman } from './engine.ts';

/** Where certificates are that this machine trusts, for npm in a build. */
const CERTIFICATES = '/etc/ssl/certs';

/** What npm in a build is told of this machine. */
function npmSettings(): string {
  const get = (name: string) => execFileSync('npm', ['config', 'get', name], { encoding: 'utf8' });
  const file = join(temporary(), 'npmrc');
  const trust = existsSync(CERTIFICATES) ? `cafile=${CERTIFICATES}/ca-certificates.crt\n` : '';
  writeFileSync(file, `registry=${get('registry').trim()}\nprefer-offline=true\n${trust}`);
  return file;
}

/** Builds an image from a Dockerfile, in a context that holds the packed package. */
async function build(image: string, dockerfile: string, ...options: string[]): Promise<void> {
  const context = temporary();
  const { tarball } = await packed();
  cpSync(tarball, join(context, 'netlink-xfrm-0.0.0.tgz'));
  const cache = execFileSync('npm', ['config', 'get', 'cache'], { encoding: 'utf8' }).trim();
  mkdirSync(cache, { recursive: true });
  const mounts = [`${npmSettings()}:/usr/local/etc/npmrc:ro`, `${cache}:/root/.npm`];
  if (existsSync(CERTIFICATES)) mounts.push(`${CERTIFICATES}:${CERTIFICATES}:ro`);
  const { status, stdout, stderr } = await podman(
    ...['build', '--pull=never', '--network=host', '--tag', image, ...options],
    ...mounts.flatMap((mount) => ['--volume', mount]),
    ...['--file', join(root, dockerfile), context],
  );
  if (status !== 0) throw new Error(`${dockerfile}: ${stdout}${stderr}`);
}

let debianImages: Promise<void> | undefined;

/** `netlink-xfrm`, and `netlink-xfrm:file-capability`, where node gets NET_ADMIN from its file. */
export function buildImages(): Promise<void> {
  debianImages ??= (async () => {
    const node = 'docker.io/library/node:24-bookworm-slim';
    await makeImage(await engine(), node, await debianNode());
    await build('netlink-xfrm', 'containers/Dockerfile');
    const capability = ['--build-arg', 'FILE_CAPABILITY=cap_net_admin'];
    await build('netlink-xfrm:file-capability', 'containers/Dockerfile', ...capability);
  })();
  return debianImages;
}

/** `netlink-xfrm:alpine`. */
export async function buildAlpine(): Promise<void> {
  const place = await engine();
  await makeImage(place, 'docker.io/library/alpine:3', await alpine());
  await makeImage(place, 'docker.io/library/node:24-alpine', await alpineNode());
  await build('netlink-xfrm:alpine', 'containers/Dockerfile.alpine');
}

export type { Ended };

const holders: ChildProcess[] = [];
process.on('exit', () => {
  for (const child of holders) child.kill('SIGKILL');
});

/** A network namespace that is there while the tests are. */
export interface Namespace {
  /** Of the process that holds it. */
  readonly pid: number;
  /** For podman's option --network. */
  readonly network: string;
  /** Runs a program in it. */
  run(...command: string[]): void;
}

export function namespace(): Namespace {
  const child = spawn('unshare', ['--net', 'sleep', String(LIFETIME)], { stdio: 'ignore' });
  holders.push(child);
  child.unref();
  const pid = child.pid as number;
  const path = `/proc/${pid}/ns/net`;
  const own = readlinkSync('/proc/self/ns/net');
  while (readlinkSync(path) === own) execFileSync('sleep', ['0.05']);
  const run = ([program = '', ...args]: string[]) =>
    execFileSync('nsenter', [`--net=${path}`, program, ...args], {
      stdio: ['ignore', 'ignore', 2],
    });
  run(['ip', 'link', 'set', 'lo', 'up']);
  return { pid, network: `ns:${path}`, run: (...command) => run(command) };
}

/** Options and image of a container, and the arguments of the command in it. */
export interface Container {
  readonly image?: string;
  readonly options?: readonly string[];
  readonly args: readonly string[];
}

const runArgs = ({ image = 'netlink-xfrm', options = [], args }: Container) => [
  ...['run', '--rm', `--timeout=${LIFETIME}`],
  ...[...options, `localhost/${image}`, ...args],
];

/** Runs a container to its end. */
export const runContainer = (container: Container): Promise<Ended> => podman(...runArgs(container));

/** A container that listens: what `cause` does is for it to hear. It ends by itself. */
export async function listen(container: Container, cause: () => void): Promise<Ended> {
  const { program, env } = await engine();
  const child = spawn(program, runArgs(container), { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    stdout += text;
  });
  const closed = once(child, 'close');
  await new Promise<void>((resolve) => {
    child.stderr.setEncoding('utf8').on('data', (text) => {
      stderr += text;
      if (stderr.includes('listening to ')) resolve();
    });
    child.on('close', () => resolve());
  });
  if (stderr.includes('listening to ')) cause();
  const [status] = await closed;
  return { status, stdout, stderr };
}

/** Gives a namespace a name in a folder, as `ip netns` does. */
export function mountNamespace({ pid }: Namespace, path: string): void {
  writeFileSync(path, '');
  execFileSync('mount', ['--bind', `/proc/${pid}/ns/net`, path]);
  // Before the folder is removed.
  process.prependListener('exit', () => execFileSync('umount', [path]));
}
