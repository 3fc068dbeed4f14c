/** Expected tunnels: they stay listed, down, even without SAs and policies. @module */
import { integer, options, U32_MAX, wrongType, wrongValue } from '../base/argument.ts';
import { addressFamily, readAddress, writeAddress } from '../wire/address.ts';
import type { Orientation } from './endpoints.ts';
import type { Labels, SaGroup } from './sa-group.ts';

/** An expected tunnel: it stands for the first tunnel that matches everything given here. */
export interface ExpectedTunnel {
  /** Its name, used as its id. Default: built from the other fields. */
  readonly name?: string | undefined;
  readonly local?: string | undefined;
  readonly remote?: string | undefined;
  readonly reqid?: number | undefined;
  readonly ifId?: number | undefined;
  /** The value of its mark. */
  readonly mark?: number | undefined;
}

/** An expected tunnel with its name, given or default. */
export type NamedExpectedTunnel = ExpectedTunnel & { readonly name: string };

const NAMES = new Set(['name', 'local', 'remote', 'reqid', 'ifId', 'mark']);

/**
 * The list with normalised addresses, and a name for each.
 *
 * @param path its name in errors
 * @throws TypeError, RangeError
 */
export function checkedExpected(
  given: unknown,
  path = 'options.expected',
): readonly NamedExpectedTunnel[] {
  if (given === undefined) return [];
  if (!Array.isArray(given)) throw wrongType(path, 'an array', given);
  const taken = new Set<string>();
  // A copy without holes, which map would skip.
  return Array.from(given, (one: unknown, index) => {
    const tunnel = checkedOne(one, `${path}[${index}]`);
    const { name } = tunnel;
    if (taken.has(name)) {
      throw wrongValue(`${path}[${index}].name: ${JSON.stringify(name)} is a duplicate`);
    }
    taken.add(name);
    return tunnel;
  });
}

/** Checks one entry. */
export function checkedOne(given: unknown, path: string): NamedExpectedTunnel {
  options(path, given, NAMES);
  const { local, remote, reqid, ifId, mark, name: own } = given as ExpectedTunnel;
  sameFamily(path, local, remote);
  const tunnel = {
    ...(local !== undefined && { local: address(`${path}.local`, local) }),
    ...(remote !== undefined && { remote: address(`${path}.remote`, remote) }),
    ...(reqid !== undefined && { reqid: integer(`${path}.reqid`, reqid, 0, U32_MAX) }),
    ...(ifId !== undefined && { ifId: integer(`${path}.ifId`, ifId, 0, U32_MAX) }),
    ...(mark !== undefined && { mark: integer(`${path}.mark`, mark, 0, U32_MAX) }),
  };
  if (Object.keys(tunnel).length === 0) {
    throw wrongValue(`${path} identifies no tunnel: give remote, local, reqid, ifId or mark`);
  }
  const name = own ?? nameFor(tunnel);
  if (typeof name !== 'string' || name === '')
    throw wrongType(`${path}.name`, 'a non-empty string', name);
  return Object.freeze({ ...tunnel, name });
}

/** An SA's endpoints have one family (struct xfrm_usersa_info has one for both addresses). */
function sameFamily(path: string, local: unknown, remote: unknown): void {
  const [ours, theirs] = [local, remote].map(
    (one) => typeof one === 'string' && addressFamily(one),
  );
  if (!ours || !theirs || ours === theirs) return;
  const expected = `an address of the family of remote (${familyName(remote as string)})`;
  throw wrongType(`${path}.local`, expected, local);
}

export const familyName = (address: string): string => (address.includes(':') ? 'IPv6' : 'IPv4');

function nameFor({ local, remote, reqid, ifId, mark }: ExpectedTunnel): string {
  const ends = `${local ?? 'any'} > ${remote ?? 'any'}`;
  const more = Object.entries({ reqid, if_id: ifId, mark });
  const given = more.filter(([, value]) => value !== undefined);
  return [ends, ...given.map(([name, value]) => `${name} ${value}`)].join(' ');
}

function address(path: string, value: unknown): string {
  const family = typeof value === 'string' ? addressFamily(value) : undefined;
  if (family === undefined) throw wrongType(path, 'an IP address', value);
  const bytes = new Uint8Array(16);
  writeAddress(bytes, 0, value as string, family, path);
  return readAddress(bytes, 0, family);
}

/** Compares the value of a mark, not its mask, and any of several reqids. */
export function isExpected(
  expected: ExpectedTunnel,
  tunnel: Orientation & Labels & Pick<SaGroup, 'reqids'>,
): boolean {
  const { local, remote, reqid, ifId, mark } = expected;
  const along = (a: string, b: string) =>
    (local === undefined || local === a) && (remote === undefined || remote === b);
  return (
    (along(tunnel.local, tunnel.remote) ||
      (!tunnel.directed && along(tunnel.remote, tunnel.local))) &&
    (reqid === undefined || tunnel.reqids.includes(reqid)) &&
    (ifId === undefined || tunnel.ifIds.some((one) => (one ?? 0) === ifId)) &&
    (mark === undefined || tunnel.marks.some((one) => (one?.value ?? 0) === mark))
  );
}
