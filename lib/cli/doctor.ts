/** `netlink-xfrm doctor`: whether IPsec, and watching it, works on this host. @module */
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { printable } from '../wire/text.ts';
import { FINDING_SEVERITIES, type Finding, type FindingSeverity } from './doctor/finding.ts';
import { examine } from './doctor/findings.ts';
import { tryHere } from './doctor/sa-trials.ts';
import { EXIT } from './exit.ts';
import { formatJson } from './json.ts';
import {
  addFormatOptions,
  addNamespaceOption,
  type Format,
  formatOf,
  type OutputOptions,
} from './options.ts';
import type { Colors } from './terminal/colors.ts';
import { endWhenUnread, LineOutput } from './terminal/output.ts';
import { hanging } from './text/hanging.ts';

const program = fileURLToPath(new URL('../../../bin/netlink-xfrm.js', import.meta.url));

/** A line of JSON. */
export type FindingRecord = { readonly kind: 'finding' } & Finding;

/** The last line. */
export interface DiagnosisRecord {
  readonly kind: 'diagnosis';
  readonly severity: FindingSeverity;
  /** How many findings there are of each. */
  readonly findings: Readonly<Record<FindingSeverity, number>>;
}

/** The exit status, by the worst finding. */
const STATUS: Readonly<Record<FindingSeverity, number>> = {
  ok: EXIT.done,
  note: EXIT.done,
  warning: EXIT.conditionNotMet,
  error: EXIT.unavailable,
};

interface Options extends OutputOptions {
  readonly netns?: string;
  readonly trials?: true;
}

export function doctorCommand(): Command {
  const command = new Command('doctor')
    .description(
      'Examines whether IPsec, and watching it, works here: the kernel, its protocols and algorithms,\n' +
        'permissions, limits, settings, key managers, SAs and policies, offload, the addon. What is not\n' +
        'in order has a remedy. Nothing on this host is changed: SAs are made in a network namespace of\n' +
        'its own; the kernel may load the modules that they need.',
    )
    .option('--trials', 'only try which SAs the kernel accepts, and print that as JSON');
  addNamespaceOption(addFormatOptions(command));
  return command
    .addHelpText(
      'after',
      'Exit status: 0 nothing worse than notes, 1 a warning, 3 an error.\n' +
        'See docs/command.md; schema/event-2.json describes the JSON.\n',
    )
    .action(async (options: Options) => {
      if (options.trials) {
        console.log(JSON.stringify(await tryHere()));
        return;
      }
      endWhenUnread();
      process.exitCode = await doctor(options.netns, formatOf(options, command));
    });
}

/** @returns the exit status */
async function doctor(netns: string | undefined, format: Format): Promise<number> {
  const out = new LineOutput();
  const counts = { ok: 0, note: 0, warning: 0, error: 0 };
  const columns = process.stdout.isTTY ? process.stdout.columns || 80 : 80;
  const json = (record: FindingRecord | DiagnosisRecord) => {
    const time = { wall: Date.now(), monotonic: performance.now() };
    out.line(formatJson({ ...record, time }, false, netns === undefined ? {} : { netns }));
  };
  for await (const finding of examine(netns, program)) {
    counts[finding.severity]++;
    if (format.json) json({ kind: 'finding', ...finding });
    else for (const line of formatFinding(finding, format.colors, columns)) out.line(line);
  }
  const severity = FINDING_SEVERITIES.findLast((one) => counts[one] > 0) ?? 'ok';
  if (format.json) json({ kind: 'diagnosis', severity, findings: counts });
  else {
    const { error, warning, note, ok } = counts;
    out.line(
      `${plural(error, 'error')}, ${plural(warning, 'warning')}, ${plural(note, 'note')}; ${ok} in order`,
    );
  }
  await out.ready();
  return STATUS[severity];
}

const plural = (count: number, what: string) => `${count} ${what}${count === 1 ? '' : 's'}`;

const PAINT = { ok: 'green', note: 'cyan', warning: 'yellow', error: 'red' } as const;
const WIDTH = Math.max(...FINDING_SEVERITIES.map((one) => one.length));

/** Lines: what was found, and if it is not in order what it means and what mends it. */
export function formatFinding(
  { id, severity, found, meaning, remedy }: Finding,
  colors: Colors,
  columns: number,
): string[] {
  const head = `${colors[PAINT[severity]](severity.padEnd(WIDTH))} ${colors.bold(id)}: `;
  const indent = ' '.repeat(WIDTH + 1);
  const more = severity === 'ok' ? [] : [meaning, ...(remedy === undefined ? [] : [`→ ${remedy}`])];
  const [first = '', ...rest] = hanging(indent, `${id}: ${printable(found)}`, columns);
  return [
    head + first.slice(indent.length + id.length + 2),
    ...rest,
    ...more.flatMap((text) => hanging(`${indent}  `, printable(text), columns)),
  ];
}
