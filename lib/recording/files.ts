/**
 * The files of a recording: one that grows, or a directory with a ring of them. Only their owner
 * can read them.
 * @module
 */
import { constants } from 'node:fs';
import {
  type FileHandle,
  link,
  mkdir,
  open,
  readdir,
  rm,
  stat,
  statfs,
  unlink,
} from 'node:fs/promises';
import { join } from 'node:path';
import type { BlockStore } from './block-writer.ts';
import { isMagic, MAGIC } from './format.ts';
import { RecordingError } from './recorded.ts';

/** The ending of a file of a ring. */
export const EXTENSION = '.nxr';
/** Files in a full ring. */
const FILES = 16;
/** The smallest file of a ring. */
const LEAST = 64 * 1024;
/** Bytes of a block: larger ones are compressed little better or faster (docs/performance.md). */
export const BLOCK = 2 ** 20;
/** Milliseconds after which what was written is forced to the disk. */
const SYNC = 1000;
const MODE = 0o600;
/**
 * File systems of which the files are not stored but are the kernel's state (linux/magic.h): proc,
 * sysfs, cgroup, cgroup2, debugfs, tracefs, securityfs, bpf.
 */
const KERNEL_STATE = new Set([
  0x9fa0, 0x62656572, 0x27e0eb, 0x63677270, 0x64626720, 0x74726163, 0x73636673, 0xcafe4a11,
]);
/** A full disk, in a quota or altogether. */
const FULL = new Set(['ENOSPC', 'EDQUOT']);

/** One file, to which blocks are appended. */
export class RecordingFile implements BlockStore {
  readonly blockSize = BLOCK;
  readonly #file: FileHandle;
  #size: number;
  #synced = performance.now();

  private constructor(file: FileHandle, size: number) {
    this.#file = file;
    this.#size = size;
  }

