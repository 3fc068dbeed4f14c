/**
 * Tells what the messages of a capture are: requests, events, or answers; and which dumps make a
 * snapshot. Those whose request for everything was seen, and that came, undisturbed, to their end.
 * @module
 */
import {
  NETLINK_XFRM,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLM_F_MULTI,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_MIN_TYPE,
} from '../netlink/constants.ts';
import { IFLA_EXT_MASK, RT_TABLE_LOCAL, RTA_TABLE, RTN_LOCAL } from '../route/constants.ts';
import { RTM_GETADDR, RTM_GETLINK, RTM_GETROUTE } from '../route/message-constants.ts';
import { align4, NLA_HDRLEN } from '../wire/attribute.ts';
import { LE } from '../wire/endian.ts';
import { NLMSG_HDRLEN, readHeader } from '../wire/message.ts';
import * as X from '../xfrm/constants.ts';
import type { SnapshotNote } from './records.ts';

/** A request for all objects of a kind. */
interface Everything {
  /** Bytes after the header that are no attributes: those of the struct. */
  readonly size: number;
  /** Whether the byte at this offset of them does not restrict the dump. */
  readonly allows: (offset: number, byte: number) => boolean;
  /** The attribute that does not, and its value if that matters. */
  readonly attribute?: readonly [number: number, value?: number];
}

/** AF_PACKET: as which iproute2 asks for links. */
const AF_PACKET = 17;
const nothing = (_: number, byte: number) => byte === 0;

/**
 * The header of an address filter, of which iproute2 sends one of zeros, for all SAs: a dump reads
 * attributes where other requests have their struct (net/xfrm/xfrm_user.c, xfrm_dump_sa).
 */
const FILTER = new Uint8Array(Uint16Array.of(40, X.XFRMA_ADDRESS_FILTER).buffer);

/** By their types; together they make a snapshot, as lib/recording/dumps.ts takes it. */
const XFRM_DUMPS: ReadonlyMap<number, Everything> = new Map([
  [
    X.XFRM_MSG_GETSA,
    { size: Infinity, allows: (at: number, byte: number) => byte === 0 || byte === FILTER[at] },
  ],
  // What follows the header is ignored (xfrm_dump_policy).
  [X.XFRM_MSG_GETPOLICY, { size: Infinity, allows: () => true }],
]);
const ROUTE_DUMPS: ReadonlyMap<number, Everything> = new Map([
  // With ifinfomsg, ifaddrmsg and rtmsg.
  [
    RTM_GETLINK,
    {
      size: 16,
      allows: (at: number, byte: number) => byte === 0 || (at === 0 && byte === AF_PACKET),
      attribute: [IFLA_EXT_MASK] as const,
    },
  ],
  [RTM_GETADDR, { size: 8, allows: nothing }],
  [
    RTM_GETROUTE,
    {
      size: 12,
      // rtm_table, rtm_type
      allows: (at: number, byte: number) =>
        byte === 0 || (at === 4 && byte === RT_TABLE_LOCAL) || (at === 7 && byte === RTN_LOCAL),
      attribute: [RTA_TABLE, RT_TABLE_LOCAL] as const,
    },
  ],
]);

/** Requests that are answered, and with what. The larval SA of ALLOCSPI is announced once it has keys. */
const XFRM_ANSWERS: ReadonlyMap<number, number> = new Map([
  [X.XFRM_MSG_GETSA, X.XFRM_MSG_NEWSA],
  [X.XFRM_MSG_GETPOLICY, X.XFRM_MSG_NEWPOLICY],
  [X.XFRM_MSG_ALLOCSPI, X.XFRM_MSG_NEWSA],
  [X.XFRM_MSG_GETAE, X.XFRM_MSG_NEWAE],
  [X.XFRM_MSG_GETSADINFO, X.XFRM_MSG_NEWSADINFO],
  [X.XFRM_MSG_GETSPDINFO, X.XFRM_MSG_NEWSPDINFO],
]);

/** A question that waits for its answer. */
interface Question {
  readonly type: number;
  /** Type of the answer. */
  readonly answer: number;
  /** As the requester wrote it, usually 0; then that of the answer, which is not 0. */
  portId: number;
  readonly seq: number;
  readonly dump: boolean;
}

/** Questions that may wait: the answers of the oldest are lost. */
const WAITING = 1000;
/** Milliseconds within which all dumps of a snapshot are. */
const TOGETHER = 60_000;

/** What to do with a message. */
export type Use = 'event' | 'dumped' | 'nothing';

/** Of one protocol in one network namespace. */
export class DumpsSeen {
  readonly #xfrm: boolean;
  readonly #dumps: ReadonlyMap<number, Everything>;
  readonly #say: (phase: SnapshotNote['phase']) => void;
  #questions: Question[] = [];
  /** The dumps that are, or were, read for the snapshot that has begun; true if complete. */
  #parts: Map<number, Question | true> | undefined;
  #since = 0;

