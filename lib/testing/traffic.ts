/**
 * Traffic between hosts over sockets of this process: no program, and no privilege beyond the namespaces.
 * @module
 */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { integer, wrongType, wrongValue } from '../base/argument.ts';
import { addressFamily } from '../wire/address.ts';
import { hosts, milliseconds, names } from './argument.ts';
import { TestingError } from './error.ts';
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

/** The largest payload of a datagram over IPv4, whose length field of 16 bits counts both headers. */
const MOST_PER_DATAGRAM = 65_507;
const MOST = 2 ** 30;

/** What to send, checked, with its defaults. */
function plan(from: Host, to: Host, options: TrafficOptions, defaultSize: number) {
  hosts({ from, to });
  names('options', options, ['from', 'to', 'count', 'size', 'timeout']);
  const inner = from.inner !== '' && to.inner !== '';
  const source = options.from ?? (inner ? from.inner : from.address);
  const target = options.to ?? (inner ? to.inner : to.address);
  for (const [name, address] of Object.entries({ from: source, to: target })) {
    if (addressFamily(address) === undefined) {
      throw wrongType(`options.${name}`, 'an IP address', address);
    }
  }
  if (addressFamily(source) !== addressFamily(target)) {
    throw wrongValue(`from ${source} to ${target}: give two addresses of one family`);
  }
  const { count = 3, size = defaultSize, timeout = 1000 } = options;
  integer('options.count', count, 1, MOST);
  milliseconds('options.timeout', timeout);
  return { source, target, count, size, timeout };
}

/** Sends datagrams that the other host echoes. It does not fail if none returns: check `received`. */
export async function ping(
  from: Host,
  to: Host,
  options: TrafficOptions = {},
): Promise<PingResult> {
  const { source, target, count, size, timeout } = plan(from, to, options, 64);
  integer('options.size', size, 0, MOST_PER_DATAGRAM);
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

/** Sends `size` bytes (default 65,536) over TCP; returns how many were echoed. @throws TestingError if that takes too long */
export async function tcp(from: Host, to: Host, options: TrafficOptions = {}): Promise<number> {
  const { source, target, size, timeout } = plan(from, to, options, 65_536);
  integer('options.size', size, 0, MOST);
  const server = await to.server(target);
  server.on('connection', (socket) => socket.on('error', () => {}).pipe(socket));
  const socket = from.tcp(source, target, (server.address() as AddressInfo).port);
  let received = 0;
  const signal = AbortSignal.timeout(timeout);
  try {
    await once(socket, 'connect', { signal });
    socket.on('data', (data) => {
      received += data.length;
    });
    socket.end(Buffer.alloc(size));
    await once(socket, 'end', { signal });
    return received;
  } catch (error) {
    if (!signal.aborted) throw error;
    const what = socket.connecting ? 'no connection' : `${received} of ${size} bytes came back`;
    const message = `TCP from ${source} to ${target}: ${what} within ${timeout} ms`;
    throw new TestingError('ERR_WAIT_TIMEOUT', message, error);
  } finally {
    socket.destroy();
    server.close();
  }
}
