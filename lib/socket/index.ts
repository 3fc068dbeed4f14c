/** Netlink sockets: bytes in, bytes out. Knows no message type. @module */
export type { Batch } from './batch.ts';
export {
  AddonError,
  type AddonErrorCode,
  errorCode,
  type SocketErrorCode,
  SocketStateError,
  SystemError,
} from './error.ts';
export {
  MAX_RECEIVE_BUFFER,
  type NetlinkAddress,
  type NetlinkOption,
  NetlinkSocket,
  type NetlinkSocketOptions,
} from './socket.ts';
