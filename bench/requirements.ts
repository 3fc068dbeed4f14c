/**
 * Performance requirements, checked against results.
 * @module
 */
import { type Comparison, numbers, ratiosOf } from './compare.ts';
import type { Results } from './results.ts';
import { median, ratios, spread } from './stats.ts';

/** A requirement and its result. */
export interface Requirement {
  readonly what: string;
  readonly required: string;
  readonly aim?: string;
  readonly found: string;
  readonly met: boolean;
}

/** Factor relative to another contestant in the live comparison. */
const RATIOS = [
  { name: 'decoded', base: 'floor', most: 1.8, aim: 1.6 },
  { name: 'raw', base: 'floor', most: 1.35, aim: 1.25 },
  { name: 'text', base: 'ip', most: 0.65, aim: 0.55 },
] as const;
/** NEWSA events per second, decoded, from a filled socket. */
const RATE = 600_000;
/** Microseconds from the system call to the listener, idle, 99th percentile. */
const P99 = 1000;
/** Bytes by which memory may differ between a tenth of the events and the end. */
const GROWTH = 2 ** 20;
/** The same for resident memory: less than two bytes for each of ten million events. */
const RESIDENT = 16 * 2 ** 20;
/** Opening a monitor relative to `ip` printing the same SAs, and bytes per SA. */
const OPENING = 2;
const BYTES_EACH = 1536;
/** Milliseconds from a request to the resulting tunnel change, 99th percentile. */
const OUTCOME = 250;

/** Seconds from the start of the lab's kernel until the first test of a suite begins. */
const FIRST_TEST = 5;

/** Events lost by contestants that may lose none if the floor loses none. */
function losses({ outcomes }: Comparison): { floor: number; ours: number } {
  const worst = (name: string) => {
    const { most } = spread(numbers(outcomes.find((one) => one.name === name)?.lost ?? []));
    return Math.max(0, most);
  };
  return { floor: worst('floor'), ours: Math.max(worst('raw'), worst('decoded')) };
}

/** The requirements that the results cover. */
export function requirements({ host, lab, firstTest }: Results): Requirement[] {
  const found: Requirement[] = [];
  const comparison = (name: string) => host.comparisons.find((one) => one.name === name);
  const live = comparison('policies');
  if (live) {
    const title = (name: string) => live.outcomes.find((one) => one.name === name)?.title;
    for (const { name, base, most, aim } of RATIOS) {
      const ratio = spread(ratiosOf(live, name, base)).median;
      found.push({
        what: `${title(name)}, × ${title(base)}`,
        required: `≤ ${most}`,
        aim: `≤ ${aim}`,
        found: ratio.toFixed(2),
        met: ratio <= most,
      });
    }
  }
  for (const name of ['policies', 'newsa']) {
    const one = comparison(name);
    if (!one) continue;
    const { floor, ours } = losses(one);
    found.push({
      what: `${one.title}: events lost, raw and decoded`,
      required: floor === 0 ? '0, as the floor' : 'none, where the floor loses none',
      found: floor === 0 ? `${ours}` : `${ours} (the floor itself: ${floor})`,
      met: floor > 0 || ours === 0,
    });
  }
  const filled = comparison('newsa-filled')?.outcomes.find(({ name }) => name === 'decoded');
  if (filled) {
    const rate = median(filled.rate);
    found.push({
      what: 'NEWSA decoded a second, out of a filled socket',
      required: `≥ ${RATE.toLocaleString('en-US')}`,
      found: Math.round(rate).toLocaleString('en-US'),
      met: rate >= RATE,
    });
  }
  const idle = host.latencies?.find(({ name, load }) => name === 'decoded' && load === 'idle');
  if (idle) {
    found.push({
      what: 'from the system call to the listener, idle, p99',
      required: `< ${P99} µs`,
      found: `${Math.round(idle.p99)} µs`,
      met: idle.p99 < P99,
    });
  }
  for (const { title, more, most, resident, mostResident } of host.startup ?? []) {
    if (most !== undefined) {
      found.push({
        what: `${title}: of a processor, more than Node alone`,
        required: `≤ ${most} ms`,
        found: `${Math.round(more)} ms`,
        met: more <= most,
      });
    }
    if (resident !== undefined && mostResident !== undefined) {
      found.push({
        what: `${title}: resident, more than Node alone`,
        required: `≤ ${mostResident / 2 ** 20} MiB`,
        found: `${(resident / 2 ** 20).toFixed(1)} MiB`,
        met: resident <= mostResident,
      });
    }
  }
  for (const { title, early, late, earlyRss, rss } of host.memory ?? []) {
    found.push({
      what: `${title}: memory from a tenth of the events to the end`,
      required: 'flat (± 1 MiB)',
      found: `${Math.round((late - early) / 1024)} KiB`,
      met: late - early < GROWTH,
    });
    found.push({
      what: `${title}: its process, likewise`,
      required: 'at most 16 MiB more',
      found: `${Math.round((rss - earlyRss) / 1024)} KiB`,
      met: rss - earlyRss < RESIDENT,
    });
  }
  for (const dump of [host.dump, lab?.dump]) {
    if (dump?.of !== 'SAs') continue;
    const { entries, times, bytesEach } = dump;
    const sas = `${entries.toLocaleString('en-US')} SAs`;
    const ratio = median(ratios(times.open ?? [], times.ip ?? []));
    found.push({
      what: `opening XfrmMonitor on ${sas}, × ip xfrm state list > /dev/null`,
      required: `≤ ${OPENING}`,
      found: ratio.toFixed(2),
      met: ratio <= OPENING,
    });
    found.push({
      what: `memory of XfrmMonitor, for each of ${sas}`,
      required: `≤ ${BYTES_EACH} bytes`,
      found: `${Math.round(bytesEach)} bytes`,
      met: bytesEach <= BYTES_EACH,
    });
  }
  for (const { outcome, beside, p99 } of lab?.tunnels ?? []) {
    found.push({
      what: `a tunnel is told to be ${outcome}, ${beside} beside it, p99`,
      required: `< ${OUTCOME} ms`,
      found: `${p99.toFixed(1)} ms`,
      met: p99 < OUTCOME,
    });
  }
  if (firstTest) {
    const begun = median(firstTest.begun);
    found.push({
      what: 'from the start of the lab’s kernel to the first test of a suite',
      required: `≤ ${FIRST_TEST} s`,
      found: `${begun.toFixed(1)} s`,
      met: begun <= FIRST_TEST,
    });
  }
  return found;
}
