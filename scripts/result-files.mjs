// Writes results to a file for other programs, using node's own reporters.
import { closeSync, openSync, renameSync, writeSync } from 'node:fs';
import { junit, tap } from 'node:test/reporters';

const REPORTERS = { junit, tap };

/** The events of all lanes as one run, with a suite per lane. */
function* asOne(lanes) {
  for (const [index, { name, events, seconds, failed }] of lanes.entries()) {
    const place = { name, nesting: 0, testNumber: index + 1 };
    yield { type: 'test:start', data: place };
    let own = 0;
    for (const { type, data } of events) {
      if (type === 'test:dequeue') continue;
      if ((type === 'test:pass' || type === 'test:fail') && data.nesting === 0) own += 1;
      yield { type, data: { ...data, nesting: data.nesting + 1 } };
    }
    // Failures of the lane itself rather than of a test.
    for (const text of failed) {
      own += 1;
      const error = Object.assign(new Error(text), { failureType: 'laneFailure', stack: text });
      const details = { duration_ms: 0, error };
      const data = { name: text, nesting: 1, testNumber: own, details };
      yield { type: 'test:start', data };
      yield { type: 'test:fail', data };
    }
    yield { type: 'test:plan', data: { nesting: 1, count: own } };
    const bad = failed.length > 0 || events.some(({ type }) => type === 'test:fail');
    const details = { type: 'suite', duration_ms: seconds * 1000 };
    if (bad) {
      const error = new Error('a test of this lane failed');
      details.error = Object.assign(error, { failureType: 'subtestsFailed' });
    }
    yield { type: bad ? 'test:fail' : 'test:pass', data: { ...place, details } };
  }
  yield { type: 'test:plan', data: { nesting: 0, count: lanes.length } };
}

/** Opens the file immediately, so that an unwritable path is reported before the tests run. */
export function resultFile(format, path) {
  const part = `${path}.${process.pid}.part`;
  const descriptor = openSync(part, 'w');
  return {
    part,
    async write(lanes) {
      async function* source() {
        yield* asOne(lanes);
      }
      for await (const text of REPORTERS[format](source())) writeSync(descriptor, text);
      closeSync(descriptor);
      renameSync(part, path);
    },
  };
}
