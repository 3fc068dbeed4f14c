/** The errors of this folder. Compare `code`, never the text. @module */
import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';

/** The name of a system error, such as `ENOBUFS`, from its number (positive or negative). */
export function errorCode(errno: number): string {
  const number = Math.abs(errno);
  const known = getSystemErrorMap().get(-number)?.[0];
  if (known !== undefined) return known;
  // libuv, whose names those are, leaves some out: EINPROGRESS …
  const [other] = Object.entries(constants.errno).find(([, value]) => value === number) ?? [];
  return other ?? `Unknown system error ${-number}`;
}

/** A system call that failed. */
export class SystemError extends Error {
  override readonly name: string = 'SystemError';
  /** The name of the error, such as `EADDRINUSE`. */
  readonly code: string;
  /** Its number as Node gives it: negative. */
  readonly errno: number;
  /** The system call, such as `bind`. */
  readonly syscall: string;
  /** What to do about it, where that is known. */
  readonly hint: string | undefined;

  /** @param errno the number, positive or negative */
  constructor(errno: number, syscall: string, hint?: string) {
    const code = errorCode(errno);
    const text = getSystemErrorMap().get(-Math.abs(errno))?.[1];
    super(`${syscall} ${code}${text ? `: ${text}` : ''}${hint ? ` (${hint})` : ''}`);
    this.code = code;
    this.errno = -Math.abs(errno);
    this.syscall = syscall;
    this.hint = hint;
  }
}

/** What was wrong with the use of a socket, apart from system calls and arguments. */
export type SocketErrorCode = 'ERR_SOCKET_CLOSED' | 'ERR_SOCKET_RECEIVING';

/** A socket was used in a state that does not allow it. */
export class SocketStateError extends Error {
  override readonly name = 'SocketStateError';
  readonly code: SocketErrorCode;

  constructor(code: SocketErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** Why the native part could not be loaded. */
export type AddonErrorCode =
  | 'ERR_ADDON_NOT_FOUND'
  | 'ERR_ADDON_NOT_LOADED'
  /** Not on this system, or in this program: no addon would do. */
  | 'ERR_ADDON_UNSUPPORTED';

/** The native addon is missing, does not fit, or is not for this system. The message is one line. */
export class AddonError extends Error {
  override readonly name = 'AddonError';
  readonly code: AddonErrorCode;
  /** What to do about it. */
  readonly hint: string;

  constructor(code: AddonErrorCode, message: string, hint: string, cause?: unknown) {
    super(`${message} (${hint})`, cause === undefined ? {} : { cause });
    this.code = code;
    this.hint = hint;
  }
}
