/** What becomes of a packet, and why. @module */
import type { XfrmPolicy, XfrmState } from '../xfrm/objects.ts';
import type { PolicyLookup } from './policy-lookup.ts';
import type { Demand, NearSa, Resolution } from './sa-lookup.ts';

/**
 * `protected`: it leaves, or is accepted, in IPsec; `clear`: it leaves, or is accepted, without;
 * `dropped`: neither.
 */
export type Outcome = 'protected' | 'clear' | 'dropped';

/** A counter of /proc/net/xfrm_stat. */
export type Counter = `Xfrm${string}`;

interface Judged {
  readonly outcome: Outcome;
  /** One sentence. */
  readonly because: string;
  /** The counters that count a dropped packet, the telling one first; none: it is not counted. */
  readonly counters: readonly Counter[];
  /** What the tables do not tell, and might change the verdict. */
  readonly doubts: readonly string[];
}

/** A packet that leaves. */
export interface Sending extends Judged {
  readonly stage: 'send';
  readonly lookup: PolicyLookup;
  /** One for each template, in their order: the innermost first. */
  readonly templates: readonly Resolution[];
  /** The SAs that it passes, the innermost first: if it is dropped, those before. */
  readonly through: readonly XfrmState[];
}

/** How a template fared with the SAs that a packet came through. */
export interface Acceptance {
  readonly demand: Demand;
  /** The SA that it accepts. */
  readonly sa: XfrmState | undefined;
  readonly near: readonly NearSa[];
}

/** One way in which a packet may arrive. */
export interface Arrival extends Judged {
  /** The SAs that it comes through, the outermost first; none: in clear. */
  readonly through: readonly XfrmState[];
  readonly policy: XfrmPolicy | undefined;
  /** The mark that it then has. */
  readonly mark: number;
}

/** A packet that arrives, for this host or to be forwarded. */
export interface Receiving extends Judged {
  readonly stage: 'receive' | 'forward';
  readonly lookup: PolicyLookup;
  readonly templates: readonly Acceptance[];
  /** The way that decides: the one that is accepted, else the likeliest. */
  readonly arrival: Arrival | undefined;
  /** The other ways, those that are accepted first. */
  readonly others: readonly Arrival[];
}
