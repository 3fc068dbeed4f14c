/**
 * The tunnels of a recording: at the beginning of a part of it, and their changes until its end.
 * @module
 */
import type { EventTime } from '../../netlink/event.ts';
import type { RecordedNamespace } from '../../recording/recorded-namespace.ts';
import type { RecordingRecord } from '../../recording/records.ts';
import { checkedExpected } from '../../tunnel/expected.ts';
import { checkedThresholds } from '../../tunnel/thresholds.ts';
import type { TunnelChange, TunnelSnapshot } from '../../tunnel/tunnel-changes.ts';
import type { TunnelMonitorOptions } from '../../tunnel/tunnel-monitor-options.ts';
import type { RecordingNotice } from '../json.ts';
import { LookBack, type Played, rest } from '../look-back.ts';
import { noticeOf } from '../recording-notice.ts';

export { LookBack };

export class LookBackTunnels {
  readonly #look: LookBack;
  readonly #played: Played;
  #queue: TunnelChange[] = [];

  constructor(
    look: LookBack,
    { expected = [], thresholds, apart, acquires }: TunnelMonitorOptions,
  ) {
    this.#look = look;
    const tunnels = {
      expected: checkedExpected(expected),
      thresholds: checkedThresholds(thresholds),
      apart: apart === true,
      acquires: acquires === true,
    };
    this.#played = look.play({
      tunnels,
      changed: (change, namespace) => {
        if (namespace === this.#played?.namespace) this.#queue.push(change);
      },
    });
  }

  /** The namespace now. */
  get namespace(): RecordedNamespace {
    return this.#played.namespace;
  }

  /** The tunnels now: at the beginning, or after the last change. */
  get snapshot(): TunnelSnapshot {
    return this.#played.namespace.snapshot();
  }

  /** The time now. */
  get time(): EventTime {
    const { from } = this.#look.span;
    return this.#played.playback.now ?? LookBack.time(from.wall);
  }

  /** Changes, until the end of the part. */
  *changes(): Generator<TunnelChange, void> {
    for (const one of this.story()) if (one.kind !== 'recording') yield one;
  }

  /** Changes that belong together, until the end of the part; {@link snapshot} is that after them. */
  *moments(): Generator<readonly TunnelChange[], void> {
    for (const [changes] of this.#steps()) if (changes.length > 0) yield changes;
  }

  /** Changes, and what the recording says about itself, until the end of the part. */
  *story(): Generator<TunnelChange | RecordingNotice, void> {
    for (const [changes, record] of this.#steps()) {
      yield* changes;
      const notice = record && noticeOf(record);
      if (notice) yield notice;
    }
  }

  /** What each record changed, and at the end what happened without one. */
  *#steps(): Generator<[changes: TunnelChange[], record?: RecordingRecord], void> {
    const { to } = this.#look.span;
    const { playback } = this.#played;
    const records = rest(this.#played, to);
    let step = records.next();
    for (; !step.done; step = records.next()) {
      playback.take(step.value);
      yield [this.#taken(), step.value];
    }
    playback.advanceTo(to.wall, step.value);
    yield [this.#taken()];
  }

  #taken(): TunnelChange[] {
    const taken = this.#queue;
    this.#queue = [];
    return taken;
  }
}
