/** Fault injection: things that happen to real hosts, on demand. docs/testing.md lists them. @module */
import { execFile } from 'node:child_process';
import { endianness } from 'node:os';
import { promisify } from 'node:util';
import { integer, wrongType, wrongValue } from '../base/argument.ts';
import { shown } from '../base/shown.ts';
import { NETLINK_ROUTE, NETLINK_XFRM } from '../netlink/constants.ts';
import { KernelError } from '../netlink/kernel-error.ts';
import { NetlinkConnection } from '../netlink/netlink-connection.ts';
import { encodeRoute } from '../route/encode.ts';
import { RTM_DELQDISC, RTM_NEWQDISC } from '../route/message-constants.ts';
import { NetlinkSocket } from '../socket/index.ts';
import { AF_INET, addressFamily } from '../wire/address.ts';
import { MessageWriter } from '../wire/message-writer.ts';
import { encodeXfrm } from '../xfrm/encode.ts';
import type { XfrmState } from '../xfrm/objects.ts';
import { hosts, milliseconds, names, namespaces, oneOf } from './argument.ts';
import { TestingError } from './error.ts';
import { type Host, untilUp } from './host.ts';
import type { NetworkNamespace } from './network-namespace.ts';
import { readNetlinkSockets } from './sockets.ts';
import { Wire, type WireFrame } from './wire.ts';

const execute = promisify(execFile);

/** Undoes a fault. Calling it again, or after a host was closed, does nothing. */
export type UndoFault = () => Promise<void>;

/** Undoes once, and only where all hosts that it needs are still there. */
function undoOnce(needed: readonly Host[], undo: UndoFault): UndoFault {
  let done = false;
  return async () => {
    if (done || needed.some(({ closed }) => closed)) return;
    await undo();
    done = true;
  };
}

/** Upper limit of SAs and policies that {@link loseEvents} adds and deletes: enough to fill 64 MiB of queued events. */
const MOST = 30_000;
/** How many to add between checks for a drop. */
const ROUND = 256;

/** Drop counters of the XFRM listeners in /proc/net/netlink, by port ID. */
function drops(host: NetworkNamespace): Map<number, number> {
  const text = readNetlinkSockets(host.netns);
  // sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode
  const rows = text.matchAll(/^\S+\s+6\s+(\d+)\s+(?!0{8})(?:\S+\s+){5}(\d+)/gm);
  return new Map(Array.from(rows, ([, port, lost]) => [Number(port), Number(lost)]));
}

/**
 * Makes the kernel drop events: adds and deletes SAs and policies without letting this process read, until a listening
 * socket in the namespace has lost some. Give the listener a small buffer (`receiveBufferSize: 4096`), or it takes long.
 *
 * @returns how many objects it took
 * @throws TestingError `ERR_LACKING` if nothing is listening, or no socket lost anything
 */
export function loseEvents(host: NetworkNamespace): number {
  namespaces({ host });
  const before = drops(host);
  if (before.size === 0) {
    throw new TestingError('ERR_LACKING', `${host.name}: no socket listens to XFRM events`);
  }
  const socket = new NetlinkSocket({ protocol: NETLINK_XFRM, netns: host.netns });
  const writer = new MessageWriter();
  try {
    socket.bind();
    const ends = { saddr: '198.18.0.1', daddr: '198.18.0.2', family: 'inet' } as const;
    const selector = { ...ends, prefixlenS: 32, prefixlenD: 32 };
    const sa = { ...ends, proto: 'esp' } as const;
    const send = (message: Parameters<typeof encodeXfrm>[1]) => {
      writer.wipe();
      encodeXfrm(writer, message);
      socket.send(writer.written());
    };
    const policy = { dir: 'out', selector, priority: 1 } as const;
    for (let done = 0; done < MOST; done++) {
      const spi = 0x10_0000 + done;
      const allocation = { ...sa, min: spi, max: spi, mode: 'tunnel' } as const;
      send({ kind: 'request', message: 'NEWPOLICY', policy });
      send({ kind: 'request', message: 'ALLOCSPI', allocation });
      send({ kind: 'request', message: 'DELSA', id: { ...sa, spi }, attributes: {} });
      send({ kind: 'request', message: 'DELPOLICY', id: policy, attributes: {} });
      if (done % ROUND !== ROUND - 1) continue;
      for (const [port, lost] of drops(host)) {
        if (lost > (before.get(port) ?? 0)) return done + 1;
      }
    }
  } finally {
    writer.wipe();
    void socket.close();
  }
  const hint = 'give the monitor under test a small buffer: receiveBufferSize: 4096';
  throw new TestingError('ERR_LACKING', `${host.name}: no socket lost an event; ${hint}`);
}

/**
 * Makes a host ask anew for neighbours that did not answer: until the kernel gives one up, 3 s after the first question,
 * packets to it wait for the next question, and are dropped then (net/core/neighbour.c, neigh_timer_handler).
 */
