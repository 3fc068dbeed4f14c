/**
 * Named network namespaces: files with a namespace mounted on them, as `ip netns add` makes in
 * /run/netns (ip-netns(8)). Reports those that exist, then those added and removed.
 * @module
 */
import { type FSWatcher, readdirSync, statfsSync, statSync, watch } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';

/** Where `ip netns` keeps its names. */
export const NAMED = '/run/netns';

export interface NamedNamespace {
  /** As found: escape it before printing. */
  readonly name: string;
  readonly path: string;
  /** The device and inode number: the same for two names of one namespace. */
  readonly id: string;
}

export interface NamespaceListener {
  /** Called for each namespace added. {@link NamespaceWatch.begin} rethrows its exceptions. */
  added(namespace: NamedNamespace): void;
  /** The name was removed, or now names another namespace, which is reported as added next. */
  removed(namespace: NamedNamespace): void;
}

/** NSFS_MAGIC of linux/magic.h: the file system of namespaces. */
const NSFS = 0x6e736673;
/**
 * `ip netns add` creates the file, then mounts the namespace on it, which inotify does not report.
 */
const FIRST_LOOK = 1;
const LAST_LOOK = 1024;
/** PROC_SUPER_MAGIC of linux/magic.h. */
const PROCFS = 0x9fa0;
/**
 * Milliseconds between periodic checks: inotify reports nothing about /proc, link targets, mounts
 * and unmounts, and its instances may be exhausted (inotify(7), max_user_instances).
 */
const INTERVAL = 1000;

/** The result of `ask`; undefined if the file does not exist or may not be read. */
function ifThere<Found>(ask: () => Found): Found | undefined {
  try {
    return ask();
  } catch {
    return undefined;
  }
}

/** What identifies the namespace at a path; undefined if there is none. */
export const namespaceId = (path: string): string | undefined =>
  ifThere(() => {
    if (statfsSync(path).type !== NSFS) return undefined;
    const { dev, ino } = statSync(path, { bigint: true });
    return `${dev}:${ino}`;
  });

/** Whether a directory is in /proc. Removal there is final, since process numbers are reused. */
export const isOfProcess = (directory: string): boolean =>
  ifThere(() => statfsSync(directory).type) === PROCFS;

/** Watches a directory. Its removal is reported by the watch on its parent. */
const watchDirectory = (directory: string, changed: (name: string | null) => void) =>
  ifThere(() => watch(directory, (_, name) => changed(name)).on('error', () => {}));

/** Watches a directory of namespaces, which need not exist yet. Keeps the process alive. */
export class NamespaceWatch {
  readonly #directory: string;
  readonly #names: ReadonlySet<string> | undefined;
  readonly #listener: NamespaceListener;
  readonly #known = new Map<string, NamedNamespace>();
  #parent: FSWatcher | undefined;
  #watcher: FSWatcher | undefined;
  #timer: NodeJS.Timeout | undefined;
  #interval: NodeJS.Timeout | undefined;
  #alive = true;

  /** @param names which to watch; default: all */
  constructor(listener: NamespaceListener, directory = NAMED, names?: ReadonlySet<string>) {
    this.#directory = directory;
    this.#names = names;
    this.#listener = listener;
  }

  /** Lets the process end while it watches. Call before {@link begin}. */
  unref(): this {
    this.#alive = false;
    return this;
  }

  /** Reports all existing namespaces before it returns, then changes. */
  begin(): void {
    const base = basename(this.#directory);
    this.#parent = this.#kept(
      watchDirectory(dirname(this.#directory), (name) => {
        if (name === base) this.#enter();
      }),
    );
    this.#enter();
    this.#interval = this.#kept(setInterval(() => this.#look(LAST_LOOK * 2), INTERVAL));
  }

  /** A handle, unreferenced if it should not keep the process alive. */
  #kept<Handle extends { unref(): unknown } | undefined>(handle: Handle): Handle {
    if (!this.#alive) handle?.unref();
    return handle;
  }

  close(): void {
    this.#parent?.close();
    this.#watcher?.close();
    clearTimeout(this.#timer);
    clearInterval(this.#interval);
  }

  /** The directory was created, removed or replaced. */
  #enter(): void {
    this.#watcher?.close();
    this.#watcher = this.#kept(
      watchDirectory(this.#directory, (name) => {
        if (name === null || this.#names?.has(name) !== false) this.#look(FIRST_LOOK);
      }),
    );
    this.#look(FIRST_LOOK);
  }

  /** @param patience milliseconds until the next check, if a file is not a namespace yet */
  #look(patience: number): void {
    clearTimeout(this.#timer);
    const names = this.#names ? [...this.#names] : namesIn(this.#directory);
    // What cannot be read now, say for lack of descriptors, is read again later.
    if (names === undefined) return;
    const found = new Map<string, NamedNamespace>();
    for (const name of names) {
      const path = join(this.#directory, name);
      const id = namespaceId(path);
      if (id !== undefined) found.set(name, { name, path, id });
    }
    for (const [name, known] of this.#known) {
      if (found.get(name)?.id === known.id) continue;
      this.#known.delete(name);
      this.#listener.removed(known);
    }
    for (const [name, namespace] of found) {
      if (this.#known.has(name)) continue;
      this.#known.set(name, namespace);
      this.#listener.added(namespace);
    }
    if (found.size < names.length && patience <= LAST_LOOK) {
      this.#timer = this.#kept(setTimeout(() => this.#look(patience * 2), patience));
    }
  }
}

const isGone = (error: unknown): boolean =>
  ['ENOENT', 'ENOTDIR', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '');

/** The names in a directory, none if it does not exist; undefined if they cannot be known. */
function namesIn(directory: string): readonly string[] | undefined {
  try {
    return readdirSync(directory).sort();
  } catch (error) {
    return isGone(error) ? [] : undefined;
  }
}

/**
 * Whether a path leads to another namespace or to none. If it cannot be checked, it may still lead
 * there.
 */
function leadsElsewhere(path: string, id: string): boolean {
  try {
    const { dev, ino } = statSync(path, { bigint: true });
    return `${dev}:${ino}` !== id;
  } catch (error) {
    return isGone(error);
  }
}

/**
 * Calls `gone`, once and asynchronously, when a path no longer leads to a namespace: its name was
 * removed or reused, or its process ended. Takes up to a second where inotify reports nothing, as
 * for /proc. Does not keep the process alive.
 *
 * @param id the namespace's ({@link HeldNamespace.id}); undefined: nothing is watched
 */
export function watchPath(path: string, id: string | undefined, gone: () => void): Disposable {
  if (id === undefined) return { [Symbol.dispose]() {} };
  const full = resolve(path);
  let ended = false;
  const check = () => {
    if (ended || !leadsElsewhere(full, id)) return;
    watch.close();
    ended = true;
    process.nextTick(gone);
  };
  const listener = { added: check, removed: check };
  const watch = new NamespaceWatch(listener, dirname(full), new Set([basename(full)])).unref();
  watch.begin();
  check();
  return {
    [Symbol.dispose]() {
      ended = true;
      watch.close();
    },
  };
}
