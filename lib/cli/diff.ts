/**
 * `netlink-xfrm diff`: what differs between two times of recordings.
 * @module
 */
import { Command } from 'commander';
import { policyDifferences, stateDifferences } from '../monitor/xfrm-objects.ts';
import { RecordingError } from '../recording/recorded.ts';
import { worstTunnelFirst } from '../tunnel/tunnel-monitor.ts';
import { printable } from '../wire/text.ts';
import { EXIT } from './exit.ts';
import { type DifferenceRecord, formatJson } from './json.ts';
import { LookBack } from './look-back.ts';
import { MOMENT_HELP } from './look-back-options.ts';
import {
  addFormatOptions,
  addNamespaceOption,
  type Format,
  formatOf,
  type OutputOptions,
} from './options.ts';
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
        'Exit status: 0 if nothing differs (counters aside), 1 if something does.',
    )
    .argument('<before>', 'a recording and a time: FILE@TIME, or FILE for its end')
    .argument('<after>', 'the same; @TIME: in the first recording');
  addNamespaceOption(addTunnelOptions(addFormatOptions(command)));
  return command
    .addHelpText('after', `\nTimes: ${MOMENT_HELP}\n`)
    .addHelpText('after', 'See docs/recording.md; schema/event-2.json describes the JSON.\n')
    .action(async (before: string, after: string, options: Options) => {
      const format = formatOf(options, command);
      const judged = judgedBy(options, command);
      endWhenUnread();
      const { netns } = options;
      const first = placeOf(before, undefined);
      const second = placeOf(after, first.path);
      const [a, b] = [first, second].map(({ path, at }) => {
        const where = {
          ...(at === undefined ? {} : { at }),
          ...(netns === undefined ? {} : { netns }),
        };
        return new LookBackTunnels(new LookBack(path, where), judged);
      }) as [LookBackTunnels, LookBackTunnels];
      const out = new LineOutput();
      let found = 0;
      for (const one of differences(a, b, format)) {
        found++;
        out.line(format.json ? formatJson({ ...one.record, time: b.time }, false) : one.text);
      }
      await out.ready();
      process.exitCode = found > 0 ? EXIT.conditionNotMet : EXIT.done;
    });
}

/** The recording and time of an argument. */
function placeOf(text: string, other: string | undefined): { path: string; at?: string } {
  const at = text.lastIndexOf('@');
  const path = at < 0 ? text : text.slice(0, at) || other;
  if (path === undefined) {
    throw new RecordingError(`'${printable(text)}' names no recording: expected FILE@TIME`);
  }
  return at < 0 ? { path } : { path, at: text.slice(at + 1) };
}

interface Difference {
  readonly record: Omit<DifferenceRecord, 'time'>;
  readonly text: string;
}

const SIGNS = { added: '+', removed: '-', changed: '~' } as const;

function* differences(
  a: LookBackTunnels,
  b: LookBackTunnels,
  { colors }: Format,
): Generator<Difference, void> {
  const line = (
    object: DifferenceRecord['object'],
    change: DifferenceRecord['difference'],
    id: string,
    text: string,
    fields: readonly string[] = [],
  ): Difference => {
    const paint =
      change === 'added' ? colors.green : change === 'removed' ? colors.red : colors.yellow;
    const more = fields.length === 0 ? '' : ` (${fields.join(', ')})`;
    return {
      record: { kind: 'difference', object, difference: change, id, fields, text },
      text: `${paint(SIGNS[change])} ${object.padEnd(6)} ${text}${more}`,
    };
  };
  const tunnels = compared(tunnelsOf(a), tunnelsOf(b), (one, two) =>
    one.state === two.state ? [] : ['state'],
  );
  for (const { id, before, after, change } of tunnels) {
    const it = after ?? before;
    if (it === undefined) continue;
    const was = before && after ? `${paintState(before.state, colors)} > ` : '';
    const text = `${titleOf(it, colors)}: ${was}${paintState(it.state, colors)}, ${printable(it.reason)}`;
    yield line('tunnel', change, id, text);
  }
  const states = compared(
    valuesOf(a.namespace.states),
    valuesOf(b.namespace.states),
    stateDifferences,
  );
  for (const { id, before, after, change, fields } of states) {
    const it = after ?? before;
    if (it) yield line('state', change, id, describeState(it, colors), fields);
  }
  const policies = compared(
    valuesOf(a.namespace.policies),
    valuesOf(b.namespace.policies),
    policyDifferences,
  );
  for (const { id, before, after, change, fields } of policies) {
    const it = after ?? before;
    if (it) yield line('policy', change, id, describePolicy(it, colors), fields);
  }
}

const tunnelsOf = ({ snapshot }: LookBackTunnels) =>
  new Map([...snapshot.tunnels].sort(worstTunnelFirst).map((one) => [one.id, one]));

const valuesOf = <Value>(view: Iterable<{ readonly id: string; readonly value: Value }>) =>
  new Map(Array.from(view, ({ id, value }) => [id, value]));

/** What was removed, changed and added. */
function* compared<Value>(
  a: ReadonlyMap<string, Value>,
  b: ReadonlyMap<string, Value>,
  differ: (before: Value, after: Value) => readonly string[],
) {
  for (const [id, before] of a) {
    const after = b.get(id);
    if (after === undefined) yield { id, before, after, change: 'removed', fields: [] } as const;
    else {
      const fields = differ(before, after);
      if (fields.length > 0) yield { id, before, after, change: 'changed', fields } as const;
    }
  }
  for (const [id, after] of b) {
    if (!a.has(id)) yield { id, before: undefined, after, change: 'added', fields: [] } as const;
  }
}
