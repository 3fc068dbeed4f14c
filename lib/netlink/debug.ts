/**
 * NETLINK_XFRM_DEBUG: writes a line to standard error for each record of the diagnostics channels.
 * @module
 */
import { subscribe } from 'node:diagnostics_channel';
import {
  errnoName,
  type SocketCloseRecord,
  type SocketMessageRecord,
  type SocketOpenRecord,
  type SocketOverrunRecord,
} from '../socket/index.ts';
import { printable } from '../wire/text.ts';
import type { TracedAttribute, TracedMessage } from './trace.ts';

type Record = SocketOpenRecord | SocketCloseRecord | SocketMessageRecord | SocketOverrunRecord;

function formatAttribute({ type, name, length, hex }: TracedAttribute): string {
  return `${name ?? `attribute ${type}`}=${hex ?? `[${length} bytes]`}`;
}

function formatMessage(message: TracedMessage): string {
  const { header, name, length, fixed, attributes, errno, text, malformed } = message;
  const { type, flags, seq, portId } = header;
  const parts = [
    name ?? `type ${type}`,
    `len ${length} flags 0x${flags.toString(16)} seq ${seq} pid ${portId}`,
  ];
  if (errno !== undefined) parts.push(errno === 0 ? 'success' : errnoName(errno));
  if (text !== undefined) parts.push(`"${printable(text)}"`);
  if (fixed) parts.push(fixed);
  if (attributes?.length) parts.push(attributes.map(formatAttribute).join(' '));
  if (malformed !== undefined) parts.push(`malformed: ${malformed}`);
  return parts.join(' ');
}

/** Formats a record on one line. Records contain no keys. */
export function formatRecord(kind: string, record: Record): string {
  const { socket, protocol } = record;
  const start = `netlink-xfrm: socket ${socket} protocol ${protocol} ${kind}`;
  if ('code' in record) return `${start} ${record.code}`;
  if ('netns' in record) {
    return record.netns === undefined ? start : `${start} in ${printable(String(record.netns))}`;
  }
  if (!('direction' in record)) return start;
  const { direction, peer, groups, length } = record;
  const end = peer === 0 ? 'kernel' : `port ${peer}`;
  const where = `${direction === 'sent' ? 'to' : 'from'} ${end}${groups ? ` groups 0x${groups.toString(16)}` : ''}`;
  // Made by lib/netlink/trace.ts.
  const messages = (record.messages as TracedMessage[] | undefined)?.map(formatMessage);
  return `${start} ${direction} ${where} ${length} bytes${messages ? `: ${messages.join(' | ')}` : ''}`;
}

/** Starts writing these lines. */
export function startDebug(): void {
  for (const kind of ['open', 'close', 'message', 'overrun']) {
    subscribe(`netlink-xfrm:${kind}`, (record) => {
      process.stderr.write(`${formatRecord(kind, record as Record)}\n`);
    });
  }
}
