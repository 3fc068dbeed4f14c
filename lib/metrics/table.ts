/** The metrics, in one list: everything that names them is made from it. @module */
import { isLarval } from '../monitor/xfrm-objects.ts';
import { sequenceUsed, share } from '../tunnel/sa-limits.ts';
import { isUpState, type TrafficDirection, TUNNEL_STATES } from '../tunnel/tunnel.ts';
import type { TunnelMonitor } from '../tunnel/tunnel-monitor.ts';
import type { XfrmState } from '../xfrm/objects.ts';
import { formatMark } from '../xfrm/text.ts';
import {
  GAPS,
  type Labels,
  type Metric,
  type NamespaceMetric,
  type Sample,
  type TunnelMetric,
} from './metric.ts';
import { type TunnelSeries, tunnelsOf } from './tunnel-series.ts';
import { AT, CAUSES, type CounterName } from './tunnel-totals.ts';

const DIRECTIONS: readonly TrafficDirection[] = ['out', 'in'];
const ONE: readonly Labels[] = [{}];
const byDirection: readonly Labels[] = DIRECTIONS.map((direction) => ({ direction }));

/** A label for each combination of the words. */
const product = (name: string, words: readonly string[]): Labels[] =>
  byDirection.flatMap((direction) => words.map((word) => ({ ...direction, [name]: word })));

const LIMITS = ['soft', 'hard'] as const;
const SHARES = ['sequence', 'bytes', 'packets'] as const;

/** Whole seconds: the kernel's times are, and they are written in a fraction of the time. */
const seconds = (milliseconds: number | undefined): number | undefined =>
  milliseconds === undefined ? undefined : Math.floor(milliseconds / 1000);

/** How the tunnel is, if that is known. */
const now = ({ tunnel, current }: TunnelSeries) => (current ? tunnel : undefined);

const newest = (series: TunnelSeries, direction: TrafficDirection) =>
  now(series)?.sas[direction].at(-1)?.value;

const sum = (...names: readonly CounterName[]) => {
  const at = names.map((name) => AT[name]);
  return ({ totals }: TunnelSeries, point: number) => totals.sums[at[point] as number];
};

/** Only once there is one: without --acquires nothing is heard, which is not 0. */
const ifAny =
  (name: CounterName) =>
  ({ totals }: TunnelSeries) =>
    totals.sums[AT[name]] || undefined;

const direction = (point: number): TrafficDirection => (point === 0 ? 'out' : 'in');

