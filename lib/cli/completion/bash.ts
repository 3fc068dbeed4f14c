/** Completion for bash (3.2 and newer), without the package bash-completion. @module */
import type { CommandWords, OptionWords, Words } from './words.ts';
import { NAMESPACES, PEERS, RECORDED_PEERS } from './words.ts';

const OWN_COMMANDS = {
  netns: `words=$(${NAMESPACES}); [[ $value == */* ]] && files=1`,
  file: 'files=1',
  anything: 'return',
} as const;

const flagsOf = (options: readonly OptionWords[]) =>
  options.flatMap(({ flags }) => flags).join(' ');

/** Cases of what follows an option: the option's values. */
const valueCases = (name: string, options: readonly OptionWords[]) =>
  options.flatMap(({ flags, values }) => {
    if (values === undefined) return [];
    const what = typeof values === 'string' ? OWN_COMMANDS[values] : `words='${values.join(' ')}'`;
    return [`    ${flags.map((flag) => `'${name} ${flag}'`).join('|')}) ${what} ;;`];
  });

function argumentCase({ name, options, arguments: all }: CommandWords): string {
  const { words, keys, files, peers, command } = all;
  const does = [
    `options='${flagsOf(options)}'`,
    `words='${[...words, ...keys.map((key) => `${key}=`)].join(' ')}'`,
    ...(peers === 'live' ? [`words="$words $(${PEERS})"`] : []),
    // The recording, then its tunnels.
    ...(peers === 'recorded'
      ? [
          `if [[ -n $recording ]]; then words="$words $(${RECORDED_PEERS})"; else words='' files=1; fi`,
        ]
      : files
        ? ['files=1']
        : []),
    ...(command ? ['commands=1'] : []),
  ];
  return `    ${name}) ${does.join('; ')} ;;`;
}

export function bashCompletion({ options, commands, filters }: Words): string {
  const names = commands.map(({ name }) => name);
  return `# Completion of netlink-xfrm for bash, made by: netlink-xfrm completion bash
_netlink_xfrm() {
  local line=\${COMP_LINE:0:COMP_POINT} command='' recording='' options='' words='' files='' commands=''
  local -a typed
  # Split at blanks, as the command sees words; COMP_WORDS is also split at = and :.
  read -ra typed <<< "$line"
  [[ $line == *[[:blank:]] ]] && typed+=('')
  local last=$((\${#typed[@]} - 1)) i after=''
  local current=\${typed[last]} previous=\${typed[last - 1]}
  for ((i = 1; i < last; i++)); do
    if [[ \${typed[i]} == -- ]]; then after=1; break; fi
    if [[ -z $command && \${typed[i]} != -* ]]; then command=\${typed[i]}
    elif [[ -z $recording && -e \${typed[i]} ]]; then recording=\${typed[i]}
    fi
  done
  local value=$current
  if [[ $current == --*=* ]]; then
    previous=\${current%%=*} value=\${current#*=}
  fi
  if [[ -n $after ]]; then
    COMPREPLY=($(compgen -c -f -- "$current"))
    return
  fi
  case "$command $previous" in
${commands.flatMap((one) => valueCases(one.name, one.options)).join('\n')}
    *) case "$command" in
    '') options='${flagsOf(options)}'; words='${names.join(' ')} help' ;;
    help) words='${names.join(' ')}' ;;
${commands.map(argumentCase).join('\n')}
    esac ;;
  esac
  local key=\${current%%=*}
  if [[ $current == *=* && $current != -* ]]; then
    value=\${current##*[=,]} options=
    case "\${key%!}" in
${Object.entries(filters)
  .map(([key, values]) => `    ${key}) words='${values.join(' ')}' ;;`)
  .join('\n')}
    *) return ;;
    esac
  elif [[ $current == -* && $current != --*=* ]]; then
    words=$options files= commands=
  fi
  COMPREPLY=($(compgen \${commands:+-c} \${files:+-f} -W "$words" -- "$value"))
  # The last part of the word, as bash splits it.
  local before=\${current%"$value"} breaks=\${COMP_WORDBREAKS//[^=:]/} split=''
  [[ -n $breaks && $current == *["$breaks"]* ]] && split=\${current%"\${current##*["$breaks"]}"}
  for i in "\${!COMPREPLY[@]}"; do
    local reply=$before\${COMPREPLY[i]}
    COMPREPLY[i]=\${reply#"$split"}
  done
  [[ -n $files ]] && compopt -o filenames 2> /dev/null
  [[ \${#COMPREPLY[@]} == 1 && \${COMPREPLY[0]} == *= ]] && compopt -o nospace 2> /dev/null
  return 0
}
complete -F _netlink_xfrm netlink-xfrm
`;
}
