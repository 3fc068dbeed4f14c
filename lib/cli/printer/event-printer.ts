/**
 * The events that come in masses, SAs and policies added, changed and deleted, printed from their
 * bytes: no object, no bigint and no string is made for them.
 *
 * It says what text/event.ts says of the decoded event, letter for letter (a test holds them together).
 * What is unusual, and what might be malformed, is left to the decoder and text/event.ts: the rules of
 * what is well-formed may be stricter here than there, never laxer.
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

/** The kinds that are printed here. */
const KINDS = ['NEWSA', 'UPDSA', 'DELSA', 'NEWPOLICY', 'UPDPOLICY', 'DELPOLICY'] as const;
export type PrintedKind = (typeof KINDS)[number];

/** Bytes that a line takes at most, generously: a policy with six templates takes some 1,600. */
export const LINE_ROOM = 4096;

/** A kind of message that is printed here. */
interface Printed {
  readonly kind: PrintedKind;
  readonly head: Ascii;
  /** Bytes before the attributes. */
  readonly size: number;
  /** The attribute in which the object is; 0 if the message begins with it. */
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

/** The kind of the message at `at`, if it is one that may be printed here. */
export const printedKind = (view: DataView, at: number): PrintedKind | undefined =>
  printed[messageType(view, at)]?.kind;

const CLAIMS = ascii(' claims port ');
const NEWLINE = 10;

/** Those of the message that is being printed. */
const attributes = new Attributes();

let latest = Number.NaN;
let latestText = ascii('');

/**
 * Prints the message at `at`, whose nlmsg_len is `length` and whose kind {@link printedKind} says,
 * without colours.
 *
 * @param line where it is put; {@link LINE_ROOM} bytes must be free there
 * @returns false if it has to be decoded; then `line` is where it was
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
