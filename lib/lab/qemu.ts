import { accessSync, constants, readFileSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import { LabError } from './errors.ts';
import type { LabKernel, PrepareLabOptions } from './kernel.ts';
import { LINES, slotLines, slotNumbers } from './lines.ts';
import { plainEnvironment } from './programs.ts';
import { fetchLabTools } from './tools.ts';
import type { GuestProgram } from './vm.ts';

/** The emulator for full kernels. */
export interface Emulator {
  readonly program: string;
  /** Environment that it needs. */
  readonly env: Readonly<Record<string, string>>;
  /** Firmware directories, if it does not find them itself. */
  readonly firmware: readonly string[];
}

/** How qemu executes the guest's code: on the processor, or translated (much slower). */
export type Accelerator = 'kvm' | 'tcg';

const PROGRAM = 'qemu-system-x86_64';

/** Debian's packages of the emulator; the shared libraries they need are fetched with them. */
const PACKAGES = ['qemu-system-x86', 'qemu-system-common', 'qemu-system-data', 'seabios'];

const HINT =
  'Install the package qemu-system-x86, or set NETLINK_XFRM_QEMU to the path of ' +
  `${PROGRAM}. The user-mode kernel (without --kernel full) needs no emulator.`;

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * Finds the emulator: NETLINK_XFRM_QEMU, else one in PATH, else Debian's, fetched into the cache.
 * Throws `LAB_QEMU` if there is none.
 */
export async function prepareEmulator({
  signal,
  progress,
}: Pick<PrepareLabOptions, 'signal' | 'progress'> = {}): Promise<Emulator> {
  const asked = process.env.NETLINK_XFRM_QEMU;
  if (asked) {
    const program = resolve(asked);
    if (isProgram(program)) return { program, env: {}, firmware: [] };
    const message = `NETLINK_XFRM_QEMU is ${program}, which cannot be run.`;
    throw new LabError('LAB_QEMU', message, HINT);
  }
  const installed = (plainEnvironment().PATH ?? '')
    .split(delimiter)
    .filter((directory) => directory.startsWith('/'))
    .map((directory) => join(directory, PROGRAM))
    .find(isProgram);
  if (installed !== undefined) return { program: installed, env: {}, firmware: [] };
  try {
    // From this machine's suite, whatever the kernel's: it uses the C library here.
    const { root, libraries } = await fetchLabTools(PACKAGES, { signal, progress });
    return {
      program: join(root, 'usr/bin', PROGRAM),
      env: {
        LD_LIBRARY_PATH: libraries.join(delimiter),
        QEMU_MODULE_DIR: join(root, 'usr/lib/x86_64-linux-gnu/qemu'),
      },
      firmware: ['usr/share/qemu', 'usr/share/seabios'].map((part) => join(root, part)),
    };
  } catch (cause) {
    if (!(cause instanceof LabError)) throw cause;
    const message = `There is no ${PROGRAM} here, and it cannot be fetched. ${cause.message}`;
    throw new LabError('LAB_QEMU', message, `${HINT} Or: ${cause.hint}`, { cause, log: cause.log });
  }
}

/**
 * Accelerators to use, best first; if a boot fails with one, the next is tried.
 * NETLINK_XFRM_ACCEL overrides them. Throws `LAB_USAGE` if its value is invalid.
 */
export function accelerators(
  env: NodeJS.ProcessEnv = process.env,
  device = '/dev/kvm',
  processors = '/proc/cpuinfo',
): Accelerator[] {
  const asked = env.NETLINK_XFRM_ACCEL;
  if (asked) {
    const names = asked.split(',');
    const known = names.filter((name) => name === 'kvm' || name === 'tcg');
    if (known.length === names.length) return known;
    const message = `NETLINK_XFRM_ACCEL is ${JSON.stringify(asked)}.`;
    throw new LabError('LAB_USAGE', message, 'Set it to kvm, tcg or kvm,tcg, or leave it unset.');
  }
  try {
    accessSync(device, constants.R_OK | constants.W_OK);
    // The device alone is no guarantee: without these flags it has been seen to start guests and lose them.
    if (/^flags\s*:.*\b(vmx|svm)\b/m.test(readFileSync(processors, 'utf8'))) return ['kvm', 'tcg'];
  } catch {
    // No KVM for this user.
  }
  return ['tcg'];
}

/** Escapes a value in an option list: qemu reads two commas as one. */
const value = (text: string) => text.replaceAll(',', ',,');

/** Processors of a guest: enough for its kernel to do two things concurrently. */
const PROCESSORS = 2;

/** Command line of a full kernel. Its lines are named ports of a virtio console. */
export function qemuProgram(
  emulator: Emulator,
  kernel: LabKernel,
  setup: {
    run: string;
    memory: number;
    stdin: boolean;
    slots: number;
    share: string;
    accelerator: Accelerator;
  },
): GuestProgram {
  const ports: [string, number][] = [['control', LINES.control]];
  for (const slot of slotNumbers(setup.slots)) {
    for (const [name, descriptor] of Object.entries(slotLines(slot))) {
      if (name !== 'input' || setup.stdin) ports.push([`${name}${slot}`, descriptor]);
    }
  }
  const files = 'local,id=files,path=/,security_model=none,readonly=on,multidevs=remap';
  const share = `local,id=share,path=${value(setup.share)},security_model=none,multidevs=remap`;
  return {
    command: [
      emulator.program,
      ...emulator.firmware.flatMap((directory) => ['-L', directory]),
      ...['-no-user-config', '-nodefaults', '-no-reboot', '-display', 'none', '-machine', 'pc'],
      ...['-accel', setup.accelerator === 'tcg' ? 'tcg,thread=multi' : setup.accelerator],
      // All emulated features except five-level page tables, which make it slower.
      ...['-cpu', setup.accelerator === 'tcg' ? 'max,la57=off' : 'host'],
      ...['-smp', String(PROCESSORS), '-m', `${setup.memory}M`],
      ...['-kernel', kernel.program, '-initrd', join(setup.run, 'initramfs')],
      ...['-append', 'console=ttyS0 quiet panic=-1 mitigations=off'],
      ...['-chardev', 'stdio,id=log,signal=off', '-serial', 'chardev:log'],
      ...['-fsdev', files, '-device', 'virtio-9p-pci,fsdev=files,mount_tag=files'],
      ...(setup.share === ''
        ? []
        : ['-fsdev', share, '-device', 'virtio-9p-pci,fsdev=share,mount_tag=share']),
      ...['-device', 'virtio-rng-pci', '-device', 'virtio-serial-pci'],
      ...ports.flatMap(([name, descriptor]) => [
        ...['-chardev', `socket,id=${name},fd=${descriptor}`],
        ...['-device', `virtserialport,chardev=${name},name=${name}`],
      ]),
    ],
    env: emulator.env,
    // It then waits forever, so that someone can inspect the guest.
    broken: /^KVM internal error|^error: kvm run failed/m,
  };
}