async function forgetSilent(host: Host, index: number): Promise<void> {
  const { items } = await host.route.listNeighbours({ index });
  const socket = new NetlinkSocket({ protocol: NETLINK_ROUTE, netns: host.netns });
  try {
    const writer = new MessageWriter();
    for (const { family, dst, lladdr } of items) {
      if (lladdr !== undefined) continue;
      const neighbour = { family, index, dst };
      encodeRoute(writer, { kind: 'request', message: 'DELNEIGH', neighbour });
    }
    // Not acknowledged: if one is gone already, that is fine.
    if (writer.length > 0) socket.send(writer.written());
  } finally {
    await socket.close();
  }
}

/**
 * Cuts the cable between two hosts.
 *
 * @returns a function that restores it, with its addresses and routes, and waits until packets pass it
 */
export async function cutLink(left: Host, right: Host): Promise<UndoFault> {
  hosts({ left, right });
  const index = right.cableTo(left);
  const { route } = right;
  // The kernel removes routes and IPv6 addresses when the link goes down.
  const { items: routes } = await route.listRoutes({ table: 254 });
  const { items: addresses } = await route.listAddresses({ index });
  await route.setLinkDown({ index });
  return undoOnce([left, right], async () => {
    await route.setLinkUp({ index });
    for (const { local, address = '', prefixLength, scope, flags } of addresses) {
      const own = { index, local: local ?? address, prefixLength };
      if (scope !== 'link') await route.replaceAddress({ ...own, flags });
    }
    await untilUp(right, left);
    await untilUp(left, right);
    for (const one of routes) if (one.oif === index) await route.replaceRoute(one);
    await forgetSilent(left, left.cableTo(right));
    await forgetSilent(right, index);
  });
}

/** Impairments of a link; ratios are between 0 and 1. */
export interface LinkImpairment {
  /** Milliseconds. */
  readonly delay?: number | undefined;
  readonly loss?: number | undefined;
  readonly duplicate?: number | undefined;
  readonly corrupt?: number | undefined;
}

/** From linux/pkt_sched.h and linux/rtnetlink.h. */
const TC_H_ROOT = 0xffff_ffff;
const [TCA_KIND, TCA_OPTIONS] = [1, 2];
const [TCA_NETEM_CORRUPT, TCA_NETEM_LATENCY64] = [4, 10];
const NLM_F_CREATE_REPLACE = 0x500;
const LE = endianness() === 'LE';

/** 32-bit numbers in host byte order. */
function words(...numbers: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 * numbers.length);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  for (const [i, number] of numbers.entries()) view.setUint32(4 * i, number, LE);
  return bytes;
}

/**
 * Makes the link from one host to another slow or lossy, in that direction only, with the kernel's netem.
 *
 * @returns a function that restores it
 * @throws TestingError `ERR_LACKING` if the kernel has no netem (CONFIG_NET_SCH_NETEM)
 */
export async function impairLink(
  from: Host,
  to: Host,
  impairment: LinkImpairment,
): Promise<UndoFault> {
  hosts({ from, to });
  names('impairment', impairment, ['delay', 'loss', 'duplicate', 'corrupt']);
  const { delay = 0, loss = 0, duplicate = 0, corrupt = 0 } = impairment;
  milliseconds('impairment.delay', delay);
  for (const [name, share] of Object.entries({ loss, duplicate, corrupt })) {
    if (typeof share === 'number' && share >= 0 && share <= 1) continue;
    throw wrongValue(`impairment.${name} must be a number from 0 to 1; received ${shown(share)}`);
  }
  const part = (share: number) => Math.round(share * 0xffff_ffff);
  const header = words(0, from.cableTo(to), 0, TC_H_ROOT, 0);
  const connection = new NetlinkConnection(NETLINK_ROUTE, { netns: from.netns });
  // struct tc_netem_qopt followed by attributes, all in one attribute.
  const options = Buffer.concat([
    words(0, 1000, part(loss), 0, part(duplicate), 0),
    words((TCA_NETEM_CORRUPT << (LE ? 16 : 0)) | (12 << (LE ? 0 : 16)), part(corrupt), 0),
    words((TCA_NETEM_LATENCY64 << (LE ? 16 : 0)) | (12 << (LE ? 0 : 16))),
    Buffer.from(new BigUint64Array([BigInt(Math.round(delay * 1e6))]).buffer),
  ]);
  try {
    await connection.request({
      type: RTM_NEWQDISC,
      name: 'RTM_NEWQDISC',
      flags: NLM_F_CREATE_REPLACE,
      header,
      attributes: (write) => write.string(TCA_KIND, 'netem').bytes(TCA_OPTIONS, options),
    });
  } catch (error) {
    if (!(error instanceof KernelError) || error.code !== 'ENOENT') throw error;
    const message =
      'this kernel has no netem (CONFIG_NET_SCH_NETEM): load it (modprobe sch_netem), or use the lab';
    throw new TestingError('ERR_LACKING', message, error);
  } finally {
    await connection.close();
  }
  return undoOnce([from, to], async () => {
    await using connection = new NetlinkConnection(NETLINK_ROUTE, { netns: from.netns });
    await connection.request({ type: RTM_DELQDISC, name: 'RTM_DELQDISC', header });
  });
}

