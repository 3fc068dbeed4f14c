/** Checks of what tests pass to the kit, so that a slip of the pen does not pass as a default. @module */

import { integer, wrongType, wrongValue } from '../base/argument.ts';
import { instead } from '../base/nearest.ts';
import { shown } from '../base/shown.ts';

/** Above it, Node's timers fire at once. */
const LONGEST = 2 ** 31 - 1;

const has = (value: unknown, ...names: readonly string[]) =>
  typeof value === 'object' && value !== null && names.every((name) => name in value);

/** Throws unless all are open network namespaces of the kit. By their parts: a runner may load the kit twice. */
export function namespaces(given: Readonly<Record<string, unknown>>): void {
  check(given, 'a host or a NetworkNamespace', 'xfrm', 'route');
}

/** Throws unless all are open hosts of the kit. */
export function hosts(given: Readonly<Record<string, unknown>>): void {
  check(given, 'a Host', 'cables');
}

function check(given: Readonly<Record<string, unknown>>, what: string, ...parts: string[]): void {
  for (const [name, value] of Object.entries(given)) {
    if (!has(value, 'netns', ...parts)) throw wrongType(name, what, value);
    (value as { netns: unknown }).netns; // throws once it is closed, with its name
  }
}

/** A list of namespaces, of which one may be given alone. */
export function namespaceList<One>(name: string, given: One | readonly One[]): readonly One[] {
  const all = [given].flat() as readonly One[];
  if (all.length === 0) throw wrongValue(`${name} is empty`);
  for (const one of all) namespaces({ [name]: one });
  return all;
}

/** Throws unless `value` is a function. */
export function callable(name: string, value: unknown): void {
  if (typeof value !== 'function') throw wrongType(name, 'a function', value);
}

/** Throws unless `value` is one of `known`. */
export function oneOf(name: string, value: unknown, known: readonly string[]): void {
  if (known.includes(value as string)) return;
  const given = typeof value === 'string' ? value : '';
  throw wrongValue(`${name} is ${shown(value)}; ${instead(given, known, 'values')}`);
}

/** Throws for a property that is not in `known`. */
export function names(name: string, value: unknown, known: readonly string[]): void {
  if (typeof value !== 'object' || value === null) throw wrongType(name, 'an object', value);
  for (const one of Object.keys(value)) {
    if (known.includes(one)) continue;
    throw wrongValue(`unknown option ${name}.${one}; ${instead(one, known, 'options')}`);
  }
}

/** Milliseconds. */
export const milliseconds = (name: string, value: number): number =>
  integer(name, value, 0, LONGEST);

/** Milliseconds to wait: those given, else those of the environment, else four seconds. */
export function patience(given: number | undefined): number {
  if (given !== undefined) return milliseconds('options.timeout', given);
  const text = process.env.NETLINK_XFRM_TIMEOUT ?? '';
  // Below the five seconds after which Vitest and Jest end a test, so that the kit's error is the one reported.
  if (text === '') return 4000;
  const value = Number(text);
  if (Number.isInteger(value) && value > 0 && value <= LONGEST) return value;
  throw wrongValue(`NETLINK_XFRM_TIMEOUT must be a number of milliseconds; it is ${shown(text)}`);
}
