/** The subcommands of `netlink-xfrm`. @module */
import { Command } from 'commander';
import { version } from './version.ts';

/** A subcommand, loaded only when it is used: most of the code is in them. */
export interface Subcommand {
  readonly summary: string;
  load(): Promise<Command>;
}

export const SUBCOMMANDS: Readonly<Record<string, Subcommand>> = {
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
  stat: {
    summary: 'show which packets IPsec dropped and why; --watch: as it happens',
    load: async () => (await import('./stat.ts')).statCommand(),
  },
  why: {
    summary: 'say what this kernel will do with a packet, and why',
    load: async () => (await import('./why.ts')).whyCommand(),
  },
  record: {
    summary: 'record events, snapshots and counters, for a look back',
    load: async () => (await import('./record.ts')).recordCommand(),
  },
  replay: {
    summary: 'decode a recording, or a file of netlink messages',
    load: async () => (await import('./replay.ts')).replayCommand(),
  },
  convert: {
    summary: 'convert recorded messages for Wireshark',
    load: async () => (await import('./convert.ts')).convertCommand(),
  },
  timeline: {
    summary: 'tell what became of tunnels in a recording, in lines and as a picture',
    load: async () => (await import('./timeline.ts')).timelineCommand(),
  },
  diff: {
    summary: 'show what differs between two times of a recording',
    load: async () => (await import('./diff.ts')).diffCommand(),
  },
  demo: {
    summary: 'watch real SAs being added and deleted, without touching this host',
    load: async () => (await import('./demo.ts')).demoCommand(),
  },
  test: {
    summary: 'run tests where IPsec works: on this kernel or in the lab',
    load: async () => (await import('./test.ts')).testCommand(),
  },
  doctor: {
    summary: 'examine whether IPsec, and watching it, works here',
    load: async () => (await import('./doctor.ts')).doctorCommand(),
  },
  probe: {
    summary: 'report which features tests can use on this kernel',
    load: async () => (await import('./probe.ts')).probeCommand(),
  },
  lab: {
    summary: 'run a command as root on a kernel with IPsec, without root on this host',
    load: async () => (await import('./lab.ts')).labCommand(),
  },
  completion: {
    summary: 'print what completes these commands in bash, zsh or fish',
    load: async () => (await import('./completion.ts')).completionCommand(wholeProgram),
  },
};

/** The program without its subcommands. */
export const programCommand = (): Command =>
  new Command('netlink-xfrm')
    .description('Shows the IPsec state of this host, live, as the kernel reports it.')
    .version(version)
    .configureHelp({ subcommandTerm: (command) => command.name() })
    // lab passes its command's options on.
    .enablePositionalOptions();

/** The program with all that its subcommands can do, which takes a while to load. */
export async function wholeProgram(): Promise<Command> {
  const program = programCommand();
  for (const { summary, load } of Object.values(SUBCOMMANDS)) {
    program.addCommand((await load()).summary(summary));
  }
  return program;
}
