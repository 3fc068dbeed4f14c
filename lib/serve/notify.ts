/**
 * Tells systemd what state the service is in: sd_notify(3), and the watchdog, sd_watchdog_enabled(3).
 * @module
 */
import { sendUnixDatagram } from '../socket/datagram.ts';

/** Milliseconds between changes of the status text: a storm of events must not become one of datagrams. */
const STATUS_INTERVAL = 1000;
/** Milliseconds until a datagram is sent again that the manager's full queue did not take. */
const RETRY = 100;

export interface ServiceNotifierOptions {
  /** The environment with NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID; default `process.env`. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Told once of each kind of failure. The service goes on. */
  readonly onError?: (error: Error) => void;
}

/** The state line, and the line for people. The newest of each is sent. */
interface Message {
  state?: string;
  status?: string;
}

/** Does nothing unless the service manager asked for notifications. Never throws after construction. */
export class ServiceNotifier {
  readonly #socket: string | undefined;
  readonly #onError: (error: Error) => void;
  /** Milliseconds after which the manager restarts a service that does not answer. */
  readonly #watchdog: number | undefined;
  readonly #reported = new Set<string>();
  #unsent: Message = {};
  #lastStatus: string | undefined;
  #timer: NodeJS.Timeout | undefined;
  #watchdogTimer: NodeJS.Timeout | undefined;

  constructor({ env = process.env, onError = () => {} }: ServiceNotifierOptions = {}) {
    this.#socket = env.NOTIFY_SOCKET || undefined;
    this.#onError = onError;
    this.#watchdog = this.#socket === undefined ? undefined : watchdogOf(env);
  }

  /** Whether a service manager listens. */
  get enabled(): boolean {
    return this.#socket !== undefined;
  }

  /** The service works: at its start only after the first sync, and after each reload. */
  ready(status?: string): void {
    this.#set('READY=1', status);
  }

  /** The configuration is being read again; `ready()` ends it. */
  reloading(status?: string): void {
    // CLOCK_MONOTONIC, as systemd's Type=notify-reload requires; Node's hrtime is that clock.
    this.#set(`RELOADING=1\nMONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`, status);
  }

  /** The service is ending. */
  stopping(status?: string): void {
    clearInterval(this.#watchdogTimer);
    this.#set('STOPPING=1', status);
  }

  /** A line for `systemctl status`. Sent at most once a second. */
  status(text: string): void {
    if (!this.enabled) return;
    this.#unsent.status = text;
    this.#timer ??= setTimeout(() => this.#flush(), STATUS_INTERVAL).unref();
  }

  /**
   * Answers the watchdog twice per period for as long as `isHealthy` says so. The timer shows that
   * the event loop turns; `isHealthy` answers for everything a restart would cure.
   */
  watch(isHealthy: () => boolean): void {
    if (this.#watchdog === undefined) return;
    const answer = () => {
      if (isHealthy()) this.#send('WATCHDOG=1');
    };
    clearInterval(this.#watchdogTimer);
    this.#watchdogTimer = setInterval(answer, this.#watchdog / 2).unref();
    answer();
  }

  /** Stops the timers. */
  close(): void {
    clearTimeout(this.#timer);
    clearInterval(this.#watchdogTimer);
  }

  #set(state: string, status: string | undefined): void {
    if (!this.enabled) return;
    this.#unsent.state = state;
    if (status !== undefined) this.#unsent.status = status;
    this.#flush();
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const { state, status } = this.#unsent;
    const lines = state === undefined ? [] : [state];
    // Lines are separate assignments.
    if (status !== undefined && status !== this.#lastStatus) {
      lines.push(`STATUS=${status.replaceAll(/\s+/g, ' ')}`);
    }
    if (lines.length > 0 && !this.#send(lines.join('\n'))) {
      this.#timer = setTimeout(() => this.#flush(), RETRY).unref();
      return;
    }
    this.#unsent = {};
    if (status !== undefined) this.#lastStatus = status;
  }

  /** Returns false if it is worth trying again soon. */
  #send(text: string): boolean {
    try {
      sendUnixDatagram(this.#socket as string, text);
      return true;
    } catch (error) {
      const { code = '' } = error as NodeJS.ErrnoException;
      if (code === 'EAGAIN') return false;
      if (!this.#reported.has(code)) {
        this.#reported.add(code);
        const { message } = error as Error;
        this.#onError(new Error(`systemd was not notified: ${message}`, { cause: error }));
      }
      return true;
    }
  }
}

/** The watchdog's period in milliseconds, if it is enabled for this process. */
function watchdogOf(env: Readonly<Record<string, string | undefined>>): number | undefined {
  const { WATCHDOG_USEC: period = '', WATCHDOG_PID: pid } = env;
  if (pid !== undefined && pid !== String(process.pid)) return undefined;
  const milliseconds = Number(period) / 1000;
  return /^[1-9]\d*$/.test(period) && milliseconds <= 2 ** 31 - 1 ? milliseconds : undefined;
}
