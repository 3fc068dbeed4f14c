import fc from 'fast-check';
Error.stackTraceLimit = 0;
import { checkDatagram, checkExact } from './decoders/datagrams.ts';
import { datagram } from './decoders/inputs.ts';
let n = 0, m = 0;
const t = performance.now();
try {
fc.assert(fc.property(datagram, ({protocol, bytes, generated, truncated}) => { n++; m += checkDatagram(protocol, bytes, truncated); if (generated) checkExact(protocol, bytes); }), { numRuns: Number(process.argv[2] ?? 20000), seed: Number(process.argv[3] ?? 1), includeErrorInReport: true });
} catch (e) { console.log(String((e as Error).message).slice(0, 3000)); console.log((e as any).cause?.stack?.slice?.(0,3000)); }
console.log(n, m, (performance.now() - t) / n * 1000, 'us');
