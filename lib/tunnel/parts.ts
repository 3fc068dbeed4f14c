/** The parts of a tunnel with several reqids. @module */

import { madeEntry } from '../monitor/table.ts';
import { has } from './few.ts';
import type { SaGroup } from './sa-group.ts';
import { NO_TRAFFIC, withTraffic } from './sa-limits.ts';
import type { TunnelPart } from './tunnel.ts';
import { both, NO_SHARED, protocolOf, type TunnelContents } from './tunnel-contents.ts';

/** @returns undefined if there is only one */
export function partsOf(
  contents: TunnelContents,
  groups: readonly SaGroup[],
): TunnelPart[] | undefined {
  if (groups.length < 2) return undefined;
  const parts = groups.map((group) => {
    const sas = both((direction) => contents.sas[direction].filter((sa) => sa.group === group));
    const larval = contents.larval.filter((sa) => sa.group === group);
    const policies = contents.policies.filter((policy) => has(group.policies, policy));
    const demands = contents.demands.filter(({ reqid }) => reqid === group.reqid);
    const protocol = protocolOf({ sas, larval, demands, shared: NO_SHARED });
    const values = both((direction) => sas[direction].map(({ entry }) => entry.value));
    return {
      reqid: group.reqid,
      protocol,
      sas: both((direction) => sas[direction].map(({ entry }) => madeEntry(entry))),
      policies: policies.map(({ entry }) => madeEntry(entry)),
      traffic: both((direction) =>
        values[direction].filter(({ proto }) => proto === protocol).reduce(withTraffic, NO_TRAFFIC),
      ),
    };
  });
  const there = parts.filter(
    ({ sas, policies }) => sas.out.length + sas.in.length + policies.length,
  );
  return there.length < 2 ? undefined : there;
}
