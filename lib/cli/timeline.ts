/**
 * `netlink-xfrm timeline`: what became of tunnels in a recording, in lines and as a picture.
 * @module
 */
import { writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { Command } from 'commander';
import { changeJson } from '../json/tunnel.ts';
import { isTerm } from '../monitor/filter-term.ts';
import type { Tunnel } from '../tunnel/tunnel.ts';
import type { TunnelChange } from '../tunnel/tunnel-changes.ts';
import { TUNNEL_FILTER_HELP } from '../tunnel/tunnel-filter.ts';
import { EXIT } from './exit.ts';
import { formatJson } from './json.ts';
import { addSpanOptions, type SpanOptions } from './look-back-options.ts';
import { addFormatOptions, addNamespaceOption, formatOf, type OutputOptions } from './options.ts';
import { formatNotice } from './recording-notice.ts';
import { endWhenUnread, LineOutput } from './terminal/output.ts';
import { formatTunnelChange } from './tunnels/change-text.ts';
import { LookBack, LookBackTunnels } from './tunnels/look-back-tunnels.ts';
import { listOf, printTunnels } from './tunnels/print-tunnels.ts';
import { StateHistory } from './tunnels/state-history.ts';
import { timelineSvg } from './tunnels/timeline-svg.ts';
import {
  addDetailsOption,
  addTunnelOptions,
  judgedBy,
  THRESHOLD_HELP,
  type TunnelOptions,
  tunnelFilterOf,
} from './tunnels/tunnel-options.ts';

interface Options extends OutputOptions, TunnelOptions, SpanOptions {
  readonly svg?: string;
  readonly netns?: string;
}

export function timelineCommand(): Command {
  const command = new Command('timeline')
    .description(
      'Tells what became of tunnels in a recording of `record`: the tunnels at its beginning, then\n' +
        'up, down with cause and claimed requester, rekeys, warnings, and where events are missing.',
    )
    .argument('<recording>', 'a file, or the directory of a ring')
    .argument('[tunnel...]', 'which tunnels: an address, a name, or a filter such as change=down')
    .option('--svg <file>', 'also draw a picture; - draws on standard output, without lines');
  addDetailsOption(command, 'in lines');
  addNamespaceOption(addTunnelOptions(addFormatOptions(addSpanOptions(command))));
  return command
    .addHelpText('after', TUNNEL_FILTER_HELP)
    .addHelpText('after', THRESHOLD_HELP)
    .addHelpText('after', 'See docs/recording.md; schema/event-2.json describes the JSON.\n')
    .action(async (path: string, words: string[], options: Options) => {
      const format = formatOf(options, command);
      const filter = tunnelFilterOf(words.map(termOf), 'changes', command, options.details);
      const judged = judgedBy(options, command);
      endWhenUnread();
      const { from = 'start', svg } = options;
      const look = new LookBack(path, { ...options, from });
      const tunnels = new LookBackTunnels(look, judged);
      const wanted = (one: Tunnel) => filter.matches(one);
      const out = new LineOutput();
      const print = (text: string) => (svg === '-' ? undefined : out.line(text));
      const { snapshot, time } = tunnels;
      printTunnels(listOf(snapshot), wanted, format, { line: print }, time);
      const wasSetBack = look.recording.runs.length > 1;
      const history = new StateHistory(snapshot.tunnels.filter(wanted), time, wasSetBack);
      const { json, colors } = format;
      for (const one of tunnels.story()) {
        if (one.kind === 'recording') {
          print(json ? formatJson(one, false) : formatNotice(one, colors));
          continue;
        }
        history.add(one, isAbout(one, wanted));
        if (one.kind === 'refreshed' || !filter.matchesChange(one)) continue;
        print(json ? formatJson(changeJson(one), false) : formatTunnelChange(one, colors));
        if (process.stdout.writableNeedDrain) await out.ready();
      }
      const end = tunnels.time;
      history.end(end);
      if (!json) for (const line of history.lines(colors)) print(line);
      await out.ready();
      if (svg !== undefined) {
        const picture = timelineSvg(history, { from: time.wall, to: history.wallOf(end) });
        if (svg === '-') process.stdout.write(picture);
        else writeFileSync(svg, picture);
      }
      if (look.unreadable > 0) process.exitCode = EXIT.conditionNotMet;
    });
}

/** An address or a network is that of the peer, another word that is no filter a name. */
function termOf(word: string): string {
  if (isTerm(word)) return word;
  return `${isIP(word.replace(/\/.*/, '')) ? 'peer' : 'name'}=${word}`;
}

const isAbout = (change: TunnelChange, wanted: (tunnel: Tunnel) => boolean): boolean =>
  'tunnel' in change && change.tunnel !== undefined && wanted(change.tunnel);
