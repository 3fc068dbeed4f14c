/** The checks of `doctor`, on what kernels, containers and hosts of various kinds show. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import pc from 'picocolors';
import type { Finding } from '../../lib/cli/doctor/finding.ts';
import { checkAlgorithms, checkOptions, checkProtocols } from '../../lib/cli/doctor/kernel.ts';
import {
  type KernelConfig,
  parseKernelConfig,
  parseModules,
} from '../../lib/cli/doctor/kernel-config.ts';
import { listenerFindings, parseListeners } from '../../lib/cli/doctor/listeners.ts';
import { objectFindings, offloadDevices, offloadFinding } from '../../lib/cli/doctor/objects.ts';
import {
  bufferFinding,
  effectiveCapabilities,
  isInitialUserNamespace,
  lockdownMode,
  namespaceRemedy,
} from '../../lib/cli/doctor/permissions.ts';
import {
  ALGORITHM_NAMES,
  PROTOCOL_NAMES,
  type Trial,
  type Trials,
} from '../../lib/cli/doctor/sa-trials.ts';
import {
  exemptInterfaces,
  forwarding,
  reversePath,
  xfrmSysctls,
} from '../../lib/cli/doctor/sysctls.ts';
import { formatFinding } from '../../lib/cli/doctor.ts';
import type { XfrmPolicy, XfrmState } from '../../lib/xfrm.ts';

const plain = pc.createColors(false);

const byId = (all: readonly Finding[], id: string): Finding =>
  all.find((one) => one.id === id) ?? assert.fail(id);
/** Everything that is not in order says what mends it. */
const mended = (all: readonly Finding[]) => {
  for (const { id, severity, remedy } of all) {
    if (severity === 'warning' || severity === 'error') assert(remedy, id);
  }
};

test('a kernel configuration, and lists of modules, in the forms in which kernels have them', () => {
  const config = parseKernelConfig(
    '# CONFIG_INET_AH is not set\nCONFIG_INET_ESP=m\nCONFIG_XFRM=y\nCONFIG_HZ=250\n',
  );
  assert.deepEqual(
    [...config],
    [
      ['INET_ESP', 'm'],
      ['XFRM', 'y'],
    ],
  );
  const dep =
    'kernel/net/ipv4/esp4.ko.zst: kernel/net/xfrm/xfrm_algo.ko\nkernel/net/esp4-offload.ko:\n';
  assert.deepEqual([...parseModules(dep)], ['esp4', 'esp4_offload']);
  assert.deepEqual(
    [...parseModules('esp4 28672 0 - Live 0x0\nxfrm_user 1 0 - Live\n')],
    ['esp4', 'xfrm_user'],
  );
});

const yes: Trial = { ok: true };
const noType: Trial = { ok: false, code: 'EPROTONOSUPPORT', message: 'Requested type not found' };
const noAlgorithm: Trial = {
  ok: false,
  code: 'ENOSYS',
  message: 'Requested AEAD algorithm not found',
};

function tried(protocol: Trial, algorithm: Trial): Trials {
  const of = <Name extends string>(names: readonly Name[], trial: Trial) =>
    Object.fromEntries(names.map((name) => [name, trial])) as Record<Name, Trial>;
  return {
    where: 'namespace',
    protocols: of(PROTOCOL_NAMES, protocol),
    algorithms: of(ALGORITHM_NAMES, algorithm),
    xfrmInterface: yes,
  };
}

function kernel(options: Readonly<Record<string, 'y' | 'm' | 'n'>> | undefined): KernelConfig {
  return {
    path: options && '/boot/config',
    option: (name: string) => options && (options[name] ?? 'n'),
    describe: (name: string) => (options ? `CONFIG_${name}=${options[name] ?? 'n'}` : ''),
    remedy: (name: string, module: string) => `${name} ${module}`,
    remedies: (wanted: ReadonlyMap<string, string>) => [...wanted.keys()].join(),
  } as unknown as KernelConfig;
}
const examined = (trials: Trials, config = kernel({})) =>
  ({ trials, kernel: config, inContainer: false }) as never;
