/** Digests of messages, to tell whether one is the same as before. @module */
import { randomFillSync } from 'node:crypto';
import { once } from '../base/once.ts';
import { LE } from './endian.ts';
import { NLMSG_HDRLEN } from './message.ts';

/** The 64 bits of a digest, in two words. */
export type Digest = Int32Array;

/**
 * The key, random in each process, which no function returns. Without it nobody can choose messages
 * with equal digests. Nor do digests reveal the IPsec keys in messages: each is 64 bits of a keyed
 * function of hundreds of bytes, and is not given to anyone.
 */
const KEY = once(() => randomFillSync(new Int32Array(2)));

/**
 * Computes the digest of a message without its flags, sequence number and port id: HalfSipHash-1-3
 * with 64 bits of output (Aumasson and Bernstein, SipHash: a fast short-input PRF), with what is
 * left behind the last whole word, the length and the type at the end. It is made of 32-bit words,
 * which JavaScript computes with as fast as C does.
 *
 * @param into where to write it
 */
export function digestOf(view: DataView, at: number, length: number, into: Digest): void {
  const key = KEY();
  let v0 = key[0] as number;
  let v1 = (key[1] as number) ^ 0xee;
  let v2 = v0 ^ 0x6c796765;
  let v3 = (key[1] as number) ^ 0x74656462;
  const end = at + length;
  const tail = end - (length & 3);
  // The same round twice: with the conditions of the second loop it takes twice as long.
  for (let i = at + NLMSG_HDRLEN; i < tail; i += 4) {
    const word = view.getInt32(i, LE);
    v3 ^= word;
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
    v0 ^= word;
  }
  let last = 0;
  for (let i = tail; i < end; i++) last = (last << 8) | view.getUint8(i);
  const type = view.getUint16(at + 4, LE);
  // Three words, then three rounds for each half of the digest.
  for (let i = 0; i < 9; i++) {
    const word = i === 0 ? last : i === 1 ? length : i === 2 ? type : 0;
    if (i === 3) v2 ^= 0xee;
    else if (i === 6) {
      into[0] = v1 ^ v3;
      v1 ^= 0xdd;
    }
    v3 ^= word;
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
    v0 ^= word;
  }
  into[1] = v1 ^ v3;
}
