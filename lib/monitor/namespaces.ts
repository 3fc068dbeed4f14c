/**
 * Network namespaces that have a name: a file in /run/netns on which the namespace is mounted, as
 * `ip netns add` makes it (ip-netns(8)). Those there, and those that come and go.
 * @module
 */
import { type FSWatcher, readdirSync, statfsSync, statSync, watch } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/** A network namespace with a name. */
export interface NamedNamespace {
  /** As it came: escape it before it is printed. */
  readonly name: string;
  readonly path: string;
  /** Its device and inode number: the same for two names of one namespace. */
  readonly id: string;
}

/** What is told of a directory of namespaces. */
export interface NamespaceListener {
  added(namespace: NamedNamespace): void;
  /** The name is gone, or now names another namespace, which is told as added next. */
  removed(namespace: NamedNamespace): void;
}

/** NSFS_MAGIC of linux/magic.h: the file system of namespaces. */
const NSFS = 0x6e736673;
/** `ip netns add` makes the file, and then mounts the namespace on it, which inotify does not tell. */
const FIRST_LOOK = 1;
const LAST_LOOK = 1024;

/** What identifies the namespace at a path; undefined if there is none. */
export function namespaceId(path: string): string | undefined {
  try {
    if (statfsSync(path).type !== NSFS) return undefined;
    const { dev, ino } = statSync(path, { bigint: true });
    return `${dev}:${ino}`;
  } catch {
    return undefined; // gone meanwhile
  }
}

/** Watches a directory of namespaces, which need not be there yet. Keeps the process alive. */
export class NamespaceWatch {
  readonly #directory: string;
  readonly #listener: NamespaceListener;
  readonly #known = new Map<string, NamedNamespace>();
  readonly #parent: FSWatcher;
  #watcher: FSWatcher | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** Tells of all that are there before it returns. */
  constructor(listener: NamespaceListener, directory = '/run/netns') {
    this.#directory = directory;
    this.#listener = listener;
    this.#parent = watch(dirname(directory), (_, name) => {
      if (name === basename(directory)) this.#begin();
    });
    this.#begin();
  }

  close(): void {
    this.#parent.close();
    this.#watcher?.close();
    clearTimeout(this.#timer);
  }

  /** The directory came, went, or was made anew. */
  #begin(): void {
    this.#watcher?.close();
    try {
      this.#watcher = watch(this.#directory, () => this.#look(FIRST_LOOK));
      // It may go: that is told by its parent.
      this.#watcher.on('error', () => {});
    } catch {
      this.#watcher = undefined;
    }
    this.#look(FIRST_LOOK);
  }

  #names(): string[] {
    try {
      return readdirSync(this.#directory).sort();
    } catch {
      return [];
    }
  }

  /** @param patience milliseconds until the next look, if a file is no namespace yet */
  #look(patience: number): void {
    clearTimeout(this.#timer);
    const names = this.#names();
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
      this.#timer = setTimeout(() => this.#look(patience * 2), patience);
    }
  }
}
