/**
 * Traffic between hosts over sockets of this process: no program, and no privilege beyond the namespaces.
 * @module
 */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Host } from './host.ts';

/** What to send, and how long to wait for replies. */
export interface TrafficOptions {
  /** Source and destination addresses; default the inner ones, else those of the hosts. */
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  /** Default 3. */
  readonly count?: number | undefined;
  /** Bytes per datagram, default 64. */
  readonly size?: number | undefined;
  /** Milliseconds to wait for the replies, default 1000. */
  readonly timeout?: number | undefined;
}

/** The replies. */
export interface PingResult {
  readonly sent: number;
  readonly received: number;
}

const ends = (from: Host, to: Host, options: TrafficOptions) => ({
  source: options.from ?? (from.inner && to.inner ? from.inner : from.address),
  target: options.to ?? (from.inner && to.inner ? to.inner : to.address),
});

/** Sends datagrams that the other host echoes. It does not fail if none returns: check `received`. */
export async function ping(
  from: Host,
  to: Host,
  options: TrafficOptions = {},
): Promise<PingResult> {
  const { count = 3, size = 64, timeout = 1000 } = options;
  const { source, target } = ends(from, to, options);
  const far = await to.udp(target);
  const near = await from.udp(source);
  try {
    // An ICMP error in place of the echo (ECONNREFUSED, EHOSTUNREACH) counts as a lost reply.
    for (const socket of [far, near]) socket.on('error', () => {});
    far.on('message', (data, { port, address }) => far.send(data, port, address));
    const back = new Set<number>();
    const all = new Promise<void>((resolve) => {
      near.on('message', (data) => {
        back.add(data.readUInt32BE());
        if (back.size === count) resolve();
      });
    });
    for (let i = 0; i < count; i++) {
      const data = Buffer.alloc(Math.max(4, size));
      data.writeUInt32BE(i);
      await new Promise<void>((resolve) => {
        near.send(data, far.address().port, target, () => resolve());
      });
    }
    const late = new AbortController();
    await Promise.race([all, sleep(timeout, undefined, { signal: late.signal }).catch(() => {})]);
    late.abort();
    return { sent: count, received: back.size };
  } finally {
    near.close();
    far.close();
  }
}

/** Sends `size` bytes (default 65,536) over TCP; returns how many were echoed. @throws if it cannot connect */
export async function tcp(from: Host, to: Host, options: TrafficOptions = {}): Promise<number> {
  const { size = 65_536, timeout = 1000 } = options;
  const { source, target } = ends(from, to, options);
  const server = await to.server(target);
  server.on('connection', (socket) => socket.on('error', () => {}).pipe(socket));
  const socket = from.tcp(source, target, (server.address() as AddressInfo).port);
  try {
    const signal = AbortSignal.timeout(timeout);
    await once(socket, 'connect', { signal });
    let received = 0;
    socket.on('data', (data) => {
      received += data.length;
    });
    socket.end(Buffer.alloc(size));
    await once(socket, 'end', { signal });
    return received;
  } finally {
    socket.destroy();
    server.close();
  }
}
