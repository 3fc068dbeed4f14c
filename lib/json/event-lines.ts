/**
 * Lines of JSON for high-volume XFRM events (SAs and policies added, changed, deleted and expired), directly from
 * their bytes, without making an event of them. The line is what {@link formatLine} gives for the
 * decoded event without keys (a test compares them); messages that xfrm-members.ts refuses are left
 * to the decoder.
 * @module
 */
import type { DecodeInput, EventTime } from '../netlink/event.ts';
import { type Ascii, ascii } from '../wire/ascii.ts';
import { align4, NLA_HDRLEN, NLA_TYPE_MASK } from '../wire/attribute.ts';
import { LE } from '../wire/endian.ts';
import { messageType, NLMSG_HDRLEN, readHeader } from '../wire/message.ts';
import { offsetOf, type Struct } from '../wire/struct.ts';
import * as X from '../xfrm/constants.ts';
import { messages, messageTypeOf } from '../xfrm/messages.ts';
import * as S from '../xfrm/structs.ts';
import { type JsonWriter, truthTexts } from './json-writer.ts';
import { formatLine } from './line.ts';
import {
  writePolicyId,
  writePolicyInfo,
  writeStateId,
  writeStateInfo,
  writeXfrmAttributes,
} from './xfrm-members.ts';

/** Room for a line: with all attributes and the largest replay window about 5,000 bytes. */
export const JSON_ROOM = 16_384;

/** What an event is about. */
interface Of {
  readonly struct: Struct;
  /** Where the struct has the address family. */
  readonly family: number;
  readonly name: Ascii;
  write(v: DataView, b: Uint8Array, at: number, o: JsonWriter): void;
}
const SA: Of = {
  struct: S.xfrm_usersa_info,
  family: offsetOf(S.xfrm_usersa_info, 'family'),
  name: ascii(',"state":{'),
  write: (v, b, at, o) => writeStateInfo(v, b, at, 0, o),
};
const POLICY: Of = {
  struct: S.xfrm_userpolicy_info,
  family: offsetOf(S.xfrm_userpolicy_info, 'sel.family'),
  name: ascii(',"policy":{'),
  write: (v, b, at, o) => writePolicyInfo(v, b, at, o),
};

const ID = ascii(',"id":{');
const HARD = ascii(',"hard":');
const TYPE = ascii(',"header":{"type":');
const FLAGS = ascii(',"flags":');
const SEQ = ascii(',"seq":');
const PORT_ID = ascii(',"portId":');
const CLOSE = ascii('}');

type Before = (v: DataView, b: Uint8Array, at: number, o: JsonWriter) => void;

/** A kind of message: where its object is, and what precedes it, as lib/xfrm/bodies.ts reads it. */
interface Layout {
  readonly of: Of;
  /** The attribute with the object; undefined if the message begins with it. */
  readonly attribute?: number;
  readonly before?: Before;
}

const hard =
  (struct: Struct): Before =>
  (_, b, at, o) => {
    o.text(HARD);
    o.text(truthTexts.of(b[at + offsetOf(struct, 'hard')] as number));
  };

const LAYOUTS = {
  NEWSA: { of: SA },
  UPDSA: { of: SA },
  EXPIRE: { of: SA, before: hard(S.xfrm_user_expire) },
  DELSA: {
    of: SA,
    attribute: X.XFRMA_SA,
    before: (v, b, at, o) => {
      o.text(ID);
      writeStateId(v, b, at, 0, o);
      o.text(CLOSE);
    },
  },
  NEWPOLICY: { of: POLICY },
  UPDPOLICY: { of: POLICY },
  POLEXPIRE: { of: POLICY, before: hard(S.xfrm_user_polexpire) },
  DELPOLICY: {
    of: POLICY,
    attribute: X.XFRMA_POLICY,
    before: (v, b, at, o) => {
      o.text(ID);
      writePolicyId(v, b, at, o);
      o.text(CLOSE);
    },
  },
} satisfies Record<string, Layout>;

