/**
 * The netlink messages in the output of strace, as hex dumps of what was sent and received
 * (strace(1), -e read and -e write; strace 5.0 and newer).
 * @module
 */
import { NETLINK_ROUTE, NETLINK_XFRM } from '../netlink/constants.ts';
import type { RecordingInput, Waiting } from './input.ts';
import { LONGEST, type Parser, refuse } from './recorded.ts';

/** How such output is made. */
const HOW = 'strace -f -yy -ttt -e trace=%network -e read=all -e write=all -o FILE COMMAND';

/** Bytes that decide whether it is text: a message begins with its length, which has zeros. */
export const TEXT_BEGINNING = 64;

/** Whether this is text. */
export function isText(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0x0a || byte === 0x09 || (byte >= 0x20 && byte < 0x7f));
}

/** Protocols by their names in `-yy`; others are skipped. */
const PROTOCOLS: Readonly<Record<string, number>> = { XFRM: NETLINK_XFRM, ROUTE: NETLINK_ROUTE };

/** `1795996251.350123 ` of -ttt and `[pid 12] ` of -f; a call, or the rest of one. */
const CALL =
  /^(?:\[pid +(\d+)\] |(\d+) +)?(?:(\d{9,}\.\d+) |\d\d:\d\d:\d\d\S* )?(?:<\.\.\. (\w+) resumed>|(\w+)\(\d+(?:<([^>]*)>)?)/;
const DUMP = /^ \| ([0-9a-f]{5,}) {2}(.{48})/;
/** Of sendmsg and recvmsg: the next part of the datagram; of recvmmsg: the next datagram. */
const BUFFER = /^ \* \d+ bytes in buffer (\d+)$/;
const VECTOR = /^ = \d+ buffers in vector \d+$/;

/** A call whose dumps are read. */
interface Call {
  /** Undefined: not one that carries netlink messages of these protocols. */
  readonly protocol: number | undefined;
  readonly wall: number | undefined;
}

const NONE: Call = { protocol: undefined, wall: undefined };

/** @param otherwise the protocol of sockets that strace did not name (without -yy) */
export function* readStrace(input: RecordingInput, otherwise: number): Parser {
  const unfinished = new Map<string, Call>();
  let call = NONE;
  let bytes: number[] = [];
  let at = 0;
  let dumps = 0;
  /** Whether the next dump continues the datagram. */
  let continued = false;
  const taken = function* (): Parser {
    const { protocol, wall } = call;
    if (bytes.length > 0 && protocol !== undefined) {
      yield {
        protocol,
        bytes: Uint8Array.from(bytes),
        at,
        length: bytes.length,
        truncated: false,
        ...(wall === undefined ? {} : { wall }),
      };
    }
    bytes = [];
  };
  for (;;) {
    const begin = input.position;
    const line = yield* nextLine(input);
    if (line === undefined) break;
    const dump = DUMP.exec(line);
    if (dump) {
      const [, offset = '', hex = ''] = dump;
      dumps++;
      if (Number.parseInt(offset, 16) === 0 && bytes.length > 0 && !continued) yield* taken();
      continued = false;
      if (bytes.length === 0) at = begin;
      if (bytes.length > LONGEST) refuse(`the dump at ${at} is longer than ${LONGEST} bytes`);
      for (const byte of hex.match(/[0-9a-f]{2}/g) ?? []) bytes.push(Number.parseInt(byte, 16));
      continue;
    }
    const buffer = BUFFER.exec(line);
    if (buffer) {
      if (buffer[1] === '0') yield* taken();
      else continued = true;
      continue;
    }
    if (VECTOR.test(line)) {
      yield* taken();
      continue;
    }
    const found = CALL.exec(line);
    if (found === null) continue;
    yield* taken();
    const [, pid = '', other = pid, time, resumed, , socket] = found;
    if (resumed !== undefined) call = unfinished.get(other) ?? NONE;
    else {
      const peeks = line.includes('MSG_PEEK');
      const wall = time === undefined ? undefined : Number(time) * 1000;
      call = { protocol: peeks ? undefined : protocolOf(socket, otherwise), wall };
      if (line.endsWith('<unfinished ...>')) unfinished.set(other, call);
    }
  }
  yield* taken();
  if (dumps === 0) refuse(`it is a text without messages; strace writes them with: ${HOW}`);
}

function protocolOf(socket: string | undefined, otherwise: number): number | undefined {
  // With -y only, the kind of socket is not known; with -yy it is.
  if (socket === undefined || socket.startsWith('socket:')) return otherwise;
  const name = /^NETLINK:\[(\w+):/.exec(socket)?.[1];
  return name === undefined ? undefined : PROTOCOLS[name];
}

/** The next line, without its end; undefined at the end. */
function* nextLine(input: RecordingInput): Waiting<string | undefined> {
  for (let searched = 0; ; ) {
    const here = input.bytes(input.available);
    const end = here.indexOf(0x0a, searched);
    if (end >= 0 || searched > LONGEST) {
      const line = text(here.subarray(0, end < 0 ? searched : end));
      input.skip(end < 0 ? searched : end + 1);
      return line;
    }
    searched = here.length;
    if (!(yield* input.has(searched + 1))) {
      if (searched === 0) return undefined;
      const line = text(input.bytes(searched));
      input.skip(searched);
      return line;
    }
  }
}

const text = (bytes: Uint8Array): string => new TextDecoder('latin1').decode(bytes);
