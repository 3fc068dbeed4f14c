/**
 * A request to the kernel: what is sent, and how a refusal is put into words.
 * @module
 */
import { align4, attributeLength, NLA_TYPE_MASK } from '../wire/attribute.ts';
import { LE } from '../wire/endian.ts';
import { NLMSG_HDRLEN } from '../wire/message.ts';
import type { MessageWriter } from '../wire/writer.ts';
import type { Ack } from './ack.ts';
import { NLM_F_ACK, NLM_F_REQUEST } from './constants.ts';
import { KernelError } from './kernel-error.ts';

/** A request. A protocol's client makes it; nothing here knows what it means. */
export interface Request {
  /** The kernel's name of the message, as `XFRM_MSG_NEWSA`. */
  readonly name: string;
  /** nlmsg_flags beyond NLM_F_REQUEST and NLM_F_ACK, which every request has. */
  readonly flags?: number;
  /** Bytes of the struct before the attributes. */
  readonly fixed: number;
  /** Appends the message, with these flags and this sequence number. */
  write(writer: MessageWriter, header: { flags: number; seq: number }): void;
  /** The kernel's name of an attribute, as `XFRMA_MARK`. */
  attributeName(type: number): string | undefined;
  /** What to do about a refusal, where that is known. */
  hint?(ack: Ack): string | undefined;
}

/** A request on its way: what is kept of it for the case that it is refused. */
export interface Sent {
  readonly request: Request;
  /** The name of the attribute at each offset. */
  readonly attributes: ReadonlyMap<number, string>;
}

/** Writes a request into an empty writer. */
export function writeRequest(writer: MessageWriter, request: Request, seq: number): Sent {
  const flags = NLM_F_REQUEST | NLM_F_ACK | (request.flags ?? 0);
  request.write(writer, { flags, seq });
  const attributes = new Map<number, string>();
  const { view, length } = writer;
  for (let offset = NLMSG_HDRLEN + align4(request.fixed); offset < length; ) {
    const type = view.getUint16(offset + 2, LE) & NLA_TYPE_MASK;
    attributes.set(offset, request.attributeName(type) ?? `attribute ${type}`);
    offset += align4(attributeLength(view, offset, length));
  }
  return { request, attributes };
}

/** The error for a refusal. */
export function refusal({ request, attributes }: Sent, ack: Ack): KernelError {
  const { offset, missingNest, missingType } = ack;
  return new KernelError({
    request: request.name,
    ack,
    attribute: attributeAt(attributes, offset ?? missingNest),
    missing:
      missingType === undefined
        ? undefined
        : (request.attributeName(missingType) ?? `attribute ${missingType}`),
    hint: request.hint?.(ack),
  });
}

/** The attribute that begins at an offset, or the one it lies in. */
function attributeAt(
  attributes: ReadonlyMap<number, string>,
  offset: number | undefined,
): string | undefined {
  if (offset === undefined) return undefined;
  let name: string | undefined;
  for (const [start, one] of attributes) if (start <= offset) name = one;
  return name;
}
