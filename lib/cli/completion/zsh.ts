/** Completion for zsh. @module */
import type { ArgumentWords, CommandWords, OptionWords, Values, Words } from './words.ts';
import { NAMESPACES, PEERS, RECORDED_PEERS } from './words.ts';

const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;
/** In a specification of _arguments, these have a meaning. */
const escaped = (text: string) => text.replaceAll('\n', ' ').replace(/[\\[\]:]/g, '\\$&');

function action(values: Values): string {
  if (values === 'netns') return ':namespace:_netlink_xfrm_namespaces';
  if (values === 'file') return ':file:_files';
  return values === 'anything' ? ':value: ' : `:value:(${values.join(' ')})`;
}

const optionSpec = ({ flags, about, values }: OptionWords) => {
  const told = quoted(`[${escaped(about)}]${values === undefined ? '' : action(values)}`);
  const names = flags.map((flag) =>
    values !== undefined && flag.startsWith('--') ? `${flag}=` : flag,
  );
  const both = names.length === 1 ? names[0] : `{${names.join(',')}}`;
  return `'*'${both}${told}`;
};

function argumentSpec(
  name: string,
  { words, keys, files, peers, command }: ArgumentWords,
): string[] {
  if (command) return ["'*:::command:_normal'"];
  if (words.length + keys.length === 0 && !files) return [];
  const parts = [
    ...(words.length > 0 ? [`"words:word:(${words.join(' ')})"`] : []),
    ...(keys.length > 0 ? [`"filters:filter:_netlink_xfrm_filters ${keys.join(' ')}"`] : []),
    ...(peers ? [`"peers:peer:_netlink_xfrm_${peers}_peers"`] : []),
    ...(files ? ['"files:file:_files"'] : []),
  ];
  return [quoted(`*:${name}:_alternative ${parts.join(' ')}`)];
}

function commandCase({ name, options, arguments: all }: CommandWords): string {
  const specs = [...options.map(optionSpec), ...argumentSpec('argument', all)];
  return `    ${name}) _arguments -s -S ${specs.join(' ')} ;;`;
}

export function zshCompletion({ options, commands, filters }: Words): string {
  const described = commands.map(({ name, about }) =>
    quoted(`${name}:${about.replaceAll(':', '\\:')}`),
  );
  return `#compdef netlink-xfrm
# Completion of netlink-xfrm for zsh, made by: netlink-xfrm completion zsh

_netlink_xfrm_namespaces() {
  local -a found=(\${(f)"$(${NAMESPACES})"})
  _alternative 'names:namespace:($found)' 'files:file:_files'
}

_netlink_xfrm_live_peers() {
  local -a found=(\${(f)"$(${PEERS})"})
  compadd -a found
}

# Those of the first file that was typed.
_netlink_xfrm_recorded_peers() {
  local recording
  for recording in "\${words[@]:1}"; do
    [[ -e $recording ]] || continue
    local -a found=(\${(f)"$(${RECORDED_PEERS})"})
    compadd -a found
    return
  done
}

# Keys of filters, and the values of one that has been typed.
_netlink_xfrm_filters() {
  if ! compset -P 1 '*='; then
    compadd -S '=' -- "$@"
    return
  fi
  local key=\${\${IPREFIX%=}%!}
  compset -P '*,'
  case $key in
${Object.entries(filters)
  .map(([key, values]) => `    ${key}) compadd -q -S , -- ${values.join(' ')} ;;`)
  .join('\n')}
  esac
}

_netlink_xfrm() {
  local context state line
  typeset -A opt_args
  _arguments -C ${options.map(optionSpec).join(' ')} '1:command:->command' '*::argument:->argument'
  case $state in
    command)
      local -a commands=(${described.join(' ')})
      _describe command commands
      ;;
    argument) case $line[1] in
${commands.map(commandCase).join('\n')}
    esac ;;
  esac
}

if [ "$funcstack[1]" = _netlink-xfrm ]; then _netlink_xfrm "$@"; else compdef _netlink_xfrm netlink-xfrm; fi
`;
}
