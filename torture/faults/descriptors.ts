/**
 * Number of open descriptors of this process.
 * @module
 */
import { readdirSync, readlinkSync } from 'node:fs';

/** The inotify descriptor that Node's event loop opens for the first watch and keeps. */
const isKept = (descriptor: string): boolean => {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`) === 'anon_inode:inotify';
  } catch {
    return false; // The descriptor of the listing itself.
  }
};

/** Without the one for inotify. */
export const descriptors = (): number =>
  readdirSync('/proc/self/fd').filter((descriptor) => !isKept(descriptor)).length;
