/**
 * Prints high-volume events (SAs and policies added, changed and deleted) directly from their bytes,
 * without creating an object, bigint or string.
 *
 * The output is identical to what text/event.ts prints for the decoded event (enforced by a test).
 * Unusual and possibly malformed messages are left to the decoder and text/event.ts: the checks here
 * may be stricter than there, never laxer.
 * @module
 */
import type { DecodeInput } from '../../netlink/event.ts';
import { type Ascii, type AsciiWriter, ascii } from '../../wire/ascii.ts';
import { align4 } from '../../wire/attribute.ts';
import { messagePortId, messageType, NLMSG_HDRLEN } from '../../wire/message.ts';
import * as X from '../../xfrm/constants.ts';
import { parts } from '../../xfrm/message-attributes.ts';
import { messages, messageTypeOf } from '../../xfrm/messages.ts';
import { column, formatTime } from '../text/event.ts';
import { Attributes, type LeastSizes, leastSizes } from './attributes.ts';
import { printPolicy } from './policy.ts';
import { printState } from './state.ts';

/** The kinds printed here. */
const KINDS = ['NEWSA', 'UPDSA', 'DELSA', 'NEWPOLICY', 'UPDPOLICY', 'DELPOLICY'] as const;
export type PrintedKind = (typeof KINDS)[number];

/** Generous upper bound for the bytes of a line: a policy with six templates takes about 1,600. */
export const LINE_ROOM = 4096;

/** A kind of message printed here. */
interface Printed {
  readonly kind: PrintedKind;
  readonly head: Ascii;
  /** Size of the fixed part before the attributes. */
  readonly size: number;
  /** The attribute that contains the object; 0 if the message begins with it. */
  readonly object: number;
  readonly least: LeastSizes;
  readonly print: typeof printState;
}

/** By nlmsg_type. */
const printed: (Printed | undefined)[] = [];
for (const kind of KINDS) {
  const ofState = kind.endsWith('SA');
  const deleted = kind.startsWith('DEL');
  const object = !deleted ? 0 : ofState ? X.XFRMA_SA : X.XFRMA_POLICY;
  const part = deleted
    ? parts[ofState ? 'deletedState' : 'deletedPolicy']
    : parts[ofState ? 'state' : 'policy'];
  printed[messageTypeOf(kind)] = {
    kind,
    head: ascii(` ${column(kind)} `),
    size: align4(messages[kind].event.size),
    object,
    least: leastSizes(part, object),
    print: ofState ? printState : printPolicy,
  };
}

/** Prints events directly from their bytes. */
export interface DirectPrinter {
  /** The kind of the message at `at`, if it can be printed. */
  kindOf(view: DataView, at: number): string | undefined;
  /** Bytes that a line may take. */
  readonly room: number;
  /** Prints a line, as {@link printEvent} does. */
  print(input: DecodeInput, at: number, length: number, line: AsciiWriter): boolean;
}

/** The kind of the message at `at`, if it can be printed here. */
export const printedKind = (view: DataView, at: number): PrintedKind | undefined =>
  printed[messageType(view, at)]?.kind;

const CLAIMS = ascii(' claims port ');
const NEWLINE = 10;

/** Attributes of the message being printed. */
const attributes = new Attributes();

let latest = Number.NaN;
let latestText = ascii('');

/**
 * Prints the message at `at`, whose nlmsg_len is `length` and whose kind is given by {@link printedKind},
 * without colours.
 *
 * @param line destination; must have {@link LINE_ROOM} bytes free
 * @returns false if the message has to be decoded; `line` is then unchanged
 */
export function printEvent(
  input: DecodeInput,
  at: number,
  length: number,
  line: AsciiWriter,
): boolean {
  const { view, time } = input;
  const { head, size, object, least, print } = printed[messageType(view, at)] as Printed;
  const body = at + NLMSG_HDRLEN;
  if (!attributes.find(view, body + size, at + length, least)) return false;
  const from = object === 0 ? body : attributes.at(object);
  if (from === 0) return false;
  const start = line.at;
  if (time.wall !== latest) {
    latest = time.wall;
    latestText = ascii(formatTime(latest));
  }
  line.text(latestText);
  line.text(head);
  if (!print(input, from, attributes, line)) {
    line.at = start;
    return false;
  }
  const portId = messagePortId(view, at);
  if (portId !== 0) {
    line.text(CLAIMS);
    line.decimal(portId);
  }
  line.character(NEWLINE);
  return true;
}

export const textPrinter: DirectPrinter = {
  kindOf: printedKind,
  room: LINE_ROOM,
  print: printEvent,
};
