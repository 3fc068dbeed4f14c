/** A verdict as lines of text. @module */
import type { Fate } from '../../fate/fate.ts';
import { describeFlow } from '../../fate/flow.ts';
import type { Arrival, Receiving, Sending } from '../../fate/verdict.ts';
import { printable } from '../../wire/text.ts';
import type { XfrmState } from '../../xfrm/objects.ts';
import { formatMark, formatSpi } from '../../xfrm/text.ts';
import type { Colors } from '../terminal/colors.ts';
import { describePolicy, describeState, describeTemplate } from '../text/event.ts';

const WAYS = {
  out: 'from this host',
  in: 'to this host',
  fwd: 'forwarded',
  local: 'within this host',
};
const PAINT = { protected: 'green', clear: 'yellow', dropped: 'red' } as const;
/** Arrivals that are named besides the one that decides. */
const MOST = 3;

const line = (head: string, text: string) => `  ${head.padEnd(9)} ${text}`;

export function whyLines(fate: Fate, colors: Colors): string[] {
  const { question, outcome, because, counters, doubts, stages } = fate;
  const { flow, direction, mark, assumed = [] } = question;
  const marked = mark === 0 ? '' : `, mark ${formatMark({ value: mark, mask: 0xffff_ffff })}`;
  const verdict = colors[PAINT[outcome]](outcome === 'clear' ? 'in clear' : outcome);
  return [
    `${colors.cyan(describeFlow(flow))}, ${WAYS[direction]}${marked}: ${verdict}, ${because}`,
    ...(outcome === 'dropped' ? [line('counted', countersOf(counters))] : []),
    ...routeLines(fate),
    ...stages.flatMap((stage) => stageLines(stage, colors)),
    ...assumed.map((one) => line('assumed', one)),
    ...doubts.map((doubt) => line(colors.yellow('unsure'), doubt)),
  ];
}

const countersOf = (counters: readonly string[]) =>
  counters.length === 0 ? 'by no counter of xfrm_stat' : `as ${counters.join(' and ')}`;

function routeLines({ question: { direction, route, from } }: Fate): string[] {
  const by = (device: string | undefined) =>
    device === undefined ? '' : ` by ${printable(device)}`;
  const lines = from && direction !== 'local' ? [line('comes', `in${by(from.device)}`.trim())] : [];
  if (direction === 'in') return lines;
  if ('error' in route) return [...lines, line('route', route.error)];
  const { type, device, gateway, source } = route;
  const via = gateway === undefined ? '' : ` via ${gateway}`;
  const own = source === undefined ? '' : `, source ${source}`;
  return [...lines, line('route', `${type}${by(device)}${via}${own}`)];
}

function stageLines(stage: Sending | Receiving, colors: Colors): string[] {
  const { dir, policy, near } = stage.lookup;
  const lines = [
    line(`${dir}`, policy ? describePolicy(policy, colors).replace(/^\w+ /, '') : 'no policy'),
  ];
  for (const one of stage.templates) {
    const { template, from, to } = one.demand;
    lines.push(line('template', `${describeTemplate(template)} ${from ?? 'no source'} > ${to}`));
    if (one.sa) lines.push(line('SA', describeState(one.sa, colors)));
    else lines.push(line('SA', colors.red('none')));
    for (const { sa, but } of one.near) {
      const why = but.length > 0 ? butFor(but) : 'fits, and the packet does not come in it';
      lines.push(line('nearly', `${describeState(sa, colors)}: ${why}`));
    }
  }
  if (stage.stage !== 'send') lines.push(...arrivalLines(stage, colors));
  for (const { policy: other, but } of near) {
    const why = `${but}` === 'priority' ? 'comes after it' : butFor(but);
    lines.push(line('nearly', `${describePolicy(other, colors)}: ${why}`));
  }
  return lines;
}

const butFor = (but: readonly string[]) => `but for its ${but.join(' and ')}`;

function arrivalLines({ arrival, others }: Receiving, colors: Colors): string[] {
  if (arrival === undefined) return [];
  const told = others.slice(0, MOST).map((one) => line('otherwise', arrivalText(one, colors)));
  const rest = others.length - told.length;
  if (rest > 0) told.push(line('otherwise', `${rest} more ways, of which JSON tells`));
  return [line('arrives', arrivalText(arrival, colors)), ...told];
}

function arrivalText({ through, outcome, because, counters }: Arrival, colors: Colors): string {
  const way = through.length === 0 ? 'in clear' : `in ${through.map(nameOf).join(', in ')}`;
  const end = outcome === 'dropped' ? colors.red('dropped') : colors.green('accepted');
  const counted = outcome === 'dropped' ? ` (${counters.join(', ') || 'not counted'})` : '';
  return `${way}: ${end}, ${because}${counted}`;
}

const nameOf = ({ saddr, daddr, proto, spi }: XfrmState) =>
  `${proto} ${formatSpi(spi)} ${saddr} > ${daddr}`;
