/**
 * A tunnel without a key manager: matching SAs and policies on two hosts, with keys generated for the test.
 * @module
 */
import { randomBytes, randomInt } from 'node:crypto';
import { wrongType, wrongValue } from '../base/argument.ts';
import { KernelError } from '../netlink/kernel-error.ts';
import type { Encodable } from '../wire/encodable.ts';
import type { PolicyKey } from '../xfrm/object-keys.ts';
import type { XfrmPolicy, XfrmState } from '../xfrm/objects.ts';
import { hosts, names, oneOf } from './argument.ts';
import type { Host } from './host.ts';

const key = (bits: number) => randomBytes(bits / 8);
const hmac = () => ({ name: 'hmac(sha256)', truncBits: 128, key: key(256) });

/** Algorithms by name; each SA gets its own key. */
const ALGORITHMS = {
  'aes-gcm': () => ({ aead: { name: 'rfc4106(gcm(aes))', icvBits: 128, key: key(160) } }),
  'aes-cbc-sha256': () => ({ crypt: { name: 'cbc(aes)', key: key(128) }, authTrunc: hmac() }),
  'chacha20-poly1305': () => ({
    aead: { name: 'rfc7539esp(chacha20,poly1305)', icvBits: 128, key: key(288) },
  }),
} as const satisfies Readonly<Record<string, () => Encodable<XfrmState>>>;

/** Algorithms that the kit can create SAs with. */
export type KeyedTunnelAlgorithm = keyof typeof ALGORITHMS;

const CHOICES = {
  proto: ['esp', 'ah'],
  mode: ['tunnel', 'transport'],
  algorithm: Object.keys(ALGORITHMS),
  family: ['inet', 'inet6'],
} as const;

/** Parameters of a tunnel. All are optional. */
export interface KeyedTunnelOptions {
  /** Default `esp`. */
  readonly proto?: 'esp' | 'ah' | undefined;
  /** Default `tunnel`. `transport` protects traffic between the hosts' own addresses. */
  readonly mode?: 'tunnel' | 'transport' | undefined;
  /** ESP algorithm; default `aes-gcm`. */
  readonly algorithm?: KeyedTunnelAlgorithm | undefined;
  /** Address family of the endpoints; default `inet`. */
  readonly family?: 'inet' | 'inet6' | undefined;
  /** Protected networks on either side, such as `10.0.1.0/24`; default the hosts' inner addresses. */
  readonly protects?: readonly [left: string, right: string] | undefined;
  /** Default 1. */
  readonly reqid?: number | undefined;
  /** More fields for each SA, as for `XfrmClient.addState()`: `{ lifetime: { softPackets: 3 } }`. */
  readonly state?: Encodable<XfrmState> | undefined;
  /** More fields for each policy. */
  readonly policy?: Encodable<XfrmPolicy> | undefined;
}

/** One SA per direction. */
export interface SaPair {
  readonly toRight: Encodable<XfrmState> & { readonly daddr: string; readonly spi: number };
  readonly toLeft: Encodable<XfrmState> & { readonly daddr: string; readonly spi: number };
}

type Ends = readonly [from: string, to: string];
const reversed = ([from, to]: Ends): Ends => [to, from];

/** A network; an address becomes a host prefix. */
const network = (text: string) =>
  text.includes('/') ? text : `${text}/${text.includes(':') ? 128 : 32}`;

/** Neighbour discovery (RFC 4861) must bypass IPsec, or the peer's neighbour entry could never be resolved. */
const ICMP6 = 58;
const ND_TYPES = [135, 136];
/** Default policy priority; lower values take precedence. */
const PRIORITY = 1000;

/** Lowest SPI to use: above those reserved by RFC 4303 and used by kernel defaults. */
const FIRST_SPI = 0x1000;

