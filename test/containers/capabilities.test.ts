/**
 * docs/containers.md: what each capability and option is for, without it and with it. Podman gives capabilities to users
 * that are not root (ambient ones); `asDocker` takes them away again, as Docker and Kubernetes do not give them.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openCache } from '../../lib/lab/cache.ts';
import { prepareLab } from '../../lib/lab/index.ts';
import { probe as kernelProbe } from '../../lib/testing/index.ts';
import { root, temporary } from '../package/packed.ts';
import { podman } from './engine.ts';
import {
  buildImages,
  type Container,
  type Ended,
  idleContainer,
  listen,
  mountNamespace,
  type Namespace,
  namespace,
  runContainer,
} from './support.ts';

/** A folder that others than root may look into. */
function open(folder: string): string {
  chmodSync(folder, 0o755);
  return folder;
}

const host = await namespace();
const other = await namespace();
after(() => Promise.all([host.close(), other.close()]));
/** A folder like /run/netns, in which `other` is called vpn. */
const named = open(temporary());
before(async () => {
  mountNamespace(other, join(named, 'vpn'));
  await buildImages();
});

const POLICY = ['src', '10.9.0.0/16', 'dst', '10.8.0.0/16', 'dir', 'out'];
const NEWPOLICY = /NEWPOLICY out 10\.9\.0\.0\/16 > 10\.8\.0\.0\/16/;
const changePolicies = (of: Namespace = host) => {
  of.run('ip', 'xfrm', 'policy', 'add', ...POLICY);
  of.run('ip', 'xfrm', 'policy', 'flush');
};

/** A container without any capability but those given, in the namespace `host`. */
const container = (args: string, ...options: string[]): Container => ({
  options: ['--cap-drop=ALL', `--network=${host.network}`, ...options],
  args: args.split(' '),
});
const NET_ADMIN = '--cap-add=NET_ADMIN';
const ROOT = '--user=0';

const PROGRAM = '/app/node_modules/netlink-xfrm/bin/netlink-xfrm.js';
/** The same without ambient capabilities. */
const asDocker = ({ options = [], args, ...rest }: Container): Container => ({
  ...rest,
  options: [...options, '--entrypoint=setpriv'],
  args: ['--ambient-caps=-all', '--inh-caps=-all', 'env', 'node', PROGRAM, ...args],
});
const fromFile = (of: Container): Container => ({ ...of, image: 'netlink-xfrm:file-capability' });

function refused({ status, stderr }: Ended, reason: RegExp): void {
  assert.match(stderr, reason);
  assert.equal(status, 3);
}
const succeeds = async (of: Container) => {
  const { status, stderr } = await runContainer(of);
  assert.equal(stderr, '');
  assert.equal(status, 0);
};
const MONITOR = 'monitor policy --count 1';
const hears = async (of: Container, there: Namespace = host) => {
  const heard = await listen(of, () => changePolicies(there));
  assert.match(heard.stdout, NEWPOLICY, heard.stderr);
  assert.equal(heard.status, 0);
  return heard;
};

test('subscribing to XFRM groups takes NET_ADMIN, which also forces the receive buffer', async () => {
  refused(await runContainer(container(MONITOR)), /EPERM[\s\S]*--cap-add NET_ADMIN/);
  const { stderr } = await hears(container(MONITOR, NET_ADMIN));
  assert.match(stderr, /receive buffer 65536 KiB\)/);
});

test('rtnetlink takes no capability, and gets the receive buffer that rmem_max allows', async () => {
  const addLink = () => host.run('ip', 'link', 'add', 'd0', 'type', 'veth');
  const heard = await listen(container('monitor link --count 1'), addLink);
  assert.match(heard.stdout, /NEWLINK +veth0/);
  assert.match(heard.stderr, /receive buffer \d+ KiB; 65536 KiB requested/);
});

