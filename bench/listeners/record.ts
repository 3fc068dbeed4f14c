/** The recorder: events, written to a file without keys, compressed. @module */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RecordingFile } from '../../lib/recording/files.ts';
import { Recorder } from '../../lib/recording/recorder.ts';
import { takeForged } from './forged.ts';
import { kernelOnly, receiveBufferSize, report, reportAtEnd } from './listener.ts';

if (!kernelOnly) takeForged();
const folder = mkdtempSync(join(tmpdir(), 'netlink-xfrm-bench-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
const store = await RecordingFile.open(join(folder, 'all.nxr'));
const recorder = new Recorder(store, {
  version: 'bench',
  keys: false,
  acquires: false,
  receiveBufferSize,
  interval: 10_000,
  failed(error) {
    throw error;
  },
  unwritten(error) {
    if (error) throw error;
  },
});
recorder.add(null, undefined);
await recorder.ready();
const began = performance.now();
reportAtEnd(() => {
  const { received, overruns } = recorder.totals;
  report.received = received;
  report.overruns = overruns;
  report.first = began;
  report.last = performance.now();
});
