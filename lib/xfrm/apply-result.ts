/**
 * What the kernel took of what it was given to set.
 * @module
 */
import type { XfrmPolicy, XfrmState } from './objects.ts';

/** What became of a request that set something. */
export interface ApplyResult {
  /**
   * Attributes that the kernel did not take, under its own names. A kernel passes over attributes
   * newer than itself without a word (net/xfrm/xfrm_user.c parses them liberally), and over an
   * offload that the device can't do. For those that came after kernel 5.10, and for offloads, what
   * was set is read back to find out. Undefined where that failed after the kernel had done what was
   * asked: what was set may be gone already.
   */
  readonly ignoredAttributes: readonly string[] | undefined;
  /** The kernel's words, if it had reservations. */
  readonly warning: string | undefined;
}

/** Properties of an SA that a kernel may leave out: those that came after 5.10, and offload. */
export const RECENT: Readonly<Partial<Record<keyof XfrmState, string>>> = {
  offload: 'XFRMA_OFFLOAD_DEV',
  mappingMaxAgeSeconds: 'XFRMA_MTIMER_THRESH',
  dir: 'XFRMA_SA_DIR',
  natKeepaliveSeconds: 'XFRMA_NAT_KEEPALIVE_INTERVAL',
  pcpu: 'XFRMA_SA_PCPU',
  iptfsDropUs: 'XFRMA_IPTFS_DROP_TIME',
  iptfsReorderWindow: 'XFRMA_IPTFS_REORDER_WINDOW',
  iptfsDontFrag: 'XFRMA_IPTFS_DONT_FRAG',
  iptfsInitDelayUs: 'XFRMA_IPTFS_INIT_DELAY',
  iptfsMaxQsize: 'XFRMA_IPTFS_MAX_QSIZE',
  iptfsPktSize: 'XFRMA_IPTFS_PKT_SIZE',
};

/** Likewise of a policy: its offload came with 6.2. */
export const RECENT_POLICY: Readonly<Partial<Record<keyof XfrmPolicy, string>>> = {
  offload: 'XFRMA_OFFLOAD_DEV',
};

interface Properties {
  readonly unknown?: readonly { readonly type: number }[] | undefined;
}

/** The value of a property, of which the type may know nothing. */
const propertyOf = (of: Properties, name: string) => of[name as keyof Properties];

/** Whether something was set that the kernel may have passed over. */
export const mayBeLeftOut = (input: Properties, names: Readonly<Record<string, string>>): boolean =>
  input.unknown !== undefined ||
  Object.keys(names).some((name) => propertyOf(input, name) !== undefined);

/** What was set and is not there: the kernel's names, or the numbers of unknown attributes. */
export function leftOut(
  input: Properties,
  found: Properties,
  names: Readonly<Record<string, string>>,
): string[] {
  const named = Object.entries(names)
    .filter(
      ([name]) => propertyOf(input, name) !== undefined && propertyOf(found, name) === undefined,
    )
    .map(([, kernel]) => kernel);
  const raw = (input.unknown ?? [])
    .filter(({ type }) => !found.unknown?.some((one) => one.type === type))
    .map(({ type }) => `attribute ${type}`);
  return [...named, ...raw];
}
