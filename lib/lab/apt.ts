import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { LabError, lastLines } from './errors.ts';
import { type ProgramResult, plainEnvironment, runProgram } from './programs.ts';
import { type Archive, chooseArchive, readMachineSources } from './sources.ts';

/** Milliseconds for which a package list counts as fresh: 6 hours. */
const LIST_LIFETIME = 6 * 3600 * 1000;

/** How many packages a message names. */
const LISTED = 6;

/**
 * Configuration of a private apt: one source, its own lists, cache and (empty) database of installed
 * packages; of the machine's settings only network (proxies) and trust are used. Setting names:
 * apt.conf(5), apt-get(8), the example file apt-doc/examples/configure-index.
 */
function configuration(base: string, architecture: string): string {
  return `
# Hooks of the machine are for its own packages.
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Invoke;
#clear DPkg::Post-Invoke;
APT::Default-Release "";
APT::Architecture "${architecture}";
#clear APT::Architectures;
APT::Architectures { "${architecture}"; };
Dir::Etc::sourcelist "${base}/archive.sources";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State "${base}/state";
Dir::State::lists "${base}/state/lists";
Dir::State::status "${base}/state/status";
Dir::State::extended_states "${base}/state/extended_states";
Dir::Cache "${base}/cache";
Dir::Cache::archives "${base}/cache/archives";
# The lock file beside this directory guards it already (cache.ts).
Debug::NoLocking "1";
# The directory is private, so the user that apt would switch to as root could not write to it.
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
# Only what the archive's key has signed, whatever the machine's own settings say.
APT::Get::AllowUnauthenticated "false";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
Acquire::AllowDowngradeToInsecureRepositories "false";
`;
}

/** Packages of one Debian suite, fetched without touching the machine's own apt. */
export interface PackageSource {
  readonly suite: string;
  /** Downloads the newest version of each package; returns the paths of the .deb files by name. */
  download(names: readonly string[]): Promise<Map<string, string>>;
  /** The names of all packages that `names` depend on, including themselves. */
  closure(names: readonly string[]): Promise<string[]>;
  /** Removes the downloaded files. */
  clear(): void;
}

function fetchError(suite: string, what: string, result: ProgramResult): LabError {
  const log = lastLines(result.stderr || result.stdout, 12);
  const reason =
    log.split('\n').find((line) => /^[EW]: Failed to fetch|^E: /.test(line)) ?? lastLines(log, 1);
  const key = /NO_PUBKEY|not signed|signature/i.test(log);
  return new LabError(
    key ? 'LAB_KEYRING' : 'LAB_FETCH',
    `${what} from Debian ${suite} failed: ${reason || `status ${result.status}`}`,
    key
      ? "The archive's signing keys here do not cover this suite: install a newer " +
          'debian-archive-keyring, or set NETLINK_XFRM_KEYRING to its keyring file.'
      : 'Check the network (and http_proxy), or set NETLINK_XFRM_MIRROR to an archive that can be ' +
          'reached. Once fetched, the kernel is kept and needs no network.',
    { log },
  );
}

function sourceText(archive: Archive, suite: string): string {
  // A key embedded in the source is several indented lines; both forms are valid here.
  return `Types: deb\nURIs: ${archive.uri}\nSuites: ${suite}\nComponents: main\nSigned-By: ${archive.signedBy}\n`;
}

/**
 * Opens the suite's package source in `cache`. Call it, and use its result, while holding the lock for
 * that suite. Nothing is fetched before the first `download` or `closure`.
 */
