/** One visit: the model, the connection, and what the visitor chose to see. @module */
import { Connection, Refused } from './connection.ts';
import { type TunnelHistory, upTo } from './history.ts';
import { isTrouble, keyOf, type Link, type LogEntry, Model } from './model.ts';
import { hrefOf, type ListAt, type View, viewOf } from './route.ts';
import { hasWords, ordered, queryOf } from './select.ts';
import { WINDOWS, type WindowName } from './windows.ts';
import type { Host, PageChange, PagePolicy, PageSa, PageTunnel, WatchChange } from './wire.ts';

/** `GET /api/tunnels/ID` */
export interface Detail {
  readonly tunnel: PageTunnel;
  readonly sas: readonly { readonly state: PageSa }[];
  readonly policies: readonly { readonly policy: PagePolicy }[];
}

/** What is shown while the page is paused. */
interface Paused {
  readonly at: number;
  readonly tunnels: ReadonlyMap<string, PageTunnel>;
  readonly log: readonly LogEntry[];
  readonly events: number;
}

/** A part of the list. */
interface Shown {
  readonly tunnels: readonly PageTunnel[];
  readonly page: number;
  readonly pages: number;
  /** How many pass the query. */
  readonly matching: number;
  /** Which tunnels pass is not known yet. */
  readonly isAsked: boolean;
  /** What is wrong with the query. */
  readonly wrong: string | undefined;
}

/** Steps in which the time axis moves on. */
const STEPS = 300;
/** Rows on a page of the list: each has a plot. */
const ROWS = 50;
/** Histories asked for at once: an address has a limited length. */
const AT_ONCE = 20;
/** Milliseconds between two questions which tunnels pass a filter. */
const FILTER_PAUSE = 500;
/** Milliseconds between two refreshes at least, if nothing happens. */
const SOON = 5000;
/** Milliseconds between two refreshes if the daemon has not said. */
const REFRESH = 10_000;

