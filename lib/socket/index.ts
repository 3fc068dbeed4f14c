/** Netlink sockets: bytes in, bytes out, without knowledge of message types. @module */
export type { DatagramBatch } from './batch.ts';
export type {
  SocketCloseRecord,
  SocketMessageRecord,
  SocketOpenRecord,
  SocketOverrunRecord,
} from './channels.ts';
export {
  AddonError,
  type AddonErrorCode,
  errnoName,
  StateError,
  type StateErrorCode,
  SystemError,
} from './error.ts';
export { BPF, type BpfInstruction } from './filter.ts';
export type { NetnsReference } from './namespace.ts';
export { MAX_BUFFER, type NetlinkFlags, type NetlinkOption } from './options.ts';
export { type SocketOwner, SocketOwners } from './owner.ts';
export {
  type NetlinkAddress,
  NetlinkSocket,
  type NetlinkSocketOptions,
} from './socket.ts';
