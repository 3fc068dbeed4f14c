/**
 * A network namespace that a request names by a descriptor.
 * @module
 */
import { closeSync } from 'node:fs';
import { openNamespace } from '../socket/namespace.ts';

/**
 * Calls `use` with a descriptor of the namespace at `path`, open until its promise is settled.
 * @throws SystemError if there is nothing to open
 */
export async function withOpenNamespace<Result>(
  path: string,
  use: (descriptor: number) => Promise<Result>,
): Promise<Result> {
  const descriptor = openNamespace(path);
  try {
    return await use(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
