/** `netlink-xfrm why`: what this kernel will do with a packet, and why. @module */
import { Command, InvalidArgumentError, Option } from 'commander';
import { askFate } from '../fate/ask.ts';
import type { FlowDirection } from '../fate/fate.ts';
import { type Flow, FlowError, parseFlow } from '../fate/flow.ts';
import { namespacePath } from '../monitor/namespace-path.ts';
import { EXIT } from './exit.ts';
import { formatJson } from './json.ts';
import { addMomentOptions, checkLookBack, type LookBackOptions } from './look-back-options.ts';
import { addFormatOptions, addNamespaceOption, formatOf, type OutputOptions } from './options.ts';
import { endWhenUnread, LineOutput } from './terminal/output.ts';
import { whyLines } from './why/lines.ts';
import { whyMembers } from './why/record.ts';

interface Options extends OutputOptions, LookBackOptions {
  readonly dir?: FlowDirection;
  readonly mark?: number;
  readonly uid?: number;
  readonly ifId?: number;
  readonly interface?: string;
  readonly spi?: readonly number[];
  readonly clear?: true;
}

function number(text: string): number {
  const value = /^(0x[0-9a-f]+|\d+)$/i.test(text) ? Number(text) : Number.NaN;
  if (value <= 0xffff_ffff) return value;
  throw new InvalidArgumentError('It must be a number of 32 bits, such as 7 or 0x7.');
}

const EXAMPLES = `
The flow, in quotes because of the shell:
  netlink-xfrm why '10.1.0.5 > 10.2.0.7 tcp 443'
  netlink-xfrm why '[2001:db8::1]:5000 > 2001:db8::2 udp 53'
  netlink-xfrm why 10.1.0.5 to 10.2.0.7 icmp
Exit status: 0 it passes, protected or in clear as the policies say; 1 it is dropped.
docs/why.md says what is looked at, and what is not.
`;

export function whyCommand(): Command {
  const command = new Command('why')
    .description(
      'Says what this kernel will do with a packet: the route, the policy that catches it, the SAs that\n' +
        'carry it or why there is none, the checks that it must pass, and what nearly applied.\n' +
        'Nothing is sent. Needs CAP_NET_ADMIN, but not for a recording.',
    )
    .argument('<flow...>', 'addresses, protocol, port')
    .addOption(
      new Option(
        '--dir <direction>',
        'which way it goes; default: by the addresses of this host',
      ).choices(['out', 'in', 'fwd', 'local'] satisfies FlowDirection[]),
    )
    .option('--interface <name>', 'that it leaves by, or comes by')
    .option('--mark <number>', 'that it has', number)
    .option('--if-id <number>', 'of the xfrm interface that it passes', number)
    .option('--uid <number>', 'of the user who sends it, for routing', number)
    .addOption(
      new Option('--spi <numbers>', 'of the SAs that it comes through, outermost first')
        .argParser((text) => text.split(',').map(number))
        .conflicts('clear'),
    )
    .option('--clear', 'it comes in clear');
  addMomentOptions(addNamespaceOption(addFormatOptions(command)));
  return command
    .addHelpText('after', EXAMPLES)
    .action(async (words: string[], options: Options) => {
      const format = formatOf(options, command);
      checkLookBack(options, command);
      if (options.recording !== undefined && options.uid !== undefined) {
        command.error("error: '--uid' is for routing, and a recording has no routes");
      }
      const { netns, dir, interface: device, clear, spi, recording, ...more } = options;
      let flow: Flow;
      try {
        flow = parseFlow(words);
      } catch (error) {
        if (error instanceof FlowError) command.error(`error: ${error.message}`);
        throw error;
      }
      const { mark, uid, ifId } = more;
      endWhenUnread();
      const out = new LineOutput();
      const asked = {
        netns: netns === undefined || recording ? undefined : namespacePath(netns),
        direction: dir,
        device,
        mark,
        uid,
        ifId,
        spis: clear ? [] : spi,
      };
      const now = { wall: Date.now(), monotonic: performance.now() };
      const { fate, time } =
        recording === undefined
          ? { fate: await askFate(flow, asked), time: now }
          : (await import('./why/recorded.ts')).recordedFate(flow, asked, recording, options);
      if (format.json) {
        const where = netns === undefined ? {} : { netns };
        out.line(formatJson({ kind: 'why', time, ...whyMembers(fate) }, false, where));
      } else for (const line of whyLines(fate, format.colors)) out.line(line);
      process.exitCode = fate.outcome === 'dropped' ? EXIT.conditionNotMet : EXIT.done;
      await out.ready();
    });
}
