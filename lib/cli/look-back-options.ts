/**
 * The options for looking into a recording: `--recording`, `--at`, `--from` and `--to`.
 * @module
 */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { MOMENT_HELP, moment } from './moment.ts';

/** Which times of a recording are meant. */
export interface SpanOptions {
  readonly at?: string | undefined;
  readonly from?: string | undefined;
  readonly to?: string | undefined;
}

export interface LookBackOptions extends SpanOptions {
  readonly recording?: string;
  readonly netns?: string | undefined;
  readonly allNetns?: true;
  readonly until?: number;
}

/** Adds `--from` and `--to`, and says what times are. */
export const addSpanOptions = (command: Command): Command =>
  command
    .option('--from <time>', 'of a recording: begin at this time', moment)
    .option('--to <time>', 'of a recording: end at this time', moment)
    .addHelpText('after', TIMES_HELP);

/** Adds `--at` in addition, for what was about then. */
export const addPartOptions = (command: Command): Command =>
  addSpanOptions(
    command
      .option('--at <time>', 'of a recording: five seconds before and after this time', moment)
      .addOption(calledOtherwise('--since', '--from'))
      .addOption(calledOtherwise('--until', '--to')),
  );

/** An option of other tools, which names ours. */
const calledOtherwise = (theirs: string, ours: string) =>
  new Option(`${theirs} <time>`).hideHelp().argParser(() => {
    throw new InvalidArgumentError(`Of a recording it is '${ours}'.`);
  });

/** Says what times are. */
export const TIMES_HELP = `\nTimes: ${MOMENT_HELP}\n`;

/** A usage error for a moment together with a span. */
export function checkSpan({ at, from, to }: SpanOptions, command: Command): void {
  if (at && (from || to)) command.error("error: '--at' cannot be used with '--from' or '--to'");
}

const addRecordingOption = (command: Command): Command =>
  command
    .option('-r, --recording <path>', 'look into a recording of `record` instead of this host')
    .option('--at <time>', 'in it: what was at this time (default: at its end)', moment);

/** Adds `--recording` and `--at`, and says what times are. */
export const addMomentOptions = (command: Command): Command =>
  addRecordingOption(command).addHelpText('after', TIMES_HELP);

/** Adds `--recording`, `--at`, `--from` and `--to`, and says what times are. */
export const addLookBackOptions = (command: Command): Command =>
  addSpanOptions(addRecordingOption(command));

/** A usage error for options that do not go together. */
export function checkLookBack(options: LookBackOptions, command: Command): void {
  const { recording, at, from, to, allNetns, until } = options;
  const given = at ? '--at' : from ? '--from' : to ? '--to' : undefined;
  if (recording === undefined && given) command.error(`error: '${given}' needs '--recording'`);
  if (recording !== undefined && allNetns) {
    command.error("error: '--all-netns' does not work with '--recording': use '--netns'");
  }
  if (recording !== undefined && until !== undefined) {
    command.error("error: '--until' does not work with '--recording': use '--to'");
  }
  checkSpan(options, command);
}
