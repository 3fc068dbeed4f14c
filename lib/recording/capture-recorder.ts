/**
 * Makes a recording of a capture: events with the capture's times, and snapshots of the dumps that
 * it has. Captures that `convert` made of a recording say the rest in comments.
 * @module
 */
import { randomUUID } from 'node:crypto';
import { NETLINK_ROUTE, NETLINK_XFRM } from '../netlink/constants.ts';
import { LE } from '../wire/endian.ts';
import { messageType, NLMSG_HDRLEN, nextMessage } from '../wire/message.ts';
import { XFRM_MSG_GETDEFAULT } from '../xfrm/constants.ts';
import { type BlockStore, BlockWriter } from './block-writer.ts';
import { lengthRead } from './capture.ts';
import { DumpsSeen } from './dumps-seen.ts';
import { removeKeys } from './keys.ts';
import { DUMPED, namespaceOf, saidIn } from './packet-comments.ts';
import { type Recorded, refuse } from './recorded.ts';
import type { HostInfo, RecordedProtocol } from './records.ts';

const PROTOCOLS: ReadonlyMap<number, RecordedProtocol> = new Map([
  [NETLINK_XFRM, 'xfrm'],
  [NETLINK_ROUTE, 'route'],
]);
/** Namespaces that a recording can number. */
const MOST = 2 ** 16;
const UNKNOWN = 'unknown';

export class CaptureRecorder {
  readonly #writer: BlockWriter;
  readonly #keys: boolean;
  readonly #namespaces: (string | null)[] = [];
  readonly #seen = new Map<string, DumpsSeen>();
  /** The name of the first interface of a capture by another program. */
  #first: string | undefined;
  #host: HostInfo;
  /** Added to the wall clock: the monotonic clock, if the capture states it. */
  #offset = 0;
  /** Whether it is of a recording. */
  #isOurs = false;
  #error: Error | undefined;
  /** Datagrams of XFRM and rtnetlink, and of other protocols. */
  datagrams = 0;
  others = 0;
  /** Whole snapshots. */
  snapshots = 0;

  constructor(store: BlockStore, { version, keys }: { version: string; keys: boolean }) {
    this.#keys = keys;
    this.#host = {
      session: randomUUID(),
      hostname: UNKNOWN,
      kernel: { release: UNKNOWN, version: UNKNOWN, machine: UNKNOWN },
      version,
      utcOffset: -new Date().getTimezoneOffset(),
      keys,
      namespaces: this.#namespaces,
    };
    this.#writer = new BlockWriter(store, () => this.#host, {
      origin: 0,
      marksSnapshots: false,
    });
    this.#writer.failed = (error) => {
      this.#error ??= error;
    };
  }

  /** @throws RecordingError if it has no time; what could not be written */
  take(one: Recorded): void {
    if (this.#error) throw this.#error;
    const { bytes, truncated, comments = [], source } = one;
    for (const comment of comments) this.#comment(comment);
    if (bytes.length === 0) return;
    const protocol = PROTOCOLS.get(one.protocol);
    if (protocol === undefined) {
      this.others++;
      return;
    }
    const { wall } = one;
    if (wall === undefined) {
      refuse(
        'it has no times: a recording is made of a capture (pcap, pcapng), or of what strace -ttt says',
      );
    }
    this.datagrams++;
    const index = this.#indexOf(this.#namespaceOf(source));
    this.#at(wall);
    const add = (type: 'datagram' | 'dumped' | 'truncated', start: number, length: number) =>
      this.#add(type, one.protocol, index, bytes, start, length);
    if (comments.includes(DUMPED)) add('dumped', 0, bytes.length);
    else if (truncated) {
      this.#dumpsOf(one.protocol, protocol, index).cut();
      add('truncated', 0, bytes.length);
    } else if (this.#isOurs) add('datagram', 0, bytes.length);
    else {
      const dumps = this.#dumpsOf(one.protocol, protocol, index);
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      const end = lengthRead(view, bytes.length);
      for (let at = 0; at < end; ) {
        const left = end - at;
        const length = left < NLMSG_HDRLEN ? 0 : view.getUint32(at, LE);
        if (length < NLMSG_HDRLEN || length > left) {
          dumps.cut();
          add('datagram', at, left);
          break;
        }
        const use = dumps.message(view, at, length, wall);
        // What the kernel answers is what it announces.
        const isDefault = protocol === 'xfrm' && messageType(view, at) === XFRM_MSG_GETDEFAULT;
        if (use !== 'nothing') add(use === 'dumped' ? use : 'datagram', at, length);
        else if (isDefault && length > NLMSG_HDRLEN) add('datagram', at, length);
        at = nextMessage(at, length);
      }
    }
  }

  /** Ends it. @throws what could not be written */
  async end(): Promise<void> {
    await this.#writer.end();
    if (this.#error) throw this.#error;
  }

  #at(wall: number): void {
    // The monotonic clock began after 1970.
    this.#writer.at(wall, Math.max(0, wall + this.#offset));
  }

  #add(
    type: 'datagram' | 'dumped' | 'truncated',
    protocol: number,
    index: number,
    from: Uint8Array,
    start: number,
    length: number,
  ): void {
    const writer = this.#writer;
    const at = writer.datagram(type, protocol, index, from, start, length);
    if (!this.#keys && protocol === NETLINK_XFRM) {
      removeKeys(writer.view, writer.bytes, at, length);
    }
  }

  #comment(text: string): void {
    const said = saidIn(text);
    if (said === undefined) return;
    this.#isOurs = true;
    const { time, netns, host, note } = said;
    this.#offset = time.monotonic - time.wall;
    this.#writer.at(time.wall, time.monotonic);
    if (host) {
      this.#writer.flush();
      for (const one of host.namespaces) this.#indexOf(one);
      const keys = host.keys && this.#keys;
      this.#host = { ...host, keys, namespaces: this.#namespaces };
    }
    if (note === undefined) return;
    if (note.kind === 'snapshot' && note.phase === 'settled') this.snapshots++;
    this.#writer.note(this.#indexOf(netns), note);
  }

  /** The namespace of an interface: that of the only one is the recorder's own. */
  #namespaceOf(source: string | undefined): string | null {
    if (source === undefined) return null;
    if (this.#isOurs) return namespaceOf(source) ?? null;
    this.#first ??= source;
    return source === this.#first ? null : source;
  }

  #indexOf(netns: string | null): number {
    const known = this.#namespaces.indexOf(netns);
    if (known >= 0) return known;
    if (this.#namespaces.length === MOST) refuse(`it has more than ${MOST} interfaces`);
    // A block states its namespaces at its beginning.
    this.#writer.flush();
    return this.#namespaces.push(netns) - 1;
  }

  #dumpsOf(number: number, protocol: RecordedProtocol, index: number): DumpsSeen {
    const name = `${protocol} ${index}`;
    let dumps = this.#seen.get(name);
    if (dumps === undefined) {
      dumps = new DumpsSeen(number, (phase) => {
        if (phase === 'settled') this.snapshots++;
        this.#writer.note(index, { kind: 'snapshot', protocol, phase });
      });
      this.#seen.set(name, dumps);
    }
    return dumps;
  }
}
