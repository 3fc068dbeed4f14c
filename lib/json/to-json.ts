/** This library's values as JSON: plain data, lines, and a replacer for JSON.stringify. @module */
import { object, optionalBoolean, options, wrongType } from '../base/argument.ts';
import type { PolicyEntry, StateEntry, XfrmSnapshot } from '../monitor/xfrm-views.ts';
import type { EventTime } from '../netlink/event.ts';
import type { Tunnel } from '../tunnel/tunnel.ts';
import type { TunnelChange, TunnelSnapshot } from '../tunnel/tunnel-changes.ts';
import { OpaqueBytes } from '../wire/opaque.ts';
import { formatLine, type JsonAdditions, type JsonRecord } from './line.ts';
import { changeJson, tunnelJson, warningJson } from './tunnel.ts';
import { members, write } from './write.ts';

/** Options of the JSON functions. */
export interface JsonOptions {
  /** Shows keys, and bytes that may be keys, as hexadecimal digits. Default: only their length. */
  readonly keys?: boolean | undefined;
}

/** A value that JSON can hold. */
export type JsonValue =
  | string
  | number
  | boolean
  | null
  | readonly JsonValue[]
  | { readonly [name: string]: JsonValue };

const OPTIONS: ReadonlySet<string> = new Set<keyof JsonOptions>(['keys']);

/** Whether to show keys. */
function showsKeys(given: JsonOptions): boolean {
  options('options', given, OPTIONS);
  return optionalBoolean('options.keys', given.keys, false);
}

const has = <Name extends string>(value: object, ...names: readonly Name[]) =>
  names.every((name) => name in value);

const isTunnel = (value: object): value is Tunnel => has(value, 'sinceKnown', 'sas');
const isTunnelSnapshot = (value: object): value is TunnelSnapshot =>
  has(value, 'tunnels', 'warnings');
const isRecord = (value: object): value is JsonRecord =>
  has(value, 'kind', 'protocol', 'time') && isTime((value as JsonRecord).time);
const isTime = (time: unknown): time is EventTime => typeof time === 'object' && time !== null;
/** Excludes the changes that XfrmMonitor also has. */
const isTunnelChange = (value: object): value is TunnelChange =>
  has(value, 'kind', 'time') &&
  (('tunnel' in value && isTunnel(value.tunnel as Tunnel)) ||
    has(value, 'raised') ||
    has(value, 'slowConsumer'));

/** A monitor's label is the namespace that it watches. */
function labelled(value: object): JsonAdditions {
  const { label } = value as { label?: unknown };
  return typeof label === 'string' ? { netns: label } : {};
}

/** An error's members, like those of any object. */
function errorMembers(error: Error): object {
  const { name, message, cause } = error;
  const shown = cause instanceof Error ? { cause: errorMembers(cause) } : {};
  return { ...error, name, message, ...shown };
}

/** A value as written: tunnels with identifiers of their SAs and policies, errors with members. */
function plain(value: object): object {
  if (isTunnel(value)) return tunnelJson(value);
  if (isTunnelSnapshot(value)) {
    const { tunnels, warnings, ...rest } = value;
    return { ...rest, tunnels: tunnels.map(tunnelJson), warnings: warnings.map(warningJson) };
  }
  if (value instanceof Error) return errorMembers(value);
  // Changes: `synced`, and `closed` of one namespace of several.
  const { snapshot, error } = value as { snapshot?: unknown; error?: unknown };
  return {
    ...value,
    ...(typeof snapshot === 'object' && snapshot !== null && { snapshot: plain(snapshot) }),
    ...(error instanceof Error && { error: errorMembers(error) }),
  };
}

/**
 * Any value of this library as a line of JSON, without the line break: what {@link toJson} returns,
 * in one step.
 *
 * @throws TypeError for a value without a JSON form, such as a function
 * @example
 * for await (const event of subscribe({ groups: ['sa'] })) process.stdout.write(`${jsonLine(event)}\n`);
 */
export function jsonLine(value: unknown, options: JsonOptions = {}): string {
  return lineOf(value, showsKeys(options));
}

