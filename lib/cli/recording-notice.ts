/**
 * What a recording says about itself: where it begins and ends, and what is missing.
 * @module
 */
import { describeUnreadable } from '../recording/recording.ts';
import type { RecordingRecord } from '../recording/records.ts';
import { printable } from '../wire/text.ts';
import type { RecordingNotice } from './json.ts';
import type { Colors } from './terminal/colors.ts';
import { formatNamespace, formatTime } from './text/event.ts';

/** The notice of a record; undefined if it is about something else. */
export function noticeOf(record: RecordingRecord): RecordingNotice | undefined {
  const { time } = record;
  const notice = (
    what: RecordingNotice['what'],
    text: string,
    more: Pick<RecordingNotice, 'bytes' | 'byMs'> = {},
  ): RecordingNotice => ({ kind: 'recording', what, text, ...more, time });
  switch (record.kind) {
    case 'host': {
      const { hostname, kernel, version, keys } = record.host;
      const where = `on ${printable(hostname)}, Linux ${printable(kernel.release)}, by netlink-xfrm ${printable(version)}`;
      const what = record.resumed ? 'resumed, events before are missing' : 'started';
      const text = `${what}: ${where}${keys ? ', with keys' : ''}`;
      return notice(record.resumed ? 'resumed' : 'started', text);
    }
    case 'unreadable':
      return notice('unreadable', describeUnreadable(record), { bytes: record.length });
    case 'note': {
      const { note } = record;
      switch (note.kind) {
        case 'clock-set':
          return notice('clock-set', `the clock was set by ${note.by} ms`, {
            byMs: note.by,
          });
        case 'unwritten': {
          const { bytes, reason } = note;
          return notice('unwritten', `${bytes} bytes were not written: ${printable(reason)}`, {
            bytes,
          });
        }
        case 'namespace':
          return notice(
            `namespace-${note.state}`,
            `${formatNamespace(record.netns)} ${note.state}`,
          );
        case 'end':
          return notice('ended', 'ended');
        default:
          return undefined;
      }
    }
    default:
      return undefined;
  }
}

/** A notice in one line. */
export function formatNotice({ what, text, time }: RecordingNotice, colors: Colors): string {
  const bad = what === 'unreadable' || what === 'unwritten' || what === 'resumed';
  const paint = bad ? colors.red : colors.dim;
  return `${colors.dim(formatTime(time.wall))} ${paint('recording')} ${text}`;
}
