/** What a check of `doctor` reports. @module */

/**
 * `error`: this command, or IPsec, cannot work here. `warning`: something is lost, or does not work
 * as one expects. `note`: something is missing that few need, or worth knowing.
 */
export const FINDING_SEVERITIES = ['ok', 'note', 'warning', 'error'] as const;
export type FindingSeverity = (typeof FINDING_SEVERITIES)[number];

/** The result of a check. */
export interface Finding {
  /** Which check: a group, a dot, and what was checked. It stays the same in later versions. */
  readonly id: string;
  readonly severity: FindingSeverity;
  /** What is here. */
  readonly found: string;
  /** What follows from it. */
  readonly meaning: string;
  /** The command, or the change, that mends it; absent if nothing has to be mended. */
  readonly remedy?: string;
}

/** A finding that needs no remedy. */
export const ok = (id: string, found: string, meaning: string): Finding => ({
  id,
  severity: 'ok',
  found,
  meaning,
});
