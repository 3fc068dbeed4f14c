/**
 * The addresses of a host, updated event by event.
 * @module
 */
import { type AddressKinds, addressModel, hostLink } from '../../lib/monitor/address-table.ts';
import { Reconciler } from '../../lib/monitor/reconciler.ts';
import type { RouteEvent } from '../../lib/route/events.ts';
import type { IpAddress, Link } from '../../lib/route/objects.ts';
import { LocalAddresses } from '../../lib/tunnel/addresses.ts';

const time = { wall: 0, monotonic: 0 };

/** A host with these links, and what it tells. */
export function host(...links: Link[]) {
  let local: LocalAddresses | undefined;
  let told: string[] = [];
  const table = new Reconciler<AddressKinds, RouteEvent>(
    addressModel,
    {
      now: () => time,
      wakeAfter: () => {},
      mayProceed: () => true,
      dump: () => {},
      emit: (change) => {
        if ('object' in change && local) told.push(...local.change(change));
      },
    },
    { least: 0, most: 0 },
  );
  const compare = (...now: Link[]) => {
    table.wake();
    table.empty();
    for (const one of now) table.dumped('link', hostLink(one));
    table.dumpEnded();
    table.empty();
  };
  compare(...links);
  local = new LocalAddresses(table.tables);
  const event = (kind: string, about: { link: Link } | { address: IpAddress }) => {
    told = [];
    table.event({ kind, time, header: { portId: 0 }, ...about } as unknown as RouteEvent);
    return told;
  };
  const lose = (...now: Link[]) => {
    told = [];
    table.lost('ENOBUFS');
    compare(...now);
    return told;
  };
  return { table, local, event, lose };
}
