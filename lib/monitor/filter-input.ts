/** What an event, or an entry of a list, is about: the SAs and policies it names. @module */
import type { RouteMessage } from '../route/requests.ts';
import type { XfrmEvent } from '../xfrm/events.ts';
import { type FilterSubject, ofPolicy, ofState } from '../xfrm/filter-subject.ts';
import { bodyOf, messages } from '../xfrm/messages.ts';
import type { XfrmPolicy, XfrmState } from '../xfrm/objects.ts';
import type { XfrmMessage } from '../xfrm/requests.ts';
import type { SubscriptionEvent } from './subscribe.ts';

export type { FilterSubject, SubjectAddress } from '../xfrm/filter-subject.ts';

/** An SA or a policy that is there: an entry of a list. */
export type ListedObject =
  | { readonly kind: 'state'; readonly state: XfrmState }
  | { readonly kind: 'policy'; readonly policy: XfrmPolicy };

/** All that can be asked what it is about: of recordings, also requests and answers. */
export type FilterInput = SubscriptionEvent | XfrmMessage | RouteMessage | ListedObject;

/** Which of the two each kind of event is about. */
export const EVENT_KINDS = {
  ...Object.fromEntries(
    Object.entries(messages).flatMap(([name, row]) => ('event' in row ? [[name, row.about]] : [])),
  ),
  unknown: 'both',
} as Readonly<Record<XfrmEvent['kind'], 'state' | 'policy' | 'both'>>;

/** Undefined where it is about neither SAs nor policies. */
export function subjectOf(item: FilterInput): FilterSubject | undefined {
  if (item.kind === 'state') return ofState(item.state);
  if (item.kind === 'policy') return ofPolicy(item.policy);
  if (item.kind === 'overrun' || item.kind === 'malformed' || item.protocol !== 'xfrm') {
    return undefined;
  }
  return bodyOf(item)?.subject?.(item);
}
