import { LabError, lastLines } from './errors.ts';
import type { LabKernel } from './kernel.ts';

/** Bytes of kernel messages to keep: a boot prints about 8 KB. */
const KEPT = 64 * 1024;

/** The end of the guest kernel's output. */
export class KernelLog {
  #chunks: Buffer[] = [];
  #length = 0;

  add(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    if (this.#length > 2 * KEPT) {
      const kept = Buffer.concat(this.#chunks).subarray(-KEPT);
      this.#chunks = [kept];
      this.#length = kept.length;
    }
  }

  get text(): string {
    return Buffer.concat(this.#chunks).toString('latin1');
  }
}

/** The most informative lines: the panic and its reason if there was one, else the last ones. */
function lastWords(text: string): string {
  const panic = /^.*Kernel panic - .*$/m.exec(text.replace(/\r/g, ''))?.[0];
  return panic ?? (lastLines(text, 8) || '(none)');
}

const name = (kernel: LabKernel) => `The guest kernel ${kernel.release} (${kernel.suite})`;

/** Error for a kernel that ended before the command started; its messages tell why, if they do. */
export function bootError(kernel: LabKernel, text: string): LabError {
  const log = lastLines(text, 40);
  // The kernel's checks of its host (arch/um/os-Linux/start_up.c), each line ending in OK; and its
  // messages when it cannot run a first program (arch/um/os-Linux/skas/process.c).
  const check =
    /^(?:Checking (?:that ptrace|syscall emulation|advanced).*(?<!OK))$|check_ptrace|PTRACE_\w+ failed|ptrace: .*Operation not permitted|ptrace set \w+ regs failed/m;
  if (check.test(text.replace(/\r/g, ''))) {
    return new LabError(
      'LAB_PTRACE',
      `${name(kernel)} cannot trace its programs on this machine.`,
      'Something here forbids or limits ptrace(2): a container without it (give it ' +
        '--cap-add=SYS_PTRACE or --security-opt seccomp=unconfined), a debugger, or ' +
        'kernel.yama.ptrace_scope=3. The suite sid may do where an older kernel does not.',
      { log },
    );
  }
  if (kernel.kind === 'full') return emulatorError(kernel, text, log);
  const memory = /Bus error|SIGBUS|No space left|mmap.*failed/i.test(text);
  return new LabError(
    memory ? 'LAB_TMPDIR' : 'LAB_BOOT',
    `${name(kernel)} did not come up. Its last words:\n${lastWords(text)}`,
    memory
      ? 'Set TMPDIR to a directory with room for the memory, or ask for less memory.'
      : 'Try another suite, more memory, or a refresh of the cached kernel.',
    { log },
  );
}

/** Error for an emulator or its guest that ended before the command started. */
function emulatorError(kernel: LabKernel, text: string, log: string): LabError {
  if (/cannot set up guest memory|Cannot allocate memory/.test(text)) {
    return new LabError(
      'LAB_MEMORY',
      `This machine does not have the memory for ${name(kernel)}.`,
      'Ask for less memory (256 MiB do for small commands), or end what takes it here.',
      { log },
    );
  }
  // The emulator's own messages: they begin with its name, or come from the dynamic loader.
  const own =
    /^(?:\S*qemu-system-\w+: (?!warning:|terminating).*|.*error while loading shared.*)$/m;
  const [complaint] = own.exec(text.replace(/\r/g, '')) ?? [];
  if (complaint !== undefined && !/kvm/i.test(complaint)) {
    return new LabError(
      'LAB_QEMU',
      `The emulator cannot run ${name(kernel)}: ${lastLines(complaint, 1)}`,
      "Install Debian's package qemu-system-x86 (7.2 and later are known to do), or set " +
        'NETLINK_XFRM_QEMU to another emulator.',
      { log },
    );
  }
  return new LabError(
    'LAB_BOOT',
    `${name(kernel)} did not come up. Its last words:\n${lastWords(text)}`,
    'Try another suite, more memory, or a refresh of the cached kernel; if the words are of KVM, ' +
      'set NETLINK_XFRM_ACCEL=tcg.',
    { log },
  );
}

/** Error for a guest that ended after the command started, without reporting its status. */
export function lostError(kernel: LabKernel, text: string): LabError {
  return new LabError(
    'LAB_LOST',
    `${name(kernel)} ended without an exit status. Its last words:\n${lastWords(text)}`,
    'The kernel failed or was killed or powered off by the command. If its memory ran out, give ' +
      'it more.',
    { log: lastLines(text, 40) },
  );
}
