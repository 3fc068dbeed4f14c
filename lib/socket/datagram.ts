/** Datagrams to UNIX sockets, which Node cannot send. @module */

import { wrongValue } from '../base/argument.ts';
import { addon } from './addon.ts';
import { SystemError } from './error.ts';

/** From linux/socket.h, linux/un.h. */
const [AF_UNIX, UNIX_PATH_MAX] = [1, 108];

/**
 * A struct sockaddr_un (unix(7)). `@` begins an abstract name, which no NUL ends.
 * @throws TypeError if `path` is too long, contains a NUL, or is neither absolute nor abstract
 */
function unixAddress(path: string): Uint8Array {
  const abstract = path.startsWith('@');
  if (!abstract && !path.startsWith('/')) {
    throw wrongValue(`a UNIX socket's name must begin with / or @; received '${path}'`);
  }
  const bytes = Buffer.from(abstract ? `\0${path.slice(1)}` : `${path}\0`);
  if (bytes.length > UNIX_PATH_MAX) {
    throw wrongValue(`a UNIX socket's name has at most ${UNIX_PATH_MAX - 1} bytes: '${path}'`);
  }
  if (path.includes('\0')) throw wrongValue("a UNIX socket's name must not contain a NUL");
  return Buffer.concat([new Uint8Array(new Uint16Array([AF_UNIX]).buffer), bytes]);
}

/**
 * Sends one datagram, without waiting.
 *
 * @param path absolute, or `@` and an abstract name
 * @throws SystemError `sendto ENOENT`, `ECONNREFUSED`; `EAGAIN` while the receiver's queue is full
 */
export function sendUnixDatagram(path: string, text: string): void {
  const result = addon().sendDatagram(unixAddress(path), Buffer.from(text));
  if (typeof result !== 'number') throw new SystemError(result.errno, result.syscall);
}
