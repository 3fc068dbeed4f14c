/** What this process may do: capabilities, namespaces, limits, lockdown. @module */
import { GET_NET_ADMIN } from '../../base/net-admin.ts';
import { Subscription } from '../../monitor/subscribe.ts';
import { hintOf, messageOf } from './error-text.ts';
import { type Check, readHere } from './examined.ts';
import { type Finding, ok } from './finding.ts';

/** Their bits (linux/capability.h), and what they are for here. */
const CAPABILITIES = {
  NET_ADMIN: [12, 'listening, listing, a large receive buffer'],
  SYS_ADMIN: [21, '--netns, tests'],
  SYS_PTRACE: [19, '--who, --netns /proc/PID/ns/net'],
  NET_RAW: [13, 'looking at packets in tests'],
} as const satisfies Readonly<Record<string, readonly [bit: number, use: string]>>;

/** The effective ones of {@link CAPABILITIES} in /proc/PID/status. */
export function effectiveCapabilities(status: string): (keyof typeof CAPABILITIES)[] {
  const mask = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
  const all = Object.entries(CAPABILITIES) as [
    keyof typeof CAPABILITIES,
    readonly [number, string],
  ][];
  return all.flatMap(([name, [bit]]) => ((mask >> BigInt(bit)) & 1n ? [name] : []));
}

/** Whether a uid_map is that of the initial user namespace: all of the 2^32 - 1 user ids. */
export const isInitialUserNamespace = (map: string): boolean =>
  /^\s*0\s+0\s+4294967295\s*$/.test(map);

export const checkCapabilities: Check = () => {
  const id = 'permission.capabilities';
  const status = readHere('/proc/self/status');
  if (status === undefined) {
    const meaning = 'which capabilities this process has is unknown';
    const remedy = 'mount /proc: mount -t proc proc /proc';
    return [{ id, severity: 'note', found: 'there is no /proc/self/status', meaning, remedy }];
  }
  const has = effectiveCapabilities(status);
  const map = readHere('/proc/self/uid_map');
  const initial = map === undefined || isInitialUserNamespace(map);
  const user = `user ${process.getuid?.()}${initial ? '' : ' in a user namespace'}`;
  const found = `${user}: ${has.length > 0 ? has.map((one) => `CAP_${one}`).join(', ') : 'none that matters here'}`;
  const lacking = Object.entries(CAPABILITIES).filter(([name]) => !has.includes(name as never));
  if (lacking.length === 0 && initial) return [ok(id, found, 'everything is permitted')];
  const without = lacking.map(([name, [, use]]) => `without CAP_${name}: no ${use}`);
  if (!initial) without.push('they apply to this user namespace and what belongs to it');
  const meaning = without.join('; ');
  const remedy = 'run it with sudo; or see docs/containers.md for each capability';
  return [{ id, severity: 'note', found, meaning, remedy }];
};

/** Bytes of receive buffer that monitors ask for. */
const BUFFER = 64 * 2 ** 20;

/** Listening, and how much of the receive buffer is granted. Groups are joined for a moment. */
export const checkEvents: Check = ({ held, netns }): Finding[] => {
  const id = 'permission.events';
  const where = netns === undefined ? 'this network namespace' : netns;
  const most = readHere('/proc/sys/net/core/rmem_max');
  try {
    const events = new Subscription({
      groups: ['sa', 'policy', 'expire'],
      netns: held.netns,
      receiveBufferSize: BUFFER,
    });
    const [socket] = events.sockets;
    events.close();
    const listening = ok(
      id,
      `the groups of SAs and policies can be joined in ${where}`,
      'SAs and policies can be listed and followed',
    );
    // The kernel reports twice what it granted (net/core/sock.c).
    const granted = (socket?.receiveBufferSize ?? 0) / 2;
    return [listening, bufferFinding(granted, most)];
  } catch (error) {
    const meaning = 'SAs, policies and tunnels cannot be listed or followed';
    const remedy = hintOf(error) ?? GET_NET_ADMIN;
    return [{ id, severity: 'error', found: messageOf(error), meaning, remedy }];
  }
};

/** @param granted bytes @param most net.core.rmem_max */
export function bufferFinding(granted: number, most: string | undefined): Finding {
  const id = 'limit.receive-buffer';
  const limit = most === undefined ? '' : ` (net.core.rmem_max ${most})`;
  const found = `${Math.floor(granted / 1024)} KiB granted of ${BUFFER / 1024}${limit}`;
  if (granted >= BUFFER) return ok(id, found, 'bursts of many thousand events are kept');
  return {
    id,
    severity: 'note',
    found,
    meaning: 'a burst of events can overflow it; that is reported, and the tables are read again',
    remedy: `on the host, as root: sysctl -w net.core.rmem_max=${BUFFER}; or CAP_NET_ADMIN in the initial user namespace`,
  };
}

export const checkNamespaces: Check = ({ trials }) => {
  const id = 'permission.namespaces';
  if (trials.where === 'namespace') {
    return [ok(id, 'a network namespace was made', '--netns and tests work')];
  }
  const limits = [
    'user/max_user_namespaces',
    'user/max_net_namespaces',
    'kernel/unprivileged_userns_clone',
    'kernel/apparmor_restrict_unprivileged_userns',
  ]
    .flatMap((name) => {
      const value = readHere(`/proc/sys/${name}`);
      return value === undefined ? [] : [`${name.replace('/', '.')} ${value}`];
    })
    .join(', ');
  if (trials.where !== 'nowhere') {
    const found = `a network namespace was made in a user namespace (${limits})`;
    const meaning = 'demo and test work in a user namespace; --netns needs CAP_SYS_ADMIN';
    return [ok(id, found, meaning)];
  }
  return [
    {
      id,
      severity: 'note',
      found: `${trials.reason}; in a user namespace: ${trials.userReason} (${limits})`,
      meaning: '--netns, demo and tests do not work, and nothing could be tried here',
      remedy: namespaceRemedy(readHere),
    },
  ];
};

/** What prevents user namespaces, as far as it shows. @param read reads a file */
export function namespaceRemedy(read: (path: string) => string | undefined): string {
  const is = (name: string, value: string) => read(`/proc/sys/${name}`) === value;
  if (is('user/max_user_namespaces', '0'))
    return 'as root: sysctl -w user.max_user_namespaces=10000';
  if (is('user/max_net_namespaces', '0')) return 'as root: sysctl -w user.max_net_namespaces=10000';
  if (is('kernel/unprivileged_userns_clone', '0')) {
    return 'as root: sysctl -w kernel.unprivileged_userns_clone=1';
  }
  if (is('kernel/apparmor_restrict_unprivileged_userns', '1')) {
    return 'as root: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or run it with sudo';
  }
  return 'run it with sudo; in a container with --cap-add SYS_ADMIN, or --security-opt seccomp=unconfined and unshare -Urn';
}

/** The mode in brackets: `none [integrity] confidentiality`. */
export const lockdownMode = (text: string): string | undefined => /\[(\w+)\]/.exec(text)?.[1];

export const checkLockdown: Check = () => {
  const id = 'permission.lockdown';
  const mode = lockdownMode(readHere('/sys/kernel/security/lockdown') ?? '');
  if (mode !== 'confidentiality') {
    return [ok(id, mode ?? 'no lockdown', 'the kernel gives keys to those who may list SAs')];
  }
  const meaning = 'the kernel gives zeros in place of keys: --show-keys shows zeros';
  const remedy = 'boot without lockdown=confidentiality, if you need the keys';
  return [{ id, severity: 'note', found: mode, meaning, remedy }];
};
