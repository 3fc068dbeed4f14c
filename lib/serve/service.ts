/** The daemon: which namespaces are watched, and what is known about all of them. @module */

import { namespacePath } from '../monitor/namespace-path.ts';
import { NamespaceWatch } from '../monitor/namespace-watch.ts';
import type { NetnsReference } from '../socket/index.ts';
import { isUpState } from '../tunnel/tunnel.ts';
import { homeOf, type ServeConfig } from './config.ts';
import { EventLog } from './event-log.ts';
import type { LifeCycle } from './life-cycle.ts';
import type { SavedState } from './state-file.ts';
import { changesBetween } from './unwatched.ts';
import { type Surroundings, WatchedNamespace } from './watched-namespace.ts';

/** Milliseconds in which the counters are read in any case, unless something hangs. */
const OVERDUE = 60_000;
/** The most namespaces that are kept in the saved state without being watched again. */
const UNSEEN = 1000;

export class Service {
  readonly lifeCycle: LifeCycle;
  readonly startedAt = Date.now();
  readonly log = new EventLog(this.startedAt);
  readonly #namespaces = new Map<string | null, WatchedNamespace>();
  readonly #around: Surroundings;
  readonly #pathOf: (name: string) => NetnsReference;
  #named: NamespaceWatch | undefined;
  #config: ServeConfig;
  readonly #closing = new Set<Promise<void>>();
  /** Of namespaces that were not watched so far. */
  #saved: SavedState = { namespaces: new Map(), isLast: true };

  /** @param pathOf where a namespace is; default: as `ip netns` names them */
  constructor(
    config: ServeConfig,
    lifeCycle: LifeCycle,
    pathOf: (name: string) => NetnsReference = namespacePath,
  ) {
    this.#pathOf = pathOf;
    this.#config = config;
    this.lifeCycle = lifeCycle;
    const { acquires, thresholds, refresh, tunnelSeries } = config;
    this.#around = {
      log: this.log,
      lifeCycle,
      options: { acquires, thresholds, refreshInterval: refresh },
      tunnelSeries,
    };
  }

  get config(): ServeConfig {
    return this.#config;
  }

  get namespaces(): readonly WatchedNamespace[] {
    return [...this.#namespaces.values()];
  }

  /** What is to be known after a restart. */
  save(isLast: boolean): SavedState {
    const all = this.namespaces.map(({ name, source }) => {
      source.update();
      return [name, source.tunnels.save()] as const;
    });
    // In the order in which they were saved: the first have been away for the longest time.
    const unseen = [...this.#saved.namespaces].slice(-UNSEEN);
    return { namespaces: new Map([...unseen, ...all]), isLast };
  }

  /** Takes up what was saved, before it begins to watch. */
  restore(saved: SavedState): void {
    this.#saved = saved;
  }

  /** Begins to watch. @returns a promise that is fulfilled when everything was tried once */
  async start(): Promise<void> {
    this.#watch(this.#config);
    await Promise.all(this.namespaces.map(({ tried }) => tried));
  }

  /** The namespaces that nobody watches now, or whose repair takes too long. */
  get blind(): WatchedNamespace[] {
    return this.namespaces.filter(({ state }) => state.state === 'blind');
  }

  /** Takes another configuration, as far as that is possible without a restart. */
  configure(config: ServeConfig): void {
    this.#config = config;
    this.#watch(config);
    for (const one of this.#namespaces.values()) one.setExpected(this.#expectedIn(one.name));
  }

  /**
   * Whether all is well that a restart could cure: where someone watches, the counters are read in
   * time. A namespace that is blind is tried again anyway.
   */
  get isHealthy(): boolean {
    const oldest = performance.now() - Math.max(OVERDUE, 3 * this.#config.refresh);
    return this.namespaces.every(
      ({ monitor }) => monitor === undefined || monitor.countersReadAt.monotonic >= oldest,
    );
  }

  /** The same for as long as no tunnel changes, and no counters are read. */
  get version(): string {
    const read = this.namespaces.map(({ source }) => `${source.opened} ${source.readings}`);
    return `${this.log.lastOfTunnels} ${read}`;
  }

  /** All tunnels in words, for a service manager. */
  get status(): string {
    let [all, up] = [0, 0];
    for (const { tunnels } of this.#namespaces.values()) {
      for (const { state } of tunnels) {
        all++;
        if (isUpState(state)) up++;
      }
    }
    const overruns = this.namespaces.reduce((sum, { source }) => sum + source.overruns, 0);
    const blind = this.blind.length;
    const seeing = blind === 0 ? '' : `, ${blind} of ${this.#namespaces.size} namespaces blind`;
    return `${all} ${all === 1 ? 'tunnel' : 'tunnels'}: ${up} up, ${all - up} not; ${overruns} overruns${seeing}`;
  }

  async close(): Promise<void> {
    this.#named?.close();
    await Promise.all([...this.#namespaces.values()].map((one) => one.close()));
    await Promise.all(this.#closing);
  }

  /** The expected tunnels of a namespace. One that names no namespace is expected in the first. */
  #expectedIn(name: string | null) {
    return this.#config.expected.flatMap((one) => {
      const { netns: _, ...tunnel } = one;
      return homeOf(this.#config, one) === name ? [tunnel] : [];
    });
  }

  /** What is watched in any case: also where a tunnel is expected, be it there or not. */
  get #wanted(): ReadonlySet<string | null> {
    const { expected, netns } = this.#config;
    const named = expected.flatMap((one) => one.netns ?? []);
    return new Set(netns.length === 0 ? [null, ...named] : [...netns, ...named]);
  }

  #watch({ allNetns }: ServeConfig): void {
    const wanted = this.#wanted;
    for (const name of wanted) this.#add(name, name === null ? undefined : this.#pathOf(name));
    if (allNetns && this.#named === undefined) {
      this.#named = new NamespaceWatch({
        added: ({ name, path }) => this.#add(name, path),
        removed: ({ name }) => {
          if (!this.#wanted.has(name)) this.#remove(name);
        },
      });
      this.#named.begin();
    } else if (!allNetns) {
      this.#named?.close();
      this.#named = undefined;
    }
    for (const name of this.#namespaces.keys()) {
      if (!wanted.has(name) && !(allNetns && name !== null)) this.#remove(name);
    }
  }

  #add(name: string | null, path: NetnsReference | undefined): void {
    const known = this.#namespaces.get(name);
    if (known) {
      known.retry();
      return;
    }
    const namespace = new WatchedNamespace(name, path, this.#expectedIn(name), this.#around);
    const { namespaces, isLast } = this.#saved;
    const saved = namespaces.get(name);
    if (saved) namespace.source.tunnels.restore(saved, !isLast);
    const others = [...namespaces].filter(([one]) => one !== name);
    this.#saved = { namespaces: new Map(others), isLast };
    this.#namespaces.set(name, namespace);
    namespace.start();
  }

  #remove(name: string | null): void {
    const namespace = this.#namespaces.get(name);
    if (namespace === undefined) return;
    this.#namespaces.delete(name);
    const tunnels = [...namespace.shown];
    const closing = namespace.close().finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
    for (const change of changesBetween(tunnels, []))
      this.log.add(name, { kind: 'tunnel', change });
    this.lifeCycle.notice('info', 'namespace-removed', `${namespace.words} is no longer watched`, {
      netns: name,
    });
  }
}
