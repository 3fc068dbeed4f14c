/**
 * A request to the kernel: what is sent, and how a refusal is described.
 * @module
 */
import { align4 } from '../wire/attribute.ts';
import type { AttributeTable } from '../wire/attribute-table.ts';
import { NLMSG_HDRLEN } from '../wire/message.ts';
import type { MessageWriter } from '../wire/message-writer.ts';
import type { Ack } from './ack.ts';
import {
  type AttributeLocation,
  attributeAt,
  locateAttributes,
  nameIn,
} from './attribute-locations.ts';
import { NLM_F_ACK, NLM_F_REQUEST } from './constants.ts';
import { KernelError } from './kernel-error.ts';

/** A request, made by a protocol's client; this layer does not interpret it. */
export interface Request {
  /** The kernel's name of the message, such as `XFRM_MSG_NEWSA`. */
  readonly name: string;
  /** nlmsg_flags in addition to NLM_F_REQUEST and NLM_F_ACK, which every request has. */
  readonly flags?: number;
  /** Size of the struct before the attributes, in bytes. */
  readonly fixed: number;
  /** Appends the message, with these flags and this sequence number. */
  write(writer: MessageWriter, header: { flags: number; seq: number }): void;
  /** The names of its attributes. */
  readonly attributes: AttributeTable;
  /** A description of the object it is about, for errors. */
  object?(): string | undefined;
  /** What to do about a refusal, if known. */
  hint?(ack: Ack): string | undefined;
}

/** A sent request: what is kept in case it is refused. */
export interface Sent {
  readonly request: Request;
  readonly places: readonly AttributeLocation[];
}

/** Writes a request into an empty writer. */
export function writeRequest(writer: MessageWriter, request: Request, seq: number): Sent {
  const flags = NLM_F_REQUEST | NLM_F_ACK | (request.flags ?? 0);
  request.write(writer, { flags, seq });
  const from = NLMSG_HDRLEN + align4(request.fixed);
  return {
    request,
    places: locateAttributes(writer.view, from, writer.length, request.attributes),
  };
}

/** The error for a refused request. */
export function refusal({ request, places }: Sent, ack: Ack): KernelError {
  const { offset, missingNest, missingType } = ack;
  const place = attributeAt(places, offset ?? missingNest);
  const space = missingNest === undefined ? request.attributes : place?.inner;
  return new KernelError({
    request: request.name,
    object: request.object?.(),
    ack,
    path: place?.path,
    missing: missingType === undefined ? undefined : nameIn(space, missingType),
    hint: request.hint?.(ack),
  });
}
