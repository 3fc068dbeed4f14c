/**
 * Results of a benchmark run, as stored in its JSON, and the sizes of a run.
 * @module
 */
import type { CodecSpeed } from './codec.ts';
import type { Comparison } from './compare.ts';
import type { Latency } from './latency.ts';
import type { Memory } from './memory.ts';
import type { Requests } from './requests.ts';
import type { Scale } from './scale.ts';
import type { Scrapers } from './scrapers.ts';
import type { Served } from './serve.ts';
import type { Startup } from './startup.ts';
import type { FirstTest } from './suite.ts';
import type { Dump, Storm } from './tables.ts';
import type { Told } from './tunnels.ts';
import type { Verdicts } from './verdicts.ts';

/** Parts that can be measured separately; comparisons are named like their scenes. */
export const COMPARISONS = [
  ...[
    'policies',
    'policies-paced',
    'policies-recorded',
    'policies-filled',
    'newsa',
    'newsa-filled',
    'updsa-filled',
    'sas',
  ],
];
export const PARTS = [
  ...COMPARISONS,
  ...[
    'tunnels',
    'verdicts',
    'scale',
    'latency',
    'dump',
    'requests',
    'storm',
    'startup',
    'memory',
    'codec',
    'suite',
    'serve',
  ],
];

/** The heaviest load beside which latency is measured. */
export const MOST_EVENTS = 'as many as the kernel makes';
/** What is encoded where callers build requests from others. */
export const SPREAD = 'encode a NEWSA request built by spreading objects';

/** Results from one kernel. */
export interface Part {
  readonly kernel: string;
  readonly comparisons: readonly Comparison[];
  readonly latencies?: readonly Latency[];
  readonly dump?: Dump;
  readonly requests?: Requests;
  readonly storms?: readonly Storm[];
  readonly startup?: readonly Startup[];
  readonly memory?: readonly Memory[];
  readonly codec?: readonly CodecSpeed[];
  readonly tunnels?: readonly Told[];
  readonly verdicts?: Verdicts;
  readonly scale?: Scale;
  readonly served?: Served;
  readonly scrapers?: Scrapers;
}

/** The name and version of the format; results of another version cannot be compared. */
export const BENCH_SCHEMA = 'netlink-xfrm/bench/3';

/** A whole run. */
export interface Results {
  readonly schema: typeof BENCH_SCHEMA;
  readonly begun: string;
  readonly seconds: number;
  readonly quick: boolean;
  /** The commit that this version was compared with. */
  readonly against?: string;
  readonly machine: {
    /** The processor with its generation: {@link processorKind}. */
    readonly kind: string;
    readonly processors: number;
    readonly node: string;
    /** Load averages of 1, 5 and 15 minutes before it began. */
    readonly load: readonly number[];
  };
  readonly host: Part;
  /** The lab's kernel, with ESP. */
  readonly lab?: Part;
  /** The testing kit in the lab's default kernel. */
  readonly firstTest?: FirstTest;
  /** What could not be measured, and why. */
  readonly leftOut: readonly string[];
}

/** Sizes of a run; rounds are those of a comparison. */
export interface Size {
  readonly live: { events: number; rounds: number };
  readonly filled: { events: number; rounds: number };
  readonly lab: { events: number; rounds: number };
  readonly latencies: number;
  readonly dump: { entries: number; rounds: number };
  readonly requests: { entries: number; rounds: number };
  readonly storm: number;
  readonly startups: number;
  readonly memory: number;
  readonly codec: number;
  readonly tunnels: { beside: number; rounds: number };
  readonly verdicts: { tunnels: number; rounds: number };
  readonly scale: { tunnels: number; rounds: number; downs: number; many: number };
  readonly serve: { tunnels: number; streams: number; scrapes: number; flood: number };
  readonly scrapers: { tunnels: number; rounds: number };
  readonly suites: number;
}

const QUICK: Size = {
  live: { events: 50_000, rounds: 3 },
  filled: { events: 50_000, rounds: 1 },
  lab: { events: 2000, rounds: 1 },
  latencies: 200,
  dump: { entries: 5000, rounds: 1 },
  requests: { entries: 1000, rounds: 1 },
  storm: 50_000,
  startups: 3,
  memory: 200_000,
  codec: 3,
  tunnels: { beside: 100, rounds: 10 },
  verdicts: { tunnels: 100, rounds: 3 },
  scale: { tunnels: 500, rounds: 3, downs: 10, many: 1000 },
  serve: { tunnels: 100, streams: 5, scrapes: 3, flood: 100_000 },
  scrapers: { tunnels: 100, rounds: 3 },
  suites: 1,
};

export const SIZES: Readonly<Record<'full' | 'quick' | 'against', Size>> = {
  full: {
    live: { events: 1_000_000, rounds: 5 },
    filled: { events: 700_000, rounds: 3 },
    lab: { events: 50_000, rounds: 3 },
    latencies: 3000,
    dump: { entries: 100_000, rounds: 5 },
    requests: { entries: 10_000, rounds: 7 },
    storm: 1_000_000,
    startups: 15,
    memory: 10_000_000,
    codec: 15,
    tunnels: { beside: 2000, rounds: 200 },
    verdicts: { tunnels: 5000, rounds: 9 },
    scale: { tunnels: 10_000, rounds: 9, downs: 200, many: 100_000 },
    serve: { tunnels: 10_000, streams: 50, scrapes: 15, flood: 1_000_000 },
    scrapers: { tunnels: 10_000, rounds: 5 },
    suites: 9,
  },
  quick: QUICK,
  // Only comparisons are made with another version.
  against: {
    ...QUICK,
    live: { events: 500_000, rounds: 5 },
    filled: { events: 300_000, rounds: 5 },
    lab: { events: 50_000, rounds: 5 },
  },
};
