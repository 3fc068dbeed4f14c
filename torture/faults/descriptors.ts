/**
 * How many descriptors this process has open.
 * @module
 */
import { readdirSync, readlinkSync } from 'node:fs';

/** The one of inotify, which Node's event loop opens for the first watch and keeps. */
const isKept = (descriptor: string): boolean => {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`) === 'anon_inode:inotify';
  } catch {
    return false; // It is the one that it took to look.
  }
};

/** Without that of inotify. */
export const descriptors = (): number =>
  readdirSync('/proc/self/fd').filter((descriptor) => !isKept(descriptor)).length;
