/** What happens to the daemon, for logs and for a service manager. @module */
import { EventEmitter } from 'node:events';
import type { WatchState } from '../metrics/source.ts';
import type { LogLevel } from './log.ts';

/** Something that people who run it should know, said once. */
export interface Notice {
  readonly level: LogLevel;
  /** A word for each kind of notice. */
  readonly event: string;
  /** One line. */
  readonly text: string;
  /** Details, without keys or tokens. */
  readonly about?: Readonly<Record<string, string | number | boolean | null | undefined>>;
}

/**
 * - `ready`: the first sync of every namespace that exists is done, and it listens
 * - `reloading`, `reloaded`: the configuration is read again
 * - `stopping`: it will end
 * - `watch`: a namespace is synced, repairing or blind
 * - `notice`: everything worth a line in a log, including the above
 */
export interface LifeCycleEvents {
  ready: [];
  reloading: [];
  reloaded: [];
  stopping: [];
  watch: [netns: string | null, state: WatchState, reason: string | undefined];
  notice: [notice: Notice];
}

export class LifeCycle extends EventEmitter<LifeCycleEvents> {
  notice(level: Notice['level'], event: string, text: string, about?: Notice['about']): void {
    this.emit('notice', { level, event, text, ...(about && { about }) });
  }
}
