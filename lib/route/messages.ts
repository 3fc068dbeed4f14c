/**
 * rtnetlink's messages: their names, and the sizes of the structs of those that are not decoded.
 * @module
 */
import * as R from './message-constants.ts';

type Constant = Extract<keyof typeof R, `RTM_${string}`>;
/** The kernel's name of a message type, without `RTM_`. */
export type MessageName = Exclude<
  Constant extends `RTM_${infer Name}` ? Name : never,
  'BASE' | `F_${string}`
>;

/** Made on first use, because this module is loaded with the library. */
let names: Map<number, MessageName> | undefined;

/** The kernel's name of a message type, without `RTM_`; undefined if unknown. */
export function messageName(type: number): MessageName | undefined {
  names ??= new Map(
    Object.entries(R)
      .filter(([name]) => /^RTM_(?!BASE|F_)/.test(name))
      .map(([name, number]) => [number, name.slice('RTM_'.length) as MessageName]),
  );
  return names.get(type);
}

/** Sizes of the structs before the attributes, in bytes. */
export const STRUCT_SIZES = {
  br_port_msg: 8,
  br_vlan_msg: 8,
  fib_rule_hdr: 12,
  if_stats_msg: 12,
  ifaddrlblmsg: 12,
  ifaddrmsg: 8,
  ifinfomsg: 16,
  ndmsg: 12,
  ndtmsg: 4,
  nduseroptmsg: 16,
  netconfmsg: 1,
  nhmsg: 8,
  prefixmsg: 12,
  rtgenmsg: 1,
  rtmsg: 12,
  tcamsg: 4,
  tcmsg: 20,
  tunnel_msg: 8,
} as const;

/** The struct, by the base of the message type: types come in fours, NEW, DEL, GET, SET. */
const FIXED = new Map<number, keyof typeof STRUCT_SIZES>([
  [R.RTM_NEWLINK, 'ifinfomsg'], // of a family that is not decoded
  [R.RTM_NEWLINKPROP, 'ifinfomsg'],
  [R.RTM_NEWQDISC, 'tcmsg'],
  [R.RTM_NEWTCLASS, 'tcmsg'],
  [R.RTM_NEWTFILTER, 'tcmsg'],
  [R.RTM_NEWCHAIN, 'tcmsg'],
  [R.RTM_NEWACTION, 'tcamsg'],
  [R.RTM_NEWNEIGHTBL, 'ndtmsg'],
  [R.RTM_NEWNDUSEROPT, 'nduseroptmsg'],
  [R.RTM_NEWADDRLABEL, 'ifaddrlblmsg'],
  [R.RTM_NEWMDB, 'br_port_msg'],
  [R.RTM_NEWSTATS, 'if_stats_msg'],
  [R.RTM_NEWCACHEREPORT, 'rtgenmsg'],
  [R.RTM_NEWVLAN, 'br_vlan_msg'],
  [R.RTM_NEWNEXTHOPBUCKET, 'nhmsg'],
  [R.RTM_NEWTUNNEL, 'tunnel_msg'],
]);

/**
 * Size of the struct before the attributes of a message that is not decoded; undefined if unknown.
 */
export function rawFixedSize(type: number): number | undefined {
  const name = FIXED.get(type & ~3);
  return name === undefined ? undefined : STRUCT_SIZES[name];
}
