/** What a verdict is computed from: plain data, of now or of a recording. @module */
import type { XfrmPolicy, XfrmState } from '../xfrm/objects.ts';
import type { PolicyDefaults } from '../xfrm/types.ts';

export interface Tables {
  /** In the order in which the kernel lists them: the newest first (seen on 6.1, 6.12 and 7.2). */
  readonly states: readonly XfrmState[];
  /** In the order in which the kernel lists them: the newest first, where replacing makes one new. */
  readonly policies: readonly XfrmPolicy[];
  /** What becomes of packets that no policy matches. */
  readonly defaults: PolicyDefaults;
  /** Wall clock, in ms since 1970. */
  readonly now: number;
  /** The source that the kernel chooses for packets to an address; undefined: no route. */
  readonly sourceFor: (remote: string) => string | undefined;
  /** Whether an address is this host's. */
  readonly isLocal: (address: string) => boolean;
}
