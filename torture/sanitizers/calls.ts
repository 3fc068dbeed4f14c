/**
 * Run by sanitizers.ts: calls the addon's functions with random arguments, in random order. Each must throw a
 * TypeError or return normally; anything else is for the sanitizers to detect.
 *
 *   calls.js SEED COUNT
 */
import assert from 'node:assert/strict';
import { closeSync, openSync } from 'node:fs';
import { addon, type NativeSocket } from '../../lib/socket/addon.ts';
import { turns } from '../../test/kernel/socket-support.ts';
import { Random } from '../../test/unit/random.ts';

const random = new Random(Number(process.argv[2]));
const count = Number(process.argv[3]);
const { Socket, arena, openFile, closeFile, constants } = addon();
const own = openSync('/proc/self/ns/net', 'r');

type Resizable = new (size: number, options: { maxByteLength: number }) => ArrayBuffer;

/** A new byte array: of a given size, shared, resizable, or detached. */
function bytes(): Uint8Array {
  const size = random.pick([0, 1, 3, 7, 8, 16, 24, 4096, 70_000]);
  switch (random.below(6)) {
    case 0:
      return new Uint8Array(new SharedArrayBuffer(size));
    case 1: {
      const array = new Uint8Array(size);
      structuredClone(array, { transfer: [array.buffer] });
      return array;
    }
    case 2:
      return new Uint8Array(arena(), random.below(64), size);
    case 3:
      // TypeScript's es2023 library has no resizable buffers.
      return new Uint8Array(new (ArrayBuffer as Resizable)(size, { maxByteLength: 2 * size }));
    default:
      return random.bytes(Math.min(size, 64));
  }
}

const LEVELS = [constants.SOL_SOCKET, constants.SOL_NETLINK];
const OPTIONS = Object.values(constants);
const VALUES: readonly (() => unknown)[] = [
  bytes,
  bytes,
  () => random.number(32),
  () => random.below(8),
  () => -random.below(8),
  () => random.pick(LEVELS),
  () => random.pick(OPTIONS),
  () => () => {},
  () => own,
  () => random.chance(1, 2),
  () => '/proc/thread-self/net/netlink',
  () => 'x'.repeat(random.below(9000)),
  () => '\0\ud800',
  () => undefined,
  () => null,
  () => Number.NaN,
  () => Number.POSITIVE_INFINITY,
  () => 2n ** 70n,
  () => Symbol('s'),
  () => ({}),
  () => new Proxy([], {}),
  () => new Uint32Array(4),
  () => new DataView(new ArrayBuffer(8)),
  () => new Socket(),
  // Errors thrown by callbacks are reported as uncaught, not here.
  () => ({ [Symbol.toPrimitive]: () => assert.fail('a conversion was made') }),
];

const METHODS = Object.getOwnPropertyNames(Socket.prototype).filter((one) => one !== 'constructor');
const sockets: NativeSocket[] = [];

/** One of several sockets: new, open, receiving, closing, closed. */
function socket(): NativeSocket {
  if (sockets.length > 20) sockets.splice(random.below(sockets.length), 1)[0]?.close(() => {});
  if (sockets.length === 0 || random.chance(1, 20)) {
    const made = new Socket();
    if (random.chance(3, 4))
      made.open(random.pick([0, 6]), random.pick([-1, own]), random.pick([0, 2 ** 18]));
    if (random.chance(1, 2)) made.bind(0, 0xffff);
    if (random.chance(1, 2)) made.start(() => {}, false, 1 + random.below(64));
    sockets.push(made);
  }
  return random.pick(sockets);
}

let refused = 0;
for (let i = 0; i < count; i++) {
  const args = Array.from({ length: random.below(5) }, () => random.pick(VALUES)());
  try {
    if (random.chance(1, 10)) {
      const opened = (openFile as (...args: unknown[]) => unknown)(...args);
      if (typeof opened === 'number') closeFile(opened);
      // A file that is not its own remains open.
      (closeFile as (...args: unknown[]) => unknown)(...args);
    } else {
      const method = random.pick(METHODS) as keyof NativeSocket;
      // Other protocols affect more than this namespace.
      if (method === 'open' && typeof args[0] === 'number') args[0] = random.pick([0, 6, -1, 99]);
      if (method === 'open' && random.chance(1, 2)) args[2] = random.pick([0, 1, 2 ** 18]);
      (socket()[method] as (...args: unknown[]) => unknown)(...args);
    }
  } catch (error) {
    assert(error instanceof TypeError, `${error}`);
    refused++;
  }
  if (i % 200 === 0) await turns();
  // Detach memory while sockets receive into it.
  if (random.chance(1, 2000)) structuredClone(arena(), { transfer: [arena()] });
}
assert(refused > count / 4, `only ${refused} of ${count} were refused`);
for (const one of sockets) one.close(() => {});
closeSync(own);
