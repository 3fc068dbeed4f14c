/**
 * The one error of a request that the kernel refused, or whose answer was lost.
 * @module
 */
import { errorCode, SystemError } from '../socket/index.ts';

export { errorCode };

import type { Ack } from './ack.ts';

/** What the kernel said of a request, with names for its numbers. */
export interface Refusal {
  /** The kernel's name of the request, as `XFRM_MSG_NEWSA`. */
  readonly request: string;
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

/** The kernel refused a request. Compare `code`, never the text. */
export class KernelError extends SystemError {
  override readonly name: string = 'KernelError';
  /** The request, under the kernel's name: `XFRM_MSG_NEWSA`. */
  readonly request: string;
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

  constructor({ request, ack, path, missing, hint }: Refusal) {
    super(ack.errno, request, hint);
    this.request = request;
    this.kernelMessage = ack.message;
    this.attribute = path?.at(-1);
    this.path = path;
    this.missing = missing;
    const details = [
      ack.message,
      path === undefined ? undefined : `at ${path.join(' › ')}`,
      missing === undefined ? undefined : `${missing} is missing`,
    ].filter((one) => one !== undefined);
    const said = details.length === 0 ? '' : `: ${details.join(', ')}`;
    this.message = `${request} ${errorCode(ack.errno)}${said}${hint ? ` (${hint})` : ''}`;
  }
}
