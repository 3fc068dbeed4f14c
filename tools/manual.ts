/**
 * The manual page of the command, netlink-xfrm(1), from the definitions of its subcommands. It is made when the
 * package is (scripts/bundle.mjs); npm installs it where `man` looks.
 * @module
 */

import type { Argument, Command, Option } from 'commander';
import { fitHelp } from '../lib/cli/text/help.ts';

/** Columns of text that stays as it is. */
const BLOCK = 76;

/** Text as it is in roff. A line that begins with a dot or an apostrophe would be a request. */
const plain = (text: string): string =>
  text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^[.']/gm, '\\&$&')
    .replace(
      /[^\0-\x7f]/g,
      (one) => `\\[u${one.charCodeAt(0).toString(16).padStart(4, '0').toUpperCase()}]`,
    );
const bold = (text: string) => `\\fB${plain(text)}\\fR`;
const italic = (text: string) => `\\fI${plain(text)}\\fR`;

/** Lines that stay as they are. */
const verbatim = (text: string): string => `.PP\n.in 3\n.nf\n${plain(text)}\n.fi\n.in`;

/** `-o, --output <format>` */
const flagsOf = ({ flags }: Option): string =>
  flags
    .split(/(<.+?>|\[.+?\])/)
    .map((part) =>
      /^[<[]/.test(part) ? italic(part.slice(1, -1)) : part.replace(/-[-\w]+/g, bold),
    )
    .join('');

function optionText(option: Option): string {
  const { description, argChoices, defaultValueDescription: told, defaultValue } = option;
  const more = [
    ...(argChoices ? [argChoices.join(', ')] : []),
    ...(told !== undefined || ['string', 'number'].includes(typeof defaultValue)
      ? [`default: ${told ?? defaultValue}`]
      : []),
  ];
  return `.TP\n${flagsOf(option)}\n${plain(description)}${more.length > 0 ? ` (${plain(more.join('; '))})` : ''}`;
}

const visible = (command: Command) => command.createHelp().visibleOptions(command);

const argumentText = (argument: Argument): string => {
  const dots = argument.variadic ? '...' : '';
  const name = `${italic(argument.name())}${dots}`;
  return argument.required ? name : `[${name}]`;
};

const paragraphs = (text: string): string[] => text.trim().split(/\n{2,}/);

/** What a command's help says after its options. */
function afterHelp(command: Command): string {
  let text = '';
  command.configureOutput({
    writeOut: (more) => {
      text += more;
    },
  });
  command.outputHelp();
  return fitHelp(text.replace(command.helpInformation(), '').trim(), BLOCK);
}

function commandText(command: Command, known: Map<string, string>): string {
  const options = visible(command).filter(({ long }) => long !== '--help');
  const all = command.registeredArguments;
  const [usage, ...about] = [
    [bold(`netlink-xfrm ${command.name()}`), '[options]', ...all.map(argumentText)].join(' '),
    ...paragraphs(command.description()).map((one) => `.PP\n${plain(one)}`),
  ];
  const after = paragraphs(afterHelp(command)).flatMap((one) => {
    if (one === '') return [];
    const where = known.get(one);
    if (where === undefined) known.set(one, command.name());
    return [
      where === undefined
        ? verbatim(one)
        : `.PP\n${plain(one.split(/[:\n]/)[0] ?? '')}: as for ${bold(where)}.`,
    ];
  });
  return [`.SS ${command.name()}`, usage, ...about, ...options.map(optionText), ...after].join(
    '\n',
  );
}

const STATUSES = [
  ['0', 'success, also if nothing matched a filter, and if Ctrl-C ended a stream'],
  ['1', 'failure, or a condition was not met'],
  ['2', 'invalid usage'],
  ['3', 'a permission or a kernel feature is missing'],
  ['124', 'timeout'],
];

const EXAMPLES = [
  ['The tunnels of this host, the worst first, live:', 'netlink-xfrm tunnels --watch'],
  ['Wait until a tunnel carries packets:', 'netlink-xfrm wait --for up 198.51.100.7 --timeout 30s'],
  ['Events about one peer, as JSON:', 'netlink-xfrm monitor peer=198.51.100.7 -o json'],
  ['SAs in all network namespaces:', 'netlink-xfrm state --all-netns'],
];

/** The page. @param program with all its subcommands */
export function manualPage(program: Command, version: string): string {
  const known = new Map<string, string>();
  const options = visible(program);
  return `${[
    `.TH NETLINK\\-XFRM 1 "" "netlink\\-xfrm ${plain(version)}" "User Commands"`,
    '.SH NAME',
    'netlink\\-xfrm \\- show the IPsec state of a Linux host, live',
    '.SH SYNOPSIS',
    `${bold('netlink-xfrm')} ${italic('command')} [options] [arguments]`,
    '.SH DESCRIPTION',
    plain(program.description()),
    `The commands that ask the kernel need the capability CAP_NET_ADMIN in the network namespace.`,
    '.PP',
    `On a terminal, lists are tables; in a pipe they are one line for each entry. ${bold('-o json')} prints one JSON object for each line.`,
    ...options.map(optionText),
    '.SH COMMANDS',
    ...program.commands.map((one) => commandText(one, known)),
    '.SH EXIT STATUS',
    `Of all commands but ${bold('check')}, ${bold('lab')} and ${bold('test')}, which say theirs above:`,
    ...STATUSES.map(([status = '', text = '']) => `.TP\n${status}\n${text}`),
    '.SH ENVIRONMENT',
    `.TP\n${bold('NO_COLOR')}\nif set, ${bold('--color auto')} uses no colors`,
    `.TP\n${bold('NETLINK_XFRM_DEBUG')}\n1: what is sent and received is described on standard error`,
    '.SH EXAMPLES',
    EXAMPLES.map(([text = '', line = '']) => `${plain(text)}\n${verbatim(line)}`).join('\n.PP\n'),
    '.SH SEE ALSO',
    `${bold('ip-xfrm')}(8), ${bold('netlink')}(7)`,
  ].join('\n')}\n`;
}
