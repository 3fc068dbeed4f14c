/**
 * An event that a test causes.
 * @module
 */
import { formatJson } from '../../lib/cli/json.ts';
import { type SubscriptionEvent, subscribe } from '../../lib/index.ts';
import { checkLine } from '../schema.ts';
import { next } from './support.ts';

const ALL = [
  'XFRMNLGRP_ACQUIRE',
  'XFRMNLGRP_EXPIRE',
  'XFRMNLGRP_SA',
  'XFRMNLGRP_POLICY',
  'XFRMNLGRP_AEVENTS',
  'XFRMNLGRP_REPORT',
  'XFRMNLGRP_MIGRATE',
  'XFRMNLGRP_MAPPING',
] as const;

/**
 * Listens to everything, does something, and gives the first event that fits. All events on the way
 * hold to the published schema.
 */
export async function caused<Event extends SubscriptionEvent>(
  work: () => Promise<unknown>,
  wanted: (event: SubscriptionEvent) => event is Event,
): Promise<Event> {
  const subscription = subscribe({ groups: ALL, signal: AbortSignal.timeout(600_000) });
  await using _ = subscription;
  const events = subscription[Symbol.asyncIterator]();
  await work();
  return await next(events, (event): event is Event => {
    checkLine(formatJson(event, false));
    return wanted(event);
  });
}
