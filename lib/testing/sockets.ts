/**
 * Node's own sockets in another network namespace: a socket stays in the namespace in which it was opened, so no extra
 * program is needed.
 * @module
 */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { readSync } from 'node:fs';
import { createServer, type Server, Socket } from 'node:net';
import { integer, wrongType } from '../base/argument.ts';
import { openFile, openForNode } from '../socket/namespace.ts';
import { AF_INET, AF_INET6, addressFamily, writeAddress } from '../wire/address.ts';

/** SOCK_STREAM and SOCK_DGRAM of bits/socket_type.h, as on x64 and arm64. */
const [STREAM, DGRAM] = [1, 2];
/** Size of struct sockaddr_in and sockaddr_in6, and offset of the address. */
const LAYOUT = { [AF_INET]: [16, 4], [AF_INET6]: [28, 8] } as const;

/** A struct sockaddr_in or sockaddr_in6. */
function socketAddress(address: string, port: number): [family: 2 | 10, bytes: Uint8Array] {
  const family = addressFamily(address);
  if (family === undefined) throw wrongType('address', 'an IP address', address);
  integer('port', port, 0, 0xffff);
  const [size, at] = LAYOUT[family];
  const bytes = new Uint8Array(size);
  new Uint16Array(bytes.buffer)[0] = family;
  new DataView(bytes.buffer).setUint16(2, port);
  writeAddress(bytes, at, address, family, 'address');
  return [family, bytes];
}

/** Opens a UDP socket in a namespace, bound to an address; port 0 means any. */
export async function openUdp(netns: number, address: string, port = 0): Promise<UdpSocket> {
  const [family, bytes] = socketAddress(address, port);
  const fd = openForNode(netns, [family, DGRAM, 0], bytes);
  const socket = createSocket(family === AF_INET ? 'udp4' : 'udp6');
  const listening = once(socket, 'listening');
  socket.bind({ fd });
  await listening;
  return socket;
}

/** Opens a TCP server in a namespace. */
export async function openServer(netns: number, address: string, port = 0): Promise<Server> {
  const [family, bytes] = socketAddress(address, port);
  const server = createServer();
  server.listen({ fd: openForNode(netns, [family, STREAM, 0], bytes) });
  await once(server, 'listening');
  return server;
}

/** Opens a TCP connection from an address of a namespace. It may still be connecting. */
export function openTcp(netns: number, from: string, to: string, port: number): Socket {
  const [family, bytes] = socketAddress(from, 0);
  const fd = openForNode(netns, [family, STREAM, 0], bytes);
  return new Socket({ fd }).connect(port, to);
}

/** Reads /proc/net/netlink of a namespace. The kernel returns about a page per read (fs/seq_file.c, seq_read_iter). */
export function readNetlinkSockets(netns: number): string {
  const { descriptor, close } = openFile(netns, '/proc/thread-self/net/netlink');
  try {
    const buffer = Buffer.alloc(65_536);
    let text = '';
    for (;;) {
      const length = readSync(descriptor, buffer);
      if (length === 0) return text;
      text += buffer.toString('latin1', 0, length);
    }
  } finally {
    close();
  }
}
