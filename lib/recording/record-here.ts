/**
 * Records network namespaces of this host into a file or a ring, until it is closed.
 * @module
 */
import { namespacePath } from '../monitor/namespace-path.ts';
import { NamespaceWatch } from '../monitor/namespace-watch.ts';
import { RecordingFile, RecordingRing } from './files.ts';
import { Recorder, type RecorderOptions } from './recorder.ts';

/** Milliseconds between attempts to record a namespace. */
const RETRY = 1000;

export interface RecordHereOptions extends Omit<RecorderOptions, 'failed'> {
  /** The file, or the directory of the ring. */
  readonly path: string;
  /** The size of the ring in bytes; undefined for a file. */
  readonly ring: number | undefined;
  /** Namespaces by name or path; empty for the current one. */
  readonly netns: readonly string[];
  /** The current one and all named ones, including new ones. */
  readonly allNetns: boolean;
  /** Called when a namespace cannot, or no longer, be recorded. */
  failed(error: Error, netns: string | null): void;
}

export interface RecordingHere {
  readonly totals: Recorder['totals'];
  /** Resolves when a snapshot of each namespace has been recorded. */
  ready(): Promise<void>;
  /** @returns a promise that is fulfilled when everything is stored */
  close(): Promise<void>;
}

/** @throws SystemError as subscribe(); Error of the system for the path */
export async function recordHere(options: RecordHereOptions): Promise<RecordingHere> {
  const { path, ring, netns, allNetns } = options;
  const store =
    ring === undefined ? await RecordingFile.open(path) : await RecordingRing.open(path, ring);
  const failed = (error: unknown, label: string | null) => options.failed(error as Error, label);
  const recorder = new Recorder(store, { ...options, failed });
  if (store instanceof RecordingRing) store.rotated = () => recorder.repeat();
  let watch: NamespaceWatch | undefined;
  // Those that could not be opened, say for lack of descriptors, may be later.
  const missed = new Map<string, string>();
  const add = (name: string, at: string) => {
    try {
      recorder.add(name, at);
      missed.delete(name);
    } catch (error) {
      if (missed.get(name) !== at) failed(error, name);
      missed.set(name, at);
    }
  };
  const retry = setInterval(() => {
    for (const [name, at] of missed) add(name, at);
  }, RETRY).unref();
  const close = async () => {
    clearInterval(retry);
    watch?.close();
    await recorder.close();
    await store.close();
  };
  try {
    if (allNetns || netns.length === 0) recorder.add(null, undefined);
    for (const one of netns) recorder.add(one, namespacePath(one));
    if (allNetns) {
      watch = new NamespaceWatch({
        added: ({ name, path: at }) => add(name, at),
        removed({ name }) {
          missed.delete(name);
          void recorder.remove(name);
        },
      });
      watch.begin();
    }
  } catch (error) {
    await close();
    throw error;
  }
  return {
    get totals() {
      return recorder.totals;
    },
    ready: () => recorder.ready(),
    close,
  };
}
