import type { Readable, Writable } from 'node:stream';
import { LabError } from './errors.ts';
import type { LabKernelKind, PrepareLabOptions } from './kernel.ts';

/** Where a stream of the command goes. */
export type LabOutput = Writable | 'inherit' | 'ignore';

/** What a guest can be given as it boots. All is optional. */
export interface LabGuestOptions extends PrepareLabOptions {
  /**
   * The guest's memory in MiB, at least 128; default 512, of a full kernel 1024. It is taken as it is
   * used: a user-mode kernel's from TMPDIR, a full one's from this machine's memory.
   */
  readonly memory?: number | undefined;
  /**
   * Host directory that the guest may write to, mounted at the same path. Everything else of the
   * host is read-only in the guest, or hidden below a layer that ends with it (/tmp, /run, /mnt).
   */
  readonly share?: string | undefined;
}

/** What one command in a guest can be told. All is optional. */
export interface LabCommandOptions {
  /**
   * Milliseconds, default 120000, with a full kernel 600000; of {@link runInLab} for boot and command together, but not
   * for the download. When they are over the command is killed and the result has status 124.
   */
  readonly timeout?: number | undefined;
  /** Working directory of the command; default the current one. It must exist on the host. */
  readonly cwd?: string | undefined;
  /** The command's environment; default this process's. NETLINK_XFRM_LAB is added. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  /** Default `ignore`: the command reads an empty input. `inherit` passes this process's on. */
  readonly stdin?: 'inherit' | 'ignore' | undefined;
  /** Default `inherit`. A stream is written to, byte for byte as it comes, and not ended. */
  readonly stdout?: LabOutput | undefined;
  /** Default `inherit`; as `stdout`. */
  readonly stderr?: LabOutput | undefined;
  /**
   * Passes SIGINT, SIGTERM, SIGHUP and SIGQUIT of this process on to the command; a second one kills
   * it. Default false: then this process ends by them, and the command with it.
   */
  readonly forwardSignals?: boolean | undefined;
  /**
   * Gives the command a network namespace of its own, with its own loopback interface and list of named namespaces:
   * it finds no SAs, policies and links of others, and what it leaves ends with it. Default false.
   */
  readonly isolated?: boolean | undefined;
  /** Kills the command; the promise is then rejected with its reason. */
  readonly signal?: AbortSignal | undefined;
}

/** What {@link runInLab} can be told. All is optional. */
export interface LabOptions extends LabGuestOptions, LabCommandOptions {
  readonly signal?: AbortSignal | undefined;
  /**
   * Runs it in a guest that is kept for this user, and boots one if there is none with this kernel, memory and share.
   * Other commands may run in it at the same time (four; more wait). The state of its kernel stays, and what was written
   * below /tmp, /run and /mnt; processes end with their command. A number is the milliseconds after which the guest
   * ends if nothing has run in it; `true` is 600000. Default false: the guest is the command's alone.
   */
  readonly keep?: boolean | number | undefined;
}

/** Where the streams of a command come from and go to. */
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

/** Limits and defaults, checked. */
export interface LabLimits {
  readonly memory: number;
  readonly timeout: number;
}

const DEFAULTS: Record<LabKernelKind, LabLimits | undefined> = {
  'user-mode': { memory: 512, timeout: 120_000 },
  full: { memory: 1024, timeout: 600_000 },
};

/** Node's timers take no more: 2^31 - 1 milliseconds. */
const LONGEST = 0x7fffffff;

/** Checks the figures. Throws `LAB_USAGE`. */
export function checkLimits(options: Pick<LabOptions, 'memory' | 'timeout' | 'kernel'>): LabLimits {
  const defaults = DEFAULTS[options.kernel ?? 'user-mode'];
  if (defaults === undefined) {
    throw new LabError(
      'LAB_USAGE',
      `${JSON.stringify(options.kernel)} is not a kind of kernel.`,
      "Give 'user-mode' or 'full'.",
    );
  }
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
  const bad = command.length === 0 || command[0] === '' || command.some((one) => /\0/.test(one));
  if (!bad) return;
  throw new LabError(
    'LAB_USAGE',
    'There is no command to run in the guest, or it holds a NUL byte.',
    'Give a program and its arguments, for example ip xfrm state.',
  );
}
