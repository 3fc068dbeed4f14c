/** `netlink-xfrm probe`: which features this kernel and container offer for tests. @module */
import { Command, InvalidArgumentError } from 'commander';
import { KERNEL_FEATURES, type KernelFeature, probe } from '../testing/probe.ts';
import { EXIT } from './exit.ts';

/** Parses comma-separated feature names. */
export function features(text: string): KernelFeature[] {
  const names = text.split(',').filter((name) => name !== '') as KernelFeature[];
  const wrong = names.find((name) => !KERNEL_FEATURES.includes(name));
  if (wrong === undefined) return names;
  throw new InvalidArgumentError(
    `Expected any of ${KERNEL_FEATURES.join(', ')}; received '${wrong}'.`,
  );
}

export function probeCommand(): Command {
  return new Command('probe')
    .description(
      'Tests, in a private network namespace, what this kernel and container support: one feature per\n' +
        'line, with the reason where it is missing. Nothing on this host is changed.',
    )
    .option('--require <features>', 'exit with status 3 if one of these is missing', features)
    .option('--json', 'print JSON')
    .action(async ({ require = [], json }: { require?: KernelFeature[]; json?: true }) => {
      const { kernel, features: found } = await probe();
      if (json) console.log(JSON.stringify({ type: 'probe', version: 1, kernel, features: found }));
      else {
        console.log(`kernel ${kernel}`);
        const width = Math.max(...KERNEL_FEATURES.map((name) => name.length));
        for (const name of KERNEL_FEATURES) {
          const one = found[name];
          console.log(`${name.padEnd(width)}  ${one.ok ? 'yes' : `no: ${one.reason}`}`);
        }
      }
      if (require.some((name) => !found[name].ok)) process.exitCode = EXIT.unavailable;
    });
}
