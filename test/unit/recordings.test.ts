/** A real negotiation, recorded. */
import { test } from 'node:test';
import { checkNegotiation, roundTrip, strongswan } from './recordings.ts';

test('a recorded strongSwan negotiation decodes, and encodes to the same bytes', () => {
  checkNegotiation(roundTrip(strongswan()));
});
