/**
 * What the kernel applied of a request that set something.
 * @module
 */
import type { XfrmPolicy, XfrmState } from './objects.ts';

/** The result of a request that set something. */
export interface ApplyResult {
  /**
   * Attributes that the kernel did not apply, under its own names. Kernels silently ignore
   * attributes newer than themselves (net/xfrm/xfrm_user.c parses them liberally), and an offload
   * that the device does not support. To find out, the object is read back if it uses an attribute
   * newer than kernel 5.10 or an offload. Undefined if reading back failed: the request succeeded,
   * but the object may already be gone.
   */
  readonly ignoredAttributes: readonly string[] | undefined;
  /** The kernel's warning, if it gave one. */
  readonly warning: string | undefined;
}

/** Properties of an SA that a kernel may ignore: those newer than 5.10, and offload. */
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

/** The same for a policy: offload was added in 6.2. */
export const RECENT_POLICY: Readonly<Partial<Record<keyof XfrmPolicy, string>>> = {
  offload: 'XFRMA_OFFLOAD_DEV',
};

interface Properties {
  readonly unknown?: readonly { readonly type: number }[] | undefined;
}

/** The value of a property that the type may not declare. */
const propertyOf = (of: Properties, name: string) => of[name as keyof Properties];

/** Whether the input has a property that the kernel may have ignored. */
export const mayBeLeftOut = (input: Properties, names: Readonly<Record<string, string>>): boolean =>
  input.unknown !== undefined ||
  Object.keys(names).some((name) => propertyOf(input, name) !== undefined);

/** Attributes that were set but are missing: kernel names, or numbers of unknown ones. */
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
