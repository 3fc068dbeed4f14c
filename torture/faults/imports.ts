/**
 * The functions that the addon imports, according to its binary.
 * @module
 */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { ALL_CALLS, CALLS, NO_CALLS, THROUGH_LIBUV } from './calls.ts';

const addonFile = join(import.meta.dirname, '../../../native/build/Release/netlink.node');

/** Imported functions missing from the table, and entries of the table that are not imported. */
export function checkImports(): string[] {
  const table = execFileSync('nm', ['-D', '--undefined-only', addonFile], { encoding: 'utf8' });
  const imported = Array.from(table.matchAll(/^\s+U (\w+)/gm), ([, name = '']) => name);
  const known = new Set([
    ...CALLS.map(({ name }) => name),
    ...Object.keys(THROUGH_LIBUV),
    ...NO_CALLS,
  ]);
  // The C++ runtime library, and Node-API, which acts only on JavaScript.
  const unknown = imported.filter(
    (name) => !/^(_Z|_Unwind|__cxa|__gxx|napi_)/.test(name) && !known.has(name),
  );
  const gone = CALLS.filter(({ name }) => !imported.includes(name)).map(({ name }) => name);
  return [
    ...unknown.map(
      (name) => `the addon calls ${name}, which torture/faults/calls.ts does not hold`,
    ),
    ...gone.map((name) => `torture/faults/calls.ts holds ${name}, which the addon does not call`),
  ];
}

/** Number of errors in the table. */
export const errorsInTable = (): number =>
  ALL_CALLS.reduce((all, { errors }) => all + errors.split(' ').length, 0);