function lineOf(value: unknown, keys: boolean): string {
  if (typeof value === 'object' && value !== null) {
    // Arrays and table views.
    if (Symbol.iterator in value && !(value instanceof Uint8Array)) {
      return `[${Array.from(value as Iterable<unknown>, (one) => lineOf(one, keys))}]`;
    }
    if (isTunnelChange(value)) return formatLine(changeJson(value), keys, labelled(value));
    if (isRecord(value)) return formatLine(value, keys);
    if (value instanceof OpaqueBytes || value instanceof Uint8Array)
      return write(value, keys) ?? '';
    return `{${members(plain(value), keys)}}`;
  }
  const text = write(value, keys);
  if (text === undefined) throw wrongType('value', 'something with a JSON form', value);
  return text;
}

/**
 * Any value of this library as plain data for JSON: an event, request, table entry, SA, snapshot,
 * tunnel, change or error. Events and changes of tunnels have the form that the command prints, and
 * conform to its schema (docs/values.md). Bigints become decimal strings, times ms since 1970, keys
 * their length.
 *
 * @throws TypeError for a value without a JSON form, such as a function
 * @example
 * response.json(toJson(monitor.snapshot()));
 */
export const toJson = (value: unknown, options?: JsonOptions): JsonValue =>
  JSON.parse(jsonLine(value, options));

/** The input of {@link jsonLines}. */
export type JsonLinesInput =
  | XfrmSnapshot
  | TunnelSnapshot
  | Iterable<StateEntry | PolicyEntry | Tunnel>;

/**
 * A snapshot, or table entries, as the lines that `state`, `policy` and `tunnels` print with
 * `--json`. Lines are built one at a time, so that a large table needs no extra memory.
 *
 * @example
 * await pipeline(Readable.from(jsonLines(monitor.snapshot())).map((line) => `${line}\n`), response);
 */
export function jsonLines(
  of: JsonLinesInput,
  options: JsonOptions = {},
): Generator<string, undefined> {
  if (!Array.isArray(of)) object('of', of);
  return linesOf(of, showsKeys(options));
}

function* linesOf(of: JsonLinesInput, keys: boolean): Generator<string, undefined> {
  if (isTunnelSnapshot(of)) {
    const netns = labelled(of);
    for (const one of of.tunnels) yield tunnelLine(one, of.countersReadAt, netns);
    for (const one of of.warnings) {
      const record = { kind: 'host-warning', time: of.countersReadAt, warning: warningJson(one) };
      yield formatLine(record, keys, netns);
    }
    return;
  }
  const lists = Symbol.iterator in of ? [of] : [of.states, of.policies];
  const netns = 'states' in of ? labelled(of) : {};
  for (const list of lists) {
    if (typeof list !== 'object' || list === null || !(Symbol.iterator in list)) {
      throw wrongType('of', 'a snapshot, or table entries', of);
    }
    for (const one of list) yield entryLine(one, keys, netns);
  }
}

function entryLine(
  one: StateEntry | PolicyEntry | Tunnel,
  keys: boolean,
  netns: JsonAdditions,
): string {
  object('entry', one);
  if (isTunnel(one)) {
    return tunnelLine(one, { wall: Date.now(), monotonic: performance.now() }, netns);
  }
  const { value, countersReadAt: time } = one;
  object('entry.value', value);
  object('entry.countersReadAt', time);
  const listed =
    'spi' in value ? { kind: 'state', state: value } : { kind: 'policy', policy: value };
  return formatLine({ ...listed, protocol: 'xfrm', time } as JsonRecord, keys, netns);
}

const tunnelLine = (tunnel: Tunnel, time: EventTime, netns: JsonAdditions): string =>
  formatLine({ kind: 'tunnel', time, tunnel: tunnelJson(tunnel) } as JsonRecord, false, netns);

/**
 * A replacer for JSON.stringify, which rejects bigints: `JSON.stringify(event, jsonReplacer)`. Keys
 * and other bytes show only their length. {@link toJson} does more: times, tunnels, the schema.
 */
export function jsonReplacer(this: unknown, name: string, value: unknown): unknown {
  // The value before its own toJSON, in the object that holds it.
  const holder = this as Readonly<Record<string, unknown>> | undefined;
  const given = holder === undefined ? value : holder[name];
  if (typeof value === 'bigint') return String(value);
  if (given instanceof OpaqueBytes) return String(given);
  if (given instanceof Uint8Array) return `[${given.length} bytes]`;
  if (given instanceof Error) return errorMembers(given);
  return value;
}