const nowhere: Trials = { where: 'nowhere', reason: 'unshare EPERM', userReason: 'also' };

test('a protocol works if an SA was made, and is missing if the kernel says so', async () => {
  const all = await checkProtocols(examined(tried(yes, yes)));
  assert.deepEqual(
    all.map(({ severity }) => severity),
    PROTOCOL_NAMES.map(() => 'ok'),
  );
  const none = await checkProtocols(examined(tried(noType, yes)));
  assert.deepEqual(
    none.map(({ id, severity }) => [id, severity]),
    [
      ['protocol.esp4', 'error'],
      ['protocol.esp6', 'warning'],
      ...['ah4', 'ah6', 'ipcomp4', 'ipcomp6'].map((name) => [`protocol.${name}`, 'note']),
    ],
  );
  assert.equal(none[0]?.remedy, 'INET_ESP esp4');
  mended(none);
  // No algorithm is not no protocol.
  const [esp4] = await checkProtocols(examined(tried(noAlgorithm, yes)));
  assert.match(esp4?.meaning ?? '', /could be made/);
});

test('what could not be tried is judged by the configuration, or unknown', async () => {
  const built = await checkProtocols(examined(nowhere, kernel({ INET_ESP: 'm' })));
  assert.deepEqual([built[0]?.severity, built[0]?.meaning], ['note', 'the kernel has it']);
  assert.equal(built[1]?.severity, 'warning');
  const unknown = await checkProtocols(examined(nowhere, kernel(undefined)));
  assert(
    unknown.every(({ severity, meaning }) => severity === 'note' && meaning.includes('unknown')),
  );
  const [algorithms] = await checkAlgorithms(examined(nowhere));
  assert.match(algorithms?.found ?? '', /^not tried/);
  const [options] = await checkOptions(examined(nowhere, kernel(undefined)));
  assert.match(options?.found ?? '', /not readable/);
});

test('algorithms: those proposed by default matter more; a missing ESP does not hide them', async () => {
  const [common, other] = await checkAlgorithms(examined(tried(noType, noAlgorithm)));
  assert.deepEqual([common?.severity, other?.severity], ['warning', 'note']);
  assert.equal(common?.remedy, 'CRYPTO_GCM,CRYPTO_CBC,CRYPTO_SHA256,CRYPTO_SHA512');
  const known = await checkAlgorithms(examined(tried(noType, noType)));
  assert(known.every(({ severity, found }) => severity === 'ok' && /there is no ESP$/.test(found)));
});

test('capabilities, user namespaces and lockdown, as /proc and /sys write them', () => {
  assert.deepEqual(effectiveCapabilities('CapInh:\t0\nCapEff:\t0000000000003000\n'), [
    'NET_ADMIN',
    'NET_RAW',
  ]);
  assert.deepEqual(effectiveCapabilities('CapEff:\t000001ffffffffff\n').length, 4);
  assert.deepEqual(effectiveCapabilities(''), []);
  assert(isInitialUserNamespace('         0          0 4294967295'));
  assert(!isInitialUserNamespace('         0       1000          1'));
  assert.equal(lockdownMode('none integrity [confidentiality]'), 'confidentiality');
  assert.equal(lockdownMode(''), undefined);
  const only = (path: string, value: string) => (asked: string) =>
    asked === path ? value : undefined;
  assert.match(
    namespaceRemedy(only('/proc/sys/user/max_user_namespaces', '0')),
    /max_user_namespaces=/,
  );
  assert.match(
    namespaceRemedy(only('/proc/sys/kernel/apparmor_restrict_unprivileged_userns', '1')),
    /apparmor/,
  );
  assert.match(
    namespaceRemedy(() => undefined),
    /sudo/,
  );
});

