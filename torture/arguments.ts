/**
 * Invalid arguments to clients and monitors: every position in what they accept, with arbitrary values. Each must be
 * rejected with an error that has a code and names the argument, or by the kernel, and the process must survive. Runs in
 * its own network namespace, which it may wreck.
 * @module
 */
import assert from 'node:assert/strict';
import {
  MultiNamespaceTunnelMonitor,
  MultiNamespaceXfrmMonitor,
  RouteClient,
  subscribe,
  TunnelMonitor,
  XfrmClient,
  XfrmMonitor,
} from '../lib/index.ts';
import { turns } from '../test/kernel/socket-support.ts';
import { METHODS, OPENERS } from '../test/unit/sample-arguments.ts';
import { descriptors } from './faults/descriptors.ts';
import { finding, report } from './part.ts';

/** Milliseconds that a rejection may take, and the maximum length of its message. */
const PATIENCE = 5000;
const MOST = 2000;

/** Arbitrary values, created anew for each call. */
const NUMBERS_AND_TEXTS: readonly (() => unknown)[] = [
  ...[undefined, null, true, 0, -1, 1.5, 2 ** 32, 2 ** 64, Number.NaN, Number.POSITIVE_INFINITY],
  ...[-1n, 2n ** 64n, '', 'x', '\0', '10.0.0.0', '::1', '1.2.3.4/8', '\ud800', '__proto__'],
  'é'.repeat(70_000),
].map((value) => () => value);
const ANYTHING: readonly (() => unknown)[] = [
  ...NUMBERS_AND_TEXTS,
  () => Symbol('s'),
  () => () => {},
  () => [],
  () => [null],
  () => [[]],
  () => [Symbol('s')],
  () => new Array(3),
  () => new Array(70_000).fill(1),
  () => ({}),
  () => ({ name: 'x' }),
  () => ({ value: -1, names: ['x'] }),
  () => ({ __proto__: null, mask: 'x' }),
  () => ({ length: 3 }),
  () => new Map([[1, 2]]),
  () => new Date(Number.NaN),
  () => new Uint8Array(0),
  () => new Uint8Array(70_000),
  () => new Uint16Array(3),
  () => new ArrayBuffer(4),
  () => {
    const circle: Record<string, unknown> = {};
    circle.self = circle;
    return circle;
  },
];

/** The value with arbitrary values in each position, and the path of that position. */
function* misplaced(value: unknown, path: string): Generator<[path: string, changed: unknown]> {
  for (const make of ANYTHING) yield [path, make()];
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return;
  for (const [name, inner] of Object.entries(value)) {
    for (const [place, changed] of misplaced(inner, `${path}.${name}`)) {
      yield [
        place,
        Array.isArray(value)
          ? Object.assign([...value], { [name]: changed })
          : { ...value, [name]: changed },
      ];
    }
  }
  if (!Array.isArray(value)) yield [`${path}.toString`, { ...value, toString: 1 }];
}

let calls = 0;
const told = new Set<string>();

/** Makes a call; an error, if any, must be one of ours. */
async function attempt(what: string, call: () => unknown): Promise<void> {
  calls++;
  const begun = performance.now();
  try {
    const given = await call();
    if (typeof given === 'object' && given !== null && Symbol.asyncIterator in given) {
      for await (const _ of given as AsyncIterable<unknown>) break;
    }
  } catch (error) {
    const { code, message = '' } = error as { code?: unknown; message?: string };
    // The engine's own errors have no code and name no option.
    const ours = typeof code === 'string' || /^options\b/.test(message);
    if (ours && message.length < MOST) return;
    const text = `${message.slice(0, 200)} (${message.length} characters)`;
    if (told.has(text)) return;
    told.add(text);
    finding(`${what}: ${text}`);
  }
  if (performance.now() - begun > PATIENCE)
    finding(`${what} takes ${performance.now() - begun} ms`);
}

/** Checks that no method is missing from the samples. */
function checkMethods(name: string, prototype: object, samples: object): void {
  const all = Object.getOwnPropertyNames(prototype);
  const missing = all.filter((one) => !['constructor', 'close'].includes(one) && !(one in samples));
  assert.deepEqual(
    missing,
    [],
    `${name} has methods without arguments in test/unit/sample-arguments.ts`,
  );
}

process.on('uncaughtException', (error) => finding(`an uncaught exception: ${error.stack}`));
const before = descriptors();
for (const [name, Client] of Object.entries({ XfrmClient, RouteClient })) {
  const client = new Client();
  const samples = METHODS[name as keyof typeof METHODS];
  checkMethods(name, Client.prototype, samples);
  const methods = client as unknown as Record<string, (...args: unknown[]) => unknown>;
  for (const [method, args] of Object.entries(samples)) {
    for (const [path, changed] of misplaced([...args, { timeout: 1000, keys: true }], method)) {
      if (!Array.isArray(changed) || changed.length > 9) continue;
      await attempt(`${name}.${path}`, () => methods[method]?.(...changed));
    }
  }
  await client.close();
}
const OPEN: Readonly<Record<keyof typeof OPENERS, (options: never) => unknown>> = {
  subscribe,
  XfrmClient: (options) => new XfrmClient(options),
  RouteClient: (options) => new RouteClient(options),
  XfrmMonitor: (options) => XfrmMonitor.open(options),
  MultiNamespaceXfrmMonitor: (options) => MultiNamespaceXfrmMonitor.open(options),
  MultiNamespaceTunnelMonitor: (options) => MultiNamespaceTunnelMonitor.open(options),
  TunnelMonitor: (options) => TunnelMonitor.open(options),
};
for (const [name, open] of Object.entries(OPEN)) {
  for (const [path, changed] of misplaced(OPENERS[name as keyof typeof OPENERS], name)) {
    // Each would be opened: so many namespaces are valid arguments.
    if (Array.isArray((changed as { namespaces?: unknown })?.namespaces)) continue;
    await attempt(path, async () => ((await open(changed as never)) as XfrmMonitor).close());
  }
}
await turns(5);
if (descriptors() !== before) finding(`${descriptors() - before} descriptors are left`);
report({ 'wrong arguments': calls });
