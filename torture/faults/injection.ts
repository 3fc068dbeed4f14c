/**
 * Controls the shim (shim.c), which makes system calls of the addon fail.
 * @module
 */
import { execFileSync } from 'node:child_process';
import { openSync, readSync, writeFileSync, writeSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';

/** Environment variable with the path of the control file. */
const VARIABLE = 'NETLINK_XFRM_FAULTS';
/** Size of struct orders: a 32-byte name, then four numbers. */
const SIZE = 48;
const HITS = 44;

const source = join(import.meta.dirname, '../../../torture/faults/shim.c');

/** Compiles the shim into a folder. @returns the environment that enables it */
export function buildShim(folder: string): NodeJS.ProcessEnv {
  const library = join(folder, 'shim.so');
  const flags = ['-shared', '-fPIC', '-O1', '-Wall', '-Wextra', '-Werror'];
  execFileSync('cc', [...flags, '-o', library, source, '-ldl', '-lpthread'], { stdio: 'inherit' });
  const orders = join(folder, 'orders');
  writeFileSync(orders, new Uint8Array(SIZE));
  return { ...process.env, LD_PRELOAD: library, [VARIABLE]: orders };
}

/** The number of an error name. */
export function errnoOf(name: string): number {
  const number = (constants.errno as Readonly<Record<string, number>>)[name];
  if (number === undefined) throw new Error(`no error is called ${name}`);
  return number;
}

const file = process.env[VARIABLE];
const orders = file === undefined ? undefined : openSync(file, 'r+');

function write(name: string, error: number, skip: number, times: number): void {
  if (orders === undefined) throw new Error('the shim is not loaded');
  const bytes = Buffer.alloc(SIZE);
  bytes.write(name, 'latin1');
  bytes.writeInt32LE(error, 32);
  bytes.writeInt32LE(skip, 36);
  bytes.writeInt32LE(times, 40);
  writeSync(orders, bytes, 0, SIZE, 0);
}

/** Makes the call fail once, after `skip` successes. */
export function fail(name: string, error: string, skip = 0): void {
  write(name, errnoOf(error), skip, 1);
}

/** Stops failing calls. @returns how many failed since {@link fail} */
export function stop(): number {
  const bytes = Buffer.alloc(SIZE);
  readSync(orders as number, bytes, 0, SIZE, 0);
  write('', 0, 0, 0);
  return bytes.readInt32LE(HITS);
}
