import type { Writable } from 'node:stream';
import { LabError } from './errors.ts';
import type { KernelKind, PrepareOptions } from './kernel.ts';

/** Where a stream of the command goes. */
export type LabOutput = Writable | 'inherit' | 'ignore';

/** What {@link runInLab} can be told. All is optional. */
export interface LabOptions extends PrepareOptions {
  /**
   * The guest's memory in MiB, at least 128; default 512, of a full kernel 1024. It is taken as it is
   * used: a user-mode kernel's from TMPDIR, a full one's from this machine's memory.
   */
  readonly memory?: number;
  /**
   * Milliseconds for boot and command together, not for the download; default 120000, with a full
   * kernel 600000. When they are over the guest is killed and the result has status 124.
   */
  readonly timeout?: number;
  /** Working directory of the command; default the current one. It must exist on the host. */
  readonly cwd?: string;
  /** The command's environment; default this process's. NETLINK_XFRM_LAB is added. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /**
   * Host directory that the guest may write to, mounted at the same path. Everything else of the
   * host is read-only in the guest, or hidden below a layer that ends with it (/tmp, /run, /mnt).
   */
  readonly share?: string;
  /** Default `ignore`: the command reads an empty input. `inherit` passes this process's on. */
  readonly stdin?: 'inherit' | 'ignore';
  /** Default `inherit`. A stream is written to, byte for byte as it comes, and not ended. */
  readonly stdout?: LabOutput;
  /** Default `inherit`; as `stdout`. */
  readonly stderr?: LabOutput;
  /**
   * Passes SIGINT, SIGTERM, SIGHUP and SIGQUIT of this process on to the command; a second one kills
   * the guest. Default false: then this process ends by them, and the guest with it.
   */
  readonly forwardSignals?: boolean;
}

/** Limits and defaults, checked. */
export interface LabLimits {
  readonly memory: number;
  readonly timeout: number;
}

const DEFAULTS: Record<KernelKind, LabLimits | undefined> = {
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
      `${JSON.stringify(options.kernel)} is no kind of kernel.`,
      "Give 'user-mode' or 'full'.",
    );
  }
  const { memory = defaults.memory, timeout = defaults.timeout } = options;
  if (!Number.isInteger(memory) || memory < 128 || memory > 65_536) {
    throw new LabError(
      'LAB_USAGE',
      `${memory} MiB is no possible memory for the guest.`,
      'Give a whole number of MiB from 128 to 65536.',
    );
  }
  if (!(timeout > 0 && timeout <= LONGEST)) {
    throw new LabError(
      'LAB_USAGE',
      `${timeout} ms is no possible time limit.`,
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
