/**
 * `netlink-xfrm record`: a flight recorder. lib/recording/ does the work.
 * @module
 */
import { statSync } from 'node:fs';
import { hostname } from 'node:os';
import { aborted } from 'node:util';
import { type Command as AnyCommand, Command, InvalidArgumentError } from 'commander';
import { recordHere } from '../recording/record-here.ts';
import { printable } from '../wire/text.ts';
import { endedBySignal } from './events/ended.ts';
import { EXIT } from './exit.ts';
import { addBufferOption, addNamespacesOptions, size } from './options.ts';
import { formatNamespace } from './text/event.ts';
import { duration } from './tunnels/tunnel-options.ts';
import { version } from './version.ts';

interface Options {
  readonly output?: string;
  readonly ring?: number;
  readonly for?: number;
  readonly netns: readonly string[];
  readonly allNetns?: true;
  readonly snapshots: number;
  readonly withKeys?: true;
  readonly acquires?: true;
  readonly buffer: number;
}

/** Milliseconds between snapshots, as between counter readings of a tunnel monitor. */
const SNAPSHOTS = 10_000;

export function recordCommand(): AnyCommand {
  const command = new Command('record')
    .description(
      'Records IPsec events with snapshots, counters and clocks, for a look back with replay,\n' +
        'timeline, diff, and --recording of state, policy, tunnels and check. Needs CAP_NET_ADMIN.\n' +
        'Keys are replaced by zeros before anything is written.',
    )
    .option(
      '-o, --output <path>',
      'the file, which is continued if it is a recording; with --ring, a directory',
    )
    .option(
      '--ring <size>',
      'keep the newest events only: a directory of files with at most this size, such as 64MiB; at least 128KiB',
      size,
    )
    .option('--for <duration>', 'end after this time; otherwise with Ctrl-C', duration)
    .option(
      '--snapshots <duration>',
      'time between two dumps of all SAs, policies and addresses; more if they are large',
      duration,
      SNAPSHOTS,
    )
    .option('--with-keys', 'also record keys: whoever reads the file can decrypt the traffic')
    .option(
      '--acquires',
      'listen to acquires; this changes what the kernel does (docs/tunnels.md)',
    );
  addBufferOption(addNamespacesOptions(command));
  return command
    .addHelpText('after', '\nSee docs/recording.md.\n')
    .action(async (options: Options) => {
      process.exitCode = await record(options, command);
    });
}

/** `ipsec-HOST-20261129T031200Z`, and `.nxr` for a file. */
function defaultPath(ring: boolean): string {
  const time = new Date().toISOString().replaceAll(/[-:]|\.\d+/g, '');
  const host = hostname().replaceAll(/[^\w.-]/g, '_');
  return `ipsec-${host}-${time}${ring ? '' : '.nxr'}`;
}

async function record(options: Options, command: AnyCommand): Promise<number> {
  const { ring, netns, allNetns, snapshots, withKeys = false, acquires = false, buffer } = options;
  if (snapshots === 0) throw new InvalidArgumentError('--snapshots must be more than 0');
  const path = options.output ?? defaultPath(ring !== undefined);
  const existing = statSync(path, { throwIfNoEntry: false });
  if (ring === undefined && existing?.isDirectory()) {
    command.error(`error: '${path}' is a directory: it needs '--ring'`);
  }
  if (ring !== undefined && existing?.isDirectory() === false) {
    command.error(`error: '${path}' is not a directory, as '--ring' needs: choose another path`);
  }
  const ended = endedBySignal();
  let unwritten = 0;
  let failure: unknown;
  const say = (text: string) => process.stderr.write(`netlink-xfrm: ${text}\n`);
  const recording = await recordHere({
    path,
    ring,
    netns,
    allNetns: allNetns === true,
    version,
    keys: withKeys,
    acquires,
    receiveBufferSize: buffer * 2 ** 20,
    interval: snapshots,
    failed(error, label) {
      say(`${formatNamespace(label)}: ${printable(error.message)}`);
      if (allNetns) return;
      failure = error;
      ended.abort();
    },
    unwritten(error) {
      if (error) unwritten++;
      say(error ? `not written: ${printable(error.message)}` : 'written again');
    },
  });
  try {
    await Promise.race([recording.ready(), aborted(ended.signal, ended)]);
    process.stderr.write(
      `listening, recording in ${printable(path)}${withKeys ? ' with keys' : ''}; Ctrl-C ends\n`,
    );
    const timer =
      options.for === undefined ? undefined : setTimeout(() => ended.abort(), options.for);
    await aborted(ended.signal, ended);
    clearTimeout(timer);
  } finally {
    await recording.close();
  }
  if (failure !== undefined) throw failure;
  const { received, overruns } = recording.totals;
  const lost = overruns === 0 ? 'nothing lost' : `lost events ${overruns} times`;
  process.stderr.write(
    unwritten > 0
      ? `${received} events received, not all of them written\n`
      : `${received} events recorded, ${lost}\n`,
  );
  return unwritten > 0 || overruns > 0 ? EXIT.conditionNotMet : EXIT.done;
}
