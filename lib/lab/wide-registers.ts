import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RunUnpacked } from './library.ts';

/**
 * On processors with AMX, the kernels of bookworm and trixie stop with "ptrace set fp regs failed,
 * errno = 14" when they start their first program. The register set NT_X86_XSTATE has 11008 bytes
 * there (CPUID leaf 13), of which they store 2696, and the host rejects an incomplete set
 * (arch/x86/kernel/fpu/regset.c, xstateregs_set: "A whole standard-format XSAVE buffer is needed").
 * Seen with 6.1.176 and 6.12.101; 7.2.7 asks the host for the size and runs.
 *
 * This library, preloaded into the guest kernel, wraps ptrace(2) and completes such a set. It adds only
 * AMX in its initial state, which it always has: a program must request AMX (ARCH_REQ_XCOMP_PERM), and
 * these kernels refuse that (tried). All of AVX-512 was seen to survive four threads running in turn.
 */
const SOURCE = `
typedef unsigned long word;
struct vector { void *base; word length; };
extern long syscall(long number, ...);
extern int *__errno_location(void);

enum { SYS_PTRACE = 101, GETREGSET = 0x4204, SETREGSET = 0x4205, XSTATE = 0x202 };
enum { ROOM = 65536, XSTATE_BV = 512 };
/* Components 0 to 7 and 9 of the state: x87 up to the protection keys, which end at byte 2696. */
enum { KEPT = 0x2ff };

static word whole[ROOM / sizeof(word)];
static word size;

long ptrace(long request, long pid, word address, void *data)
{
  long result, value = 0;
  if (request == SETREGSET && address == XSTATE) {
    struct vector *given = data;
    struct vector all = { whole, ROOM };
    word i;
    if (size == 0 && syscall(SYS_PTRACE, GETREGSET, pid, XSTATE, &all) == 0) {
      size = all.length;
      for (i = 0; i < ROOM / sizeof(word); i++) whole[i] = 0;
    }
    /* This happens at every system call: by words, and what lies beyond stays 0. */
    if (given->length < size && given->length > XSTATE_BV + 64) {
      word *from = given->base;
      for (i = 0; i < given->length / sizeof(word); i++) whole[i] = from[i];
      whole[XSTATE_BV / sizeof(word)] &= KEPT;
      all.length = size;
      return syscall(SYS_PTRACE, request, pid, address, &all);
    }
  }
  /* The C library's ptrace returns what the three PEEK requests read; the system call does not. */
  if (request < 1 || request > 3) return syscall(SYS_PTRACE, request, pid, address, data);
  result = syscall(SYS_PTRACE, request, pid, address, &value);
  if (result < 0) return result;
  *__errno_location() = 0;
  return value;
}
`;

/** Whether a kernel of this release needs the library on a processor with AMX. */
export function needsWideRegisters(release: string, amx: boolean): boolean {
  return amx && Number.parseInt(release, 10) < 7;
}

/** Compiles the library to `output`. `tcc` is the compiler of the Debian package of that name. */
export async function buildWideRegisters(
  tcc: string,
  run: RunUnpacked,
  output: string,
  directory: string,
): Promise<void> {
  const source = join(directory, 'wide-registers.c');
  writeFileSync(source, SOURCE);
  await run(tcc, ['-shared', '-nostdlib', '-nostdinc', '-o', output, source]);
}