/** The last ESP or AH packet sent. */
function last(wire: Wire): WireFrame {
  if (!(wire instanceof Wire)) throw wrongType('wire', 'what Wire.tap() gives', wire);
  const frame = wire.sent.findLast(({ kind }) => ['esp', 'ah', 'esp-in-udp'].includes(kind));
  if (frame !== undefined) return frame;
  throw new TestingError(
    'ERR_LACKING',
    'no protected packet has been sent since the wire was tapped',
  );
}

/** Resends a host's last protected packet, as an attacker would. @param count how often */
export function replayPacket(wire: Wire, count = 1): void {
  integer('count', count, 0, 1_000_000);
  const { bytes, index } = last(wire);
  for (let i = 0; i < count; i++) wire.send(bytes, index);
}

/** Offset of the sequence number: after the SPI in ESP (RFC 4303), four bytes later in AH (RFC 4302). */
const SEQUENCE: Readonly<Partial<Record<WireFrame['kind'], number>>> = {
  esp: 4,
  ah: 8,
  'esp-in-udp': 12,
};

/** Sends a damaged packet that looks like a host's next protected one; the receiver detects it by its ICV. */
export function corruptPacket(wire: Wire): void {
  const { bytes, index, kind, payload } = last(wire);
  const damaged = Buffer.from(bytes);
  const at = payload + (SEQUENCE[kind] ?? 4);
  damaged.writeUInt32BE(damaged.readUInt32BE(at) + 1, at);
  const end = damaged.length - 1;
  damaged.writeUInt8((damaged[end] as number) ^ 0xff, end);
  wire.send(damaged, index);
}

/** The SAs of a host, optionally only outbound or only inbound ones. */
async function statesOf(host: NetworkNamespace, direction?: 'in' | 'out'): Promise<XfrmState[]> {
  namespaces({ host });
  if (direction !== undefined) oneOf('direction', direction, ['in', 'out']);
  const { items } = await host.route.listAddresses();
  const own = new Set(items.map(({ local, address }) => local ?? address));
  const found: XfrmState[] = [];
  for await (const state of host.xfrm.listStates()) {
    const way = own.has(state.saddr) ? 'out' : 'in';
    if (direction === undefined || way === direction) found.push(state);
  }
  return found;
}

/** Deletes SAs of a host without its key manager knowing. @returns how many */
export async function deleteSas(host: NetworkNamespace, direction?: 'in' | 'out'): Promise<number> {
  const states = await statesOf(host, direction);
  for (const state of states) await host.xfrm.deleteState(state);
  return states.length;
}

/** Makes SAs of a host expire now: soft, or with `hard` so that the kernel deletes them. @returns how many */
export async function expireSas(
  host: NetworkNamespace,
  options: { readonly hard?: boolean; readonly direction?: 'in' | 'out' } = {},
): Promise<number> {
  names('options', options, ['hard', 'direction']);
  const { hard = false, direction } = options;
  const states = await statesOf(host, direction);
  for (const state of states) await host.xfrm.expireState(state, hard);
  return states.length;
}

/** Deletes all SAs and policies of a host, as `ip xfrm state flush` and `ip xfrm policy flush` do. */
export async function flush(host: NetworkNamespace): Promise<void> {
  namespaces({ host });
  await host.xfrm.flushStates();
  await host.xfrm.flushPolicies();
}

/** Replaces a host's address with another. Hosts connected to it by cable can reach it there. */
export async function moveAddress(host: Host, to: string): Promise<void> {
  hosts({ host });
  if (addressFamily(to) !== AF_INET) throw wrongType('to', 'an IPv4 address', to);
  const { items } = await host.route.listAddresses();
  if (items.some(({ local }) => local === to)) throw wrongValue(`${host.name} has ${to} already`);
  const others = [...host.cables.keys()].filter(({ closed }) => !closed);
  const taken = others.find(({ address, inner }) => address === to || inner === to);
  if (taken !== undefined) throw wrongValue(`${to} is an address of ${taken.name}`);
  const old = items.find(({ local }) => local === host.address);
  await host.addAddress(to, old?.index);
  if (old !== undefined) await host.removeAddress(host.address, old.index);
  host.address = to;
  for (const other of others) {
    await other.reach(to, host, other.address);
    await host.reach(other.address, other, to);
    if (other.inner) await host.reach(other.inner, other, host.inner);
  }
}

/**
 * Sets the clock back, or forward if negative. It is the clock of the whole kernel: use it only in the lab.
 *
 * @returns a function that sets it right again
 */
export async function turnClockBack(host: NetworkNamespace, seconds: number): Promise<UndoFault> {
  namespaces({ host });
  integer('seconds', seconds, -(2 ** 31), 2 ** 31);
  if (process.env.NETLINK_XFRM_LAB === undefined) {
    const message =
      'this would set the clock of the whole machine: run it in the lab (netlink-xfrm test --lab)';
    throw new TestingError('ERR_LACKING', message);
  }
  const turn = async (by: number) => {
    await execute('date', ['-s', `@${Math.round(Date.now() / 1000 - by)}`]);
  };
  await turn(seconds);
  // Of the whole kernel: also where the host was closed before.
  return undoOnce([], () => turn(-seconds));
}
