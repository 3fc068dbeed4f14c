/**
 * What the kernel tests share. They run in a network namespace made for them
 * (scripts/test.mjs), with CAP_NET_ADMIN over it.
 * @module
 */
import { readlinkSync } from 'node:fs';
import { beforeEach } from 'node:test';
import { type Subscription, type SubscriptionEvent, XfrmClient } from '../../lib/index.ts';
import { fileWith, runProgram } from './shell.ts';

/** Runs iproute2's `ip`, an independent program, and gives what it prints. */
export function ip(...args: string[]): string {
  return runProgram('ip', ...args);
}

/** Runs many lines of `ip` in one process. */
export function ipBatch(lines: readonly string[]): void {
  ip('-batch', fileWith(lines));
}

/** The words of a command line. */
export const words = (text: string): string[] => text.trim().split(/\s+/);

// These tests flush, add and delete. In the lab the whole kernel is theirs; else only a namespace is.
if (process.env.NETLINK_XFRM_LAB === undefined) {
  const namespace = (pid: string) => {
    try {
      return readlinkSync(`/proc/${pid}/ns/net`);
    } catch {
      return undefined; // not ours to look at: then not ours to change either
    }
  };
  if (namespace('self') === namespace('1')) {
    throw new Error('this is the network namespace of the machine; run it with unshare -Urn');
  }
}

// Each test finds the namespace without SAs and policies, whatever ran before in it.
beforeEach(async () => {
  // By a client, which takes a tenth of the time that `ip` takes to start.
  await using client = new XfrmClient();
  await client.flushPolicies();
  await client.flushStates();
});

const KEY = '0x000102030405060708090a0b0c0d0e0f10111213';
/** The bytes of {@link KEY}, which no output may hold. */
export const KEY_HEX = KEY.slice(2);
/** An AEAD as `ip xfrm` wants it: AES-128-GCM, the salt after the key. */
export const GCM = ['aead', 'rfc4106(gcm(aes))', KEY, '128'];

/** Adds an ESP tunnel SA. */
export function addState(spi: number, ...more: string[]): void {
  const id = words(`src 192.0.2.1 dst 192.0.2.2 proto esp spi ${spi}`);
  ip('xfrm', 'state', 'add', ...id, ...words('reqid 7 mode tunnel'), ...GCM, ...more);
}

/**
 * Makes a larval SA and deletes it: the one change of SAs that a kernel without ESP can make too.
 * It causes one DELSA on the group XFRMNLGRP_SA.
 *
 * @returns its SPI
 */
export function deleteLarval(): number {
  const id = words('src 192.0.2.1 dst 192.0.2.2 proto esp');
  const shown = ip('xfrm', 'state', 'allocspi', ...id, ...words('min 0x1000 max 0xffffff'));
  const spi = /spi (0x[0-9a-f]+)/.exec(shown)?.[1] ?? '';
  ip('xfrm', 'state', 'delete', ...words(`dst 192.0.2.2 proto esp spi ${spi}`));
  return Number(spi);
}

function hasEsp(): boolean {
  try {
    addState(0xfff);
    ip('xfrm', 'state', 'delete', ...words('dst 192.0.2.2 proto esp spi 0xfff'));
    return true;
  } catch {
    return false;
  }
}

/**
 * For the `skip` of tests that need real SAs. A lane that promises ESP says so in the
 * environment: there a missing ESP is a failure.
 */
export const withoutEsp: string | false =
  process.env.NETLINK_XFRM_REQUIRE === 'esp' || hasEsp() ? false : 'this kernel has no ESP';

/** The next event of a subscription that `wanted` accepts; earlier ones are passed over. */
export async function next<Event extends SubscriptionEvent>(
  events: AsyncIterator<SubscriptionEvent, undefined>,
  wanted: (event: SubscriptionEvent) => event is Event,
): Promise<Event> {
  for (;;) {
    const { value, done } = await events.next();
    if (done) throw new Error('the subscription ended');
    if (wanted(value)) return value;
  }
}

/** Whether an event is of a kind, for {@link next}. */
export const ofKind =
  <Kind extends SubscriptionEvent['kind']>(kind: Kind) =>
  (event: SubscriptionEvent): event is Extract<SubscriptionEvent, { kind: Kind }> =>
    event.kind === kind;

/** The events that come before one for which `last` holds, and that one. */
export async function until(
  subscription: Subscription,
  last: (event: SubscriptionEvent) => boolean,
): Promise<SubscriptionEvent[]> {
  const events: SubscriptionEvent[] = [];
  for await (const event of subscription) {
    events.push(event);
    if (last(event)) break;
  }
  return events;
}
