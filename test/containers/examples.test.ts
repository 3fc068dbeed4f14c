/**
 * The suites of examples/testing/ in containers: with every privilege, with the capabilities of docs/containers.md, in a
 * user namespace, each on this kernel as far as it goes; and in the lab, which takes no capability.
 */
import assert from 'node:assert/strict';
import { chmodSync } from 'node:fs';
import { before, test } from 'node:test';
import { openCache } from '../../lib/lab/cache.ts';
import { prepareLab } from '../../lib/lab/index.ts';
import { RUN, type Suites, suites } from '../package/suites.ts';
import { buildImages, type Ended, runContainer } from './support.ts';

const LIBRARY = '/app/node_modules/netlink-xfrm';
const COMMAND = `${LIBRARY}/bin/netlink-xfrm.js`;

before(buildImages);

/** The suites, for one user of a container. */
async function copy(): Promise<Suites> {
  const made = await suites(LIBRARY);
  // Vitest writes next to them.
  for (const folder of [made.folder, `${made.folder}/node_modules`]) chmodSync(folder, 0o777);
  return made;
}

/** Runs a command in the folder of the suites. */
function inContainer(
  { folder, runners }: Suites,
  options: readonly string[],
  ...command: readonly string[]
): Promise<Ended> {
  const [entry = '', ...args] = command;
  const volumes = [`--volume=${folder}:${folder}`, `--volume=${runners}:${runners}:ro`];
  const env = ['--env=NO_COLOR=1', '--env=HOME=/tmp'];
  const place = [`--workdir=${folder}`, `--entrypoint=${entry}`, '--network=none'];
  return runContainer({ options: [...place, ...volumes, ...env, ...options], args });
}

const PRIVATE = ['unshare', '--user', '--map-root-user', '--net'];

for (const [where, options, prefix] of [
  ['a privileged container', ['--privileged', '--user=0'], []],
  [
    'a container with SYS_ADMIN, NET_ADMIN and NET_RAW',
    [
      ...['--user=0', '--cap-drop=ALL'],
      ...['--cap-add=SYS_ADMIN', '--cap-add=NET_ADMIN', '--cap-add=NET_RAW'],
    ],
    [],
  ],
  [
    'a container without privilege, in a user namespace',
    ['--cap-drop=ALL', '--security-opt=seccomp=unconfined'],
    PRIVATE,
  ],
] as const) {
  test(`the suites of the examples pass in ${where}`, async () => {
    const made = await copy();
    const run = (...command: readonly string[]) =>
      inContainer(made, options, ...prefix, ...command);
    const probed = await run('node', COMMAND, 'probe', '--json');
    const { features } = JSON.parse(probed.stdout || assert.fail(probed.stderr));
    for (const name of ['namespaces', 'xfrm', 'veth', 'wire', 'programs']) {
      assert.deepEqual(features[name], { ok: true }, name);
    }
    const esp = features.esp.ok;
    const outcome = esp ? 'passed' : 'skipped';
    for (const [runner, expected] of [
      ['node', esp ? /^# pass 1$/m : /^# skipped 1$/m],
      ['vitest', new RegExp(`Tests +4 ${outcome}`)],
      ['jest', new RegExp(`Tests: +4 ${outcome}, 4 total`)],
    ] as const) {
      const { status, stdout, stderr } = await run(...RUN[runner]);
      assert.match(stdout + stderr, expected, runner);
      assert.equal(status, 0, stderr);
    }
  });
}

test('the suites of the examples pass in a container without privilege, in the lab', async () => {
  await prepareLab();
  const cache = openCache();
  const made = await copy();
  const options = [
    ...['--cap-drop=ALL', '--user=0', '--security-opt=no-new-privileges'],
    ...[`--volume=${cache}:${cache}`, `--env=NETLINK_XFRM_CACHE=${cache}`],
    '--tmpfs=/tmp:exec,size=3g',
  ];
  const run = ['node', COMMAND, 'test', '--'];
  for (const [runner, expected] of [
    ['vitest', /Tests +4 passed/],
    ['jest', /Tests: +4 passed, 4 total/],
  ] as const) {
    const { status, stdout, stderr } = await inContainer(made, options, ...run, ...RUN[runner]);
    assert.match(stdout + stderr, expected);
    assert.match(stderr, /in the lab kernel \(this one: no namespaces: unshare EPERM/);
    assert.equal(status, 0, stderr);
  }
});
