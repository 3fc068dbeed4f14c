/** Loads a part of the library on first use. @module */
import { closeSync, openSync } from 'node:fs';
import { devNull } from 'node:os';

/** File descriptors that the module loader may need at the same time, with a margin. */
const NEEDED = 16;

/**
 * A function that loads a part when first called, and returns the same part on every call. Node 20
 * permanently caches a failure to read a module, even if it only ran out of file descriptors; so
 * this checks first.
 *
 * @throws (the promise rejects) `EMFILE` or `ENFILE` if no file descriptors are free; a later call
 *   may succeed
 */
export function later<Part>(load: () => Promise<Part>): () => Promise<Part> {
  let loaded: { readonly part: Part } | undefined;
  return async () => {
    if (loaded === undefined) {
      needDescriptors();
      loaded = { part: await load() };
    }
    return loaded.part;
  };
}

function needDescriptors(): void {
  const open: number[] = [];
  try {
    while (open.length < NEEDED) open.push(openSync(devNull, 'r'));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // Other errors say nothing about descriptors: for example, the permission model denies this
    // file.
    if (code === 'EMFILE' || code === 'ENFILE') throw error;
  } finally {
    for (const descriptor of open) closeSync(descriptor);
  }
}
