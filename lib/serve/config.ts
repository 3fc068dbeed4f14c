/** The configuration of the daemon: a JSON file (schema/serve-1.json), checked. @module */
import { getNodeValue, type ParseError, parseTree, printParseErrorCode } from 'jsonc-parser';
import { parseDuration } from '../base/duration.ts';
import { instead } from '../base/nearest.ts';
import { shown } from '../base/shown.ts';
import { readSmallFile } from '../base/small-file.ts';
import { OTHER } from '../metrics/tunnel-series.ts';
import { checkedOne, type ExpectedTunnel } from '../tunnel/expected.ts';
import {
  checkedThresholds,
  NUMBERS,
  THRESHOLDS,
  type TunnelThresholds,
} from '../tunnel/thresholds.ts';
import { ConfigError, offsetOf, type Path } from './config-error.ts';
import { type ListenAddress, parseListen } from './listen-address.ts';

/** An expected tunnel, and the namespace in which it is. */
export type ExpectedSomewhere = ExpectedTunnel & { readonly netns?: string };

/** Everything that can be configured, as the file has it. */
export interface ServeConfig {
  readonly listen: ListenAddress;
  /** Names that requests may have in `Host`, besides addresses and localhost. */
  readonly hosts: readonly string[];
  readonly tls: { readonly cert: string; readonly key: string } | undefined;
  readonly tokenFile: string | undefined;
  /** Names or paths of namespaces; empty: the process's own. */
  readonly netns: readonly string[];
  readonly allNetns: boolean;
  readonly expected: readonly ExpectedSomewhere[];
  readonly thresholds: Partial<TunnelThresholds>;
  readonly acquires: boolean;
  /** Milliseconds between two readings of the counters. */
  readonly refresh: number;
  readonly stateDir: string | undefined;
  /** Directory of a recording (docs/recording.md). */
  readonly recordDir: string | undefined;
  /** The most tunnels with series of their own, in each namespace. */
  readonly tunnelSeries: number;
  /** The most streams of events. */
  readonly eventStreams: number;
  /** The most open connections. */
  readonly connections: number;
}

export const DEFAULTS: ServeConfig = {
  listen: { host: '127.0.0.1', port: 9786 },
  hosts: [],
  tls: undefined,
  tokenFile: undefined,
  netns: [],
  allNetns: false,
  expected: [],
  thresholds: {},
  acquires: false,
  refresh: 10_000,
  stateDir: undefined,
  recordDir: undefined,
  tunnelSeries: 10_000,
  eventStreams: 128,
  connections: 512,
};

/** A value that is wrong, and where it is. */
class Wrong extends Error {
  readonly path: Path;
  /** Whether its name is wrong, not its value. */
  readonly isName: boolean;

  constructor(path: Path, reason: string, isName = false) {
    super(reason);
    this.path = path;
    this.isName = isName;
  }
}

type Check<T> = (value: unknown, path: Path) => T;

const expected = (what: string, value: unknown, path: Path) =>
  new Wrong(path, `${nameOf(path)} must be ${what}; found ${shown(value)}`);

const nameOf = (path: Path) =>
  path.reduce<string>(
    (text, one) => (typeof one === 'number' ? `${text}[${one}]` : text ? `${text}.${one}` : one),
    '',
  ) || 'the configuration';

const text: Check<string> = (value, path) => {
  if (typeof value === 'string' && value !== '') return value;
  throw expected('a non-empty string', value, path);
};

const flag: Check<boolean> = (value, path) => {
  if (typeof value === 'boolean') return value;
  throw expected('true or false', value, path);
};

const whole =
  (least: number, most: number): Check<number> =>
  (value, path) => {
    if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most) {
      return value as number;
    }
    throw expected(`an integer from ${least} to ${most}`, value, path);
  };

const duration =
  (least: number): Check<number> =>
  (value, path) => {
    const parsed = typeof value === 'string' ? parseDuration(value) : undefined;
    if (parsed !== undefined && parsed >= least) return parsed;
    const more = least > 0 ? `, at least ${least / 1000}s` : '';
    throw expected(`a duration such as "500ms", "30s", "5m", "1h30m"${more}`, value, path);
  };

const listOf =
  <T>(each: Check<T>): Check<readonly T[]> =>
  (value, path) => {
    if (!Array.isArray(value)) throw expected('an array', value, path);
    return value.map((one, i) => each(one, [...path, i]));
  };

function object(value: unknown, path: Path, names: readonly string[]): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw expected('an object', value, path);
  }
  for (const name of Object.keys(value)) {
    if (names.includes(name)) continue;
    const known = names.filter((one) => one !== '$schema');
    const reason = `unknown member ${shown(name)}: ${instead(name, known, 'members')}`;
    throw new Wrong([...path, name], reason, true);
  }
  return value as Record<string, unknown>;
}

/** The longest name, which becomes a label. */
const LONGEST_NAME = 200;

/** Why a tunnel cannot have a name: it would be taken for something else, or is too long. */
function wrongName(name: string): string | undefined {
  if (name !== OTHER && !name.startsWith('netns/') && name.length <= LONGEST_NAME) return undefined;
  return `must have at most ${LONGEST_NAME} characters, not be "${OTHER}", and not begin with "netns/"; found ${shown(name)}`;
}

const tunnel: Check<ExpectedSomewhere> = (value, path) => {
  const { netns, ...rest } = object(value, path, [
    'name',
    'remote',
    'local',
    'reqid',
    'ifId',
    'mark',
    'netns',
  ]);
  const where = netns === undefined ? undefined : text(netns, [...path, 'netns']);
  let checked: ExpectedTunnel;
  try {
    checked = checkedOne(rest, 'expected');
  } catch (error) {
    const { message } = error as Error;
    const [, member] = /^expected\.(\w+)/.exec(message) ?? [];
    const reason = message.replace(/^expected/, nameOf(path)).replace('received', 'found');
    throw new Wrong(member === undefined ? path : [...path, member], reason);
  }
  const { name = '' } = checked;
  const reason = wrongName(name);
  if (reason !== undefined) throw new Wrong([...path, 'name'], `${nameOf(path)}.name ${reason}`);
  return { ...checked, ...(where !== undefined && { netns: where }) };
};

