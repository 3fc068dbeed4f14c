/**
 * Builds the addon with AddressSanitizer and UndefinedBehaviorSanitizer, and runs the kernel tests that
 * use it most. Any sanitizer report about it is a finding; of leaks, those that the addon itself
 * allocated. The thread that reads ahead also runs without Node, with ThreadSanitizer.
 * @module
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { finding, orders, report } from './part.ts';

const { seed, times } = orders();
/** Number of random calls to the addon's functions. */
const CALLS = 200_000 * times;
const root = join(import.meta.dirname, '../..');
/** A copy of the package next to its own build, where the loader finds this addon. */
const copy = join(root, 'build/sanitized');
const logs = join(copy, 'logs');

/** Tests that cannot run this way, and why. */
const EXCEPT: Readonly<Record<string, string>> = {
  // It reads all memory of the process, which now has 16 TiB mapped.
  'socket-memory.test.js': 'the sanitizer maps more memory than can be searched',
};

function build(): void {
  rmSync(copy, { recursive: true, force: true });
  mkdirSync(logs, { recursive: true });
  for (const name of ['package.json', 'native', 'scripts', 'bin', 'dist', 'README.md']) {
    cpSync(join(root, name), join(copy, name), {
      recursive: true,
      filter: (path) => path !== join(root, 'native/build'),
    });
  }
  for (const name of ['node_modules', 'test', 'schema']) {
    symlinkSync(join(root, name), join(copy, name));
  }
  const flags = '-fsanitize=address,undefined -fno-omit-frame-pointer -fno-sanitize-recover -g -O1';
  const env = { ...process.env, CXXFLAGS: flags, LDFLAGS: '-fsanitize=address,undefined' };
  execFileSync(process.execPath, [join(copy, 'scripts/build-native.mjs')], {
    env,
    stdio: 'inherit',
  });
}

/** Both runtime libraries must be loaded before all others. */
const library = (name: string) =>
  execFileSync('cc', [`-print-file-name=${name}`], { encoding: 'utf8' }).trim();

/** Runs a command with the sanitizers, which write to files in `logs`. */
function run(args: readonly string[], leaks: boolean) {
  const { stdout, stderr, status } = spawnSync(process.execPath, args, {
    cwd: copy,
    encoding: 'utf8',
    env: {
      ...process.env,
      NODE_TEST_CONTEXT: undefined,
      LD_PRELOAD: `${library('libasan.so')} ${library('libubsan.so')}`,
      // Leaks do not change the exit status: `ip` and Node have some, too.
      ASAN_OPTIONS: `log_path=${logs}/asan:detect_leaks=${leaks ? 1 : 0}:exitcode=99`,
      LSAN_OPTIONS: 'exitcode=0:report_objects=0',
      UBSAN_OPTIONS: `log_path=${logs}/ubsan:print_stacktrace=1:halt_on_error=1`,
    },
  });
  return { status, output: stdout + stderr };
}

/** Frames where JavaScript begins: what it allocates, even if called by the addon, is not the addon's. */
const JAVASCRIPT =
  /napi_make_callback|napi_call_function|napi_fatal_exception|Builtins_|v8::internal/;

/** Whether a leak was allocated by the addon, directly or through Node-API. */
function isOwn(leak: string): boolean {
  const frames = leak.split('\n').filter((line) => /^\s+#\d/.test(line));
  const own = frames.findIndex((frame) => /netlink\.node|native\/\w+\.(cc|h)/.test(frame));
  return own >= 0 && !frames.slice(0, own).some((frame) => JAVASCRIPT.test(frame));
}

/** Splits a leak report into leaks. */
const leaksIn = (text: string) => text.split(/\n(?=(?:Direct|Indirect) leak of )/).slice(1);

/** Reads the sanitizers' logs. @returns the number of leaks of others, which are not reported */
function readLogs(): number {
  let others = 0;
  for (const name of readdirSync(logs)) {
    const text = readFileSync(join(logs, name), 'utf8');
    if (!text.includes('LeakSanitizer: detected')) finding(`${name}: ${text.slice(0, 4000)}`);
    else {
      for (const leak of leaksIn(text)) {
        if (isOwn(leak)) finding(leak.slice(0, 3000));
        else others++;
      }
    }
  }
  return others;
}

/** Checks that the addon was built this way. */
function checkSanitizers(): void {
  const shown = execFileSync(
    'nm',
    ['-D', '--undefined-only', join(copy, 'native/build/Release/netlink.node')],
    {
      encoding: 'utf8',
    },
  );
  for (const name of ['__asan_init', '__ubsan_handle']) {
    assert(shown.includes(name), `the addon was not built with ${name}`);
  }
}

build();
checkSanitizers();
const { headersBesideNode } = (await import(
  pathToFileURL(join(root, 'scripts/headers.mjs')).href
)) as { headersBesideNode: () => string | undefined };
const reporter = join(root, 'scripts/lane-reporter.mjs');
const { decodeEvent } = (await import(pathToFileURL(join(root, 'scripts/events.mjs')).href)) as {
  decodeEvent: (line: string) => { readonly type: string } | undefined;
};
const folder = join(copy, 'dist/test/kernel');
const files = readdirSync(folder).filter(
  (name) =>
    /^(socket|subscribe|events|client|monitors|xfrm-events).*\.test\.js$/.test(name) &&
    !(name in EXCEPT),
);
let passed = 0;
for (let round = 0; round < times; round++) {
  for (const file of files) {
    const args = ['--expose-gc', '--test', '--test-timeout=300000', `--test-reporter=${reporter}`];
    const { output, status } = run([...args, join(folder, file)], false);
    const events = output.split('\n').flatMap((line) => decodeEvent(line) ?? []);
    const ended = events.some(({ type }) => type === 'lane:end');
    passed += events.filter(({ type }) => type === 'test:pass').length;
    if (!ended || events.some(({ type }) => type === 'test:fail') || status !== 0) {
      finding(`${file}, status ${status}: ${output.slice(0, 3000)}`);
    }
  }
}
for (const end of ['', 'exit']) {
  const { output, status } = run([join(copy, 'dist/torture/sanitizers/open.js'), end], true);
  if (status !== 0) finding(`a process that ends, status ${status}: ${output.slice(0, 3000)}`);
}
{
  const script = join(copy, 'dist/torture/sanitizers/calls.js');
  const { output, status } = run(['--expose-gc', script, `${seed}`, `${CALLS}`], true);
  if (status !== 0) finding(`calls with anything, status ${status}: ${output.slice(0, 3000)}`);
}
/** Threads, one after another. */
const THREADS = 200 * times;
{
  const [native, binary] = [join(copy, 'native'), join(copy, 'threads')];
  execFileSync('cc', [
    ...['-std=c++17', '-O1', '-g', '-fsanitize=thread', '-o', binary],
    ...['-isystem', join(headersBesideNode() ?? '', 'include/node')],
    join(root, 'torture/sanitizers/threads.cc'),
    ...['ring.cc', 'read_ahead.cc', 'receive_buffers.cc'].map((name) => join(native, name)),
    ...['-lstdc++', '-lpthread'],
  ]);
  const { status, stdout, stderr } = spawnSync(binary, [`${seed}`, `${THREADS}`], {
    encoding: 'utf8',
  });
  if (status !== 0) finding(`threads, status ${status}: ${(stdout + stderr).slice(0, 4000)}`);
}
const others = readLogs();
report({
  'tests under sanitizers': passed,
  files: files.length,
  'calls with anything': CALLS,
  'threads under ThreadSanitizer': THREADS,
  'left out': Object.keys(EXCEPT).length,
  'leaks of others': others,
});
