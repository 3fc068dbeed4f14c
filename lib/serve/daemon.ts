/** `netlink-xfrm serve`: watches, answers, reads its configuration again, and ends. @module */
import type { Sample } from '../metrics/metric.ts';
import type { RecordingHere } from '../recording/record-here.ts';
import { readToken } from './access.ts';
import { outOfDate, readCredentials } from './certificate.ts';
import { checkNames, DEFAULTS, readConfig, type ServeConfig } from './config.ts';
import { type Access, HttpServer, type Refusal } from './http-server.ts';
import type { LifeCycle } from './life-cycle.ts';
import { formatListen, isLoopback, type ListenAddress } from './listen-address.ts';
import { type OwnSamples, Routes } from './routes.ts';
import { Service } from './service.ts';
import { StateFile } from './state-file.ts';

/** How the daemon is started. */
/** Bytes of the ring of a recording, and milliseconds between its snapshots. */
const RING = 64 * 2 ** 20;
const SNAPSHOTS = 10_000;

export interface DaemonOptions {
  readonly version: string;
  /** The configuration's file. */
  readonly file: string | undefined;
  /** What the command line says: it has precedence over the file. */
  readonly given: Partial<ServeConfig>;
  readonly lifeCycle: LifeCycle;
}

/** Members that take effect at a restart only. */
const FIXED = [
  'listen',
  'thresholds',
  'acquires',
  'refresh',
  'stateDir',
  'recordDir',
  'tunnelSeries',
  'connections',
] as const;
/** Milliseconds between two writes of the state file. */
const SAVE = 30_000;
/** Refusals of one kind are said once in this many milliseconds, with their number. */
const QUIET = 60_000;

const one = (value: number): Sample[] => [{ labels: {}, value }];

export class Daemon {
  readonly lifeCycle: LifeCycle;
  readonly #options: DaemonOptions;
  readonly #service: Service;
  readonly #server: HttpServer;
  readonly #routes: Routes;
  readonly #requests = new Map<number, number>();
  readonly #refusals = new Map<Refusal, number>();
  readonly #told = new Map<Refusal, { at: number; count: number }>();
  readonly #stateWrites = { success: 0, error: 0 };
  readonly #stateFile: StateFile | undefined;
  #recording: RecordingHere | undefined;
  #saving: NodeJS.Timeout | undefined;
  #saveFailed = false;
  /** Read once: each reading differs a little, and would look like a restart. */
  readonly #processStart = Date.now() / 1000 - process.uptime();
  #isClosed = false;
  #reloadOk = true;
  #reloadedAt = Date.now();
  #address: ListenAddress | undefined;

