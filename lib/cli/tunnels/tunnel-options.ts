/**
 * Options shared by the tunnel subcommands: expected tunnels, thresholds, and which namespaces to
 * look at.
 * @module
 */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { formatThreshold, parseDuration } from '../../base/duration.ts';
import { FilterError } from '../../monitor/filter-error.ts';
import { namespacePath } from '../../monitor/namespace-path.ts';
import { NUMBERS, THRESHOLDS, type TunnelThresholds } from '../../tunnel/thresholds.ts';
import { TunnelFilter, type TunnelFilterScope } from '../../tunnel/tunnel-filter.ts';
import type { TunnelMonitorOptions } from '../../tunnel/tunnel-monitor-options.ts';
import { addRepeatable } from '../options.ts';
import { ExpectError, readExpected } from './expect.ts';

/** The options as parsed by commander. */
export interface TunnelOptions {
  readonly expect: readonly string[];
  readonly idle?: number;
  readonly stalled?: number;
  readonly threshold: Partial<TunnelThresholds>;
  readonly acquires?: true;
  readonly details?: true;
}

/** Parses a duration for commander. */
export function duration(text: string): number {
  const value = parseDuration(text);
  if (value !== undefined) return value;
  throw new InvalidArgumentError('It must be a duration up to 24 days: 500ms, 30s, 5m, 1h.');
}

function threshold(text: string, before: Partial<TunnelThresholds>): Partial<TunnelThresholds> {
  const [name = '', value = ''] = text.split(/=(.*)/s);
  if (!Object.hasOwn(THRESHOLDS, name)) {
    throw new InvalidArgumentError(
      `It must be NAME=VALUE, where NAME is one of ${Object.keys(THRESHOLDS).join(', ')}.`,
    );
  }
  const number = /^\d{1,9}(\.\d{1,9})?$/.test(value) ? Number(value) : undefined;
  const parsed = NUMBERS.has(name) ? number : parseDuration(value);
  const share = name === 'sequence' || name === 'lifetime';
  const right =
    parsed !== undefined &&
    (share
      ? parsed > 0 && parsed <= 1
      : Number.isInteger(parsed) && (name !== 'pile' || parsed > 0));
  if (right) return { ...before, [name]: parsed };
  const expected = share
    ? 'a number above 0 and at most 1'
    : NUMBERS.has(name)
      ? 'an integer'
      : 'a duration up to 24 days: 500ms, 30s, 5m, 1h';
  throw new InvalidArgumentError(`The value of ${name} must be ${expected}.`);
}

/** Adds `--expect`. */
export const addExpectOption = (command: Command): Command =>
  addRepeatable(
    command,
    '--expect <tunnel>',
    'a tunnel that should exist: NAME=PEER, or more exactly such as NAME=PEER,reqid=7; or a ' +
      'JSON file with several',
  );

/** Adds `--expect`, the thresholds and `--acquires`. */
export function addTunnelOptions(command: Command): Command {
  return addExpectOption(command)
    .option(
      '--idle <duration>',
      withDefault('idle after this long without a packet', 'idle'),
      duration,
    )
    .option(
      '--stalled <duration>',
      withDefault('one-way after this long with outbound but no inbound packets', 'stalled'),
      duration,
    )
    .addOption(
      new Option('--threshold <name=value>', 'set a threshold; can be repeated')
        .argParser(threshold)
        .default({}, 'see below'),
    )
    .option(
      '--acquires',
      'listen to acquires; this changes what the kernel does (docs/tunnels.md)',
    );
}

/** Adds `--details`. */
export function addDetailsOption(command: Command, where: string): Command {
  return command.option(
    '--details',
    `${where}: also print each SA and intermediate state of a rekey`,
  );
}

/** A usage error if one of these options is given although no tunnels are shown. */
export function refuseTunnelOptions(command: Command): void {
  for (const name of ['expect', 'idle', 'stalled', 'threshold', 'acquires', 'details']) {
    if (command.getOptionValueSource(name) !== 'cli') continue;
    command.error(`error: '--${name}' needs '--tunnels'`);
  }
}

const withDefault = (text: string, name: keyof TunnelThresholds) =>
  `${text} (default: ${formatThreshold(THRESHOLDS[name])}; 0: never)`;

/** Options for a tunnel monitor; a usage error if they are invalid. */
export const monitorOptionsOf = (
  options: TunnelOptions & { readonly netns?: string },
  command: Command,
): TunnelMonitorOptions => ({
  ...judgedBy(options, command),
  ...(options.netns === undefined ? {} : { netns: namespacePath(options.netns) }),
});

/** How tunnels are judged, wherever they are; a usage error if the options are invalid. */
export function judgedBy(
  options: TunnelOptions,
  command: Command,
): Pick<TunnelMonitorOptions, 'expected' | 'thresholds' | 'acquires'> {
  try {
    const { idle, stalled } = options;
    return {
      expected: readExpected(options.expect),
      thresholds: {
        ...options.threshold,
        ...(idle === undefined ? {} : { idle }),
        ...(stalled === undefined ? {} : { stalled }),
      },
      acquires: options.acquires === true,
    };
  } catch (error) {
    if (error instanceof ExpectError) command.error(`error: ${error.message}`);
    throw error;
  }
}

/** Parses filter terms; a usage error if they are invalid. */
export function tunnelFilterOf(
  words: readonly string[],
  scope: TunnelFilterScope,
  command: Command,
  details?: boolean,
): TunnelFilter {
  try {
    return new TunnelFilter(words, scope, details);
  } catch (error) {
    if (error instanceof FilterError) command.error(`error: ${error.message}`);
    throw error;
  }
}

/** The help text of thresholds. */
export const THRESHOLD_HELP = `
Thresholds (docs/tunnels.md) and their defaults:
${wrap(
  Object.entries(THRESHOLDS).map(
    ([name, value]) => `${name}=${NUMBERS.has(name) ? value : formatThreshold(value)}`,
  ),
)}
`;

/** Wraps words into lines that fit a manual page, too. */
function wrap(words: readonly string[]): string {
  let line = ' ';
  const lines: string[] = [];
  for (const word of words) {
    if (line.length + word.length > 76) {
      lines.push(line);
      line = ' ';
    }
    line += ` ${word}`;
  }
  return [...lines, line].join('\n');
}
