/**
 * The errors of conversion between bytes and values, one for each direction.
 * @module
 */

/** What is wrong with some bytes, and where. */
export interface DecodeErrorDetails {
  /** Where in the message, outermost first: `['NEWSA', 'XFRMA_ALG_AEAD']`. */
  readonly path: readonly string[];
  /** Byte offset of the faulty part, from the start of the buffer that was read. */
  readonly offset: number;
  /** Number of bytes required. */
  readonly expected?: number;
  /** Number of bytes present. */
  readonly found?: number;
}

/** Malformed bytes. Names the path and the offset; contains none of the bytes. */
export class DecodeError extends Error implements DecodeErrorDetails {
  readonly code = 'ERR_NETLINK_DECODE';
  /** What is wrong, without the path. */
  readonly reason: string;
  readonly path: readonly string[];
  readonly offset: number;
  declare readonly expected?: number;
  declare readonly found?: number;

  constructor(reason: string, details: DecodeErrorDetails) {
    super(`${[...details.path, reason].join(' › ')} (offset ${details.offset})`);
    this.name = 'DecodeError';
    this.reason = reason;
    this.path = details.path;
    this.offset = details.offset;
    if (details.expected !== undefined) this.expected = details.expected;
    if (details.found !== undefined) this.found = details.found;
  }

  /** The same error with `outer` prepended to its path. */
  within(outer: string): DecodeError {
    return new DecodeError(this.reason, { ...this, path: [outer, ...this.path] });
  }
}

/** Throws the error for a part that is shorter than its type. */
export function tooShort(name: string, offset: number, expected: number, found: number): never {
  throw new DecodeError(`needs ${expected} bytes, has ${found}`, {
    path: name === '' ? [] : [name],
    offset,
    expected,
    found,
  });
}

/** Throws the error for a list whose length is not a multiple of its entry size. */
export function notAMultiple(name: string, offset: number, of: number, found: number): never {
  throw new DecodeError(`has ${found} bytes, not a multiple of ${of}`, {
    path: [name],
    offset,
    expected: Math.ceil(found / of) * of,
    found,
  });
}

/**
 * Throws the error for a record whose stated length is less than its struct, or more than is left.
 */
export function wrongRecord(name: string, offset: number, says: number, left: number): never {
  throw new DecodeError(`a record has length ${says}, but ${left} bytes are left`, {
    path: [name],
    offset,
    expected: says,
    found: left,
  });
}

/** Throws the error for a length inside a struct that contradicts the length of the whole. */
export function wrongLength(name: string, offset: number, expected: number, found: number): never {
  throw new DecodeError(`has length ${found}, expected ${expected}`, {
    path: [name],
    offset,
    expected,
    found,
  });
}

/** A value that cannot be encoded. Names the path of the value; never shows a key. */
export class EncodeError extends Error {
  readonly code = 'ERR_NETLINK_ENCODE';
  /** What is wrong, without the path. */
  readonly reason: string;
  /** Where in the message, outermost first: `['NEWSA', 'XFRMA_ALG_AEAD', 'key']`. */
  readonly path: readonly string[];

  constructor(reason: string, path: readonly string[]) {
    super([...path, reason].join(' › '));
    this.name = 'EncodeError';
    this.reason = reason;
    this.path = path;
  }
}

/** For the catch of code that writes a part: the same error with `outer` prepended to its path. */
export function within(error: unknown, outer: string): unknown {
  if (error instanceof EncodeError) return new EncodeError(error.reason, [outer, ...error.path]);
  if (error instanceof DecodeError) return error.within(outer);
  return error;
}

/**
 * For the catch of a message encoder: the error with the message's name in its path. Writers do not
 * check for null first, so a failure caused by a null is reported by its path here. The original
 * error is not attached: an error from the engine may show the value, which may be a key.
 */
export function notEncoded(error: unknown, name: string, message: object): unknown {
  if (!(error instanceof TypeError || error instanceof RangeError)) return within(error, name);
  const path = pathToNull(message, new Set());
  return path === undefined
    ? new EncodeError('contains a value of the wrong type', [name])
    : new EncodeError('is null: omit the property instead', [name, ...path]);
}

function pathToNull(value: object, seen: Set<object>): string[] | undefined {
  seen.add(value);
  for (const [key, inner] of ArrayBuffer.isView(value) ? [] : Object.entries(value)) {
    const at = Array.isArray(value) ? `[${key}]` : key;
    if (inner === null) return [at];
    if (typeof inner !== 'object' || seen.has(inner)) continue;
    const path = pathToNull(inner, seen);
    if (path !== undefined) return [at, ...path];
  }
  return undefined;
}
