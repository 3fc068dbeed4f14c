/**
 * What each counter of /proc/net/xfrm_stat means, from where the kernel counts it. `stat`, the
 * testing kit and docs/troubleshooting.md say it in these words.
 * @module
 */
import type { XfrmStat } from './xfrm-stat.ts';

/** What is known about a counter. */
export interface XfrmStatCounter {
  /** On which way the packet was. */
  readonly path: 'in' | 'out' | 'forward';
  /** What happened to the packet. Each was dropped. */
  readonly meaning: string;
  /** What usually causes it. */
  readonly cause: string;
  /** What to look at next. */
  readonly look: string;
  /** What its moves have to do with: events of these are named next to it. */
  readonly about: 'state' | 'policy' | 'both';
  /** The kernel's function that counts it (net/xfrm/). */
  readonly source: string;
}

const STATES = 'netlink-xfrm state';
const POLICIES = 'netlink-xfrm policy';
const MEMORY = 'the memory of this host, and dmesg';

/**
 * By name, as the kernel lists them. A newer kernel may have others.
 *
 * Sources: Documentation/networking/xfrm/xfrm_proc.rst; the functions named. The names are those of Linux 6.18.
 */
export const XFRM_STAT_COUNTERS = {
  XfrmInError: {
    path: 'in',
    meaning: 'a packet could not be prepared for decryption',
    cause: 'memory was short',
    look: MEMORY,
    about: 'state',
    source: 'xfrm_input',
  },
  XfrmInBufferError: {
    path: 'in',
    meaning: 'a packet was nested more than six deep, or a network device could not decrypt it',
    cause: 'an error of hardware offload, memory was short, or a crafted packet',
    look: `offload: ${STATES}; dmesg`,
    about: 'state',
    source: 'xfrm_input (XFRM_MAX_DEPTH, xfrm_offload), iptfs_input',
  },
  XfrmInHdrError: {
    path: 'in',
    meaning: 'the ESP, AH or IPComp header of a packet was cut off or wrong',
    cause: 'a damaged or crafted packet',
    look: 'the packets: tcpdump -nvv esp or ah or udp port 4500',
    about: 'state',
    source: 'xfrm_input (xfrm_parse_spi)',
  },
  XfrmInNoStates: {
    path: 'in',
    meaning: 'ESP or AH arrived with an SPI for which there is no SA',
    cause:
      'the peer still uses an SA that was deleted here, or one that is not here yet; or the ' +
      'destination address or the mark differs from that of the SA',
    look: `${STATES} dir=in; netlink-xfrm monitor --who sa expire; on the peer, its outbound SPI`,
    about: 'state',
    source: 'xfrm_input (xfrm_input_state_lookup)',
  },
  XfrmInStateProtoError: {
    path: 'in',
    meaning: 'a packet was damaged, or protected with another key',
    cause:
      'the keys or algorithms of the two ends differ, such as after a rekey that one end missed; ' +
      'or packets were changed on the way',
    look: `refused packets by SA: ${STATES}; the keys’ age on both ends`,
    about: 'state',
    source: 'xfrm_input (type->input)',
  },
  XfrmInStateModeError: {
    path: 'in',
    meaning: 'a packet was not in the mode of its SA',
    cause:
      'one end uses tunnel mode and the other transport mode, or the inner address family is wrong',
    look: `the modes of both ends: ${STATES}`,
    about: 'state',
    source: 'xfrm_input (xfrm_inner_mode_input)',
  },
  XfrmInStateSeqError: {
    path: 'in',
    meaning: 'a packet arrived twice, or was older than the replay window',
    cause:
      'packets overtook each other by more than the window (several queues, links or priorities), ' +
      'or were repeated; or the peer began to count anew with the same keys',
    look: `replay window and refused packets by SA: ${STATES}`,
    about: 'state',
    source: 'xfrm_input (xfrm_replay_check, xfrm_replay_recheck)',
  },
  XfrmInStateExpired: {
    path: 'in',
    meaning: 'a packet arrived for an SA that had expired',
    cause: 'a hard limit of bytes or packets was reached before the rekey was done',
    look: `limits: ${STATES}; netlink-xfrm monitor expire`,
    about: 'state',
    source: 'xfrm_input (xfrm_state_check_expire)',
  },
  XfrmInStateMismatch: {
    path: 'in',
    meaning: 'a packet did not match the SA’s selector or encapsulation',
    cause: 'one end uses UDP encapsulation and the other does not, or a NAT appeared or went away',
    look: `encapsulation and selectors: ${STATES}`,
    about: 'state',
    source: 'xfrm_input, __xfrm_policy_check',
  },
  XfrmInStateInvalid: {
    path: 'in',
    meaning: 'a packet arrived for an SA that is dead or being deleted',
    cause: 'an SA was deleted while packets were on the way; a few at each rekey are harmless',
    look: 'netlink-xfrm monitor --who sa expire',
    about: 'state',
    source: 'xfrm_input (km.state)',
  },
  XfrmInTmplMismatch: {
    path: 'in',
    meaning: 'a packet was not protected as its policy requires: in clear, or by another SA',
    cause:
      'packets that should be encrypted arrive in clear; or reqid, mode, protocol or endpoints of ' +
      'the SA differ from the template of the policy',
    look: `${POLICIES} dir=in,fwd; ${STATES}; netlink-xfrm tunnels`,
    about: 'both',
    source: '__xfrm_policy_check (xfrm_policy_ok)',
  },
  XfrmInNoPols: {
    path: 'in',
    meaning: 'no policy allows a packet in that was protected, or that the default would block',
    cause:
      'the policy in or fwd is missing, or its selector, mark or interface id differs; a packet to ' +
      'be forwarded needs one for fwd',
    look: `${POLICIES} dir=in,fwd; ip xfrm policy getdefault`,
    about: 'policy',
    source: '__xfrm_policy_check',
  },
  XfrmInPolBlock: {
    path: 'in',
    meaning: 'a policy blocked a packet that arrived',
    cause: 'a policy with the action block, as key managers install it to prevent leaks',
    look: `${POLICIES} dir=in,fwd`,
    about: 'policy',
    source: '__xfrm_policy_check',
  },
  XfrmInPolError: {
    path: 'in',
    meaning: 'no policy could be looked up for a packet that arrived',
    cause: 'a security module (SELinux) refused, or memory was short',
    look: 'ausearch -m avc; dmesg',
    about: 'policy',
    source: '__xfrm_policy_check (xfrm_policy_lookup)',
  },
  XfrmOutError: {
    path: 'out',
    meaning: 'a packet could not be prepared for encryption',
    cause: 'memory was short, or its route was gone',
    look: MEMORY,
    about: 'state',
    source: 'xfrm_output_one',
  },
  XfrmOutBundleGenError: {
    path: 'out',
    meaning: 'the SAs of a packet could not be joined to a route',
    cause: 'the peer’s address has no route, or memory was short',
    look: 'ip route get ADDRESS-OF-THE-PEER',
    about: 'both',
    source: 'xfrm_resolve_and_create_bundle',
  },
  XfrmOutBundleCheckError: {
    path: 'out',
    meaning: 'the route of a packet with its SAs was not valid',
    cause: 'rare; newer kernels do not count it',
    look: `${POLICIES}; ${STATES}`,
    about: 'both',
    source: 'xfrm_resolve_and_create_bundle (until 4.14)',
  },
  XfrmOutNoStates: {
    path: 'out',
    meaning: 'a policy requires protection, but there is no SA for it',
    cause:
      'the tunnel is down, or still being negotiated; or reqid, mode, mark or endpoints of the SA ' +
      'differ from the template of the policy',
    look: `netlink-xfrm tunnels; ${POLICIES} dir=out; ${STATES} dir=out`,
    about: 'both',
    source: 'xfrm_lookup_with_ifid',
  },
  XfrmOutStateProtoError: {
    path: 'out',
    meaning: 'a packet could not be encrypted or authenticated',
    cause: 'the algorithm or the hardware failed, or the packet was too long',
    look: `algorithms and offload: ${STATES}; dmesg`,
    about: 'state',
    source: 'xfrm_output_one (type->output)',
  },
  XfrmOutStateModeError: {
    path: 'out',
    meaning: 'a packet could not be put into the mode of its SA',
    cause: 'it is longer than the path allows and may not be fragmented, or of the wrong family',
    look: 'the MTU of the route: ip route get ADDRESS; ping -M do -s 1300 ADDRESS',
    about: 'state',
    source: 'xfrm_output_one (xfrm_outer_mode_output)',
  },
  XfrmOutStateSeqError: {
    path: 'out',
    meaning: 'an SA ran out of sequence numbers',
    cause: 'no rekey within 2^32 packets, and no extended sequence numbers',
    look: `${STATES} dir=out; limits and ESN in the key manager’s configuration`,
    about: 'state',
    source: 'xfrm_output_one (xfrm_replay_overflow)',
  },
  XfrmOutStateExpired: {
    path: 'out',
    meaning: 'a packet was to be sent by an SA that had expired',
    cause: 'a hard limit of bytes or packets was reached before the rekey was done',
    look: `limits: ${STATES}; netlink-xfrm monitor expire`,
    about: 'state',
    source: 'xfrm_output_one (xfrm_state_check_expire)',
  },
  XfrmOutPolBlock: {
    path: 'out',
    meaning: 'a policy blocked a packet to be sent',
    cause:
      'a policy with the action block: a leftover, or one that prevents packets in clear while a ' +
      'tunnel is down; what the default blocks is not counted',
    look: `${POLICIES} dir=out`,
    about: 'policy',
    source: 'xfrm_lookup_with_ifid',
  },
  XfrmOutPolDead: {
    path: 'out',
    meaning: 'the policy of a packet was deleted while the packet was looked up',
    cause: 'policies are replaced; a few are harmless',
    look: 'netlink-xfrm monitor --who policy',
    about: 'policy',
    source: 'xfrm_lookup_with_ifid (walk.dead)',
  },
  XfrmOutPolError: {
    path: 'out',
    meaning: 'the policy of a packet to be sent, or an SA for it, could not be looked up',
    cause:
      'a negotiation failed or timed out; a security module (SELinux) refused; or memory was short',
    look: `netlink-xfrm tunnels; ${POLICIES} dir=out; ausearch -m avc`,
    about: 'both',
    source: 'xfrm_bundle_lookup, xfrm_resolve_and_create_bundle (xfrm_tmpl_resolve)',
  },
  XfrmFwdHdrError: {
    path: 'forward',
    meaning: 'a packet to be forwarded was malformed',
    cause: 'its header could not be read to look up a policy: a damaged or crafted packet',
    look: 'the packets: tcpdump -nvv on the interface they arrive at',
    about: 'policy',
    source: '__xfrm_route_forward',
  },
  XfrmOutStateInvalid: {
    path: 'out',
    meaning: 'a packet was to be sent by an SA that is dead or being deleted',
    cause: 'an SA was deleted while packets were being encrypted; a few at each rekey are harmless',
    look: 'netlink-xfrm monitor --who sa expire',
    about: 'state',
    source: 'xfrm_output_one (km.state)',
  },
  XfrmAcquireError: {
    path: 'in',
    meaning: 'a packet arrived for an SA that has no keys yet',
    cause: 'the peer sends before the negotiation is done',
    look: 'netlink-xfrm state --watch',
    about: 'state',
    source: 'xfrm_input (XFRM_STATE_ACQ)',
  },
  XfrmOutStateDirError: {
    path: 'out',
    meaning: 'a packet was to be sent by an SA that is for input',
    cause: 'SAs of both directions have the same addresses and reqid, as with a tunnel to oneself',
    look: `the directions: ${STATES}`,
    about: 'state',
    source: 'xfrm_output_one (x->dir)',
  },
  XfrmInStateDirError: {
    path: 'in',
    meaning: 'a packet arrived for an SA that is for output',
    cause: 'the outbound SPI was chosen like an inbound one, or the packet was sent back',
    look: `the directions: ${STATES}`,
    about: 'state',
    source: 'xfrm_input (x->dir)',
  },
  XfrmInIptfsError: {
    path: 'in',
    meaning: 'the contents of an IP-TFS packet were malformed',
    cause: 'the peer does not use IP-TFS on this SA, or the packet was crafted',
    look: `the modes of both ends: ${STATES}`,
    about: 'state',
    source: 'iptfs_input',
  },
  XfrmOutNoQueueSpace: {
    path: 'out',
    meaning: 'the output queue of an IP-TFS SA was full',
    cause: 'more is to be sent than the constant rate of the SA allows',
    look: `rate and queue: ${STATES}`,
    about: 'state',
    source: 'iptfs_output_collect',
  },
} as const satisfies Readonly<Record<`Xfrm${string}`, XfrmStatCounter>>;

/** What is known about a counter; undefined if this version does not know it. */
export function xfrmStatCounter(name: string): XfrmStatCounter | undefined {
  return Object.hasOwn(XFRM_STAT_COUNTERS, name)
    ? XFRM_STAT_COUNTERS[name as keyof typeof XFRM_STAT_COUNTERS]
    : undefined;
}

/** A counter that grew between two readings. */
export interface CounterMove {
  readonly counter: `Xfrm${string}`;
  readonly value: bigint;
  readonly delta: bigint;
}

/**
 * The counters that grew, in the kernel's order. One that is new was 0 before: a module that was
 * loaded meanwhile does not add any, but a stand-in may.
 */
export function counterMoves(before: XfrmStat, after: XfrmStat): CounterMove[] {
  return (Object.entries(after) as [CounterMove['counter'], bigint][]).flatMap(
    ([counter, value]) => {
      const delta = value - (before[counter] ?? 0n);
      return delta > 0n ? [{ counter, value, delta }] : [];
    },
  );
}
