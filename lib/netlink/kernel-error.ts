/**
 * The error for a request that the kernel refused, or whose answer was lost.
 * @module
 */
import { errnoName, SystemError } from '../socket/index.ts';
import type { Ack } from './ack.ts';

export { errnoName };

/** The kernel's answer to a refused request, with names for its numbers. */
export interface Refusal {
  /** The kernel's name of the request, such as `XFRM_MSG_NEWSA`. */
  readonly request: string;
  /** A description of the object the request was about. */
  readonly object?: string | undefined;
  readonly ack: Ack;
  /**
   * The kernel's names of the refused attribute, or of the one that lacks a nested attribute, and
   * of its enclosing attributes, outermost first.
   */
  readonly path?: readonly string[] | undefined;
  /** The kernel's name of the missing attribute. */
  readonly missing?: string | undefined;
  readonly hint?: string | undefined;
}

/**
 * The kernel refused a request. Compare `code`, never the text. The stack begins where the request
 * was made; `syscall` is undefined, because no system call failed.
 */
export class KernelError extends SystemError {
  override readonly name: string = 'KernelError';
  /** The kernel's name of the request: `XFRM_MSG_NEWSA`. */
  readonly request: string;
  /**
   * The object of the request: `SA esp 192.0.2.1 → 192.0.2.2 spi 0x00000101`, `link eth0`;
   * undefined for a request about all objects.
   */
  readonly object: string | undefined;
  /** The kernel's own message, if it gave one. */
  readonly kernelMessage: string | undefined;
  /** The kernel's name of the refused attribute. */
  readonly attribute: string | undefined;
  /**
   * That attribute with its enclosing attributes, outermost first:
   * `['IFLA_LINKINFO', 'IFLA_INFO_DATA', 'IFLA_BR_FORWARD_DELAY']`; list entries are `[0]`.
   */
  readonly path: readonly string[] | undefined;
  /** The kernel's name of the missing attribute. */
  readonly missing: string | undefined;

  readonly #refusal: Refusal;

  constructor(refusal: Refusal) {
    const { request, object, ack, path, missing, hint } = refusal;
    super(ack.errno, undefined, hint);
    this.#refusal = refusal;
    this.request = request;
    this.object = object;
    this.kernelMessage = ack.message;
    this.attribute = path?.at(-1);
    this.path = path;
    this.missing = missing;
    const said = [
      ack.message,
      path === undefined ? undefined : `at ${path.join(' › ')}`,
      missing === undefined ? undefined : `${missing} is missing`,
    ].filter((one) => one !== undefined);
    const parts = [`${request} ${this.code}`, object, said.join(', ')].filter(Boolean);
    this.message = parts.join(': ') + (hint ? ` (${hint})` : '');
  }

  /** The same error with another hint, for callers that have found out more. */
  withHint(hint: string): KernelError {
    const error = new KernelError({ ...this.#refusal, hint });
    error.stack = `${error}${this.stack?.slice(`${this}`.length)}`;
    return error;
  }
}
