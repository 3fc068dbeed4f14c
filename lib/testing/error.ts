/** Errors of the testing kit. @module */

/** What a test asked for did not hold, or could not be set up. The message says what was seen instead. */
export class TestingError extends Error {
  override readonly name = 'TestingError';
  readonly code: TestingErrorCode;

  constructor(code: TestingErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? {} : { cause });
    this.code = code;
  }
}

/** What went wrong, for programs. */
export type TestingErrorCode =
  /** An expectation did not hold. */
  | 'ERR_EXPECTATION'
  /** What was waited for did not come in time. */
  | 'ERR_WAIT_TIMEOUT'
  /** A program is not installed. */
  | 'ERR_PROGRAM_MISSING'
  /** A program ended with another status than 0, or before it was ready. */
  | 'ERR_PROGRAM_FAILED'
  /** This kernel or container lacks what is needed. */
  | 'ERR_LACKING';
