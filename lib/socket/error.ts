/** The errors of this directory. Compare `code`, never the text. @module */
import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';
import { integer } from '../base/argument.ts';

/** The name of a system error, such as `ENOBUFS`, from its number (positive or negative). */
export function errnoName(errno: number): string {
  const number = Math.abs(integer('errno', errno, -0x8000_0000, 0x7fff_ffff));
  const known = getSystemErrorMap().get(-number)?.[0];
  if (known !== undefined) return known;
  // libuv, which these names come from, lacks some: EINPROGRESS …
  const [other] = Object.entries(constants.errno).find(([, value]) => value === number) ?? [];
  return other ?? `Unknown system error ${-number}`;
}

/** A system call that failed; for a {@link KernelError}, a request, with `syscall` undefined. */
export class SystemError extends Error {
  override readonly name: string = 'SystemError';
  /** The name of the error, such as `EADDRINUSE`. */
  readonly code: string;
  /** Its number in Node's form: negative. */
  readonly errno: number;
  /** The system call, such as `bind`. */
  readonly syscall: string | undefined;
  /** What to do about it, if known. */
  readonly hint: string | undefined;

  /** @param errno the number, positive or negative */
  constructor(errno: number, syscall: string | undefined, hint?: string) {
    const code = errnoName(errno);
    const text = getSystemErrorMap().get(-Math.abs(errno))?.[1];
    super(
      `${syscall === undefined ? '' : `${syscall} `}${code}${text ? `: ${text}` : ''}${hint ? ` (${hint})` : ''}`,
    );
    this.code = code;
    this.errno = -Math.abs(errno);
    this.syscall = syscall;
    this.hint = hint;
  }
}

/** The reasons for a {@link StateError}. */
export type StateErrorCode =
  | 'ERR_SOCKET_CLOSED'
  | 'ERR_SOCKET_RECEIVING'
  | 'ERR_MONITOR_CLOSED'
  /** A namespace with this label exists already. */
  | 'ERR_NAMESPACE_EXISTS'
  /** The namespace was removed while something waited for it. */
  | 'ERR_NAMESPACE_REMOVED'
  /** `waitFor()` timed out. */
  | 'ERR_WAIT_TIMEOUT';

/** A socket, client or monitor was used in a state that does not allow it. */
export class StateError extends Error {
  override readonly name = 'StateError';
  readonly code: StateErrorCode;

  constructor(code: StateErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** Why the native addon could not be loaded. */
export type AddonErrorCode =
  | 'ERR_ADDON_NOT_FOUND'
  | 'ERR_ADDON_NOT_LOADED'
  /** This system or program is not supported: no addon would work. */
  | 'ERR_ADDON_UNSUPPORTED';

/**
 * The native addon is missing, incompatible, or built for another system. The message is one line.
 */
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
