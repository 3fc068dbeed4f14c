/**
 * Acknowledgements: NLMSG_ERROR, and NLMSG_DONE at the end of a dump, with their extended ack
 * attributes (`linux/netlink.h`).
 * @module
 */
import { align4, attributeLength, NLA_HDRLEN, NLA_TYPE_MASK } from '../wire/attribute.ts';
import { LE } from '../wire/endian.ts';
import { DecodeError, tooShort } from '../wire/error.ts';
import { messageType, NLMSG_HDRLEN } from '../wire/message.ts';
import { readText } from '../wire/text.ts';
import * as N from './constants.ts';

/** The kernel's answer to a request. */
export interface Ack {
  /** 0, or the error as a positive number. */
  readonly errno: number;
  /** The kernel's message: about an error or, on success, a warning. */
  readonly message?: string;
  /** Offset of the refused attribute, in bytes from the start of the request. */
  readonly offset?: number;
  /** The number of a required attribute that the request lacks. */
  readonly missingType?: number;
  /** Offset of the attribute in which a required one is missing. */
  readonly missingNest?: number;
}

/** Size of struct nlmsgerr: the error, then the request's header. */
const NLMSGERR = 20;

/**
 * Reads the NLMSG_ERROR or NLMSG_DONE at `at`, of `length` bytes.
 *
 * The extended ack attributes follow the 4-byte error in NLMSG_DONE; in NLMSG_ERROR they follow the
 * request's header or, without the flag NLM_F_CAPPED, the whole request (net/netlink/af_netlink.c,
 * netlink_ack).
 *
 * @throws DecodeError if it is malformed
 */
export function readAck(view: DataView, bytes: Uint8Array, at: number, length: number): Ack {
  const done = messageType(view, at) === N.NLMSG_DONE;
  const name = done ? 'NLMSG_DONE' : 'NLMSG_ERROR';
  const body = at + NLMSG_HDRLEN;
  const end = at + length;
  const fixed = done ? 4 : NLMSGERR;
  if (end - body < fixed) tooShort(name, body, fixed, end - body);
  const flags = view.getUint16(at + 6, LE);
  // Normally negative; some subsystems send it positive (libmnl, callback.c, mnl_cb_error).
  const errno = Math.abs(view.getInt32(body, LE));
  if ((flags & N.NLM_F_ACK_TLVS) === 0) return { errno };
  let from = body + fixed;
  if (!done && (flags & N.NLM_F_CAPPED) === 0) {
    const copied = view.getUint32(body + 4, LE);
    if (copied > end - body - 4) tooShort(name, body + 4, copied, end - body - 4);
    from = body + 4 + align4(copied);
  }
  try {
    return { errno, ...readExtended(view, bytes, from, end) };
  } catch (error) {
    throw error instanceof DecodeError ? error.within(name) : error;
  }
}

function readExtended(
  view: DataView,
  bytes: Uint8Array,
  from: number,
  end: number,
): Omit<Ack, 'errno'> {
  const ack: { -readonly [Name in keyof Ack]: Ack[Name] } = { errno: 0 };
  for (let at = from; at < end; ) {
    const length = attributeLength(view, at, end);
    const payload = at + NLA_HDRLEN;
    const size = length - NLA_HDRLEN;
    const u32 = () => {
      if (size < 4) tooShort('', at, 4, size);
      return view.getUint32(payload, LE);
    };
    switch (view.getUint16(at + 2, LE) & NLA_TYPE_MASK) {
      case N.NLMSGERR_ATTR_MSG:
        ack.message = readText(bytes, payload, size);
        break;
      case N.NLMSGERR_ATTR_OFFS:
        ack.offset = u32();
        break;
      case N.NLMSGERR_ATTR_MISS_TYPE:
        ack.missingType = u32();
        break;
      case N.NLMSGERR_ATTR_MISS_NEST:
        ack.missingNest = u32();
        break;
    }
    at += align4(length);
  }
  const { errno: _, ...extended } = ack;
  return extended;
}
