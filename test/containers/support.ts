/**
 * The images of the repository, a network namespace to listen in, and containers that do.
 * @module
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { processApart } from '../kernel/here.ts';
import { type Ended, packed, root, temporary } from '../package/packed.ts';
import { alpine, alpineNode, debianNode } from './base.ts';
import { engine, LIFETIME, makeImage, podman } from './engine.ts';

/** Where certificates are that this machine trusts, for npm in a build. */
const CERTIFICATES = '/etc/ssl/certs';

/** npm's configuration of this machine, for image builds. */
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
  const once = () =>
    podman(
      ...['build', '--pull=never', '--network=host', '--tag', image, ...options],
      ...mounts.flatMap((mount) => ['--volume', mount]),
      ...['--file', join(root, dockerfile), context],
    );
  let { status, stdout, stderr } = await once();
  // npm has crashed on Alpine now and then, on a busy machine. Nothing of the package runs in a build.
  if (status !== 0 && (stdout + stderr).includes('exited on segmentation fault')) {
    ({ status, stdout, stderr } = await once());
  }
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

/** A network namespace that containers share. */
export interface Namespace {
  /** Of the process that holds it. */
  readonly pid: number;
  /** For podman's option --network. */
  readonly network: string;
  /** Runs a program in it. */
  run(...command: string[]): void;
  /** The same, for its output. */
  output(...command: string[]): string;
}

/** A new one, until it is closed. */
export async function namespace(): Promise<Namespace & { close(): Promise<void> }> {
  const { host, pid } = await processApart();
  return { ...namespaceOf(pid), close: () => host.close() };
}

function namespaceOf(pid: number): Namespace {
  const path = `/proc/${pid}/ns/net`;
  const run = (...command: string[]) =>
    execFileSync('nsenter', [`--net=${path}`, ...command], { stdio: ['ignore', 'ignore', 2] });
  const output = (...command: string[]) =>
    execFileSync('nsenter', [`--net=${path}`, ...command], { encoding: 'utf8' });
  return { pid, network: `ns:${path}`, run, output };
}

/** Starts a container that does nothing, in a network of its own; gives its namespace. */
export async function idleContainer(name: string): Promise<Namespace> {
  const options = ['--detach', '--rm', '--name', name, '--network=none', `--timeout=${LIFETIME}`];
  const command = ['--entrypoint=sleep', 'localhost/netlink-xfrm', String(LIFETIME)];
  const started = await podman('run', ...options, ...command);
  if (started.status !== 0) throw new Error(started.stderr);
  const { stdout } = await podman('inspect', '--format={{.State.Pid}}', name);
  return namespaceOf(Number(stdout));
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
