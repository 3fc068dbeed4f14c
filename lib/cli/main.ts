/**
 * The command `netlink-xfrm`.
 * @module
 */
import { Command } from 'commander';
import { EXIT } from './exit.ts';
import { meaningOf } from './meanings.ts';
import { programCommand, SUBCOMMANDS, type Subcommand } from './subcommands.ts';
import { fitHelp, HELP_WIDTH } from './text/help.ts';

/** The subcommand itself if an argument names it, else a stub for help and suggestions. */
async function subcommand(name: string, { summary, load }: Subcommand, args: readonly string[]) {
  if (!args.includes(name)) return new Command(name).summary(summary);
  return (await load()).summary(summary);
}

async function main(args: readonly string[]): Promise<void> {
  const program = programCommand();
  for (const [name, about] of Object.entries(SUBCOMMANDS)) {
    program.addCommand(await subcommand(name, about, args));
  }
  // Separately created subcommands do not inherit these.
  for (const command of [program, ...program.commands]) {
    command.showHelpAfterError('(see --help)');
    const columns = Math.min(process.stdout.columns || HELP_WIDTH, HELP_WIDTH);
    command.configureOutput({ writeOut: (text) => process.stdout.write(fitHelp(text, columns)) });
    const wrong = command.name() === 'check' ? EXIT.checkUnknown : EXIT.usage;
    command.exitOverride((error) => process.exit(error.exitCode === 0 ? EXIT.done : wrong));
  }
  // Commander handles help first, and would show only the general help for an unknown command.
  const [first, second] = args.filter((one) => !one.startsWith('-'));
  const asked = first === 'help' ? second : first;
  const isMistyped = asked !== undefined && asked !== 'help' && !Object.hasOwn(SUBCOMMANDS, asked);
  const meaning = isMistyped ? meaningOf(asked, Object.keys(SUBCOMMANDS)) : undefined;
  if (meaning !== undefined) program.error(`error: unknown command '${asked}'\n${meaning}`);
  await program.parseAsync(isMistyped ? [asked] : args, { from: 'user' });
}

/** What it waits for will never come: without this, that would be the status of success. */
function neverEnds(): void {
  process.stderr.write('netlink-xfrm: ended before the command was done, for an unknown reason\n');
  process.exitCode = EXIT.conditionNotMet;
}
process.once('beforeExit', neverEnds);

/** Settles when the command ends. (No top-level await: a CommonJS bundle cannot have one.) */
export const done = main(process.argv.slice(2))
  .catch(async (error) => {
    const { reportError } = await import('./report-error.ts');
    process.exitCode = EXIT[reportError(error)];
  })
  .finally(() => process.off('beforeExit', neverEnds));
