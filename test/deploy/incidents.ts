/**
 * What goes wrong with tunnels, as a scrape each minute sees it, and which alerts tell of it.
 * @module
 */

/** Values of series, in the notation of `promtool test rules`; one value a minute. */
type Series = Readonly<Record<string, string>>;

export interface Incident {
  readonly what: string;
  /** Instead of, or besides, those of {@link HEALTHY}. `_` drops one. */
  readonly series: Series;
  /** The alerts that fire after so many minutes: these and no others. */
  readonly firing: Readonly<Record<number, readonly string[]>>;
}

/** A tunnel with traffic that is rekeyed every hour, and the daemon that watches it. */
export const HEALTHY: Series = {
  'up{job="netlink-xfrm"}': '1x1600',
  'xfrm_tunnel_up{tunnel="paris"}': '1x1600',
  'xfrm_tunnel_expected{tunnel="paris"}': '1x1600',
  'xfrm_tunnel_state{tunnel="paris",state="up"}': '1x1600',
  'xfrm_tunnel_sas{tunnel="paris",direction="in"}': '1x58 2 1x58 2 1x1500',
  'xfrm_tunnel_sas{tunnel="paris",direction="out"}': '1x58 2 1x58 2 1x1500',
  'xfrm_tunnel_larval_sas{tunnel="paris"}': '0x58 1 0x58 1 0x1500',
  'xfrm_tunnel_bytes_total{tunnel="paris",direction="in"}': '0+60000x1600',
  'xfrm_tunnel_bytes_total{tunnel="paris",direction="out"}': '0+60000x1600',
  'xfrm_tunnel_packets_total{tunnel="paris",direction="in"}': '0+60x1600',
  'xfrm_tunnel_packets_total{tunnel="paris",direction="out"}': '0+60x1600',
  'xfrm_tunnel_used_ratio{tunnel="paris",direction="out",limit="sequence"}': '0.01x1600',
  'xfrm_tunnel_rekeys_total{tunnel="paris"}': '0x58 1x58 2x1500',
  'xfrm_tunnel_unreplaced_expiries_total{tunnel="paris"}': '0x1600',
  'xfrm_tunnel_downs_total{tunnel="paris"}': '0x1600',
  'xfrm_tunnel_refused_packets_total{tunnel="paris",reason="integrity"}': '0x1600',
  'xfrm_tunnel_refused_packets_total{tunnel="paris",reason="replay"}': '0x1600',
  'xfrm_tunnel_refused_packets_total{tunnel="paris",reason="replay-window"}': '0x1600',
  'xfrm_tunnel_nat_mapping_changes_total{tunnel="paris"}': '0x1600',
  'xfrm_tunnel_warnings{tunnel="paris"}': '0x1600',
  'xfrm_tunnels_unlabelled{}': '0x1600',
  'xfrm_policies{direction="out"}': '300x1600',
  'xfrm_stat_packets_total{counter="XfrmInNoStates"}': '7x1600',
  'xfrm_events_total{kind="FLUSHSA"}': '0x1600',
  'xfrm_watch_blind{}': '0x1600',
  'xfrm_watch_synced{}': '1x1600',
  // The time of the test begins at 0.
  'xfrm_watch_last_sync_timestamp_seconds{}': '0+60x1600',
  'xfrm_watch_overruns_total{}': '0x1600',
  'xfrm_serve_config_last_reload_successful{}': '1x1600',
};

const DOWN = { 'xfrm_tunnel_up{tunnel="paris"}': '1x30 0x200' };
const ONE_WAY = {
  ...DOWN,
  'xfrm_tunnel_state{tunnel="paris",state="up"}': '1x30 stale',
  'xfrm_tunnel_state{tunnel="paris",state="one-way"}': '_x31 1x200',
};

