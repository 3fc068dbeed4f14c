/**
 * `netlink-xfrm serve`: watches the tunnels of this host, and answers over HTTP.
 * @module
 */
import { once } from 'node:events';
import { resolve } from 'node:path';
import { Command, Option } from 'commander';
import type { ServeConfig } from '../serve/config.ts';
import { Daemon } from '../serve/daemon.ts';
import { keepGarbageYoung } from '../serve/engine.ts';
import { LifeCycle } from '../serve/life-cycle.ts';
import { parseListen } from '../serve/listen-address.ts';
import { LOG_FORMATS, LOG_LEVELS, Log, type LogFormat, type LogLevel } from '../serve/log.ts';
import { ServiceNotifier } from '../serve/notify.ts';
import { supervise } from '../serve/supervise.ts';
import { addNamespacesOptions } from './options.ts';
import { ExpectError, readExpected } from './tunnels/expect.ts';
import { addExpectOption, duration } from './tunnels/tunnel-options.ts';
import { version } from './version.ts';

interface Options {
  readonly listen?: string;
  readonly config?: string;
  readonly expect: readonly string[];
  readonly netns: readonly string[];
  readonly allNetns?: true;
  readonly refresh?: number;
  readonly acquires?: true;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tokenFile?: string;
  readonly stateDir?: string;
  readonly record?: string;
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat;
}

export function serveCommand(): Command {
  const command = new Command('serve')
    .description(
      'Watches the tunnels of this host and serves metrics (/metrics), probes (/healthz, /readyz),\n' +
        'a JSON API (/api/…) and a page (/). Needs CAP_NET_ADMIN. SIGHUP reloads the configuration.',
    )
    .option('--listen <address:port>', 'where to listen (default: 127.0.0.1:9786)')
    .option('--config <file>', 'JSON configuration file (schema/serve-1.json)')
    .option('--refresh <duration>', 'how often to read the counters (default: 10s)', duration)
    .option('--acquires', 'listen for acquires; this changes kernel behaviour (docs/tunnels.md)')
    .addOption(new Option('--tls-cert <file>', 'certificate chain (PEM); needs --tls-key'))
    .addOption(new Option('--tls-key <file>', 'private key (PEM); needs --tls-cert'))
    .option('--token-file <file>', 'require this bearer token (Authorization: Bearer)')
    .option('--state-dir <directory>', 'directory in which totals and timestamps survive restarts')
    .option('--record <directory>', 'keep a recording of at most 64 MiB (docs/recording.md)')
    .addOption(
      new Option('--log-level <level>', 'minimum level to log').choices(LOG_LEVELS).default('info'),
    )
    .addOption(
      new Option('--log-format <format>', 'format of the log on standard error')
        .choices(LOG_FORMATS)
        .default('text'),
    );
  addNamespacesOptions(addExpectOption(command));
  return command.addHelpText('after', '\nSee docs/serve.md.\n').action(async (options: Options) => {
    await run(options, givenBy(options, command));
  });
}

/** What the command line says, in the form of the configuration. */
function givenBy(options: Options, command: Command): Partial<ServeConfig> {
  const { listen, expect, netns, allNetns, refresh, acquires, tlsCert, tlsKey } = options;
  const address = listen === undefined ? undefined : parseListen(listen);
  if (listen !== undefined && address === undefined) {
    command.error(
      `error: invalid value '${listen}' for --listen: expected an address and a port, such as 127.0.0.1:9786, [::1]:9786 or :9786`,
    );
  }
  if ((tlsCert === undefined) !== (tlsKey === undefined)) {
    command.error("error: '--tls-cert' and '--tls-key' must be given together");
  }
  if (refresh !== undefined && refresh < 1000) {
    command.error("error: '--refresh' must be at least 1s");
  }
  try {
    return {
      ...(address && { listen: address }),
      ...(expect.length > 0 && { expected: readExpected(expect) }),
      ...(netns.length > 0 && { netns, allNetns: false }),
      ...(allNetns && { allNetns, netns: [] }),
      ...(refresh !== undefined && { refresh }),
      ...(acquires && { acquires }),
      ...(tlsCert !== undefined && tlsKey !== undefined && { tls: { cert: tlsCert, key: tlsKey } }),
      ...(options.tokenFile !== undefined && { tokenFile: options.tokenFile }),
      ...(options.stateDir !== undefined && { stateDir: options.stateDir }),
      ...(options.record !== undefined && { recordDir: options.record }),
    };
  } catch (error) {
    if (error instanceof ExpectError) command.error(`error: ${error.message}`);
    throw error;
  }
}

async function run(options: Options, given: Partial<ServeConfig>): Promise<void> {
  keepGarbageYoung();
  const lifeCycle = new LifeCycle();
  const log = new Log({ level: options.logLevel, format: options.logFormat });
  lifeCycle.on('notice', ({ level, event, text, about }) => log[level](event, text, about));
  const file = options.config === undefined ? undefined : resolve(options.config);
  const daemon = new Daemon({ version, file, given, lifeCycle });
  lifeCycle.on('ready', () => log.info('ready', daemon.service.status));
  const onError = ({ message }: Error) => log.warning('notify-failed', message);
  supervise(daemon, new ServiceNotifier({ onError }));
  const stopped = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopped.abort());
  process.on('SIGHUP', () => daemon.reload());
  try {
    const ended = once(stopped.signal, 'abort');
    const started = daemon.start();
    await Promise.race([started, ended]);
    await ended;
  } finally {
    await daemon.close();
  }
}
