/**
 * What an event, or an entry of a list, is about: the SAs and policies it names, in one form for
 * all kinds.
 * @module
 */
import type { RouteMessage } from '../route/requests.ts';
import type { Mark } from '../xfrm/codec.ts';
import type { XfrmEvent } from '../xfrm/events.ts';
import type { IpsecProto } from '../xfrm/names.ts';
import type { XfrmPolicy, XfrmState } from '../xfrm/objects.ts';
import type { XfrmMessage, XfrmRequest } from '../xfrm/requests.ts';
import type { SubscriptionEvent } from './subscribe.ts';

/** An SA or a policy that is there: an entry of a list. */
export type Listed =
  | { readonly kind: 'state'; readonly state: XfrmState }
  | { readonly kind: 'policy'; readonly policy: XfrmPolicy };

/** All that can be asked what it is about: of recordings, also requests and answers. */
export type Filterable = SubscriptionEvent | XfrmMessage | RouteMessage | Listed;

/** An address, or a network. */
export interface Place {
  readonly address: string;
  readonly bits?: number;
}

/** What is known of an SA; of a policy, what it asks of one. */
interface Sa {
  readonly saddr?: string;
  readonly daddr?: string;
  readonly spi?: number;
  readonly proto?: IpsecProto;
  readonly reqid?: number;
}

/** The SAs and the policy that something is about. */
export interface Subject {
  readonly sas: readonly Sa[];
  readonly sources: readonly Place[];
  readonly destinations: readonly Place[];
  /** What may have a mark and an interface id; undefined where that is not told. */
  readonly marked?: { readonly mark?: Mark; readonly ifId?: number };
  readonly dir?: string | number;
  /** It is about all SAs, or all policies: a flush. */
  readonly all?: true;
}

/**
 * Which of the two each kind of event is about. FLUSHSA and EXPIRE are about SAs, although they can
 * change how policies work.
 */
export const EVENT_KINDS: Readonly<Record<XfrmEvent['kind'], 'state' | 'policy' | 'both'>> = {
  NEWSA: 'state',
  UPDSA: 'state',
  DELSA: 'state',
  EXPIRE: 'state',
  FLUSHSA: 'state',
  NEWPOLICY: 'policy',
  UPDPOLICY: 'policy',
  DELPOLICY: 'policy',
  POLEXPIRE: 'policy',
  FLUSHPOLICY: 'policy',
  GETDEFAULT: 'policy',
  ACQUIRE: 'state',
  NEWAE: 'state',
  REPORT: 'both',
  MIGRATE: 'both',
  MIGRATE_STATE: 'state',
  MAPPING: 'state',
  unknown: 'both',
};

const places = (...addresses: readonly string[]): Place[] =>
  addresses.map((address) => ({ address }));

function ofState(state: XfrmState): Subject {
  const { saddr, daddr, dir } = state;
  const ends = { sources: places(saddr), destinations: places(daddr) };
  return { sas: [state], ...ends, marked: state, ...(dir === undefined ? {} : { dir }) };
}

function ofSelector({ saddr, prefixlenS, daddr, prefixlenD }: XfrmPolicy['selector']) {
  return {
    sources: [{ address: saddr, bits: prefixlenS }],
    destinations: [{ address: daddr, bits: prefixlenD }],
  };
}

function ofPolicy(policy: XfrmPolicy): Subject {
  const { templates = [], selector, dir } = policy;
  return { sas: templates, ...ofSelector(selector), marked: policy, dir };
}

/** Undefined where it is about neither SAs nor policies. */
export function subjectOf(item: Filterable): Subject | undefined {
  switch (item.kind) {
    case 'state':
    case 'NEWSA':
    case 'UPDSA':
    case 'DELSA':
    case 'EXPIRE':
      return ofState(item.state);
    case 'policy':
    case 'NEWPOLICY':
    case 'UPDPOLICY':
    case 'DELPOLICY':
    case 'POLEXPIRE':
      return ofPolicy(item.policy);
    case 'FLUSHSA': {
      const sas = item.proto === 'any' ? [] : [{ proto: item.proto }];
      return { sas, sources: [], destinations: [], all: true };
    }
    case 'FLUSHPOLICY':
      return { sas: [], sources: [], destinations: [], all: true };
    case 'ACQUIRE': {
      const { acquire } = item;
      const { saddr, daddr, templates = [] } = acquire;
      const ends = { sources: places(saddr), destinations: places(daddr) };
      return { sas: [acquire, ...templates], ...ends, marked: acquire, dir: acquire.policy.dir };
    }
    case 'NEWAE': {
      const { saddr, daddr, dir } = item.aevent;
      const ends = { sources: places(saddr), destinations: places(daddr) };
      const direction = dir === undefined ? {} : { dir };
      return { sas: [item.aevent], ...ends, marked: item.aevent, ...direction };
    }
    case 'REPORT':
      return { sas: [item.report], ...ofSelector(item.report.selector) };
    case 'MIGRATE': {
      const sources = item.migrations.flatMap((one) => places(one.oldSaddr, one.newSaddr));
      const destinations = item.migrations.flatMap((one) => places(one.oldDaddr, one.newDaddr));
      const inner = ofSelector(item.id.selector);
      return {
        sas: item.migrations,
        sources: [...sources, ...inner.sources],
        destinations: [...destinations, ...inner.destinations],
        dir: item.id.dir,
      };
    }
    case 'MIGRATE_STATE': {
      const { id, newSaddr, newDaddr, newReqid } = item.migration;
      return {
        sas: [{ ...id, reqid: newReqid }],
        sources: places(newSaddr),
        destinations: places(id.daddr, newDaddr),
      };
    }
    case 'MAPPING': {
      const { mapping } = item;
      const sources = places(mapping.oldSaddr, mapping.newSaddr);
      return { sas: [mapping], sources, destinations: places(mapping.daddr) };
    }
    case 'request':
      return item.protocol === 'xfrm' ? ofRequest(item) : undefined;
    default:
      return undefined;
  }
}

function ofRequest(request: XfrmRequest): Subject | undefined {
  switch (request.message) {
    case 'DELSA':
    case 'GETSA': {
      // Without id: a request for a list.
      const { id, attributes } = request;
      if (id === undefined) return undefined;
      return { sas: [id], sources: [], destinations: places(id.daddr), marked: attributes };
    }
    case 'DELPOLICY':
    case 'GETPOLICY': {
      const { id, attributes } = request;
      if (id === undefined) return undefined;
      return { sas: [], ...ofSelector(id.selector), marked: attributes, dir: id.dir };
    }
    case 'ALLOCSPI': {
      const { saddr, daddr } = request.allocation;
      const ends = { sources: places(saddr), destinations: places(daddr) };
      return { sas: [request.allocation], ...ends, marked: request.allocation };
    }
    case 'GETAE': {
      const { aevent } = request;
      return { sas: [aevent], sources: [], destinations: places(aevent.daddr), marked: aevent };
    }
    case 'GETSADINFO':
    case 'GETSPDINFO':
    case 'NEWSPDINFO':
    case 'SETDEFAULT':
      return undefined;
    default: {
      // These hold what the event holds that they cause.
      const { message, ...rest } = request;
      return subjectOf({ ...rest, kind: message } as XfrmEvent);
    }
  }
}
