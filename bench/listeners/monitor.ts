/** The live tables: XfrmMonitor with one listener for all changes. @module */
import { XfrmMonitor } from '../../lib/index.ts';
import { takeForged } from './forged.ts';
import { kernelOnly, readAhead, receiveBufferSize, report, reportAtEnd } from './listener.ts';

if (!kernelOnly) takeForged();
const monitor = await XfrmMonitor.open({ receiveBufferSize, readAhead });
monitor.on('change', (change) => {
  if (!('object' in change)) {
    if (change.kind === 'overrun') report.overruns++;
    return;
  }
  if (report.received === 0) report.first = change.time.monotonic;
  // What a resync finds is not an event; an SA that replaces another is one event, but two changes.
  const replaced = change.kind === 'removed' && change.reason === 'replaced';
  if (change.origin === 'kernel' && !replaced) report.received++;
  report.last = change.time.monotonic;
});
reportAtEnd();
