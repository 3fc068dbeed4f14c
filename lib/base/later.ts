/** Loads a part of the library when it is needed. @module */
import { closeSync, openSync } from 'node:fs';
import { devNull } from 'node:os';

/** Descriptors that the loader may need at once, with some to spare. */
const NEEDED = 16;

/**
 * What loads a part when it is first called, and gives it every time. Node 20 remembers for good that a module could not
 * be read, also if only no descriptor was free just then; so that is found out before.
 *
 * @throws (the promise is rejected) `EMFILE` or `ENFILE` where no descriptors are free; a later call may succeed
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
    // Anything else says nothing about descriptors: the permission model refuses this file, for instance.
    if (code === 'EMFILE' || code === 'ENFILE') throw error;
  } finally {
    for (const descriptor of open) closeSync(descriptor);
  }
}