export class Session {
  readonly model = new Model();
  readonly #changed: () => void;
  readonly #connection: Connection;
  view: View = viewOf(location.hash);
  window: WindowName = '1 hour';
  paused: Paused | undefined;
  detail:
    | { readonly key: string; readonly of: Detail | undefined; readonly error?: string }
    | undefined;
  /** What is read out. */
  news = '';
  /** Which tunnels pass the terms of the query, as the daemon says. */
  #matches:
    | { readonly query: string; readonly keys: ReadonlySet<string>; readonly wrong?: string }
    | undefined;
  #events = 0;
  /** Milliseconds by which the daemon's clock is ahead of the browser's. */
  #ahead = 0;
  /** The number of the last event that the list of tunnels already contains. */
  #known = 0;
  /** The daemon whose tunnels are shown. That of `model.host` may be the next one, before the stream is open again. */
  #daemon: Host | undefined;
  #fetching = false;
  /** Whether something was to be fetched that a request under way may lack. */
  #again = false;
  #refreshTimer: ReturnType<typeof setTimeout> | undefined;
  #filterTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(changed: () => void) {
    this.#changed = changed;
    this.#connection = new Connection({
      opened: (resumed, signal) => this.#opened(resumed, signal),
      outdates: (change, id) =>
        // What is found when a namespace is first read is not told as changes.
        id > this.#known && (change as WatchChange).state === 'synced',
      event: (name, data, id) => this.#event(name, data, id),
      link: (link) => this.#link(link),
    });
    addEventListener('hashchange', () => this.#navigated());
    // Nothing is fetched for a tab that is not seen.
    document.addEventListener('visibilitychange', () => this.#refresh());
    // Ages advance.
    setInterval(changed, 1000);
  }

  run(): void {
    this.#navigated();
    void this.#connection.run();
  }

  get now(): number {
    return this.paused?.at ?? this.#clock;
  }

  /** The daemon's clock, which its times are of. */
  get #clock(): number {
    return Date.now() + this.#ahead;
  }

  /** The time axis, moved on in steps that can be seen: pictures are drawn anew when it moves. */
  get axis(): { readonly from: number; readonly to: number } {
    const length = WINDOWS[this.window];
    const step = length / STEPS;
    const to = Math.ceil(this.now / step) * step;
    return { from: to - length, to };
  }

  /** The tunnels as they are shown: of the moment of the pause, if there is one. */
  get tunnels(): ReadonlyMap<string, PageTunnel> {
    return this.paused?.tunnels ?? this.model.tunnels;
  }

  /** The log, newest first. */
  get log(): readonly LogEntry[] {
    return this.paused?.log ?? this.model.log;
  }

  history(key: string): TunnelHistory {
    const history = this.model.history(key);
    return this.paused ? upTo(history, this.paused.at) : history;
  }

  /** Changes since the pause. */
  get missed(): number {
    return this.paused ? this.#events - this.paused.events : 0;
  }

  get title(): string {
    const bad = [...this.model.tunnels.values()].filter(({ state }) => isTrouble(state)).length;
    const place = this.model.host?.host ?? 'tunnels';
    if (this.model.link.kind === 'lost') return `(no connection) ${place}`;
    return bad === 0 ? `${place}: tunnels` : `(${bad}) ${place}: tunnels`;
  }

  /** The page of the list that is shown. */
  shown(view: ListAt): Shown {
    const { terms, words, passesState } = queryOf(view.query);
    // While another answer is awaited, the one before is shown.
    const matches = terms.length === 0 ? undefined : this.#matches;
    const all = [...this.tunnels].flatMap(([key, one]) => {
      const passes = terms.length === 0 || matches?.keys.has(key);
      return passes && passesState(one.state) && hasWords(one, words) ? [one] : [];
    });
    const pages = Math.max(1, Math.ceil(all.length / ROWS));
    const page = Math.min(view.page, pages);
    const tunnels = ordered(all, view.order).slice((page - 1) * ROWS, page * ROWS);
    const isAsked = terms.length > 0 && matches === undefined;
    return { tunnels, page, pages, matching: all.length, isAsked, wrong: matches?.wrong };
  }

  show(view: View): void {
    // A query that is being typed makes one entry of the browser's history.
    if (view.name === this.view.name) history.replaceState(null, '', hrefOf(view));
    else location.hash = hrefOf(view);
    this.#navigated();
  }

  /** Changes what of the list is shown: as it is now, which may not be drawn yet. */
  showList(change: Partial<ListAt> | ((now: ListAt) => Partial<ListAt>)): void {
    if (this.view.name !== 'list') return;
    const changed = typeof change === 'function' ? change(this.view) : change;
    this.show({ ...this.view, ...changed });
  }

  setWindow(name: WindowName): void {
    this.window = name;
    this.#refresh();
  }

  togglePause(): void {
    const { tunnels, log } = this.model;
    this.paused = this.paused
      ? undefined
      : { at: this.#clock, tunnels: new Map(tunnels), log: [...log], events: this.#events };
    this.model.keepHistories(this.paused?.at);
    this.#refresh();
  }

  unlock(token: string): void {
    this.#connection.unlock(token);
  }

  #navigated(): void {
    this.view = viewOf(location.hash);
    if (this.view.name !== 'tunnel') this.detail = undefined;
    else if (this.detail?.key !== this.view.key) {
      this.detail = { key: this.view.key, of: undefined };
    }
    this.#refresh();
  }

  async #opened(resumed: boolean, signal: AbortSignal): Promise<void> {
    const host = await this.#fetchHost(signal);
    this.model.host = host;
    const before = this.#daemon;
    // The page belongs to the daemon that served it.
    if (before !== undefined && before.version !== host.version) location.reload();
    if (!resumed || before?.startedAt !== host.startedAt) await this.#fetchTunnels(signal);
    this.#daemon = host;
    this.#refresh();
  }

  async #fetchHost(signal?: AbortSignal): Promise<Host> {
    const host = (await this.#connection.get('api/host', signal)) as Host;
    this.#ahead = host.at - Date.now();
    return host;
  }

  async #fetchTunnels(signal: AbortSignal): Promise<void> {
    const { tunnels, event } = (await this.#connection.get('api/tunnels', signal)) as {
      tunnels: PageTunnel[];
      event: number;
    };
    this.model.reset(tunnels);
    this.#known = event;
  }

  #link(link: Link): void {
    this.model.link = link;
    this.#changed();
  }

  #event(name: string, data: unknown, id: number): void {
    const isPast = id <= this.#known;
    if (!isPast) this.#events++;
    if (name === 'state') {
      this.model.applyWatch(data as WatchChange, isPast);
      if (!isPast) this.#refresh();
    } else if (name === 'tunnel') {
      const change = data as PageChange;
      this.model.apply(change, isPast);
      const about = 'tunnel' in change && change.tunnel ? keyOf(change.tunnel) : undefined;
      if (about !== undefined && about === this.detail?.key) this.#refresh();
      else if (this.view.name === 'list' && queryOf(this.view.query).terms.length > 0)
        this.#refilter();
    }
    const news = this.model.takeNews();
    if (news !== '') this.news = news;
    this.#changed();
  }

  /** Fetches what is shown and does not come as events: histories, and a tunnel's SAs and policies. */
  #refresh(): void {
    this.#changed();
    clearTimeout(this.#refreshTimer);
    const seconds = this.model.host?.refreshSeconds;
    this.#refreshTimer = setTimeout(
      () => this.#refresh(),
      seconds ? Math.max(seconds * 1000, SOON) : REFRESH,
    );
    if (document.hidden || this.model.host === undefined) return;
    this.#again = this.#fetching;
    if (this.#fetching) return;
    this.#fetching = true;
    this.#fetch()
      .catch(() => {
        // The stream says that the connection is lost.
      })
      .finally(() => {
        this.#fetching = false;
        this.#changed();
        if (this.#again) this.#refresh();
      });
  }

  async #fetch(): Promise<void> {
    const { view } = this;
    this.model.host = await this.#fetchHost();
    if (view.name === 'list') {
      await this.#fetchMatches(queryOf(view.query).terms);
      await this.#fetchHistories(this.shown(view).tunnels);
    } else if (view.name === 'tunnel') {
      const tunnel = this.tunnels.get(view.key);
      await Promise.all([tunnel && this.#fetchHistories([tunnel]), this.#fetchDetail(view.key)]);
    }
  }

  /** Asks again which tunnels pass, soon, and once for the changes until then. */
  #refilter(): void {
    this.#filterTimer ??= setTimeout(() => {
      this.#filterTimer = undefined;
      this.#refresh();
    }, FILTER_PAUSE);
  }

  async #fetchMatches(terms: readonly string[]): Promise<void> {
    if (terms.length === 0) return;
    const query = terms
      .map((term) => encodeURI(term).replace(/[&+#]/g, encodeURIComponent))
      .join('&');
    if (this.paused && this.#matches?.query === query) return;
    try {
      const answer = await this.#connection.get(`api/tunnels?${query}`);
      const { tunnels } = answer as { tunnels: PageTunnel[] };
      this.#matches = { query, keys: new Set(tunnels.map(keyOf)) };
    } catch (error) {
      if (!(error instanceof Refused && error.status === 400)) throw error;
      this.#matches = { query, keys: new Set(), wrong: error.message };
    }
  }

  async #fetchDetail(key: string): Promise<void> {
    if (this.paused && this.detail?.of !== undefined) return;
    try {
      const of = (await this.#connection.get(`api/tunnels/${encodeURIComponent(key)}`)) as Detail;
      if (this.detail?.key !== key) return;
      this.detail = { key, of };
      // Its counters are newer than with the last event; it may have been removed since it was asked for.
      if (this.model.tunnels.has(key)) this.model.tunnels.set(key, of.tunnel);
    } catch (error) {
      if (this.detail?.key !== key) return;
      const isGone = error instanceof Refused && error.status === 404;
      this.detail = isGone
        ? { key, of: undefined, error: 'This tunnel does not exist, or no longer does.' }
        : { ...this.detail, error: (error as Error).message };
    }
  }

  async #fetchHistories(tunnels: readonly PageTunnel[]): Promise<void> {
    const groups = new Map<number, PageTunnel[]>();
    for (const one of tunnels) {
      const from = this.model.missingFrom(keyOf(one), this.axis.from);
      groups.set(from, [...(groups.get(from) ?? []), one]);
    }
    const some = [...groups].flatMap(([from, all]) =>
      Array.from({ length: Math.ceil(all.length / AT_ONCE) }, (_, i) => ({
        from,
        those: all.slice(i * AT_ONCE, (i + 1) * AT_ONCE),
      })),
    );
    for (const { from, those } of some) {
      const terms = new URLSearchParams({ since: String(Math.floor(from)) });
      for (const one of those) terms.append('tunnel', keyOf(one));
      const asked = this.#clock;
      const answer = (await this.#connection.get(`api/history?${terms}`)) as {
        since: number;
        tunnels: Record<string, TunnelHistory>;
      };
      for (const [key, one] of Object.entries(answer.tunnels)) {
        this.model.addHistory(key, one, answer.since, asked);
      }
    }
  }
}