  /** @throws ConfigError, or an Error that says which file is wrong */
  constructor(options: DaemonOptions) {
    this.#options = options;
    this.lifeCycle = options.lifeCycle;
    const config = this.#read();
    const access = accessOf(config);
    // A clock may be wrong at boot, and some clients do not check: that is no reason not to start.
    const why = outOfDateIn(config, access);
    if (why !== undefined) this.lifeCycle.notice('error', 'certificate-invalid', why);
    this.#service = new Service(config, this.lifeCycle);
    if (config.stateDir !== undefined) this.#stateFile = this.#openState(config.stateDir);
    this.#routes = new Routes(this.#service, options.version, this.#own, (why) =>
      this.#refused(why),
    );
    this.#server = new HttpServer(access, config.connections, {
      handle: (request, response, url) => this.#routes.handle(request, response, url),
      isOpen: (path) => this.#routes.isOpen(path),
      refused: (why, from) => this.#refused(why, from),
      answered: (status) => this.#requests.set(status, (this.#requests.get(status) ?? 0) + 1),
      failed: (error) => this.lifeCycle.notice('error', 'answer-failed', error.message),
    });
  }

  /**
   * Listens, then watches. Answers come from the start: until everything is known, `/readyz` says no.
   *
   * @throws (the promise is rejected) an Error that says why it cannot listen; SystemError if the
   *   privilege or the kernel's support to watch anything is missing. (If it is lost later, that is
   *   told, and it goes on.)
   */
  async start(): Promise<ListenAddress> {
    const { config } = this.#service;
    if (this.#stateFile) {
      this.#saving = setInterval(() => this.#save(), SAVE).unref();
      // Once values are scraped, what was saved at an exit is so no longer.
      await this.#save();
      if (this.#isClosed) throw new Error('closed before it listened');
    }
    this.#address = await this.#server.listen(config.listen).catch((error) => {
      throw cannotListen(error, config.listen);
    });
    const { host } = this.#address;
    const at = `${config.tls ? 'https' : 'http'}://${formatListen({ ...this.#address, host: host ?? '0.0.0.0' })}/`;
    this.lifeCycle.notice('info', 'listening', `listening on ${at}`, { address: at });
    if (!isLoopback(host)) {
      const lacks = [config.tls ? '' : 'TLS', config.tokenFile ? '' : 'a token'].filter(Boolean);
      if (lacks.length > 0) {
        const text = `other hosts can connect, and there is no ${lacks.join(' and no ')}`;
        this.lifeCycle.notice('warning', 'exposed', text);
      }
    }
    await this.#service.start();
    const failures = this.#service.namespaces.map(({ failure }) => failure);
    if (failures.length > 0 && failures.every(isHopeless)) throw failures[0];
    if (config.recordDir !== undefined) await this.#record(config.recordDir);
    // Ready once every namespace that exists is synced. One that does not exist may never come, and a
    // service manager would end a service that is not ready in time. Each change of what is watched is
    // told by a notice, also that a namespace is no longer watched.
    const look = () => {
      if (this.#service.blind.some(({ isAbsent }) => !isAbsent)) return;
      this.lifeCycle.off('notice', look);
      this.lifeCycle.emit('ready');
    };
    this.lifeCycle.on('notice', look);
    look();
    return this.#address;
  }

  get service(): Service {
    return this.#service;
  }

  /** Reads the configuration, certificates and the token again. If one is wrong, all stay as they were. */
  reload(): void {
    const { lifeCycle } = this;
    lifeCycle.emit('reloading');
    try {
      const before = this.#service.config;
      const config = this.#read();
      const access = accessOf(config);
      const fixed = FIXED.filter(
        (name) => JSON.stringify(before[name]) !== JSON.stringify(config[name]),
      );
      const kept = Object.fromEntries(fixed.map((name) => [name, before[name]]));
      if ((config.tls === undefined) !== (before.tls === undefined)) {
        throw new Error('tls cannot be switched on or off without a restart');
      }
      const why = outOfDateIn(config, access);
      if (why !== undefined && access.tls?.cert !== this.#server.access.tls?.cert) {
        throw new Error(why);
      }
      this.#server.access = access;
      this.#service.configure({ ...config, ...kept });
      this.#reloadOk = true;
      this.#reloadedAt = Date.now();
      lifeCycle.notice('info', 'reloaded', 'the configuration was read again');
      if (why !== undefined) lifeCycle.notice('error', 'certificate-invalid', why);
      if (fixed.length > 0) {
        const text = `takes effect at the next start only: ${fixed.join(', ')}`;
        lifeCycle.notice('warning', 'restart-needed', text);
      }
    } catch (error) {
      this.#reloadOk = false;
      const text = `the configuration was not changed: ${(error as Error).message}`;
      lifeCycle.notice('error', 'reload-failed', text);
    }
    lifeCycle.emit('reloaded');
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.lifeCycle.emit('stopping');
    this.#routes.streams.close();
    await this.#server.close();
    clearInterval(this.#saving);
    await this.#stateFile?.settled();
    await this.#save(true);
    await this.#recording?.close();
    await this.#service.close();
  }

  /** Records what is watched. The daemon goes on without a recording that is not possible. */
  async #record(path: string): Promise<void> {
    const { config } = this.#service;
    const failed = (error: Error) =>
      this.lifeCycle.notice('error', 'record-failed', `cannot record: ${error.message}`, { path });
    try {
      const { recordHere } = await import('../recording/record-here.ts');
      this.#recording = await recordHere({
        path,
        ring: RING,
        netns: config.netns,
        allNetns: config.allNetns,
        version: this.#options.version,
        keys: false,
        acquires: config.acquires,
        receiveBufferSize: 64 * 2 ** 20,
        interval: SNAPSHOTS,
        failed,
        unwritten: (error) => {
          if (error) failed(error);
          else this.lifeCycle.notice('info', 'record-continued', 'recording again', { path });
        },
      });
    } catch (error) {
      failed(error as Error);
    }
  }

  #openState(directory: string): StateFile {
    try {
      const file = new StateFile(directory);
      const saved = file.read((why, path) => {
        const text = `the state file is damaged (${why}): it is kept as ${path}, and totals begin anew`;
        this.lifeCycle.notice('error', 'state-damaged', text, { path });
      });
      if (saved) this.#service.restore(saved);
      return file;
    } catch (error) {
      const { message } = error as Error;
      throw new Error(`cannot use the state directory ${directory}: ${message}`, { cause: error });
    }
  }

  /** Writes the state file. A failure is logged once, until writing works again. */
  async #save(isLast = false): Promise<void> {
    if (this.#stateFile === undefined || this.#saving === undefined) return;
    try {
      await this.#stateFile.write(this.#service.save(isLast), Date.now());
      this.#stateWrites.success++;
      if (!this.#saveFailed) return;
      this.#saveFailed = false;
      this.lifeCycle.notice('info', 'state-saved', 'the state is saved again');
    } catch (error) {
      this.#stateWrites.error++;
      if (this.#saveFailed) return;
      this.#saveFailed = true;
      const text = `the state could not be saved: ${(error as Error).message}`;
      this.lifeCycle.notice('error', 'state-not-saved', text);
    }
  }

  #read(): ServeConfig {
    const { file, given } = this.#options;
    const read = file === undefined ? {} : readConfig(file);
    const config = { ...DEFAULTS, ...read, ...given };
    checkNames(config);
    return config;
  }

  #refused(why: Refusal, from?: string): void {
    this.#refusals.set(why, (this.#refusals.get(why) ?? 0) + 1);
    const told = this.#told.get(why) ?? { at: -Infinity, count: 0 };
    told.count++;
    this.#told.set(why, told);
    const now = performance.now();
    if (now - told.at < QUIET || why === 'not-found') return;
    const by = from === undefined ? '' : ` from ${from}`;
    const times = told.count > 1 ? ` (${told.count} since this was last said)` : '';
    this.lifeCycle.notice('warning', `refused-${why}`, `refused${by}: ${REFUSALS[why]}${times}`);
    told.at = now;
    told.count = 0;
  }

  readonly #own: OwnSamples = (name) => {
    switch (name) {
      case 'xfrm_serve':
        return [{ labels: { version: this.#options.version }, value: 1 }];
      case 'xfrm_serve_requests':
        return Array.from(this.#requests, ([code, value]) => ({
          labels: { code: String(code) },
          value,
        }));
      case 'xfrm_serve_refusals':
        return Object.keys(REFUSALS).map((reason) => ({
          labels: { reason },
          value: this.#refusals.get(reason as Refusal) ?? 0,
        }));
      case 'xfrm_serve_connections':
        return one(this.#server.connections);
      case 'xfrm_serve_event_streams':
        return one(this.#routes.streams.size);
      case 'xfrm_serve_config_last_reload_successful':
        return one(this.#reloadOk ? 1 : 0);
      case 'xfrm_serve_config_last_reload_success_timestamp_seconds':
        return one(this.#reloadedAt / 1000);
      case 'xfrm_serve_state_writes':
        return Object.entries(this.#stateWrites).map(([result, value]) => ({
          labels: { result },
          value,
        }));
      case 'process_start_time_seconds':
        return one(this.#processStart);
      case 'process_cpu_seconds': {
        const { user, system } = process.cpuUsage();
        return one((user + system) / 1e6);
      }
      case 'process_resident_memory_bytes':
        return one(process.memoryUsage.rss());
      default:
        return [];
    }
  };
}

/** Without these nothing can be watched, now or later. */
const HOPELESS = new Set(['EPERM', 'EACCES', 'EPROTONOSUPPORT', 'EAFNOSUPPORT']);
const isHopeless = (error: unknown): boolean => {
  const { code = '' } = (error ?? {}) as NodeJS.ErrnoException;
  return HOPELESS.has(code) || code.startsWith('ERR_ADDON');
};

/** Why listen(2) failed, and what can be done. */
function cannotListen(error: NodeJS.ErrnoException, address: ListenAddress): Error {
  const why =
    error.code === 'EADDRINUSE'
      ? 'another program listens there; choose another port with --listen'
      : error.code === 'EADDRNOTAVAIL'
        ? 'this host has no such address'
        : error.code === 'EACCES'
          ? 'ports below 1024 need CAP_NET_BIND_SERVICE'
          : error.message;
  return new Error(`cannot listen on ${formatListen(address)}: ${why}`, { cause: error });
}

/** What each refusal is, in a log. */
const REFUSALS: Readonly<Record<Refusal, string>> = {
  host: 'a Host header that is not allowed',
  token: 'no token, or a wrong one',
  method: 'a method other than GET and HEAD',
  'not-found': 'a path that does not exist',
  malformed: 'a request that is not HTTP, or too large',
  timeout: 'a request that did not arrive in time',
  connections: 'too many connections; the oldest idle one, or else the new one, was closed',
  busy: 'too many requests or streams at once',
  'slow-reader': 'a reader that does not read',
};

/** Reads the files that say who may connect. @throws an Error that names the file */
function accessOf({ hosts, tokenFile, tls }: ServeConfig): Access {
  return {
    hosts: new Set(hosts.map((name) => name.toLowerCase())),
    token: tokenFile === undefined ? undefined : readToken(tokenFile),
    tls: tls && readCredentials(tls),
  };
}

/** Why clients will not accept the certificate now; names the file. */
function outOfDateIn({ tls: files }: ServeConfig, { tls }: Access): string | undefined {
  const why = tls && outOfDate(tls.cert, Date.now());
  return files && why && `${files.cert}: ${why}`;
}
