/** Reads files of people, of which the path may be wrong. @module */
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';

/**
 * Reads a regular file.
 *
 * @param largest the most bytes
 * @param refused why a file of this mode is not read
 * @throws an Error that names it, and says what is wrong
 */
export function readSmallFile(
  path: string,
  largest: number,
  refused: (mode: number) => string | undefined = () => undefined,
): string {
  try {
    // Opening a FIFO would block until someone writes to it.
    const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const stat = fstatSync(file);
      if (!stat.isFile()) throw new Error('not a regular file');
      if (stat.size > largest) throw new Error(`larger than ${sizeText(largest)}`);
      const why = refused(stat.mode);
      if (why !== undefined) throw new Error(why);
      return readFileSync(file, 'utf8');
    } finally {
      closeSync(file);
    }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reason =
      code === 'ENOENT' ? 'no such file' : code === 'EACCES' ? 'permission denied' : message;
    throw new Error(`${path}: ${reason}`, { cause: error });
  }
}

const sizeText = (bytes: number) =>
  bytes % 2 ** 20 === 0 ? `${bytes / 2 ** 20} MiB` : `${bytes} bytes`;