test('listing takes NET_ADMIN', async () => {
  for (const args of ['state', 'policy', 'tunnels', 'wait --for up 192.0.2.1 --timeout 1s']) {
    refused(await runContainer(container(args)), /EPERM[\s\S]*--cap-add NET_ADMIN/);
  }
  for (const args of ['state', 'policy', 'tunnels']) await succeeds(container(args, NET_ADMIN));
});

test('check, a plugin, says UNKNOWN without NET_ADMIN', async () => {
  const { status, stdout } = await runContainer(container('check'));
  assert.match(stdout, /UNKNOWN.*EPERM/);
  assert.equal(status, 3);
  const privileged = await runContainer(container('check --none ok', NET_ADMIN));
  assert.match(privileged.stdout, /^TUNNELS OK/);
  assert.equal(privileged.status, 0);
});

test('doctor says the same of the kernel in a container, and that listening takes NET_ADMIN', async () => {
  type Found = { id: string; severity: string; found: string };
  const examine = async (...options: string[]) => {
    const { status, stdout, stderr } = await runContainer(container('doctor --json', ...options));
    assert.equal(stderr, '');
    const all = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Found);
    const of = (id: string) => all.find((one) => one.id === id) ?? assert.fail(id);
    return { status, of };
  };
  const bare = await examine();
  assert.equal(bare.status, 3);
  assert.equal(bare.of('permission.events').severity, 'error');
  assert.match(bare.of('addon.file').found, /, prebuilt: /);
  const able = await examine(NET_ADMIN, '--cap-add=SYS_ADMIN', ROOT);
  assert.equal(able.of('permission.events').severity, 'ok');
  assert.equal(able.of('permission.namespaces').severity, 'ok');
  // What was tried there is what the kernel has here.
  const { esp } = (await kernelProbe()).features;
  assert.equal(able.of('protocol.esp4').severity, esp.ok ? 'ok' : 'error');
});

test('no capability over the namespace of the host in a user namespace of one’s own', async () => {
  const own = ['--uidmap=0:100000:65536', '--gidmap=0:100000:65536'];
  const options = ['--cap-drop=ALL', NET_ADMIN, ROOT, ...own];
  const shared = { options: [...options, `--network=${host.network}`], args: ['state'] };
  refused(await runContainer(shared), /EPERM/);
  const listening = { options: [...options, '--network=none'], args: ['state'] };
  await succeeds(listening);
});

test('the namespaces of a mounted folder take SYS_ADMIN', async () => {
  const mount = `--volume=${named}:/run/netns:ro`;
  const args = 'state --netns vpn';
  refused(await runContainer(container(args, NET_ADMIN, mount)), /setns EPERM[\s\S]*CAP_SYS_ADMIN/);
  await succeeds(container(args, NET_ADMIN, '--cap-add=SYS_ADMIN', mount));
  const all = `${MONITOR} --all-netns`;
  refused(await runContainer(container(all, NET_ADMIN, mount)), /setns EPERM[\s\S]*CAP_SYS_ADMIN/);
  await hears(container(all, NET_ADMIN, '--cap-add=SYS_ADMIN', mount), other);
});

test('the network of another container takes NET_ADMIN', async () => {
  const vpn = await idleContainer('vpn');
  const options = ['--cap-drop=ALL', '--network=container:vpn'];
  const args = MONITOR.split(' ');
  refused(await runContainer({ options, args }), /EPERM/);
  await hears({ options: [...options, NET_ADMIN], args }, vpn);
});

test('the namespace of a process takes --pid=host, SYS_ADMIN and SYS_PTRACE', async () => {
  const args = `state --netns /proc/${other.pid}/ns/net`;
  const options = [NET_ADMIN, '--cap-add=SYS_ADMIN'];
  assert.match((await runContainer(container(args, ...options))).stderr, /ENOENT/);
  options.push('--pid=host');
  refused(await runContainer(container(args, ...options)), /EACCES[\s\S]*CAP_SYS_PTRACE/);
  await succeeds(container(args, ...options, '--cap-add=SYS_PTRACE'));
});

