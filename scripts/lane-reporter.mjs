// A reporter for node:test: each event is a line that scripts/test.mjs reads (scripts/events.mjs). The
// lines go the same way as the tests' output, so that they also come out of a lab kernel.
import { encodeEvent } from './events.mjs';

const PASSED_ON = new Set([
  'test:dequeue',
  'test:start',
  'test:pass',
  'test:fail',
  'test:plan',
  'test:diagnostic',
]);

export default async function* report(source) {
  for await (const { type, data } of source) {
    if (type === 'test:stdout' || type === 'test:stderr') yield data.message;
    else if (PASSED_ON.has(type)) yield encodeEvent(type, data);
  }
  yield encodeEvent('lane:end', {});
}
