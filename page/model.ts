/** What the page knows. It changes with each answer and event of the daemon, and knows no DOM. @module */
import type { TunnelState } from '../lib/tunnel/tunnel.ts';
import { merged, NO_HISTORY, since, type TunnelHistory, withRekey, withState } from './history.ts';
import { WINDOWS } from './windows.ts';
import type { Host, PageChange, PageTunnel, WatchChange } from './wire.ts';
import { changeText, count, plural, type Tone, titleOf, toneOf } from './words.ts';

/** How the connection is. */
export type Link =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'live' }
  /** The daemon asks for a token; `wrong`: the one that was given is not it. */
  | { readonly kind: 'locked'; readonly wrong: boolean }
  | { readonly kind: 'lost'; readonly reason: string; readonly since: number };

/** An entry of the log. */
export interface LogEntry {
  readonly key: number;
  readonly at: number;
  /** What changed, in a word. */
  readonly what: string;
  readonly text: string;
  readonly tone: Tone;
  /** The key and the title of the tunnel that it is about; undefined: the namespace. */
  readonly tunnel: { readonly key: string; readonly title: string } | undefined;
  readonly netns: string | null | undefined;
}

/** Entries that the log holds. */
const LOG_ROOM = 1000;
/** Milliseconds of history that are held at most: the longest window. */
const HISTORY_ROOM = Math.max(...Object.values(WINDOWS));

/** What identifies a tunnel on the host, as in lib/serve/api.ts: ids are unique within a namespace only. */
export const keyOf = ({ id, netns }: Pick<PageTunnel, 'id' | 'netns'>): string =>
  netns == null ? id : `netns/${netns}/${id}`;

export class Model {
  link: Link = { kind: 'connecting' };
  host: Host | undefined;
  /** By key. Tunnels are replaced, never modified: a copy of this map is a snapshot. */
  readonly tunnels = new Map<string, PageTunnel>();
  /** Newest first. */
  readonly log: LogEntry[] = [];
  readonly #histories = new Map<string, TunnelHistory>();
  /** By key, until when its history is known. */
  readonly #covered = new Map<string, { readonly from: number; readonly to: number }>();
  #keptAt: number | undefined;
  #news: LogEntry[] = [];
  #serial = 0;

  history(key: string): TunnelHistory {
    return this.#histories.get(key) ?? NO_HISTORY;
  }

  /** Keeps what is known of histories at a time, also of tunnels that are removed; undefined: no longer. */
  keepHistories(at: number | undefined): void {
    this.#keptAt = at;
    this.#dropHistories();
  }

  #dropHistories(): void {
    if (this.#keptAt !== undefined) return;
    for (const key of this.#histories.keys()) {
      if (!this.tunnels.has(key)) this.#dropHistory(key);
    }
  }

  #dropHistory(key: string): void {
    this.#histories.delete(key);
    this.#covered.delete(key);
  }

  /** @param now histories are trimmed to the longest window before it */
  #setHistory(key: string, history: TunnelHistory, now: number): void {
    this.#histories.set(key, since(history, (this.#keptAt ?? now) - HISTORY_ROOM));
  }

  /** From when on a tunnel's history must be asked for, to know it from `from` on. */
  missingFrom(key: string, from: number): number {
    const covered = this.#covered.get(key);
    return covered && covered.from <= from ? covered.to : from;
  }

  /** All tunnels, in place of those before. */
  reset(tunnels: readonly PageTunnel[]): void {
    this.tunnels.clear();
    for (const one of tunnels) this.tunnels.set(keyOf(one), one);
    // Events may be missing since the last one.
    this.#covered.clear();
    this.#dropHistories();
  }

  /** An answer about a tunnel's history, from `from` to `to`. */
  addHistory(key: string, fresh: TunnelHistory, from: number, to: number): void {
    this.#setHistory(key, merged(this.history(key), fresh, from, to), to);
    const covered = this.#covered.get(key);
    this.#covered.set(key, { from: Math.min(covered?.from ?? from, from), to });
  }

  /** A change, as sent by the daemon. @param isPast it is in the list of tunnels already: only the log is to have it */
  apply(change: PageChange, isPast = false): void {
    const at = Date.parse(change.time);
    const told = 'tunnel' in change ? change.tunnel : undefined;
    const netns = change.netns === undefined ? {} : { netns: change.netns };
    const tunnel: PageTunnel | undefined = told && { ...told, ...netns };
    const key = tunnel && keyOf(tunnel);
    if (!isPast && tunnel && key !== undefined) {
      if (change.change === 'removed') this.tunnels.delete(key);
      else this.tunnels.set(key, tunnel);
      let history = withState(this.history(key), [tunnel.since, tunnel.state, tunnel.reason]);
      if (change.change === 'rekeyed') history = withRekey(history, at);
      this.#setHistory(key, history, at);
      if (change.change === 'removed' && this.#keptAt === undefined) this.#dropHistory(key);
    }
    // A rekey is reported once, by `rekeyed`.
    if (change.change === 'state' && change.rekey) return;
    const title = tunnel && titleOf(tunnel);
    this.#enter(
      {
        at,
        what: change.change,
        text: changeText(change),
        tone: toneOf(change),
        tunnel: key !== undefined && title !== undefined ? { key, title } : undefined,
        netns: change.netns,
      },
      isPast,
    );
  }

  /** A namespace became synced, repairing or blind. The rest about it comes with the next answer. */
  applyWatch({ netns, state, reason, at }: WatchChange, isPast = false): void {
    if (this.host && !isPast) {
      const namespaces = this.host.namespaces.map((one) => {
        if (one.name !== netns) return one;
        const { reason: _, ...rest } = one;
        return { ...rest, state, ...(reason !== undefined && { reason }) };
      });
      this.host = { ...this.host, namespaces };
    }
    const tone = ({ synced: 'good', repairing: 'warn', blind: 'bad' } as const)[state];
    this.#enter({ at, what: state, text: reason ?? '', tone, tunnel: undefined, netns }, isPast);
  }

  #enter(entry: Omit<LogEntry, 'key'>, isPast: boolean): void {
    const entered = { key: this.#serial++, ...entry };
    this.log.unshift(entered);
    this.log.length = Math.min(this.log.length, LOG_ROOM);
    if (entry.tone !== 'note' && !isPast) this.#news.push(entered);
  }

  /** What happened since the last call, in a sentence to be read out; empty if nothing of importance did. */
  takeNews(): string {
    const news = this.#news;
    this.#news = [];
    if (news.length > 3) {
      const bad = news.filter(({ tone }) => tone === 'bad').length;
      return `${plural(news.length, 'change')}, ${count(bad)} of them bad`;
    }
    return news
      .map(({ what, text, tunnel }) => `${tunnel?.title ?? 'Host'} ${what}: ${text}`)
      .join('. ');
  }
}

/** Whether a tunnel needs attention: the title of the page counts these. */
export const isTrouble = (state: TunnelState): boolean =>
  state !== 'up' && state !== 'idle' && state !== 'rekeying';