test('--who takes --pid=host and SYS_PTRACE, of a user that is not root also DAC_READ_SEARCH', async () => {
  const folder = temporary();
  const program = join(folder, 'act.mjs');
  const library = (name: string) => join(root, `dist/lib/${name}.js`);
  writeFileSync(
    program,
    `import { NETLINK_XFRM, XFRM_MSG_FLUSHPOLICY } from ${JSON.stringify(library('constants'))};
import { NetlinkSocket } from ${JSON.stringify(library('socket'))};
const socket = new NetlinkSocket({ protocol: NETLINK_XFRM });
socket.bind();
const request = new DataView(new ArrayBuffer(16));
request.setUint32(0, 16, true);
request.setUint16(4, XFRM_MSG_FLUSHPOLICY, true);
request.setUint16(6, 1, true);
request.setUint32(12, socket.portId, true);
socket.send(new Uint8Array(request.buffer));
// Keeps it open: what nothing refers to may be collected.
process.stdin.on('data', () => socket.close());
`,
  );
  const who = async (...options: string[]) => {
    const enter = [`--net=/proc/${host.pid}/ns/net`, process.execPath, program];
    let actor: ReturnType<typeof spawn> | undefined;
    const { stdout, stderr } = await listen(
      container('monitor policy kind=FLUSHPOLICY --count 1 --who', NET_ADMIN, ...options),
      () => {
        host.run('ip', 'xfrm', 'policy', 'add', ...POLICY);
        actor = spawn('nsenter', enter, { stdio: ['pipe', 'ignore', 2] });
      },
    );
    actor?.kill();
    assert.match(stdout, /FLUSHPOLICY/, stderr);
    return stdout;
  };
  const unknown = /claimed by unknown/;
  const found = /claimed by node\[\d+\]/;
  const [pid, ptrace] = ['--pid=host', '--cap-add=SYS_PTRACE'];
  assert.match(await who(ROOT, ptrace), unknown);
  assert.match(await who(ROOT, pid), unknown);
  assert.match(await who(ROOT, pid, ptrace), found);
  // /proc/PID/fd is a folder that its owner alone may read.
  assert.match(await who(pid, ptrace), unknown);
  assert.match(await who(pid, ptrace, '--cap-add=DAC_READ_SEARCH'), found);
});

test('a user that is not root has the capability from the engine, or else from the file of node', async () => {
  await succeeds(container('state', NET_ADMIN));
  await succeeds(container('state', NET_ADMIN, '--security-opt=no-new-privileges'));
  // Docker
  refused(await runContainer(asDocker(container('state', NET_ADMIN))), /EPERM/);
  await succeeds(fromFile(asDocker(container('state', NET_ADMIN))));
  await hears(fromFile(asDocker(container(MONITOR, NET_ADMIN))));
  await succeeds(asDocker(container('state', NET_ADMIN, ROOT)));
  // What the file gives is lost, or not had.
  const bound = container('state', NET_ADMIN, '--security-opt=no-new-privileges');
  refused(await runContainer(fromFile(asDocker(bound))), /EPERM/);
  const without = await runContainer(fromFile(container('--version')));
  assert.match(without.stderr, /operation not permitted/i);
  assert.notEqual(without.status, 0);
});

test('root without a capability may nothing of this', async () => {
  refused(await runContainer(container('state', ROOT)), /EPERM/);
});

test('a read-only root file system, no new privileges and NET_ADMIN are enough for a monitor', async () => {
  const options = ['--read-only', '--read-only-tmpfs=false', '--security-opt=no-new-privileges'];
  const limits = ['--pids-limit=64', '--memory=256m'];
  await hears(container(MONITOR, NET_ADMIN, ...options, ...limits));
});

