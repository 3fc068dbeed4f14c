/** Completion for fish. @module */
import type { CommandWords, OptionWords, Values, Words } from './words.ts';
import { NAMESPACES, PEERS, RECORDED_PEERS } from './words.ts';

const quoted = (text: string) => `'${text.replaceAll('\n', ' ').replace(/[\\']/g, '\\$&')}'`;

function valuesOf(values: Values): string {
  if (values === 'file') return ' -r -F';
  if (values === 'netns') return ` -r -F -a '(${NAMESPACES})'`;
  return values === 'anything' ? ' -x' : ` -x -a ${quoted(values.join(' '))}`;
}

const optionLine = (condition: string, { flags, about, values }: OptionWords): string => {
  const names = flags.map((flag) =>
    flag.startsWith('--') ? ` -l ${flag.slice(2)}` : ` -s ${flag.slice(1)}`,
  );
  const taken = values === undefined ? '' : valuesOf(values);
  return `complete -c netlink-xfrm -n '${condition}'${names.join('')}${taken} -d ${quoted(about)}`;
};

export function fishCompletion({ options, commands, filters }: Words): string {
  const before = '__fish_use_subcommand';
  const wordLines = ({ name, arguments: all }: CommandWords): string[] => {
    const add = (what: string) =>
      `complete -c netlink-xfrm -n '__fish_seen_subcommand_from ${name}' ${what}`;
    const { words, keys, files, peers, command } = all;
    const terms = keys.flatMap((key) => [
      `${key}=`,
      ...(filters[key] ?? []).map((value) => `${key}=${value}`),
    ]);
    return [
      ...(words.length + terms.length > 0
        ? [add(`-a ${quoted([...words, ...terms].join(' '))}`)]
        : []),
      ...(peers ? [add(`-a '(__netlink_xfrm_${peers}_peers)'`)] : []),
      ...(files ? [add('-F')] : []),
      ...(command ? [add("-a '(__fish_complete_subcommand --fcs-skip=2)'")] : []),
    ];
  };
  const lines = [
    'function __netlink_xfrm_live_peers',
    `  ${PEERS}`,
    'end',
    '# Those of the first file that was typed.',
    'function __netlink_xfrm_recorded_peers',
    '  for recording in (commandline -opc)[3..-1]',
    '    test -e $recording; or continue',
    `    ${RECORDED_PEERS}`,
    '    return',
    '  end',
    'end',
    'complete -c netlink-xfrm -f',
    ...options.map((one) => optionLine(before, one)),
    ...commands.flatMap((one) => [
      `complete -c netlink-xfrm -n ${before} -a ${one.name} -d ${quoted(one.about)}`,
      ...one.options.map((option) => optionLine(`__fish_seen_subcommand_from ${one.name}`, option)),
      ...wordLines(one),
    ]),
  ];
  return `# Completion of netlink-xfrm for fish, made by: netlink-xfrm completion fish
${lines.join('\n')}
`;
}
