// A reporter for node:test: says what failed, and ends with one line that scripts/test.mjs reads.
// The line goes the same way as the tests' output, so that it also comes out of a lab kernel.

/** Starts the line; followed by JSON. */
export const LANE_MARK = '@lane ';

function describe(error) {
  const cause = error?.cause ?? error;
  return cause?.stack ?? String(cause);
}

export default async function* report(source) {
  const result = { passed: [], failed: [], skipped: {} };
  for await (const { type, data } of source) {
    if (type === 'test:stdout' || type === 'test:stderr') yield data.message;
    if (type === 'test:diagnostic' && data.level === 'error') yield `${data.message}\n`;
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    // Suites and whole files are counted by the tests in them, unless they themselves fail.
    const group = data.details.type === 'suite' || data.name === data.file;
    if (type === 'test:fail' && data.details.error?.failureType !== 'subtestsFailed') {
      result.failed.push(data.name);
      yield `not ok: ${data.name} (${data.file ?? ''}:${data.line ?? ''})\n${describe(data.details.error)}\n`;
    } else if (type === 'test:pass' && !group) {
      if (data.skip !== undefined || data.todo !== undefined) {
        const reason = data.skip ?? data.todo;
        result.skipped[data.name] = {
          file: data.file,
          reason: typeof reason === 'string' && reason !== '' ? reason : 'no reason given',
        };
      } else result.passed.push(data.name);
    }
  }
  yield `${LANE_MARK}${JSON.stringify(result)}\n`;
}
