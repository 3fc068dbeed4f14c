/** Loads the rtnetlink codec on first use. @module */

import { later } from '../base/later.ts';

/** What {@link rtnetlink} loads. */
export type Rtnetlink = typeof import('./rtnetlink.ts');

let loaded: Rtnetlink | undefined;
const load = later(() => import('./rtnetlink.ts'));

export async function rtnetlink(): Promise<Rtnetlink> {
  loaded = await load();
  return loaded;
}

/**
 * Uses it, immediately if it is already loaded. The arguments are copied first, because the caller
 * may change them while it is loading.
 */
export async function withRtnetlink<const Args extends readonly unknown[], Result>(
  args: Args,
  use: (by: Rtnetlink, args: Args) => Promise<Result>,
): Promise<Result> {
  // Awaited, so that the stack of a KernelError includes the caller.
  if (loaded) return await use(loaded, args);
  const copies = copyOf(args);
  return await use(await rtnetlink(), copies);
}

/** A copy of what a caller passed. */
export function copyOf<T>(value: T): T {
  try {
    return structuredClone(value);
  } catch {
    // It holds a function or something else that cannot be encoded; that is refused later, by name.
    return value;
  }
}
