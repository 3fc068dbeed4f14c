/** Settings of the network namespace that affect IPsec. @module */
import type { Check, Examined } from './examined.ts';
import { readIn } from './examined.ts';
import { type Finding, ok } from './finding.ts';

type Read = (name: string) => string | undefined;
const reader =
  (examined: Pick<Examined, 'held'>): Read =>
  (name) =>
    readIn(examined, `/proc/sys/net/${name}`);

/** The kernel's defaults (net/xfrm/xfrm_sysctl.c), and what another value means. */
const XFRM_DEFAULTS: readonly [name: string, value: string, meaning: string][] = [
  [
    'core/xfrm_acq_expires',
    '30',
    'seconds that a packet’s request for an SA waits for the key manager',
  ],
  ['core/xfrm_larval_drop', '1', 'with 0 packets wait for the SA in place of being dropped'],
  ['core/xfrm_aevent_etime', '10', 'tenths of a second between news of counters'],
  ['core/xfrm_aevent_rseqth', '2', 'packets between news of counters'],
];

/** @param read a setting below /proc/sys/net */
export function xfrmSysctls(read: Read): Finding {
  const id = 'sysctl.xfrm';
  const gc = ['ipv4/xfrm4_gc_thresh', 'ipv6/xfrm6_gc_thresh'].flatMap((name) => {
    const value = read(name);
    return value === undefined ? [] : [`${name.split('/')[1]} ${value}`];
  });
  const values = XFRM_DEFAULTS.map(([name, usual, meaning]) => ({
    name,
    usual,
    meaning,
    value: read(name),
  }));
  const short = (name: string) => name.split('/')[1];
  const shown = values.flatMap(({ name, value }) =>
    value === undefined ? [] : [`${short(name)} ${value}`],
  );
  if (shown.length === 0) {
    const found = 'net.core.xfrm_* are not visible';
    const meaning = 'the kernel hides them in network namespaces of other user namespaces';
    return ok(id, found, meaning);
  }
  const found = [...shown, ...gc].join(', ');
  const changed = values.filter(({ value, usual }) => value !== undefined && value !== usual);
  if (changed.length === 0) return ok(id, found, 'the kernel’s defaults');
  return {
    id,
    severity: 'note',
    found,
    meaning: changed.map(({ name, meaning }) => `${short(name)}: ${meaning}`).join('; '),
    remedy: `if that is not intended: ${changed.map(({ name, usual }) => `sysctl -w net.${name.replaceAll('/', '.')}=${usual}`).join('; ')}`,
  };
}

/** Where /proc/sys shows nothing, nothing is known. */
const unknown = (id: string): Finding => ({
  id,
  severity: 'note',
  found: '/proc/sys/net is not readable',
  meaning: 'it is unknown',
  remedy: 'mount /proc: mount -t proc proc /proc',
});

/** An interface, as far as these checks need it. */
export interface Interface {
  readonly name: string;
  readonly kind: string | undefined;
  /** The kernel exempts it from IPsec (net/ipv4/devinet.c). */
  readonly loopback: boolean;
}

const isTunnel = ({ kind }: Interface) => kind === 'xfrm' || kind === 'vti' || kind === 'vti6';

/** Interfaces that are exempt from IPsec. VTIs have disable_policy set on purpose. */
export function exemptInterfaces(read: Read, interfaces: readonly Interface[]): Finding {
  const id = 'sysctl.disable-xfrm';
  if (read('ipv4/conf/all/disable_xfrm') === undefined) return unknown(id);
  const set = [{ name: 'all', kind: undefined, loopback: false }, ...interfaces]
    .filter(({ loopback }) => !loopback)
    .flatMap((one) =>
      ['disable_xfrm', 'disable_policy'].flatMap((setting) =>
        read(`ipv4/conf/${one.name}/${setting}`) === '1' &&
        !(isTunnel(one) && setting === 'disable_policy')
          ? [`net.ipv4.conf.${one.name}.${setting}`]
          : [],
      ),
    );
  if (set.length === 0) return ok(id, 'no interface is exempt', 'policies apply on all interfaces');
  return {
    id,
    severity: 'warning',
    found: `${set.join(', ')} = 1`,
    meaning:
      'packets that leave (disable_xfrm) or arrive (disable_policy) there pass in clear, whatever the policies say',
    remedy: `if that is not intended: sysctl -w ${set.map((name) => `${name}=0`).join(' ')}`,
  };
}

/** @param forwards whether there are policies for packets to be forwarded, by family; undefined if unknown */
export function forwarding(
  read: Read,
  forwards: { readonly inet: boolean; readonly inet6: boolean } | undefined,
): Finding {
  const id = 'sysctl.forwarding';
  const v4 = read('ipv4/ip_forward');
  const v6 = read('ipv6/conf/all/forwarding');
  const found = `IPv4 ${v4 ?? 'unknown'}, IPv6 ${v6 ?? 'unknown'}`;
  const off = [
    ...(forwards?.inet && v4 === '0' ? ['net.ipv4.ip_forward=1'] : []),
    ...(forwards?.inet6 && v6 === '0' ? ['net.ipv6.conf.all.forwarding=1'] : []),
  ];
  if (off.length === 0) {
    const meaning = 'packets for other hosts behind a tunnel are forwarded if it is 1';
    return ok(id, found, meaning);
  }
  return {
    id,
    severity: 'note',
    found: `${found}; there are policies for the direction fwd`,
    meaning:
      'a gateway does not forward packets from and to its tunnels; a host needs no forwarding',
    remedy: `on a gateway: sysctl -w ${off.join(' ')}`,
  };
}

/** Strict reverse path filtering drops decrypted packets whose way back leads elsewhere. */
export function reversePath(read: Read, interfaces: readonly Interface[]): Finding {
  const id = 'sysctl.rp-filter';
  if (read('ipv4/conf/all/rp_filter') === undefined) return unknown(id);
  const all = Number(read('ipv4/conf/all/rp_filter') ?? 0);
  // The larger of the two values counts (Documentation/networking/ip-sysctl.rst).
  const strict = interfaces.filter(
    ({ name, loopback }) =>
      !loopback && Math.max(all, Number(read(`ipv4/conf/${name}/rp_filter`) ?? 0)) === 1,
  );
  if (strict.length === 0)
    return ok(id, 'not strict', 'no decrypted packet is dropped for its way back');
  const names = strict.map(({ name }) => name);
  return {
    id,
    severity: strict.some(isTunnel) ? 'warning' : 'note',
    found: `strict on ${names.join(', ')}`,
    meaning:
      'packets from a tunnel are dropped, and counted nowhere in xfrm_stat, if the route back to their source does not lead through the interface they came by',
    remedy: `if packets are missing: sysctl -w net.ipv4.conf.all.rp_filter=0 ${names.map((name) => `net.ipv4.conf.${name}.rp_filter=0`).join(' ')}`,
  };
}

export const checkXfrmSysctls: Check = (examined) => [xfrmSysctls(reader(examined))];

/** Needs the interfaces and policies of the namespace. */
export function interfaceSysctls(
  examined: Pick<Examined, 'held'>,
  interfaces: readonly Interface[],
  forwards: { readonly inet: boolean; readonly inet6: boolean } | undefined,
): Finding[] {
  const read = reader(examined);
  return [
    exemptInterfaces(read, interfaces),
    forwarding(read, forwards),
    reversePath(read, interfaces),
  ];
}
