/**
 * Hints for requests that the kernel refuses.
 * @module
 */
import { GET_NET_ADMIN } from '../base/net-admin.ts';
import type { Ack } from '../netlink/ack.ts';
import { errnoName } from '../netlink/kernel-error.ts';

const EVERY: Readonly<Record<string, string>> = {
  EPERM:
    'changing the network needs the capability CAP_NET_ADMIN over the network namespace: ' +
    GET_NET_ADMIN,
};

const LINK: Readonly<Record<string, string>> = {
  EEXIST: 'a link with this name, or (xfrm interfaces) this if_id, already exists',
  ENODEV: 'no link has this index or name',
  // EOPNOTSUPP, under the name Node.js uses for it.
  ENOTSUP: 'this kernel, or this kind of link, does not support this',
};

/** The kernel's message (net/core/rtnetlink.c). */
const NO_SUCH_KIND = 'Unknown device type';

const LINKPROP: Readonly<Record<string, string>> = {
  EEXIST: 'a link with this name already exists',
  ENODEV: 'no link has this index or name',
  ENOENT: 'no link has this alternative name',
};

const ADDRESS: Readonly<Record<string, string>> = {
  EEXIST: 'the interface already has this address: update it',
  EADDRNOTAVAIL: 'the interface has no such address with this prefix length',
  ENODEV: 'no interface has this index',
};

const ROUTE: Readonly<Record<string, string>> = {
  EEXIST: 'the table already has a route to this destination with this metric: replace it',
  ESRCH: 'no such route exists',
  ENETUNREACH: 'the gateway is unreachable, or no route leads to the destination',
};

const RULE: Readonly<Record<string, string>> = {
  EEXIST: 'this rule already exists',
  ENOENT: 'no such rule exists',
};

const BY_OBJECT: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  LINK,
  LINKPROP,
  ADDR: ADDRESS,
  ROUTE,
  RULE,
};

/** The hint for a refusal, if there is one. @param request such as `RTM_NEWLINK` */
export function hintFor(request: string, ack: Ack): string | undefined {
  if (ack.message === NO_SUCH_KIND) {
    return 'this kernel lacks this kind of link: load its module (modprobe xfrm_interface …)';
  }
  const code = errnoName(ack.errno);
  const object = request.replace(/^RTM_(NEW|DEL|GET|SET)/, '');
  return BY_OBJECT[object]?.[code] ?? EVERY[code];
}
