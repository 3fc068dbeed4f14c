import { Command, Option } from 'commander';
import {
  type KeptLabGuest,
  LabError,
  type LabKernel,
  type LabKernelKind,
  listLabGuests,
  listLabKernels,
  prepareLab,
  runInLab,
  stopLabGuests,
} from '../lab/index.ts';
import { positive } from './positive.ts';

interface Flags {
  kernel: LabKernelKind;
  suite?: string;
  memory?: number;
  timeout?: number;
  share?: string;
  refresh?: boolean;
  keep?: boolean;
  idle?: number;
  isolated?: boolean;
  list?: boolean;
  stop?: boolean;
  json?: boolean;
}

function describeKernel(kernel: LabKernel): string {
  return [
    `kind     ${kernel.kind}`,
    `suite    ${kernel.suite}`,
    `release  ${kernel.release}`,
    `package  ${kernel.version}`,
    `fetched  ${kernel.fetched}`,
    `path     ${kernel.directory}`,
  ].join('\n');
}

function print(kernels: readonly LabKernel[], json: boolean): void {
  if (json) {
    for (const { kind, suite, release, version, fetched, directory } of kernels) {
      console.log(
        JSON.stringify({
          type: 'kernel',
          version: 1,
          kind,
          suite,
          release,
          package: version,
          fetched,
          path: directory,
        }),
      );
    }
    return;
  }
  if (kernels.length > 0) console.log(kernels.map(describeKernel).join('\n\n'));
}

function describeGuest(guest: KeptLabGuest): string {
  return [
    'guest    kept',
    `kind     ${guest.kind}`,
    `suite    ${guest.suite}`,
    `release  ${guest.release}`,
    `memory   ${guest.memory} MiB`,
    ...(guest.share === '' ? [] : [`share    ${guest.share}`]),
    `since    ${guest.since}`,
    `running  ${guest.running}`,
    `idle     stops after ${guest.idle / 1000} s without a command`,
    `process  ${guest.pid}`,
  ].join('\n');
}

function printGuests(guests: readonly KeptLabGuest[], json: boolean, after: boolean): void {
  if (json) {
    for (const { idle, share, ...guest } of guests) {
      console.log(
        JSON.stringify({
          type: 'guest',
          version: 1,
          ...guest,
          ...(share !== '' && { share }),
          idle: idle / 1000,
        }),
      );
    }
    return;
  }
  if (guests.length > 0) console.log((after ? '\n' : '') + guests.map(describeGuest).join('\n\n'));
}

/** Reports a failure; returns the exit status: 2 for wrong usage, 3 if the lab cannot work here. */
function report(error: unknown): number {
  if (!(error instanceof LabError)) throw error;
  process.stderr.write(`netlink-xfrm lab: ${error.message}\n${error.hint}\n`);
  return error.code === 'LAB_USAGE' ? 2 : 3;
}

/** Describes what is wrong with the options for kept guests. */
function misfit(command: readonly string[], flags: Flags): string | undefined {
  const { keep, idle, isolated } = flags;
  for (const alone of ['stop', 'list'] as const) {
    if (flags[alone] && command.length > 0) return `--${alone} takes no command`;
  }
  if (flags.stop && flags.list) return '--stop and --list cannot be combined';
  if (flags.stop || flags.list) return undefined;
  if (idle !== undefined && !keep) return '--idle needs --keep';
  if (command.length > 0 || !(keep || isolated)) return undefined;
  return `${keep ? '--keep' : '--isolated'} needs a command, such as true`;
}

