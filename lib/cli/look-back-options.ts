/**
 * The options for looking into a recording: `--recording`, `--at`, `--from` and `--to`.
 * @module
 */
import type { Command } from 'commander';
import { MOMENT_HELP } from '../recording/moment.ts';

export { MOMENT_HELP };

/** Which times of a recording are meant. */
export interface SpanOptions {
  readonly at?: string;
  readonly from?: string;
  readonly to?: string;
}

export interface LookBackOptions extends SpanOptions {
  readonly recording?: string;
  readonly netns?: string;
  readonly allNetns?: true;
  readonly until?: number;
}

/** Adds `--from` and `--to`. */
export const addSpanOptions = (command: Command): Command =>
  command
    .option('--from <time>', 'of a recording: begin at this time')
    .option('--to <time>', 'of a recording: end at this time');

/** A usage error for a moment together with a span. */
export function checkSpan(
  { at, from, to }: Pick<LookBackOptions, 'at' | 'from' | 'to'>,
  command: Command,
): void {
  if (at && (from || to)) command.error("error: '--at' cannot be used with '--from' or '--to'");
}

/** Adds `--recording`, `--at`, `--from` and `--to`. */
export const addLookBackOptions = (command: Command): Command =>
  addSpanOptions(
    command
      .option('-r, --recording <path>', 'look into a recording of `record` instead of this host')
      .option('--at <time>', 'in it: what was at this time (default: at its end)'),
  ).addHelpText('after', `\nTimes: ${MOMENT_HELP}\n`);

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
