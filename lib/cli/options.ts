/**
 * Options shared by subcommands: output format, and which events to show.
 * @module
 */
import { type Command, InvalidArgumentError, Option } from 'commander';
import pc from 'picocolors';
import { Filter } from '../monitor/filter.ts';
import { FilterError } from '../monitor/filter-error.ts';
import { filterHelp } from '../monitor/filter-keys.ts';
// Every subcommand that decodes messages uses some of these options.
import '../monitor/trace.ts';
import type { WatchOptions } from './events/event-streams.ts';
import { parseMoment } from './moment.ts';
import type { Colors } from './terminal/colors.ts';

/** Options for the output format. */
export interface OutputOptions {
  readonly output: 'text' | 'json';
  readonly json?: true;
  readonly color: 'auto' | 'always' | 'never';
  readonly showKeys?: true;
}

/** The resulting output format. */
export interface Format {
  readonly json: boolean;
  readonly showKeys: boolean;
  readonly colors: Colors;
}

/** Options for a stream of events. */
export interface FollowOptions {
  readonly count?: number;
  /** Milliseconds since 1970. */
  readonly until?: number;
  readonly buffer: number;
}

/** Options for a stream of events from chosen namespaces, optionally with their claimed requesters. */
export interface OriginOptions extends WatchOptions {
  readonly who?: true;
}

/** Parses an integer from 1 up. */
const whole = (most: number) => (text: string) => {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= most) return value;
  throw new InvalidArgumentError(`It must be an integer from 1 to ${most}.`);
};

/** Parses the name or path of a network namespace. */
function nameOrPath(text: string): string {
  if (text !== '') return text;
  throw new InvalidArgumentError('It must be a name or a path.');
}

/** Adds `-o`, `--json` and `--color`. */
export function addFormatOptions(command: Command): Command {
  return command
    .addOption(
      new Option('-o, --output <format>', 'format').choices(['text', 'json']).default('text'),
    )
    .option('--json', 'short for -o json: one object per line')
    .addOption(
      new Option('--color <when>', 'when to use colors')
        .choices(['auto', 'always', 'never'])
        .default('auto'),
    );
}

/** Adds the format options and `--show-keys`. */
export function addOutputOptions(command: Command): Command {
  return addFormatOptions(command).option(
    '--show-keys',
    'print keys, which are hidden otherwise; needs -o json',
  );
}

/** Adds `--count`, which is also `-n`. */
export function addCountOption(command: Command, what: string): Command {
  const number = whole(2 ** 53);
  return command
    .option('-c, --count <number>', `stop after this many ${what}; also -n`, number)
    .addOption(new Option('-n <number>').argParser(number).hideHelp())
    .on('option:n', (text: string) => {
      command.setOptionValueWithSource('count', number(text), 'cli');
    });
}

/** For `--since` where nothing is kept. */
function notKept(): never {
  throw new InvalidArgumentError(
    'The kernel keeps no past events: `record` keeps them, and `serve` keeps an hour.',
  );
}

/** Parses a time from now on. */
function later(text: string): number {
  const from = Date.now();
  const time = parseMoment(text, { from, to: Number.POSITIVE_INFINITY });
  if (time >= from) return time;
  throw new InvalidArgumentError('It must not be over.');
}

/** Parses the size of a ring in bytes: 131072, 128KiB, 64MiB, 1GiB. */
export function size(text: string): number {
  const [, digits = '', unit = ''] = /^(\d{1,9})(?:([KMG])i?B?)?$/.exec(text) ?? [];
  const value = Number(digits) * 1024 ** ' KMG'.indexOf(unit || ' ');
  if (digits !== '' && value >= 2 ** 17) return value;
  throw new InvalidArgumentError('It must be a size of at least 128KiB: 64MiB, 1GiB.');
}

/** Adds `--buffer`. */
export const addBufferOption = (command: Command): Command =>
  command.option('--buffer <MiB>', 'receive buffer to request', whole(1023), 64);

/** Adds `--count`, `--until` and `--buffer`. */
export const addFollowOptions = (command: Command): Command =>
  addBufferOption(
    addCountOption(command, 'events')
      .option(
        '--until <time>',
        'stop at this time: 03:12, 2026-11-29T03:12; +5m: in 5 minutes',
        later,
      )
      .addOption(new Option('--since <time>').argParser(notKept).hideHelp()),
  );

/** Adds `--netns`, `--all-netns` and `--who`. */
export const addOriginOptions = (command: Command): Command =>
  addNamespacesOptions(command).option(
    '--who',
    'show which process an event claims to come from; the claim may be false',
  );

/**
 * Adds an option that can be repeated: an array, empty without it.
 *
 * @param parse one value
 */
export function addRepeatable(
  command: Command,
  flags: string,
  about: string,
  parse: (text: string) => string = (text) => text,
): Command {
  const option = new Option(flags, `${about}; can be repeated`).argParser(
    (text, all: readonly string[]) => [...all, parse(text)],
  );
  // Help shows the default of an option, also if it is empty.
  return command.addOption(option).setOptionValueWithSource(option.attributeName(), [], 'default');
}

/** Adds `--netns` for several namespaces, and `--all-netns`. */
export const addNamespacesOptions = (command: Command): Command =>
  addRepeatable(
    command,
    '--netns <name>',
    'network namespace to listen in: a name of "ip netns" or a path',
    nameOrPath,
  ).addOption(
    new Option(
      '--all-netns',
      'listen in this namespace and all named ones, including new ones',
    ).conflicts('netns'),
  );

/** The format set by the options of {@link addOutputOptions} or {@link addFormatOptions}. */
export function formatOf(options: OutputOptions, command: Command): Format {
  const json = options.json === true || options.output === 'json';
  if (options.showKeys && !json) {
    command.error("error: '--show-keys' needs '-o json': text output never contains keys");
  }
  const colored =
    options.color === 'auto'
      ? process.stdout.isTTY === true && pc.isColorSupported
      : options.color === 'always';
  return { json, showKeys: options.showKeys === true, colors: pc.createColors(colored) };
}

/** Adds `--netns` for a single namespace. */
export function addNamespaceOption(command: Command): Command {
  return command.option(
    '--netns <name>',
    'network namespace: a name of "ip netns" or a path',
    nameOrPath,
  );
}

/** Parses filter terms; a usage error if they are invalid. */
export function filterOf(terms: readonly string[], command: Command): Filter {
  try {
    return new Filter(terms);
  } catch (error) {
    if (error instanceof FilterError) command.error(`error: ${error.message}`);
    throw error;
  }
}

/** The help text of filters. */
export const FILTER_HELP = `
Filters, all of which must match, such as peer=10.0.0.0/8 proto=esp,ah spi!=0x1001:
${filterHelp.map(([key, help]) => `  ${key.padEnd(6)} ${help}`).join('\n')}
`;
