// The lanes of npm test, npm run test:all and npm run test:full, and where they run.
//
// To add a lane, add an entry to a set. Lanes are independent: they run in any order, as many
// concurrently as there are processors.
import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { root } from './setup.mjs';
import { arm64, containers, fullLab, here, lab, namespace } from './surroundings.mjs';

/** The compiled test files of a folder of test/. */
function files(folder) {
  return readdirSync(join(root, 'test', folder))
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => join(root, 'dist/test', folder, name.replace(/ts$/, 'js')));
}

/** The named ones among them. */
function some(folder, ...names) {
  const found = files(folder).filter((path) => names.includes(basename(path, '.test.js')));
  if (found.length !== names.length) throw new Error(`test/${folder} lacks one of ${names}`);
  return found;
}

const kernel = files('kernel');

/** Run all files in one process. */
const together = { together: true };

/** Settings common to tests that need a kernel. */
const inKernel = {
  ...together,
  flags: ['--expose-gc'],
  // Flushes SAs and policies before each test.
  before: join(root, 'dist/test/kernel/support.js'),
};

/** Kernel tests in the lab kernel of a Debian suite, or in the default one. `worlds`: number of random setups. */
const inLab = (suite, paths, seconds, worlds = 25) => ({
  seconds,
  name: `kernel tests in the lab${suite === undefined ? '' : ` (${suite})`}`,
  place: lab(suite),
  files: paths,
  // None may be skipped for lack of ESP.
  env: { NETLINK_XFRM_REQUIRE: 'esp', NETLINK_XFRM_WORLDS: `${worlds}` },
  ...inKernel,
});

/**
 * The kernel tests that `npm test` runs in the lab: real NEWSA, EXPIRE, rekeys, and a table and tunnels
 * that follow them. With test:all, the others run there, too.
 */
const CHOSEN = some(
  'kernel',
  ...['events', 'client', 'monitor', 'tunnels', 'tunnel-rekeys', 'tunnel-oracle'],
);

/**
 * Kernel tests of what happens on this side of the socket: the command's output, options and screens, object lifetimes,
 * arguments, memory, late timers, tunnel models. They need the same of every kernel, which the other files test for each
 * kernel: so they run only in the newest one, and on this machine's (CONTRIBUTING.md, What runs on which kernel).
 */
const OF_THE_LIBRARY = [
  ...kernel.filter((path) => basename(path).startsWith('command-')),
  ...some(
    'kernel',
    'kit-arguments',
    'kit-cleanup',
    'kit-docs',
    'kit-probe',
    'documents',
    'examples',
    'life-cycle',
    'subscribe',
    'tunnel-busy',
    'tunnel-shapes',
  ),
  ...some('kernel', 'socket-arguments', 'socket-channels', 'socket-lifetime', 'socket-memory'),
];

/** The others: what kernels send, accept and reject, which differs among them. */
const ofEachKernel = kernel.filter((path) => !OF_THE_LIBRARY.includes(path));

/** strongSwan, libreswan and OpenIKED in the lab: they spend most of the time waiting for expiries. */
const KEY_MANAGERS = some(
  'all',
  ...['kit', 'strongswan', 'libreswan', 'openiked', 'tunnel-stories', 'drift'],
);

/** Generate all inputs, and start the command anew for each run (test/unit/random.ts, test/warm-command.ts). */
const thorough = { NETLINK_XFRM_THOROUGH: '1' };

/**
 * The kernel tests that run in a full kernel in addition to its own: it adds several sockets and two processors. All of
 * them would take an emulated processor more than ten minutes.
 */
const ON_TWO_PROCESSORS = some('kernel', 'events', 'client', 'monitor', 'tunnel-oracle');

/**
 * The unit tests of what could differ between processors: bytes, numbers, requests and tables. The others
 * start commands and Debian's programs, download, or follow simulated kernels and tunnels.
 */
const OF_BYTES = some(
  'unit',
  ...[
    'error',
    'filter',
    'layout',
    'wire',
    'text',
    'nests',
    'encode',
    'decode',
    'keys',
    'attribute-locations',
  ],
  ...['round-trip', 'in-order', 'iproute2', 'route', 'route-requests', 'losses', 'subscribe'],
  ...['event-hub', 'table', 'xfrm-table', 'schema'],
);

