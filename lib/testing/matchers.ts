/** The expectations as matchers of Vitest and Jest: `expect.extend(xfrmMatchers)`. @module */
import { TestingError } from './error.ts';
import {
  type EncryptedOptions,
  expectEncrypted,
  expectMirrored,
  expectNoLeaks,
  expectNoXfrmErrors,
  type MirroredOptions,
  type NoXfrmErrorsOptions,
} from './expect.ts';
import type { Host } from './host.ts';
import type { NetworkNamespace } from './network-namespace.ts';

/** What a matcher returns to the test runner. */
export interface MatcherResult {
  readonly pass: boolean;
  /** The failure message. */
  readonly message: () => string;
}

async function matched(expected: Promise<unknown>, otherwise: string): Promise<MatcherResult> {
  try {
    await expected;
    return { pass: true, message: () => otherwise };
  } catch (error) {
    if (!(error instanceof TestingError) || error.code !== 'ERR_EXPECTATION') throw error;
    return { pass: false, message: () => error.message };
  }
}

type Block = () => unknown;

/** All are asynchronous: `await expect(left).toBeEncryptedTo(right)`. */
export const xfrmMatchers = {
  /** See {@link expectEncrypted}. */
  toBeEncryptedTo: (left: Host, right: Host, options?: EncryptedOptions) =>
    matched(expectEncrypted(left, right, options), 'traffic between them is protected'),
  /** See {@link expectMirrored}. */
  toMirror: (left: NetworkNamespace, right: NetworkNamespace, options?: MirroredOptions) =>
    matched(expectMirrored(left, right, options), 'they agree on the SAs between them'),
  /** `expect(block).toCauseNoXfrmErrors([left, right])` */
  toCauseNoXfrmErrors: (
    block: Block,
    hosts: NetworkNamespace | readonly NetworkNamespace[],
    options?: NoXfrmErrorsOptions,
  ) => matched(expectNoXfrmErrors(hosts, block, options), 'no packet was dropped'),
  /** See {@link expectNoLeaks}. */
  toLeaveNothing: (block: Block, hosts: NetworkNamespace | readonly NetworkNamespace[]) =>
    matched(expectNoLeaks(hosts, block), 'nothing was left'),
};

/** The matchers' types, for the declarations of Vitest and Jest that docs/testing.md shows. */
export type XfrmMatchers<_Received = unknown> = {
  readonly [Name in keyof typeof xfrmMatchers]: (typeof xfrmMatchers)[Name] extends (
    received: never,
    ...args: infer Args
  ) => unknown
    ? (...args: Args) => Promise<void>
    : never;
};
