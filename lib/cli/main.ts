/**
 * The command `netlink-xfrm`.
 * @module
 */
import '../monitor/trace.ts';
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { checkCommand, UNKNOWN } from './check.ts';
import { demoCommand } from './demo.ts';
import { EXIT, reportError } from './exit.ts';
import { labCommand } from './lab.ts';
import { policyCommand, stateCommand } from './list.ts';
import { monitorCommand } from './monitor.ts';
import { replayCommand } from './replay.ts';
import { tunnelsCommand } from './tunnels.ts';
import { waitCommand } from './wait.ts';

const manifest = new URL('../../../package.json', import.meta.url);
const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string };

const check = checkCommand();
const program = new Command('netlink-xfrm')
  .description('See the IPsec state of this host, live, as the kernel announces it.')
  .version(version)
  // lab passes the options of its command on.
  .enablePositionalOptions()
  .addCommand(monitorCommand())
  .addCommand(stateCommand())
  .addCommand(policyCommand())
  .addCommand(tunnelsCommand())
  .addCommand(waitCommand())
  .addCommand(check)
  .addCommand(replayCommand())
  .addCommand(demoCommand())
  .addCommand(labCommand());

// Subcommands made apart do not inherit these.
for (const command of [program, ...program.commands]) {
  command.showHelpAfterError('(--help tells more)');
  const wrong = command === check ? UNKNOWN : EXIT.usage;
  command.exitOverride((error) => process.exit(error.exitCode === 0 ? EXIT.done : wrong));
}

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = reportError(error);
}
