/**
 * `npm run bench`: performance compared with the best alternatives, in alternation within one run.
 * docs/performance.md explains what is measured and how to read it.
 * @module
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { Argument, Command } from 'commander';
import { LabError, runInLab } from '../lib/lab/index.ts';
import { buildVersion } from './against.ts';
import { makePrograms } from './native.ts';
import { plot } from './plot.ts';
import { processorKind } from './processor.ts';
import { hasQuick, merged, readRecorded, regressions, writeRecorded } from './recorded.ts';
import { byPlace, report, sideBySideTable, summary } from './report.ts';
import { requirements } from './requirements.ts';
import { BENCH_SCHEMA, COMPARISONS, PARTS, type Part, type Results, SIZES } from './results.ts';
import { type FirstTest, firstTest } from './suite.ts';

const root = join(import.meta.dirname, '../..');
const inside = join(import.meta.dirname, 'inside.js');
const progress = (text: string) => void process.stderr.write(`${text}\n`);

/** The command that creates a network namespace: as root, or in a user namespace. */
function unshare(): string[] {
  const ways = [
    ['unshare', '--net'],
    ['unshare', '--user', '--map-root-user', '--net'],
  ];
  const way = ways.find(([file = '', ...args]) => spawnSync(file, [...args, 'true']).status === 0);
  if (way === undefined) throw new Error('no network namespace can be made here');
  return way;
}

async function onHost(args: readonly string[]): Promise<Part> {
  const [file = '', ...before] = unshare();
  const all = [...before, process.execPath, '--expose-gc', inside, 'host', ...args];
  const child = spawn(file, all, { stdio: ['ignore', 'pipe', 'inherit'] });
  // unshare execs node, which kills its own children.
  const end = () => child.kill();
  process.once('exit', end);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => process.exit(1));
  }
  const [printed, [status]] = await Promise.all([text(child.stdout), once(child, 'close')]);
  process.removeListener('exit', end);
  if (status !== 0) throw new Error(`the benchmark ended with status ${status}`);
  return JSON.parse(printed);
}

/** Runs measurements in the lab's kernel, which has ESP. */
async function inLab(args: readonly string[], limit: number): Promise<Part> {
  const chunks: Buffer[] = [];
  const stdout = new Writable({
    write: (chunk, _encoding, done) => {
      chunks.push(chunk);
      done();
    },
  });
  const command = [process.execPath, '--expose-gc', inside, 'lab', ...args];
  const { status } = await runInLab(command, { stdout, memory: 2048, timeout: limit });
  if (status !== 0) throw new Error(`in the lab the benchmark ended with status ${status}`);
  return JSON.parse(Buffer.concat(chunks).toString());
}

async function measure(
  quick: boolean,
  parts: readonly string[],
  other?: { readonly folder: string; readonly commit: string },
): Promise<Results> {
  const begun = new Date();
  const load = loadavg();
  progress('compiling');
  const leftOut = await makePrograms();
  const args = [other?.folder ?? (quick ? 'quick' : 'full'), ...parts];
  const wanted = (part: string) => parts.length === 0 || parts.includes(part);
  progress('on this kernel');
  const host = await onHost(args);
  let lab: Part | undefined;
  if (['sas', 'dump', 'requests', 'tunnels', 'verdicts', 'serve'].some(wanted)) {
    try {
      progress('in the lab');
      lab = await inLab(args, quick ? 180_000 : 900_000);
    } catch (error) {
      if (!(error instanceof LabError)) throw error;
      leftOut.push(`SAs, their dump, tunnels and scrapers in the lab's kernel (${error.message})`);
    }
  }
  let first: FirstTest | undefined;
  if (wanted('suite')) {
    try {
      first = await firstTest((quick ? SIZES.quick : SIZES.full).suites, progress);
    } catch (error) {
      if (!(error instanceof LabError)) throw error;
      leftOut.push(`a suite in the lab (${error.message})`);
    }
  }
  return {
    schema: BENCH_SCHEMA,
    begun: begun.toISOString(),
    seconds: (Date.now() - begun.getTime()) / 1000,
    quick,
    ...(other && { against: other.commit }),
    machine: {
      kind: processorKind(),
      processors: cpus().length,
      node: process.version,
      load,
    },
    host,
    ...(lab && { lab }),
    ...(first && { firstTest: first }),
    leftOut,
  };
}

/** Replaces the text between two marks in docs/performance.md. */
function writeDocs(mark: string, text: string): void {
  const path = join(root, 'docs/performance.md');
  const before = readFileSync(path, 'utf8');
  const marks = new RegExp(`(<!-- ${mark} -->\\n)[\\s\\S]*?(<!-- end -->)`);
  if (!marks.test(before)) throw new Error(`${path} has no place for results: <!-- ${mark} -->`);
  writeFileSync(
    path,
    before.replace(marks, (_, begin, end) => `${begin}\n${text}\n\n${end}`),
  );
}

