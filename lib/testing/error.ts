/** Errors of the testing kit. @module */

/** An expectation failed, or something could not be set up. The message says what was seen instead. */
export class TestingError extends Error {
  override readonly name = 'TestingError';
  readonly code: TestingErrorCode;

  constructor(code: TestingErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? {} : { cause });
    this.code = code;
  }
}

/** Error codes, for programs. */
export type TestingErrorCode =
  /** An expectation failed. */
  | 'ERR_EXPECTATION'
  /** A wait timed out. */
  | 'ERR_WAIT_TIMEOUT'
  /** A program is not installed. */
  | 'ERR_PROGRAM_MISSING'
  /** A program exited with a status other than 0, or before it was ready. */
  | 'ERR_PROGRAM_FAILED'
  /** This kernel or container lacks a required feature. */
  | 'ERR_LACKING';
