/**
 * Loads what rtnetlink's messages need, when it is first used.
 * @module
 */

/** What {@link rtnetlink} loads. */
export type Rtnetlink = typeof import('./rtnetlink.ts');

/** @returns a promise of the same module every time */
export const rtnetlink = (): Promise<Rtnetlink> => import('./rtnetlink.ts');
