/** JSON output of the command, one object per line. @module */
import { formatLine, type JsonAdditions } from '../json/line.ts';
import type { JsonChange, JsonTunnel, JsonWarning } from '../json/tunnel.ts';
import type { ListedObject } from '../monitor/filter-input.ts';
import type { SubscriptionEvent } from '../monitor/subscribe.ts';
import type { EventTime } from '../netlink/event.ts';
import type { RouteMessage } from '../route/requests.ts';
import type { XfrmMessage } from '../xfrm/requests.ts';
import type { DiagnosisRecord, FindingRecord } from './doctor.ts';
import type { Totals } from './events/summary.ts';
import type { CounterMoveRecord, CounterRecord } from './stat/counter-text.ts';
import type { CheckRecord } from './tunnels/check-result.ts';
import type { WhyRecord } from './why/record.ts';

/** A network namespace was added or removed while listening. */
export interface NamespaceRecord {
  readonly kind: 'namespace';
  readonly netns: string | null;
  readonly state: 'added' | 'removed';
  /** Why it cannot be listened to. */
  readonly error?: string;
}

/** What a recording says about itself, between its events. */
export interface RecordingNotice {
  readonly kind: 'recording';
  readonly what:
    | 'started'
    | 'resumed'
    | 'ended'
    | 'clock-set'
    | 'unwritten'
    | 'unreadable'
    | 'namespace-added'
    | 'namespace-removed'
    | 'namespace-failed';
  /** In words. */
  readonly text: string;
  /** Bytes that are missing. */
  readonly bytes?: number;
  /** Milliseconds by which the clock was set. */
  readonly byMs?: number;
  readonly time: EventTime;
}

/** A difference between two times of recordings. */
export interface DifferenceRecord {
  readonly kind: 'difference';
  readonly object: 'state' | 'policy' | 'tunnel';
  readonly difference: 'added' | 'removed' | 'changed';
  readonly id: string;
  /** The fields that differ, except counters. */
  readonly fields: readonly string[];
  /** The object in words, as it is in the second. */
  readonly text: string;
  readonly time: EventTime;
}

/** The content of a line. */
export type JsonRecord = { readonly time: EventTime } & (
  | SubscriptionEvent
  | XfrmMessage
  | RouteMessage
  | (ListedObject & { readonly protocol: 'xfrm' })
  /** All existing entries have been listed; what follows are changes. */
  | { readonly kind: 'synced'; readonly protocol: 'xfrm'; readonly listed: number }
  | NamespaceRecord
  | RecordingNotice
  | DifferenceRecord
  | { readonly kind: 'tunnel'; readonly tunnel: JsonTunnel }
  /** A warning about the host, in a list of tunnels. */
  | { readonly kind: 'host-warning'; readonly warning: JsonWarning }
  | JsonChange
  | CheckRecord
  | WhyRecord
  | CounterRecord
  | CounterMoveRecord
  | FindingRecord
  | DiagnosisRecord
  | ({ readonly kind: 'summary' } & Totals)
);

/** One line of JSON, without the line break. */
export const formatJson: (
  record: JsonRecord,
  showKeys: boolean,
  additions?: JsonAdditions,
) => string = formatLine;
