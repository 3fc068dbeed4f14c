import type { Readable, Writable } from 'node:stream';
import { LabError } from './errors.ts';
import type { LabKernelKind, PrepareLabOptions } from './kernel.ts';

/** Destination of an output stream of the command. */
export type LabOutput = Writable | 'inherit' | 'ignore';

/** Options for booting a guest. All are optional. */
export interface LabGuestOptions extends PrepareLabOptions {
  /**
   * The guest's memory in MiB, at least 128; default 512, for a full kernel 1024. It is allocated as it is used: for a
   * user-mode kernel from TMPDIR, for a full one from this machine's memory.
   */
  readonly memory?: number | undefined;
  /**
   * Host directory that the guest may write to, mounted at the same path. All other host files are read-only in the
   * guest, or hidden by an overlay that is discarded with it (/tmp, /run, /mnt).
   */
  readonly share?: string | undefined;
}

/** Options for one command in a guest. All are optional. */
export interface LabCommandOptions {
  /**
   * Milliseconds, default 120000, with a full kernel 600000; for {@link runInLab} it covers boot and command, but not the
   * download. On timeout the command is killed and the result has status 124.
   */
  readonly timeout?: number | undefined;
  /** Working directory of the command; default the current one. It must exist on the host. */
  readonly cwd?: string | undefined;
  /** The command's environment; default this process's. NETLINK_XFRM_LAB is added. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  /** Default `ignore`: the command reads an empty input. `inherit` passes on this process's standard input. */
  readonly stdin?: 'inherit' | 'ignore' | undefined;
  /** Default `inherit`. A stream receives the bytes unchanged and is not ended. */
  readonly stdout?: LabOutput | undefined;
  /** Default `inherit`; like `stdout`. */
  readonly stderr?: LabOutput | undefined;
  /**
   * Forwards SIGINT, SIGTERM, SIGHUP and SIGQUIT of this process to the command; a second one kills
   * it. Default false: the signals then end this process, and the command with it.
   */
  readonly forwardSignals?: boolean | undefined;
  /**
   * Gives the command its own network namespace, with its own loopback interface and list of named namespaces: it sees no
   * SAs, policies and links of others, and what it leaves behind is discarded. Default false.
   */
  readonly isolated?: boolean | undefined;
  /** Kills the command; the promise is then rejected with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Options of {@link runInLab}. All are optional. */
export interface LabOptions extends LabGuestOptions, LabCommandOptions {
  readonly signal?: AbortSignal | undefined;
  /**
   * Runs it in a guest kept for this user; boots one if there is none with this kernel, memory and share. Other commands
   * may run in it concurrently (four; more wait). Kernel state and files below /tmp, /run and /mnt persist; processes end
   * with their command. A number is the idle time in milliseconds after which the guest shuts down; `true` means 600000.
   * Default false: the command has a guest of its own.
   */
  readonly keep?: boolean | number | undefined;
}

/** Sources and destinations of a command's streams. */
export interface CommandStreams {
  stdin: Readable | undefined;
  readonly stdout: Writable | undefined;
  readonly stderr: Writable | undefined;
}

function destination(output: LabOutput | undefined, inherited: Writable): Writable | undefined {
  if (output === 'ignore') return undefined;
  return output === undefined || output === 'inherit' ? inherited : output;
}

/** The streams of a command. */
export function commandStreams(options: LabCommandOptions): CommandStreams {
  return {
    stdin: options.stdin === 'inherit' ? process.stdin : undefined,
    stdout: destination(options.stdout, process.stdout),
    stderr: destination(options.stderr, process.stderr),
  };
}

/** Validated limits and defaults. */
export interface LabLimits {
  readonly memory: number;
  readonly timeout: number;
}

const DEFAULTS: Record<LabKernelKind, LabLimits> = {
  'user-mode': { memory: 512, timeout: 120_000 },
  full: { memory: 1024, timeout: 600_000 },
};

/** Longest timeout of Node's timers: 2^31 - 1 milliseconds. */
const LONGEST = 0x7fffffff;

type Check = readonly [expected: string, is: (value: unknown) => boolean];

const of = (type: string, expected: string): Check => [expected, (value) => typeof value === type];
const text = of('string', 'a string');
const onOrOff = of('boolean', 'true or false');
const output: Check = [
  "'inherit', 'ignore' or a stream",
  (value) =>
    value === 'inherit' ||
    value === 'ignore' ||
    (typeof value === 'object' && typeof (value as Writable | null)?.write === 'function'),
];

const CHECKS: Readonly<Record<keyof LabOptions, Check>> = {
  kernel: ["'user-mode' or 'full'", (value) => value === 'user-mode' || value === 'full'],
  suite: text,
  refresh: onOrOff,
  signal: ['an AbortSignal', (value) => value instanceof AbortSignal],
  progress: of('function', 'a function'),
  memory: of('number', 'a number'),
  share: text,
  timeout: of('number', 'a number'),
  cwd: text,
  env: ['an object', (value) => typeof value === 'object' && value !== null],
  stdin: ["'inherit' or 'ignore'", (value) => value === 'inherit' || value === 'ignore'],
  stdout: output,
  stderr: output,
  forwardSignals: onOrOff,
  isolated: onOrOff,
  keep: [
    'true, false or a number',
    (value) => typeof value === 'boolean' || (typeof value === 'number' && value >= 0),
  ],
};

/** Checks the names and types of options. Throws `LAB_USAGE`. */
export function checkOptions(options: LabOptions): void {
  const refuse = (message: string, hint: string) => new LabError('LAB_USAGE', message, hint);
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw refuse('The options are not an object.', 'Give an object, or nothing.');
  }
  for (const [name, value] of Object.entries(options)) {
    const check = Object.hasOwn(CHECKS, name) ? CHECKS[name as keyof LabOptions] : undefined;
    if (check === undefined) {
      const hint = `Valid options: ${Object.keys(CHECKS).join(', ')}.`;
      throw refuse(`There is no option ${JSON.stringify(name)}.`, hint);
    }
    const [expected, is] = check;
    if (value === undefined || is(value)) continue;
    throw refuse(`The option ${name} has a wrong type or value.`, `Give ${expected}.`);
  }
}

/** Checks the limits. Throws `LAB_USAGE`. */
export function checkLimits(options: Pick<LabOptions, 'memory' | 'timeout' | 'kernel'>): LabLimits {
  checkOptions(options);
  const defaults = DEFAULTS[options.kernel ?? 'user-mode'];
  const { memory = defaults.memory, timeout = defaults.timeout } = options;
  if (!Number.isInteger(memory) || memory < 128 || memory > 65_536) {
    throw new LabError(
      'LAB_USAGE',
      `${memory} MiB is not a valid memory size for the guest.`,
      'Give a whole number of MiB from 128 to 65536.',
    );
  }
  if (!(timeout > 0 && timeout <= LONGEST)) {
    throw new LabError(
      'LAB_USAGE',
      `${timeout} ms is not a valid time limit.`,
      'Give a number of milliseconds above 0 (at most 24 days).',
    );
  }
  return { memory, timeout };
}

/** Checks the command. Throws `LAB_USAGE`. */
export function checkCommand(command: readonly string[]): void {
  const isText = (one: unknown) => typeof one === 'string' && !one.includes('\0');
  if (Array.isArray(command) && command[0] && command.every(isText)) return;
  throw new LabError(
    'LAB_USAGE',
    'There is no command to run in the guest, or it is not an array of strings without NUL.',
    'Give a program and its arguments, for example ip xfrm state.',
  );
}