test('a receive buffer that is smaller than asked for', () => {
  assert.equal(bufferFinding(64 * 2 ** 20, '212992').severity, 'ok');
  const small = bufferFinding(212_992, '212992');
  assert.equal(small.found, '208 KiB granted of 65536 (net.core.rmem_max 212992)');
  assert.match(small.remedy ?? '', /sysctl -w net\.core\.rmem_max=67108864/);
});

const setting = (all: Readonly<Record<string, string>>) => (name: string) => all[name];
const eth0 = { name: 'eth0', kind: undefined, loopback: false };
const lo = { name: 'lo', kind: undefined, loopback: true };
const vti = { name: 'vti1', kind: 'vti', loopback: false };

test('settings that are not the kernel’s defaults', () => {
  const usual = { 'core/xfrm_acq_expires': '30', 'core/xfrm_larval_drop': '1' };
  assert.equal(xfrmSysctls(setting(usual)).severity, 'ok');
  const changed = xfrmSysctls(setting({ ...usual, 'core/xfrm_larval_drop': '0' }));
  assert.equal(changed.severity, 'note');
  assert.match(changed.remedy ?? '', /sysctl -w net\.core\.xfrm_larval_drop=1$/);
  assert.match(xfrmSysctls(() => undefined).found, /not visible/);
});

test('interfaces that are exempt from IPsec; the loopback and VTIs are on purpose', () => {
  const read = setting({
    'ipv4/conf/all/disable_xfrm': '0',
    ...{ 'ipv4/conf/lo/disable_xfrm': '1', 'ipv4/conf/vti1/disable_policy': '1' },
    'ipv4/conf/eth0/disable_xfrm': '1',
  });
  const found = exemptInterfaces(read, [lo, vti, eth0]);
  assert.equal(found.severity, 'warning');
  assert.match(found.found, /^net\.ipv4\.conf\.eth0\.disable_xfrm = 1$/);
  assert.equal(exemptInterfaces(read, [lo, vti]).severity, 'ok');
  for (const check of [exemptInterfaces, reversePath]) {
    assert.match(check(() => undefined, [eth0]).meaning, /unknown/);
  }
});

test('forwarding matters where policies forward; strict reverse paths matter most for tunnel links', () => {
  const off = setting({ 'ipv4/ip_forward': '0', 'ipv6/conf/all/forwarding': '0' });
  assert.equal(forwarding(off, undefined).severity, 'ok');
  const gateway = forwarding(off, { inet: true, inet6: false });
  assert.equal(gateway.remedy, 'on a gateway: sysctl -w net.ipv4.ip_forward=1');
  const strict = setting({ 'ipv4/conf/all/rp_filter': '1' });
  assert.equal(reversePath(strict, [lo, eth0]).severity, 'note');
  assert.equal(reversePath(strict, [lo, eth0, vti]).severity, 'warning');
  const loose = setting({ 'ipv4/conf/all/rp_filter': '1', 'ipv4/conf/eth0/rp_filter': '2' });
  assert.equal(reversePath(loose, [lo, eth0]).severity, 'ok');
});

/** charon, this command, the kernel, and a socket of rtnetlink, on Linux 6.18. */
const TABLE = `sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode
0000000000a1c9d9 6   0          00000000 0        0        0     2        0        563
00000000a1b2c3d4 6   812        000000c3 0        0        0     2        0        20001
00000000a1b2c3d5 6   4026532001 0000000e 0        0        0     2        7        20002
00000000a1b2c3d6 6   900        00000000 0        0        0     2        0        20003
00000000a1b2c3d7 0   812        000000c3 0        0        0     2        0        20004
`;

