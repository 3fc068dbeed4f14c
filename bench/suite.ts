/** `netlink-xfrm test` in the lab: until the first test of a suite begins, and until it has ended. @module */
import { Writable } from 'node:stream';
import { prepareLab, runInLab } from '../lib/lab/index.ts';

/** Seconds, for each run. */
export interface FirstTest {
  readonly kernel: string;
  /** From the start of the kernel. */
  readonly begun: number[];
  readonly ended: number[];
  /** From the start of the command to the end of it. */
  readonly whole: number[];
}

const SUITE = new URL('./first-test.js', import.meta.url).pathname;

/** @throws LabError */
export async function firstTest(
  rounds: number,
  progress: (text: string) => void,
): Promise<FirstTest> {
  const { release: kernel } = await prepareLab({ progress });
  progress('the first test of a suite in the lab');
  const found: FirstTest = { kernel, begun: [], ended: [], whole: [] };
  for (let round = 0; round < rounds; round++) {
    let text = '';
    const stdout = new Writable({
      write: (chunk, _encoding, done) => {
        text += chunk;
        done();
      },
    });
    const start = performance.now();
    const env = { ...process.env, NODE_TEST_CONTEXT: undefined, NETLINK_XFRM_REQUIRE: 'esp' };
    const { status } = await runInLab([process.execPath, '--test', SUITE], { stdout, env });
    found.whole.push((performance.now() - start) / 1000);
    const [line] = /\{"begun":[^}]*\}/.exec(text) ?? [];
    if (status !== 0 || line === undefined) throw new Error(`the suite in the lab: ${text}`);
    const { begun, ended } = JSON.parse(line) as Record<'begun' | 'ended', number>;
    found.begun.push(begun);
    found.ended.push(ended);
  }
  return found;
}
