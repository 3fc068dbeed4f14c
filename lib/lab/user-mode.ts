import type { LabKernel } from './kernel.ts';
import { LINES } from './lines.ts';
import type { GuestProgram } from './vm.ts';

/** How the user-mode kernel, a program, is started. Its lines are terminals of the guest. */
export function userModeProgram(
  kernel: LabKernel,
  setup: { run: string; memory: number; memoryDirectory: string; stdin: boolean },
): GuestProgram {
  return {
    command: [
      kernel.program,
      `mem=${setup.memory}M`,
      // It tries, and traces its programs where the machine has no seccomp filters for it.
      ...(kernel.seccomp ? ['seccomp=auto'] : []),
      'root=/dev/root',
      'rootfstype=hostfs',
      'rootflags=/',
      'ro',
      // Terminal lines: what the kernel prints, then the command's (guest.ts).
      'con=null',
      'con0=null,fd:1',
      `con1=null,fd:${LINES.out}`,
      `con2=null,fd:${LINES.err}`,
      `con3=fd:${LINES.control}`,
      ...(setup.stdin ? [`con4=fd:${LINES.input},null`] : []),
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