test('who listens, and who lost events, from the table of netlink sockets', () => {
  const listeners = parseListeners(TABLE);
  assert.deepEqual(listeners, [
    { portId: 812, groups: ['acquire', 'expire', 'migrate', 'mapping'], drops: 0 },
    { portId: 4026532001, groups: ['expire', 'sa', 'policy'], drops: 7 },
  ]);
  const [first, second] = listeners;
  assert(first && second);
  const charon = { pid: 812, name: 'char\x1bon', startTime: 1, inode: 20001 };
  const found = listenerFindings(
    [
      { ...first, owner: charon },
      { ...second, owner: undefined },
    ],
    false,
    5,
  );
  assert.equal(
    byId(found, 'listener.key-managers').found,
    'char\\x1bon[812] (acquire expire migrate mapping)',
  );
  assert.equal(byId(found, 'listener.others').found, 'port 4026532001 (expire sa policy)');
  assert.equal(byId(found, 'listener.drops').severity, 'warning');
  mended(found);
  const two = listenerFindings(
    [
      { ...first, owner: charon },
      { ...first, owner: undefined },
    ],
    false,
    5,
  );
  assert.equal(byId(two, 'listener.key-managers').severity, 'note');
  const none = byId(listenerFindings([], false, 1), 'listener.key-managers');
  assert.deepEqual(
    [none.severity, none.found],
    ['warning', 'none, and 1 outbound policy needs SAs'],
  );
  for (const wanted of [0, undefined]) {
    assert.equal(byId(listenerFindings([], false, wanted), 'listener.key-managers').severity, 'ok');
  }
  assert.equal(byId(listenerFindings([], true, 1), 'listener.key-managers').severity, 'ok');
});

const selector = { saddr: '0.0.0.0', prefixlenS: 0, daddr: '10.0.0.0', prefixlenD: 8 };
const policy = { dir: 'out', action: 'allow', selector, templates: [] } as unknown as XfrmPolicy;
const state = { proto: 'esp', spi: 1, aead: {}, offload: undefined } as unknown as XfrmState;

test('SAs and policies that hinder', () => {
  const well = objectFindings([state], [policy], undefined);
  assert(well.every(({ severity }) => severity === 'ok'));
  const found = objectFindings(
    [state, { ...state, spi: 0 }],
    [policy, { ...policy, action: 'block' }],
    { in: 'accept', fwd: 'block', out: 'block' } as never,
  );
  assert.equal(byId(found, 'object.without-spi').severity, 'warning');
  assert.match(
    byId(found, 'object.block').found,
    /^1 policies block packets: out 0\.0\.0\.0\/0 > 10\.0\.0\.0\/8$/,
  );
  assert.match(byId(found, 'object.default').remedy ?? '', /setdefault fwd accept out accept$/);
  mended(found);
});

test('offload: of whole packets the device counts', () => {
  const to = (names: string[]) =>
    ({ ...state, offload: { ifindex: 2, flags: { mask: 0, names } } }) as unknown as XfrmState;
  assert.equal(offloadFinding([state], String).severity, 'ok');
  assert.equal(
    offloadFinding([to(['inbound'])], () => 'eth0').found,
    '1 SAs on eth0, 0 of them for whole packets',
  );
  assert.equal(offloadFinding([to(['packet'])], () => 'eth0').severity, 'note');
  const features = new Map([
    ['eth0', 'Features for eth0:\nesp-hw-offload: on\n'],
    ['eth1', 'Features for eth1:\nesp-hw-offload: off [fixed]\nesp-tx-csum-hw-offload: on\n'],
  ]);
  assert.deepEqual(offloadDevices(features), ['eth0']);
});

test('a finding in 60 columns: one that is in order is only what was found', () => {
  const finding: Finding = {
    ...{ id: 'a.b', severity: 'warning', found: 'some\x1bthing', meaning: 'this' },
    remedy: `do ${'that '.repeat(12).trim()}`,
  };
  assert.deepEqual(formatFinding(finding, plain, 60), [
    'warning a.b: some\\x1bthing',
    '          this',
    '          → do that that that that that that that that that',
    '          that that that',
  ]);
  assert.deepEqual(formatFinding({ ...finding, severity: 'ok' }, plain, 60), [
    'ok      a.b: some\\x1bthing',
  ]);
});
