/**
 * `netlink-xfrm diff`: what differs between two times of recordings.
 * @module
 */
import { Command } from 'commander';
import pc from 'picocolors';
import { policyDifferences, stateDifferences } from '../monitor/xfrm-objects.ts';
import { RecordingError } from '../recording/recorded.ts';
import { worstTunnelFirst } from '../tunnel/tunnel-monitor.ts';
import type { TunnelMonitorOptions } from '../tunnel/tunnel-monitor-options.ts';
import { printable } from '../wire/text.ts';
import { EXIT } from './exit.ts';
import { type DifferenceRecord, formatJson } from './json.ts';
import { LookBack } from './look-back.ts';
import { TIMES_HELP } from './look-back-options.ts';
import { moment } from './moment.ts';
import {
  addFormatOptions,
  addNamespaceOption,
  type Format,
  formatOf,
  type OutputOptions,
} from './options.ts';
import { reportError } from './report-error.ts';
import type { Colors } from './terminal/colors.ts';
import { endWhenUnread, LineOutput } from './terminal/output.ts';
import { describePolicy, describeState } from './text/event.ts';
import { LookBackTunnels } from './tunnels/look-back-tunnels.ts';
import { addTunnelOptions, judgedBy, type TunnelOptions } from './tunnels/tunnel-options.ts';
import { paintState, titleOf } from './tunnels/tunnel-text.ts';

interface Options extends OutputOptions, TunnelOptions {
  readonly netns?: string;
}

export function diffCommand(): Command {
  const command = new Command('diff')
    .description(
      'Shows which SAs, policies and tunnels differ between two times of a recording, or of two.\n' +
        'Exit status: 0 if nothing differs (counters aside), 1 if something does, 2 for trouble.',
    )
    .argument('<before>', 'a recording and a time: FILE@TIME, or FILE for its end', place)
    .argument('<after>', 'the same; @TIME: in the first recording', place);
  addNamespaceOption(addTunnelOptions(addFormatOptions(command)));
  return command
    .addHelpText('after', TIMES_HELP)
    .addHelpText('after', 'See docs/recording.md; schema/event-2.json describes the JSON.\n')
    .action(async (before: Place, after: Place, options: Options) => {
      const format = formatOf(options, command);
      const judged = judgedBy(options, command);
      endWhenUnread();
      try {
        process.exitCode = await diff(before, after, { netns: options.netns, judged, format });
      } catch (error) {
        reportError(error);
        process.exitCode = EXIT.diffTrouble;
      }
    });
}

interface Asked {
  readonly netns: string | undefined;
  readonly judged: TunnelMonitorOptions;
  readonly format: Format;
}

/** Prints what differs. @returns the exit status */
async function diff(before: Place, after: Place, { netns, judged, format }: Asked) {
  const looks = [before, after].map(({ path = before.path, at }) => {
    if (path === undefined)
      throw new RecordingError(`@${at} names no recording: expected FILE@TIME`);
    return new LookBack(path, { at, netns }, '@');
  });
  const [a, b] = looks.map((look) => new LookBackTunnels(look, judged)) as [
    LookBackTunnels,
    LookBackTunnels,
  ];
  const out = new LineOutput();
  let found = 0;
  for (const one of differences(a, b, format)) {
    found++;
    out.line(format.json ? formatJson({ ...one.record, time: b.time }, false) : one.text);
  }
  await out.ready();
  if (looks.some(({ unreadable }) => unreadable > 0)) return EXIT.diffTrouble;
  return found > 0 ? EXIT.conditionNotMet : EXIT.done;
}

/** A time of a recording; of the other argument's, if it has no path. */
interface Place {
  readonly path: string | undefined;
  readonly at: string | undefined;
}

/** Parses an argument. */
function place(text: string): Place {
  const at = text.lastIndexOf('@');
  if (at < 0) return { path: text, at: undefined };
  return { path: text.slice(0, at) || undefined, at: moment(text.slice(at + 1)) };
}

interface Difference {
  readonly record: Omit<DifferenceRecord, 'time'>;
  readonly text: string;
}

const SIGNS = { added: '+', removed: '-', changed: '~' } as const;
const PAINTS = { added: 'green', removed: 'red', changed: 'yellow' } as const;

function* differences(
  a: LookBackTunnels,
  b: LookBackTunnels,
  format: Format,
): Generator<Difference, void> {
  const colors = format.json ? pc.createColors(false) : format.colors;
  const [before, after] = [a.namespace, b.namespace];
  yield* compared(
    'tunnel',
    [tunnelsOf(a), tunnelsOf(b)],
    (one, two) => (one.state === two.state ? [] : ['state']),
    (it, was) => {
      const state = `${was ? `${paintState(was.state, colors)} > ` : ''}${paintState(it.state, colors)}`;
      return `${titleOf(it, colors)}: ${state}, ${printable(it.reason)}`;
    },
    colors,
  );
  yield* compared(
    'state',
    [valuesOf(before.states), valuesOf(after.states)],
    stateDifferences,
    (state, _, fields) => describeState(state, colors) + named(fields),
    colors,
  );
  yield* compared(
    'policy',
    [valuesOf(before.policies), valuesOf(after.policies)],
    policyDifferences,
    (policy, _, fields) => describePolicy(policy, colors) + named(fields),
    colors,
  );
}

const named = (fields: readonly string[]) => (fields.length === 0 ? '' : ` (${fields.join(', ')})`);

const tunnelsOf = ({ snapshot }: LookBackTunnels) =>
  new Map([...snapshot.tunnels].sort(worstTunnelFirst).map((one) => [one.id, one]));

const valuesOf = <Value>(view: Iterable<{ readonly id: string; readonly value: Value }>) =>
  new Map(Array.from(view, ({ id, value }) => [id, value]));

/**
 * What was removed, changed and added.
 *
 * @param differ names what differs
 * @param describe what is or, if it was removed, was; and what was before, if it changed
 */
function* compared<Value>(
  object: DifferenceRecord['object'],
  [before, after]: readonly [ReadonlyMap<string, Value>, ReadonlyMap<string, Value>],
  differ: (before: Value, after: Value) => readonly string[],
  describe: (it: Value, was: Value | undefined, fields: readonly string[]) => string,
  colors: Colors,
): Generator<Difference, void> {
  const line = (
    difference: DifferenceRecord['difference'],
    id: string,
    it: Value,
    was?: Value,
    fields: readonly string[] = [],
  ): Difference => {
    const text = describe(it, was, fields);
    return {
      record: { kind: 'difference', object, difference, id, fields, text },
      text: `${colors[PAINTS[difference]](SIGNS[difference])} ${object.padEnd(6)} ${text}`,
    };
  };
  for (const [id, was] of before) {
    const it = after.get(id);
    if (it === undefined) yield line('removed', id, was);
    else {
      const fields = differ(was, it);
      if (fields.length > 0) yield line('changed', id, it, was, fields);
    }
  }
  for (const [id, it] of after) if (!before.has(id)) yield line('added', id, it);
}
