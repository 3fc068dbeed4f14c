// What npm test, npm run test:all and npm run test:full run, and where.
//
// To add a lane, add an entry to a set. Lanes are independent: they run in any order, as many at a
// time as there are processors.
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

/** Of those, the ones that are named. */
function some(folder, ...names) {
  const found = files(folder).filter((path) => names.includes(basename(path, '.test.js')));
  if (found.length !== names.length) throw new Error(`test/${folder} lacks one of ${names}`);
  return found;
}

const kernel = files('kernel');

/** All files in one process. */
const together = { together: true };

/** What the tests that need a kernel have in common. */
const inKernel = {
  ...together,
  flags: ['--expose-gc'],
  // Flushes SAs and policies before each test.
  before: join(root, 'dist/test/kernel/support.js'),
};

/** Kernel tests in the lab's kernel of a Debian suite; of the default one without a suite. `worlds`: how many random ones. */
const inLab = (suite, paths, seconds, worlds = 25) => ({
  seconds,
  name: `kernel tests in the lab${suite === undefined ? '' : ` (${suite})`}`,
  place: lab(suite),
  files: paths,
  // Not one may be left out for want of ESP.
  env: { NETLINK_XFRM_REQUIRE: 'esp', NETLINK_XFRM_WORLDS: `${worlds}` },
  ...inKernel,
});

/**
 * Of the tests of a kernel, those that `npm test` runs in the lab: real NEWSA, EXPIRE, rekeys, a table and
 * tunnels that follow them. The others run there with test:all.
 */
const CHOSEN = some(
  'kernel',
  ...['events', 'client', 'monitor', 'tunnels', 'tunnel-rekeys', 'tunnel-oracle'],
);

/**
 * Of the tests of a kernel, those of what this side of the socket does: the command's lines, options and screens, the
 * life of objects, arguments, memory, timers that are late, tunnels as systems build them. What they need of a kernel is the same in each, and the
 * other files ask each kernel for it: so they run in the newest one only, and on this machine's (CONTRIBUTING.md, What
 * runs on which kernel).
 */
const OF_THE_LIBRARY = [
  ...kernel.filter((path) => basename(path).startsWith('command-')),
  ...some(
    'kernel',
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

/** The others: what kernels say, take and refuse, which differs among them. */
const ofEachKernel = kernel.filter((path) => !OF_THE_LIBRARY.includes(path));

/** strongSwan, libreswan and OpenIKED in the lab: most of the time something is about to expire. */
const KEY_MANAGERS = some('all', 'kit', 'strongswan', 'libreswan', 'openiked', 'tunnel-stories');

/** Generates all inputs, and starts the command anew for each run of it (test/unit/random.ts, test/warm-command.ts). */
const thorough = { NETLINK_XFRM_THOROUGH: '1' };

/**
 * Of the tests of a kernel, those that run in a full kernel beside its own: several sockets and two processors are
 * what it adds. An emulated processor takes more than ten minutes for all.
 */
const ON_TWO_PROCESSORS = some('kernel', 'events', 'client', 'monitor', 'tunnel-oracle');

/**
 * Of the unit tests, those of what could differ between processors: bytes, numbers, requests and tables. The others
 * start commands and Debian's programs, fetch, or follow simulated kernels and tunnels.
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

/** What needs an option that none of Debian's kernels is built with (docs/lab.md, A full kernel). */
const BEYOND_DEBIAN = [
  'an SA of IP-TFS (RFC 9347) carries its parameters',
  'an SA of ESP in TCP (RFC 8229) says so',
  'an SA offloaded to a device says to which',
];

/**
 * A lane has
 *   name         as it is printed
 *   place        async function: the words before the command that runs it there; throws NotHere, or an error
 *                with a code LAB_… when this machine lacks what it needs
 *   files        compiled files of tests
 * and may have
 *   flags        for node
 *   env          more environment
 *   together     true if all files run in one process; else each has one of its own
 *   before       with that, a module with hooks for the tests of all files
 *   beyond       names of tests that no kernel which the lab can fetch is able to run: they are listed as such, and
 *                not as left out. One that runs after all makes the lane fail, so that the list stays true.
 *   optional     true if a machine may lack what its place needs: the lane is then named as left out, with the reason,
 *                also with CI=true, and that is no failure
 *   long         true if one test of it may take more than a few minutes
 *   waits        true if it waits more than it computes: it runs beside the others, and takes no processor's place
 *   seconds      what it may take on a machine of two processors: for the order, until a run has told (estimates.mjs)
 */
export const SETS = {
  test: [
    { name: 'kernel tests on this kernel', place: namespace, files: kernel, ...inKernel },
    { name: 'unit tests', place: here, files: files('unit'), ...together },
    inLab(undefined, CHOSEN),
    { name: 'tests of the lab', place: here, files: some('lab', 'lab') },
  ],
  all: [
    inLab('sid', [...kernel, ...files('recent')], 280, 300),
    inLab('trixie', [...ofEachKernel, ...files('recent')], 120, 100),
    inLab('bookworm', ofEachKernel, 170, 100),
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
      name: 'tests in containers',
      place: containers,
      files: files('containers'),
      optional: true,
      ...together,
      seconds: 100,
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
      seconds: 340,
    },
  ],
  // Emulated, and slow: a full kernel, and another processor.
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
