/**
 * The log of the daemon: one line an event, as text or JSON, to standard error. Under systemd each
 * line has the priority that journald takes (sd-daemon(3)).
 * @module
 */
import { fstatSync } from 'node:fs';
import { members } from '../json/write.ts';
import { printable } from '../wire/text.ts';

/** Levels, the least important first, with the priorities of syslog(3). */
const PRIORITIES = { debug: 7, info: 6, warning: 4, error: 3 } as const;

export type LogLevel = keyof typeof PRIORITIES;
export const LOG_LEVELS = Object.keys(PRIORITIES) as readonly LogLevel[];

export const LOG_FORMATS = ['text', 'json'] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];

/** What a line says besides its sentence. Nothing that could hold a key: no objects. */
export type LogFields = Readonly<
  Record<string, string | number | bigint | boolean | null | undefined>
>;

export interface LogOptions {
  /** The least important level to write. */
  readonly level: LogLevel;
  readonly format: LogFormat;
  /** Prefix lines with their priority, and leave out what journald records: default under systemd. */
  readonly journal?: boolean;
  readonly write?: (line: string) => void;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

export class Log {
  readonly #least: number;
  readonly #format: LogFormat;
  readonly #journal: boolean;
  readonly #write: (line: string) => void;
  readonly #now: () => number;

  constructor({
    level,
    format,
    journal = isJournal(),
    write = writeError,
    now = Date.now,
  }: LogOptions) {
    this.#least = PRIORITIES[level];
    this.#format = format;
    this.#journal = journal;
    this.#write = write;
    this.#now = now;
  }

  /** @param event a word for programs, such as `tunnel-down`; `message` is the sentence for people */
  debug(event: string, message: string, fields?: LogFields): void {
    this.#log('debug', event, message, fields);
  }

  info(event: string, message: string, fields?: LogFields): void {
    this.#log('info', event, message, fields);
  }

  warning(event: string, message: string, fields?: LogFields): void {
    this.#log('warning', event, message, fields);
  }

  error(event: string, message: string, fields?: LogFields): void {
    this.#log('error', event, message, fields);
  }

  #log(level: LogLevel, event: string, message: string, fields: LogFields = {}): void {
    if (PRIORITIES[level] > this.#least) return;
    const prefix = this.#journal ? `<${PRIORITIES[level]}>` : '';
    const time = new Date(this.#now()).toISOString();
    const text =
      this.#format === 'json'
        ? `{${members({ time, level, event, message, ...fields }, false)}}`
        : this.#text(time, level, event, message, fields);
    this.#write(`${prefix}${text}\n`);
  }

  #text(time: string, level: LogLevel, event: string, message: string, fields: LogFields): string {
    const line = [printable(message), ...pairs({ event, ...fields })].join(' ');
    return this.#journal ? line : `${time} ${level.padEnd(7)} ${line}`;
  }
}

/** A reader that has gone, or a full disk, must not end the daemon. */
const ignore = () => {};

function writeError(line: string): void {
  const { stderr } = process;
  if (!stderr.listeners('error').includes(ignore)) stderr.on('error', ignore);
  stderr.write(line);
}

/** `name=value`, quoted where a reader could not tell its end. */
function* pairs(fields: LogFields): Generator<string> {
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined || value === null) continue;
    const text = printable(String(value));
    yield `${name}=${/^[^\s"=]+$/.test(text) ? text : `"${text.replaceAll('"', '\\"')}"`}`;
  }
}

/** Whether standard error is connected to the journal (systemd.exec(5), JOURNAL_STREAM). */
export function isJournal(stream = process.env.JOURNAL_STREAM, descriptor = 2): boolean {
  if (stream === undefined) return false;
  try {
    const { dev, ino } = fstatSync(descriptor, { bigint: true });
    return stream === `${dev}:${ino}`;
  } catch {
    return false;
  }
}
