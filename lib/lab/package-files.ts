import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { LabError } from './errors.ts';

/**
 * The first of `paths` that exists in an unpacked package. Files moved from /bin and /lib to
 * /usr between suites.
 */
export function firstOf(directory: string, paths: readonly string[]): string {
  const path = paths.map((one) => join(directory, one)).find((one) => existsSync(one));
  if (path !== undefined) return path;
  throw new LabError(
    'LAB_FETCH',
    `The package does not hold ${paths.join(' or ')}.`,
    'Debian may have changed the package: try another suite (bookworm, trixie, sid).',
  );
}
