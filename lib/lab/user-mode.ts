import type { LabKernel } from './kernel.ts';
import { LINES, slotLines, slotNumbers } from './lines.ts';
import type { GuestProgram } from './vm.ts';

/** Terminal numbers of a guest: the first for kernel output, then control, then three per slot. */
export function terminals(slot: number): { out: number; err: number; input: number } {
  const out = 2 + 3 * slot;
  return { out, err: out + 1, input: out + 2 };
}

export const CONTROL_TERMINAL = 1;

/** Command line of the user-mode kernel, an ordinary program. Its lines are terminals of the guest. */
export function userModeProgram(
  kernel: LabKernel,
  setup: { run: string; memory: number; memoryDirectory: string; stdin: boolean; slots: number },
): GuestProgram {
  const slots = slotNumbers(setup.slots).flatMap((slot) => {
    const terminal = terminals(slot);
    const line = slotLines(slot);
    return [
      `con${terminal.out}=null,fd:${line.out}`,
      `con${terminal.err}=null,fd:${line.err}`,
      ...(setup.stdin ? [`con${terminal.input}=fd:${line.input},null`] : []),
    ];
  });
  return {
    command: [
      kernel.program,
      `mem=${setup.memory}M`,
      // It tries seccomp filters, and falls back to ptrace if the machine does not support them.
      ...(kernel.seccomp ? ['seccomp=auto'] : []),
      'root=/dev/root',
      'rootfstype=hostfs',
      'rootflags=/',
      'ro',
      // Terminal lines (guest.ts). The kernel has 16 (MAX_TTYS in arch/um/drivers/stdio_console.c).
      'con=null',
      'con0=null,fd:1',
      `con${CONTROL_TERMINAL}=fd:${LINES.control}`,
      ...slots,
      `init=${setup.run}/init`,
      'umid=lab',
      `uml_dir=${setup.run}/`,
    ],
    env: {
      TMPDIR: setup.memoryDirectory,
      ...(kernel.preload && { LD_PRELOAD: kernel.preload }),
    },
  };
}
