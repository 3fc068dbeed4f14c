/**
 * The Grafana dashboard of contrib/, made from a list of panels. Each panel's description is the help
 * of its metric (https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/).
 * @module
 */
import { sampleName } from '../lib/metrics/metric.ts';
import { METRICS } from '../lib/metrics/table.ts';

/** A query, and how its series are called. */
type Query = readonly [expression: string, legend: string];

interface Panel {
  readonly title: string;
  readonly queries: readonly Query[];
  readonly type?: 'timeseries' | 'stat' | 'state-timeline' | 'table';
  /** Of 24 columns; default 12. */
  readonly width?: number;
  readonly height?: number;
  /** Grafana's name of a unit. */
  readonly unit?: string;
  /** Values from which a colour applies. */
  readonly thresholds?: readonly (readonly [from: number | null, color: string])[];
  /** Texts of values. */
  readonly texts?: Readonly<Record<string, readonly [text: string, color: string]>>;
  readonly max?: number;
}

/** Labels of every query, chosen at the top of the dashboard. */
const HOST = 'instance=~"$instance",netns=~"$netns"';
const TUNNEL = `${HOST},tunnel=~"$tunnel"`;
const DAEMON = 'instance=~"$instance"';

const GOOD = [
  [null, 'green'],
  [1, 'red'],
] as const;
const UP = { 0: ['down', 'red'], 1: ['up', 'green'] } as const;

const rate = (metric: string) => `rate(${metric}[$__rate_interval])`;
const increase = (metric: string) => `increase(${metric}[$__rate_interval])`;