  constructor(protocol: number, say: (phase: SnapshotNote['phase']) => void) {
    this.#xfrm = protocol === NETLINK_XFRM;
    this.#dumps = this.#xfrm ? XFRM_DUMPS : ROUTE_DUMPS;
    this.#say = say;
  }

  /** A message of `length` bytes that was captured at this time. */
  message(view: DataView, at: number, length: number, wall: number): Use {
    if (this.#parts && wall - this.#since > TOGETHER) this.#fail();
    const header = readHeader(view, at);
    const { type, flags, seq, portId } = header;
    // The kernel sets it in no message of its own.
    if (flags & NLM_F_REQUEST) {
      const answer = this.#xfrm ? XFRM_ANSWERS.get(type) : type % 4 === 2 ? type - 2 : undefined;
      if (answer === undefined) return 'nothing';
      const dump = (flags & NLM_F_DUMP) === NLM_F_DUMP;
      const question = { type, answer, portId, seq, dump };
      this.#questions.push(question);
      if (this.#questions.length > WAITING) this.#questions.shift();
      if (dump && this.#isForAll(type, view, at, length)) this.#begin(question, wall);
      return 'nothing';
    }
    const isControl = type < NLMSG_MIN_TYPE;
    const isPart = (flags & NLM_F_MULTI) !== 0;
    // An answer has the port ID of the requester's socket, which is not 0.
    const found = portId === 0 ? [] : this.#questions.filter((one) => this.#answers(header, one));
    if (isPart || isControl) {
      const [only] = found;
      const disturbed =
        (flags & NLM_F_DUMP_INTR) !== 0 ||
        type === NLMSG_ERROR ||
        // The result of the dump.
        (type === NLMSG_DONE && length >= NLMSG_HDRLEN + 4 && view.getInt32(at + 16, LE) < 0);
      const isRead = found.some((one) => this.#parts?.get(one.type) === one);
      const isClear = found.length === 1 && only?.dump && !disturbed;
      if (isRead && !isClear) this.#fail();
      if (type === NLMSG_DONE || type === NLMSG_ERROR) {
        this.#forget(found);
        if (isRead && isClear) this.#ended((only as Question).type);
        return 'nothing';
      }
      if (!isRead || !isClear) return 'nothing';
      (only as Question).portId = portId;
      return 'dumped';
    }
    const [answered] = found.filter(({ dump }) => !dump);
    if (answered === undefined) return 'event';
    this.#forget([answered]);
    return 'nothing';
  }

  /** What was captured is not all: a part of a dump may be missing. */
  cut(): void {
    this.#fail();
  }

  #begin(question: Question, wall: number): void {
    const before = this.#parts?.get(question.type);
    // Another one reads the same just now.
    if (before !== undefined && before !== true) return;
    if (this.#parts === undefined || before === true) {
      this.#parts = new Map();
      this.#since = wall;
      this.#say('begin');
    }
    this.#parts.set(question.type, question);
  }

  #isForAll(type: number, view: DataView, at: number, length: number): boolean {
    const everything = this.#dumps.get(type);
    if (everything === undefined) return false;
    const { size, allows, attribute } = everything;
    const body = at + NLMSG_HDRLEN;
    const end = at + length;
    for (let i = 0; i < size && body + i < end; i++) {
      if (!allows(i, view.getUint8(body + i))) return false;
    }
    for (let next = body + size; next < end; ) {
      if (end - next < NLA_HDRLEN) return false;
      const long = view.getUint16(next, LE);
      if (long < NLA_HDRLEN || long > end - next) return false;
      const [number, value] = attribute ?? [];
      if (view.getUint16(next + 2, LE) !== number) return false;
      if (value !== undefined && (long < 8 || view.getUint32(next + 4, LE) !== value)) return false;
      next += align4(long);
    }
    return true;
  }

  /** Whether a message can be, or end, the answer. */
  #answers({ type, seq, portId }: ReturnType<typeof readHeader>, question: Question): boolean {
    if (question.seq !== seq || (question.portId !== 0 && question.portId !== portId)) return false;
    return type < NLMSG_MIN_TYPE || question.answer === type;
  }

  #forget(some: readonly Question[]): void {
    if (some.length > 0) this.#questions = this.#questions.filter((one) => !some.includes(one));
  }

  #fail(): void {
    if (this.#parts === undefined) return;
    this.#parts = undefined;
    this.#say('failed');
  }

  #ended(type: number): void {
    const parts = this.#parts as Map<number, Question | true>;
    parts.set(type, true);
    if ([...this.#dumps.keys()].some((one) => parts.get(one) !== true)) return;
    this.#parts = undefined;
    this.#say('dumped');
    // Each event of a change that the dumps show comes in its order: tables are right at the latest then.
    this.#say('settled');
  }
}
