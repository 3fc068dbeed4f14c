/**
 * Network namespaces that a request refers to by descriptor.
 * @module
 */
import { closeSync } from 'node:fs';
import { openNamespace } from '../socket/namespace.ts';

/**
 * Calls `use` with a descriptor of the namespace at `path`, which stays open until the promise
 * settles.
 * @throws SystemError if it cannot be opened
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
