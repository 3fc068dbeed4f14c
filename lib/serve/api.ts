/** What is answered about tunnels, SAs and policies, as JSON. @module */
import { formatLine, type JsonRecord } from '../json/line.ts';
import { tunnelJson, warningJson } from '../json/tunnel.ts';
import { members } from '../json/write.ts';
import type { Filter } from '../monitor/filter.ts';
import type { PolicyEntry, StateEntry } from '../monitor/xfrm-views.ts';
import type { Tunnel } from '../tunnel/tunnel.ts';
import type { TunnelFilter } from '../tunnel/tunnel-filter.ts';
import { worstTunnelFirst } from '../tunnel/tunnel-monitor.ts';
import type { Service } from './service.ts';
import type { WatchedNamespace } from './watched-namespace.ts';

/** What identifies a tunnel on this host: its id, and that of another namespace with its name. */
export const keyOf = (netns: string | null, id: string): string =>
  netns === null ? id : `netns/${netns}/${id}`;

/** The description of the host. */
export function hostJson(service: Service, version: string, host: string): string {
  const namespaces = service.namespaces.map(({ name, state, source }) => ({
    name,
    state: state.state,
    syncedAt: source.syncedAt ?? null,
    ...(state.reason !== undefined && { reason: state.reason }),
    overruns: source.overruns,
    repairs: source.repairs,
    warnings: source.monitor?.warnings.map(warningJson) ?? [],
  }));
  const { startedAt, config } = service;
  const refreshSeconds = config.refresh / 1000;
  return JSON.stringify({ version, host, startedAt, at: Date.now(), refreshSeconds, namespaces });
}

/** A tunnel, with since-times and reasons that may be from before this process. */
function tunnelText({ name, source }: WatchedNamespace, tunnel: Tunnel): string {
  const series = source.tunnels.get(tunnel.id);
  const { id: _, ...rest } = tunnelJson(tunnel);
  return members(
    {
      id: tunnel.id,
      key: keyOf(name, tunnel.id),
      netns: name,
      label: series?.label,
      ...rest,
      ...(series && {
        since: series.since,
        sinceKnown: series.sinceKnown,
        upSince: series.upSince,
        reason: series.reason,
      }),
    },
    false,
  );
}

/** All tunnels that pass, worst first, in pieces. */
export function* tunnelsJson(
  service: Service,
  filter: TunnelFilter,
  netns: string | null | undefined,
): Generator<string, undefined> {
  const all = watched(service, netns).flatMap((one) =>
    [...one.tunnels].filter((tunnel) => filter.matches(tunnel)).map((tunnel) => ({ one, tunnel })),
  );
  all.sort((a, b) => worstTunnelFirst(a.tunnel, b.tunnel));
  yield `{"at":${Date.now()},"event":${service.log.last},"tunnels":[`;
  let comma = '';
  for (const { one, tunnel } of all) {
    yield `${comma}{${tunnelText(one, tunnel)}}`;
    comma = ',';
  }
  yield ']}';
}

/** One tunnel with all its SAs and policies; undefined if there is none. */
export function tunnelDetails(service: Service, key: string): string | undefined {
  for (const one of service.namespaces) {
    const prefix = one.name === null ? '' : keyOf(one.name, '');
    if (!key.startsWith(prefix)) continue;
    const tunnel = one.tunnel(key.slice(prefix.length));
    if (tunnel === undefined) continue;
    const { sas, larval, policies, warnings } = tunnel;
    const states = [...sas.out, ...sas.in, ...larval];
    const parts = [
      `"at":${Date.now()}`,
      `"tunnel":{${tunnelText(one, tunnel)}}`,
      `"sas":[${states.map((entry) => stateText(entry, one.name))}]`,
      `"policies":[${policies.map((entry) => policyText(entry, one.name))}]`,
      `"warnings":${JSON.stringify(warnings.map(warningJson))}`,
    ];
    return `{${parts}}`;
  }
  return undefined;
}

const stateText = ({ value, countersReadAt: time }: StateEntry, netns: string | null) =>
  formatLine({ kind: 'state', protocol: 'xfrm', time, state: value } as JsonRecord, false, {
    netns,
  });

const policyText = ({ value, countersReadAt: time }: PolicyEntry, netns: string | null) =>
  formatLine({ kind: 'policy', protocol: 'xfrm', time, policy: value } as JsonRecord, false, {
    netns,
  });

/** SAs or policies that pass, in pieces. */
export function* entriesJson(
  service: Service,
  what: 'states' | 'policies',
  filter: Filter,
  netns: string | null | undefined,
): Generator<string, undefined> {
  yield `{"at":${Date.now()},"${what}":[`;
  let comma = '';
  for (const { name, monitor } of watched(service, netns)) {
    if (monitor === undefined) continue;
    // A copy: the table changes while this is sent.
    const all = what === 'states' ? [...monitor.xfrm.states] : [...monitor.xfrm.policies];
    for (const entry of all) {
      const text = textOf(entry, filter, name);
      yield text === undefined ? '' : comma + text;
      if (text !== undefined) comma = ',';
    }
  }
  yield ']}';
}

function textOf(
  entry: StateEntry | PolicyEntry,
  filter: Filter,
  netns: string | null,
): string | undefined {
  if ('spi' in entry.value) {
    const state = entry as StateEntry;
    return filter.matches({ kind: 'state', state: state.value })
      ? stateText(state, netns)
      : undefined;
  }
  const policy = entry as PolicyEntry;
  return filter.matches({ kind: 'policy', policy: policy.value })
    ? policyText(policy, netns)
    : undefined;
}

/** What happened to each tunnel, or to those with one of the keys, if any are given; in pieces. */
export function* historyJson(
  service: Service,
  since: number,
  keys: readonly string[],
): Generator<string, undefined> {
  yield `{"since":${since},"tunnels":{`;
  let comma = '';
  const wanted = new Set(keys);
  for (const { name, history } of service.namespaces) {
    for (const id of [...history.ids]) {
      const its = keyOf(name, id);
      const part = wanted.size === 0 || wanted.has(its) ? history.since(id, since) : undefined;
      if (part === undefined) continue;
      yield `${comma}${JSON.stringify(its)}:${JSON.stringify(part)}`;
      comma = ',';
    }
  }
  yield '}}';
}

const watched = (service: Service, netns: string | null | undefined) =>
  service.namespaces.filter(({ name }) => netns === undefined || name === netns);
