/** What the kernel supports: XFRM, protocols, algorithms, and what else it was built with. @module */
import { release } from 'node:os';
import { readXfrmStat } from '../../monitor/xfrm-stat.ts';
import { NETLINK_XFRM } from '../../netlink/constants.ts';
import { NetlinkSocket } from '../../socket/index.ts';
import { hintOf, messageOf } from './error-text.ts';
import type { Check, Examined } from './examined.ts';
import { type Finding, ok } from './finding.ts';
import {
  ALGORITHM_NAMES,
  type AlgorithmName,
  PROTOCOL_NAMES,
  type ProtocolName,
  type Trial,
} from './sa-trials.ts';

export const checkXfrm: Check = ({ kernel, held }) => {
  const id = 'kernel.xfrm';
  try {
    new NetlinkSocket({ protocol: NETLINK_XFRM, netns: held.netns }).close();
    return [ok(id, `Linux ${release()} has XFRM`, 'SAs and policies can exist and be asked for')];
  } catch (error) {
    const known = kernel.describe('XFRM_USER', 'xfrm_user');
    const missing = (error as { code?: string }).code === 'EPROTONOSUPPORT';
    return [
      {
        id,
        severity: 'error',
        found: `Linux ${release()}: ${messageOf(error)}${known && `; ${known}`}`,
        meaning: 'no program can see or set SAs and policies here',
        remedy: (missing ? undefined : hintOf(error)) ?? kernel.remedy('XFRM_USER', 'xfrm_user'),
      },
    ];
  }
};

/** Why the kernel refuses, if the protocol of an SA is the reason (net/xfrm/xfrm_state.c). */
const NO_PROTOCOL = 'EPROTONOSUPPORT';

const ABOUT: Readonly<
  Record<ProtocolName, { text: string; option: string; severity: Finding['severity'] }>
> = {
  esp4: { text: 'ESP over IPv4', option: 'INET_ESP', severity: 'error' },
  esp6: { text: 'ESP over IPv6', option: 'INET6_ESP', severity: 'warning' },
  ah4: { text: 'AH over IPv4', option: 'INET_AH', severity: 'note' },
  ah6: { text: 'AH over IPv6', option: 'INET6_AH', severity: 'note' },
  ipcomp4: { text: 'IPComp over IPv4', option: 'INET_IPCOMP', severity: 'note' },
  ipcomp6: { text: 'IPComp over IPv6', option: 'INET6_IPCOMP', severity: 'note' },
};
const MODULES: Readonly<Record<ProtocolName, string>> = {
  ...{ esp4: 'esp4', esp6: 'esp6', ah4: 'ah4', ah6: 'ah6' },
  ...{ ipcomp4: 'ipcomp', ipcomp6: 'ipcomp6' },
};

const WHERE = {
  namespace: 'in a network namespace of its own',
  'user-namespace': 'in a user namespace of its own',
} as const;

/** The kernel refuses an algorithm before it looks for the protocol. */
const isProtocolThere = (trial: Trial): boolean => trial.ok || trial.code !== NO_PROTOCOL;

export const checkProtocols: Check = ({ trials, kernel }) =>
  PROTOCOL_NAMES.map((name): Finding => {
    const id = `protocol.${name}`;
    const { text, option, severity } = ABOUT[name];
    const module = MODULES[name];
    const known = kernel.describe(option, module);
    const missing = `no SA of ${text} can exist on this kernel`;
    const remedy = kernel.remedy(option, module);
    if (trials.where === 'nowhere') {
      const found = `not tried: no network namespace can be made${known && `; ${known}`}`;
      if (kernel.option(option) === 'n') return { id, severity, found, meaning: missing, remedy };
      const meaning = kernel.option(option)
        ? 'the kernel has it'
        : 'it is unknown whether it works';
      return { id, severity: 'note', found, meaning };
    }
    const trial = trials.protocols[name];
    if (trial.ok) {
      return ok(id, `an SA of ${text} was made ${WHERE[trials.where]}`, 'such SAs can exist');
    }
    const found = `${trial.message}${known && `; ${known}`}`;
    if (!isProtocolThere(trial)) return { id, severity, found, meaning: missing, remedy };
    const meaning = `no SA of ${text} could be made`;
    return { id, severity, found, meaning, remedy: 'look for the reason: dmesg; algorithms below' };
  });

/** Which options and modules provide them. */
const PROVIDERS: Readonly<Record<AlgorithmName, readonly [option: string, module: string]>> = {
  'rfc4106(gcm(aes))': ['CRYPTO_GCM', 'gcm'],
  'cbc(aes)': ['CRYPTO_CBC', 'cbc'],
  'hmac(sha256)': ['CRYPTO_SHA256', 'sha256'],
  'hmac(sha512)': ['CRYPTO_SHA512', 'sha512'],
  'rfc7539esp(chacha20,poly1305)': ['CRYPTO_CHACHA20POLY1305', 'chacha20poly1305'],
  'hmac(sha384)': ['CRYPTO_SHA512', 'sha512'],
  'hmac(sha1)': ['CRYPTO_SHA1', 'sha1'],
  'hmac(md5)': ['CRYPTO_MD5', 'md5'],
  'cmac(aes)': ['CRYPTO_CMAC', 'cmac'],
  'xcbc(aes)': ['CRYPTO_XCBC', 'xcbc'],
  'rfc3686(ctr(aes))': ['CRYPTO_CTR', 'ctr'],
  'rfc4309(ccm(aes))': ['CRYPTO_CCM', 'ccm'],
  'rfc4543(gcm(aes))': ['CRYPTO_GCM', 'gcm'],
  'cbc(des3_ede)': ['CRYPTO_DES', 'des_generic'],
  'ecb(cipher_null)': ['CRYPTO_NULL', 'crypto_null'],
};

