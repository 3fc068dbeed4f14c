/**
 * Calls with wrong arguments: each part of valid ones is replaced, one at a time. Whatever is thrown must be one of the
 * errors that docs/errors.md lists, with its code.
 * @module
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';

/** What a getter or a proxy of the caller throws: it may be passed on as it is. */
const own = Object.assign(new Error('thrown by the caller’s own code'), { code: 'OWN' });
const throwing = () => {
  throw own;
};
const fails = new Proxy({}, { get: throwing, has: throwing, ownKeys: throwing });

/** Values of many types, new for each call. */
export const WRONG: readonly (() => unknown)[] = [
  ...[undefined, null, true, 0, -1, 1.5, 2 ** 64, Number.NaN, -1n, 2n ** 64n].map(
    (one) => () => one,
  ),
  ...['', 'x', '\0', '1.2.3.4/8', '::1', '__proto__'].map((one) => () => one),
  () => Symbol('s'),
  () => () => {},
  () => [],
  () => [null],
  () => [undefined, Symbol('s')],
  () => ({}),
  () => ({ kind: 'x', name: 'x', type: 'x' }),
  () => Object.create(null),
  () => new Map([[1, 2]]),
  () => new Date(Number.NaN),
  () => new Uint8Array(3),
  () => new Uint16Array(3),
  () => new ArrayBuffer(4),
  () => fails,
];

/** The classes and codes in the table of docs/errors.md. */
export function documentedErrors(): Map<string, Set<string>> {
  const page = readFileSync(new URL('../../../docs/errors.md', import.meta.url), 'utf8');
  const found = new Map<string, Set<string>>();
  let last = '';
  // The table of errors; that of KernelError's properties comes later.
  const table = page.slice(0, page.indexOf('\n## '));
  for (const [, name = '', code = ''] of table.matchAll(/^\| (?:`(\w+)`)? ?\| (.+?) \|/gm)) {
    last = name || last;
    const codes = found.get(last) ?? new Set();
    for (const [, one = ''] of code.matchAll(/`((?:ERR|LAB)_\w+)`/g)) codes.add(one);
    found.set(last, codes);
  }
  return found;
}

const documented = documentedErrors();

/** Why an error is not one of the documented ones; undefined if it is. */
function objection(error: unknown): string | undefined {
  if (error === own) return undefined;
  if (!(error instanceof Error)) return 'is not an Error';
  const { name, code, stack = '' } = error as NodeJS.ErrnoException;
  if (code === undefined) return `no code: ${error}${/\n.*/.exec(stack)?.[0]}`;
  const codes = documented.get(name);
  if (codes === undefined) return `${name} ${code} is not documented`;
  const known = codes.size === 0 ? code in constants.errno : codes.has(code);
  return known ? undefined : `${name} has the undocumented code ${code}: ${error.message}`;
}

/** The arguments with wrong values in each place, and which place that is. */
function* misplaced(value: unknown, path: string): Generator<[path: string, changed: unknown]> {
  for (const make of WRONG) yield [path, make()];
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return;
  // Hosts, sockets and the like are replaced as a whole.
  const proto = Object.getPrototypeOf(value);
  if (proto !== Object.prototype && !Array.isArray(value)) return;
  for (const [name, inner] of Object.entries(value)) {
    for (const [place, changed] of misplaced(inner, `${path}.${name}`)) {
      const whole = Array.isArray(value) ? [...value] : { ...value };
      yield [place, Object.assign(whole, { [name]: changed })];
    }
    if (!Array.isArray(value)) {
      const rest = { ...value };
      yield [
        `${path}.${name}`,
        Object.defineProperty(rest, name, { get: throwing, enumerable: true }),
      ];
    }
  }
}

/** Calls with fewer arguments, and with each part of the given ones replaced. */
export function* wrongCalls(args: readonly unknown[]): Generator<[where: string, args: unknown[]]> {
  for (let count = 0; count < args.length; count++) {
    yield [`${count} arguments`, args.slice(0, count)];
  }
  for (const [at, arg] of args.entries()) {
    for (const [path, changed] of misplaced(arg, `argument ${at + 1}`)) {
      yield [path, args.with(at, changed)];
    }
  }
}

/** Makes a call to its end. */
async function complete(call: () => unknown): Promise<void> {
  const result = await call();
  if (typeof result !== 'object' || result === null) return;
  if (Symbol.asyncIterator in result && !('closed' in result)) {
    for await (const _ of result as AsyncIterable<unknown>) break;
  } else if (Symbol.iterator in result) [...(result as Iterable<unknown>)];
  const end = result as Partial<AsyncDisposable & Disposable>;
  if (Symbol.asyncDispose in result) await end[Symbol.asyncDispose]?.();
  else if (Symbol.dispose in result) end[Symbol.dispose]?.();
}

/** Checks every wrong call of something. */
export async function checkCalls(
  name: string,
  args: readonly unknown[],
  call: (...args: unknown[]) => unknown,
): Promise<void> {
  const found = new Set<string>();
  let calls = 0;
  const refusal = await complete(() => call(...args)).then(
    () => undefined,
    (error) => error,
  );
  const { code } = (refusal ?? {}) as { code?: string };
  assert(
    !/^ERR_(INVALID|OUT|NETLINK_ENCODE|FILTER)/.test(code ?? ''),
    `valid arguments: ${refusal?.stack}`,
  );
  // As of a method that does not exist.
  assert(!(refusal instanceof TypeError && code === undefined), refusal);
  assert(!(refusal instanceof assert.AssertionError), refusal);
  for (const [where, wrong] of wrongCalls(args)) {
    calls++;
    try {
      await complete(() => call(...wrong));
    } catch (error) {
      const problem = objection(error);
      if (problem !== undefined) found.add(`${name}, ${where}: ${problem}`);
    }
  }
  if (found.size > 0)
    assert.fail(`${found.size} of ${calls} calls:\n${[...found].slice(0, 9).join('\n')}`);
}

/** A class or a function that a subpath exports. */
const isClass = (value: unknown): value is { prototype: object } =>
  typeof value === 'function' && /^class\b/.test(Function.prototype.toString.call(value));

/** Methods of Node's own base classes are Node's to check. */
const NODE = new Set<object>([Object.prototype, Error.prototype, Function.prototype]);

/** The names of the functions and methods that a module exports: `toJson`, `Filter.matches`, `XfrmMonitor.open`. */
export function exportedCalls(module: object): string[] {
  return Object.entries(module).flatMap(([name, value]) => {
    if (typeof value !== 'function') return [];
    if (!isClass(value)) return [name];
    // The library makes the errors.
    const names = value.prototype instanceof Error ? [] : [name];
    const methods = (of: object) =>
      Object.entries(Object.getOwnPropertyDescriptors(of))
        .filter(([key, { value }]) => typeof value === 'function' && key !== 'constructor')
        .map(([key]) => `${name}.${key}`);
    names.push(...methods(value));
    for (let of = value.prototype; !NODE.has(of); of = Object.getPrototypeOf(of)) {
      if (Object.hasOwn(of, 'setMaxListeners')) break;
      names.push(...methods(of));
    }
    return names;
  });
}