export function openPackages(
  cache: string,
  suite: string,
  options: {
    signal?: AbortSignal | undefined;
    progress?: (message: string) => void;
    /** Debian architecture name; default `amd64`. */
    architecture?: string;
  } = {},
): PackageSource {
  const { architecture = 'amd64' } = options;
  const other = architecture === 'amd64' ? '' : `-${architecture}`;
  const base = join(cache, 'apt', `${suite}${other}`);
  const config = join(base, 'apt.conf');
  const stamp = join(base, 'updated');
  const downloads = join(base, 'packages');
  let ready = false;

  const run = (program: string, args: readonly string[]) =>
    // If this process is killed, apt lives on for a while: the next apt here waits for it to end.
    runProgram('flock', [join(base, 'busy'), program, '-c', config, ...args], {
      cwd: downloads,
      env: { ...plainEnvironment(), DEBIAN_FRONTEND: 'noninteractive' },
      signal: options.signal,
    });

  async function update(force: boolean): Promise<void> {
    if (ready && !force) return;
    for (const part of ['state/lists/partial', 'cache/archives/partial', 'packages']) {
      mkdirSync(join(base, part), { recursive: true, mode: 0o700 });
    }
    const text = sourceText(chooseArchive(readMachineSources()), suite);
    const source = join(base, 'archive.sources');
    writeFileSync(config, configuration(base, architecture));
    writeFileSync(source, text);
    writeFileSync(join(base, 'state/status'), '');
    // The stamp records the source, so that a changed mirror is noticed.
    const fresh =
      existsSync(stamp) &&
      readFileSync(stamp, 'utf8') === text &&
      Date.now() - statSync(stamp).mtimeMs < LIST_LIFETIME;
    if (!fresh || force) {
      options.progress?.(`fetching the package list of Debian ${suite}`);
      const result = await run('apt-get', ['update', '-q']);
      // Without lists, apt-get update exits with 0 and a warning: "Some index files failed".
      if (result.status !== 0 || /^[WE]: Failed to fetch/m.test(result.stderr)) {
        throw fetchError(suite, 'Fetching the package list', result);
      }
      writeFileSync(stamp, text);
    }
    ready = true;
  }

  /** Runs `attempt`; if it fails, once more with new lists, because the archive may have moved on. */
  async function withLists(
    what: string,
    attempt: () => Promise<ProgramResult>,
  ): Promise<ProgramResult> {
    await update(false);
    let result = await attempt();
    if (result.status !== 0) {
      await update(true);
      result = await attempt();
    }
    if (result.status !== 0) throw fetchError(suite, what, result);
    return result;
  }

  return {
    suite,
    async download(names) {
      await update(false);
      const more = names.length > LISTED ? ` and ${names.length - LISTED} more` : '';
      options.progress?.(
        `fetching ${names.slice(0, LISTED).join(' ')}${more} from Debian ${suite}`,
      );
      // Start with an empty directory, so that it then holds just what was asked for. An interrupted
      // download is in archives/partial, where apt resumes it.
      this.clear();
      await withLists(`Fetching ${names.join(' ')}`, () =>
        run('apt-get', ['download', '-q', ...names]),
      );
      const found = new Map<string, string>();
      for (const file of readdirSync(downloads)) {
        if (file.endsWith('.deb')) found.set(file.replace(/_.*$/, ''), join(downloads, file));
      }
      const missing = names.filter((name) => !found.has(name));
      if (missing.length > 0) {
        throw new LabError(
          'LAB_FETCH',
          `Debian ${suite} gave no file for ${missing.join(' ')}.`,
          'Try again; if it stays so, remove the cache directory.',
        );
      }
      return found;
    },
    async closure(names) {
      // Resolved against an empty database, so that the result is the same on every machine.
      const result = await withLists(`Resolving ${names.join(' ')}`, () =>
        run('apt-get', ['install', '--simulate', '-q', '--no-install-recommends', ...names]),
      );
      return [...result.stdout.matchAll(/^Inst (\S+)/gm)].map((match) => match[1] ?? '');
    },
    clear() {
      rmSync(downloads, { recursive: true, force: true });
      mkdirSync(downloads, { mode: 0o700 });
    },
  };
}

/** Unpacks a package into `directory`, as `dpkg-deb -x` does. */
export async function unpack(file: string, directory: string, signal?: AbortSignal): Promise<void> {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const result = await runProgram('dpkg-deb', ['-x', file, directory], { signal });
  if (result.status !== 0) {
    // A damaged file must not be used again.
    renameSync(file, `${file}.damaged`);
    throw new LabError(
      'LAB_FETCH',
      `Cannot unpack ${file}: ${lastLines(result.stderr, 1)}`,
      'Check that the cache has room, then try again.',
      { log: lastLines(result.stderr, 12) },
    );
  }
}
