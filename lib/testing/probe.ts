/**
 * Probes the features of this kernel and container by using each in a new network namespace; gives the reason for each
 * that is missing.
 * @module
 */
import { existsSync } from 'node:fs';
import { release } from 'node:os';
import { wrongValue } from '../base/argument.ts';
import { shown } from '../base/shown.ts';
import { readXfrmStat } from '../monitor/xfrm-stat.ts';
import { SystemError } from '../socket/index.ts';
import { TestingError } from './error.ts';
import { freshSa, type KeyedTunnelAlgorithm } from './keyed-tunnel.ts';
import { findPluto } from './libreswan.ts';
import { NetworkNamespace } from './network-namespace.ts';
import { finished, spawnIn } from './program.ts';
import { findCharon } from './strongswan.ts';
import { Wire } from './wire.ts';

const V4 = ['192.0.2.1', '192.0.2.2'] as const;
const V6 = ['2001:db8::1', '2001:db8::2'] as const;

type Attempt = (host: NetworkNamespace) => unknown;

const algorithm = (name: KeyedTunnelAlgorithm): Attempt => {
  return ({ xfrm }) => xfrm.addState(freshSa(V4, { algorithm: name }));
};

/** By feature, an attempt to use it. */
const ATTEMPTS = {
  /** Network namespaces can be created and entered. */
  namespaces: () => {},
  /** SAs and policies can be queried: needs CAP_NET_ADMIN, and XFRM in the kernel. */
  xfrm: async ({ xfrm }) => {
    await xfrm.getSadInfo();
  },
  veth: ({ route }) => {
    return route.addLink({ name: 'a', info: { kind: 'veth', veth: { peer: { name: 'b' } } } });
  },
  ipv6: () => {
    if (!existsSync('/proc/net/if_inet6')) throw new Error('/proc/net/if_inet6 is missing');
  },
  esp: algorithm('aes-gcm'),
  esp6: ({ xfrm }) => xfrm.addState(freshSa(V6)),
  ah: ({ xfrm }) => xfrm.addState(freshSa(V4, { proto: 'ah' })),
  ipcomp: ({ xfrm }) => {
    const [saddr, daddr] = V4;
    const comp = { name: 'deflate', key: new Uint8Array() };
    return xfrm.addState({ saddr, daddr, proto: 'comp', spi: 0x1001, mode: 'transport', comp });
  },
  'aes-gcm': algorithm('aes-gcm'),
  'aes-cbc-sha256': algorithm('aes-cbc-sha256'),
  'chacha20-poly1305': algorithm('chacha20-poly1305'),
  /** Links of kind `xfrm`. */
  'xfrm-interface': ({ route }) => {
    return route.addLink({ name: 'x', info: { kind: 'xfrm', xfrm: { ifId: 1 } } });
  },
  /** /proc/net/xfrm_stat. */
  'xfrm-stat': async ({ netns }) => {
    if ((await readXfrmStat({ netns })) === undefined) {
      throw new Error('/proc/net/xfrm_stat is missing: CONFIG_XFRM_STATISTICS');
    }
  },
  /** Packets can be captured: CAP_NET_RAW. */
  wire: async (host) => {
    // The loopback interface is not captured.
    const peer = { name: 'b' };
    await host.route.addLink({ name: 'a', info: { kind: 'veth', veth: { peer } } });
    const tap = await Wire.tap(host);
    tap.close();
  },
  /** Programs can be run in a namespace and killed with this process: needs setpriv and nsenter. */
  programs: async ({ netns }) => {
    await finished(spawnIn(netns, 'true', []), 'true');
  },
  /** Programs can have their own files: mount(2). */
  mounts: async ({ netns }) => {
    await finished(spawnIn(netns, 'true', [], { mounts: { '/run': 'tmpfs' } }), 'mount');
  },
  /** The daemon is installed. */
  strongswan: findCharon,
  libreswan: findPluto,
} as const satisfies Readonly<Record<string, Attempt>>;

/** Name of a feature that can be probed. */
export type KernelFeature = keyof typeof ATTEMPTS;
/** All feature names. */
export const KERNEL_FEATURES = Object.keys(ATTEMPTS) as KernelFeature[];

/** Whether a feature is available, and if not, why. */
export type KernelFeatureFinding =
  | { readonly ok: true }
  | {
      readonly ok: false;
      readonly reason: string;
      /** `EPERM` …, if a system call or the kernel refused. */
      readonly code?: string | undefined;
      readonly errno?: number | undefined;
    };

/** Features whose absence is a failure rather than a skip: comma-separated names, or `all`. */
function required(): Set<string> {
  const names = (process.env.NETLINK_XFRM_REQUIRE ?? '').split(/[\s,]+/).filter(Boolean);
  const wrong = names.find((name) => name !== 'all' && !(name in ATTEMPTS));
  if (wrong === undefined) return new Set(names);
  const known = KERNEL_FEATURES.join(', ');
  throw wrongValue(`NETLINK_XFRM_REQUIRE: unknown feature ${wrong}; valid ones: ${known}, all`);
}

/** Result of {@link probe}. */
export class KernelProbe {
  /** Release of the running kernel. */
  readonly kernel = release();
  readonly features: Readonly<Record<KernelFeature, KernelFeatureFinding>>;

  constructor(features: Readonly<Record<KernelFeature, KernelFeatureFinding>>) {
    this.features = features;
  }

  /**
   * Describes which of some features are missing, for the `skip` option of a test; false if none is.
   *
   * @throws TestingError `ERR_LACKING` if a missing one is required by the environment: `NETLINK_XFRM_REQUIRE=esp,ah`, or
   *   `all`; TypeError for an unknown name
   */
  missing(...names: KernelFeature[]): string | false {
    const strict = required();
    const lacks = names.flatMap((name) => {
      const found = this.features[name];
      if (found === undefined)
        throw wrongValue(
          `unknown feature ${shown(name)}; valid ones: ${KERNEL_FEATURES.join(', ')}`,
        );
      return found.ok ? [] : [{ name, reason: found.reason }];
    });
    if (lacks.length === 0) return false;
    const text = lacks.map(({ name, reason }) => `no ${name}: ${reason}`).join('; ');
    if (!strict.has('all') && !lacks.some(({ name }) => strict.has(name))) return text;
    throw new TestingError(
      'ERR_LACKING',
      `NETLINK_XFRM_REQUIRE: a required feature is missing: ${text}`,
    );
  }
}

async function attempt(act: () => unknown): Promise<KernelFeatureFinding> {
  try {
    await act();
    return { ok: true };
  } catch (error) {
    const { message } = error as Error;
    if (!(error instanceof SystemError)) return { ok: false, reason: message };
    const { code, errno } = error;
    return { ok: false, reason: message, code, errno };
  }
}

let probed: Promise<KernelProbe> | undefined;

/** Probes this kernel and container; later calls return the same result. */
export function probe(): Promise<KernelProbe> {
  probed ??= look();
  return probed;
}

async function look(): Promise<KernelProbe> {
  const found = {} as Record<KernelFeature, KernelFeatureFinding>;
  for (const name of KERNEL_FEATURES) {
    if (found.namespaces?.ok === false) {
      found[name] = { ...found.namespaces, reason: 'it needs a network namespace' };
      continue;
    }
    found[name] = await attempt(async () => {
      await using host = await NetworkNamespace.make('probe');
      await (ATTEMPTS[name] as Attempt)(host);
    });
  }
  return new KernelProbe(found);
}
