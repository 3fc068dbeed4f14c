/**
 * Hints for requests that the kernel refuses.
 * @module
 */

import { GET_NET_ADMIN } from '../base/net-admin.ts';
import type { Ack } from '../netlink/ack.ts';
import { errnoName } from '../netlink/kernel-error.ts';

const EVERY: Readonly<Record<string, string>> = {
  EPERM:
    'every XFRM request, dumps included, needs the capability CAP_NET_ADMIN over the network ' +
    `namespace: ${GET_NET_ADMIN}`,
  // EOPNOTSUPP, under the name Node.js uses for it.
  ENOTSUP: 'a 32-bit process needs a kernel with CONFIG_XFRM_USER_COMPAT',
};

const NO_SA = 'no SA has this destination, protocol, SPI and mark';

const SA: Readonly<Record<string, string>> = {
  EEXIST:
    'an SA with this destination, protocol and SPI already exists: update it, or use another SPI',
  ESRCH: NO_SA,
  EPROTONOSUPPORT:
    'this kernel lacks the protocol or the mode: load it (modprobe esp4 esp6 ah4 ah6 ipcomp), or see "netlink-xfrm lab"',
  ENOSYS: 'this kernel lacks the algorithm, or does not support the ICV length: see /proc/crypto',
};

const ALLOCSPI: Readonly<Record<string, string>> = {
  ...SA,
  ENOENT: 'the range has no free SPI',
};

/**
 * The kernel answers ENOENT here where other requests get ESRCH (net/xfrm/xfrm_user.c,
 * xfrm_add_sa_expire).
 */
const EXPIRE: Readonly<Record<string, string>> = { ...SA, ENOENT: NO_SA };

const POLICY: Readonly<Record<string, string>> = {
  EEXIST: 'a policy with this selector, direction and mark already exists: update it',
  ENOENT: 'no policy has this selector or index, direction, mark and type',
};

/** By request; the first match wins. */
const HINTS: readonly [request: RegExp, hints: Readonly<Record<string, string>>][] = [
  [/POLICY$/, POLICY],
  [/ALLOCSPI$/, ALLOCSPI],
  [/_EXPIRE$/, EXPIRE],
  [/SA$|AE$/, SA],
];

/** The hint for a refusal, if there is one. @param request such as `XFRM_MSG_NEWSA` */
export function hintFor(request: string, ack: Ack): string | undefined {
  const code = errnoName(ack.errno);
  const own = HINTS.find(([pattern]) => pattern.test(request))?.[1];
  return own?.[code] ?? EVERY[code];
}
