/**
 * The command `netlink-xfrm`.
 * @module
 */
import { Command } from 'commander';
import { EXIT } from './exit.ts';
import { version } from './version.ts';

/** A subcommand, loaded only when it is used: most of the code is in them. */
interface Subcommand {
  readonly summary: string;
  load(): Promise<Command>;
}

const SUBCOMMANDS: Readonly<Record<string, Subcommand>> = {
  monitor: {
    summary: 'print IPsec events as the kernel sends them',
    load: async () => (await import('./monitor.ts')).monitorCommand(),
  },
  state: {
    summary: 'list SAs, and follow them with --watch',
    load: async () => (await import('./list.ts')).stateCommand(),
  },
  policy: {
    summary: 'list policies, and follow them with --watch',
    load: async () => (await import('./list.ts')).policyCommand(),
  },
  tunnels: {
    summary: 'list tunnels, worst first, and keep the list live with --watch',
    load: async () => (await import('./tunnels.ts')).tunnelsCommand(),
  },
  wait: {
    summary: 'wait until a tunnel is up, down or in another state',
    load: async () => (await import('./wait.ts')).waitCommand(),
  },
  serve: {
    summary: 'watch tunnels as a daemon: metrics, an API and a page over HTTP',
    load: async () => (await import('./serve.ts')).serveCommand(),
  },
  check: {
    summary: 'check tunnels for a monitoring system',
    load: async () => (await import('./check.ts')).checkCommand(),
  },
  record: {
    summary: 'record events, snapshots and counters, for a look back',
    load: async () => (await import('./record.ts')).recordCommand(),
  },
  stat: {
    summary: 'show which packets IPsec dropped and why; --watch: as it happens',
    load: async () => (await import('./stat.ts')).statCommand(),
  },
  replay: {
    summary: 'decode a recording, or a file of netlink messages',
    load: async () => (await import('./replay.ts')).replayCommand(),
  },
  demo: {
    summary: 'watch real SAs being added and deleted, without touching this host',
    load: async () => (await import('./demo.ts')).demoCommand(),
  },
  test: {
    summary: 'run tests where IPsec works: on this kernel or in the lab',
    load: async () => (await import('./test.ts')).testCommand(),
  },
  probe: {
    summary: 'report what this kernel and container support',
    load: async () => (await import('./probe.ts')).probeCommand(),
  },
  lab: {
    summary: 'run a command as root on a kernel with IPsec, without root on this host',
    load: async () => (await import('./lab.ts')).labCommand(),
  },
};

/** The subcommand itself if an argument names it, else a stub for help and suggestions. */
async function subcommand(name: string, { summary, load }: Subcommand, args: readonly string[]) {
  if (!args.includes(name)) return new Command(name).summary(summary);
  return (await load()).summary(summary);
}

async function main(args: readonly string[]): Promise<void> {
  const program = new Command('netlink-xfrm')
    .description('Shows the IPsec state of this host, live, as the kernel reports it.')
    .version(version)
    .configureHelp({ subcommandTerm: (command) => command.name() })
    // lab passes its command's options on.
    .enablePositionalOptions();
  for (const [name, about] of Object.entries(SUBCOMMANDS)) {
    program.addCommand(await subcommand(name, about, args));
  }
  // Separately created subcommands do not inherit these.
  for (const command of [program, ...program.commands]) {
    command.showHelpAfterError('(see --help)');
    const wrong = command.name() === 'check' ? EXIT.checkUnknown : EXIT.usage;
    command.exitOverride((error) => process.exit(error.exitCode === 0 ? EXIT.done : wrong));
  }
  // Commander handles help first, and would show only the general help for an unknown command.
  const [first, second] = args.filter((one) => !one.startsWith('-'));
  const asked = first === 'help' ? second : first;
  const isMistyped = asked !== undefined && asked !== 'help' && !Object.hasOwn(SUBCOMMANDS, asked);
  await program.parseAsync(isMistyped ? [asked] : args, { from: 'user' });
}

/** Settles when the command ends. (No top-level await: a CommonJS bundle cannot have one.) */
export const done = main(process.argv.slice(2)).catch(async (error) => {
  const { reportError } = await import('./report-error.ts');
  process.exitCode = EXIT[reportError(error)];
});
