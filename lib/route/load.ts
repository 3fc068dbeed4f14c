/** Loads what rtnetlink's messages need, when it is first used. @module */

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
 * Uses it, at once if it is there. What a caller passed is as it was when this was called: the caller may change it while
 * that is loaded.
 */
export async function withRtnetlink<const Args extends readonly unknown[], Result>(
  args: Args,
  use: (by: Rtnetlink, args: Args) => Promise<Result>,
): Promise<Result> {
  // Awaited, for the stack of a refusal.
  if (loaded) return await use(loaded, args);
  const copies = copyOf(args);
  return await use(await rtnetlink(), copies);
}

/** A copy of what a caller passed. */
export function copyOf<T>(value: T): T {
  try {
    return structuredClone(value);
  } catch {
    // It holds a function, or another thing that no message can be made of; that is refused later, by name.
    return value;
  }
}
