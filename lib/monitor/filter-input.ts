/** The subject of an event or a dumped object: the SAs and policies it names. @module */
import { object } from '../base/argument.ts';
import type { RouteMessage } from '../route/requests.ts';
import type { XfrmEvent } from '../xfrm/events.ts';
import { type FilterSubject, ofPolicy, ofState } from '../xfrm/filter-subject.ts';
import { bodyOf, messages } from '../xfrm/messages.ts';
import type { XfrmPolicy, XfrmState } from '../xfrm/objects.ts';
import type { XfrmMessage } from '../xfrm/requests.ts';
import type { SubscriptionEvent } from './subscribe.ts';

export type { FilterSubject, SubjectAddress } from '../xfrm/filter-subject.ts';

/** An existing SA or policy: one entry of a dump. */
export type ListedObject =
  | { readonly kind: 'state'; readonly state: XfrmState }
  | { readonly kind: 'policy'; readonly policy: XfrmPolicy };

/** Anything a filter can be applied to; in recordings that includes requests and answers. */
export type FilterInput = SubscriptionEvent | XfrmMessage | RouteMessage | ListedObject;

/** Whether each kind of event is about SAs, policies or both. */
export const EVENT_KINDS = {
  ...Object.fromEntries(
    Object.entries(messages).flatMap(([name, row]) => ('event' in row ? [[name, row.about]] : [])),
  ),
  unknown: 'both',
} as Readonly<Record<XfrmEvent['kind'], 'state' | 'policy' | 'both'>>;

/** Undefined if it is about neither SAs nor policies. */
export function subjectOf(item: FilterInput): FilterSubject | undefined {
  if (item.kind === 'state') {
    object('item.state', item.state);
    return ofState(item.state);
  }
  if (item.kind === 'policy') {
    object('item.policy', item.policy);
    object('item.policy.selector', item.policy.selector);
    return ofPolicy(item.policy);
  }
  if (item.kind === 'overrun' || item.kind === 'malformed' || item.protocol !== 'xfrm') {
    return undefined;
  }
  return bodyOf(item)?.subject?.(item);
}
