/** Programs of these tests that run in the lab. */
import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { type LabOptions, runInLab } from '../../lib/lab/index.ts';

/** Runs node there, which must succeed. @returns what it said */
export async function nodeInLab(args: readonly string[], options: LabOptions): Promise<string> {
  let said = '';
  const output = new PassThrough().on('data', (text) => {
    said += text;
  });
  const command = [process.execPath, ...args];
  const { status } = await runInLab(command, { ...options, stdout: output, stderr: output });
  assert.equal(status, 0, said.slice(-3000));
  return said;
}
