/**
 * Totals and since-times on disk: written as a whole or not at all, and checked when read. What a
 * damaged file says is not used; it is set aside. @module
 */
import { createHash } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
} from 'node:fs';
import { type FileHandle, open, rename, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import type { SavedSeries } from '../metrics/tunnel-series.ts';

const FORMAT = 'netlink-xfrm/serve-state/1';
const NAME = 'serve-state.ndjson';
/** Bytes: 10,000 tunnels take about 8 MiB. */
const LARGEST = 512 * 2 ** 20;
/** Bytes written before others get a turn. */
const CHUNK = 64 * 1024;

/** The series of the namespaces, by name; null is the process's own. */
export type SavedSeriesByNamespace = ReadonlyMap<string | null, Iterable<SavedSeries>>;

export interface SavedState {
  readonly namespaces: SavedSeriesByNamespace;
  /** Whether it was saved at exit: nothing was exported after that. */
  readonly isLast: boolean;
}

/** The line that begins the file. */
interface Head {
  readonly format: string;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly isLast: boolean;
}

/** A full disk, which is no reason not to start: there may be room later. */
const FULL = new Set(['ENOSPC', 'EDQUOT']);

/** Why a file cannot be used. */
class Damaged extends Error {}

/** One directory's state file. */
export class StateFile {
  readonly #directory: string;
  readonly #path: string;
  #writing: Promise<void> | undefined;

  /** @throws SystemError if the directory cannot be made or written to, unless the disk is full */
  constructor(directory: string) {
    this.#directory = directory;
    this.#path = join(directory, NAME);
    try {
      // Told now, not when the first write fails.
      this.#make();
      // Not 'w': another daemon may be writing the file.
      closeSync(openSync(`${this.#path}.tmp`, 'a', 0o600));
    } catch (error) {
      if (!FULL.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
  }

  #make(): void {
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
  }

  /**
   * What was saved; undefined if nothing was.
   *
   * @param aside called for a damaged file, with the reason and its new name
   * @throws an Error that says why it cannot be read
   */
  read(aside: (why: string, path: string) => void): SavedState | undefined {
    let text: string;
    try {
      const stat = statSync(this.#path);
      // Reading a FIFO would block until someone writes to it.
      if (!stat.isFile()) throw new Error(`${this.#path} is not a regular file`);
      if (stat.size > LARGEST) throw new Damaged('it is too large');
      text = readFileSync(this.#path, 'utf8');
      return parsed(text);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      if (!(error instanceof Damaged)) throw error;
      const kept = `${this.#path}.damaged`;
      renameSync(this.#path, kept);
      aside(error.message, kept);
      return undefined;
    }
  }

  /** Writes the file anew. While one write is under way, another is not begun. */
  write(state: SavedState, now: number): Promise<void> {
    this.#writing ??= this.#write(state, now).finally(() => {
      this.#writing = undefined;
    });
    return this.#writing;
  }

  /** Waits for a write that is under way. */
  async settled(): Promise<void> {
    await this.#writing?.catch(() => {});
  }

  async #write(state: SavedState, now: number): Promise<void> {
    const temporary = `${this.#path}.tmp`;
    this.#make();
    const file = await open(temporary, 'w', 0o600);
    try {
      await writeLines(file, linesOf(state, now));
      await file.sync();
    } catch (error) {
      // What was written so far must not fill a full disk.
      await unlink(temporary).catch(() => {});
      throw error;
    } finally {
      await file.close();
    }
    await rename(temporary, this.#path);
    // The new name too must survive a loss of power.
    const directory = openSync(this.#directory, 'r');
    try {
      fsyncSync(directory);
    } finally {
      closeSync(directory);
    }
  }
}

function* linesOf(state: SavedState, at: number): Generator<string, undefined> {
  const { namespaces, isLast } = state;
  yield JSON.stringify({ format: FORMAT, at, isLast } satisfies Head);
  for (const [netns, all] of namespaces) {
    for (const series of all) yield JSON.stringify({ netns, ...series });
  }
}

/** Writes lines, and a last one with their digest. */
async function writeLines(file: FileHandle, lines: Iterable<string>): Promise<void> {
  const hash = createHash('sha256');
  let text = '';
  const flush = async () => {
    hash.update(text);
    // Not write(), which may write a part when the disk gets full.
    await file.appendFile(text);
    text = '';
    await turn();
  };
  for (const line of lines) {
    text += `${line}\n`;
    if (text.length >= CHUNK) await flush();
  }
  await flush();
  await file.appendFile(`${JSON.stringify({ sha256: hash.digest('hex') })}\n`);
}

function parsed(text: string): SavedState {
  const end = text.lastIndexOf('\n', text.length - 2) + 1;
  const digest = createHash('sha256').update(text.slice(0, end)).digest('hex');
  if (text.slice(end) !== `${JSON.stringify({ sha256: digest })}\n`) {
    throw new Damaged('its checksum does not match its content');
  }
  const [first = '', ...lines] = text.slice(0, end).trimEnd().split('\n');
  try {
    const { format, isLast } = JSON.parse(first) as Head;
    if (format !== FORMAT) throw new Damaged(`its format is ${String(format)}, not ${FORMAT}`);
    const namespaces = new Map<string | null, SavedSeries[]>();
    for (const line of lines) {
      const { netns, ...series } = JSON.parse(line) as SavedSeries & { netns: string | null };
      if (!isSeries(series)) throw new Damaged('an entry lacks a member');
      const all = namespaces.get(netns) ?? [];
      namespaces.set(netns, all);
      all.push(series);
    }
    return { namespaces, isLast: isLast === true };
  } catch (error) {
    if (error instanceof SyntaxError) throw new Damaged(error.message);
    throw error;
  }
}

/** The checksum matches, so this program wrote it; another version may have. */
function isSeries({ label, countingSince, sums, downs, sas }: SavedSeries): boolean {
  return (
    typeof label === 'string' &&
    Number.isFinite(countingSince) &&
    [sums, downs].every((all) => Array.isArray(all) && all.every(Number.isFinite)) &&
    (sas === undefined || Array.isArray(sas))
  );
}
