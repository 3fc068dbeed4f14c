// Serialises events of node:test as lines of text, and parses them. (Errors contain what JSON cannot represent.)

/** Prefix of a line that holds an event as JSON. */
const MARK = '@event ';

function flat(error, depth = 0) {
  if (!(error instanceof Error))
    return error === undefined ? undefined : { message: String(error) };
  const { name, message, stack, code, failureType } = error;
  const cause = depth < 3 ? flat(error.cause, depth + 1) : undefined;
  return { name, message, stack, code, failureType, cause };
}

function whole(record) {
  if (record === undefined) return undefined;
  const { message, cause, ...rest } = record;
  const error = new Error(message, cause === undefined ? undefined : { cause: whole(cause) });
  return Object.assign(error, rest);
}

/** Encodes an event on a separate line, even if the previous output did not end with a line break. */
export function encodeEvent(type, data) {
  const { details } = data;
  const error = flat(details?.error);
  const text = JSON.stringify({
    type,
    data: { ...data, details: details && { ...details, error } },
  });
  return `\n${MARK}${text}\n`;
}

/** Decodes the event of a line; undefined for any other line. */
export function decodeEvent(line) {
  if (!line.startsWith(MARK)) return undefined;
  const event = JSON.parse(line.slice(MARK.length));
  const { details } = event.data;
  if (details?.error !== undefined) details.error = whole(details.error);
  return event;
}