async function run(command: readonly string[], flags: Flags): Promise<number> {
  // Only downloads are reported, so that little is mixed with the command's own output.
  const progress = (message: string) => process.stderr.write(`netlink-xfrm lab: ${message}\n`);
  const { kernel, suite, refresh, memory, timeout, share } = flags;
  try {
    const missing = misfit(command, flags);
    if (missing !== undefined) {
      process.stderr.write(`netlink-xfrm lab: ${missing}\n`);
      return 2;
    }
    if (flags.stop) {
      const ended = await stopLabGuests();
      if (!flags.json) console.log(ended === 1 ? '1 guest stopped' : `${ended} guests stopped`);
      return 0;
    }
    if (flags.list) {
      const kernels = listLabKernels();
      print(kernels, flags.json ?? false);
      printGuests(await listLabGuests(), flags.json ?? false, kernels.length > 0);
      return 0;
    }
    if (command.length === 0) {
      print([await prepareLab({ kernel, suite, refresh, progress })], flags.json ?? false);
      return 0;
    }
    const { status, timedOut, bootMs } = await runInLab(command, {
      kernel,
      suite,
      refresh,
      progress,
      ...(memory !== undefined && { memory }),
      ...(timeout !== undefined && { timeout: timeout * 1000 }),
      ...(share !== undefined && { share }),
      keep: flags.idle === undefined ? flags.keep : flags.idle * 1000,
      isolated: flags.isolated,
      stdin: 'inherit',
      forwardSignals: true,
    });
    if (timedOut) {
      const late =
        bootMs === undefined ? ' before the command started: use a longer --timeout' : '';
      process.stderr.write(
        `netlink-xfrm lab: timed out${late}; ${flags.keep ? 'command' : 'guest'} killed\n`,
      );
    }
    return status;
  } catch (error) {
    // Our reader is gone, as in `netlink-xfrm lab -- … | head`: end as SIGPIPE would.
    if ((error as NodeJS.ErrnoException).code === 'EPIPE') return 141;
    return report(error);
  }
}

/** `netlink-xfrm lab`: a command in a guest kernel that has IPsec. */
export function labCommand(): Command {
  return new Command('lab')
    .description(
      'Run a command as root on a kernel with IPsec (ESP, AH, IPComp), without root on this host',
    )
    .usage('[options] [--] [COMMAND...]')
    .argument('[command...]', 'command to run; without one, fetch the kernel and print its version')
    .addOption(
      new Option('--kernel <kind>', 'user-mode: boots in seconds; full: all features, emulated')
        .choices(['user-mode', 'full'])
        .default('user-mode'),
    )
    .option(
      '--suite <name>',
      "Debian suite of the kernel: bookworm, trixie, sid (default: sid, else this machine's)",
    )
    .option('--memory <MiB>', "the guest's memory (default: 512; full: 1024)", positive)
    .option(
      '--timeout <seconds>',
      'time limit for boot and command; exit status 124 (default: 120; full: 600)',
      positive,
    )
    .option('--share <directory>', 'a directory of this host that the command may write to')
    .option('--keep', 'keep the guest running: the next command with --keep needs no boot')
    .option(
      '--idle <seconds>',
      'with --keep: stop the guest after this long without a command (default: 600)',
      positive,
    )
    .option('--isolated', 'give the command a network namespace of its own')
    .option('--stop', 'stop the kept guests')
    .option('--refresh', 'look for a newer kernel even if one is cached')
    .option('--list', 'list cached kernels and kept guests')
    .option('--json', 'with --list or without a command: one JSON object per line')
    .passThroughOptions()
    .allowExcessArguments(false)
    .addHelpText(
      'after',
      `
The command sees the files of this host, read-only except --share; /tmp, /run and /mnt are writable
and discarded afterwards. Exit status: that of the command; 124 timed out, 2 wrong usage, 3 not
supported on this host. The kernel is Debian's user-mode-linux, downloaded once (about 40 MB) and
cached. A full one is Debian's standard kernel in qemu (200 MB): xfrm interfaces, WireGuard, VTI,
two processors.

  netlink-xfrm lab -- ip xfrm state
  netlink-xfrm lab --suite sid -- sh -c 'uname -r; ip xfrm policy'
  netlink-xfrm lab --keep -- ip xfrm state
  netlink-xfrm lab --kernel full -- ip link add ipsec0 type xfrm if_id 7
`,
    )
    .action(async (command: string[], flags: Flags) => {
      process.exitCode = await run(command, flags);
    });
}