/** What each tunnel has, with the labels of {@link TUNNEL_LABELS}. */
export const TUNNEL_METRICS: readonly TunnelMetric[] = [
  {
    name: 'xfrm_tunnel',
    type: 'info',
    help: 'Identity of a tunnel and how it is protected. Contains no SPI and no key.',
    labels: ['local', 'remote', 'reqid', 'if_id', 'mark', 'mode', 'protocol', 'encap'],
    points: ONE,
    value: (series) => (now(series) ? 1 : undefined),
    more(tunnel) {
      const marked = tunnel?.mark.out ?? tunnel?.mark.in;
      const id = tunnel?.ifId.out ?? tunnel?.ifId.in;
      return {
        local: tunnel?.local ?? '',
        remote: tunnel?.remote ?? '',
        reqid: tunnel?.reqid === undefined ? '' : String(tunnel.reqid),
        if_id: id ? `0x${id.toString(16)}` : '',
        mark: marked ? formatMark(marked) : '',
        mode: String(tunnel?.mode ?? ''),
        protocol: String(tunnel?.protocol ?? ''),
        encap: String(tunnel?.encap?.type ?? ''),
      };
    },
  },
  {
    name: 'xfrm_tunnel_up',
    type: 'gauge',
    help: 'Whether a tunnel can carry packets in both directions: 1 if it is up, idle, rekeying or expiring.',
    labels: [],
    points: ONE,
    value(series) {
      const tunnel = now(series);
      return tunnel && (isUpState(tunnel.state) ? 1 : 0);
    },
  },
  {
    name: 'xfrm_tunnel_expected',
    type: 'gauge',
    help: 'Whether a tunnel is in the list of expected tunnels, which always have series.',
    labels: [],
    points: ONE,
    value(series) {
      const tunnel = now(series);
      return tunnel && (tunnel.expected ? 1 : 0);
    },
  },
  {
    name: 'xfrm_tunnel_state',
    type: 'gauge',
    help: 'State of a tunnel: always 1, with the state as a label. Only the current state has a series.',
    labels: ['state'],
    points: TUNNEL_STATES.map((state) => ({ state })),
    value: (series, point) => (now(series)?.state === TUNNEL_STATES[point] ? 1 : undefined),
  },
  {
    name: 'xfrm_tunnel_state_since_timestamp_seconds',
    type: 'gauge',
    unit: 'seconds',
    help: 'When a tunnel entered its state; if unknown, when it was first seen in it.',
    labels: [],
    points: ONE,
    value: (series) => (now(series) ? seconds(series.since) : undefined),
  },
  {
    name: 'xfrm_tunnel_counting_since_timestamp_seconds',
    type: 'gauge',
    unit: 'seconds',
    help: "Since when a tunnel's counters count. Changes when they begin again, as after a restart without --state-dir.",
    labels: [],
    points: ONE,
    value: ({ countingSince }) => seconds(countingSince),
  },
  {
    name: 'xfrm_tunnel_bytes',
    type: 'counter',
    unit: 'bytes',
    help: 'Bytes that the SAs of a tunnel have carried, across rekeys, as of the last reading of the counters.',
    labels: ['direction'],
    points: byDirection,
    value: sum('bytesOut', 'bytesIn'),
  },
  {
    name: 'xfrm_tunnel_packets',
    type: 'counter',
    help: 'Packets that the SAs of a tunnel have carried, across rekeys, as of the last reading of the counters.',
    labels: ['direction'],
    points: byDirection,
    value: sum('packetsOut', 'packetsIn'),
  },
  {
    name: 'xfrm_tunnel_last_used_timestamp_seconds',
    type: 'gauge',
    unit: 'seconds',
    help: 'When a tunnel last carried a packet, as of the last reading of the counters; absent if never.',
    labels: ['direction'],
    points: byDirection,
    value: (series, point) => seconds(now(series)?.traffic[direction(point)].lastUsedAt),
  },
  {
    name: 'xfrm_tunnel_sas',
    type: 'gauge',
    help: 'SAs of a tunnel. More than two for a long time (or two per CPU with per-CPU SAs) indicate a leak.',
    labels: ['direction'],
    points: byDirection,
    value: (series, point) => now(series)?.sas[direction(point)].length,
  },
  {
    name: 'xfrm_tunnel_larval_sas',
    type: 'gauge',
    help: 'SAs of a tunnel that have been requested and have no keys yet.',
    labels: [],
    points: ONE,
    value: (series) => now(series)?.larval.length,
  },
  {
    name: 'xfrm_tunnel_expiry_timestamp_seconds',
    type: 'gauge',
    unit: 'seconds',
    help: 'When the newest SA of a direction reaches a time limit: at the soft one it should be rekeyed, at the hard one the kernel deletes it. Absent without a limit.',
    labels: ['direction', 'limit'],
    points: product('limit', LIMITS),
    value(series, point) {
      const expiry = now(series)?.expiry[direction(point >> 1)];
      return seconds(point % 2 === 0 ? expiry?.softAt : expiry?.hardAt);
    },
  },
  {
    name: 'xfrm_tunnel_used_ratio',
    type: 'gauge',
    unit: 'ratio',
    help: 'Used share of a limit of the newest SA of a direction: its sequence numbers, and its hard byte and packet limits. At 1 it carries no more packets. Absent without a limit.',
    labels: ['direction', 'limit'],
    points: product('limit', SHARES),
    value(series, point) {
      const way = direction(Math.floor(point / SHARES.length));
      const state = newest(series, way);
      if (state === undefined) return undefined;
      const { lifetime, current } = state;
      switch (SHARES[point % SHARES.length]) {
        case 'bytes':
          return share(current.bytes, lifetime.hardBytes);
        case 'packets':
          return share(current.packets, lifetime.hardPackets);
        default:
          return sequenceUsed(state, way);
      }
    },
  },
  {
    name: 'xfrm_tunnel_rekeys',
    type: 'counter',
    help: 'Rekeys of a tunnel; both directions count as one.',
    labels: [],
    points: ONE,
    value: sum('rekeys'),
  },
  {
    name: 'xfrm_tunnel_unreplaced_expiries',
    type: 'counter',
    help: 'SAs of a tunnel that reached a hard limit without a successor: rekeys that failed.',
    labels: [],
    points: ONE,
    value: sum('unreplaced'),
  },
  {
    name: 'xfrm_tunnel_downs',
    type: 'counter',
    help: 'How often a tunnel went down. Rekeys do not count.',
    labels: [],
    points: ONE,
    value: ({ totals }) => totals.downs.reduce((sum, count) => sum + count, 0),
  },
  {
    name: 'xfrm_tunnel_downs_by_cause',
    type: 'counter',
    help: 'How often a tunnel went down, by cause as reported by the kernel. A cause has no series before it first occurs.',
    labels: ['cause'],
    points: CAUSES.map((cause) => ({ cause })),
    value: ({ totals }, point) => totals.downs[point] || undefined,
  },
  {
    name: 'xfrm_tunnel_refused_packets',
    type: 'counter',
    help: 'Packets that the SAs of a tunnel refused: integrity check failed (integrity), duplicate (replay), or too old for the replay window (replay-window).',
    labels: ['reason'],
    points: ['integrity', 'replay', 'replay-window'].map((reason) => ({ reason })),
    value: sum('integrity', 'replay', 'replayWindow'),
  },
  {
    name: 'xfrm_tunnel_acquires',
    type: 'counter',
    help: 'SAs that the kernel requested for a tunnel; counted with --acquires only, and no series before the first.',
    labels: [],
    points: ONE,
    value: ifAny('acquires'),
  },
  {
    name: 'xfrm_tunnel_nat_mapping_changes',
    type: 'counter',
    help: "Changes of the peer's address or port behind a NAT; counted with --acquires only, and no series before the first.",
    labels: [],
    points: ONE,
    value: ifAny('natMappings'),
  },
  {
    name: 'xfrm_tunnel_warnings',
    type: 'gauge',
    help: 'Warnings currently raised for a tunnel; the page and the API list them.',
    labels: [],
    points: ONE,
    value: (series) => now(series)?.warnings.length,
  },
];

