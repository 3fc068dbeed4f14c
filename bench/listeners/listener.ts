/**
 * Common parts of the JavaScript listeners; native/listener.c is the C counterpart.
 *
 *   node LISTENER.js BYTES GROUPS kernel|any [latency]
 * @module
 */

const [bytes = '', groups = '', source = '', what] = process.argv.slice(2);

/** The receive buffer to ask for. */
export const receiveBufferSize = Number(bytes);
/** Bytes into which a thread reads ahead; 0: no thread. */
export const readAhead = Number(process.env.BENCH_READ_AHEAD ?? 0);
/** Mask of the groups to join. */
export const groupMask = Number(groups);
/** Whether to accept only datagrams from the kernel. */
export const kernelOnly = source === 'kernel';
/** Whether to measure latencies. */
export const measuresLatency = what === 'latency';

/** Counters. Times are milliseconds of performance.now(). */
export const report = { received: 0, overruns: 0, rejected: 0, first: 0, last: 0 };
const latencies: number[] = [];

/** Records the time since a request whose sequence number the load took from the clock (load.c). */
export function noteLatency(seq: number): void {
  latencies.push(Number(BigInt.asUintN(32, process.hrtime.bigint() - BigInt(seq))));
}

/** Prints the report when the process is asked to end. */
export function reportAtEnd(complete: () => void = () => {}): void {
  process.once('SIGTERM', () => {
    complete();
    const { first, last, ...counts } = report;
    const times = { first: first * 1e6, last: last * 1e6 };
    const more = measuresLatency ? { latencies } : {};
    process.stdout.write(`${JSON.stringify({ ...counts, ...times, ...more })}\n`, () =>
      process.exit(0),
    );
  });
}
