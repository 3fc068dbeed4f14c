/**
 * The one error of a request that the kernel refused, or whose answer was lost.
 * @module
 */
import { errorCode, SystemError } from '../socket/index.ts';
import type { Ack } from './ack.ts';

/** A request as an error tells of it. It holds nothing of the request's content. */
export interface RequestName {
  /** The kernel's name of the message, as `XFRM_MSG_NEWSA`. */
  readonly name: string;
  /** nlmsg_type. */
  readonly type: number;
}

/** What the kernel said of a request, with names for its numbers. */
export interface Refusal {
  readonly request: RequestName;
  readonly ack: Ack;
  /** The kernel's name of the attribute that it refused, or that lacks one inside. */
  readonly attribute?: string | undefined;
  /** The kernel's name of the attribute that it misses. */
  readonly missing?: string | undefined;
  readonly hint?: string | undefined;
}

/** The kernel refused a request. Compare `code`, never the text. */
export class KernelError extends SystemError {
  override readonly name: string = 'KernelError';
  readonly request: RequestName;
  /** The kernel's own words, where it gave any. */
  readonly kernelMessage: string | undefined;
  /** The attribute it refused, under the kernel's name. */
  readonly attribute: string | undefined;
  /** The attribute it misses, under the kernel's name. */
  readonly missing: string | undefined;

  constructor({ request, ack, attribute, missing, hint }: Refusal) {
    super(ack.errno, request.name, hint);
    this.request = request;
    this.kernelMessage = ack.message;
    this.attribute = attribute;
    this.missing = missing;
    const details = [
      ack.message,
      attribute === undefined ? undefined : `at ${attribute}`,
      missing === undefined ? undefined : `${missing} is missing`,
    ].filter((one) => one !== undefined);
    const said = details.length === 0 ? '' : `: ${details.join(', ')}`;
    this.message = `${request.name} ${errorCode(ack.errno)}${said}${hint ? ` (${hint})` : ''}`;
  }
}