function checkTunnel(options: KeyedTunnelOptions): void {
  names('options', options, [...Object.keys(CHOICES), 'protects', 'reqid', 'state', 'policy']);
  for (const [name, known] of Object.entries(CHOICES)) {
    const value = options[name as keyof typeof CHOICES];
    if (value !== undefined) oneOf(`options.${name}`, value, known);
  }
  const { protects, mode } = options;
  if (protects === undefined) return;
  if (!Array.isArray(protects) || protects.length !== 2) {
    throw wrongType('options.protects', 'two networks: [left, right]', protects);
  }
  if (mode === 'transport') {
    throw wrongValue('options.protects is for tunnel mode: transport mode protects the hosts');
  }
}

/** An SA with a new SPI and keys, to be installed on both hosts. */
export function freshSa([saddr, daddr]: Ends, options: KeyedTunnelOptions = {}): SaPair['toLeft'] {
  checkTunnel(options);
  const { proto = 'esp', mode = 'tunnel', algorithm = 'aes-gcm', reqid = 1, state } = options;
  const spi = randomInt(FIRST_SPI, 0xffff_ffff);
  const protection = proto === 'ah' ? { authTrunc: hmac() } : ALGORITHMS[algorithm]();
  const base = { saddr, daddr, proto, mode, spi, reqid, replayWindow: 32 };
  return { ...base, ...protection, ...state, daddr, spi };
}

/** A policy that requires such an SA. */
export function policyFor(
  dir: 'in' | 'out' | 'fwd',
  [saddr, daddr]: Ends,
  selector: Ends,
  options: KeyedTunnelOptions = {},
): Encodable<XfrmPolicy> {
  const { proto = 'esp', mode = 'tunnel', reqid = 1, policy } = options;
  return {
    dir,
    priority: PRIORITY,
    selector: { saddr: network(selector[0]), daddr: network(selector[1]) },
    templates: [{ saddr, daddr, proto, mode, reqid }],
    ...policy,
  };
}

/** The policies of both hosts, each paired with its host. */
function policies(
  [left, right]: readonly [Host, Host],
  ends: Ends,
  selector: Ends,
  options: KeyedTunnelOptions,
): [Host, Encodable<XfrmPolicy>][] {
  const [back, others] = [reversed(ends), reversed(selector)];
  const all: [Host, Encodable<XfrmPolicy>][] = [
    [left, policyFor('out', ends, selector, options)],
    [left, policyFor('in', back, others, options)],
    [right, policyFor('out', back, others, options)],
    [right, policyFor('in', ends, selector, options)],
  ];
  if (options.mode !== 'transport') {
    all.push([left, policyFor('fwd', back, others, options)]);
    all.push([right, policyFor('fwd', ends, selector, options)]);
  } else if (options.family === 'inet6') {
    for (const [host, policy] of [...all]) {
      for (const sport of ND_TYPES) {
        // For ICMPv6 the kernel matches the type as the source port (net/xfrm, decode_session6).
        const neighbours = { ...policy.selector, proto: ICMP6, sport, sportMask: 0xffff } as const;
        all.push([host, { dir: policy.dir, selector: neighbours, priority: 0 }]);
      }
    }
  }
  return all;
}

/** A tunnel between two hosts, until it is removed. */
export class KeyedTunnel implements AsyncDisposable {
  readonly left: Host;
  readonly right: Host;
  readonly #options: KeyedTunnelOptions;
  #pair: SaPair;

  constructor(left: Host, right: Host, options: KeyedTunnelOptions) {
    [this.left, this.right, this.#options] = [left, right, options];
    this.#pair = this.#fresh();
  }

  /** The SAs currently installed. */
  get pair(): SaPair {
    return this.#pair;
  }

  get #ends(): Ends {
    const { left, right } = this;
    return this.#options.family === 'inet6'
      ? [left.address6, right.address6]
      : [left.address, right.address];
  }

