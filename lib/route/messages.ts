/**
 * rtnetlink's messages: their names, and the struct before the attributes of those that stay raw.
 * @module
 */
import * as R from './constants.ts';

type Constant = Extract<keyof typeof R, `RTM_${string}`>;
/** The kernel's name of a message type, without `RTM_`. */
export type MessageName = Exclude<
  Constant extends `RTM_${infer Name}` ? Name : never,
  'BASE' | `F_${string}`
>;

const names = new Map<number, MessageName>();
for (const [name, number] of Object.entries(R)) {
  if (/^RTM_(?!BASE|F_)/.test(name)) names.set(number, name.slice('RTM_'.length) as MessageName);
}

/** The kernel's name of a message type, without `RTM_`; undefined for one it has not. */
export const messageName = (type: number): MessageName | undefined => names.get(type);

/** The structs before the attributes of messages that stay raw, in bytes. */
export const RAW_STRUCTS = {
  br_port_msg: 8,
  br_vlan_msg: 8,
  if_stats_msg: 12,
  ifaddrlblmsg: 12,
  ifinfomsg: 16,
  ndtmsg: 4,
  nduseroptmsg: 16,
  nhmsg: 8,
  rtgenmsg: 1,
  tcamsg: 4,
  tcmsg: 20,
  tunnel_msg: 8,
} as const;

/** Which it is, by the message type's base: types go by four, NEW, DEL, GET, SET. */
const FIXED = new Map<number, keyof typeof RAW_STRUCTS>([
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

/** Bytes of the struct before the attributes of a message that stays raw; undefined if not known. */
export function rawFixedSize(type: number): number | undefined {
  const name = FIXED.get(type & ~3);
  return name === undefined ? undefined : RAW_STRUCTS[name];
}
