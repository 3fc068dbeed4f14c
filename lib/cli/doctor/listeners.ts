/** Who else listens to XFRM in a network namespace: key managers and monitors. @module */
import { NETLINK_XFRM } from '../../netlink/constants.ts';
import { type SocketOwner, SocketOwners } from '../../socket/index.ts';
import { printable } from '../../wire/text.ts';
import { type Check, readIn } from './examined.ts';
import { type Finding, ok } from './finding.ts';

/** Names of the groups, by number (linux/xfrm.h, XFRMNLGRP_). */
const GROUPS = ['acquire', 'expire', 'sa', 'policy', 'aevents', 'report', 'migrate', 'mapping'];

/** A socket that has joined XFRM groups. */
export interface XfrmListener {
  readonly portId: number;
  readonly groups: readonly string[];
  /** Datagrams that the kernel dropped because its buffer was full. */
  readonly drops: number;
}

/** The XFRM sockets with groups in /proc/net/netlink. */
export function parseListeners(table: string): XfrmListener[] {
  // Columns: sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode (netlink_native_seq_show).
  return table.split('\n').flatMap((line) => {
    const [, protocol, portId, mask = '0', , , , , drops] = line.trim().split(/\s+/);
    const bits = Number.parseInt(mask, 16);
    if (Number(protocol) !== NETLINK_XFRM || !(bits > 0) || Number(portId) === 0) return [];
    const groups = Array.from({ length: 32 }, (_, i) => i)
      .filter((i) => (bits >>> i) & 1)
      .map((i) => GROUPS[i] ?? `${i + 1}`);
    return [{ portId: Number(portId), groups, drops: Number(drops) }];
  });
}

/** A listener, and the process that holds its socket if it can be seen. */
export type Held = XfrmListener & { readonly owner: SocketOwner | undefined };

const name = ({ owner, portId }: Held): string =>
  owner ? `${printable(owner.name)}[${owner.pid}]` : `port ${portId}`;
const list = (all: readonly Held[]) =>
  all.map((one) => `${name(one)} (${one.groups.join(' ')})`).join(', ');

/** A key manager hears the requests for SAs. */
const isKeyManager = ({ groups }: XfrmListener) => groups.includes('acquire');

/** @param wanted policies whose packets need an SA; undefined if unknown */
export function listenerFindings(
  listeners: readonly Held[],
  pfKey: boolean,
  wanted: number | undefined,
): Finding[] {
  const managers = listeners.filter(isKeyManager);
  const others = listeners.filter((one) => !isKeyManager(one));
  const dropping = listeners.filter(({ drops }) => drops > 0);
  const found: Finding[] = [];
  const id = 'listener.key-managers';
  const sockets = pfKey ? '; PF_KEY sockets are open' : '';
  if (managers.length === 1 || (managers.length === 0 && pfKey)) {
    found.push(
      ok(
        id,
        `${list(managers)}${sockets}`.replace(/^; /, ''),
        'it is asked for SAs that packets need',
      ),
    );
  } else if (managers.length > 1) {
    const meaning =
      'each is asked for every SA that a packet needs; two key managers can replace and delete each other’s SAs and policies';
    const remedy = 'if both are key managers, stop one; a monitor with --acquires is harmless';
    found.push({ id, severity: 'note', found: list(managers) + sockets, meaning, remedy });
  } else if (wanted) {
    found.push({
      id,
      severity: 'warning',
      found: `none, and ${wanted} outbound ${wanted === 1 ? 'policy needs' : 'policies need'} SAs`,
      meaning: 'packets that need an SA that is missing are dropped, and nobody is asked for one',
      remedy:
        'start the key manager: systemctl start strongswan (or ipsec, iked); manual keys need none',
    });
  } else {
    found.push(ok(id, 'none', 'nobody negotiates SAs in this network namespace'));
  }
  const heard = 'they are told what changes, as this command is';
  found.push(ok('listener.others', others.length > 0 ? list(others) : 'none', heard));
  const lost = 'listener.drops';
  if (dropping.length === 0) found.push(ok(lost, 'none', 'no listener lost events'));
  else {
    found.push({
      id: lost,
      severity: 'warning',
      found: dropping.map((one) => `${name(one)} ${one.drops}`).join(', '),
      meaning:
        'the kernel dropped events because these processes were too slow, or their buffers too small; a key manager may have missed that an SA expired',
      remedy:
        'restart what lost them, and raise its receive buffer: sysctl -w net.core.rmem_max=67108864',
    });
  }
  return found;
}

/** @param wanted as for {@link listenerFindings} */
export const checkListeners =
  (wanted: number | undefined): Check =>
  async (examined) => {
    const table = readIn(examined, '/proc/thread-self/net/netlink');
    if (table === undefined) {
      const meaning = 'it is unknown who listens';
      const remedy = 'mount /proc: mount -t proc proc /proc';
      const found = 'there is no /proc/net/netlink';
      return [{ id: 'listener.key-managers', severity: 'note', found, meaning, remedy }];
    }
    const owners = new SocketOwners({ netns: examined.held.netns });
    const all = await Promise.all(
      parseListeners(table).map(async (one): Promise<Held> => {
        const owner = await owners.find(NETLINK_XFRM, one.portId);
        return { ...one, owner };
      }),
    );
    // The header is there even without sockets.
    const pfKey = (readIn(examined, '/proc/thread-self/net/pfkey') ?? '').split('\n').length > 1;
    return listenerFindings(
      all.filter(({ owner }) => owner?.pid !== process.pid),
      pfKey,
      wanted,
    );
  };