const thresholds: Check<Partial<TunnelThresholds>> = (value, path) => {
  const given = object(value, path, Object.keys(THRESHOLDS));
  const all = Object.entries(given).map(([name, one]) => {
    const at = [...path, name];
    const parsed = NUMBERS.has(name) ? one : duration(0)(one, at);
    try {
      checkedThresholds({ [name]: parsed });
    } catch (error) {
      const { message } = error as Error;
      throw new Wrong(at, message.replace('options.', '').replace('received', 'found'));
    }
    return [name, parsed];
  });
  return Object.fromEntries(all);
};

const MEMBERS: { readonly [Name in keyof ServeConfig]: Check<ServeConfig[Name]> } = {
  listen(value, path) {
    const address = parseListen(text(value, path));
    if (address) return address;
    throw expected(
      'an address and a port, such as "127.0.0.1:9786", "[::1]:9786" or ":9786"',
      value,
      path,
    );
  },
  hosts: listOf(text),
  tls(value, path) {
    const { cert, key } = object(value, path, ['cert', 'key']);
    return { cert: text(cert, [...path, 'cert']), key: text(key, [...path, 'key']) };
  },
  tokenFile: text,
  netns: listOf(text),
  allNetns: flag,
  expected(value, path) {
    const all = listOf(tunnel)(value, path);
    const names = new Set<string>();
    all.forEach(({ name, netns = '' }, i) => {
      if (names.has(`${netns}/${name}`)) {
        throw new Wrong(
          [...path, i, 'name'],
          `${nameOf(path)}[${i}].name: ${JSON.stringify(name)} is a duplicate`,
        );
      }
      names.add(`${netns}/${name}`);
    });
    return all;
  },
  thresholds,
  acquires: flag,
  refresh: duration(1000),
  stateDir: text,
  recordDir: text,
  tunnelSeries: whole(1, 1_000_000),
  eventStreams: whole(0, 10_000),
  connections: whole(8, 100_000),
};

/** The names of all members. */
export const CONFIG_MEMBERS = Object.keys(MEMBERS) as (keyof ServeConfig)[];

/**
 * Parses a configuration.
 *
 * @param file its name in errors
 * @throws ConfigError
 */
export function parseConfig(json: string, file: string): Partial<ServeConfig> {
  const errors: ParseError[] = [];
  const options = { disallowComments: true, allowTrailingComma: false };
  const source = json.replace(/^\uFEFF/, '');
  const root = parseTree(source, errors, options);
  const [first] = errors;
  const start = source.search(/\S|$/);
  if (source[start] !== '{') {
    // Another file, by mistake: it may hold a secret, so nothing of it is shown.
    const reason =
      first || root === undefined
        ? 'invalid JSON: expected an object, which begins with {'
        : `the configuration must be an object; found a JSON ${root.type}`;
    throw new ConfigError(file, source, start, reason, false);
  }
  if (first) {
    const reason = printParseErrorCode(first.error).replace(
      /\B[A-Z]/g,
      (one) => ` ${one.toLowerCase()}`,
    );
    throw new ConfigError(file, source, first.offset, `invalid JSON: ${reason.toLowerCase()}`);
  }
  try {
    const given = object(root && getNodeValue(root), [], ['$schema', ...CONFIG_MEMBERS]);
    const members = Object.entries(given).filter(([name]) => name !== '$schema');
    const checked = members.map(([name, value]) => {
      const check = MEMBERS[name as keyof ServeConfig] as Check<unknown>;
      return [name, check(value, [name])];
    });
    const config = Object.fromEntries(checked) as Partial<ServeConfig>;
    if (config.allNetns && config.netns?.length) {
      throw new Wrong(['allNetns'], 'allNetns and netns exclude each other');
    }
    return config;
  } catch (error) {
    if (!(error instanceof Wrong)) throw error;
    throw new ConfigError(file, source, offsetOf(root, error.path, error.isName), error.message);
  }
}

/** Where a tunnel is expected: null is the process's own namespace. */
export const homeOf = ({ netns }: ServeConfig, tunnel: ExpectedSomewhere): string | null =>
  tunnel.netns ?? netns[0] ?? null;

/** @throws an Error if a tunnel cannot have its name, or two in one namespace have the same */
export function checkNames(config: ServeConfig): void {
  const taken = new Set<string>();
  for (const tunnel of config.expected) {
    // Without a name it gets one from its ends.
    if (tunnel.name === undefined) continue;
    const reason = wrongName(tunnel.name);
    if (reason !== undefined) throw new Error(`expected: a name ${reason}`);
    const home = homeOf(config, tunnel);
    const key = JSON.stringify([home, tunnel.name]);
    const name = JSON.stringify(tunnel.name);
    const where = home === null ? '' : ` in the namespace ${JSON.stringify(home)}`;
    if (taken.has(key)) throw new Error(`expected: the name ${name} is a duplicate${where}`);
    taken.add(key);
  }
}

/** Maximum size of the file, in bytes: ten thousand expected tunnels take about one MiB. */
const LARGEST = 16 * 2 ** 20;

/**
 * Reads the file.
 *
 * @throws ConfigError; an Error that says why it cannot be read
 */
export function readConfig(path: string): Partial<ServeConfig> {
  return parseConfig(readSmallFile(path, LARGEST), path);
}
