/** `netlink-xfrm completion`: what completes the commands in a shell. @module */
import { Argument, Command } from 'commander';
import { bashCompletion } from './completion/bash.ts';
import { fishCompletion } from './completion/fish.ts';
import { wordsOf } from './completion/words.ts';
import { zshCompletion } from './completion/zsh.ts';

const SHELLS = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion };

/** @param wholeProgram all commands that are to be completed */
export function completionCommand(wholeProgram: () => Promise<Command>): Command {
  return new Command('completion')
    .description(
      'Prints a script that completes subcommands, options, filters, network namespaces and the\n' +
        'peers of tunnels in a shell.',
    )
    .addArgument(new Argument('<shell>', 'the shell').choices(Object.keys(SHELLS)))
    .addHelpText(
      'after',
      `
  bash  eval "$(netlink-xfrm completion bash)", in ~/.bashrc; or its output as
        /usr/share/bash-completion/completions/netlink-xfrm
  zsh   its output as _netlink-xfrm, in a directory of $fpath
  fish  its output as ~/.config/fish/completions/netlink-xfrm.fish
`,
    )
    .action(async (shell: keyof typeof SHELLS) => {
      process.stdout.write(SHELLS[shell](wordsOf(await wholeProgram())));
    });
}