const one = (value: number): Sample[] => [{ labels: {}, value }];

/** Counts things by a label. */
function counted<Thing>(
  things: Iterable<Thing>,
  name: string,
  wordOf: (thing: Thing) => string | number,
): Sample[] {
  const counts = new Map<string | number, number>();
  for (const thing of things) {
    const word = wordOf(thing);
    counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return Array.from(counts, ([word, value]) => ({ labels: { [name]: `${word}` }, value }));
}

/** The values of SAs that have keys, or have none yet. */
function* statesOf({ xfrm }: TunnelMonitor, larval: boolean): Generator<XfrmState, undefined> {
  for (const value of xfrm.states.values()) if (isLarval(value) === larval) yield value;
}

const KNOWN_PROTOCOLS = ['esp', 'ah', 'comp'];
const DIRS = ['in', 'out', 'fwd'];

/** Adds zeros for what there usually is: a series that is sometimes missing is hard to query. */
function* withZeros(found: Iterable<Sample>, name: string, words: readonly string[]) {
  const left = new Set(words);
  for (const sample of found) {
    left.delete(sample.labels[name] ?? '');
    yield sample;
  }
  for (const word of left) yield { labels: { [name]: word }, value: 0 };
}

/** What each watched namespace has, with the label `netns`. */
export const NAMESPACE_METRICS: readonly NamespaceMetric[] = [
  {
    name: 'xfrm_tunnels',
    type: 'gauge',
    help: 'All tunnels, by state.',
    labels: ['state'],
    *samples({ monitor }) {
      if (monitor === undefined) return;
      const found = counted(tunnelsOf(monitor).states(), 'state', (state) => state);
      yield* withZeros(found, 'state', TUNNEL_STATES);
    },
  },
  {
    name: 'xfrm_tunnels_unlabelled',
    type: 'gauge',
    help: 'Tunnels beyond the series limit: only their counters are exported, summed under the tunnel "(other)".',
    labels: [],
    samples: ({ tunnels }) => one(tunnels.unlabelled),
  },
  {
    name: 'xfrm_sas',
    type: 'gauge',
    help: 'SAs with keys, by protocol.',
    labels: ['protocol'],
    *samples({ monitor }) {
      if (monitor === undefined) return;
      const found = counted(statesOf(monitor, false), 'protocol', ({ proto }) => proto);
      yield* withZeros(found, 'protocol', KNOWN_PROTOCOLS);
    },
  },
  {
    name: 'xfrm_larval_sas',
    type: 'gauge',
    help: 'SAs that have been requested and have no keys yet.',
    labels: [],
    samples: ({ monitor }) => (monitor ? one([...statesOf(monitor, true)].length) : []),
  },
  {
    name: 'xfrm_policies',
    type: 'gauge',
    help: 'Policies, by direction.',
    labels: ['direction'],
    *samples({ monitor }) {
      if (monitor === undefined) return;
      const found = counted(monitor.xfrm.policies.values(), 'direction', ({ dir }) => dir);
      yield* withZeros(found, 'direction', DIRS);
    },
  },
  {
    name: 'xfrm_stat_packets',
    type: 'counter',
    help: "Packets in the kernel's error counters, all lines of /proc/net/xfrm_stat, since the namespace was created.",
    labels: ['counter'],
    *samples({ xfrmStat }) {
      for (const [counter, value] of Object.entries(xfrmStat ?? {})) {
        yield { labels: { counter }, value: Number(value) };
      }
    },
  },
  {
    name: 'xfrm_events',
    type: 'counter',
    help: 'Events that the kernel announced, by kind; for expiries, by the limit reached.',
    labels: ['kind', 'limit'],
    *samples({ events }) {
      // One that begins at 1 is no increase.
      const none = new Set(['FLUSHSA', 'FLUSHPOLICY']);
      for (const { kind, reason = '', count } of events) {
        none.delete(kind);
        yield { labels: { kind, limit: reason }, value: count };
      }
      for (const kind of none) yield { labels: { kind, limit: '' }, value: 0 };
    },
  },
  {
    name: 'xfrm_watch_synced',
    type: 'gauge',
    help: 'Whether the data of a namespace is up to date: 0 while a loss of events is being repaired, and while the namespace is not watched.',
    labels: [],
    samples: ({ state }) => one(state === 'synced' ? 1 : 0),
  },
  {
    name: 'xfrm_watch_blind',
    type: 'gauge',
    help: 'Whether the namespace cannot be watched: it is gone, or a privilege is missing. Its tunnels then have no state series, except expected ones of a namespace that is gone.',
    labels: [],
    samples: ({ state }) => one(state === 'blind' ? 1 : 0),
  },
  {
    name: 'xfrm_watch_last_sync_timestamp_seconds',
    type: 'gauge',
    unit: 'seconds',
    help: 'When the counters were last read and the tables compared with the kernel.',
    labels: [],
    samples: ({ syncedAt }) => (syncedAt === undefined ? [] : one(syncedAt / 1000)),
  },
  {
    name: 'xfrm_watch_overruns',
    type: 'counter',
    help: 'Reports of lost events. Each is repaired by a comparison with the kernel.',
    labels: [],
    samples: ({ overruns }) => one(overruns),
  },
  {
    name: 'xfrm_watch_dropped_events',
    type: 'counter',
    help: 'Events that the kernel reported as dropped.',
    labels: [],
    samples: ({ dropped }) => one(dropped),
  },
  {
    name: 'xfrm_watch_malformed_events',
    type: 'counter',
    help: 'Events that could not be decoded.',
    labels: [],
    samples: ({ malformed }) => one(malformed),
  },
  {
    name: 'xfrm_watch_repairs',
    type: 'counter',
    help: 'Comparisons with the kernel after lost events.',
    labels: [],
    samples: ({ repairs }) => one(repairs),
  },
  {
    name: 'xfrm_watch_corrections',
    type: 'counter',
    help: 'SAs and policies that a comparison after lost events found added, updated or removed.',
    labels: ['kind'],
    samples: ({ corrections }) =>
      Object.entries(corrections).map(([kind, value]) => ({ labels: { kind }, value })),
  },
  {
    name: 'xfrm_watch_opened',
    type: 'counter',
    help: 'How often watching of the namespace started: more than 1 if it has been blind.',
    labels: [],
    samples: ({ opened }) => one(opened),
  },
  {
    name: 'xfrm_watch_ended',
    type: 'counter',
    help: 'How often watching of the namespace ended: it was gone, or a privilege was lost.',
    labels: [],
    samples: ({ ended }) => one(ended),
  },
  {
    name: 'xfrm_watch_gaps',
    type: 'counter',
    help: 'SAs that ended without a message with their final counters, so that totals lack their traffic since the last reading: flushed, lost with other events (missed), or ended while this program was not running (restart).',
    labels: ['cause'],
    samples: ({ gaps }) => GAPS.map((cause) => ({ labels: { cause }, value: gaps[cause] })),
  },
];

/** What the daemon says about itself. Their values are in lib/serve. */
export const SERVE_METRICS = [
  {
    name: 'xfrm_serve',
    type: 'info',
    help: 'The version of netlink-xfrm.',
    labels: ['version'],
  },
  {
    name: 'xfrm_serve_requests',
    type: 'counter',
    help: 'Answered requests, by status code.',
    labels: ['code'],
  },
  {
    name: 'xfrm_serve_refusals',
    type: 'counter',
    help: 'Requests and connections refused or cut off, by reason.',
    labels: ['reason'],
  },
  {
    name: 'xfrm_serve_connections',
    type: 'gauge',
    help: 'Open connections.',
    labels: [],
  },
  {
    name: 'xfrm_serve_event_streams',
    type: 'gauge',
    help: 'Open streams of events.',
    labels: [],
  },
  {
    name: 'xfrm_serve_config_last_reload_successful',
    type: 'gauge',
    help: 'Whether the configuration was accepted when it was last read.',
    labels: [],
  },
  {
    name: 'xfrm_serve_config_last_reload_success_timestamp_seconds',
    type: 'gauge',
    unit: 'seconds',
    help: 'When the configuration was last read and accepted.',
    labels: [],
  },
  {
    name: 'xfrm_serve_state_writes',
    type: 'counter',
    help: 'Writes of the state file, by result.',
    labels: ['result'],
  },
  {
    name: 'process_start_time_seconds',
    type: 'gauge',
    unit: 'seconds',
    help: 'When the process started.',
    labels: [],
  },
  {
    name: 'process_cpu_seconds',
    type: 'counter',
    unit: 'seconds',
    help: 'Processor time of the process, user and system.',
    labels: [],
  },
  {
    name: 'process_resident_memory_bytes',
    type: 'gauge',
    unit: 'bytes',
    help: 'Resident memory of the process.',
    labels: [],
  },
] as const satisfies readonly Metric[];

/** All of them, as documents, dashboards and tests use them. */
export const METRICS: readonly Metric[] = [
  ...TUNNEL_METRICS,
  ...NAMESPACE_METRICS,
  ...SERVE_METRICS,
];
