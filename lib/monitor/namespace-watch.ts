/**
 * Network namespaces that have a name: a file on which the namespace is mounted, as `ip netns add`
 * makes it in /run/netns (ip-netns(8)). Those there, and those that come and go.
 * @module
 */
import { type FSWatcher, readdirSync, statfsSync, statSync, watch } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';

/** Where `ip netns` keeps its names. */
export const NAMED = '/run/netns';

export interface NamedNamespace {
  /** As it came: escape it before it is printed. */
  readonly name: string;
  readonly path: string;
  /** Its device and inode number: the same for two names of one namespace. */
  readonly id: string;
}

export interface NamespaceListener {
  /** What this throws, {@link NamespaceWatch.begin} throws for those that are there. */
  added(namespace: NamedNamespace): void;
  /** The name is gone, or now names another namespace, which is told as added next. */
  removed(namespace: NamedNamespace): void;
}

/** NSFS_MAGIC of linux/magic.h: the file system of namespaces. */
const NSFS = 0x6e736673;
/** `ip netns add` makes the file, and then mounts the namespace on it, which inotify does not tell. */
const FIRST_LOOK = 1;
const LAST_LOOK = 1024;
/** PROC_SUPER_MAGIC of linux/magic.h. */
const PROCFS = 0x9fa0;
/**
 * Milliseconds between looks without a reason: inotify tells nothing of /proc, of the target of a link, and
 * of mounting and unmounting, and there may be none left to have (inotify(7), max_user_instances).
 */
const INTERVAL = 1000;

/** What `ask` finds; undefined if what it asks for is not there, or may not be read. */
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

/** Whether a directory belongs to processes: a name in it goes for good, a process's number does not. */
export const isOfProcess = (directory: string): boolean =>
  ifThere(() => statfsSync(directory).type) === PROCFS;

/** Watches a directory. It may go: that is told by its parent. */
const watchDirectory = (directory: string, changed: (name: string | null) => void) =>
  ifThere(() => watch(directory, (_, name) => changed(name)).on('error', () => {}));

/** Watches a directory of namespaces, which need not be there yet. Keeps the process alive. */
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

  /** @param names which to watch; all if left out */
  constructor(listener: NamespaceListener, directory = NAMED, names?: ReadonlySet<string>) {
    this.#directory = directory;
    this.#names = names;
    this.#listener = listener;
  }

  /** Lets the process end although it watches. To be called before {@link begin}. */
  unref(): this {
    this.#alive = false;
    return this;
  }

  /** Tells of all that are there before it returns, then of what changes. */
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

  /** What keeps the process alive, if that is wanted. */
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

  /** The directory came, went, or was made anew. */
  #enter(): void {
    this.#watcher?.close();
    this.#watcher = this.#kept(
      watchDirectory(this.#directory, (name) => {
        if (name === null || this.#names?.has(name) !== false) this.#look(FIRST_LOOK);
      }),
    );
    this.#look(FIRST_LOOK);
  }

  /** @param patience milliseconds until the next look, if a file is no namespace yet */
  #look(patience: number): void {
    clearTimeout(this.#timer);
    const names = [...(this.#names ?? ifThere(() => readdirSync(this.#directory).sort()) ?? [])];
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

/** Whether a path leads to another namespace, or to none. One that may not be looked at may still lead there. */
function leadsElsewhere(path: string, id: string): boolean {
  try {
    const { dev, ino } = statSync(path, { bigint: true });
    return `${dev}:${ino}` !== id;
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    return ['ENOENT', 'ENOTDIR', 'ESRCH'].includes(code);
  }
}

/**
 * Calls `gone`, once and later, when a path no longer leads to a namespace: its name was removed or given to another, or
 * the process that it is of has ended. That is within a second where inotify does not tell, as of /proc. It does not keep
 * the process alive.
 *
 * @param id of the namespace ({@link HeldNamespace.id}); undefined: nothing is watched
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