  /**
   * Opens a file, or continues one that is a recording.
   *
   * @throws RecordingError if it is something else; Error of the system
   */
  static async open(path: string): Promise<RecordingFile> {
    const { O_CREAT, O_RDWR, O_APPEND, O_NOFOLLOW } = constants;
    const file = await open(path, O_CREAT | O_RDWR | O_APPEND | O_NOFOLLOW, MODE);
    try {
      const about = await file.stat();
      if (!about.isFile()) throw new RecordingError(`${path} is not a regular file`);
      // Size 0 says nothing there: each of its files has it.
      if (KERNEL_STATE.has((await statfs(path)).type)) {
        throw new RecordingError(`${path} stores nothing: it shows the kernel's state`);
      }
      if (about.size > 0) {
        const { buffer, bytesRead } = await file.read(
          Buffer.alloc(MAGIC.length),
          0,
          MAGIC.length,
          0,
        );
        if (bytesRead < MAGIC.length || !isMagic(buffer, 0)) {
          throw new RecordingError(`${path} exists and is not a recording: choose another file`);
        }
      }
      await file.chmod(MODE);
      return new RecordingFile(file, about.size);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /**
   * Creates a file that does not exist, with its first block, under a temporary name until then.
   *
   * @throws EEXIST, as the file system says it, if it exists
   */
  static async create(path: string, block: Uint8Array): Promise<RecordingFile> {
    const temporary = `${path}.${process.pid}.new`;
    await rm(temporary, { force: true });
    const file = await open(temporary, 'ax', MODE);
    try {
      const created = new RecordingFile(file, 0);
      await created.write(block);
      await file.datasync();
      // Unlike a rename, it replaces nothing.
      await link(temporary, path);
      return created;
    } catch (error) {
      await file.close();
      throw error;
    } finally {
      await rm(temporary, { force: true });
    }
  }

  get size(): number {
    return this.#size;
  }

  /** Appends a block. If that fails, nothing of it remains. */
  async write(block: Uint8Array): Promise<void> {
    let done = 0;
    try {
      while (done < block.length) {
        done += (await this.#file.write(block, done, block.length - done)).bytesWritten;
      }
      if (performance.now() - this.#synced >= SYNC) {
        await this.#file.datasync();
        this.#synced = performance.now();
      }
    } catch (error) {
      await this.#file.truncate(this.#size).catch(() => {});
      throw error;
    }
    this.#size += block.length;
  }

  async close(): Promise<void> {
    await this.#file.datasync().catch(() => {});
    await this.#file.close();
  }
}

/** The files of a ring, oldest first. */
export async function ringFiles(directory: string): Promise<string[]> {
  const names = await readdir(directory);
  return names.filter((name) => NAME.test(name)).sort();
}

const NAME = /^\d{10}\.nxr$/;
/** A file that was being created by a process. */
const UNFINISHED = /^\d{10}\.nxr\.(\d+)\.new$/;

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** A directory of files, of which the oldest is deleted when all together are too large. */
export class RecordingRing implements BlockStore {
  /** A block fits into a file of the ring. */
  readonly blockSize: number;
  readonly #directory: string;
  readonly #most: number;
  /** Bytes of one file. */
  readonly #mostOfFile: number;
  /** The sizes of complete files, oldest first. */
  readonly #complete: Map<string, number>;
  #current: { readonly name: string; readonly file: RecordingFile } | undefined;
  #next: number;
  /** Called before the first block of another file is written. */
  rotated: () => void = () => {};

  private constructor(directory: string, most: number, files: Map<string, number>) {
    this.#directory = directory;
    this.#most = most;
    this.#mostOfFile = Math.max(LEAST, Math.floor(most / FILES));
    this.blockSize = Math.min(BLOCK, this.#mostOfFile);
    this.#complete = files;
    const [last] = [...files.keys()].reverse();
    this.#next = last === undefined ? 1 : Number.parseInt(last, 10) + 1;
  }

  /**
   * Opens a directory, which is created if it does not exist. Files of an earlier recording in it
   * are part of the ring.
   *
   * @param most bytes of all files together
   */
  static async open(directory: string, most: number): Promise<RecordingRing> {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    for (const name of await readdir(directory)) {
      const [, pid] = UNFINISHED.exec(name) ?? [];
      if (pid && !isRunning(Number(pid))) await rm(join(directory, name), { force: true });
    }
    const files = new Map<string, number>();
    for (const name of await ringFiles(directory)) {
      files.set(name, (await stat(join(directory, name))).size);
    }
    return new RecordingRing(directory, Math.max(most, 2 * LEAST), files);
  }

  async write(block: Uint8Array): Promise<void> {
    for (;;) {
      try {
        await this.#write(block);
        return;
      } catch (error) {
        // Older events make room for newer ones.
        const { code = '' } = error as NodeJS.ErrnoException;
        if (!FULL.has(code) || !(await this.#dropOldest())) throw error;
      }
    }
  }

  async close(): Promise<void> {
    await this.#current?.file.close();
    this.#current = undefined;
  }

  async #write(block: Uint8Array): Promise<void> {
    const most = this.#mostOfFile;
    const { file, name } = this.#current ?? {};
    if (file && name && (file.size === 0 || file.size + block.length <= most)) {
      await file.write(block);
      return;
    }
    if (file && name) {
      await file.close();
      this.#complete.set(name, file.size);
      this.#current = undefined;
    }
    const all = () => [...this.#complete.values()].reduce((sum, size) => sum + size, 0);
    while (all() + Math.max(most, block.length) > this.#most && (await this.#dropOldest()));
    const next = `${`${this.#next}`.padStart(10, '0')}${EXTENSION}`;
    const created = await RecordingFile.create(join(this.#directory, next), block).catch(
      (error: NodeJS.ErrnoException) => {
        if (error.code !== 'EEXIST') throw error;
        throw new RecordingError(
          `another recorder writes to ${this.#directory}: give each a directory of its own`,
        );
      },
    );
    this.#next++;
    this.#current = { name: next, file: created };
    this.rotated();
  }

  /** @returns whether there was one */
  async #dropOldest(): Promise<boolean> {
    const [oldest] = this.#complete.keys();
    if (oldest === undefined) return false;
    this.#complete.delete(oldest);
    await unlink(join(this.#directory, oldest)).catch(() => {});
    return true;
  }
}
