/** Short descriptions of rtnetlink objects, for errors. @module */
import type { Encodable } from '../wire/encodable.ts';
import { printable } from '../wire/text.ts';
import type { Objects } from './question.ts';

const onInterface = (index: number | undefined): string => (index ? ` on interface ${index}` : '');

const network = (address: string | undefined, length: number | undefined): string =>
  address === undefined ? 'default' : `${address}/${length ?? 0}`;

const DESCRIBE: {
  readonly [About in keyof Objects]: (object: Encodable<Objects[About]>) => string | undefined;
} = {
  link: ({ name, altName, index }) => {
    const called = name ?? altName;
    if (called !== undefined) return `link ${printable(called)}`;
    return index ? `link ${index}` : undefined;
  },
  port: ({ index }) => (index ? `bridge port ${index}` : undefined),
  address: ({ local, address = local, prefixLength, index }) =>
    address === undefined
      ? undefined
      : `address ${network(address, prefixLength)}${onInterface(index)}`,
  route: ({ dst, dstLength, gateway, oif, table }) =>
    `route ${network(dst, dstLength)}${gateway ? ` via ${gateway}` : ''}${onInterface(oif)}${table ? ` in table ${table}` : ''}`,
  neighbour: ({ dst, lladdr = '', index }) => `neighbour ${dst ?? lladdr}${onInterface(index)}`,
  rule: ({ priority }) => (priority === undefined ? 'rule' : `rule ${priority}`),
  nexthop: ({ id }) => (id ? `next hop ${id}` : undefined),
  nsid: ({ pid, fd, nsid }) => {
    if (pid) return `network namespace of process ${pid}`;
    if (fd !== undefined) return `network namespace of descriptor ${fd}`;
    return nsid === undefined ? undefined : `network namespace of id ${nsid}`;
  },
  netconf: ({ family, index }) =>
    index === undefined ? undefined : `settings of ${family} on interface ${index}`,
};

/** The object that a request identifies: `link eth0`, `address 192.0.2.1/24 on interface 3`. */
export const describeObject = <About extends keyof Objects>(
  about: About,
  object: Encodable<Objects[About]>,
): string | undefined => DESCRIBE[about](object);