export const INCIDENTS: readonly Incident[] = [
  {
    what: 'nothing, through rekeys and for a day',
    series: {},
    firing: { 5: [], 60: [], 1500: [] },
  },
  {
    what: 'a tunnel that is idle',
    series: {
      'xfrm_tunnel_bytes_total{tunnel="paris",direction="in"}': '60000x1600',
      'xfrm_tunnel_bytes_total{tunnel="paris",direction="out"}': '60000x1600',
    },
    firing: { 600: [] },
  },
  {
    what: 'a tunnel that goes down',
    series: { ...DOWN, 'xfrm_tunnel_downs_total{tunnel="paris"}': '0x30 1x200' },
    firing: { 31: [], 34: ['IpsecTunnelDown'], 200: ['IpsecTunnelDown'] },
  },
  {
    what: 'a tunnel that is down for a minute',
    series: { 'xfrm_tunnel_up{tunnel="paris"}': '1x30 0 1x100' },
    firing: { 31: [], 34: [], 60: [] },
  },
  {
    what: 'a tunnel that nobody expected, and that was up',
    series: { ...DOWN, 'xfrm_tunnel_expected{tunnel="paris"}': '0x1600' },
    firing: { 34: ['IpsecTunnelDown'] },
  },
  {
    what: 'a policy that waits for its first packet, and that nobody expects',
    series: {
      'xfrm_tunnel_up{tunnel="paris"}': '0x1600',
      'xfrm_tunnel_expected{tunnel="paris"}': '0x1600',
    },
    firing: { 600: [] },
  },
  {
    what: 'an expected tunnel that was never there',
    series: {
      'xfrm_tunnel_up{tunnel="rome"}': '0x1600',
      'xfrm_tunnel_expected{tunnel="rome"}': '1x1600',
    },
    firing: { 3: ['IpsecTunnelDown'], 600: ['IpsecTunnelDown'] },
  },
  {
    what: 'a dead peer: packets go out and none come in, then the SAs expire',
    series: {
      ...DOWN,
      'xfrm_tunnel_state{tunnel="paris",state="up"}': '1x30 stale',
      'xfrm_tunnel_state{tunnel="paris",state="one-way"}': '_x31 1x60 stale',
      'xfrm_tunnel_state{tunnel="paris",state="blocked"}': '_x91 1x140',
      'xfrm_tunnel_unreplaced_expiries_total{tunnel="paris"}': '0x90 2x140',
    },
    firing: { 34: ['IpsecTunnelOneWay'], 95: ['IpsecTunnelDown', 'IpsecRekeyFailed'] },
  },
  { what: 'traffic one way', series: ONE_WAY, firing: { 34: ['IpsecTunnelOneWay'] } },
  {
    what: 'a rekey that is late',
    series: { 'xfrm_tunnel_state{tunnel="paris",state="expiring"}': '_x31 1x5 stale' },
    firing: { 31: [], 33: ['IpsecRekeyOverdue'], 45: [] },
  },
  {
    what: 'a rekey that is missed, and made up for',
    series: { 'xfrm_tunnel_unreplaced_expiries_total{tunnel="paris"}': '0x30 2x100' },
    firing: { 32: ['IpsecRekeyFailed'], 60: [] },
  },
  {
    what: 'a tunnel that goes down and comes up again and again',
    series: {
      'xfrm_tunnel_downs_total{tunnel="paris"}': '0x30 1x5 2x5 3x5 4x5 5x60',
    },
    firing: { 40: [], 60: ['IpsecTunnelFlapping'] },
  },
  {
    what: 'sequence numbers that run out',
    series: {
      'xfrm_tunnel_used_ratio{tunnel="paris",direction="out",limit="sequence"}': '0+0.01x1600',
    },
    firing: { 79: [], 83: ['IpsecLimitNear'] },
  },
  {
    what: 'a limit of bytes that is near',
    series: {
      'xfrm_tunnel_used_ratio{tunnel="paris",direction="in",limit="bytes"}': '0.1x30 0.9x60',
    },
    firing: { 30: [], 33: ['IpsecLimitNear'] },
  },
  {
    what: 'packets with a wrong integrity value',
    series: {
      'xfrm_tunnel_refused_packets_total{tunnel="paris",reason="integrity"}': '0x30 1x100',
    },
    firing: { 30: [], 32: ['IpsecIntegrityFailures'], 60: [] },
  },
  {
    what: 'a replay window that is too small',
    series: {
      'xfrm_tunnel_refused_packets_total{tunnel="paris",reason="replay-window"}': '0x30 0+600x60',
    },
    firing: { 31: [], 45: ['IpsecReplayFailures'] },
  },
  {
    what: 'a few packets that came too late',
    series: {
      'xfrm_tunnel_refused_packets_total{tunnel="paris",reason="replay-window"}': '0+6x1600',
    },
    firing: { 60: [] },
  },
  {
    what: 'SAs that pile up after rekeys',
    series: { 'xfrm_tunnel_sas{tunnel="paris",direction="in"}': '1x30 3x10 5x10 7x60' },
    firing: { 40: [], 60: ['IpsecSaLeak'] },
  },
  {
    what: 'a key manager that does not answer',
    series: {
      ...DOWN,
      'xfrm_tunnel_larval_sas{tunnel="paris"}': '0x30 1x200',
    },
    firing: { 31: [], 34: ['IpsecTunnelDown', 'IpsecAcquireUnanswered'] },
  },
  {
    what: 'a mapping of a NAT that changes all the time',
    series: { 'xfrm_tunnel_nat_mapping_changes_total{tunnel="paris"}': '0x30 0+1x60' },
    firing: { 32: [], 45: ['IpsecNatMappingFlapping'] },
  },
  {
    what: 'a warning, such as one about the path MTU',
    series: { 'xfrm_tunnel_warnings{tunnel="paris"}': '0x30 1x60' },
    firing: { 35: [], 45: ['IpsecTunnelWarning'] },
  },
  {
    what: 'a peer that uses an SA that is not here',
    series: { 'xfrm_stat_packets_total{counter="XfrmInNoStates"}': '7x30 7+60x60' },
    firing: { 35: [], 50: ['IpsecPacketsDropped'] },
  },
  {
    what: 'a few packets that were dropped in a rekey',
    series: { 'xfrm_stat_packets_total{counter="XfrmInNoStates"}': '7x30 12x1500' },
    firing: { 31: [], 50: [] },
  },
  {
    what: 'a teardown that deletes the SAs of others',
    series: { 'xfrm_events_total{kind="FLUSHSA"}': '0x30 1x60' },
    firing: { 32: ['IpsecFlushed'], 45: [] },
  },
  {
    what: 'policies that are left behind',
    series: { 'xfrm_policies{direction="out"}': '300+1x1600' },
    firing: { 1450: [], 1600: ['IpsecPolicyLeak'] },
  },
  {
    what: 'a daemon that does not run',
    series: { 'up{job="netlink-xfrm"}': '1x30 0x60' },
    firing: { 31: [], 34: ['NetlinkXfrmDown'] },
  },
  {
    what: 'a privilege that is lost: the tunnels have no state any more',
    series: {
      'xfrm_tunnel_up{tunnel="paris"}': '1x30 stale',
      'xfrm_tunnel_expected{tunnel="paris"}': '1x30 stale',
      'xfrm_watch_blind{}': '0x30 1x60',
      'xfrm_watch_synced{}': '1x30 0x60',
      'xfrm_watch_last_sync_timestamp_seconds{}': '0+60x30 1800x60',
    },
    firing: {
      30: [],
      33: ['NetlinkXfrmBlind'],
      60: ['NetlinkXfrmBlind', 'NetlinkXfrmNotSynced'],
    },
  },
  {
    what: 'counters that are not read',
    series: { 'xfrm_watch_last_sync_timestamp_seconds{}': '0+60x30 1800x60' },
    firing: { 35: [], 50: ['NetlinkXfrmNotSynced'] },
  },
  {
    what: 'events that the kernel dropped',
    series: { 'xfrm_watch_overruns_total{}': '0x30 1x60' },
    firing: { 32: ['NetlinkXfrmEventsLost'], 60: [] },
  },
  {
    what: 'more tunnels than the limit of series',
    series: { 'xfrm_tunnels_unlabelled{}': '0x30 5x60' },
    firing: { 30: [], 32: ['NetlinkXfrmTooManyTunnels'] },
  },
  {
    what: 'a configuration that is rejected',
    series: { 'xfrm_serve_config_last_reload_successful{}': '1x30 0x60' },
    firing: { 30: [], 32: ['NetlinkXfrmConfigRejected'] },
  },
  {
    what: 'a restart of the daemon without its state: counters begin again',
    series: {
      'xfrm_tunnel_bytes_total{tunnel="paris",direction="in"}': '0+60000x30 0+60000x1500',
      'xfrm_tunnel_rekeys_total{tunnel="paris"}': '40x30 0x1500',
      'xfrm_tunnel_downs_total{tunnel="paris"}': '9x30 0x1500',
      'xfrm_tunnel_refused_packets_total{tunnel="paris",reason="integrity"}': '8x30 0x1500',
    },
    firing: { 32: [], 45: [] },
  },
];
