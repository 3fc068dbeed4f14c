/** Names of system errors. */
import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { test } from 'node:test';
import { errorCode } from '../../lib/index.ts';

test('an error has its name, also one that libuv has not', () => {
  assert.equal(errorCode(constants.errno.ENOBUFS), 'ENOBUFS');
  assert.equal(errorCode(-constants.errno.ENOBUFS), 'ENOBUFS');
  assert.equal(errorCode(constants.errno.EINPROGRESS), 'EINPROGRESS');
  assert.equal(errorCode(99_999), 'Unknown system error -99999');
});
