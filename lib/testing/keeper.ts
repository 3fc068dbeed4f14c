/**
 * Cleans up after a test, also after one whose process was killed. A shell outside its process group reads from a pipe,
 * which ends when the process does, however that happens; then it kills what is left in a network namespace and removes
 * folders.
 * @module
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Writable } from 'node:stream';

/**
 * Each line is a folder. Descriptor 3 is the namespace, which thus is still there, and its inode number not given to
 * another one. A process that is killed may have started others meanwhile, and takes a moment to end, on a busy machine a
 * long one; it may still write to its folder.
 */
const SCRIPT = `
while read -r folder; do set -- "$@" "$folder"; done
pass=0
while [ $pass -lt 50 ]; do
  pass=$((pass + 1))
  found=
  for one in /proc/[0-9]*; do
    [ "$one/ns/net" -ef /proc/self/fd/3 ] && kill -9 "\${one#/proc/}" && found=yes
  done
  [ $pass -lt 3 ] && continue
  [ -z "$found" ] && break
  sleep 0.1
done
[ $# -eq 0 ] || rm -rf "$@" || { sleep 1; rm -rf "$@"; }
`;

/** Ends what is in a namespace. */
export class Keeper {
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;

  /** @param netns its descriptor; undefined for one that is to stay, with all that runs in it */
  constructor(netns: number | undefined) {
    this.#child = spawn('sh', ['-c', SCRIPT, 'sh'], {
      stdio: ['pipe', 'ignore', 'ignore', netns ?? 'ignore'],
      detached: true,
      cwd: '/',
    });
    // Where there is no shell, what ends in order is cleaned up all the same.
    this.#ended = once(this.#child, 'exit').catch(() => {});
    this.#child.unref();
    const stdin = this.#child.stdin as Writable & { unref?: () => void };
    stdin.on('error', () => {});
    stdin.unref?.();
  }

  /** Removes a folder in the end. */
  remove(folder: string): void {
    this.#child.stdin?.write(`${folder}\n`);
  }

  /** Does its work now. */
  async end(): Promise<void> {
    this.#child.ref();
    this.#child.stdin?.end();
    await this.#ended;
  }
}
