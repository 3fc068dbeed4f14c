/** JSON Schema of the counters of xfrm_stat. @module */
import type { JsonRecord } from '../../lib/cli/json.ts';
import type { NearbyRecord } from '../../lib/cli/stat/counter-text.ts';
import { array, digits, type Members, object, type Schema, string } from './types.ts';

const count: Schema = { type: 'integer', minimum: 0 };
const number: Schema = { type: 'number' };
const counter: Schema = { type: 'string', pattern: '^Xfrm' };
const described = (description: string, schema: Schema): Schema => ({ description, ...schema });

const nearby: Record<keyof NearbyRecord, Schema> = {
  event: described('Its kind.', string),
  count: described('How many of its kind there were; this is the last.', count),
  withinMs: described('At most so far from the move.', count),
  monotonic: described('When it was read, as in the line of the event.', number),
  text: string,
  portId: described('What the event claims; absent if nothing.', count),
  claimedBy: {
    description: 'The process with that port id; null if there is none that can be seen.',
    oneOf: [object({ pid: count, name: string }), { type: 'null' }],
  },
};

const meaning = described('Absent if this version does not know the counter.', string);

type Kind = 'counter' | 'counter-move';
export const counterKinds: { [K in Kind]: Members<Extract<JsonRecord, { kind: K }>> } = {
  counter: {
    doc: 'A counter of packets that IPsec dropped, in a list.',
    always: { counter, value: digits },
    sometimes: {
      rate: described('Packets per second.', number),
      meaning,
      cause: string,
      look: described('What to look at.', string),
      source: described('What counts it in the kernel.', string),
    },
  },
  'counter-move': {
    doc: 'Such a counter grew.',
    always: {
      counter,
      value: digits,
      delta: digits,
      seconds: described('Between the two readings.', number),
      events: described(
        'Events next to it in time, the last first.',
        array(object(nearby, ['portId', 'claimedBy'])),
      ),
    },
    sometimes: { meaning },
  },
};
