/**
 * A tunnel between the two hosts of here.ts, made without a key manager.
 * @module
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect } from 'node:net';
import type { StateKey, XfrmClient, XfrmState } from '../../lib/index.ts';
import type { Encodable } from '../../lib/wire/encodable.ts';
import { INNER, UNDERLAY } from './here.ts';

export type Side = keyof typeof UNDERLAY;

const far = (side: Side): Side => (side === 'left' ? 'right' : 'left');
const aead = { name: 'rfc4106(gcm(aes))', icvBits: 128, key: new Uint8Array(20) };
const REQID = 1;

type Properties = Partial<Encodable<XfrmState>>;

/** An SA for what a side sends. */
export const sentBy = (side: Side, spi: number, more: Properties = {}): Encodable<XfrmState> => ({
  saddr: UNDERLAY[side],
  daddr: UNDERLAY[far(side)],
  proto: 'esp',
  mode: 'tunnel',
  spi,
  reqid: REQID,
  replayWindow: 32,
  aead,
  ...more,
});

/** What identifies it. */
export const keyOf = (side: Side, spi: number): StateKey => ({ daddr: UNDERLAY[far(side)], spi });

/** SPIs of what a host sends and of what it gets. */
export interface Spis {
  readonly out: number;
  readonly in: number;
}

/** A pair of SAs of a host. */
export async function addPair(
  client: XfrmClient,
  side: Side,
  spis: Spis,
  more?: Properties,
): Promise<void> {
  await client.addState(sentBy(far(side), spis.in, more));
  await client.addState(sentBy(side, spis.out, more));
}

export async function deletePair(client: XfrmClient, side: Side, spis: Spis): Promise<void> {
  await client.deleteState(keyOf(side, spis.out));
  await client.deleteState(keyOf(far(side), spis.in));
}

/** Sets the policies of a host, as key managers do at each rekey. */
export async function setPolicies(client: XfrmClient, side: Side): Promise<void> {
  for (const [dir, from] of [
    ['out', side],
    ['in', far(side)],
    ['fwd', far(side)],
  ] as const) {
    const ends = { saddr: UNDERLAY[from], daddr: UNDERLAY[far(from)] };
    const selector = {
      saddr: INNER[from],
      prefixlenS: 32,
      daddr: INNER[far(from)],
      prefixlenD: 32,
    };
    const templates = [{ ...ends, proto: 'esp', mode: 'tunnel', reqid: REQID }] as const;
    await client.replacePolicy({ dir, selector, templates });
  }
}

/** Sends packets from left to right; answers may come or not. */
export async function send(count: number): Promise<void> {
  const socket = createSocket('udp4');
  for (let i = 0; i < count; i++) {
    await new Promise<void>((resolve, reject) => {
      socket.send('traffic', 9, INNER.right, (error) => (error ? reject(error) : resolve()));
    });
  }
  socket.close();
}

/** Sends a packet from left to right and waits for the answer, a refused connection: one packet too. */
export async function exchange(count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const socket = connect({ port: 9, host: INNER.right, localAddress: INNER.left });
    const [error] = await once(socket, 'close').catch((reason: NodeJS.ErrnoException) => [reason]);
    if (error?.code !== 'ECONNREFUSED') throw error ?? new Error('someone accepts connections');
  }
}