/** What key managers propose by default. */
const COMMON: readonly AlgorithmName[] = [
  ...(['rfc4106(gcm(aes))', 'cbc(aes)', 'hmac(sha256)', 'hmac(sha512)'] as const),
];

export const checkAlgorithms: Check = ({ trials, kernel }) => {
  if (trials.where === 'nowhere') {
    const found = 'not tried: no network namespace can be made';
    const meaning = 'it is unknown which algorithms work; /proc/crypto lists those in use';
    return [{ id: 'algorithm.common', severity: 'note', found, meaning }];
  }
  const { algorithms, where } = trials;
  const of = (id: string, names: readonly AlgorithmName[], severity: Finding['severity']) => {
    const lacking = names.filter((name) => {
      const trial = algorithms[name];
      return !trial.ok && trial.code !== NO_PROTOCOL;
    });
    const used = names.some((name) => algorithms[name].ok);
    const there = names.filter((name) => !lacking.includes(name)).join(', ');
    const how = used ? `an SA with each was made ${WHERE[where]}` : 'known, but there is no ESP';
    if (lacking.length === 0) return ok(id, `${there}: ${how}`, 'all can be used');
    const reasons = new Set(
      lacking.map((name) => (algorithms[name] as { message: string }).message),
    );
    return {
      id,
      severity,
      found: `${there && `${there}: ${how}; `}refused: ${lacking.join(', ')} (${[...reasons].join('; ')})`,
      meaning: 'SAs with these cannot be made; a peer that insists on them cannot be reached',
      remedy: kernel.remedies(new Map(lacking.map((name) => PROVIDERS[name]))),
    } satisfies Finding;
  };
  const others = ALGORITHM_NAMES.filter((name) => !COMMON.includes(name));
  return [of('algorithm.common', COMMON, 'warning'), of('algorithm.other', others, 'note')];
};

/** Options beyond the protocols, with their modules and what they are for. */
const OPTIONS: readonly [option: string, module: string, use: string][] = [
  ['XFRM_INTERFACE', 'xfrm_interface', 'xfrm interfaces'],
  ['NET_IPVTI', 'ip_vti', 'VTI'],
  ['XFRM_MIGRATE', 'xfrm_user', 'MOBIKE'],
  ['XFRM_SUB_POLICY', 'xfrm_user', 'sub-policies'],
  ['INET_ESP_OFFLOAD', 'esp4_offload', 'hardware offload, IPv4'],
  ['INET6_ESP_OFFLOAD', 'esp6_offload', 'hardware offload, IPv6'],
  ['INET_ESPINTCP', 'espintcp', 'ESP in TCP'],
  ['XFRM_IPTFS', 'xfrm_iptfs', 'IP-TFS'],
  ['NET_KEY', 'af_key', 'PF_KEY, for old key managers'],
  ['NLMON', 'nlmon', 'recording netlink with tcpdump'],
];

export const checkOptions: Check = ({ kernel, trials }) => {
  const id = 'kernel.options';
  if (kernel.path === undefined) {
    const found = 'the configuration of the kernel is not readable';
    const meaning = 'what it was built with is unknown; what was tried below counts';
    const remedy =
      'mount the host’s /boot read-only, or look there: grep XFRM /boot/config-$(uname -r)';
    return [{ id, severity: 'note', found, meaning, remedy }];
  }
  const xfrmi = trials.where !== 'nowhere' && trials.xfrmInterface.ok;
  const lacking = OPTIONS.filter(
    ([option]) => kernel.option(option) === 'n' && !(option === 'XFRM_INTERFACE' && xfrmi),
  );
  const there = OPTIONS.filter((one) => !lacking.includes(one));
  const list = (all: typeof lacking) =>
    all.map(([option, , use]) => `${option} (${use})`).join(', ');
  const found = [
    `${kernel.path}`,
    ...(there.length > 0 ? [`set: ${list(there)}`] : []),
    ...(lacking.length > 0 ? [`not set: ${list(lacking)}`] : []),
  ].join('; ');
  if (lacking.length === 0) return [ok(id, found, 'all of XFRM was built')];
  const meaning = 'what is not set cannot be used; many need none of it';
  const remedy = 'if you need it, use a kernel with it, or netlink-xfrm lab --kernel full';
  return [{ id, severity: 'note', found, meaning, remedy }];
};

export const checkStatistics: Check = async ({ held, kernel }: Examined) => {
  const id = 'kernel.statistics';
  const found = await readXfrmStat({ netns: held.netns });
  if (found === undefined) {
    const known = kernel.describe('XFRM_STATISTICS', '');
    return [
      {
        id,
        severity: 'warning',
        found: `there is no /proc/net/xfrm_stat${known && `; ${known}`}`,
        meaning: 'dropped packets are not counted, so that their reason cannot be seen',
        remedy: 'use a kernel with CONFIG_XFRM_STATISTICS, and mount /proc',
      },
    ];
  }
  const all = Object.entries(found);
  const moved = all.filter(([, value]) => value > 0n);
  if (moved.length === 0) {
    return [ok(id, `${all.length} counters, all 0`, 'no packet was dropped by IPsec')];
  }
  const list = moved.map(([name, value]) => `${name} ${value}`).join(', ');
  const meaning = 'IPsec dropped packets since this namespace was created';
  const remedy = 'see which, and whether it goes on: netlink-xfrm stat --watch';
  return [{ id, severity: 'note', found: list, meaning, remedy }];
};
