/**
 * What becomes of a packet from end to end: what it meets on its way into, through and out of this
 * host. @module
 */
import type { XfrmState } from '../xfrm/objects.ts';
import type { Flow, Packet } from './flow.ts';
import { receive } from './receive.ts';
import { send } from './send.ts';
import type { Tables } from './tables.ts';
import type { Counter, Outcome, Receiving, Sending } from './verdict.ts';

/** From this host, to it, through it, or from one of its addresses to another. */
export type FlowDirection = 'out' | 'in' | 'fwd' | 'local';

/** The answer to a route look-up. */
export interface RouteAnswer {
  /** Kind of route: unicast, local … */
  readonly type: string | number;
  readonly device: string | undefined;
  readonly ifindex: number;
  readonly gateway: string | undefined;
  readonly source: string | undefined;
  /** Interface id of the device, if it is an xfrm interface. */
  readonly ifId: number | undefined;
  /** Index of the device below the xfrm interface, if it has one. */
  readonly under?: number | undefined;
  /** The mark that packets have within the device, if it is a VTI. */
  readonly vtiMark?: number | undefined;
  /** IPsec is switched off for packets that leave by the device (sysctl disable_xfrm). */
  readonly noXfrm: boolean;
  /** It stays on this host: the default for packets without a policy does not apply. */
  readonly isLoopback?: boolean | undefined;
}

/** A packet, and what the kernel said about its way. */
export interface Question {
  readonly flow: Flow;
  readonly direction: FlowDirection;
  readonly mark: number;
  /** The route, or why there is none. */
  readonly route: RouteAnswer | { readonly error: string };
  /** Whether the sender has chosen the device that it leaves by. */
  readonly isBound: boolean;
  /** The device that it comes by, if it does. */
  readonly from:
    | {
        readonly device: string | undefined;
        /** Interface id of the device, if it is an xfrm interface. */
        readonly ifId: number | undefined;
        /** The mark that packets have within the device, if it is a VTI. */
        readonly vtiMark?: number | undefined;
        /** Policies are not applied to packets from it (sysctl disable_policy). */
        readonly noPolicy: boolean;
      }
    | undefined;
  /** The SAs that it comes through, the outermost first; undefined: whichever is accepted. */
  readonly through: readonly XfrmState[] | undefined;
  /** What the kernel was not asked, and is assumed. */
  readonly assumed?: readonly string[];
}

export interface Fate {
  readonly question: Question;
  readonly outcome: Outcome;
  readonly because: string;
  readonly counters: readonly Counter[];
  readonly doubts: readonly string[];
  /** What it meets, in order. */
  readonly stages: readonly (Receiving | Sending)[];
}

export function fateOf(tables: Tables, question: Question): Fate {
  const { flow, direction, route, from, through } = question;
  let packet: Packet = { flow, mark: question.mark, ifId: 0, ifindex: 0 };
  const stages: (Receiving | Sending)[] = [];
  const ended = (outcome: Outcome, because: string, counters: readonly Counter[] = []): Fate => {
    const doubts = [
      ...[...('error' in route ? [] : [route]), ...(from ? [from] : [])].flatMap(doubtOfVti),
      ...stages.flatMap((stage) => stage.doubts),
    ];
    return { question, outcome, because, counters, doubts, stages };
  };
  const noRoute = 'error' in route ? route.error : undefined;
  let isProtected = false;
  let last = '';

  /** @returns the end, if that is it */
  const receiving = (dir: 'in' | 'fwd'): Fate | undefined => {
    if (from?.noPolicy) {
      last = `policies do not apply to packets that come by ${from.device} (disable_policy)`;
      return undefined;
    }
    const stage = receive(tables, dir, { ...packet, ifId: from?.ifId ?? 0 }, through);
    stages.push(stage);
    if (stage.outcome === 'dropped') return ended('dropped', stage.because, stage.counters);
    packet = { ...packet, mark: stage.arrival?.mark ?? packet.mark };
    isProtected = stage.outcome === 'protected';
    last = stage.because;
    return undefined;
  };

  // A packet is routed before a policy is asked whether it may pass.
  if (noRoute !== undefined) return ended('dropped', noRoute);
  if (direction === 'fwd') {
    const end = receiving('fwd');
    if (end) return end;
  }
  if (direction !== 'in') {
    const way = route as RouteAnswer;
    const ifindex = knowsDevice(question) ? way.ifindex : 0;
    const end = sending(tables, packet, { ...way, ifindex }, stages);
    if (end.outcome === 'dropped') return ended('dropped', end.because, end.counters);
    isProtected = end.outcome === 'protected';
    last = end.because;
  }
  if (direction === 'in' || direction === 'local') {
    const end = receiving('in');
    if (end) return end;
  }
  return ended(isProtected ? 'protected' : 'clear', last);
}

