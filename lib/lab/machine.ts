import { readFileSync } from 'node:fs';
import { LabError } from './errors.ts';

/** The properties of this machine that decide which kernel runs here and how. */
export interface Machine {
  /** `ID` of /etc/os-release, for example `debian`. */
  readonly id: string;
  /** `VERSION_CODENAME` of /etc/os-release, for example `bookworm`; empty if it has none. */
  readonly codename: string;
  /**
   * Whether the processor has AMX. Its tile registers make the register set that the host kernel
   * requires from a tracer larger than older guest kernels store (see wide-registers.ts).
   */
  readonly amx: boolean;
}

/** Debian suites whose `user-mode-linux` has been run with this code. */
export const KNOWN_SUITES: readonly string[] = ['bookworm', 'trixie', 'sid'];

/** The suite with the newest kernel, which is the fastest (docs/lab.md, Measured). */
const NEWEST = 'sid';

/** Values of an os-release file (os-release(5)): `NAME=value`, the value possibly quoted. */
export function parseOsRelease(text: string): Record<string, string> {
  const values: Record<string, string> = {};
  for (const line of text.split('\n')) {
    const match = /^\s*([A-Z][A-Z0-9_]*)=(.*?)\s*$/.exec(line);
    if (!match) continue;
    const [, name = '', raw = ''] = match;
    const quoted = /^(["'])(.*)\1$/.exec(raw);
    values[name] = (quoted?.[2] ?? raw).replace(/\\(["'$`\\])/g, '$1');
  }
  return values;
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** Inspects this machine. Throws `LAB_ARCH` if none of Debian's kernels can run. */
export function inspectMachine(): Machine {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new LabError(
      'LAB_ARCH',
      `The lab needs Linux on x86-64; this is ${process.platform} on ${process.arch}.`,
      'Debian builds its user-mode-linux for amd64 alone. Use an x86-64 machine.',
    );
  }
  const release = parseOsRelease(
    readIfThere('/etc/os-release') || readIfThere('/usr/lib/os-release'),
  );
  const flags = /^flags\s*:(.*)$/m.exec(readIfThere('/proc/cpuinfo'))?.[1] ?? '';
  return {
    id: release.ID ?? '',
    codename: release.VERSION_CODENAME ?? '',
    amx: /\bamx_tile\b/.test(flags),
  };
}

/** Checks the name of a suite. Throws `LAB_USAGE` if it is invalid. */
export function checkSuite(name: string): string {
  // The name becomes part of paths and of apt's configuration.
  if (/^[a-z][a-z0-9-]*$/.test(name)) return name;
  throw new LabError(
    'LAB_USAGE',
    `${JSON.stringify(name)} is not a Debian suite name.`,
    `Use one of ${KNOWN_SUITES.join(', ')}.`,
  );
}

/**
 * The suites to take the user-mode kernel from, best first: the requested one, else NETLINK_XFRM_SUITE; if neither is
 * given, the newest, then {@link hostSuite} if that is unavailable or does not boot.
 */
export function chooseSuites(
  option: string | undefined,
  machine: Machine,
  env: NodeJS.ProcessEnv = process.env,
): string[] {
  const asked = option ?? (env.NETLINK_XFRM_SUITE || undefined);
  if (asked !== undefined) return [checkSuite(asked)];
  return [...new Set([NEWEST, hostSuite(machine)])];
}

/**
 * The suite whose programs this machine can run: its own if it is a known Debian, else bookworm, whose
 * programs need the oldest C library.
 */
export function hostSuite(machine: Machine): string {
  if (machine.id === 'debian' && KNOWN_SUITES.includes(machine.codename)) return machine.codename;
  return 'bookworm';
}

/** Whether programs of `suite` run with the C library of this machine. */
export function isOwnSuite(suite: string, machine: Machine): boolean {
  return machine.id === 'debian' && machine.codename === suite;
}
