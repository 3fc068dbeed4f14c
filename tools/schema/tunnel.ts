/**
 * JSON Schema for tunnels. The members are checked against their types by the compiler.
 * @module
 */

import type { JsonRecord } from '../../lib/cli/json.ts';
import { type CheckRecord, SEVERITY_WORDS, STATUSES } from '../../lib/cli/tunnels/check-result.ts';
import type { JsonChange, JsonTunnel, JsonWarning } from '../../lib/json/tunnel.ts';
import { TUNNEL_STATES } from '../../lib/tunnel/tunnel.ts';
import { WARNINGS } from '../../lib/tunnel/tunnel-filter.ts';
import * as structs from '../../lib/xfrm/structs.ts';
import {
  array,
  digits,
  type Members,
  members,
  object,
  reference,
  type Schema,
  string,
} from './types.ts';

const boolean: Schema = { type: 'boolean' };
const number: Schema = { type: 'number' };
const count: Schema = { type: 'integer', minimum: 0 };
/** Ms since 1970. */
const when: Schema = { type: 'number' };
const described = (description: string, schema: Schema): Schema => ({ description, ...schema });

const { spi, proto, saddr, daddr, mode, reqid } = {
  ...members(structs.xfrm_usersa_info),
  ...members(structs.xfrm_user_tmpl),
  ...members(structs.xfrm_id),
} as Record<string, Schema>;
const policy = members(structs.xfrm_userpolicy_info);
const state: Schema = { enum: TUNNEL_STATES };
const directions: Schema = { enum: ['in', 'out'] };
const perDirection = (one: Schema, optional = false): Schema =>
  object({ in: one, out: one }, optional ? ['in', 'out'] : []);
const need = (schema: Schema | undefined): Schema => {
  if (schema === undefined) throw new Error('a struct lacks a member that tunnels show');
  return schema;
};

const sa = object(
  {
    saddr: need(saddr),
    daddr: need(daddr),
    proto: need(proto),
    spi: need(spi),
    addedAt: when,
    bytes: digits,
    packets: digits,
  },
  [],
);

const sas = perDirection(array(reference('TunnelSa')));
const policies = array(reference('TunnelPolicy'));
const traffic = perDirection(
  object({ bytes: digits, packets: digits, lastUsedAt: when }, ['lastUsedAt']),
);

type Maybe<T> = { [Key in keyof T]-?: undefined extends T[Key] ? Key : never }[keyof T];

const always: Record<Exclude<keyof JsonTunnel, Maybe<JsonTunnel>>, Schema> = {
  id: described('What it is called as long as somebody looks; rekeys do not change it.', string),
  expected: described('Whether --expect names it.', boolean),
  directed: described('Whether it is known which end is this host.', boolean),
  ifId: described('Of the xfrm interface.', perDirection(count, true)),
  mark: perDirection(reference(structs.xfrm_mark.name), true),
  state,
  reason: described('Why it is in this state.', string),
  since: described('Since when it is in this state.', when),
  sinceKnown: described(
    'Whether that is known; if not, `since` is when it was first seen to be.',
    boolean,
  ),
  sas: described('Its SAs, the oldest first.', sas),
  larval: described('SAs that were asked for and have no keys yet.', array(reference('TunnelSa'))),
  policies,
  traffic: described(
    'What it carried, across rekeys, as of the last reading of the counters.',
    traffic,
  ),
  expiry: described(
    'When the newest SA wants a successor, and when it goes.',
    perDirection(object({ softAt: when, hardAt: when }, ['softAt', 'hardAt'])),
  ),
  rekeys: described('Rekeys seen: both directions are one.', count),
  unreplaced: described('SAs that reached a hard limit without a successor.', count),
  refused: described(
    'Packets refused, across rekeys.',
    object({ integrity: digits, replay: digits, replayWindow: digits }),
  ),
  acquires: described('SAs asked for, as far as that was heard.', count),
  natMappings: described("Changes of the peer's address or port, as far as heard.", count),
  warnings: array(reference('TunnelWarning')),
};
const sometimes: Record<Maybe<JsonTunnel>, Schema> = {
  name: described('The name that --expect gives it.', string),
  local: described("This host's address.", string),
  remote: described("The peer's address.", string),
  reqid: need(reqid),
  mode: need(mode),
  protocol: described('What protects the packets.', need(proto)),
  encap: reference(structs.xfrm_encap_tmpl.name),
  upSince: described('Since when it can carry packets both ways, whatever was rekeyed.', when),
  installedAt: described('When the newest SA was added.', when),
  parts: described(
    'With --apart, of a tunnel of several reqids: what each has.',
    array(
      object({ reqid: need(reqid), protocol: need(proto), sas, policies, traffic }, ['protocol']),
    ),
  ),
};

const warning: Record<keyof JsonWarning, Schema> = {
  kind: { enum: WARNINGS },
  what: described('Which of several of a kind: a direction, a limit; may be empty.', string),
  text: string,
  value: number,
  limit: number,
  since: described('When it was raised.', when),
};