  get #selector(): Ends {
    const { left, right } = this;
    const { mode, family, protects } = this.#options;
    if (mode === 'transport') return this.#ends;
    return (
      protects ?? (family === 'inet6' ? [left.inner6, right.inner6] : [left.inner, right.inner])
    );
  }

  get #policies() {
    return policies([this.left, this.right], this.#ends, this.#selector, this.#options);
  }

  #fresh(): SaPair {
    const [left, right] = this.#ends;
    const of = (...ends: Ends) => freshSa(ends, this.#options);
    return { toRight: of(left, right), toLeft: of(right, left) };
  }

  /** Installs the SAs and policies. */
  async install(): Promise<void> {
    await this.#add(this.#pair);
    for (const [host, policy] of this.#policies) await host.xfrm.addPolicy(policy);
  }

  /** Adds SAs, inbound ones first, so that no packet arrives before its SA exists. */
  async #add({ toRight, toLeft }: SaPair): Promise<void> {
    await this.right.xfrm.addState(toRight);
    await this.left.xfrm.addState(toLeft);
    await this.left.xfrm.addState(toRight);
    await this.right.xfrm.addState(toLeft);
  }

  async #delete({ toRight, toLeft }: SaPair): Promise<void> {
    for (const host of [this.left, this.right]) {
      for (const { daddr, spi, proto } of [toRight, toLeft]) {
        await gone(host.xfrm.deleteState({ daddr, spi, proto: proto ?? 'esp' }));
      }
    }
  }

  /** Adds new SAs before deleting the old ones: no packet is lost. */
  async rekey(): Promise<void> {
    const old = this.#pair;
    this.#pair = this.#fresh();
    await this.#add(this.#pair);
    await this.#delete(old);
  }

  /** Deletes the old SAs before adding new ones: for a moment there are none. */
  async replace(): Promise<void> {
    await this.#delete(this.#pair);
    this.#pair = this.#fresh();
    await this.#add(this.#pair);
  }

  /**
   * Makes SAs expire now. With a hard expire, the default, the kernel deletes them.
   *
   * @param options `on`: one of the hosts, default both; `direction`: as seen from there, default both
   */
  async expire({
    hard = true,
    on,
    direction,
  }: {
    hard?: boolean;
    on?: Host;
    direction?: 'in' | 'out';
  } = {}): Promise<void> {
    for (const host of on === undefined ? [this.left, this.right] : [on]) {
      const { toRight, toLeft } = this.#pair;
      const [out, back] = host === this.left ? [toRight, toLeft] : [toLeft, toRight];
      for (const sa of [
        ...(direction === 'in' ? [] : [out]),
        ...(direction === 'out' ? [] : [back]),
      ]) {
        await host.xfrm.expireState(
          { daddr: sa.daddr, spi: sa.spi, proto: sa.proto ?? 'esp' },
          hard,
        );
      }
    }
  }

  /** Removes its SAs and policies, if they still exist. */
  async remove(): Promise<void> {
    for (const [host, { dir, selector }] of this.#policies) {
      await gone(host.xfrm.deletePolicy({ dir, selector } as PolicyKey));
    }
    await this.#delete(this.#pair);
  }

  /** Removes it, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.remove();
  }
}

/** Ignores that an object to be deleted is already gone. */
async function gone(deleted: Promise<void>): Promise<void> {
  try {
    await deleted;
  } catch (error) {
    const { code } = error as { code?: string };
    const missing = error instanceof KernelError && (code === 'ESRCH' || code === 'ENOENT');
    if (!missing && code !== 'ERR_SOCKET_CLOSED') throw error;
  }
}

/** Creates a tunnel between two hosts, with newly generated keys. */
export async function keyedTunnel(
  left: Host,
  right: Host,
  options: KeyedTunnelOptions = {},
): Promise<KeyedTunnel> {
  hosts({ left, right });
  checkTunnel(options);
  const tunnel = new KeyedTunnel(left, right, options);
  try {
    await tunnel.install();
  } catch (error) {
    await tunnel.remove();
    throw error;
  }
  return tunnel;
}
