/**
 * JSON Schema for the verdict on a packet. The members are checked against their types by the
 * compiler.
 * @module
 */
import type { JsonRecord } from '../../lib/cli/json.ts';
import type { WhyRecord } from '../../lib/cli/why/record.ts';
import * as structs from '../../lib/xfrm/structs.ts';
import { array, type Members, members, object, reference, type Schema, string } from './types.ts';

const described = (description: string, schema: Schema): Schema => ({ description, ...schema });
const number: Schema = { type: 'integer', minimum: 0 };
const outcome: Schema = { enum: ['protected', 'clear', 'dropped'] };
const because = described('The reason, in a sentence.', string);
const counters = described(
  'The counters of /proc/net/xfrm_stat that count a dropped packet.',
  array(string),
);
const { saddr, daddr, spi } = members(structs.xfrm_usersa_info);
const { proto } = members(structs.xfrm_id);
const sa = object({ saddr, daddr, proto, spi } as Record<string, Schema>);
const policy = reference('TunnelPolicy');
const but = described('What differs.', array(string));

type Stage = WhyRecord['stages'][number];
const template: Record<keyof Stage['templates'][number], Schema> = {
  template: reference(structs.xfrm_user_tmpl.name),
  saddr: described(
    'The source that its SA must have; absent if there is no route for one.',
    string,
  ),
  daddr: described('The destination that its SA must have.', string),
  sa: described('The SA; absent if none fits.', sa),
  near: described('SAs that nearly fit.', array(object({ sa, but }))),
};
const stage: Record<keyof Stage, Schema> = {
  stage: { enum: ['send', 'receive', 'forward'] },
  outcome,
  because,
  counters,
  policy: described('The policy that catches it; absent if none does.', policy),
  near: described(
    'Policies that would have caught it but for one thing.',
    array(object({ policy, but })),
  ),
  templates: array(object(template, ['saddr', 'sa'])),
  through: described(
    'SAs: those it leaves in, the innermost first, or comes in, the outermost first.',
    array(sa),
  ),
  others: described(
    'Other ways in which it might come.',
    array(object({ through: array(sa), outcome, because, counters })),
  ),
};

export const whyKinds: { why: Members<Extract<JsonRecord, { kind: 'why' }>> } = {
  why: {
    doc: 'What the kernel will do with a packet.',
    always: {
      flow: described(
        'Protocol 0: any. For ICMP the ports are type and code.',
        object({ saddr: string, daddr: string, proto: number, sport: number, dport: number }, [
          'sport',
          'dport',
        ]),
      ),
      direction: { enum: ['out', 'in', 'fwd', 'local'] },
      mark: number,
      outcome,
      because,
      counters,
      doubts: described(
        'What the tables do not tell, and might change the verdict.',
        array(string),
      ),
      assumed: described(
        'What was not asked from the kernel, because this is about a recording.',
        array(string),
      ),
      route: object(
        {
          type: { anyOf: [string, number] },
          device: string,
          gateway: string,
          source: string,
          error: string,
        },
        ['type', 'device', 'gateway', 'source', 'error'],
      ),
      stages: described('What it meets, in order.', array(object(stage, ['policy']))),
    },
  },
};
