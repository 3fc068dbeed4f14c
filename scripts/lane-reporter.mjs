// A reporter for node:test that prints each event as a line for scripts/test.mjs (scripts/events.mjs). The
// lines share a stream with the tests' output, so that they also get out of a lab kernel.
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
