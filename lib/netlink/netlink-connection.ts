/**
 * The conversation with the kernel for any protocol: generic netlink, sock_diag, nl80211 and others
 * for which this library has no client.
 * @module
 */
import {
  integer,
  object,
  optionalBoolean,
  options,
  string,
  wrongType,
  wrongValue,
} from '../base/argument.ts';
import type { NetnsReference } from '../socket/index.ts';
import { optionalNamespace } from '../socket/namespace.ts';
import { align4 } from '../wire/attribute.ts';
import { type AttributeNames, NetlinkAttributes } from '../wire/attribute-reader.ts';
import type { Attribute, AttributeTable } from '../wire/attribute-table.ts';
import { AttributeWriter } from '../wire/attribute-writer.ts';
import { tooShort } from '../wire/error.ts';
import {
  type MessageHeader,
  messageLength,
  NLMSG_HDRLEN,
  nextMessage,
  readHeader,
} from '../wire/message.ts';
import { Connection, type KernelReply, type RequestOptions } from './connection.ts';
import type { Dump } from './dump.ts';
import type { DecodeMessage } from './event.ts';
import type { Request } from './request.ts';

/** Where and how to send requests. */
export interface NetlinkConnectionOptions {
  /**
   * The network namespace to use: a path such as `/run/netns/NAME`, or a descriptor. Default: that
   * of the process. The connection holds it until it is closed.
   */
  readonly netns?: NetnsReference | undefined;
  /**
   * Whether the kernel checks dump requests strictly (NETLINK_GET_STRICT_CHK, for rtnetlink).
   * Default false.
   */
  readonly strictCheck?: boolean | undefined;
}

const CONNECTION_OPTIONS: ReadonlySet<string> = new Set<keyof NetlinkConnectionOptions>([
  'netns',
  'strictCheck',
]);

/** The answer to a request that the kernel carried out. */
export interface NetlinkAnswer extends KernelReply<NetlinkMessage> {}

/** A request to send. */
export interface NetlinkRequest {
  /** nlmsg_type. */
  readonly type: number;
  /**
   * nlmsg_flags in addition to NLM_F_REQUEST and NLM_F_ACK, which every request has, and
   * NLM_F_DUMP, which every dump has.
   */
  readonly flags?: number | undefined;
  /**
   * The struct before the attributes: struct genlmsghdr, struct inet_diag_req_v2 … It is padded to
   * four bytes.
   */
  readonly header?: Uint8Array | undefined;
  /** Writes the attributes. */
  readonly attributes?: ((write: AttributeWriter) => unknown) | undefined;
  /** The name of the message, for use in errors: `CTRL_CMD_GETFAMILY`. Default: its number. */
  readonly name?: string | undefined;
  /** The attribute names of the request and its answers, for use in errors. */
  readonly attributeNames?: AttributeNames | undefined;
}

const REQUEST: ReadonlySet<string> = new Set<keyof NetlinkRequest>([
  'type',
  'flags',
  'header',
  'attributes',
  'name',
  'attributeNames',
]);

/** A message from the kernel, copied so that it can be kept. */
export class NetlinkMessage implements MessageHeader {
  readonly type: number;
  readonly flags: number;
  readonly seq: number;
  readonly portId: number;
  /** The bytes after the netlink header: the protocol's own header, then attributes. */
  readonly payload: Uint8Array;
  /** The same memory. */
  readonly view: DataView;
  readonly #names: AttributeNames | undefined;

  /** @param payload used as it is, so it must be a copy that the caller gives up */
  constructor(header: MessageHeader, payload: Uint8Array, names?: AttributeNames) {
    object('header', header);
    if (!(payload instanceof Uint8Array)) throw wrongType('payload', 'a Uint8Array', payload);
    if (names !== undefined) object('names', names);
    this.type = header.type;
    this.flags = header.flags;
    this.seq = header.seq;
    this.portId = header.portId;
    this.payload = payload;
    this.view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
    this.#names = names;
  }

  /**
   * The attributes of the message.
   *
   * @param header size of the protocol's own header in bytes: 4 for generic netlink
   * @throws DecodeError if the message is shorter than its header, or its attributes are malformed
   */
  attributes(header: number): NetlinkAttributes {
    integer('header', header, 0, 0xffff);
    if (this.payload.length < header) {
      tooShort(`message ${this.type}`, NLMSG_HDRLEN, header, this.payload.length);
    }
    const at = align4(header);
    return new NetlinkAttributes(this.payload.subarray(at), {
      base: NLMSG_HDRLEN + at,
      names: this.#names,
    });
  }
}

/**
 * The messages of a datagram received with a {@link NetlinkSocket}, for multicast groups.
 *
 * @param datagram a copy of its bytes: {@link DatagramBatch.copy}
 * @param names the attribute names, for use in errors
 * @throws DecodeError at a malformed message, after the messages before it have been yielded
 */
export function* readMessages(
  datagram: Uint8Array,
  names?: AttributeNames,
): Generator<NetlinkMessage, void, undefined> {
  if (!(datagram instanceof Uint8Array)) throw wrongType('datagram', 'a Uint8Array', datagram);
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.byteLength);
  for (let at = 0; at < datagram.length; ) {
    const length = messageLength(view, at, datagram.length);
    const payload = datagram.subarray(at + NLMSG_HDRLEN, at + length);
    yield new NetlinkMessage(readHeader(view, at), payload, names);
    at = nextMessage(at, length);
  }
}

