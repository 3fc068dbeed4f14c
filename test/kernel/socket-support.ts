// What the socket tests share. They run in a network namespace of their own, with CAP_NET_ADMIN.
import { spawn } from 'node:child_process';
import { readdirSync, readlinkSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { type DatagramBatch, NetlinkSocket } from '../../lib/socket/index.ts';

export const NETLINK_ROUTE = 0;
export const NETLINK_USERSOCK = 2;
export const NETLINK_SOCK_DIAG = 4;
export const NETLINK_XFRM = 6;
export const NETLINK_GENERIC = 16;
/** Mask of RTNLGRP_IPV4_IFADDR (linux/rtnetlink.h, RTMGRP_IPV4_IFADDR). */
export const IPV4_ADDRESSES = 0x10;

/** Runs a command as one who may not administer the network. */
export const WITHOUT_NET_ADMIN = ['setpriv', '--bounding-set=-net_admin', '--inh-caps=-net_admin'];

const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;

/**
 * A request that adds (or deletes) 127.1.h.l/32 on the loopback device, whose index is 1 in every
 * new namespace: each success is one event in the group of IPv4 addresses, also where the address
 * was there already.
 */
export function addressRequest(number: number, remove = false): Uint8Array {
  const bytes = new Uint8Array(32);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 32, true);
  view.setUint16(4, remove ? RTM_DELADDR : RTM_NEWADDR, true);
  view.setUint16(6, remove ? 0x1 : 0x1 | 0x100 | 0x400, true); // NLM_F_REQUEST, REPLACE, CREATE
  bytes.set([2, 32, 0, 254], 16); // ifaddrmsg: AF_INET, prefix length, flags, RT_SCOPE_HOST
  view.setUint32(20, 1, true);
  view.setUint16(24, 8, true); // rtattr IFA_LOCAL
  view.setUint16(26, 2, true);
  bytes.set(addressBytes(number), 28);
  return bytes;
}

function addressBytes(number: number): number[] {
  return [127, 1, number >> 8, number & 255];
}

/** The number of the address an event of {@link addressRequest} tells of. */
export function addressNumber(batch: DatagramBatch, index: number): number {
  const start = batch.offset(index);
  // nlmsghdr 16, ifaddrmsg 8, then IFA_ADDRESS first (net/ipv4/devinet.c, inet_fill_ifaddr).
  return batch.view.getUint16(start + 16 + 8 + 4 + 2);
}

/** Resolves with what `pick` makes of the first batch it does not answer with undefined. */
export function nextBatch<T>(
  socket: NetlinkSocket,
  pick: (batch: DatagramBatch) => T | undefined,
): Promise<T> {
  return new Promise((resolve, reject) => {
    socket.receive((batch) => {
      const picked = pick(batch);
      if (picked !== undefined) resolve(picked);
    }, reject);
  });
}

/** Lets the loop poll at least once, so that what is queued already has been read. */
export async function turns(count = 3): Promise<void> {
  for (let i = 0; i < count; i++) await setImmediate();
}

/**
 * How many sockets this process has open. Not all descriptors: a worker terminated while Node loads
 * its modules leaves the file open that was being read.
 */
export function openSockets(): number {
  const isSocket = (descriptor: string) => {
    try {
      return readlinkSync(`/proc/self/fd/${descriptor}`).startsWith('socket:');
    } catch {
      return false; // the descriptor of the directory itself, closed by now
    }
  };
  return readdirSync('/proc/self/fd').filter(isSocket).length;
}

const library = new URL('../../lib/socket/index.js', import.meta.url).href;

export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/**
 * Runs `script` as a module in a Node of its own, with everything of lib/socket as `lib` and of
 * this file as `support`; `command` comes before node.
 */
export function runScript(
  script: string,
  options: { flags?: string[]; command?: string[]; onLine?: (line: string) => void } = {},
): Promise<Ended> {
  const { flags = [], command = [], onLine } = options;
  const source = `import * as lib from ${JSON.stringify(library)};
import * as support from ${JSON.stringify(import.meta.url)};
${script}`;
  const node = [...flags, '--input-type=module', '-e', source];
  const [file, ...args] = [...command, process.execPath, ...node] as [string, ...string[]];
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  let seen = 0;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    const lines = stdout.split('\n');
    for (; seen < lines.length - 1; seen++) onLine?.(lines[seen] as string);
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
}

/** Gives a network namespace an id in ours (RTM_NEWNSID, linux/net_namespace.h). */
export async function assignNsid(nsid: number, descriptor: number): Promise<void> {
  const bytes = new Uint8Array(36);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 36, true);
  view.setUint16(4, 88, true);
  view.setUint16(6, 0x1 | 0x4, true); // NLM_F_REQUEST, NLM_F_ACK
  view.setUint32(20, 8 | (1 << 16), true); // NETNSA_NSID
  view.setInt32(24, nsid, true);
  view.setUint32(28, 8 | (3 << 16), true); // NETNSA_FD
  view.setUint32(32, descriptor, true);
  await using socket = new NetlinkSocket({ protocol: NETLINK_ROUTE });
  socket.bind();
  const error = nextBatch(socket, (batch) => batch.view.getInt32(batch.offset(0) + 16, true));
  socket.send(bytes);
  if ((await error) !== 0) throw new Error(`RTM_NEWNSID: ${await error}`);
}