export const tunnelDefinitions: Readonly<Record<string, Schema>> = {
  Tunnel: {
    description: 'A tunnel: two ends, the SAs and policies between them, and their state.',
    ...object({ ...always, ...sometimes }, Object.keys(sometimes)),
  },
  TunnelSa: { description: 'An SA of a tunnel.', ...sa },
  TunnelPolicy: {
    description: 'A policy of a tunnel.',
    ...object({
      index: need(policy.index),
      dir: need(policy.dir),
      action: need(policy.action),
      priority: need(policy.priority),
      selector: reference(structs.xfrm_selector.name),
    }),
  },
  TunnelWarning: {
    description: 'What is wrong, or may soon be, although the state does not show it.',
    ...object(warning),
  },
};

const tunnel = reference('Tunnel');
const the = reference('TunnelWarning');
const problem: Record<keyof CheckRecord['problems'][number], Schema> = {
  status: { enum: ['WARNING', 'CRITICAL'] },
  tunnel: described('Its id; absent for the host.', string),
  what: { enum: SEVERITY_WORDS },
  text: string,
};

type Kind = 'tunnel' | 'host-warning' | 'check';
export const tunnelKinds: { [K in Kind]: Members<Extract<JsonRecord, { kind: K }>> } = {
  tunnel: { doc: 'A tunnel, in a list.', always: { tunnel } },
  'host-warning': { doc: 'A warning about the host, in a list.', always: { warning: the } },
  check: {
    doc: 'Whether tunnels are well.',
    always: {
      status: { enum: STATUSES },
      tunnels: described('How many were looked at.', count),
      states: described(
        'How many are in each state.',
        object(Object.fromEntries(TUNNEL_STATES.map((one) => [one, count]))),
      ),
      problems: array(object(problem, ['tunnel'])),
    },
  },
};

const claimant = object({ portId: count, pid: count, process: string }, ['pid', 'process']);
const reason = described('Why it went down, as far as the kernel tells.', {
  oneOf: [
    object({ kind: { enum: ['deleted', 'flushed'] }, by: claimant }),
    object({ kind: { const: 'policy-gone' }, by: claimant }, ['by']),
    object({ kind: { enum: ['expired', 'found-missing', 'unknown'] } }),
    object({ kind: { const: 'address-gone' }, address: string }),
    object({ kind: { const: 'link-gone' }, address: string, link: string }),
    object({ kind: { const: 'migrated' }, to: string }, ['to']),
  ],
});
const compared = {
  added: count,
  updated: count,
  removed: count,
  rounds: count,
  overruns: described('How often the kernel reported a loss.', count),
  malformed: described('Messages that made no sense.', count),
  durationMs: number,
};

const succession = {
  proto: need(proto),
  from: described('The SPI of the old one.', need(spi)),
  to: described('The SPI of the new one.', need(spi)),
};
const gapMs = described(
  'Ms in which neither was there; 0: both were. Absent where a resync found it.',
  number,
);
const successions = array(object({ ...succession, gapMs }, ['gapMs']));

type Change = JsonChange['change'];
type ChangeOf<C extends Change, J = JsonChange> = J extends { change: infer Names }
  ? C extends Names
    ? J
    : never
  : never;

/** The members of each tunnel change. */
export const tunnelChanges: { [C in Change]: Members<ChangeOf<C>> } = {
  added: { doc: 'A tunnel is there.', always: { tunnel } },
  removed: { doc: 'It is no longer listed.', always: { tunnel } },
  up: {
    doc: 'It can carry packets both ways, and could not before.',
    always: { tunnel },
    sometimes: { before: state },
  },
  down: { doc: 'It cannot carry packets any more.', always: { tunnel, before: state, reason } },
  stalled: { doc: 'Packets go out, and none come in.', always: { tunnel, before: state } },
  state: {
    doc: 'Any other change of its state.',
    always: {
      tunnel,
      before: state,
      rekey: described('Whether it is a part of a rekey, which `rekeyed` tells in one.', boolean),
    },
  },
  rekeyed: {
    doc: 'New SAs took the place of old ones, in both directions.',
    always: { tunnel, in: successions, out: successions },
  },
  replaced: {
    doc: 'A part of a rekey: one SA took the place of one.',
    always: { tunnel, direction: directions, ...succession },
    sometimes: { gapMs },
  },
  warning: {
    doc: 'A warning was raised, or is over.',
    always: { raised: boolean, warning: the },
    sometimes: { tunnel: described('Absent where it is about the host.', tunnel) },
  },
  overrun: {
    doc: 'Events, or changes, were lost before this line.',
    always: { code: string, count, slowConsumer: described('It was this reader.', boolean) },
  },
  resynced: { doc: 'Events had been lost, and the tables are right again.', always: compared },
  refreshed: { doc: 'The counters were read; nothing had been lost.', always: compared },
  'namespace-gone': {
    doc: 'The path given as --netns no longer leads to the namespace that is watched.',
    always: { namespacePath: string },
  },
  malformed: {
    doc: 'A datagram that does not hold together.',
    always: { reason: string, path: array(string), offset: { type: 'integer' } },
  },
};