const ROWS: Readonly<Record<string, readonly Panel[]>> = {
  Tunnels: [
    {
      title: 'Up',
      type: 'stat',
      width: 4,
      queries: [[`sum(xfrm_tunnel_up{${TUNNEL}})`, '']],
      thresholds: [[null, 'green']],
    },
    {
      title: 'Not up',
      type: 'stat',
      width: 4,
      queries: [[`count(xfrm_tunnel_up{${TUNNEL}} == 0) or vector(0)`, '']],
      thresholds: GOOD,
    },
    {
      title: 'Expected and not up',
      type: 'stat',
      width: 4,
      queries: [
        [
          `count(xfrm_tunnel_up{${TUNNEL}} == 0 and xfrm_tunnel_expected{${TUNNEL}} == 1) or vector(0)`,
          '',
        ],
      ],
      thresholds: GOOD,
    },
    {
      title: 'Warnings',
      type: 'stat',
      width: 4,
      queries: [[`sum(xfrm_tunnel_warnings{${TUNNEL}})`, '']],
      thresholds: [
        [null, 'green'],
        [1, 'yellow'],
      ],
    },
    {
      title: 'Watched',
      type: 'stat',
      width: 4,
      queries: [[`min(xfrm_watch_synced{${HOST}})`, '']],
      texts: { 0: ['no', 'red'], 1: ['yes', 'green'] },
    },
    {
      title: 'Beyond the limit of series',
      type: 'stat',
      width: 4,
      queries: [[`sum(xfrm_tunnels_unlabelled{${HOST}})`, '']],
      thresholds: [
        [null, 'green'],
        [1, 'yellow'],
      ],
    },
    {
      title: 'Tunnels over time',
      type: 'state-timeline',
      width: 24,
      height: 9,
      queries: [[`xfrm_tunnel_up{${TUNNEL}}`, '{{instance}} {{netns}} {{tunnel}}']],
      texts: UP,
    },
    {
      title: 'Tunnels by state',
      queries: [[`sum by (state) (xfrm_tunnels{${HOST}})`, '{{state}}']],
    },
    {
      title: 'State of each tunnel',
      type: 'table',
      // Of its only column of numbers, `since`, in milliseconds.
      unit: 'dateTimeAsIso',
      queries: [
        [`xfrm_tunnel_state{${TUNNEL}} == 1`, 'state'],
        [`1000 * xfrm_tunnel_state_since_timestamp_seconds{${TUNNEL}}`, 'since'],
        [`xfrm_tunnel_info{${TUNNEL}}`, 'info'],
      ],
    },
    {
      title: 'Traffic (out below the axis)',
      unit: 'bps',
      queries: [
        [`8 * ${rate(`xfrm_tunnel_bytes_total{${TUNNEL},direction="in"}`)}`, '{{tunnel}} in'],
        [`-8 * ${rate(`xfrm_tunnel_bytes_total{${TUNNEL},direction="out"}`)}`, '{{tunnel}} out'],
      ],
    },
    {
      title: 'Packets (out below the axis)',
      unit: 'pps',
      queries: [
        [rate(`xfrm_tunnel_packets_total{${TUNNEL},direction="in"}`), '{{tunnel}} in'],
        [`-${rate(`xfrm_tunnel_packets_total{${TUNNEL},direction="out"}`)}`, '{{tunnel}} out'],
      ],
    },
    {
      title: 'Rekeys',
      queries: [[increase(`xfrm_tunnel_rekeys_total{${TUNNEL}}`), '{{tunnel}}']],
    },
    {
      title: 'Downs by cause, and SAs that expired without a successor',
      queries: [
        [`${increase(`xfrm_tunnel_downs_total{${TUNNEL}}`)} > 0`, '{{tunnel}} downs'],
        [`${increase(`xfrm_tunnel_downs_by_cause_total{${TUNNEL}}`)} > 0`, '{{tunnel}} {{cause}}'],
        [
          `${increase(`xfrm_tunnel_unreplaced_expiries_total{${TUNNEL}}`)} > 0`,
          '{{tunnel}} expired',
        ],
      ],
    },
    {
      title: 'Refused packets',
      unit: 'pps',
      queries: [
        [`${rate(`xfrm_tunnel_refused_packets_total{${TUNNEL}}`)} > 0`, '{{tunnel}} {{reason}}'],
      ],
    },
    {
      title: 'Time until the next hard limit',
      unit: 's',
      queries: [
        [
          `min by (instance, netns, tunnel) (xfrm_tunnel_expiry_timestamp_seconds{${TUNNEL},limit="hard"}) - time()`,
          '{{tunnel}}',
        ],
      ],
    },
    {
      title: 'Used sequence numbers, bytes and packets',
      unit: 'percentunit',
      max: 1,
      queries: [
        [
          `max by (instance, netns, tunnel, limit) (xfrm_tunnel_used_ratio{${TUNNEL}})`,
          '{{tunnel}} {{limit}}',
        ],
      ],
    },
    {
      title: 'Time since the last packet',
      unit: 's',
      queries: [
        [`time() - xfrm_tunnel_last_used_timestamp_seconds{${TUNNEL}}`, '{{tunnel}} {{direction}}'],
      ],
    },
    {
      title: 'SAs of each tunnel',
      queries: [
        [`xfrm_tunnel_sas{${TUNNEL}}`, '{{tunnel}} SAs {{direction}}'],
        [`xfrm_tunnel_larval_sas{${TUNNEL}} > 0`, '{{tunnel}} larval SAs'],
      ],
    },
    {
      title: 'Requests to the key manager, and changes of NAT mappings',
      queries: [
        [`${increase(`xfrm_tunnel_acquires_total{${TUNNEL}}`)} > 0`, '{{tunnel}} acquires'],
        [
          `${increase(`xfrm_tunnel_nat_mapping_changes_total{${TUNNEL}}`)} > 0`,
          '{{tunnel}} mappings',
        ],
      ],
    },
  ],
  Host: [
    {
      title: 'SAs and policies',
      queries: [
        [`xfrm_sas{${HOST}}`, '{{instance}} {{netns}} SAs {{protocol}}'],
        [`xfrm_larval_sas{${HOST}}`, '{{instance}} {{netns}} larval SAs'],
        [`xfrm_policies{${HOST}}`, '{{instance}} {{netns}} policies {{direction}}'],
      ],
    },
    {
      title: 'Packets in error (xfrm_stat)',
      unit: 'pps',
      queries: [[`${rate(`xfrm_stat_packets_total{${HOST}}`)} > 0`, '{{instance}} {{counter}}']],
    },
    {
      title: 'Events of the kernel',
      unit: 'cps',
      queries: [[`${rate(`xfrm_events_total{${HOST}}`)} > 0`, '{{instance}} {{kind}} {{limit}}']],
    },
  ],
  'The daemon': [
    {
      title: 'Lost events and their repair',
      queries: [
        [`${increase(`xfrm_watch_overruns_total{${HOST}}`)} > 0`, '{{instance}} overruns'],
        [`${increase(`xfrm_watch_dropped_events_total{${HOST}}`)} > 0`, '{{instance}} dropped'],
        [`${increase(`xfrm_watch_malformed_events_total{${HOST}}`)} > 0`, '{{instance}} malformed'],
        [`${increase(`xfrm_watch_repairs_total{${HOST}}`)} > 0`, '{{instance}} repairs'],
        [
          `${increase(`xfrm_watch_corrections_total{${HOST}}`)} > 0`,
          '{{instance}} corrections {{kind}}',
        ],
        [`${increase(`xfrm_watch_opened_total{${HOST}}`)} > 0`, '{{instance}} opened'],
        [`${increase(`xfrm_watch_ended_total{${HOST}}`)} > 0`, '{{instance}} ended'],
        [`${increase(`xfrm_watch_gaps_total{${HOST}}`)} > 0`, '{{instance}} gaps {{cause}}'],
      ],
    },
    {
      title: 'Blind, and time since the last sync',
      queries: [
        [`xfrm_watch_blind{${HOST}}`, '{{instance}} {{netns}} blind'],
        [
          `time() - xfrm_watch_last_sync_timestamp_seconds{${HOST}}`,
          '{{instance}} {{netns}} seconds since',
        ],
      ],
    },
    {
      title: 'Resident memory',
      unit: 'bytes',
      queries: [[`process_resident_memory_bytes{${DAEMON},job="netlink-xfrm"}`, '{{instance}}']],
    },
    {
      title: 'Processor time',
      unit: 'percentunit',
      queries: [[rate(`process_cpu_seconds_total{${DAEMON},job="netlink-xfrm"}`), '{{instance}}']],
    },
    {
      title: 'Requests and refusals',
      unit: 'reqps',
      queries: [
        [rate(`xfrm_serve_requests_total{${DAEMON}}`), '{{instance}} {{code}}'],
        [`${rate(`xfrm_serve_refusals_total{${DAEMON}}`)} > 0`, '{{instance}} {{reason}}'],
      ],
    },
    {
      title: 'Connections',
      queries: [
        [`xfrm_serve_connections{${DAEMON}}`, '{{instance}} connections'],
        [`xfrm_serve_event_streams{${DAEMON}}`, '{{instance}} event streams'],
      ],
    },
  ],
};