/** Keeps the results of this processor type alongside those of others. */
function record(results: Results): void {
  const recorded = merged(readRecorded(), results);
  writeRecorded(recorded);
  writeDocs('npm run bench -- --record', sideBySideTable(recorded));
}

const command = new Command('npm run bench --')
  .addArgument(new Argument('[part...]', 'what to measure (default: all)').choices(PARTS))
  .option('--quick', 'small and fast; fails on losses, and on ratios a third worse than recorded')
  .option('--against <commit>', 'compares with another version only, by turns, and prints ratios')
  .option('--record', 'keeps the results of this kind of processor in bench/recorded.json')
  .option('--json <file>', 'writes the results there')
  .option(
    '--docs',
    'writes them into docs/performance.md, with docs/performance.svg; of a whole run, or of serve',
  )
  .option('--from <file>', 'takes results written before, and measures nothing')
  .addHelpText(
    'after',
    '\nA whole run takes about half an hour, and wants a machine that does nothing else.',
  )
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2))
  .parse();
const options = command.opts<{
  quick?: true;
  against?: string;
  record?: true;
  json?: string;
  docs?: true;
  from?: string;
}>();

/** Exits with an error before anything is measured. */
function refuse(what: string, error?: unknown): never {
  const why = error instanceof Error ? `: ${error.message}` : '';
  return command.error(`error: ${what}${why}`);
}

const { against } = options;
const quick = options.quick ?? (process.env.CI === 'true' && against === undefined);
const parts = command.args;
if (against !== undefined) {
  if (options.quick || options.docs || options.record || options.from) {
    refuse('--against compares two versions: without --quick, --docs, --record and --from');
  }
  const other = parts.find((part) => !COMPARISONS.includes(part));
  if (other !== undefined) refuse(`--against: ${other} is not compared with another version`);
  if (parts.length === 0) parts.push('policies-filled', 'newsa-filled');
}
const ofDaemon = parts.length === 1 && parts[0] === 'serve';
if (options.docs && !options.from && (quick || (parts.length > 0 && !ofDaemon))) {
  refuse('--docs wants a whole run, or serve alone: without --quick and other parts');
}
try {
  if (options.json) closeSync(openSync(options.json, 'a'));
} catch (error) {
  refuse('--json', error);
}

/** Reads the results that a run wrote with --json. */
function readResults(path: string): Results {
  try {
    const results: Results = JSON.parse(readFileSync(path, 'utf8'));
    if (results?.schema === BENCH_SCHEMA) return results;
  } catch (error) {
    refuse('--from', error);
  }
  return refuse(`--from: ${path} has no results of the format ${BENCH_SCHEMA}; measure again`);
}

/** Builds the other version and compares with it. */
async function measureAgainst(ref: string): Promise<Results> {
  progress(`building ${ref}`);
  const other = buildVersion(root, ref);
  try {
    return await measure(false, parts, other);
  } finally {
    other.remove();
  }
}

const results = await (options.from
  ? readResults(options.from)
  : against === undefined
    ? measure(quick, parts)
    : measureAgainst(against));
if (options.from) {
  if (options.docs && results.quick)
    refuse('--docs needs a whole run: these results are of --quick');
  if ((options.docs || options.record) && results.against !== undefined) {
    const option = options.docs ? '--docs' : '--record';
    refuse(`${option} needs results of one version: these are of --against ${results.against}`);
  }
}
if (options.json) writeFileSync(options.json, `${JSON.stringify(results, null, 1)}\n`);
if (options.docs) {
  const { daemon, others } = byPlace(results);
  if (daemon) writeDocs('npm run bench -- serve --docs', report(daemon));
  if (others) {
    writeDocs('npm run bench -- --docs', report(others));
    const shown = [...others.host.comparisons, ...(others.lab?.comparisons ?? [])];
    writeFileSync(join(root, 'docs/performance.svg'), plot(shown));
  }
}
const recorded = readRecorded();
const wrong = results.quick ? regressions(recorded, results) : [];
if (results.quick && !hasQuick(recorded, results)) {
  progress('nothing is recorded for this kind of processor: only losses are judged');
}
if (options.record || options.docs) record(results);
console.log(`${report(results)}\n\n${summary(results)}`);
for (const one of wrong) console.error(`bench: ${one}`);
if (wrong.length > 0 || requirements(results).some(({ met }) => !met)) process.exitCode = 1;
