/**
 * Why the lab cannot work here. Each code has one remedy, given in `hint`.
 *
 * - `LAB_ARCH`      not Linux on x86-64, the only machine Debian builds the kernel for
 * - `LAB_TOOLS`     a program the lab calls (apt-get, dpkg-deb, flock) is missing
 * - `LAB_MIRROR`    no Debian archive is known
 * - `LAB_KEYRING`   the archive's signing keys are not on this machine
 * - `LAB_CACHE`     the cache directory is not private, cannot be written, or nothing can be run from it
 * - `LAB_FETCH`     the download failed and nothing is cached
 * - `LAB_TMPDIR`    no directory has room for the guest's memory, or for the files it starts from, and allows executing
 * - `LAB_MEMORY`    this machine does not have the memory for a full kernel
 * - `LAB_QEMU`      the emulator of full kernels cannot be had, or does not run
 * - `LAB_PTRACE`    this machine forbids what the kernel needs to run programs
 * - `LAB_BOOT`      the kernel started and did not reach the command
 * - `LAB_LOST`      the guest ended without reporting an exit status
 * - `LAB_KEEP`      the process that keeps a guest cannot be started, or does not answer
 * - `LAB_DIRECTORY` the working directory or the share does not exist inside
 * - `LAB_USAGE`     an option has an impossible value
 */
export type LabErrorCode =
  | 'LAB_ARCH'
  | 'LAB_TOOLS'
  | 'LAB_MIRROR'
  | 'LAB_KEYRING'
  | 'LAB_CACHE'
  | 'LAB_FETCH'
  | 'LAB_TMPDIR'
  | 'LAB_MEMORY'
  | 'LAB_QEMU'
  | 'LAB_PTRACE'
  | 'LAB_BOOT'
  | 'LAB_LOST'
  | 'LAB_KEEP'
  | 'LAB_DIRECTORY'
  | 'LAB_USAGE';

/** The lab cannot work here: `message` says why, `hint` how to fix it. */
export class LabError extends Error {
  override readonly name = 'LabError';
  readonly code: LabErrorCode;
  /** How to fix it, in a sentence for people. */
  readonly hint: string;
  /** The last lines of what the failing program (the guest kernel, apt) printed, if any. */
  readonly log: string;

  constructor(
    code: LabErrorCode,
    message: string,
    hint: string,
    details: { cause?: unknown; log?: string } = {},
  ) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.hint = hint;
    this.log = details.log ?? '';
  }
}

/** The last `count` lines of `text`, with control characters other than tab replaced. */
export function lastLines(text: string, count: number): string {
  return text
    .trimEnd()
    .split('\n')
    .slice(-count)
    .map((line) =>
      line.replace(/\r$/, '').replace(
        // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is replaced
        /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g,
        (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
      ),
    )
    .join('\n');
}