/** Every query of the dashboard. */
export const QUERIES: readonly string[] = Object.values(ROWS)
  .flat()
  .flatMap(({ queries }) => queries.map(([expression]) => expression));

/** The help of the first metric of a query. */
function helpOf(expression: string): string {
  const known = METRICS.find((metric) =>
    new RegExp(`\\b${sampleName(metric)}\\b`).test(expression),
  );
  if (known === undefined) throw new Error(`no metric in ${expression}`);
  return known.help;
}

// biome-ignore lint/suspicious/noTemplateCurlyInString: a variable of Grafana's
const DATASOURCE = { type: 'prometheus', uid: '${datasource}' };

function panelOf(panel: Panel, id: number, position: object) {
  const { title, type = 'timeseries', queries, unit, thresholds, texts, max } = panel;
  const instant = type === 'stat' || type === 'table';
  const mappings = texts && [
    {
      type: 'value',
      options: Object.fromEntries(
        Object.entries(texts).map(([value, [text, color]]) => [value, { text, color }]),
      ),
    },
  ];
  const steps = thresholds?.map(([value, color]) => ({ value, color }));
  return {
    id,
    title,
    type,
    description: helpOf(queries[0]?.[0] ?? ''),
    gridPos: position,
    datasource: DATASOURCE,
    targets: queries.map(([expr, legendFormat], i) => ({
      refId: String.fromCharCode(65 + i),
      datasource: DATASOURCE,
      expr,
      ...(type === 'table' ? { format: 'table' } : legendFormat !== '' && { legendFormat }),
      ...(instant && { instant: true, range: false }),
    })),
    fieldConfig: {
      defaults: {
        ...(unit !== undefined && { unit }),
        ...(max !== undefined && { max }),
        ...(mappings && { mappings }),
        ...(steps && { thresholds: { mode: 'absolute', steps } }),
        ...(type === 'timeseries' && { custom: { fillOpacity: 10, showPoints: 'never' } }),
      },
      overrides: [],
    },
    ...optionsOf(type),
  };
}