/** Tests that need an option that no Debian kernel is built with (docs/lab.md, A full kernel). */
const BEYOND_DEBIAN = [
  'an SA of IP-TFS (RFC 9347) carries its parameters',
  'an SA of ESP in TCP (RFC 8229) says so',
  'an SA offloaded to a device says to which',
];

/**
 * A lane has
 *   name         as printed
 *   place        async function: returns the words to prefix commands with; throws NotHere, or an error
 *                with a code LAB_… if this machine lacks what it needs
 *   files        compiled test files
 * and may have
 *   flags        for node
 *   env          additional environment variables
 *   together     true to run all files in one process; otherwise each has its own
 *   before       with `together`: a module with hooks for the tests of all files
 *   beyond       names of tests that no kernel available in the lab can run: they are listed as such rather than
 *                as left out. If one runs after all, the lane fails, so that the list stays accurate.
 *   optional     true if a machine may lack what its place needs: the lane is then reported as left out, with the
 *                reason, even with CI=true, and that is not a failure
 *   long         true if a single test may take more than a few minutes
 *   repeats      true if daemons and browsers of others set its pace: a test that failed is repeated once, alone
 *                (repeat.mjs)
 *   waits        true if it mostly waits: it runs alongside the others, without occupying a processor
 *   seconds      estimated duration on a machine with two processors: for scheduling, until measured (estimates.mjs)
 */
export const SETS = {
  test: [
    { name: 'kernel tests on this kernel', place: namespace, files: kernel, ...inKernel },
    { name: 'unit tests', place: here, files: files('unit'), ...together },
    inLab(undefined, CHOSEN),
    { name: 'tests of the lab', place: here, files: some('lab', 'lab') },
  ],
  all: [
    inLab('sid', [...kernel, ...files('recent')], 380, 100),
    inLab('trixie', [...ofEachKernel, ...files('recent')], 130, 15),
    inLab('bookworm', ofEachKernel, 200, 15),
    {
      name: 'unit tests, all that is generated',
      place: here,
      files: files('unit'),
      env: thorough,
      seconds: 136,
    },
    {
      name: 'tests of the command, a process each',
      place: namespace,
      files: kernel.filter((path) => basename(path).startsWith('command-')),
      env: thorough,
      ...inKernel,
      seconds: 79,
    },
    { name: 'tests of the lab', place: here, files: files('lab'), seconds: 81 },
    { name: 'building without a network', place: namespace, files: files('build'), seconds: 14 },
    {
      name: 'tests of the package',
      place: here,
      files: files('package'),
      long: true,
      seconds: 158,
    },
    {
      name: 'tests of deployment',
      place: here,
      files: files('deploy'),
      waits: true,
      repeats: true,
      seconds: 120,
    },
    {
      name: 'tests in containers',
      place: containers,
      files: files('containers'),
      optional: true,
      repeats: true,
      ...together,
      seconds: 100,
    },
    {
      name: 'the page in Chromium',
      place: here,
      files: files('browser'),
      repeats: true,
      seconds: 130,
    },
    {
      name: 'tests that take long',
      place: here,
      files: files('all').filter((path) => !KEY_MANAGERS.includes(path)),
      long: true,
      seconds: 400,
    },
    {
      name: 'tests with key managers',
      place: here,
      files: KEY_MANAGERS,
      long: true,
      waits: true,
      repeats: true,
      seconds: 340,
    },
  ],
  // Emulated, so slow: a full kernel, and another processor architecture.
  full: [
    {
      ...inLab('sid', [...files('full'), ...ON_TWO_PROCESSORS, ...files('recent')]),
      name: 'kernel tests in a full kernel',
      place: fullLab('sid'),
      beyond: BEYOND_DEBIAN,
      long: true,
    },
    {
      ...inLab('sid', some('kernel', 'tunnel-oracle'), 1200, 3000),
      name: 'random worlds of tunnels (sid)',
      long: true,
    },
    {
      ...inLab('sid', some('kernel', 'fate-oracle'), 1200, 1500),
      name: 'random packets (sid)',
      long: true,
    },
    {
      ...inLab('sid', some('kernel', 'fate-oracle'), 1200, 50),
      name: 'random packets through xfrm interfaces (sid)',
      place: fullLab('sid'),
      long: true,
    },
    {
      name: 'unit tests on arm64',
      place: arm64,
      files: [...some('emulator', 'socket'), ...OF_BYTES],
      ...together,
      long: true,
    },
    {
      name: 'tests of the full kernel',
      place: here,
      files: some('emulator', 'lab'),
      long: true,
    },
  ],
};
