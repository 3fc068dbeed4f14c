/** What each of several reqids has of a tunnel. @module */
import { NO_TRAFFIC, withTraffic } from './figures.ts';
import type { Group } from './group.ts';
import { both, type Present, protocolOf } from './present.ts';
import type { TunnelPart } from './tunnel.ts';

/** @returns undefined if there is but one */
export function partsOf(present: Present, groups: readonly Group[]): TunnelPart[] | undefined {
  if (groups.length < 2) return undefined;
  const parts = groups.map((group) => {
    const sas = both((direction) => present.sas[direction].filter((sa) => sa.group === group));
    const larval = present.larval.filter((sa) => sa.group === group);
    const policies = present.policies.filter(({ uid }) => group.policies.has(uid));
    const demands = present.demands.filter(({ reqid }) => reqid === group.reqid);
    const protocol = protocolOf({ sas, larval, demands, shared: [] });
    const values = both((direction) => sas[direction].map(({ entry }) => entry.value));
    return {
      reqid: group.reqid,
      protocol,
      sas: both((direction) => sas[direction].map(({ entry }) => entry)),
      policies: policies.map(({ entry }) => entry),
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
