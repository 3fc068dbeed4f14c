/**
 * Many SAs between this host and as many peers: the i-th has a peer and an SPI of its own.
 * @module
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import type { XfrmClient } from '../../lib/index.ts';

export const HOST = '192.0.2.1';
export const peer = (i: number): string => `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`;
/**
 * Scattered (by 2^32 over the golden ratio): the kernel's hash of SAs combines address and SPI by XOR
 * (net/xfrm/xfrm_hash.h, __xfrm_spi_hash), so of two that grow alike all would be in one chain.
 */
export const spiOf = (i: number): number => Math.imul(i + 1, 0x9e37_79b1) >>> 0;

const REQID = 1;
const GCM = { name: 'rfc4106(gcm(aes))', icvBits: 128, key: new Uint8Array(20) };

export const addOne = (client: XfrmClient, i: number): Promise<unknown> =>
  client.addState({
    saddr: HOST,
    daddr: peer(i),
    proto: 'esp',
    spi: spiOf(i),
    mode: 'tunnel',
    reqid: REQID,
    aead: GCM,
  });

/** SAs by their numbers. */
export interface Changes {
  readonly updated: readonly number[];
  readonly deleted: readonly number[];
  readonly added: readonly number[];
}

/**
 * Has another program (`ip -batch`) change SAs, while this one stands still: what its sockets do not
 * hold is lost to it. Of those that are updated, the limit of packets is set.
 */
export function changeUnread({ updated, deleted, added }: Changes, packets: number): void {
  const line = (verb: string, i: number) =>
    `xfrm state ${verb} src ${HOST} dst ${peer(i)} proto esp spi ${spiOf(i)}`;
  const whole = (verb: string, i: number) =>
    `${line(verb, i)} reqid ${REQID} mode tunnel aead ${GCM.name} 0x${'00'.repeat(20)} ${GCM.icvBits}`;
  const lines = [
    ...updated.map((i) => `${whole('update', i)} limit packet-hard ${packets}`),
    ...deleted.map((i) => line('delete', i)),
    ...added.map((i) => whole('add', i)),
  ];
  const input = `${lines.join('\n')}\n`;
  const { status, stderr } = spawnSync('ip', ['-batch', '-'], { input, encoding: 'utf8' });
  assert.equal(status, 0, stderr);
}
