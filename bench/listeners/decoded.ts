/** Decoded events: subscribe() with one listener for all. @module */
import { type MulticastGroupName, subscribe } from '../../lib/index.ts';
import { takeForged } from './forged.ts';
import {
  groupMask,
  kernelOnly,
  measuresLatency,
  noteLatency,
  readAhead,
  receiveBufferSize,
  report,
  reportAtEnd,
} from './listener.ts';

if (!kernelOnly) takeForged();
const NAMES = { 2: 'expire', 4: 'sa', 8: 'policy' } as const satisfies Record<
  number,
  MulticastGroupName
>;
const groups = Object.entries(NAMES).flatMap(([bit, name]) =>
  groupMask & Number(bit) ? [name] : [],
);
const subscription = subscribe({ groups, receiveBufferSize, readAhead });
subscription.on('event', (event) => {
  if (report.received === 0) report.first = event.time.monotonic;
  if (event.kind !== 'overrun') report.received++;
  if (measuresLatency && event.kind === 'DELSA') noteLatency(event.header.seq);
  report.last = event.time.monotonic;
});
reportAtEnd(() => {
  const [{ overruns, rejected } = report] = subscription.sockets;
  report.overruns = overruns;
  report.rejected = rejected;
});
