/** A verdict as JSON: SAs and policies by their identifiers, no keys. @module */
import type { Fate } from '../../fate/fate.ts';
import type { NearPolicy } from '../../fate/policy-lookup.ts';
import type { NearSa, Resolution } from '../../fate/sa-lookup.ts';
import type { Acceptance, Arrival, Receiving, Sending } from '../../fate/verdict.ts';
import type { XfrmPolicy, XfrmState } from '../../xfrm/objects.ts';

export type WhyRecord = { readonly kind: 'why' } & ReturnType<typeof whyMembers>;

const saJson = ({ saddr, daddr, proto, spi }: XfrmState) => ({ saddr, daddr, proto, spi });

const policyJson = ({ index, dir, action, priority, selector }: XfrmPolicy) => ({
  index,
  dir,
  action,
  priority,
  selector,
});

const nearSas = (near: readonly NearSa[]) => near.map(({ sa, but }) => ({ sa: saJson(sa), but }));
const nearPolicies = (near: readonly NearPolicy[]) =>
  near.map(({ policy, but }) => ({ policy: policyJson(policy), but }));

const templateJson = ({ demand, sa, near }: Resolution | Acceptance) => ({
  template: demand.template,
  saddr: demand.from,
  daddr: demand.to,
  sa: sa && saJson(sa),
  near: nearSas(near),
});

const arrivalJson = ({ through, outcome, because, counters }: Arrival) => ({
  through: through.map(saJson),
  outcome,
  because,
  counters,
});

function stageJson(stage: Sending | Receiving) {
  const { lookup, templates, outcome, because, counters } = stage;
  return {
    stage: stage.stage,
    outcome,
    because,
    counters,
    policy: lookup.policy && policyJson(lookup.policy),
    near: nearPolicies(lookup.near),
    templates: templates.map(templateJson),
    through: ('through' in stage ? stage.through : (stage.arrival?.through ?? [])).map(saJson),
    others: 'others' in stage ? stage.others.map(arrivalJson) : [],
  };
}

export function whyMembers({ question, outcome, because, counters, doubts, stages }: Fate) {
  const { flow, direction, mark, route, assumed = [] } = question;
  const { saddr, daddr, proto, sport, dport } = flow;
  const way =
    'error' in route
      ? { error: route.error }
      : {
          type: route.type,
          device: route.device,
          gateway: route.gateway,
          source: route.source,
        };
  return {
    flow: { saddr, daddr, proto, sport, dport },
    direction,
    mark,
    outcome,
    because,
    counters,
    doubts,
    assumed,
    route: way,
    stages: stages.map(stageJson),
  };
}