function optionsOf(type: Panel['type']) {
  switch (type) {
    case 'stat':
      return { options: { colorMode: 'background', graphMode: 'none' } };
    case 'state-timeline':
      return { options: { mergeValues: true, showValue: 'never', rowHeight: 0.8 } };
    case 'table':
      return {
        transformations: [
          { id: 'merge', options: {} },
          {
            id: 'organize',
            options: {
              excludeByName: {
                Time: true,
                __name__: true,
                job: true,
                'Value #A': true,
                'Value #C': true,
              },
              renameByName: { 'Value #B': 'since' },
            },
          },
        ],
      };
    default:
      return { options: { legend: { displayMode: 'list' }, tooltip: { mode: 'multi' } } };
  }
}

const variable = (name: string, label: string, metric: string) => ({
  name,
  label,
  type: 'query',
  datasource: DATASOURCE,
  query: { query: `label_values(${metric}, ${name})`, refId: name },
  refresh: 2,
  multi: true,
  includeAll: true,
  allValue: '.*',
  current: { text: 'All', value: '$__all' },
  sort: 1,
});

/** The dashboard, as Grafana imports it. */
export function dashboard(): object {
  const panels: object[] = [];
  let [x, y, line] = [0, 0, 0];
  const newLine = () => {
    y += line;
    [x, line] = [0, 0];
  };
  for (const [row, content] of Object.entries(ROWS)) {
    newLine();
    const id = panels.length + 1;
    panels.push({ id, title: row, type: 'row', gridPos: { x: 0, y, w: 24, h: 1 }, panels: [] });
    y++;
    for (const panel of content) {
      const { width: w = 12, height: h = panel.type === 'stat' ? 4 : 8 } = panel;
      if (x + w > 24) newLine();
      panels.push(panelOf(panel, panels.length + 1, { x, y, w, h }));
      x += w;
      line = Math.max(line, h);
    }
  }
  return {
    title: 'IPsec tunnels',
    uid: 'netlink-xfrm',
    tags: ['ipsec', 'netlink-xfrm'],
    schemaVersion: 39,
    editable: true,
    graphTooltip: 1,
    refresh: '30s',
    time: { from: 'now-6h', to: 'now' },
    templating: {
      list: [
        { name: 'datasource', label: 'Data source', type: 'datasource', query: 'prometheus' },
        variable('instance', 'Host', 'xfrm_watch_synced'),
        variable('netns', 'Namespace', 'xfrm_watch_synced{instance=~"$instance"}'),
        variable('tunnel', 'Tunnel', `xfrm_tunnel_up{${HOST}}`),
      ],
    },
    annotations: { list: [] },
    panels,
  };
}

/** As text: a line for each panel. */
export function dashboardText(): string {
  const { panels, ...rest } = dashboard() as { panels: object[] };
  const head = JSON.stringify(rest, null, 2).slice(0, -2);
  const lines = panels.map((panel) => `    ${JSON.stringify(panel)}`).join(',\n');
  return `${head},\n  "panels": [\n${lines}\n  ]\n}\n`;
}