/** The kinds written here. */
export type JsonKind = keyof typeof LAYOUTS;

const END = ascii('}}\n');

/** A kind, with the start of its lines, which the events of a batch have in common. */
interface Written extends Layout {
  readonly kind: JsonKind;
  /** Bytes before the attributes, and which attributes belong in the message. */
  readonly size: number;
  readonly use: Uint8Array;
  head: Ascii;
  wall: number;
  monotonic: number;
}

/** By nlmsg_type. */
const written: (Written | undefined)[] = [];
for (const [kind, layout] of Object.entries(LAYOUTS) as [JsonKind, Layout][]) {
  const { size, use } = messages[kind].event;
  if (use === undefined) throw new TypeError(`${kind} has no attributes of its own`);
  const none = { head: ascii(''), wall: Number.NaN, monotonic: Number.NaN };
  written[messageTypeOf(kind)] = { ...layout, ...none, kind, size, use };
}

/** The kind of the message at `at`, if it can be written here. */
export const jsonKind = (view: DataView, at: number): JsonKind | undefined =>
  written[messageType(view, at)]?.kind;

/**
 * Writes the line of the message at `at`, whose nlmsg_len is `length` and whose kind is given by
 * {@link jsonKind}.
 *
 * @param line destination; must have {@link JSON_ROOM} bytes free
 * @returns false if the message has to be decoded; `line` is then unchanged
 */
export function writeEventLine(
  input: DecodeInput,
  at: number,
  length: number,
  line: JsonWriter,
): boolean {
  const start = line.at;
  line.refused = false;
  writeEvent(input, at, at + length, written[messageType(input.view, at)] as Written, line);
  if (line.refused) line.at = start;
  return !line.refused;
}

function writeEvent(
  { view, bytes, time }: DecodeInput,
  at: number,
  end: number,
  event: Written,
  line: JsonWriter,
): void {
  const { of, size, use, attribute, before } = event;
  const from = at + NLMSG_HDRLEN;
  const first = from + align4(size);
  if (end - from < size) {
    line.refuse();
    return;
  }
  const object = attribute === undefined ? from : payloadOf(view, first, end, attribute, of, line);
  if (object === 0) {
    line.refuse();
    return;
  }
  if (event.wall !== time.wall || event.monotonic !== time.monotonic) begin(event, time);
  line.text(event.head);
  writeHeader(view, at, line);
  before?.(view, bytes, from, line);
  line.text(of.name);
  of.write(view, bytes, object, line);
  const family = view.getUint16(object + of.family, LE);
  writeXfrmAttributes(view, bytes, first, end, use, family, line);
  line.text(END);
}

/** The offset of the object in an attribute; 0 if it is not there. */
function payloadOf(
  v: DataView,
  first: number,
  end: number,
  type: number,
  of: Of,
  line: JsonWriter,
): number {
  let found = 0;
  for (let at = first; at < end; ) {
    const length = line.attributeLength(v, at, end);
    if (length === 0) return 0;
    if ((v.getUint16(at + 2, LE) & NLA_TYPE_MASK) === type) {
      if (length - NLA_HDRLEN < of.struct.size) return 0;
      found = at + NLA_HDRLEN;
    }
    at += align4(length);
  }
  return found;
}

/** Makes the start of the lines of a batch. */
function begin(event: Written, time: EventTime): void {
  const { kind } = event;
  event.head = ascii(formatLine({ kind, protocol: 'xfrm', time }, false).slice(0, -1));
  event.wall = time.wall;
  event.monotonic = time.monotonic;
}

function writeHeader(view: DataView, at: number, line: JsonWriter): void {
  const { type, flags, seq, portId } = readHeader(view, at);
  line.text(TYPE);
  line.decimal(type);
  line.text(FLAGS);
  line.decimal(flags);
  line.text(SEQ);
  line.decimal(seq);
  line.text(PORT_ID);
  line.decimal(portId);
  line.text(CLOSE);
}
