/**
 * What the tests of the lab share.
 * @module
 */
import { createHash } from 'node:crypto';
import { Writable } from 'node:stream';
import {
  type Lab,
  type LabCommandOptions,
  type LabOptions,
  type LabResult,
  runInLab,
} from '../../lib/lab/index.ts';

/** Milliseconds after which a guest hangs, on a host however slow and busy. */
export const PATIENCE = 15 * 60_000;

/** Keeps what is written to it, and when the first of it came. */
export class Sink extends Writable {
  readonly chunks: Buffer[] = [];
  first = 0;
  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.first ||= performance.now();
    this.chunks.push(chunk);
    done();
  }
  get bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }
}

export interface Captured extends LabResult {
  readonly out: string;
  readonly err: string;
}

export async function capture(command: string[], options: LabOptions = {}): Promise<Captured> {
  const stdout = new Sink();
  const stderr = new Sink();
  const result = await runInLab(command, { timeout: PATIENCE, stdout, stderr, ...options });
  return { ...result, out: stdout.bytes.toString(), err: stderr.bytes.toString() };
}

/** As `capture`, in a guest that is up. */
export async function captureIn(
  lab: Lab,
  command: string[],
  options: LabCommandOptions = {},
): Promise<Captured> {
  const stdout = new Sink();
  const stderr = new Sink();
  const result = await lab.run(command, { timeout: PATIENCE, stdout, stderr, ...options });
  return { ...result, out: stdout.bytes.toString(), err: stderr.bytes.toString() };
}

export const sha256 = (data: Buffer) => createHash('sha256').update(data).digest('hex');
