/**
 * The one error of a request that the kernel refused, or whose answer was lost.
 * @module
 */
import { errorCode, SystemError } from '../socket/index.ts';
import type { Ack } from './ack.ts';

export { errorCode };

/** What the kernel said of a request, with names for its numbers. */
export interface Refusal {
  /** The kernel's name of the request, as `XFRM_MSG_NEWSA`. */
  readonly request: string;
  /** What the request was about, in words. */
  readonly object?: string | undefined;
  readonly ack: Ack;
  /**
   * The kernel's names of the attribute that it refused, or that lacks one inside, and of those it
   * lies in, outermost first.
   */
  readonly path?: readonly string[] | undefined;
  /** The kernel's name of the attribute that it misses. */
  readonly missing?: string | undefined;
  readonly hint?: string | undefined;
}

/**
 * The kernel refused a request. Compare `code`, never the text. The stack begins where the request was made; `syscall` is
 * undefined, since no system call failed.
 */
export class KernelError extends SystemError {
  override readonly name: string = 'KernelError';
  /** The request, under the kernel's name: `XFRM_MSG_NEWSA`. */
  readonly request: string;
  /** What the request was about: `SA esp 192.0.2.1 → 192.0.2.2 spi 0x00000101`, `link eth0`; undefined of one about all. */
  readonly object: string | undefined;
  /** The kernel's own words, where it gave any. */
  readonly kernelMessage: string | undefined;
  /** The attribute it refused, under the kernel's name. */
  readonly attribute: string | undefined;
  /**
   * That attribute with those it lies in, outermost first: `['IFLA_LINKINFO', 'IFLA_INFO_DATA',
   * 'IFLA_BR_FORWARD_DELAY']`; entries of lists are `[0]`.
   */
  readonly path: readonly string[] | undefined;
  /** The attribute it misses, under the kernel's name. */
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

  /** The same error with another hint, by who has found out more. */
  withHint(hint: string): KernelError {
    const error = new KernelError({ ...this.#refusal, hint });
    error.stack = `${error}${this.stack?.slice(`${this}`.length)}`;
    return error;
  }
}