test('stopping the container ends the monitor in order', async () => {
  const { stderr, status } = await listen(
    container('monitor policy', NET_ADMIN, '--name=ends', '--init=false'),
    () => void podman('stop', '--time=60', 'ends'),
  );
  assert.match(stderr, /0 events, nothing lost/);
  assert.equal(status, 0);
});

test('replay takes no capability, no network and no root', async () => {
  const folder = open(temporary());
  writeFileSync(join(folder, 'recording'), '');
  const options = [
    '--cap-drop=ALL',
    '--network=none',
    '--read-only',
    `--volume=${folder}:/data:ro`,
  ];
  await succeeds({ options, args: ['replay', '/data/recording'] });
});

test('the lab takes no capability, and a place that programs may be run from', async () => {
  await prepareLab();
  const cache = openCache();
  const lab = (cacheOptions: string, ...tmp: string[]) =>
    runContainer({
      options: [
        ...['--cap-drop=ALL', '--network=none', '--read-only', '--read-only-tmpfs=false', ROOT],
        ...['--security-opt=no-new-privileges', `--volume=${cache}:${cache}${cacheOptions}`],
        ...[`--env=NETLINK_XFRM_CACHE=${cache}`, ...tmp],
      ],
      args: ['lab', '--', 'cat', '/proc/sys/kernel/ostype'],
    });
  for (const tmp of ['exec', 'noexec']) {
    const { stdout, stderr, status } = await lab('', `--tmpfs=/tmp:${tmp},size=1g`);
    assert.equal(stdout, 'Linux\n', stderr);
    assert.equal(status, 0);
  }
  refused(await lab(':noexec', '--tmpfs=/tmp:exec,size=1g'), /The cache .* is mounted noexec/);
});

/** Two hosts in namespaces of their own reach each other. */
const SCRIPT = `
  const { ping, probe, twoHosts } = await import('/app/node_modules/netlink-xfrm/dist/lib/testing/index.js');
  const { features } = await probe();
  const lacking = Object.keys(features).filter((name) => !features[name].ok && features[name].code === 'EPERM');
  const hosts = await twoHosts();
  const { received } = await ping(hosts.left, hosts.right);
  const { items } = await hosts.left.route.listLinks();
  await hosts[Symbol.asyncDispose]();
  console.log(JSON.stringify({ received, lacking, links: items.map(({ name }) => name) }));
`;
const kit = (...options: string[]): Container => ({
  options: ['--cap-drop=ALL', '--network=none', '--entrypoint=node', ...options],
  args: ['--input-type=module', '-e', SCRIPT],
});

test('the testing kit takes SYS_ADMIN and NET_ADMIN, to look at the wire NET_RAW', async () => {
  const caps = ['--cap-add=SYS_ADMIN', NET_ADMIN, ROOT];
  const without = await runContainer(kit(NET_ADMIN, ROOT));
  assert.notEqual(without.status, 0);
  assert.match(without.stderr, /unshare EPERM.*CAP_SYS_ADMIN/);
  const { status, stdout, stderr } = await runContainer(kit(...caps));
  assert.equal(status, 0, stderr);
  assert.deepEqual(JSON.parse(stdout), { received: 3, lacking: ['wire'], links: ['lo', 'cable'] });
  const all = await runContainer(kit(...caps, '--cap-add=NET_RAW'));
  assert.deepEqual(JSON.parse(all.stdout), { received: 3, lacking: [], links: ['lo', 'cable'] });
});

test('in a user namespace the testing kit takes no capability', async () => {
  const { status, stdout, stderr } = await runContainer({
    options: [
      '--cap-drop=ALL',
      '--network=none',
      '--security-opt=seccomp=unconfined',
      '--entrypoint=unshare',
    ],
    args: ['--user', '--map-root-user', '--net', 'node', '--input-type=module', '-e', SCRIPT],
  });
  assert.equal(status, 0, stderr);
  assert.deepEqual(JSON.parse(stdout), { received: 3, lacking: [], links: ['lo', 'cable'] });
});