/**
 * Concurrent requests and dumps in any netlink protocol.
 *
 * It waits for acknowledgements, matches answers by sequence number, accepts answers only from the
 * kernel, asks for error messages (extended ack) without a copy of the request (capped), and
 * overwrites the memory it sent from.
 *
 * Every method throws
 * - TypeError or RangeError for an invalid argument, EncodeError for an attribute that cannot be
 *   encoded,
 * - KernelError if the kernel refuses the request, does not answer in time (`ETIMEDOUT`), or its
 *   answer was lost (`ENOBUFS`: the request may have been carried out). The capability that a
 *   request needs depends on the protocol: without it, the code is `EPERM`,
 * - DecodeError for a malformed answer,
 * - SystemError if a socket cannot be opened: `EPROTONOSUPPORT` if the kernel lacks the protocol,
 * - StateError `ERR_SOCKET_CLOSED` after {@link close}.
 *
 * @example
 * await using generic = new NetlinkConnection(NETLINK_GENERIC);
 * const { replies } = await generic.request({
 *   type: GENL_ID_CTRL,
 *   header: Uint8Array.of(CTRL_CMD_GETFAMILY, 1, 0, 0),
 *   attributes: (write) => write.string(CTRL_ATTR_FAMILY_NAME, 'nl80211'),
 * });
 * const id = replies[0]?.attributes(4).get(CTRL_ATTR_FAMILY_ID)?.u16();
 */
export class NetlinkConnection implements AsyncDisposable {
  readonly #connection: Connection;

  /**
   * @param protocol NETLINK_GENERIC, NETLINK_SOCK_DIAG … (`netlink-xfrm/constants`). Sockets are
   *   opened on demand.
   * @throws TypeError, RangeError; SystemError for a namespace that may not be entered
   */
  constructor(protocol: number, where: NetlinkConnectionOptions = {}) {
    options('options', where, CONNECTION_OPTIONS);
    const strict = optionalBoolean('options.strictCheck', where.strictCheck, false);
    const netns = optionalNamespace('options.netns', where.netns);
    integer('protocol', protocol, 0, 31);
    this.#connection = new Connection(protocol, { netns }, strict ? ['strictCheck'] : []);
  }

  /**
   * Sends a request and waits for its acknowledgement.
   * @returns the messages before the acknowledgement, and the kernel's warning, if it gave one
   */
  async request(request: NetlinkRequest, options?: RequestOptions): Promise<NetlinkAnswer> {
    // Awaited, so that the stack of an immediate error includes the caller too.
    return await this.#connection.request(requestOf(request), messagesOf(request), options);
  }

  /**
   * Starts a dump (NLM_F_DUMP) on its own socket when it is read: iterated, in batches, or all with
   * `await`.
   */
  dump(request: NetlinkRequest, options?: RequestOptions): Dump<NetlinkMessage> {
    return this.#connection.dump(requestOf(request), messagesOf(request), options);
  }

  /**
   * Closes the connection; pending requests and dumps are rejected. May be called more than once.
   */
  close(): Promise<void> {
    return this.#connection.close();
  }

  /** The same as {@link close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** Copies, because answers outlive the receive buffer. */
const messagesOf =
  ({ attributeNames }: NetlinkRequest): DecodeMessage<NetlinkMessage> =>
  ({ view, bytes }, at, length) =>
    new NetlinkMessage(
      readHeader(view, at),
      bytes.slice(at + NLMSG_HDRLEN, at + length),
      attributeNames,
    );

function requestOf(given: NetlinkRequest): Request {
  options('request', given, REQUEST);
  const { header = new Uint8Array(0), attributes, attributeNames } = given;
  const type = integer('request.type', given.type, 0, 0xffff);
  const { flags = 0, name = `message ${type}` } = given;
  integer('request.flags', flags, 0, 0xffff);
  if (!(header instanceof Uint8Array)) throw wrongType('request.header', 'a Uint8Array', header);
  if (typeof name !== 'string') throw wrongType('request.name', 'a string', name);
  if (attributes !== undefined && typeof attributes !== 'function') {
    throw wrongType('request.attributes', 'a function that writes the attributes', attributes);
  }
  if (attributeNames !== undefined && !tables.has(attributeNames))
    checkNames('request.attributeNames', attributeNames);
  return {
    name,
    flags,
    fixed: header.length,
    write(writer, { flags, seq }) {
      const at = writer.beginMessage({ type, flags, seq, portId: 0 });
      const fixed = writer.reserve(header.length);
      writer.bytes.set(header, fixed);
      if (attributes) AttributeWriter.within(writer, attributeNames, attributes);
      writer.endMessage(at);
    },
    attributes: tableOf(attributeNames ?? {}),
  };
}

function checkNames(name: string, names: AttributeNames, within: readonly object[] = []): void {
  object(name, names);
  if (within.includes(names)) throw wrongValue(`${name} must not contain itself`);
  for (const [type, named] of Object.entries(names)) {
    if (typeof named === 'string') continue;
    object(`${name}[${type}]`, named);
    string(`${name}[${type}].name`, named.name);
    checkNames(`${name}[${type}].inside`, named.inside, [...within, names]);
  }
}

const tables = new WeakMap<AttributeNames, AttributeTable>();

/** Attribute names in the form used to look up refused attributes. */
function tableOf(names: AttributeNames): AttributeTable {
  const made = tables.get(names);
  if (made) return made;
  const attributes = Object.entries(names).map(([number, named]): Attribute => {
    const kernel = typeof named === 'string' ? named : named.name;
    const common = { kernel, number: Number(number), name: kernel, doc: '' };
    return typeof named === 'string'
      ? { ...common, type: 'bytes' }
      : { ...common, type: 'nest', table: tableOf(named.inside) };
  });
  const table = { name: '', doc: '', attributes };
  tables.set(names, table);
  return table;
}