/**
 * Whether selectors with an interface are compared with that of the route. Of an IPv6 packet of this
 * host the kernel knows it only from a socket that is bound to it (seen on 6.12 and 7.2).
 */
const knowsDevice = ({ flow, direction, isBound }: Question): boolean =>
  flow.family === 'inet' || direction === 'fwd' || isBound;

/** Of what a VTI does with a packet (net/ipv4/ip_vti.c), nothing is computed. */
const doubtOfVti = ({
  device,
  vtiMark,
}: Pick<RouteAnswer, 'device' | 'vtiMark'>): readonly string[] =>
  vtiMark === undefined
    ? []
    : [
        `${device} is a VTI, which is not looked into: in it the packet has the mark ${vtiMark}; --mark ${vtiMark} says what that leads to`,
      ];

type End = Pick<Sending, 'outcome' | 'because' | 'counters'>;

/** What becomes of a packet that leaves by a route. @param stages takes what it meets @internal */
export function sending(
  tables: Tables,
  packet: Packet,
  { device, ifindex, ifId, under = 0, noXfrm, isLoopback }: Way,
  stages: (Receiving | Sending)[],
): End {
  if (noXfrm) {
    const because = `policies do not apply to packets that leave by ${device} (disable_xfrm)`;
    return { outcome: 'clear', because, counters: [] };
  }
  const first = send(tables, { ...packet, ifindex }, isLoopback);
  stages.push(first);
  if (ifId === undefined || first.outcome === 'dropped' || hasOwnRoute(first)) return first;
  // The xfrm interface looks again, with its id, and as if the packet left by the device below it
  // (net/xfrm/xfrm_interface_core.c, xfrmi_xmit2).
  const flow = outermostFlow(packet.flow, first);
  const second = send(tables, { ...packet, flow, ifindex: under, ifId });
  const refusal = refusalOf(second);
  if (refusal === undefined) {
    stages.push(second);
    return second;
  }
  const because = `${device} is an xfrm interface, and ${refusal}`;
  const refused = { ...second, outcome: 'dropped', because, counters: [], through: [] } as const;
  stages.push(refused);
  return refused;
}

/** Why an xfrm interface sends nothing: it decides before an SA is used. */
function refusalOf(found: Sending): string | undefined {
  const { outcome, because, counters } = found;
  if (outcome === 'clear') return `sends nothing without an SA: ${because}`;
  const isFound = outcome === 'protected' || counters.some((one) => USED_UP.has(one));
  return isFound && !hasOwnRoute(found)
    ? 'sends nothing in transport mode, whose route leads back to it'
    : undefined;
}

/** Counters of SAs that are found, and cannot be used. */
const USED_UP: ReadonlySet<string> = new Set(['XfrmOutStateExpired', 'XfrmOutStateSeqError']);

type Way = Pick<RouteAnswer, 'device' | 'ifindex' | 'ifId' | 'under' | 'noXfrm' | 'isLoopback'>;

/** Whether it leaves by the route of an SA, not by its own: in transport mode it keeps that. */
const hasOwnRoute = ({ templates }: Sending): boolean =>
  templates.some(({ sa }) => sa && sa.mode !== 'transport');

/** What its SAs, all of transport mode, make of it. */
function outermostFlow(flow: Flow, { through }: Sending): Flow {
  const proto = through.at(-1)?.proto;
  if (proto === undefined) return flow;
  return { ...flow, proto: proto === 'ah' ? 51 : 50, sport: undefined, dport: undefined };
}
